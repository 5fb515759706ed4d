//! Rows of the pages: an incident, a device, a task, an event, each put into the reader's words once. States are told by word and shape, not by
//! colour alone.

use olog_proto::Timestamp;
use olog_push::{notice::ProblemKind, words::Localizer};

use super::place::address;
use crate::{
    rules::{
        report::page::{StateForm, form},
        state::State,
    },
    store::{fleet::FleetDevice, history::EventRow, incidents::Incident},
};

/// Characters of the line that tells what an error is.
const TELLING: usize = 200;

/// The page of a device.
pub(in crate::web) fn device_address(name: &str) -> String {
    address("/device", &[("name", name)])
}

/// The page of a task.
pub(in crate::web) fn task_address(device: &str, task: &str) -> String {
    address("/task", &[("device", device), ("name", task)])
}

/// An incident in a list.
#[derive(Debug)]
pub(in crate::web) struct IncidentLine {
    pub(in crate::web) id: u64,
    pub(in crate::web) form: StateForm,
    pub(in crate::web) name: String,
    pub(in crate::web) telling: String,
    pub(in crate::web) meta: Vec<String>,
    pub(in crate::web) is_acknowledged: bool,
    pub(in crate::web) is_open: bool,
}

impl IncidentLine {
    pub(in crate::web) fn new(say: &Localizer, incident: &Incident) -> IncidentLine {
        let time = |at: Timestamp| say.time(at).into();
        let mut meta = vec![match incident.ended_at {
            None => {
                let span = say.duration(say.now.since(incident.began_at));
                say.text("page-since", &[("time", time(incident.began_at)), ("span", span.into())])
            }
            Some(ended_at) => say.range(incident.began_at, ended_at),
        }];
        if incident.n_seen > 1 {
            meta.push(say.text("page-times", &[("n", incident.n_seen.into())]));
        }
        meta.extend(match (incident.acknowledged_at, incident.ended_at) {
            (Some(at), _) => Some(say.text("page-acknowledged", &[("time", time(at))])),
            (None, None) => Some(say.word("report-not-acknowledged")),
            (None, Some(_)) => None,
        });
        IncidentLine {
            id: incident.id,
            form: form_of(say, incident),
            name: name_of(incident),
            telling: incident.text.as_deref().map(telling).unwrap_or_default(),
            meta,
            is_acknowledged: incident.acknowledged_at.is_some(),
            is_open: incident.ended_at.is_none(),
        }
    }
}

/// What an incident is about.
pub(in crate::web) fn name_of(incident: &Incident) -> String {
    match &incident.device {
        Some(device) if *device != incident.name => format!("{device}/{}", incident.name),
        _ => incident.name.clone(),
    }
}

/// Word and shape of an incident's trouble; of one that is over OK.
pub(in crate::web) fn form_of(say: &Localizer, incident: &Incident) -> StateForm {
    if incident.ended_at.is_some() {
        return form(say, State::Ok, false);
    }
    let (state, trouble) = match incident.subject.as_str() {
        "device" => (State::Lost, ProblemKind::DeviceLost),
        "lost" => (State::Lost, ProblemKind::TaskLost),
        "note" => (State::Err, ProblemKind::Note),
        "channel" => (State::Err, ProblemKind::Channel),
        _ => (State::Err, ProblemKind::TaskErr),
    };
    StateForm { word: say.trouble(trouble), ..form(say, state, false) }
}

/// The last line of a text that says something: programs say last what stopped them.
pub(in crate::web) fn telling(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(TELLING) {
        None => line.to_owned(),
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
    }
}

/// A device in the overview.
#[derive(Debug)]
pub(in crate::web) struct DeviceTile {
    pub(in crate::web) form: StateForm,
    pub(in crate::web) name: String,
    pub(in crate::web) address: String,
    pub(in crate::web) counts: String,
    pub(in crate::web) is_new: bool,
}

impl DeviceTile {
    pub(in crate::web) fn new(say: &Localizer, device: &FleetDevice, new_since: Timestamp) -> DeviceTile {
        let counts = [("report-n-err", device.n_err), ("report-n-task-lost", device.n_lost)];
        let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(key, n)| say.text(key, &[("n", (*n).into())]));
        DeviceTile {
            form: form(say, device.state, false),
            name: device.name.clone(),
            address: device_address(&device.name),
            counts: counts.collect::<Vec<_>>().join(" "),
            is_new: device.joined_at > new_since,
        }
    }
}

/// An instant: how long ago it was, exactly when for who points at it, and for programs.
#[derive(Debug)]
pub(in crate::web) struct When {
    pub(in crate::web) ago: String,
    pub(in crate::web) exact: String,
    pub(in crate::web) iso: String,
}

impl When {
    /// The hub computes it: a browser's clock may be wrong.
    pub(in crate::web) fn new(say: &Localizer, at: Timestamp) -> When {
        const UNITS: [i64; 3] = [86_400_000, 3_600_000, 60_000];
        let span = say.now.since(at);
        let ago = match UNITS.iter().find(|unit| span >= **unit) {
            Some(unit) => say.text("web-ago", &[("span", say.duration(span / unit * unit).into())]),
            None => say.word("web-just-now"),
        };
        let iso = chrono::DateTime::from_timestamp_millis(at.0).unwrap_or_default();
        let iso = iso.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        When { ago, exact: format!("{} {}", say.time_exact(at), say.timezone.name()), iso }
    }
}

/// An event in a list.
#[derive(Debug)]
pub(in crate::web) struct EventLine {
    pub(in crate::web) form: StateForm,
    pub(in crate::web) when: When,
    pub(in crate::web) name: String,
    pub(in crate::web) address: String,
    pub(in crate::web) meta: Vec<String>,
    pub(in crate::web) text: String,
}

impl EventLine {
    pub(in crate::web) fn new(say: &Localizer, row: &EventRow) -> EventLine {
        let failed = row.signal.is_some() || row.exit.is_some_and(|exit| exit != 0);
        let mark = match row.kind.as_str() {
            "err" | "scanerr" => ("err", "▲"),
            "run_ended" if failed => ("err", "▲"),
            "log" | "run_ended" => ("ok", "●"),
            _ => ("dim", "·"),
        };
        let mut meta = Vec::new();
        meta.extend(row.exit.map(|exit| say.text("web-exit", &[("n", exit.to_string().into())])));
        meta.extend(row.signal.map(|signal| say.text("web-signal", &[("n", signal.to_string().into())])));
        meta.extend(row.duration.map(|ms| say.duration(i64::try_from(ms).unwrap_or(i64::MAX))));
        meta.extend(row.by.as_ref().map(ToString::to_string));
        meta.extend(row.path.clone());
        EventLine {
            form: StateForm { class: mark.0, mark: mark.1, word: row.kind.clone() },
            when: When::new(say, row.at),
            name: row.task.as_ref().map_or_else(|| row.device.clone(), |task| format!("{}/{task}", row.device)),
            address: row
                .task
                .as_ref()
                .map_or_else(|| device_address(&row.device), |task| task_address(&row.device, task)),
            meta,
            text: row.text.trim_end().to_owned(),
        }
    }
}
