//! The agent on the hub's own machine: what `setup` asks for it, and the file that holds the answers.
//!
//! Asked only where the agent's configuration lies beside the hub's. It writes `agent.d/10-setup.toml`, never `agent.toml`; keys
//! that it does not ask for stay. The agent rereads its configuration by itself. Without an address no push says how to log
//! in; folders of the older program are offered, because nobody finds out later that they are not watched.

use std::{
    fs,
    path::{Path, PathBuf},
};

use olog_daemon::config::ConfigFiles;
use olog_proto::{DeviceName, name::LogKind};
use toml::{Table, Value};

use super::{SetupError, ask::Asker, place, report};

const HEAD: &str = "\
# Written by `olog-hub setup`; run it again to change it. It is read after agent.toml and overrides it.
";
/// Where the older program and habit put log files.
const OLD_FOLDERS: [&str; 4] = ["/ologs", "/olog", "/var/ologs", "/srv/ologs"];
/// What the agent watches if nothing is configured.
const LOG_DIR: &str = "/var/log/olog";
/// Entries of a folder that are looked at for log files.
const LOOKED_AT: usize = 1_000;

/// What the agent's files say, and the answers.
#[derive(Debug)]
pub(super) struct Agent {
    file: PathBuf,
    /// Of the file that setup writes.
    own: Table,
    /// Of all files.
    all: Table,
}

impl Agent {
    /// The agent that shares the machine with the hub, if there is one.
    pub(super) fn beside(source: &ConfigFiles) -> Option<Agent> {
        let main = source.folder().join("agent.toml");
        if !main.exists() {
            return None;
        }
        let agent = ConfigFiles::new("agent", Some(main.clone()));
        let file = main.with_extension("d").join("10-setup.toml");
        let read = |path: &Path| fs::read_to_string(path).ok().and_then(|text| text.parse::<Table>().ok());
        let mut all = Table::new();
        for path in agent.files().unwrap_or_default() {
            all.extend(read(&path).unwrap_or_default());
        }
        Some(Agent { own: read(&file).unwrap_or_default(), file, all })
    }

    /// Asks; answers that have ended mean the defaults.
    pub(super) fn ask(&mut self, asker: &mut Asker) -> Result<(), SetupError> {
        super::print_lines(&asker.t("setup-agent", &[("file", self.file.display().to_string().into())]));
        let name = self.text("device").or_else(host_name).unwrap_or_default();
        let question = asker.t("setup-device", &[]);
        let expected = asker.t("setup-device-expected", &[]);
        let name = asker.ask_or(&question, &name, |text| text.parse::<DeviceName>().map_err(|_| expected.clone()))?;
        if let Some(name) = name {
            self.set("device", Some(name.as_str().into()));
        }
        let address = self.text("address").unwrap_or_else(|| "-".to_owned());
        let question = asker.t("setup-address", &[]);
        let expected = asker.t("setup-address-expected", &[]);
        let address = asker.ask_or(&question, &address, |text| match text {
            "-" => Ok(None),
            text if is_address(text) => Ok(Some(text.to_owned())),
            _ => Err(expected.clone()),
        })?;
        if let Some(address) = address {
            self.set("address", address.map(Value::from));
        }
        let old: Vec<&str> = OLD_FOLDERS.into_iter().filter(|folder| has_log_files(Path::new(folder))).collect();
        self.ask_for_folders(asker, &old)
    }

    fn ask_for_folders(&mut self, asker: &mut Asker, old: &[&str]) -> Result<(), SetupError> {
        let listed = self.all.get("log_dirs").and_then(Value::as_array).cloned();
        let mut dirs = listed.unwrap_or_else(|| vec![LOG_DIR.into()]);
        let n = dirs.len();
        for folder in old {
            let is_watched = dirs.iter().any(|dir| dir.as_str().is_some_and(|dir| Path::new(folder).starts_with(dir)));
            if !is_watched && asker.yes(&asker.t("setup-folder", &[("folder", (*folder).into())]), true)? {
                dirs.push((*folder).into());
            }
        }
        if dirs.len() > n {
            self.set("log_dirs", Some(Value::Array(dirs)));
        }
        Ok(())
    }

    /// Writes the file, if an answer differs from what the files say.
    pub(super) fn write(&self, asker: &Asker) -> Result<(), SetupError> {
        let text = format!("{HEAD}{}", toml::to_string(&self.own).unwrap_or_default());
        if self.own.is_empty() || fs::read_to_string(&self.file).is_ok_and(|old| old == text) {
            return Ok(());
        }
        place::put_alone(&self.file, &text)?;
        report(&asker.t("setup-written", &[("file", self.file.display().to_string().into())]));
        Ok(())
    }

    fn text(&self, key: &str) -> Option<String> {
        self.all.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    /// A key that no file has with this value goes into setup's own.
    fn set(&mut self, key: &str, value: Option<Value>) {
        if self.all.get(key) == value.as_ref() {
            return;
        }
        match value {
            Some(value) => drop(self.own.insert(key.to_owned(), value)),
            None => drop(self.own.remove(key)),
        }
    }
}

/// `user@host`, `user@host:port`: what `ssh` takes, in one word.
fn is_address(text: &str) -> bool {
    let is_word = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    is_word && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
}

fn has_log_files(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten().take(LOOKED_AT);
    entries.any(|entry| LogKind::of(entry.file_name().as_encoded_bytes()).is_some())
}

fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.split('.').next().map(str::to_owned).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_ssh_takes() {
        for good in ["root@nas", "ubuntu@10.20.0.233:22", "a@[fd00::1]:2222"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "nas", "@nas", "root@", "root@nas; rm", "root@n\u{7}s"] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn only_what_differs_from_the_agents_files_is_written_and_other_keys_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(Agent::beside(&ConfigFiles::new("hub", Some(at("hub.toml")))).is_none(), "no agent here");
        fs::write(at("agent.toml"), "device = \"nas\"\nlog_dirs = [\"/var/log/olog\"]\n").unwrap();
        fs::create_dir(at("agent.d")).unwrap();
        fs::write(at("agent.d/10-setup.toml"), "settle = \"200ms\"\n").unwrap();
        let mut agent = Agent::beside(&ConfigFiles::new("hub", Some(at("hub.toml")))).unwrap();
        agent.set("device", Some("nas".into()));
        agent.set("address", Some("root@nas".into()));
        let text = toml::to_string(&agent.own).unwrap();
        assert!(text.contains("settle") && text.contains("address") && !text.contains("device"), "{text}");
    }

    #[test]
    fn a_folder_counts_if_a_log_file_lies_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_log_files(folder.path()));
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        assert!(!has_log_files(folder.path()));
        fs::write(folder.path().join("nginx.ERR"), "").unwrap();
        assert!(has_log_files(folder.path()));
    }
}
