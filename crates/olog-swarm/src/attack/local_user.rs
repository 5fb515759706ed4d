//! Attacks of a user without rights on a machine with an agent. They need root, so that the agent can read what the user cannot.

use std::{
    collections::VecDeque,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use olog_journeys::{
    daemon::{program, wait_for},
    world::Hub,
};

use crate::arena::Arena;
use crate::{Attack, Verdict};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "local/links",
        what: "symbolic links, hard links, FIFOs and folders named as log files lead to a file of root",
        run: |arena| links(arena).boxed_local(),
    },
    Attack {
        name: "local/rename-race",
        what: "a folder is swapped for a link to root's files while the agent reads it",
        run: |arena| rename_race(arena).boxed_local(),
    },
    Attack {
        name: "local/verbs",
        what: "verbs of the agent's and the hub's socket that are not for everybody",
        run: |arena| verbs(arena).boxed_local(),
    },
    Attack {
        name: "local/lock",
        what: "a run of the same task holds the lock that root's job wants",
        run: |arena| lock(arena).boxed_local(),
    },
    Attack {
        name: "local/runs",
        what: "runs without end are reported through the agent's socket",
        run: |arena| runs(arena).boxed_local(),
    },
    Attack {
        name: "local/long-lines",
        what: "files of one long line, again and again",
        run: |arena| long_lines(arena).boxed_local(),
    },
    Attack {
        name: "local/many-files",
        what: "20,000 errors at once, each in a file of its own",
        run: |arena| many_files(arena).boxed_local(),
    },
    Attack {
        name: "local/others-incidents",
        what: "a good run of a task of root, so that root's incident ends",
        run: |arena| others_incidents(arena).boxed_local(),
    },
    Attack {
        name: "local/open-incidents",
        what: "300 errors of one user, so that no incident of root opens any more",
        run: |arena| open_incidents(arena).boxed_local(),
    },
];

/// The user without rights: nobody.
const NOBODY: &str = "65534";
/// What root's file holds; it may never leave the machine.
const SECRET: &str = "the-text-of-a-file-that-only-root-reads";

/// A copy of a program that the user without rights may run: the folder in which it was built may be closed to others.
fn copy_of(arena: &Arena, name: &str) -> anyhow::Result<PathBuf> {
    let copy = arena.world.folder().join(name);
    if !copy.exists() {
        let of = if name == ITSELF { std::env::current_exe()? } else { program(name) };
        std::fs::copy(of, &copy)?;
    }
    Ok(copy)
}

/// This program.
const ITSELF: &str = "olog-attack";

/// Runs something as the user without rights.
fn as_nobody(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Why these attacks cannot be tried here.
fn obstacle() -> Option<Verdict> {
    let is_root = rustix::process::geteuid().is_root();
    (!is_root).then(|| Verdict::NotTried("it needs root, so that there are two users".to_owned()))
}

/// A shell command of the user, in the agent's log dir.
fn sh(arena: &Arena, line: &str) -> anyhow::Result<()> {
    let out = as_nobody("sh").arg("-c").arg(line).current_dir(&arena.honest.log_dir).output()?;
    // Some of what an attacker tries is refused by the kernel, and that is well.
    _ = out.status;
    Ok(())
}

/// A file that only root reads.
fn secret_file(arena: &Arena) -> anyhow::Result<PathBuf> {
    let folder = arena.world.folder().join("roots");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("secret.err");
    std::fs::write(&file, format!("{SECRET}\n"))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Did root's text go anywhere?
async fn has_leaked(arena: &Arena) -> anyhow::Result<()> {
    arena.alert().await?;
    ensure!(arena.world.n_pushes(SECRET) == 0, "the text of root's file was pushed");
    let texts = arena.hub.events("text");
    ensure!(!texts.iter().any(|body| body.to_string().contains(SECRET)), "the text of root's file is at the hub");
    Ok(())
}

async fn links(arena: &Arena) -> anyhow::Result<Verdict> {
    if let Some(untried) = obstacle() {
        return Ok(untried);
    }
    let secret = secret_file(arena)?;
    let (secret, dir) = (secret.display(), &arena.honest.log_dir);
    sh(
        arena,
        &format!(
            "ln -s {secret} soft.err; ln -s /etc/shadow shadow.err; mkfifo pipe.err; mkdir -p dir.err; ln -s {secret} dir.err/in.err"
        ),
    )?;
    sh(arena, &format!("ln -s $(dirname {secret}) folder; mkdir sub; ln -s .. sub/up; ln {secret} tried.err"))?;
    // The kernel forbids the user to make this link, by its default; where that default is off the user can.
    let hard = dir.join("hard.err");
    std::fs::hard_link(secret.to_string(), &hard)?;
    arena.honest.wait("the note about the link", |status| status["notes"].to_string().contains("hard.err"));
    has_leaked(arena).await?;
    std::fs::remove_file(hard)?;
    sh(arena, "rm -rf soft.err shadow.err pipe.err dir.err folder sub")?;
    Ok(Verdict::Held("root's text went nowhere; the hard link is told".to_owned()))
}

async fn rename_race(arena: &Arena) -> anyhow::Result<Verdict> {
    if let Some(untried) = obstacle() {
        return Ok(untried);
    }
    let secret = secret_file(arena)?;
    let folder = secret.parent().context("a folder")?;
    let swap = format!(
        "mkdir -p race other; end=$(( $(date +%s) + {} )); while [ $(date +%s) -lt $end ]; do \
         i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i > race/secret.err; mv race other/real; ln -s {} race; rm race; mv other/real race; done; done",
        arena.seconds.as_secs(),
        folder.display()
    );
    let mut racing = as_nobody("sh").arg("-c").arg(swap).current_dir(&arena.honest.log_dir).spawn()?;
    let mut looks = 0;
    while racing.try_wait()?.is_none() {
        has_leaked(arena).await?;
        looks += 1;
    }
    has_leaked(arena).await?;
    ensure!(secret.exists(), "root's file is gone");
    sh(arena, "rm -rf race other")?;
    Ok(Verdict::Held(format!("{} s of swaps, looked {looks} times: root's text went nowhere", arena.seconds.as_secs())))
}

async fn verbs(arena: &Arena) -> anyhow::Result<Verdict> {
    if let Some(untried) = obstacle() {
        return Ok(untried);
    }
    let hub: &[&[&str]] = &[
        &["join-link"],
        &["device", "list"],
        &["incident", "list"],
        &["device", "forget", "honest"],
        &["channel", "list"],
    ];
    for verb in hub {
        let mut command = as_nobody(copy_of(arena, "olog-hub")?);
        let out = command.args(*verb).arg("--config").arg(arena.hub.daemon.config()).output()?;
        ensure!(!out.status.success(), "nobody may `olog-hub {}`", verb.join(" "));
    }
    let said = as_nobody(copy_of(arena, "olog-agent")?)
        .args(["status", "--config"])
        .arg(arena.honest.daemon.config())
        .output()?;
    ensure!(said.status.success(), "status is for everybody: {}", String::from_utf8_lossy(&said.stderr));
    Ok(Verdict::Held(format!("{} verbs of the hub refused, status given", hub.len())))
}

/// `olog-agent exec` with these arguments, as root or as nobody.
fn exec(arena: &Arena, is_root: bool, args: &[&str]) -> anyhow::Result<Command> {
    let agent = copy_of(arena, "olog-agent")?;
    let mut command = if is_root { Command::new(agent) } else { as_nobody(agent) };
    command.args(["exec", "--config"]).arg(arena.honest.daemon.config()).args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

async fn lock(arena: &Arena) -> anyhow::Result<Verdict> {
    if let Some(untried) = obstacle() {
        return Ok(untried);
    }
    let holds = arena.honest.log_dir.join("holds");
    let command = format!("touch {}; exec sleep 600", holds.display());
    let mut holder = exec(arena, false, &["--task", "nightly", "--lock", "--", "sh", "-c", &command])?.spawn()?;
    wait_for("the attacker's run", String::new, || holds.exists().then_some(()));
    let ran = arena.world.folder().join("ran");
    let out =
        exec(arena, true, &["--task", "nightly", "--lock", "--", "touch", &ran.display().to_string()])?.output()?;
    // `exec` passes the signal on to its command.
    rustix::process::kill_process(rustix::process::Pid::from_child(&holder), rustix::process::Signal::TERM)?;
    holder.wait()?;
    ensure!(ran.exists(), "root's job did not run: {}", String::from_utf8_lossy(&out.stderr));
    Ok(Verdict::Held("root's job ran".to_owned()))
}

/// Holds connections to a socket until it is killed.
pub(crate) fn hold(socket: &Path) -> std::process::ExitCode {
    let mut held = VecDeque::new();
    loop {
        // The other end closes those that say nothing, so there is always a new one.
        held.extend(std::os::unix::net::UnixStream::connect(socket).ok());
        if held.len() > 64 {
            held.pop_front();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(child: &mut Child) -> anyhow::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

async fn runs(arena: &Arena) -> anyhow::Result<Verdict> {
    if let Some(untried) = obstacle() {
        return Ok(untried);
    }
    let line = format!(
        "end=$(( $(date +%s) + {} )); while [ $(date +%s) -lt $end ]; do for i in 1 2 3 4 5 6 7 8; do {} exec --config {} --task flood$i -- false & done; wait; done",
        arena.seconds.as_secs(),
        copy_of(arena, "olog-agent")?.display(),
        arena.honest.daemon.config().display()
    );
    let mut flood = as_nobody("sh").arg("-c").arg(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // Idle connections that would take all places of the socket.
    let socket = arena.honest.daemon.config().with_file_name("agent.sock");
    let mut holes = as_nobody(copy_of(arena, ITSELF)?).arg("--hold").arg(&socket).spawn()?;
    let start = Instant::now();
    let out =
        exec(arena, true, &["--task", "raidcheck", "--", "sh", "-c", "echo RAID degraded >&2; exit 1"])?.output()?;
    ensure!(out.status.code() == Some(1), "root's run was changed: {:?}", out.status);
    arena.world.push("honest/raidcheck").await;
    let after = start.elapsed();
    end(&mut holes)?;
    flood.wait()?;
    ensure!(after < Duration::from_secs(10), "root's failed run was told only after {} ms", after.as_millis());
    Ok(Verdict::Held(format!("root's failed run was told after {} ms", after.as_millis())))
}

async fn long_lines(arena: &Arena) -> anyhow::Result<Verdict> {
    let start = Instant::now();
    let line = "1 ".repeat(64 * 1024);
    let mut slowest = Duration::ZERO;
    let mut n = 0;
    while start.elapsed() < arena.seconds {
        for i in 0..8 {
            arena.honest.write(&format!("long{i}.err"), &format!("{n} {line}"));
        }
        n += 8;
        slowest = slowest.max(arena.alert().await?);
    }
    Ok(Verdict::Held(format!(
        "{n} files of 128 KiB; an honest error was told after at most {} ms",
        slowest.as_millis()
    )))
}

async fn many_files(arena: &Arena) -> anyhow::Result<Verdict> {
    let crowded = arena.world.agent("crowded", &arena.hub);
    let dir = crowded.log_dir.join("many");
    std::fs::create_dir_all(&dir)?;
    let write = tokio::task::spawn_blocking(move || write_files(&dir));
    let mut slowest = Duration::ZERO;
    while !write.is_finished() {
        slowest = slowest.max(arena.alert().await?);
    }
    write.await??;
    for _ in 0..5 {
        slowest = slowest.max(arena.alert().await?);
    }
    arena.world.push("crowded").await;
    let pushes = arena.world.n_pushes("crowded");
    Ok(Verdict::Held(format!(
        "{pushes} pushes; an error of another device was told after at most {} ms",
        slowest.as_millis()
    )))
}

fn write_files(dir: &Path) -> anyhow::Result<()> {
    for n in 0..20_000 {
        std::fs::write(dir.join(format!("f{n}.err")), "one of many\n")?;
    }
    Ok(())
}

async fn others_incidents(arena: &Arena) -> anyhow::Result<Verdict> {
    if let Some(untried) = obstacle() {
        return Ok(untried);
    }
    exec(arena, true, &["--task", "payroll", "--", "sh", "-c", "echo no money >&2; exit 1"])?.output()?;
    arena.world.push("ERR honest/payroll").await;
    exec(arena, false, &["--task", "payroll", "--", "true"])?.output()?;
    has_ended_silently(arena, "payroll").await?;
    Ok(Verdict::Held("root's incident did not end without a word about who said so".to_owned()))
}

async fn open_incidents(arena: &Arena) -> anyhow::Result<Verdict> {
    if let Some(untried) = obstacle() {
        return Ok(untried);
    }
    sh(arena, "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo failed > full$i.err; done")?;
    let n_come = |hub: &Hub| hub.events("text").iter().filter(|body| body.to_string().contains("/full")).count();
    arena.hub.wait("all errors of the user are at the hub", |hub| (n_come(hub) == 300).then_some(()));
    let after = arena.alert().await?;
    sh(arena, "rm -f full*.err")?;
    Ok(Verdict::Held(format!("300 errors came; root's was told after {} ms", after.as_millis())))
}

/// Waits until the hub has all, and asks whether the incident of root ended as if root had said so.
async fn has_ended_silently(arena: &Arena, task: &str) -> anyhow::Result<()> {
    arena.honest.wait_sent();
    arena.alert().await?;
    let told = arena.world.phone.pushes();
    let over = format!("OVER honest/{task}");
    let end = told.iter().find(|push| push.summary.contains(&over) || push.text().contains(&over));
    let names_the_user = |text: &str| text.contains("nobody") || text.contains(NOBODY);
    ensure!(
        end.is_none_or(|push| names_the_user(&push.text())),
        "root's incident ended by another user's word, and nobody is told"
    );
    Ok(())
}
