//! A channel: where notifications go, whom they reach there, and which of them it wants.
//!
//! [`Channel::take`] reads one `[[channel]]` table; what it returns is trusted, secrets included, and what is wrong has been
//! reported to the table. [`Channel::send`] makes exactly one call and says of every receiver it named what the service
//! said. It never retries, waits for no pace and remembers nothing: the outbox owns all that.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use olog_daemon::config::Table;
use olog_daemon::secret::{Secret, UNREAD};
use sha2::{Digest, Sha256};

use crate::http::Http;
use crate::pace::Rate;
use crate::wxpusher::{self, Wxpusher};
use crate::{Answer, Kind, Limits, Message, Receiver};

/// Every kind, in the order in which a configuration lists them.
pub const KINDS: [(&str, Kind); 8] = [
    ("err", Kind::Err),
    ("msg", Kind::Msg),
    ("lost", Kind::Lost),
    ("back", Kind::Back),
    ("over", Kind::Over),
    ("remind", Kind::Remind),
    ("report", Kind::Report),
    ("system", Kind::System),
];

/// Calls that may follow each other at once after a rest.
const BURST: NonZeroU32 = match NonZeroU32::new(10) {
    Some(ten) => ten,
    None => NonZeroU32::MIN,
};

/// The types of channels; their settings beside `name`, `only`, `rate`, `per_day`, `api_url` and `proxy` are read in [`take_service`].
const TYPES: [(&str, ()); 1] = [("wxpusher", ())];

/// Which notifications a channel wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Only {
    /// Of these kinds.
    pub kinds: Vec<Kind>,
    /// Of devices whose name matches one of these.
    pub devices: Vec<String>,
    /// Of tasks whose name matches one of these.
    pub tasks: Vec<String>,
}

impl Default for Only {
    fn default() -> Only {
        let all = || vec!["*".to_owned()];
        Only { kinds: KINDS.iter().map(|(_, kind)| *kind).collect(), devices: all(), tasks: all() }
    }
}

/// Where notifications go.
#[derive(Debug)]
pub struct Channel {
    /// Its name in the configuration.
    pub name: String,
    /// What it wants.
    pub only: Only,
    /// How fast it may be called.
    pub rate: Rate,
    /// Messages in a rolling day, if the configuration bounds them.
    pub per_day: Option<u32>,
    service: Wxpusher,
    api_url: String,
    proxy: Option<Secret>,
    http: Http,
}

/// The same settings: a call may go another way only if these differ.
impl PartialEq for Channel {
    fn eq(&self, other: &Channel) -> bool {
        (&self.name, &self.only, self.rate, self.per_day) == (&other.name, &other.only, other.rate, other.per_day)
            && (&self.service, &self.api_url, &self.proxy) == (&other.service, &other.api_url, &other.proxy)
    }
}

impl Channel {
    /// Reads one `[[channel]]` table; `None` when something in it is wrong, and reported.
    pub fn take(mut table: Table) -> Option<Channel> {
        let name = table.need_str("name");
        if !table.has("type") {
            table.fault("type", &format!("is missing: expected {}", type_names()));
        }
        // Of an unknown type nobody knows the keys: the type is what has to be told.
        table.take_choice("type", &TYPES)?;
        let service = take_service(&mut table);
        let only = table.take_table("only").map_or_else(Only::default, Only::take);
        let rate = table.take_as("rate", |text| {
            Rate::parse(text, BURST)
                .ok_or_else(|| format!("expected calls a span like \"1/s\" or \"20/min\", found {text:?}"))
        });
        let rate = rate.unwrap_or(Rate { every: Duration::from_secs(1), burst: BURST });
        let per_day =
            table.take_int("per_day", 0..=i64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        let api_url = table.take_as("api_url", service_url).unwrap_or_else(|| wxpusher::API_URL.to_owned());
        let proxy = table.take_as("proxy", |text| Http::new(Some(text)).map(|_| Secret::new(text))).flatten();
        let http = Http::new(proxy.as_ref().map(Secret::reveal)).ok()?;
        table.finish();
        Some(Channel { name, only, rate, per_day, service: service?, api_url, proxy, http })
    }

    /// Its settings in force as `[[channel]]` would have them, secrets masked.
    pub fn effective(&self) -> String {
        let list =
            |items: &[String]| format!("[{}]", items.iter().map(|i| format!("{i:?}")).collect::<Vec<_>>().join(", "));
        let kinds = KINDS.iter().filter(|(_, kind)| self.only.kinds.contains(kind)).map(|(word, _)| (*word).to_owned());
        let only = format!(
            "{{ kinds = {}, devices = {}, tasks = {} }}",
            list(&kinds.collect::<Vec<_>>()),
            list(&self.only.devices),
            list(&self.only.tasks)
        );
        let mut lines = vec![format!("name = {:?}", self.name), "type = \"wxpusher\"".to_owned()];
        match &self.service {
            Wxpusher::App { token, uids, topics } => {
                lines.push(format!("token = \"{token}\""));
                lines.push(format!("uids = {}", list(uids)));
                lines.push(format!("topic_ids = {topics:?}"));
            }
            Wxpusher::Simple(_) => {
                let spts: Vec<String> = self.receivers().into_iter().map(|receiver| receiver.id).collect();
                lines.push(format!("spt = {}", list(&spts)));
            }
        }
        lines.push(format!("rate = \"{}\"", self.rate));
        lines.push(format!("per_day = {}", self.per_day.unwrap_or(0)));
        lines.push(format!("api_url = {:?}", self.api_url));
        if let Some(proxy) = &self.proxy {
            lines.push(format!("proxy = \"{proxy}\""));
        }
        lines.push(format!("only = {only}"));
        lines.join("\n")
    }

    /// A hash of the settings that decide whether a service takes a call: what was refused may be taken under others.
    pub fn settings_print(&self) -> String {
        let secrets: Vec<&str> = match &self.service {
            Wxpusher::App { token, .. } => vec![token.reveal()],
            Wxpusher::Simple(spts) => spts.iter().map(Secret::reveal).collect(),
        };
        let hash = Sha256::digest(format!("{}\n{}", self.effective(), secrets.join("\n")));
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Everybody it reaches.
    pub fn receivers(&self) -> Vec<Receiver> {
        self.service.receivers()
    }

    /// Those of `left` that its next call may name.
    pub fn in_one_call(&self, left: &[Receiver]) -> Vec<Receiver> {
        self.service.in_one_call(left)
    }

    /// Does it want this? What is about no device or no task is not held back by patterns for their names.
    pub fn wants(&self, kind: Kind, device: Option<&str>, task: Option<&str>) -> bool {
        let matches = |patterns: &[String], name: Option<&str>| {
            name.is_none_or(|name| patterns.iter().any(|pattern| glob(pattern, name)))
        };
        self.only.kinds.contains(&kind) && matches(&self.only.devices, device) && matches(&self.only.tasks, task)
    }

    /// What fits into one message.
    pub fn limits(&self) -> Limits {
        wxpusher::LIMITS
    }

    /// One call that names those of `to` that [`Channel::in_one_call`] would; ends within 10 s.
    pub async fn send(&self, message: &Message, to: &[Receiver]) -> Vec<(Receiver, Answer)> {
        let to = self.in_one_call(to);
        if to.is_empty() {
            return Vec::new();
        }
        let url = format!("{}{}", self.api_url, self.service.path());
        match self.http.post(&url, self.service.body(message, &to)).await {
            Ok(reply) => self.service.read(&reply, &to),
            Err(why) => {
                let why = self.service.masked(&why);
                to.into_iter().map(|r| (r, Answer::Later { after: None, why: why.clone() })).collect()
            }
        }
    }
}

impl Only {
    fn take(mut table: Table) -> Only {
        let all = Only::default();
        let kind = |text: &str| {
            KINDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind).ok_or_else(|| {
                let words: Vec<_> = KINDS.iter().map(|(word, _)| format!("{word:?}")).collect();
                format!("expected {}, found {text:?}", words.join(" or "))
            })
        };
        let only = Only {
            kinds: table.take_list_as("kinds", kind).unwrap_or(all.kinds),
            devices: table.take_list("devices").unwrap_or(all.devices),
            tasks: table.take_list("tasks").unwrap_or(all.tasks),
        };
        table.finish();
        only
    }
}

fn type_names() -> String {
    let words: Vec<_> = TYPES.iter().map(|(word, ())| format!("{word:?}")).collect();
    words.join(" or ")
}

/// `https://HOST[:PORT][/PREFIX]` without what would carry a secret.
fn service_url(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "expected the service's scheme and host, like \"https://wxpusher.zjiecode.com\"";
    let url = url::Url::parse(text.trim()).map_err(|_| EXPECTED.to_owned())?;
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return Err(EXPECTED.to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// WxPusher: `token` with `uids` and `topic_ids`, or `spt` alone.
fn take_service(table: &mut Table) -> Option<Wxpusher> {
    if table.has("spt") || table.has("spt_file") {
        return take_simple(table);
    }
    let token = table.take_secret("token");
    if !table.has("token") && !table.has("token_file") {
        table.fault("token", "is missing: expected token or token_file with uids or topic_ids, or spt alone");
    }
    let uid = |text: &str| match text.trim() {
        "" => Err("must not be empty".to_owned()),
        // It would be shown as a receiver's name.
        text if text.starts_with("AT_") || text.starts_with("SPT_") => {
            Err("expected a UID_…, found a token".to_owned())
        }
        text => Ok(text.to_owned()),
    };
    let mut uids = table.take_list_as("uids", uid).unwrap_or_default();
    let mut topics = table.take_ints("topic_ids").unwrap_or_default();
    let mut seen = BTreeSet::new();
    uids.retain(|uid| seen.insert(uid.clone()));
    topics.sort_unstable();
    topics.dedup();
    if topics.iter().any(|topic| *topic < 1) {
        table.fault("topic_ids", "expected numbers from 1");
    }
    if !table.has("uids") && !table.has("topic_ids") || uids.is_empty() && topics.is_empty() {
        table.fault("uids", "expected at least one uid in uids, or a topic in topic_ids");
    }
    let topics = topics.into_iter().filter_map(|topic| u64::try_from(topic).ok()).collect();
    Some(Wxpusher::App { token: token?, uids, topics })
}

fn take_simple(table: &mut Table) -> Option<Wxpusher> {
    for key in ["token", "token_file", "uids", "topic_ids"] {
        if table.has(key) {
            table.fault(key, "simple push (spt) stands alone: no token, uids or topic_ids beside it");
            return None;
        }
    }
    let texts = if table.has("spt") {
        if table.has("spt_file") {
            table.fault("spt_file", "give spt or spt_file, not both");
            return None;
        }
        table.take_list("spt")?
    } else {
        let file = table.take_secret("spt")?;
        file.reveal().split_whitespace().map(str::to_owned).collect()
    };
    let mut spts: Vec<Secret> = Vec::new();
    for text in texts {
        match Secret::new(&text).filter(|spt| spt.reveal().starts_with("SPT_") || spt.reveal() == UNREAD) {
            Some(spt) if !spts.contains(&spt) => spts.push(spt),
            Some(_) => {}
            None => table.fault("spt", "expected tokens of simple push: SPT_…"),
        }
    }
    if spts.is_empty() {
        table.fault("spt", "expected at least one SPT_…");
        return None;
    }
    Some(Wxpusher::Simple(spts))
}

/// `*` is any text, `?` any character, all else itself.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    p = *at + 1;
                    t = *taken;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests;
