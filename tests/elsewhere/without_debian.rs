//! The static programs in a folder that holds nothing else: no C library, no `/etc` but the name server's address, no root.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use olog_journeys::{
    Phone,
    daemon::{Said, run, wait_for},
    phone::{TOKEN, UID},
};

use crate::{given, names::NameServer};

/// Nobody's number, and no name: there is no `/etc/passwd`.
const USER: u32 = 54321;

/// A root folder with the tarball's programs in it.
struct Bare {
    folder: tempfile::TempDir,
    running: Vec<Child>,
}

impl Bare {
    fn new(names: &NameServer) -> Bare {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let unpack = ["--extract", "--strip-components=1", "--file"];
        run(Command::new("tar").args(unpack).arg(given("OLOG_TARBALL")).arg("--directory").arg(folder.path())).good();
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("etc/resolv.conf"), format!("nameserver {}\n", names.address)).unwrap();
        for mine in ["hub", "agent", "logs"] {
            let mine = folder.path().join(mine);
            fs::create_dir(&mine).unwrap();
            std::os::unix::fs::chown(&mine, Some(USER), Some(USER)).unwrap();
        }
        Bare { folder, running: Vec::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(format!("--userspec={USER}:{USER}")).arg(self.folder.path()).args(line);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    fn verb(&self, line: &[&str]) -> Said {
        run(&mut self.command(line))
    }

    fn start(&mut self, program: &str, config: &str) {
        let log = File::create(self.path(&format!("{config}.log"))).unwrap();
        let mut command = self.command(&[program, "run", "--config", config]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running.push(command.spawn().unwrap());
    }

    fn logs(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap_or_default();
        format!("{}\n{}", read("my-hub.toml.log"), read("my-agent.toml.log"))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for child in &mut self.running {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the static programs"]
async fn the_static_programs_need_only_their_folder_and_look_up_names() {
    let (names, phone) = (NameServer::start(), Phone::start().await.unwrap());
    let mut bare = Bare::new(&names);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let phone_url = phone.url().replace("127.0.0.1", "phone.olog.test");
    fs::write(
        bare.path("my-hub.toml"),
        format!(
            "listen = \"127.0.0.1:{port}\"\npublic_url = \"https://hub.olog.test:{port}\"\nstate_dir = \"/hub\"\nlanguage = \"en\"\ntimezone = \"UTC\"\n\
             [alerts]\nquiet = \"\"\n[[channel]]\nname = \"me\"\ntype = \"wxpusher\"\ntoken = \"{TOKEN}\"\nuids = [\"{UID}\"]\napi_url = \"{phone_url}\"\n"
        ),
    )
    .unwrap();
    fs::write(bare.path("my-agent.toml"), "device = \"nas\"\nstate_dir = \"/agent\"\nlog_dirs = [\"/logs\"]\n")
        .unwrap();
    assert!(!Path::new(&bare.path("lib")).exists() && !bare.path("etc/passwd").exists() && !bare.path("dev").exists());
    bare.start("/olog-hub", "my-hub.toml");
    let link = wait_for(
        "the hub gives a link",
        || bare.logs(),
        || {
            let said = bare.verb(&["/olog-hub", "join-link", "--config", "my-hub.toml"]);
            said.status.success().then_some(said.out)
        },
    );
    let before = names.n_answered();
    bare.verb(&["/olog-agent", "join", link.trim(), "--config", "my-agent.toml"]).good();
    assert!(names.n_answered() > before, "the hub's name was not asked for");
    let wrong = link.replace("hub.olog.test", "hub.olog.invalid");
    let said = bare.verb(&["/olog-agent", "join", wrong.trim(), "--config", "my-agent.toml"]);
    assert!(!said.status.success() && said.err.contains("hub.olog.invalid"), "{}", said.err);
    bare.start("/olog-agent", "my-agent.toml");
    wait_for(
        "the agent is connected",
        || bare.logs(),
        || {
            let said = bare.verb(&["/olog-agent", "status", "--config", "my-agent.toml", "--json"]);
            said.out.contains("\"connected\": true").then_some(())
        },
    );
    fs::write(bare.path("logs/@backup@.err"), "no space left on device\n").unwrap();
    phone.wait("a push", |pushes| pushes.iter().any(|push| push.summary.contains("ERR nas/backup"))).await;
}
