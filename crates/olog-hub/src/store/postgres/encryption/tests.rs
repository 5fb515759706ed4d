use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::*;
use crate::store::{Store, StoreUrl};
use olog_proto::Timestamp;

#[test]
fn modes_without_verification_are_refused_in_one_sentence() {
    let mistake = |query: &str| Target::parse(&format!("postgres://olog:SECRET@db.example/olog?{query}")).unwrap_err();
    assert!(mistake("sslmode=verify-ca").contains("verify-full"));
    assert!(mistake("sslmode=allow").contains("verify-full"));
    assert!(mistake("sslrootcert=/ca.pem").contains("sslmode=verify-full"));
    assert!(!mistake("sslmode=allow").contains("SECRET") && !mistake("nonsense=1").contains("SECRET"));
    for mode in ["verify-full", "require"] {
        let target = Target::parse(&format!("postgres://db.example/olog?sslmode={mode}&connect_timeout=5")).unwrap();
        assert_eq!((target.tls.as_ref(), target.config.get_ssl_mode()), (Some(&Roots::System), SslMode::Require));
        assert!(!target.is_exposed());
    }
    let none = "postgres://db.example/olog?sslmode=verify-full&sslrootcert=/nowhere/ca.pem";
    let error = Target::parse(none).unwrap().connector().err().unwrap();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
}

#[test]
fn a_connection_in_clear_to_another_machine_is_known() {
    let is_exposed = |url: &str| Target::parse(url).unwrap().is_exposed();
    assert!(is_exposed("postgres://db.example/olog") && is_exposed("postgres://10.0.0.5/olog?sslmode=disable"));
    for url in ["postgres://localhost/olog", "postgres://127.0.0.1:5432/olog", "postgres:///olog?host=/run/postgresql"]
    {
        assert!(!is_exposed(url), "{url}");
    }
}

/// A real PostgreSQL with a certificate of its own authority.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once, with its children. The child may be `runuser`, so the server's own id is taken.
        let id = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = id.lines().next().and_then(|id| id.parse().ok()).and_then(rustix::process::Pid::from_raw) {
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).find(|bin| bin.join("initdb").exists())
}

/// PostgreSQL does not run as root.
fn as_postgres(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Server {
    fn start(bin: &Path, cert: &str, key: &str) -> Server {
        let folder = tempfile::Builder::new().prefix("olog-postgres-tls-").tempdir().unwrap();
        let data = folder.path().join("data");
        let is_root = rustix::process::geteuid().is_root();
        let own = || {
            if is_root {
                assert!(Command::new("chown").args(["-R", "postgres:"]).arg(folder.path()).status().unwrap().success());
            }
        };
        own();
        let made = as_postgres(&bin.join("initdb"))
            .args(["--auth=trust", "--username=olog", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        // Only encrypted connections come in.
        fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
        fs::write(data.join("server.crt"), cert).unwrap();
        fs::write(data.join("server.key"), key).unwrap();
        fs::set_permissions(data.join("server.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        own();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = as_postgres(&bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "ssl=on"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Server { child, folder, port }
    }

    fn url(&self, host: &str, mode: &str, roots: &Path) -> StoreUrl {
        let (port, roots) = (self.port, roots.display());
        StoreUrl::Postgres(format!("postgres://olog@{host}:{port}/postgres?sslmode={mode}&sslrootcert={roots}"))
    }
}

/// Where there is no PostgreSQL, the part with a server is not run.
#[tokio::test]
async fn the_right_authority_and_name_open_the_store_and_wrong_ones_do_not() {
    let Some(bin) = programs() else { return };
    let (ours, others) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
    let server = Server::start(&bin, &cert.pem(), &key.serialize_pem());
    let (right, wrong) = (server.folder.path().join("right.pem"), server.folder.path().join("wrong.pem"));
    fs::write(&right, ours.pem()).unwrap();
    fs::write(&wrong, others.pem()).unwrap();
    let open =
        async |url: StoreUrl| Store::open(&url, Timestamp(0)).await.map(|_| ()).map_err(|error| error.to_string());
    let waits = async {
        loop {
            match open(server.url("localhost", "verify-full", &right)).await {
                Ok(()) => break,
                Err(error) if error.contains("refused") || error.contains("starting") || error.contains("closed") => {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), waits).await.expect("the server answers");
    open(server.url("localhost", "require", &right)).await.unwrap();
    for mode in ["verify-full", "require"] {
        let error = open(server.url("localhost", mode, &wrong)).await.unwrap_err();
        assert!(error.contains("certificate") && !error.contains('\n'), "{error}");
        let error = open(server.url("127.0.0.1", mode, &right)).await.unwrap_err();
        assert!(error.contains("certificate") && !error.contains('\n'), "{error}");
    }
    let clear = StoreUrl::Postgres(format!("postgres://olog@localhost:{}/postgres", server.port));
    let error = open(clear).await.unwrap_err();
    assert!(error.contains("no encryption") || error.contains("pg_hba"), "the server lets nobody in in clear: {error}");
}
