//! A daemon as a process: start, kill, start again, and call its verbs.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

/// How long a condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until the condition returns a value. After [`PATIENCE`] it panics with `what` and the text of `context`.
#[track_caller]
pub fn wait_for<T>(what: &str, context: impl Fn() -> String, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}\n{}", context());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The path of one of the two programs, which is built if necessary. `OLOG_PROGRAMS` names a folder with other ones: for another machine.
pub fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("OLOG_PROGRAMS") {
        return PathBuf::from(folder).join(name);
    }
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        // target/PROFILE/deps/journeys-…, target/PROFILE/examples/demo, target/PROFILE/olog-bench
        let exe = std::env::current_exe().unwrap();
        let beside = exe.parent().unwrap();
        let is_inner = beside.ends_with("deps") || beside.ends_with("examples");
        let folder = if is_inner { beside.parent().unwrap() } else { beside }.to_path_buf();
        // The benchmark has already built the release programs.
        if !folder.ends_with("release") {
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            // With cargo's variables of this test, build scripts would run again, here and at the next build outside.
            std::env::vars_os().map(|(key, _)| key).filter(is_of_a_package).for_each(|key| {
                build.env_remove(key);
            });
            build.args(["build", "--quiet", "-p", "olog-agent", "-p", "olog-hub", "--bins"]);
            build.current_dir(env!("CARGO_MANIFEST_DIR")).arg("--target-dir").arg(folder.parent().unwrap());
            assert!(build.status().unwrap().success(), "the daemons do not build");
        }
        folder
    });
    folder.join(name)
}

fn is_of_a_package(key: &std::ffi::OsString) -> bool {
    let key = key.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"]
        .iter()
        .any(|start| key.starts_with(start))
}

/// The result of a verb.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its stdout.
    pub out: String,
    /// Its stderr.
    pub err: String,
}

impl Said {
    /// The output of a verb that had to succeed.
    #[track_caller]
    pub fn good(self) -> String {
        assert!(self.status.success(), "{:?}: {}{}", self.status.code(), self.out, self.err);
        self.out
    }
}

/// Runs a verb to its end.
pub fn run(command: &mut Command) -> Said {
    let out = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { status: out.status, out: text(&out.stdout), err: text(&out.stderr) }
}

/// A daemon that may run or not.
#[derive(Debug)]
pub struct Daemon {
    program: &'static str,
    config: PathBuf,
    log: PathBuf,
    args: Vec<&'static str>,
    env: Vec<(String, String)>,
    child: Option<Child>,
}

impl Daemon {
    /// `program run --config CONFIG`; its log goes beside the configuration.
    pub fn new(program: &'static str, config: PathBuf) -> Daemon {
        let log = config.with_extension("log");
        Daemon { program, config, log, args: Vec::new(), env: Vec::new(), child: None }
    }

    /// Arguments of `run`.
    pub fn args(&mut self, args: &[&'static str]) {
        self.args.extend_from_slice(args);
    }

    /// A variable of its environment.
    pub fn env(&mut self, key: &str, value: &str) {
        self.env.push((key.to_owned(), value.to_owned()));
    }

    /// Starts it.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.program);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(program(self.program));
        command.args(["run", "--config"]).arg(&self.config).args(&self.args).envs(self.env.iter().cloned());
        command.env_remove("OLOG_CONFIG").env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()));
        self.child = Some(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// `kill -9`: the daemon has no time to write anything.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it was started");
        wait_for(&format!("{} ends", self.program), || self.log_text(), || child.try_wait().unwrap())
    }

    /// Any signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().expect("it runs").id();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Is it alive?
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// `program VERB… --config CONFIG`.
    pub fn verb(&self, verb: &[&str]) -> Said {
        let mut command = Command::new(program(self.program));
        command.args(verb).arg("--config").arg(&self.config).env_remove("OLOG_CONFIG").env_remove("RUST_LOG");
        run(command.envs(self.env.iter().cloned()))
    }

    /// What it logged so far.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Writes its configuration as an editor does: a new file, renamed over the old one.
    pub fn configure(&self, text: &str) {
        let new = self.config.with_extension("new");
        std::fs::write(&new, text).unwrap();
        File::open(&new).unwrap().sync_all().unwrap();
        std::fs::rename(&new, &self.config).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let text = self.log_text();
            let start = text.lines().count().saturating_sub(60);
            let tail: Vec<&str> = text.lines().skip(start).collect();
            eprintln!("--- the last words of {} ---\n{}", self.program, tail.join("\n"));
        }
    }
}
