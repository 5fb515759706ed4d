//! A machine with Olog installed from its packages, configured and queried as an operator does it.

use std::fs;

use olog_journeys::{
    daemon::Said,
    phone::{TOKEN, UID},
};
use serde_json::Value;

use crate::{machine::Machine, site::Site};

/// The packages, each named as its program and its unit.
pub(crate) const DAEMONS: [&str; 2] = ["olog-hub", "olog-agent"];

/// Which packages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Release {
    /// From this tree, under a lower version.
    Older,
    /// From this tree.
    This,
}

impl Release {
    fn folder(self) -> &'static str {
        match self {
            Release::Older => "older",
            Release::This => "this",
        }
    }
}

/// A machine of this name with hub and agent: installed, joined by one command, pushing to the phone.
#[track_caller]
pub(crate) fn evening(site: &Site, name: &str) -> Machine {
    let machine = site.boot(name);
    machine.install(Release::This, &DAEMONS);
    machine.configure_hub(site, "");
    machine.join_itself();
    machine.wait_connected();
    machine
}

/// A machine that has only an agent, which joined that hub.
#[track_caller]
pub(crate) fn remote(site: &Site, hub: &Machine, name: &str) -> Machine {
    let machine = site.boot(name);
    machine.install(Release::This, &["olog-agent"]);
    let link = hub.hub("join-link").good();
    let link = link.lines().find(|line| line.contains("/join#")).unwrap().trim();
    machine.good(&format!("echo '{link}' | olog-agent join"));
    machine.wait_connected();
    machine
}

impl Machine {
    /// `apt-get install` of these packages' files.
    #[track_caller]
    pub(crate) fn install(&self, release: Release, packages: &[&str]) {
        let files: Vec<String> = packages.iter().map(|package| self.bring(release, package)).collect();
        // The tests change conffiles: what a person answers at the prompt is "keep mine".
        self.apt(&format!("install --no-install-recommends -o Dpkg::Options::=--force-confold {}", files.join(" ")));
    }

    /// Copies a package to the machine, and returns its path there.
    #[track_caller]
    pub(crate) fn bring(&self, release: Release, package: &str) -> String {
        let all = std::path::PathBuf::from(std::env::var_os("OLOG_DEBS").expect("cargo xtask test gives OLOG_DEBS"));
        let mut entries = fs::read_dir(all.join(release.folder())).unwrap().filter_map(Result::ok);
        let is_it = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&format!("{package}_"));
        let found = entries.find(is_it).unwrap_or_else(|| panic!("no package {package} was built"));
        let path = format!("/root/{}", found.file_name().to_string_lossy());
        fs::copy(found.path(), self.path(&path)).unwrap();
        path
    }

    /// `apt-get LINE`, as an operator without a terminal.
    #[track_caller]
    pub(crate) fn apt(&self, line: &str) -> String {
        self.good(&format!("DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --allow-downgrades {line}"))
    }

    /// Configures the hub to push to the phone, in English and with short waiting times, followed by `more`. In force when this returns.
    pub(crate) fn configure_hub(&self, site: &Site, more: &str) {
        self.write("/etc/olog/secrets/hub/phone.token", &format!("{TOKEN}\n"));
        self.good("chgrp olog-hub /etc/olog/secrets/hub/phone.token && chmod 0640 /etc/olog/secrets/hub/phone.token");
        self.write_hub_conf(site, more);
        self.good("systemctl reload olog-hub");
        self.wait("the hub has its channel", |machine| machine.hub("channel list").out.contains("phone").then_some(()));
    }

    /// As [`Machine::configure_hub`], without telling the hub.
    pub(crate) fn write_hub_conf(&self, site: &Site, more: &str) {
        let (url, alerts) = (
            site.phone.url(),
            if more.contains("[alerts]") { "" } else { "[alerts]\nquiet = \"\"\nover_wait = \"1s\"\n" },
        );
        let text = format!(
            "language = \"en\"\ntimezone = \"UTC\"\n{alerts}{more}\n[[channel]]\nname = \"phone\"\ntype = \"wxpusher\"\n\
             token_file = \"phone.token\"\nuids = [{UID:?}]\napi_url = {url:?}\n"
        );
        self.write("/etc/olog/hub.d/20-phone.toml", &text);
    }

    /// Hub and agent of one machine find each other.
    #[track_caller]
    pub(crate) fn join_itself(&self) {
        self.good("olog-hub join-link --local | olog-agent join");
    }

    /// `olog-hub VERB` as root.
    pub(crate) fn hub(&self, verb: &str) -> Said {
        self.sh(&format!("olog-hub {verb}"))
    }

    /// `olog-agent status --json`; `None` while the agent does not answer.
    pub(crate) fn status(&self) -> Option<Value> {
        let said = self.sh("olog-agent status --json");
        said.status.success().then(|| serde_json::from_str(&said.out).unwrap())
    }

    /// Waits for a condition of the agent's status.
    #[track_caller]
    pub(crate) fn wait_status(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.wait(what, |machine| machine.status().filter(|status| condition(status)))
    }

    /// Waits until the agent is connected.
    #[track_caller]
    pub(crate) fn wait_connected(&self) {
        self.wait_status("the agent is connected", |status| status["connected"] == true);
    }

    /// Waits until the hub has acknowledged everything.
    #[track_caller]
    pub(crate) fn wait_sent(&self) {
        self.wait_status("the spool is empty", |status| status["connected"] == true && status["spool"] == 0);
    }

    /// What a query of the hub's store gives, read beside the hub.
    #[track_caller]
    pub(crate) fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<T> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(self.disk("/var/lib/olog-hub/olog.db"), flags).unwrap();
        db.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Changes a database whose daemon does not run.
    pub(crate) fn edit(&self, path: &str, sql: &str) {
        rusqlite::Connection::open(self.disk(path)).unwrap().execute_batch(sql).unwrap();
    }

    /// How many events in the store say this.
    #[track_caller]
    pub(crate) fn n_events(&self, text: &str) -> i64 {
        self.query::<i64>(&format!("SELECT count(*) FROM events WHERE body LIKE '%{text}%'")).into_iter().sum()
    }

    /// Returns after everything that was written on this machine before has been pushed, if it had to be: it writes a message and waits for its
    /// push, and pushes keep their order.
    pub(crate) async fn all_told(&self, site: &Site) {
        let n = site.n_pushes("nothing else to tell");
        let text = format!("nothing else to tell {}", "i".repeat(n + 1));
        self.good(&format!("echo '{text}' > /var/log/olog/told{n}.msg"));
        site.push(&text).await;
    }
}
