//! A world for one test: a hub, agents and a phone in a temporary folder. Everything ends with it.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    daemon::{Daemon, Said, wait_for},
    phone::{Phone, Push},
};

/// Everything that one journey needs. What runs in it ends with it.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    /// The user's phone.
    pub phone: Phone,
}

impl World {
    /// A folder and a phone; nothing runs yet.
    pub async fn new() -> World {
        World { folder: TempDir::with_prefix("olog-journey-").unwrap(), phone: Phone::start().await.unwrap() }
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The first push whose card or page holds `text`.
    pub async fn push(&self, text: &str) -> Push {
        let holds = |push: &Push| push.summary.contains(text) || push.text().contains(text);
        let pushes = self.phone.wait(&format!("a push with {text:?}"), |pushes| pushes.iter().any(holds)).await;
        pushes.into_iter().find(holds).unwrap()
    }

    /// How many pushes hold `text` so far.
    pub fn n_pushes(&self, text: &str) -> usize {
        self.phone.pushes().iter().filter(|push| push.summary.contains(text) || push.text().contains(text)).count()
    }

    /// Returns after everything that was written before has been pushed, if it had to be: it writes a message and waits for its push, and pushes
    /// keep their order.
    pub async fn all_told(&self, agent: &Agent) {
        let n = self.n_pushes("nothing else to tell");
        let text = format!("nothing else to tell {}", "i".repeat(n + 1));
        agent.write(&format!("told{n}.msg"), &text);
        self.push(&text).await;
    }

    /// Like [`World::all_told`], and also after every recovery that was due: it opens and clears an incident of its own, which ends
    /// after them.
    pub async fn all_over(&self, agent: &Agent) {
        let n = self.n_pushes("an error to end");
        let name = format!("end{n}.err");
        agent.write(&name, &format!("an error to end {}", "i".repeat(n + 1)));
        self.push(&format!("ERR {}/end{n}", agent.name)).await;
        fs::remove_file(agent.log_dir.join(name)).unwrap();
        self.push(&format!("OVER {}/end{n}", agent.name)).await;
    }

    /// A hub that runs, with `more` behind the usual configuration.
    pub fn hub_with(&self, top: &str, more: &str) -> Hub {
        let mut hub = Hub::new(self, "hub", top, more);
        hub.start();
        hub
    }

    /// A hub that runs.
    pub fn hub(&self) -> Hub {
        self.hub_with("", "")
    }

    /// An agent of this name that has joined the hub and runs.
    pub fn agent(&self, name: &str, hub: &Hub) -> Agent {
        let mut agent = self.agent_off(name, "", "");
        agent.join(hub);
        agent.start();
        agent.wait_connected();
        agent
    }

    /// An agent of this name that neither joined nor runs, with `top` above and `more` behind the usual configuration.
    pub fn agent_off(&self, name: &str, top: &str, more: &str) -> Agent {
        Agent::new(self.folder(), name, top, more)
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The hub, and what an operator does with it.
#[derive(Debug)]
pub struct Hub {
    /// The process.
    pub daemon: Daemon,
    /// Its state.
    pub state_dir: PathBuf,
    /// Where it listens on loopback.
    pub port: u16,
}

impl Hub {
    /// A hub that is configured and not started. Its waiting times are short where a test only needs them to be over.
    pub fn new(world: &World, name: &str, top: &str, more: &str) -> Hub {
        let port = free_port();
        let folder = world.folder().join(name);
        let state_dir = folder.join("state");
        fs::create_dir_all(&state_dir).unwrap();
        let public_url = if top.contains("public_url") {
            String::new()
        } else {
            format!("public_url = \"https://127.0.0.1:{port}\"\n")
        };
        let language = if top.contains("language") { "" } else { "language = \"en\"\n" };
        let alerts = if more.contains("[alerts]") { "" } else { "[alerts]\nquiet = \"\"\nover_wait = \"1s\"\n" };
        // A test that wants reports says when; in all others no report may come at 11:00.
        let report = if more.contains("[report]") { "" } else { "[report]\nschedule = \"0 0 29 2 *\"\n" };
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\n{public_url}state_dir = \"{}\"\nsocket = \"{}\"\n{language}timezone = \"UTC\"\n{top}\n\
             {alerts}\n{report}\n{more}\n{}",
            state_dir.display(),
            folder.join("hub.sock").display(),
            world.phone.channel("channel", "me")
        );
        let daemon = Daemon::new("olog-hub", folder.join("hub.toml"));
        daemon.configure(&text);
        Hub { daemon, state_dir, port }
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        self.daemon.start();
        self.wait_ready();
    }

    /// Waits until its verbs are answered.
    pub fn wait_ready(&mut self) {
        loop {
            let alive = self.daemon.is_running();
            assert!(alive, "the hub did not start:\n{}", self.daemon.log_text());
            if self.verb(&["device", "list"]).status.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Runs a verb.
    pub fn verb(&self, verb: &[&str]) -> Said {
        self.daemon.verb(verb)
    }

    /// A link for one device.
    #[track_caller]
    pub fn join_link(&self) -> String {
        let out = self.verb(&["join-link"]).good();
        out.lines().find(|line| line.contains("/join#")).expect("a link").trim().to_owned()
    }

    /// The rows of a list.
    #[track_caller]
    pub fn list(&self, verb: &[&str]) -> Vec<Value> {
        let text = self.verb(&[verb, &["--json"]].concat()).good();
        match serde_json::from_str(&text).unwrap() {
            Value::Array(rows) => rows,
            // The API's envelope.
            Value::Object(mut fields) => fields
                .remove("items")
                .or_else(|| fields.into_iter().find_map(|(_, v)| v.is_array().then_some(v)))
                .and_then(|rows| rows.as_array().cloned())
                .unwrap_or_default(),
            other => panic!("not a list: {other}"),
        }
    }

    /// All incidents, over or not.
    #[track_caller]
    pub fn incidents(&self) -> Vec<Value> {
        self.list(&["incident", "list", "--all"])
    }

    /// The rows of a query of its store (SQLite, read while the daemon runs).
    #[track_caller]
    pub fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<T> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(self.state_dir.join("olog.db"), flags).unwrap();
        db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// The contents of all events of this kind.
    #[track_caller]
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let rows: Vec<String> =
            self.query(&format!("SELECT body FROM events WHERE kind = '{kind}' ORDER BY epoch_id, n"));
        rows.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    /// Waits for a condition of its log or lists.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut condition: impl FnMut(&Hub) -> Option<T>) -> T {
        wait_for(what, || self.verb(&["incident", "list", "--all"]).out, || condition(self))
    }
}

/// An agent, and what a user does on its machine.
#[derive(Debug)]
pub struct Agent {
    /// The process.
    pub daemon: Daemon,
    /// Its name.
    pub name: String,
    /// Its log dir.
    pub log_dir: PathBuf,
    /// Its state.
    pub state_dir: PathBuf,
}

impl Agent {
    fn new(root: &Path, name: &str, top: &str, more: &str) -> Agent {
        let folder = root.join(name);
        let (log_dir, state_dir) = (folder.join("logs"), folder.join("state"));
        fs::create_dir_all(&log_dir).unwrap();
        fs::create_dir_all(&state_dir).unwrap();
        let log_dirs =
            if top.contains("log_dirs") { String::new() } else { format!("log_dirs = [\"{}\"]\n", log_dir.display()) };
        let text = format!(
            "device = \"{name}\"\n{log_dirs}state_dir = \"{}\"\nsocket = \"{}\"\n{top}\n{more}",
            state_dir.display(),
            folder.join("agent.sock").display()
        );
        let daemon = Daemon::new("olog-agent", folder.join("agent.toml"));
        daemon.configure(&text);
        Agent { daemon, name: name.to_owned(), log_dir, state_dir }
    }

    /// Joins with a link of this hub.
    #[track_caller]
    pub fn join(&self, hub: &Hub) {
        self.join_by(&hub.join_link()).good();
    }

    /// Joins by a link.
    pub fn join_by(&self, link: &str) -> Said {
        self.daemon.verb(&["join", link])
    }

    /// Starts it.
    pub fn start(&mut self) {
        self.daemon.start();
    }

    /// `status --json`; `None` while the agent does not answer.
    pub fn status(&self) -> Option<Value> {
        let said = self.daemon.verb(&["status", "--json"]);
        said.status.success().then(|| serde_json::from_str(&said.out).unwrap())
    }

    /// Waits for a condition of its status.
    #[track_caller]
    pub fn wait(&self, what: &str, mut condition: impl FnMut(&Value) -> bool) -> Value {
        let context = || format!("{}: {:?}\n{}", self.name, self.status(), self.daemon.log_text());
        wait_for(what, context, || self.status().filter(|status| condition(status)))
    }

    /// Waits until it is connected to the hub.
    #[track_caller]
    pub fn wait_connected(&self) {
        self.wait("the agent is connected", |status| status["connected"] == true);
    }

    /// Waits until the hub has acknowledged everything.
    #[track_caller]
    pub fn wait_sent(&self) {
        self.wait("the spool is empty", |status| status["connected"] == true && status["spool"] == 0);
    }

    /// `echo TEXT > NAME`.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.log_dir.join(name), text).unwrap();
    }

    /// `echo TEXT >> NAME`.
    pub fn append(&self, name: &str, text: &str) {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.log_dir.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A line of a crontab, in the log dir.
    pub fn sh(&self, line: &str) {
        let status = Command::new("sh").arg("-c").arg(line).current_dir(&self.log_dir).status().unwrap();
        // A command that fails on purpose writes its error into a file.
        assert!(status.code().is_some(), "{line}");
    }
}
