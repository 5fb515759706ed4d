//! The serde types of a scenario's lines.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// What a line may look like, for whoever has to be told.
pub(super) const EXAMPLE: &str = r#"{"at":"03:11:04","device":"comsrv","file":"mysql.err","text":"…"}"#;
/// Bytes of a line.
const LINE_MAX: usize = 64 * 1024;
/// Keys of the first line, if it is the head.
pub(super) const HEAD: &[&str] = &["about", "start", "tell_from", "config", "devices"];
/// Keys of every other line.
pub(super) const LINE: &[&str] = &[
    "answer", "at", "channel", "class", "deleted", "device", "end", "event", "every", "exit", "file", "grows",
    "incident", "is", "open", "person", "rebooted", "run", "seen", "signal", "task", "text", "times", "took", "until",
];

/// The head.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TypedHead {
    pub(super) about: BTreeMap<String, String>,
    pub(super) start: Option<String>,
    pub(super) tell_from: Option<String>,
    pub(super) config: Option<Value>,
    pub(super) devices: Vec<TypedDevice>,
}

/// A device in the head.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedDevice {
    pub(super) name: Many,
    pub(super) address: Option<String>,
    pub(super) behind: Option<IpAddr>,
}

/// Any other line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    pub(super) answer: Option<String>,
    pub(super) at: Option<Value>,
    pub(super) channel: Option<String>,
    pub(super) class: Option<String>,
    pub(super) deleted: Option<bool>,
    pub(super) device: Option<Many>,
    pub(super) end: Option<bool>,
    pub(super) event: Option<Value>,
    pub(super) every: Option<String>,
    pub(super) exit: Option<i32>,
    pub(super) file: Option<String>,
    pub(super) grows: Option<bool>,
    pub(super) incident: Option<u64>,
    pub(super) is: Option<String>,
    pub(super) open: Option<bool>,
    pub(super) person: Option<String>,
    pub(super) rebooted: Option<bool>,
    pub(super) run: Option<String>,
    pub(super) seen: Option<u32>,
    pub(super) signal: Option<i32>,
    pub(super) task: Option<String>,
    pub(super) text: Option<String>,
    pub(super) times: Option<u64>,
    pub(super) took: Option<String>,
    pub(super) until: Option<String>,
}

/// One name, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a name, or a list of names")]
pub(super) enum Many {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Many {
    pub(super) fn each(&self) -> &[String] {
        match self {
            Many::One(name) => std::slice::from_ref(name),
            Many::Several(names) => names,
        }
    }
}

/// One line as an object.
pub(super) fn object(line: &str) -> Result<Map<String, Value>, String> {
    if line.len() > LINE_MAX {
        return Err(format!("a line of {} bytes: expected at most {LINE_MAX}", line.len()));
    }
    match serde_json::from_str(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(format!("expected an object like {EXAMPLE}")),
        Err(e) => {
            Err(format!("this is not JSON (column {}: {}): expected one object like {EXAMPLE}", e.column(), plain(&e)))
        }
    }
}

/// Without the place, which is told before it.
fn plain(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Is it the head? A line that happens has a time.
pub(super) fn is_head(object: &Map<String, Value>) -> bool {
    !object.contains_key("at") && HEAD.iter().any(|key| object.contains_key(*key))
}

/// Reads an object that may have these keys.
pub(super) fn parse<T: DeserializeOwned>(object: Map<String, Value>, known: &[&str]) -> Result<T, String> {
    if let Some(key) = object.keys().find(|key| !known.contains(&key.as_str())) {
        let near = known.iter().map(|known| (strsim::damerau_levenshtein(key, known), known)).min();
        let near = near.filter(|(distance, _)| *distance <= 2);
        let near = near.map_or_else(
            || format!(", expected {}", known.join(", ")),
            |(_, nearest)| format!(", nearest `{nearest}`"),
        );
        let key = olog_proto::name::escape(key.chars().take(40).collect::<String>().as_bytes());
        return Err(format!("unknown key `{key}`{near}"));
    }
    // Each key by itself, so that what is wrong can be named.
    for (key, value) in &object {
        let alone = Map::from_iter([(key.clone(), value.clone())]);
        serde_json::from_value::<T>(Value::Object(alone)).map_err(|e| format!("{key}: {}", plain(&e)))?;
    }
    serde_json::from_value(Value::Object(object)).map_err(|e| plain(&e))
}

/// `srv{1..12}` is twelve names; with leading zeros, all are as long.
pub(super) fn unfold(name: &str, max: usize) -> Result<Vec<String>, String> {
    let Some((before, rest)) = name.split_once('{') else { return Ok(vec![name.to_owned()]) };
    let wrong = || format!("expected names like \"srv{{1..12}}\", at most {max}, found {name:?}");
    let (range, after) = rest.split_once('}').ok_or_else(wrong)?;
    let (first, last) = range.split_once("..").ok_or_else(wrong)?;
    let width = if first.starts_with('0') { first.len() } else { 0 };
    let number = |text: &str| text.parse::<usize>().ok().filter(|n| *n <= 1_000_000);
    let (Some(first), Some(last)) = (number(first), number(last)) else { return Err(wrong()) };
    if last < first || last - first >= max {
        return Err(wrong());
    }
    Ok((first..=last).map(|n| format!("{before}{n:0width$}{after}")).collect())
}
