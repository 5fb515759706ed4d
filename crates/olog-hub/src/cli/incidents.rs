//! The verbs of incidents. Numbers are given one by one or as ranges: `incident ack 2 3 5-40`.

use clap::Subcommand;
use olog_proto::name::escape;
use serde_json::Value;

use super::{
    explain, show, silences,
    words::{Context, VerbOutput, VerbResult, number, text},
};
use crate::{
    admin::socket::{Handled, Numbers},
    apply::explain::Explained,
    store::incidents::Incident,
};

#[derive(Debug, Subcommand)]
pub(super) enum IncidentVerb {
    /// List the open incidents.
    List {
        /// Include those that are over.
        #[arg(long)]
        all: bool,
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Explain an incident: which notifications were sent and why, what the services answered, which silence held back what.
    Show {
        /// Its number, as in `#17`.
        #[arg(value_parser = super::number)]
        n: u64,
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Acknowledge incidents: no reminders for 7 days or until they end.
    Ack {
        /// Their numbers, one by one or as ranges: 2 3 5-40. Of a range the open ones are meant.
        #[arg(value_name = "N", required = true, value_parser = range)]
        numbers: Vec<(u64, u64)>,
    },
    /// Never push these errors again. Creates silences without an end; list them with `silence list`, undo with `silence end`.
    NotAnError(silences::NotAnErrorOf),
    /// Close incidents by hand.
    Close {
        /// Their numbers, one by one or as ranges: 2 3 5-40. Of a range the open ones are meant.
        #[arg(value_name = "N", required = true, value_parser = range)]
        numbers: Vec<(u64, u64)>,
    },
}

/// `17`, `#17`, `5-40`, `#5-#40`, `5–40`.
fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("expected a number like 17 or a range like 5-40, found {text:?}");
    let (first, last) = text.split_once(['-', '–']).unwrap_or((text, text));
    let number = |text: &str| text.trim().trim_start_matches('#').parse::<u64>().map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last)?);
    if first > last { Err(wrong()) } else { Ok((first, last)) }
}

pub(super) async fn answer(hub: &Context<'_>, verb: IncidentVerb) -> VerbResult {
    match verb {
        IncidentVerb::List { all, json } => {
            let target = format!("/incidents?all={all}");
            if json {
                return hub.list(&target, true, &[]).await;
            }
            let incidents: Vec<Incident> = hub.client.get(&target).await?;
            Ok(if incidents.is_empty() {
                VerbOutput::sentence(hub.t("cli-no-incident", &[]))
            } else {
                table(hub, &incidents, all).into()
            })
        }
        IncidentVerb::Show { n, json } => show(hub, n, json).await,
        IncidentVerb::Ack { numbers } => handle(hub, "ack", "cli-acknowledged", numbers).await,
        IncidentVerb::Close { numbers } => handle(hub, "close", "cli-closed", numbers).await,
        IncidentVerb::NotAnError(of) => silences::not_an_error(hub, of).await,
    }
}

/// `device/name`; of a device itself its name alone.
pub(super) fn about(incident: &Incident) -> String {
    let name = escape(incident.name.as_bytes());
    match incident.device.as_deref().map(|device| escape(device.as_bytes())) {
        Some(device) if device != name => format!("{device}/{name}"),
        _ => name,
    }
}

/// The word of the state, as in the title of a push.
pub(super) fn state(hub: &Context<'_>, incident: &Incident) -> String {
    let key = match (incident.ended_at, incident.subject.as_str()) {
        (Some(_), _) => "state-over",
        (None, "device") => "state-lost",
        (None, "lost") => "state-task-lost",
        (None, _) => "state-err",
    };
    hub.t(key, &[])
}

pub(super) fn table(hub: &Context<'_>, incidents: &[Incident], all: bool) -> String {
    let word = |heading: &str| hub.say.language.phrase(heading);
    let mut headings = vec!["#".to_owned(), word("STATE"), word("DEVICE/TASK")];
    headings.push(hub.show.heading("at", "SINCE"));
    headings.extend(all.then(|| word("OVER")));
    headings.push(word("ERROR"));
    let row = |incident: &Incident| {
        let mark = if incident.acknowledged_at.is_some() && incident.ended_at.is_none() { "*" } else { "" };
        let mut cells = vec![incident.id.to_string(), state(hub, incident) + mark, about(incident)];
        cells.push(hub.show.time(incident.began_at.0));
        cells.extend(all.then(|| incident.ended_at.map_or("-".to_owned(), |at| hub.show.time(at.0))));
        cells.push(error(incident));
        cells
    };
    let table = hub.show.lines(headings, incidents.iter().map(row).collect());
    let is_marked = |incident: &&Incident| incident.acknowledged_at.is_some() && incident.ended_at.is_none();
    match incidents.iter().find(is_marked) {
        Some(_) => table + &hub.t("cli-acknowledged-mark", &[]) + "\n",
        None => table,
    }
}

/// The last line of its latest text: programs say what failed at the end.
fn error(incident: &Incident) -> String {
    let text = incident.text.as_deref().unwrap_or_default();
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("-");
    escape(line.trim().as_bytes())
}

async fn show(hub: &Context<'_>, n: u64, json: bool) -> VerbResult {
    let mut incident: Value = hub.client.get(&format!("/incident/{n}")).await?;
    if !json {
        let why: Explained = hub.client.get(&format!("/incident/{n}/why")).await?;
        return Ok(explain::incident(hub, &incident, &why).into());
    }
    for (field, from) in [("sent", "sent"), ("explained", "why")] {
        let value: Value = hub.client.get(&format!("/incident/{n}/{from}")).await?;
        incident.as_object_mut().map(|fields| fields.insert(field.to_owned(), value));
    }
    Ok(show::json(&incident).into())
}

/// One sentence for what was done, one for each number that could not be.
async fn handle(hub: &Context<'_>, verb: &str, done: &str, ranges: Vec<(u64, u64)>) -> VerbResult {
    let handled: Handled = hub.client.post(&format!("/incidents/{verb}"), &Numbers { ranges }).await?;
    let each =
        |key: &str, numbers: &[u64]| -> Vec<String> { numbers.iter().map(|n| hub.t(key, &[text("n", n)])).collect() };
    let remarks = [each("cli-incident-over", &handled.over), each("cli-incident-unknown", &handled.unknown)].concat();
    let out = match handled.done.as_slice() {
        [] if remarks.is_empty() => hub.t("cli-none-open", &[]) + "\n",
        [] => String::new(),
        several => {
            let one = several.first().map(|one| format!("#{} {}", one.id, about(one))).unwrap_or_default();
            let numbers = spans(&several.iter().map(|incident| incident.id).collect::<Vec<_>>());
            hub.t(done, &[number("count", several.len()), text("one", one), text("numbers", numbers)]) + "\n"
        }
    };
    Ok(VerbOutput { out, is_failed: !remarks.is_empty(), remarks })
}

/// `#2, #5–#40` of ascending numbers.
fn spans(numbers: &[u64]) -> String {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match spans.last_mut().filter(|(_, last)| last + 1 == *n) {
            Some(span) => span.1 = *n,
            None => spans.push((*n, *n)),
        }
    }
    let word =
        |(first, last): &(u64, u64)| if first == last { format!("#{first}") } else { format!("#{first}–#{last}") };
    spans.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_one_by_one_and_as_ranges() {
        for (typed, expected) in
            [("17", (17, 17)), ("#17", (17, 17)), ("5-40", (5, 40)), ("#5-#40", (5, 40)), ("5–40", (5, 40))]
        {
            assert_eq!(range(typed), Ok(expected), "{typed}");
        }
        for typed in ["", "x", "40-5", "5-", "-5", "1-2-3", "1,2"] {
            assert!(range(typed).unwrap_err().contains("5-40"), "{typed}");
        }
    }

    #[test]
    fn many_numbers_are_named_as_spans() {
        assert_eq!(spans(&[2, 5, 6, 7, 40]), "#2, #5–#7, #40");
        assert_eq!(spans(&[]), "");
    }
}
