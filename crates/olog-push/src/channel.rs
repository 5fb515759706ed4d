//! A channel: the service that notifications go to, its receivers, and the filter of notifications that it wants.
//!
//! [`Channel::parse`] parses one `[[channel]]` table. Mistakes are reported to the table; the returned channel is trusted and holds
//! its secrets. [`Channel::send`] makes exactly one call and returns the service's answer for each receiver.
//!
//! It must not retry, wait for a rate limit or keep any state between calls: the outbox (hub) and the fallback (agent) do that.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_daemon::config::{Key, Table};
use olog_daemon::secret::Secret;
use sha2::{Digest, Sha256};

pub use crate::described::TYPE_KEYS;
use crate::described::{ChannelTypeDef, TemplateChannel};
use crate::exec::Exec;
use crate::keys;
use crate::mail::{self, Mail};
use crate::notice::KINDS;
use crate::rate_limit::Rate;
use crate::wxpusher::Wxpusher;
use crate::{Answer, ChannelCatalog, Kind, Limits, Message, Receiver, Unit};

/// Calls that may follow each other at once after a rest, where a service says nothing else.
const BURST: NonZeroU32 = match NonZeroU32::new(10) {
    Some(ten) => ten,
    None => NonZeroU32::MIN,
};

/// The rows of every channel, of those called by HTTP, and of each type that is code; for the reference.
pub fn registry() -> Vec<(&'static str, &'static [Key])> {
    let http = [("http", keys::HTTP), ("http", keys::HTTP_ADDRESS)];
    let types = [("wxpusher", crate::wxpusher::KEYS), ("mail", mail::KEYS), ("exec", crate::exec::KEYS)];
    [("", keys::CHANNEL)].into_iter().chain(http).chain(types).collect()
}

/// What carries a channel's messages. A closed set: one arm each in the verbs below, and nothing else knows which it is.
#[derive(Debug, PartialEq)]
enum Backend {
    Wxpusher(Wxpusher),
    Mail(Mail),
    Exec(Exec),
    TemplateChannel(TemplateChannel),
}

/// The types of channels that are code, as `type` names them.
const IN_CODE: [(&str, Type); 3] = [("wxpusher", Type::Wxpusher), ("mail", Type::Mail), ("exec", Type::Exec)];

/// What `type` has named.
#[derive(Debug, Clone)]
enum Type {
    Wxpusher,
    Mail,
    Exec,
    /// Without a description: its file is wrong, and that has been reported.
    TemplateChannel(Option<Arc<ChannelTypeDef>>),
}

impl Backend {
    /// Takes the keys of its own, `api_url` and `proxy` included where it has them; `None` when one is wrong, and reported.
    fn parse(of: Type, table: &mut Table) -> Option<Backend> {
        match of {
            Type::Wxpusher => Wxpusher::parse(table).map(Backend::Wxpusher),
            Type::Mail => Mail::parse(table).map(Backend::Mail),
            Type::Exec => Exec::parse(table).map(Backend::Exec),
            Type::TemplateChannel(of) => TemplateChannel::parse(of?, table).map(Backend::TemplateChannel),
        }
    }

    fn type_name(&self) -> &str {
        match self {
            Backend::Wxpusher(_) => "wxpusher",
            Backend::Mail(_) => "mail",
            Backend::Exec(_) => "exec",
            Backend::TemplateChannel(it) => it.type_name(),
        }
    }

    /// What must not be shown anywhere.
    fn secrets(&self) -> Vec<&Secret> {
        match self {
            Backend::Wxpusher(it) => it.secrets(),
            Backend::Mail(it) => it.secrets(),
            Backend::Exec(it) => it.secrets(),
            Backend::TemplateChannel(it) => it.secrets(),
        }
    }

    /// How fast it may be called, unless the channel says otherwise.
    fn rate(&self) -> Rate {
        match self {
            // No documented rates: a mail server's is its own affair, a command's what the person makes it.
            Backend::Wxpusher(_) | Backend::Mail(_) | Backend::Exec(_) => {
                Rate { every: Duration::from_secs(1), burst: BURST }
            }
            Backend::TemplateChannel(it) => it.rate(),
        }
    }

    /// Messages in a rolling day, unless the channel says otherwise.
    fn per_day(&self) -> Option<u32> {
        match self {
            Backend::Wxpusher(_) | Backend::Mail(_) | Backend::Exec(_) => None,
            Backend::TemplateChannel(it) => it.per_day(),
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Backend::Wxpusher(it) => it.limits(),
            Backend::Mail(_) => mail::LIMITS,
            Backend::Exec(it) => it.limits(),
            Backend::TemplateChannel(it) => it.limits(),
        }
    }

    fn receivers(&self) -> Vec<Receiver> {
        match self {
            Backend::Wxpusher(it) => it.receivers(),
            Backend::Mail(it) => it.receivers(),
            Backend::Exec(it) => it.receivers(),
            Backend::TemplateChannel(it) => it.receivers(),
        }
    }

    fn in_one_call(&self, left: &[Receiver]) -> Vec<Receiver> {
        match self {
            Backend::Wxpusher(it) => it.in_one_call(left),
            Backend::Mail(it) => it.in_one_call(left),
            Backend::Exec(it) => it.in_one_call(left),
            Backend::TemplateChannel(it) => it.in_one_call(left),
        }
    }

    async fn send(&self, message: &Message, to: Vec<Receiver>) -> Vec<(Receiver, Answer)> {
        match self {
            Backend::Wxpusher(it) => it.send(message, to).await,
            Backend::Mail(it) => it.send(message, &to, Clock::system().now()).await,
            Backend::Exec(it) => it.send(message, &to, Clock::system().now()).await,
            Backend::TemplateChannel(it) => it.send(message, to).await,
        }
    }
}

/// Which notifications a channel wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFilter {
    /// Of these kinds.
    pub kinds: Vec<Kind>,
    /// Of devices whose name matches one of these.
    pub devices: Vec<String>,
    /// Of tasks whose name matches one of these.
    pub tasks: Vec<String>,
}

impl Default for ChannelFilter {
    fn default() -> ChannelFilter {
        let all = || vec!["*".to_owned()];
        ChannelFilter { kinds: KINDS.iter().map(|(_, kind)| *kind).collect(), devices: all(), tasks: all() }
    }
}

/// Where notifications go.
///
/// Two are equal if a call of theirs goes the same way.
#[derive(Debug, PartialEq)]
pub struct Channel {
    /// Its name in the configuration.
    pub name: String,
    /// What it wants.
    pub only: ChannelFilter,
    /// How fast it may be called.
    pub rate: Rate,
    /// Messages in a rolling day, if the configuration bounds them.
    pub per_day: Option<u32>,
    /// Its settings in force as lines of TOML, secrets masked.
    pub effective: String,
    carrier: Backend,
}

impl Channel {
    /// Reads one `[[channel]]` table; `None` when something in it is wrong, and reported. The caller finishes the table.
    pub fn parse(table: &mut Table, types: &ChannelCatalog) -> Option<Channel> {
        table.declare(keys::CHANNEL);
        let name = table.take_filled("name");
        if !table.has("type") {
            table.fault("type", &format!("is missing: expected {}", type_names(types)));
        }
        // Of an unknown type nobody knows the keys: the type is what has to be told.
        let of = table.take_as("type", |name| {
            let in_code = IN_CODE.iter().find(|(word, _)| *word == name).map(|(_, of)| of.clone());
            let of = in_code.or_else(|| types.get(name).map(Type::TemplateChannel));
            of.ok_or_else(|| format!("expected {}, found {name:?}", type_names(types)))
        })?;
        let carrier = Backend::parse(of, table);
        let only = ChannelFilter::parse(table.section("only"));
        let usual = carrier.as_ref().map(Backend::rate);
        let burst = usual.map_or(BURST, |rate| rate.burst);
        let rate = table.take_as("rate", |text| Rate::parse_or_say(text, burst)).or(usual);
        let typed = table.take_int("per_day");
        // 0 is what a person says who wants no bound where the service's own is the default.
        let per_day = typed.or_else(|| carrier.as_ref()?.per_day()).filter(|n| *n > 0);
        if let Some(rate) = rate {
            table.show("rate", rate);
        }
        table.show_toml("per_day", per_day.unwrap_or(0).to_string());
        let effective = table.effective_lines();
        Some(Channel { name: name?, only, rate: rate?, per_day, effective, carrier: carrier? })
    }

    /// Its type, as the configuration names it.
    pub fn type_name(&self) -> &str {
        self.carrier.type_name()
    }

    /// A hash of the settings that decide whether a service takes a call: what was refused may be taken under others.
    pub fn settings_hash(&self) -> String {
        let secrets: Vec<&str> = self.carrier.secrets().into_iter().map(Secret::reveal).collect();
        let hash = Sha256::digest(format!("{}\n{}", self.effective, secrets.join("\n")));
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Everybody it reaches.
    pub fn receivers(&self) -> Vec<Receiver> {
        self.carrier.receivers()
    }

    /// Those of `left` that its next call may name.
    pub fn in_one_call(&self, left: &[Receiver]) -> Vec<Receiver> {
        self.carrier.in_one_call(left)
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
        self.carrier.limits()
    }

    /// The same with its rate, for a person: `1700 bytes, 14/min`.
    pub fn limits_shown(&self) -> String {
        let Limits { unit, body, .. } = self.limits();
        let unit = match unit {
            Unit::Characters => "characters",
            Unit::Bytes => "bytes",
        };
        format!("{body} {unit}, {}", self.rate)
    }

    /// One call that names those of `to` that [`Channel::in_one_call`] would; ends within 10 s.
    pub async fn send(&self, message: &Message, to: &[Receiver]) -> Vec<(Receiver, Answer)> {
        let to = self.in_one_call(to);
        if to.is_empty() {
            return Vec::new();
        }
        self.carrier.send(message, to).await
    }
}

impl ChannelFilter {
    fn parse(mut table: Table) -> ChannelFilter {
        let kind = |text: &str| {
            KINDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind).ok_or_else(|| {
                let words: Vec<_> = KINDS.iter().map(|(word, _)| format!("{word:?}")).collect();
                format!("expected {}, found {text:?}", words.join(" or "))
            })
        };
        let only = ChannelFilter {
            kinds: table.take_list_as("kinds", kind).unwrap_or_default(),
            devices: table.take_list("devices").unwrap_or_default(),
            tasks: table.take_list("tasks").unwrap_or_default(),
        };
        table.finish();
        only
    }
}

fn type_names(types: &ChannelCatalog) -> String {
    let mut names: Vec<&str> = IN_CODE.iter().map(|(word, _)| *word).chain(types.names()).collect();
    names.sort_unstable();
    let words: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    words.join(" or ")
}

/// Matches a name against a pattern: `*` is any text, `?` any character, `\` makes the character after it an ordinary one.
///
/// Not globset, which the agent uses for files: its `?` is one byte, and it knows `[` and `{` (decision 0171).
pub fn glob(pattern: &str, text: &str) -> bool {
    #[derive(Clone, Copy)]
    enum Part {
        AnyText,
        AnyChar,
        Char(char),
    }
    let mut chars = pattern.chars();
    let mut parts = Vec::new();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' => Part::AnyText,
            '?' => Part::AnyChar,
            '\\' => Part::Char(chars.next().unwrap_or('\\')),
            c => Part::Char(c),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much it has matched so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(t) {
        let fits = match parts.get(p) {
            Some(Part::AnyText) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(Part::AnyChar) => true,
            Some(Part::Char(expected)) => expected == c,
            None => false,
        };
        if fits {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, matched)) = &mut star {
            *matched += 1;
            (p, t) = (*at + 1, *matched);
        } else {
            return false;
        }
    }
    parts.iter().skip(p).all(|part| matches!(part, Part::AnyText))
}

#[cfg(test)]
mod tests;
