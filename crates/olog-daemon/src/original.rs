//! The original program, `olog.py`: its configuration, and what of it is still in use on this machine.
//!
//! `cfg` reads `olog.cfg`; `traces` finds running processes, crontab lines and output files. `import` of both daemons turns the result
//! into TOML with [`Page`], and `put` writes that. Nothing of the original is changed.

mod cfg;
mod put;
#[cfg(test)]
mod tests;
mod traces;

pub use cfg::{OldConfig, OldConfigError, OldDevice, OldTasks, Remark};
pub use put::{PutError, create, file, put};
pub use traces::{CronLine, Process, Traces, traces};

use crate::secret::Secret;

/// A sentence of the catalogue by its key, with its arguments.
pub type Words<'a> = &'a dyn Fn(&str, &[(&'static str, &str)]) -> String;

/// The TOML that `import` prints: lines, each with the comment that says why it is so.
pub struct Page<'a> {
    words: Words<'a>,
    text: String,
}

impl<'a> Page<'a> {
    /// An empty one.
    pub fn new(words: Words<'a>) -> Page<'a> {
        Page { words, text: String::new() }
    }

    /// A line of TOML.
    pub fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// `key = "value"`.
    pub fn value(&mut self, key: &str, value: impl Into<toml::Value>) {
        let value: toml::Value = value.into();
        self.line(&format!("{key} = {value}"));
    }

    /// A sentence of the catalogue as a comment. Line breaks of an argument cannot leave the comment.
    pub fn comment(&mut self, key: &str, args: &[(&'static str, &str)]) {
        let sentence = (self.words)(key, args);
        for line in sentence.lines() {
            self.line(&format!("# {}", line.replace(char::is_control, " ")));
        }
    }

    /// What in `olog.cfg` was not understood, or contradicts itself.
    pub fn remarks(&mut self, remarks: &[Remark]) {
        for remark in remarks {
            let (key, args) = remark.words();
            let args: Vec<(&'static str, &str)> = args.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.comment(key, &args);
        }
    }

    /// What of the original still runs here. Both push then, so a person has to stop one.
    pub fn traces(&mut self, traces: &Traces) {
        for line in traces.sentences(self.words) {
            self.line(&format!("# {}", line.replace(char::is_control, " ")));
        }
    }

    /// The WxPusher channel of the old configuration: its receivers, and the file that gets its token.
    pub fn wxpusher(&mut self, header: &str, old: &OldConfig) {
        self.line(header);
        self.value("name", "wxpusher");
        self.value("type", "wxpusher");
        self.value("token_file", TOKEN_FILE);
        self.value("uids", old.uids.clone());
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// The file of the token, in the folder of the daemon's secrets.
pub const TOKEN_FILE: &str = "olog-cfg.token";

impl OldConfig {
    /// The token, if it has receivers too: one without the other reaches nobody.
    pub fn channel(&self) -> Option<&Secret> {
        self.token.as_ref().filter(|_| !self.uids.is_empty())
    }
}
