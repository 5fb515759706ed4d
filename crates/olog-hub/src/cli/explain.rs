//! `incident show`, as a person reads it in a terminal.

use olog_proto::name::escape;
use serde_json::Value;

use super::show::Show;
use crate::admin::socket::Explained;

pub(super) fn incident(show: Show, incident: &Value, why: &Explained) -> String {
    let field = |field: &str| incident.get(field).and_then(Value::as_str).map(|text| escape(text.as_bytes()));
    let name = field("name").unwrap_or_default();
    let about = match field("device") {
        Some(device) if device != name => format!("{device}/{name}"),
        _ => name,
    };
    let number = incident.get("id").and_then(Value::as_u64).unwrap_or(0);
    let subject = field("subject").unwrap_or_default();
    let time = |at: olog_proto::At| show.value("at", &Value::from(at.0));
    let mut out = format!("#{number} {about} ({subject})\n{}\n", why.state);
    match (why.next_reminder_at, &why.no_reminder) {
        (Some(at), _) => out.push_str(&format!("next reminder: {}\n", time(at))),
        (None, Some(words)) => out.push_str(&format!("next reminder: {words}\n")),
        (None, None) => {}
    }
    if let Some(text) = field("text").filter(|text| !text.is_empty()) {
        out.push_str("\nlatest text:\n");
        let text = incident.get("text").and_then(Value::as_str).unwrap_or(&text);
        text.lines().take(20).for_each(|line| out.push_str(&format!("  {}\n", escape(line.as_bytes()))));
    }
    if !why.known_by.is_empty() {
        out.push_str("\nfingerprints (‹…› is ignored):\n");
        for known in &why.known_by {
            out.push_str(&format!(
                "  {}\n    = {}\n    = {}\n",
                escape(known.line.as_bytes()),
                known.stays,
                known.fingerprint
            ));
        }
    }
    out.push_str(if why.told.is_empty() { "\nno notification was sent\n" } else { "\nnotifications:\n" });
    for told in &why.told {
        out.push_str(&format!("  {}  {}\n", time(told.made_at), escape(told.title.as_bytes())));
        if !told.why.is_empty() {
            out.push_str(&format!("    why: {}\n", escape(told.why.as_bytes())));
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
