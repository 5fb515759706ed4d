//! The file `10-phone.toml`: read, and written again with the answers.
//!
//! Setup changes only the keys that it asks for; everything else in the file (another channel, a proxy) is kept.

use chrono_tz::Tz;
use olog_daemon::secret::Secret;
use olog_push::words::{LANGUAGES, Language};
use toml::{Table, Value};

use crate::config::Config;

const HEAD: &str = "\
# Written by `olog-hub setup`; run it again to change it. It comes after hub.toml: what stands here holds.
# The token is in secrets/hub/, beside this folder.
";
/// What the road into WeChat takes in 24 h (the vendor's manual).
const PER_DAY_IN_WECHAT: i64 = 10;

/// The answers.
#[derive(Debug)]
pub(super) struct Phone {
    pub(super) language: Language,
    pub(super) timezone: Tz,
    /// Somebody has said so before.
    pub(super) zone_is_set: bool,
    pub(super) public_url: Option<String>,
    pub(super) in_wechat: bool,
    pub(super) way: Way,
    /// A new one; without it the one in the file stays.
    pub(super) secret: Option<Secret>,
    /// Of the channel.
    pub(super) name: String,
    pub(super) api_url: Option<String>,
    /// The file's other keys, and the channel's.
    rest: Table,
    channel: Table,
    channels: Vec<Value>,
}

/// How WxPusher knows whom to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// Simple push: the token is the receiver.
    Simple,
    /// An application's token, and its users.
    App {
        /// `UID_…`
        uids: Vec<String>,
    },
}

impl Way {
    pub(super) fn is_app(&self) -> bool {
        matches!(self, Way::App { .. })
    }

    /// Where its secret is, in `secrets/hub/`.
    pub(super) fn file(&self) -> &'static str {
        if self.is_app() { "wxpusher.token" } else { "wxpusher.spt" }
    }
}

impl Phone {
    /// What stands there, over what holds without the file.
    pub(super) fn read(text: Option<&str>, below: &Config) -> Phone {
        // A file that is not TOML has nothing to offer; it is shown to the person before it is replaced.
        let mut rest: Table = text.and_then(|text| text.parse().ok()).unwrap_or_default();
        let mut take = |key: &str| rest.remove(key).and_then(|value| value.as_str().map(str::to_owned));
        let language = take("language").and_then(|word| LANGUAGES.iter().find(|(known, _)| *known == word));
        let timezone: Option<Tz> = take("timezone").and_then(|name| name.parse().ok());
        let public_url = take("public_url");
        let channels =
            rest.remove("channel").and_then(|value| if let Value::Array(c) = value { Some(c) } else { None });
        let mut channels = channels.unwrap_or_default().into_iter();
        let channel = channels.next().and_then(|value| if let Value::Table(c) = value { Some(c) } else { None });
        let mut channel = channel.unwrap_or_default();
        let text_of = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let uids = channel.remove("uids").and_then(|value| value.as_array().cloned()).unwrap_or_default();
        let uids: Vec<String> = uids.iter().filter_map(|uid| uid.as_str().map(str::to_owned)).collect();
        let is_app = !uids.is_empty() || channel.contains_key("token_file");
        for key in ["token", "token_file", "spt", "spt_file", "type"] {
            channel.remove(key);
        }
        let per_day = channel.remove("per_day").and_then(|value| value.as_integer());
        let free = ["phone", "phone2", "phone3"].into_iter().find(|name| below.live.channel(name).is_none());
        Phone {
            language: language.map_or(below.live.language, |(_, language)| *language),
            zone_is_set: timezone.is_some(),
            timezone: timezone.unwrap_or(below.live.timezone),
            public_url: public_url.or_else(|| below.live.public_url.clone()),
            in_wechat: per_day == Some(PER_DAY_IN_WECHAT),
            way: if is_app { Way::App { uids } } else { Way::Simple },
            secret: None,
            name: text_of(channel.remove("name")).unwrap_or_else(|| free.unwrap_or("phone").to_owned()),
            api_url: text_of(channel.remove("api_url")),
            rest,
            channel,
            channels: channels.collect(),
        }
    }

    /// Simple push, or an application.
    pub(super) fn set_way(&mut self, is_app: bool) {
        if self.way.is_app() != is_app {
            self.way = if is_app { Way::App { uids: Vec::new() } } else { Way::Simple };
        }
    }

    /// The file.
    pub(super) fn text(&self, below: &Config) -> String {
        let language = LANGUAGES.iter().find(|(_, language)| *language == self.language).map_or("", |(word, _)| word);
        let mut top = Table::new();
        top.insert("language".to_owned(), language.into());
        top.insert("timezone".to_owned(), self.timezone.name().into());
        if let Some(url) = self.public_url.as_ref().filter(|url| below.live.public_url.as_ref() != Some(url)) {
            top.insert("public_url".to_owned(), url.as_str().into());
        }
        let mut channel = self.channel.clone();
        let mut set = |key: &str, value: Value| channel.insert(key.to_owned(), value);
        set("name", self.name.as_str().into());
        set("type", "wxpusher".into());
        match &self.way {
            Way::Simple => set("spt_file", self.way.file().into()),
            Way::App { uids } => {
                set("uids", uids.iter().map(String::as_str).collect::<Vec<_>>().into());
                set("token_file", self.way.file().into())
            }
        };
        if self.in_wechat {
            set("per_day", PER_DAY_IN_WECHAT.into());
        }
        if let Some(url) = &self.api_url {
            set("api_url", url.as_str().into());
        }
        top.extend(self.rest.clone());
        let mut channels = vec![Value::Table(channel)];
        channels.extend(self.channels.clone());
        top.insert("channel".to_owned(), Value::Array(channels));
        // A table of plain values can always be written.
        format!("{HEAD}{}", toml::to_string(&top).unwrap_or_default())
    }
}
