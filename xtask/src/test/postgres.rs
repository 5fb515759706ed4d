//! A real PostgreSQL for the store's suite: its own cluster in a temporary folder, on a free loopback port.
//!
//! PostgreSQL refuses to run as root, so root runs it as the user `postgres`, which Debian's package creates. The cluster does not sync: its contents
//! are worth nothing after the tests.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;

use super::needs::postgres_folders;
use crate::run::{find, output};

/// The variable with the database for the store's suite. If it is set already, that database is used.
pub(crate) const VARIABLE: &str = "OLOG_TEST_POSTGRES";

/// A running cluster, which is stopped and removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    url: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    server: Child,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts it, and returns when it answers.
    pub(crate) fn start() -> anyhow::Result<Cluster> {
        if let Ok(url) = std::env::var(VARIABLE) {
            return Ok(Cluster { url, own: None });
        }
        let folder = tempfile::Builder::new().prefix("olog-postgres-").tempdir().context("no temporary folder")?;
        if rustix::process::geteuid().is_root() {
            output(Command::new("chown").arg("postgres:").arg(folder.path()))?;
        }
        let data = folder.path().join("data");
        output(
            as_postgres("initdb")?
                .args(["--auth=trust", "--username=olog", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"])
                .arg(&data),
        )
        .context("cannot make a PostgreSQL cluster")?;
        let port = free_port()?;
        let log = std::fs::File::create(folder.path().join("log")).context("cannot write PostgreSQL's log")?;
        let server = as_postgres("postgres")?
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args([
                "-p",
                &port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=200",
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot write PostgreSQL's log")?)
            .stderr(log)
            .spawn()
            .context("cannot start PostgreSQL")?;
        let url = format!("postgres://olog@127.0.0.1:{port}/postgres");
        let mut cluster = Cluster { url, own: Some(Own { server, folder }) };
        cluster.wait(port)?;
        Ok(cluster)
    }

    /// Its URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn wait(&mut self, port: u16) -> anyhow::Result<()> {
        let Some(own) = &mut self.own else { return Ok(()) };
        for _ in 0..600 {
            let port = port.to_string();
            if output(as_postgres("pg_isready")?.args(["-q", "-h", "127.0.0.1", "-p", &port])).is_ok() {
                return Ok(());
            }
            if own.server.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(own.folder.path().join("log")).unwrap_or_default();
        anyhow::bail!("PostgreSQL did not start:\n{log}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(own) = &mut self.own else { return };
        // SIGQUIT is the immediate shutdown; the folder must not go before the server has gone.
        let pid = i32::try_from(own.server.id()).ok().and_then(rustix::process::Pid::from_raw);
        let told = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::QUIT));
        if matches!(told, Some(Ok(()))) {
            drop(own.server.wait());
        }
    }
}

/// One of PostgreSQL's programs, run by a user whom it accepts.
fn as_postgres(program: &str) -> anyhow::Result<Command> {
    let path: PathBuf = find(program, &postgres_folders()).with_context(|| format!("{program} is not installed"))?;
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(path);
        command
    } else {
        Command::new(path)
    };
    // The other user may not be allowed to enter the current folder.
    command.current_dir(Path::new("/")).env("LC_ALL", "C.UTF-8");
    Ok(command)
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}
