//! `incident show`, as a person reads it in a terminal, in the hub's language.

use olog_proto::name::escape;
use olog_push::words::Arg;
use serde_json::Value;

use super::words::{Context, text};
use crate::apply::explain::Explained;

pub(super) fn incident(hub: &Context<'_>, incident: &Value, why: &Explained) -> String {
    let field = |field: &str| incident.get(field).and_then(Value::as_str).map(|text| escape(text.as_bytes()));
    let name = field("name").unwrap_or_default();
    let about = match field("device") {
        Some(device) if device != name => format!("{device}/{name}"),
        _ => name,
    };
    let number = incident.get("id").and_then(Value::as_u64).unwrap_or(0);
    let time = |at: olog_proto::Timestamp| hub.show.time(at.0);
    let mut out = format!("#{number} {about}\n{}\n", why.state);
    let mut line = |key: &str, args: &[Arg<'_>]| out.push_str(&(hub.t(key, args) + "\n"));
    match (why.next_reminder_at, &why.no_reminder) {
        (Some(at), _) => line("cli-next-reminder", &[text("time", time(at))]),
        (None, Some(words)) => line("cli-no-reminder", &[text("why", words)]),
        (None, None) => {}
    }
    if let Some(by) = &why.error_by {
        line("cli-error-by", &[text("user", escape(by.to_string().as_bytes()))]);
    }
    if let Some(by) = &why.end_by {
        line("cli-end-by", &[text("user", escape(by.to_string().as_bytes()))]);
    }
    if let Some(latest) = field("text").filter(|latest| !latest.is_empty()) {
        out.push_str(&format!("\n{}\n", hub.t("cli-latest-text", &[])));
        let latest = incident.get("text").and_then(Value::as_str).unwrap_or(&latest);
        latest.lines().take(20).for_each(|line| out.push_str(&format!("  {}\n", escape(line.as_bytes()))));
    }
    if !why.known_by.is_empty() {
        out.push_str(&format!("\n{}\n", hub.t("cli-fingerprints", &[])));
        for known in &why.known_by {
            out.push_str(&format!(
                "  {}\n    = {}\n    = {}\n",
                escape(known.line.as_bytes()),
                known.stays,
                known.fingerprint
            ));
        }
    }
    let key = if why.told.is_empty() { "cli-no-notifications" } else { "cli-notifications" };
    out.push_str(&format!("\n{}\n", hub.t(key, &[])));
    for told in &why.told {
        out.push_str(&format!("  {}  {}\n", time(told.made_at), escape(told.title.as_bytes())));
        if !told.why.is_empty() {
            let why = hub.t("why", &[text("why", escape(told.why.as_bytes()))]);
            out.push_str(&format!("    {why}\n"));
        }
        for through in &told.channels {
            out.push_str(&format!(
                "    {}: {}\n",
                escape(through.channel.as_bytes()),
                escape(through.words.as_bytes())
            ));
            for answer in &through.answers {
                let words = [&answer.receiver, &answer.outcome, &answer.answer].map(|text| escape(text.as_bytes()));
                let [receiver, outcome, words] = words;
                out.push_str(&format!("      {receiver} {outcome} {}: {words}\n", time(answer.at)));
            }
        }
    }
    out
}
