//! How a verb answers: its context, and sentences from the catalogue in the hub's language.

use std::fmt::Display;

use olog_daemon::{
    clock::Clock,
    service::Exit,
    socket::{AskError, Client},
};
use olog_proto::Timestamp;
use olog_push::words::{Arg, LANGUAGES, Language, Localizer};
use serde_json::Value;

use super::show::{self, Column, Show};
use crate::admin::socket::{Locale, Remark};

/// What every verb of the running hub has at hand.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) client: &'a Client,
    /// The hub's language and time zone.
    pub(super) say: Localizer,
    pub(super) show: Show,
}

/// What a verb prints, and how it ends.
#[derive(Debug, Default)]
pub(super) struct VerbOutput {
    /// For stdout.
    pub(super) out: String,
    /// Sentences for stderr.
    pub(super) remarks: Vec<String>,
    /// Something that was asked for was not done.
    pub(super) is_failed: bool,
}

impl From<String> for VerbOutput {
    fn from(out: String) -> VerbOutput {
        VerbOutput { out, ..VerbOutput::default() }
    }
}

impl VerbOutput {
    /// One sentence.
    pub(super) fn sentence(words: String) -> VerbOutput {
        VerbOutput::from(words + "\n")
    }

    /// The program's exit code.
    pub(super) fn exit(&self) -> Exit {
        if self.is_failed { Exit::Failed } else { Exit::Ok }
    }
}

pub(super) type VerbResult = Result<VerbOutput, AskError>;

impl<'a> Context<'a> {
    /// Asks the hub for its language and time zone: the verbs need no file of its configuration.
    pub(super) async fn of(client: &'a Client) -> Result<Context<'a>, AskError> {
        let about: Locale = client.get("/about").await?;
        let language = LANGUAGES.iter().find(|(name, _)| *name == about.language).map(|(_, language)| *language);
        let timezone = about.timezone.parse().unwrap_or(chrono_tz::Tz::UTC);
        let language = language.unwrap_or(Language::En);
        let say = Localizer { language, timezone, now: Clock::system().now() };
        Ok(Context { client, say, show: Show::new(timezone, language) })
    }

    /// A sentence of the catalogue.
    pub(super) fn t(&self, key: &str, args: &[Arg<'_>]) -> String {
        self.say.text(key, args)
    }

    /// A list of the hub: as JSON, or as a table.
    pub(super) async fn list(&self, target: &str, json: bool, columns: &[Column]) -> VerbResult {
        let rows: Value = self.client.get(target).await?;
        Ok(if json { show::json(&rows) } else { self.show.table(&rows, columns) }.into())
    }

    /// As [`Context::list`]; in the table, `field` says of the rows of old clients (olog.py) that they are, and of a device's
    /// version that there is a newer one.
    pub(super) async fn list_marked(&self, target: &str, json: bool, columns: &[Column], field: &str) -> VerbResult {
        let mut rows: Value = self.client.get(target).await?;
        if json {
            return Ok(show::json(&rows).into());
        }
        for row in rows.as_array_mut().into_iter().flatten() {
            let is_legacy = row.get("legacy") == Some(&Value::Bool(true));
            let newer = row.get("newer").and_then(Value::as_str).map(str::to_owned);
            // The task itself may be well: its device is what was lost.
            if row.get("device_lost") == Some(&Value::Bool(true))
                && let Some(Value::String(state)) = row.get_mut("state")
                && *state == "LOST"
            {
                *state = "device LOST".to_owned();
            }
            if let Some(Value::String(name)) = row.get_mut(field) {
                if is_legacy {
                    *name = self.t("cli-legacy", &[text("name", &*name)]);
                } else if let Some(newer) = newer {
                    *name = self.t("cli-device-behind", &[text("version", &*name), text("newer", newer)]);
                }
            }
        }
        Ok(self.show.table(&rows, columns).into())
    }

    /// A name that means nothing to the hub.
    pub(super) fn remark(&self, remark: &Remark) -> String {
        let nearest = remark.nearest.as_deref().unwrap_or_default();
        let args = [("what", remark.what.as_str().into()), ("name", remark.name.as_str().into())];
        let (key, nearest) = if nearest.is_empty() { ("cli-unknown", "") } else { ("cli-unknown-near", nearest) };
        self.t(key, &[args[0].clone(), args[1].clone(), ("nearest", nearest.into())])
    }

    /// An instant with its day, unless that is today.
    pub(super) fn time(&self, at: Timestamp) -> String {
        self.say.time(at)
    }
}

/// A named text within a sentence.
pub(super) fn text(name: &'static str, value: impl Display) -> Arg<'static> {
    (name, value.to_string().into())
}

/// A named number within a sentence, by which it chooses singular or plural.
pub(super) fn number(name: &'static str, value: usize) -> Arg<'static> {
    (name, value.into())
}
