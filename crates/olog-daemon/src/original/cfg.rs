//! `olog.cfg`: JSON as people really wrote it, with `#` comments, missing and trailing commas, a byte order mark, or GBK.
//!
//! A wrong value is left out and named in [`OldConfig::remarks`]; only a file that is no JSON object at all is refused. The file is at most
//! [`BYTES_MAX`] long.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use encoding_rs::GB18030;
use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, Value},
    parse_to_ast,
};

use crate::secret::Secret;

/// The original wrote every device and task that it ever saw into its file: a few hundred thousand names fit.
const BYTES_MAX: u64 = 8 << 20;
/// Further remarks say nothing new.
const REMARKS_MAX: usize = 100;

/// `name#user@host:port`, as the original names a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OldDevice {
    /// Before the first `#`.
    pub name: String,
    /// After it.
    pub address: Option<String>,
}

/// What the original had seen of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldTasks {
    /// The device's address.
    pub address: Option<String>,
    /// Its tasks, each once.
    pub tasks: BTreeSet<String>,
}

/// The whole file. A key that is missing or wrong is `None` or empty.
#[derive(Debug, Default)]
pub struct OldConfig {
    /// `device`.
    pub device: Option<OldDevice>,
    /// `log_dirs`.
    pub log_dirs: Vec<String>,
    /// `log_keep_days`; 1 to 36,500.
    pub log_keep_days: Option<i64>,
    /// `report_time`, as `HH:MM`.
    pub report_time: Option<String>,
    /// `svr_ip`.
    pub svr_ip: Option<String>,
    /// `svr_port`.
    pub svr_port: Option<u16>,
    /// `token`: WxPusher's, and the key of the wire.
    pub token: Option<Secret>,
    /// `uids`.
    pub uids: Vec<String>,
    /// `device_tasks`, and `tasks` as older files call it, by the device's name.
    pub device_tasks: BTreeMap<String, OldTasks>,
    /// `htmldir`.
    pub html_dir: Option<String>,
    /// `htmlurl`.
    pub html_url: Option<String>,
    /// What was not understood.
    pub remarks: Vec<Remark>,
}

/// Something in the file that a person should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// The original has no such key.
    UnknownKey(String),
    /// The key stands more than once; the last one counts, as in Python.
    Twice(String),
    /// The value is left out: key, and what was expected.
    Wrong(String, &'static str),
    /// `tasks` and `device_tasks` are both there; their names are put together.
    BothTasks,
    /// A device stands with two addresses: its tasks are put together.
    TwoAddresses(String),
    /// The file is GBK, not UTF-8.
    Gbk,
}

impl Remark {
    /// The catalogue's key, and its arguments.
    pub(super) fn words(&self) -> (&'static str, Vec<(&'static str, String)>) {
        match self {
            Remark::UnknownKey(key) => ("import-unknown-key", vec![("key", key.clone())]),
            Remark::Twice(key) => ("import-twice", vec![("key", key.clone())]),
            Remark::Wrong(key, expected) => {
                ("import-wrong", vec![("key", key.clone()), ("expected", (*expected).to_owned())])
            }
            Remark::BothTasks => ("import-both-tasks", Vec::new()),
            Remark::TwoAddresses(name) => ("import-two-addresses", vec![("device", name.clone())]),
            Remark::Gbk => ("import-gbk", Vec::new()),
        }
    }
}

/// Why there is nothing to import.
#[derive(Debug, thiserror::Error)]
pub enum OldConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is longer than the bound.
    #[error("{}: is larger than 8 MiB, so it is not the configuration of olog.py", .0.display())]
    TooLarge(PathBuf),
    /// Nothing is in it.
    #[error("{}: is empty", .0.display())]
    Empty(PathBuf),
    /// It is no text.
    #[error("{}: is neither UTF-8 nor GBK text, so it is not the configuration of olog.py", .0.display())]
    Binary(PathBuf),
    /// It is no JSON, even with comments and without commas.
    #[error("{}:{line}:{column}: {problem}: correct this place, then import again", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// In the parser's words.
        problem: String,
    },
    /// It is JSON, but no object.
    #[error("{}: expected an object {{ \"key\": value }}, as olog.py writes it", .0.display())]
    NoObject(PathBuf),
}

impl OldConfig {
    /// Reads the file.
    pub fn read(file: &Path) -> Result<OldConfig, OldConfigError> {
        let mut bytes = Vec::new();
        let opened = File::open(file).and_then(|opened| opened.take(BYTES_MAX + 1).read_to_end(&mut bytes));
        let n = opened.map_err(|error| OldConfigError::Read(file.to_owned(), error))?;
        if u64::try_from(n).is_ok_and(|n| n > BYTES_MAX) {
            return Err(OldConfigError::TooLarge(file.to_owned()));
        }
        OldConfig::parse(file, &bytes)
    }

    pub(crate) fn parse(file: &Path, bytes: &[u8]) -> Result<OldConfig, OldConfigError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.trim_ascii().is_empty() {
            return Err(OldConfigError::Empty(file.to_owned()));
        }
        let mut old = OldConfig::default();
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                let (text, is_broken) = GB18030.decode_without_bom_handling(bytes);
                if is_broken {
                    return Err(OldConfigError::Binary(file.to_owned()));
                }
                old.remarks.push(Remark::Gbk);
                text.into_owned()
            }
        };
        if text.contains('\0') {
            return Err(OldConfigError::Binary(file.to_owned()));
        }
        let text = without_hash_comments(&text);
        let parsed = parse_to_ast(&text, &CollectOptions::default(), &ParseOptions::default());
        let root = parsed.map_err(|error| OldConfigError::Json {
            file: file.to_owned(),
            line: error.line_display(),
            column: error.column_display(),
            problem: error.kind().to_string().to_lowercase(),
        })?;
        let Some(Value::Object(root)) = root.value else { return Err(OldConfigError::NoObject(file.to_owned())) };
        old.keys(&root);
        Ok(old)
    }

    fn keys(&mut self, root: &Object<'_>) {
        // The last of two keys counts, as in Python.
        let last: BTreeMap<&str, usize> =
            root.properties.iter().enumerate().map(|(i, property)| (property.name.as_str(), i)).collect();
        if last.contains_key("tasks") && last.contains_key("device_tasks") {
            self.remark(Remark::BothTasks);
        }
        for (i, property) in root.properties.iter().enumerate() {
            let (key, value) = (property.name.as_str(), &property.value);
            if last.get(key) != Some(&i) {
                self.remark(Remark::Twice(key.to_owned()));
                continue;
            }
            match key {
                "device" => self.device = self.text(key, value).map(|text| OldDevice::parse(&text)),
                "log_dirs" => self.log_dirs = self.list(key, value),
                "log_keep_days" => self.log_keep_days = self.number(key, value, 1, 36_500),
                "report_time" => {
                    let time = self.text(key, value);
                    self.report_time = time.as_deref().and_then(time_of_day);
                    if time.is_some() && self.report_time.is_none() {
                        self.wrong(key, "\"HH:MM\"");
                    }
                }
                "svr_ip" => self.svr_ip = self.text(key, value),
                "svr_port" => {
                    self.svr_port = self.number(key, value, 1, 65_535).and_then(|port| u16::try_from(port).ok());
                }
                "token" => self.token = self.text(key, value).as_deref().and_then(Secret::new),
                "uids" => self.uids = self.list(key, value),
                "tasks" | "device_tasks" => self.tasks(key, value),
                "htmldir" => self.html_dir = self.text(key, value),
                "htmlurl" => self.html_url = self.text(key, value),
                other => self.remark(Remark::UnknownKey(other.to_owned())),
            }
        }
    }

    fn remark(&mut self, remark: Remark) {
        if self.remarks.len() < REMARKS_MAX && !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    fn wrong(&mut self, key: &str, expected: &'static str) {
        self.remark(Remark::Wrong(key.to_owned(), expected));
    }

    /// Numbers are taken as texts too; an empty text is none, as in the original.
    fn text(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        let text = match value {
            Value::StringLit(text) => text.value.trim().to_owned(),
            Value::NumberLit(number) => number.value.to_owned(),
            Value::NullKeyword(_) => String::new(),
            _ => {
                self.wrong(key, "\"…\"");
                String::new()
            }
        };
        Some(text).filter(|text| !text.is_empty())
    }

    fn number(&mut self, key: &str, value: &Value<'_>, least: i64, most: i64) -> Option<i64> {
        let text = self.text(key, value)?;
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(key, if most == 65_535 { "1–65535" } else { "1–36500" });
        }
        number
    }

    /// A single text is a list of one.
    fn list(&mut self, key: &str, value: &Value<'_>) -> Vec<String> {
        let mut all: Vec<String> = match value {
            Value::Array(array) => array.elements.iter().filter_map(|element| self.text(key, element)).collect(),
            one => self.text(key, one).into_iter().collect(),
        };
        let mut seen = BTreeSet::new();
        all.retain(|text| seen.insert(text.clone()));
        all
    }

    fn tasks(&mut self, key: &str, value: &Value<'_>) {
        let Value::Object(devices) = value else { return self.wrong(key, "{ \"name#address\": [\"task\", …] }") };
        for property in &devices.properties {
            let device = OldDevice::parse(property.name.as_str());
            let tasks = self.list(key, &property.value);
            let known = self.device_tasks.entry(device.name.clone()).or_default();
            known.tasks.extend(tasks);
            let two = known.address.is_some() && device.address.is_some() && known.address != device.address;
            known.address = known.address.take().or(device.address);
            if two {
                self.remark(Remark::TwoAddresses(device.name));
            }
        }
    }
}

impl OldDevice {
    fn parse(text: &str) -> OldDevice {
        let (name, address) = text.split_once('#').unwrap_or((text, ""));
        let address = Some(address.trim().to_owned()).filter(|address| !address.is_empty());
        OldDevice { name: name.trim().to_owned(), address }
    }
}

/// `8:5` becomes `08:05`.
fn time_of_day(text: &str) -> Option<String> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u8, u8) = (hour.trim().parse().ok()?, minute.trim().parse().ok()?);
    (hour < 24 && minute < 60).then(|| format!("{hour:02}:{minute:02}"))
}

/// Blanks `# …` outside of texts, so that lines and columns stay as they are.
fn without_hash_comments(text: &str) -> String {
    let mut quote = None;
    let mut is_escaped = false;
    let mut is_comment = false;
    text.chars()
        .map(|c| {
            match (c, quote) {
                ('\n', _) => (quote, is_comment, is_escaped) = (None, false, false),
                _ if is_comment => return ' ',
                (_, Some(_)) if is_escaped => is_escaped = false,
                ('\\', Some(_)) => is_escaped = true,
                (c, Some(open)) if c == open => quote = None,
                ('"' | '\'', None) => quote = Some(c),
                ('#', None) => {
                    is_comment = true;
                    return ' ';
                }
                _ => {}
            }
            c
        })
        .collect()
}
