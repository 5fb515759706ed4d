//! A folder with an agent's configuration, the agent as a process, and its verbs. No hub: what is spooled stays.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use olog_agent::spool::{Spool, spool_path};
use olog_proto::event::Id128;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) struct World {
    folder: tempfile::TempDir,
    agent: Option<Child>,
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    panic!("waited in vain: {what}");
}

impl World {
    pub(crate) fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "state_dir = {:?}\nsocket = {:?}\nlog_dirs = [{:?}]\n",
            path("state"),
            path("agent.sock"),
            path("logs")
        );
        std::fs::write(folder.path().join("agent.toml"), text).unwrap();
        World { folder, agent: None }
    }

    /// As an agent leaves it that was here once.
    pub(crate) fn with_folder() -> World {
        let world = World::new();
        std::fs::create_dir_all(world.path("state/exec")).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn agent(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_olog-agent"));
        command.env("OLOG_CONFIG", self.path("agent.toml")).stdin(Stdio::null());
        command
    }

    pub(crate) fn start_agent(&mut self) {
        let log = std::fs::File::create(self.path("agent.log")).unwrap();
        self.agent = Some(self.agent().arg("run").stderr(log).spawn().unwrap());
        wait_for("the agent", || self.agent().arg("status").output().unwrap().status.success());
    }

    pub(crate) fn stop_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        kill_process(Pid::from_child(&agent), Signal::TERM).unwrap();
        assert!(agent.wait().unwrap().success());
    }

    pub(crate) fn status(&self) -> Value {
        let out = self.agent().args(["status", "--json"]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// `exec --task TASK -- sh -c SCRIPT`.
    pub(crate) fn exec(&self, task: &str, script: &str) -> Command {
        self.exec_with(&[], task, script)
    }

    /// The same with more options.
    pub(crate) fn exec_with(&self, options: &[&str], task: &str, script: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_olog-agent"));
        command.arg("exec").arg("--config").arg(self.path("agent.toml")).args(options);
        command.args(["--task", task, "--", "sh", "-c", script]);
        command
    }

    /// What is kept of a run.
    pub(crate) fn kept(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("logs").join(name)).unwrap()
    }

    /// The events in the spool, as JSON; the agent is stopped for it.
    pub(crate) fn spooled(&mut self) -> Vec<Value> {
        self.stop_agent();
        let spool = Spool::open(&spool_path(&self.path("state")), Id128([1; 16])).unwrap().0;
        let events = spool.after(0, 1000, usize::MAX).unwrap();
        drop(spool);
        self.start_agent();
        events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    pub(crate) fn now(&self) -> i64 {
        olog_daemon::clock::Clock::system().now().0
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let killed = agent.kill().and_then(|()| agent.wait());
            assert!(killed.is_ok());
        }
    }
}

/// Does this process ignore the signal, and so whatever it starts? From `SigIgn` of proc(5).
pub(crate) fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
}
