//! The catalogues: every sentence that a phone shows, by key and language, and the forms of times and spans.

use std::borrow::Cow;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike as _, TimeZone as _};
use chrono_tz::Tz;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use olog_proto::Timestamp;
use unic_langid::LanguageIdentifier;

/// The languages that Olog speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Simplified Chinese.
    #[default]
    ZhCn,
    /// English.
    En,
}

/// As a configuration names them.
pub const LANGUAGES: [(&str, Language); 2] = [("zh-CN", Language::ZhCn), ("en", Language::En)];

impl Language {
    /// The one that a configuration names so.
    pub fn by_name(name: &str) -> Option<Language> {
        LANGUAGES.iter().find(|(known, _)| *known == name).map(|(_, language)| *language)
    }

    /// As a configuration names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::ZhCn => "zh-CN",
            Language::En => "en",
        }
    }
}

type Bundle = FluentBundle<FluentResource>;

/// What phones show, and what the hub's command line says.
static ZH_CN: LazyLock<Bundle> = LazyLock::new(|| {
    bundle(
        "zh-CN",
        [
            include_str!("../../locales/zh-CN.ftl"),
            include_str!("../../locales/terminal.zh-CN.ftl"),
            include_str!("../../locales/web.zh-CN.ftl"),
        ],
    )
});
static EN: LazyLock<Bundle> = LazyLock::new(|| {
    bundle(
        "en",
        [
            include_str!("../../locales/en.ftl"),
            include_str!("../../locales/terminal.en.ftl"),
            include_str!("../../locales/web.en.ftl"),
        ],
    )
});

/// A catalogue with mistakes is used without them; a test lets none through.
fn bundle(language: &str, texts: [&str; 3]) -> Bundle {
    let language: LanguageIdentifier = language.parse().unwrap_or_default();
    let mut bundle = Bundle::new_concurrent(vec![language]);
    bundle.set_use_isolating(false);
    for text in texts {
        let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, _)| resource);
        bundle.add_resource_overriding(resource);
    }
    bundle
}

/// A named value within a sentence.
pub type Arg<'a> = (&'static str, FluentValue<'a>);

/// Speaks one language, in one time zone, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Localizer {
    /// Which.
    pub language: Language,
    /// Of every time.
    pub timezone: Tz,
    /// Today is its day.
    pub now: Timestamp,
}

impl Localizer {
    /// The sentence under this key.
    pub fn text(&self, key: &str, args: &[Arg<'_>]) -> String {
        let bundle: &Bundle = match self.language {
            Language::ZhCn => &ZH_CN,
            Language::En => &EN,
        };
        let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
            return key.to_owned();
        };
        let args: FluentArgs<'_> = args.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect();
        bundle.format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned()
    }

    /// The sentence under a key without values.
    pub fn word(&self, key: &str) -> String {
        self.text(key, &[])
    }

    /// Sentences one after the other.
    pub fn sentences(&self, parts: impl IntoIterator<Item = String>) -> String {
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(&self.word("sentence-space"))
    }

    fn local(&self, at: Timestamp) -> DateTime<Tz> {
        let utc = DateTime::from_timestamp_millis(at.0).unwrap_or_default();
        self.timezone.from_utc_datetime(&utc.naive_utc())
    }

    /// `03:11`, with its day when that is not today.
    pub fn time(&self, at: Timestamp) -> String {
        self.format(at, "%H:%M", "format-day")
    }

    /// `23 Nov`.
    pub fn day(&self, at: Timestamp) -> String {
        self.local(at).format(&self.word("format-day-only")).to_string()
    }

    /// `23 Nov 11:00`, whatever day it is.
    pub fn day_time(&self, at: Timestamp) -> String {
        self.local(at).format(&self.word("format-day")).to_string()
    }

    /// `03:11:04`, with its day when that is not today.
    pub fn time_exact(&self, at: Timestamp) -> String {
        self.format(at, "%H:%M:%S", "format-day-seconds")
    }

    fn format(&self, at: Timestamp, today: &str, other_day: &str) -> String {
        let (local, now) = (self.local(at), self.local(self.now));
        let is_today = (local.year(), local.ordinal()) == (now.year(), now.ordinal());
        let pattern = if is_today { today.to_owned() } else { self.word(other_day) };
        local.format(&pattern).to_string()
    }

    /// `03:10–03:12`; a range that crosses midnight shows both dates.
    pub fn range(&self, from: Timestamp, to: Timestamp) -> String {
        let (from, to) = (from.min(to), from.max(to));
        let (a, b) = (self.local(from), self.local(to));
        if (a.year(), a.ordinal()) != (b.year(), b.ordinal()) {
            return format!("{}–{}", self.day_time(from), self.day_time(to));
        }
        let (first, last) = (a.format("%H:%M").to_string(), b.format("%H:%M").to_string());
        if first == last { self.time(from) } else { format!("{}–{last}", self.time(from)) }
    }

    /// `2 h 4 min`.
    pub fn duration(&self, ms: i64) -> String {
        let seconds = ms.max(0) / 1000;
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        let n = |n: i64| ("n", FluentValue::from(n));
        match (days, hours, minutes) {
            (0, 0, 0) => self.text("span-s", &[n(seconds)]),
            (0, 0, _) => self.text("span-min", &[n(minutes)]),
            (0, _, _) if minutes % 60 == 0 => self.text("span-h", &[n(hours)]),
            (0, _, _) => self.text("span-h-min", &[("h", hours.into()), ("min", (minutes % 60).into())]),
            _ if hours % 24 == 0 => self.text("span-d", &[n(days)]),
            _ => self.text("span-d-h", &[n(days), ("h", (hours % 24).into())]),
        }
    }

    /// `20m`: for a title.
    pub fn short_span(&self, ms: i64) -> String {
        let seconds = ms.max(0) / 1000;
        let (key, n) = match seconds {
            ..60 => ("short-s", seconds),
            60..3600 => ("short-min", seconds / 60),
            3600..86_400 => ("short-h", seconds / 3600),
            _ => ("short-d", seconds / 86_400),
        };
        self.text(key, &[("n", n.into())])
    }

    /// Names in a row.
    pub fn list<T: AsRef<str>>(&self, names: &[T]) -> String {
        let comma = format!("{}{}", self.word("list-comma"), self.word("sentence-space"));
        names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(&comma)
    }

    /// As [`Localizer::late`], where how late it is has to be a sentence of its own.
    pub fn late_then(&self, at: Timestamp, what: String) -> String {
        let late = self.now.since(at);
        if late <= super::LATE_AFTER {
            return what;
        }
        self.sentences([self.text("late-then", &[("span", self.duration(late).into())]), what])
    }

    /// The sentence as it is said now, or with how late it is.
    pub fn late(&self, at: Timestamp, what: String) -> String {
        let late = self.now.since(at);
        if late <= super::LATE_AFTER {
            return what;
        }
        self.text("late", &[("span", self.duration(late).into()), ("what", what.into())])
    }
}
