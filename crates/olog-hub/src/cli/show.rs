//! Rows of the hub as a table in a terminal, headings and fixed words in the hub's language.
//!
//! A table fits the terminal: where it is too wide, the widest columns are cut, marked by `…`. In a pipe nothing is cut. Wide
//! characters (Chinese) count as two columns. Times are in the hub's time zone, which the first heading of a time names.
//! [`clean`] is the last step before anything is printed: no text of a device reaches the terminal with control or
//! bidirectional characters in it.

use std::io::IsTerminal as _;

use chrono::{TimeZone as _, Utc};
use chrono_tz::Tz;
use olog_push::words::{Language, phrases::in_chinese};
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A column: the field of the row, and its heading.
pub(super) type Column = (&'static str, &'static str);

pub(super) const DEVICES: &[Column] = &[
    ("name", "NAME"),
    ("connected", "CONNECTED"),
    ("heard_at", "LAST SEEN"),
    ("address", "ADDRESS"),
    ("version", "VERSION"),
    ("key_at", "KEY SINCE"),
];
pub(super) const PENDING: &[Column] = &[("name", "NAME"), ("key", "KEY"), ("peer", "FROM"), ("heard_at", "LAST SEEN")];
pub(super) const PACKAGES: &[Column] = &[
    ("architecture", "ARCHITECTURE"),
    ("version", "VERSION"),
    ("size", "SIZE"),
    ("added_at", "ADDED"),
    ("sha256", "SHA256"),
];
pub(super) const TASKS: &[Column] = &[
    ("device", "DEVICE"),
    ("task", "TASK"),
    ("state", "STATE"),
    ("incident", "INCIDENT"),
    ("expected", "EXPECTED"),
    ("due_at", "DUE"),
    ("last_good_at", "LAST GOOD"),
    ("last_error_at", "LAST ERROR"),
    ("was", "FORMER NAMES"),
];
pub(super) const SILENCES: &[Column] = &[
    ("id", "#"),
    ("device", "DEVICE"),
    ("task", "TASK"),
    ("fingerprint", "ERROR"),
    ("is_now", "ACTIVE"),
    ("from_at", "FROM"),
    ("until_at", "UNTIL"),
    ("every", "EVERY"),
    ("lasts", "FOR"),
    ("n_held", "HELD"),
    ("made_by", "BY"),
    ("comment", "COMMENT"),
];
pub(super) const REPORTS: &[Column] = &[
    ("id", "#"),
    ("to_at", "UNTIL"),
    ("from_at", "FROM"),
    ("kind", "KIND"),
    ("to_do", "TO DO"),
    ("ok", "OK"),
    ("err", "ERR"),
    ("lost", "LOST"),
    ("page", "PAGE"),
    ("link", "LINK"),
];
pub(super) const CHANNELS: &[Column] = &[
    ("name", "NAME"),
    ("type", "TYPE"),
    ("state", "STATE"),
    ("waiting", "WAITING"),
    ("oldest_at", "OLDEST"),
    ("used", "USED"),
    ("left", "LEFT"),
    ("next_slot_at", "NEXT SLOT"),
    ("receivers", "RECEIVERS"),
    ("limits", "LIMITS"),
    ("refused", "REFUSED"),
    ("why", "LAST ERROR"),
];

pub(super) const USERS: &[Column] = &[
    ("name", "NAME"),
    ("scope", "SCOPE"),
    ("totp", "SECOND FACTOR"),
    ("sessions", "SESSIONS"),
    ("made_at", "ADDED"),
    ("signed_in_at", "LAST SIGN-IN"),
];
pub(super) const TOKENS: &[Column] = &[
    ("name", "NAME"),
    ("scope", "SCOPE"),
    ("expires_at", "EXPIRES"),
    ("used_at", "LAST USED"),
    ("made_at", "ADDED"),
    ("made_by", "CREATED BY"),
];
pub(super) const AUDIT: &[Column] = &[
    ("id", "#"),
    ("last_at", "TIME"),
    ("actor", "WHO"),
    ("action", "WHAT"),
    ("subject", "SUBJECT"),
    ("outcome", "OUTCOME"),
    ("n", "COUNT"),
    ("origin", "ORIGIN"),
    ("detail", "DETAILS"),
];

/// Fields with words of the hub, such as `ERR`; all other texts are names or texts of people and programs.
const FIXED_WORDS: [&str; 2] = ["state", "kind"];

/// The narrowest that a column becomes: first the one, and if that is not enough the other.
const NARROWEST: [usize; 2] = [16, 8];

/// How values are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    /// Of all times.
    pub(super) zone: Tz,
    /// Of headings, and of words that are no names.
    pub(super) language: Language,
    /// Columns of the terminal; `None`: not a terminal, so nothing is cut.
    pub(super) width: Option<usize>,
}

pub(super) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

impl Show {
    /// For stdout.
    pub(super) fn new(zone: Tz, language: Language) -> Show {
        let out = std::io::stdout();
        let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten();
        Show { zone, language, width: size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0) }
    }

    /// Rows of an answer under headings.
    pub(super) fn table(self, rows: &Value, columns: &[Column]) -> String {
        let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
        let headings: Vec<String> = columns.iter().map(|(field, heading)| self.heading(field, heading)).collect();
        // The zone stands once.
        let first = columns.iter().position(|(field, _)| is_time(field));
        let headings = headings.into_iter().zip(columns).enumerate();
        let headings =
            headings.map(|(i, (named, (_, plain)))| if Some(i) == first { named } else { self.language.phrase(plain) });
        let cell = |row: &Value, field: &str| self.value(field, row.get(field).unwrap_or(&Value::Null));
        let cells = rows.iter().map(|row| columns.iter().map(|(field, _)| cell(row, field)).collect());
        self.lines(headings.collect(), cells.collect())
    }

    /// A heading; of a time with the time zone.
    pub(super) fn heading(self, field: &str, heading: &str) -> String {
        let heading = self.language.phrase(heading);
        if is_time(field) { format!("{heading} ({})", self.zone.name()) } else { heading }
    }

    /// Cells under headings, each column as wide as its widest cell unless that is too wide.
    pub(super) fn lines(self, headings: Vec<String>, rows: Vec<Vec<String>>) -> String {
        let lines: Vec<Vec<String>> = std::iter::once(headings).chain(rows).collect();
        let n = lines.first().map_or(0, Vec::len);
        let widest = |i: usize| lines.iter().filter_map(|line| line.get(i)).map(|cell| cell.width()).max();
        let mut widths: Vec<usize> = (0..n).map(|i| widest(i).unwrap_or(0)).collect();
        if let Some(width) = self.width {
            fit(&mut widths, width);
        }
        let mut out = String::new();
        for line in &lines {
            let cells = line.iter().zip(&widths).map(|(cell, wide)| {
                let cell = cut(cell, *wide);
                let missing = wide.saturating_sub(cell.width());
                cell + &" ".repeat(missing)
            });
            out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            out.push('\n');
        }
        out
    }

    pub(super) fn value(self, field: &str, value: &Value) -> String {
        match value {
            Value::Null => "-".to_owned(),
            Value::Bool(true) => self.language.phrase("yes"),
            Value::Bool(false) => self.language.phrase("no"),
            Value::Number(n) => n.as_i64().filter(|_| is_time(field)).map_or_else(|| n.to_string(), |ms| self.time(ms)),
            Value::String(word) if self.language == Language::ZhCn && FIXED_WORDS.contains(&field) => {
                in_chinese(&format!("{field} {word}")).unwrap_or_else(|| word.clone())
            }
            // What devices sent is free of controls by its types; this makes sure of the rest.
            Value::String(text) => olog_proto::name::escape(text.as_bytes()),
            Value::Array(items) => items.iter().map(|item| self.value(field, item)).collect::<Vec<_>>().join(", "),
            Value::Object(_) => value.to_string(),
        }
    }

    /// An instant in ms, to the second: what stands in a list is looked for in the journal.
    pub(super) fn time(self, ms: i64) -> String {
        let at = Utc.timestamp_millis_opt(ms).single();
        at.map_or_else(|| ms.to_string(), |at| at.with_timezone(&self.zone).format("%Y-%m-%d %H:%M:%S").to_string())
    }
}

fn is_time(field: &str) -> bool {
    field == "at" || field.ends_with("_at")
}

/// Narrows the widest columns until the line fits.
fn fit(widths: &mut [usize], width: usize) {
    let spaces = 2 * widths.len().saturating_sub(1);
    for narrowest in NARROWEST {
        while widths.iter().sum::<usize>() + spaces > width {
            let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > narrowest) else { break };
            *widest -= 1;
        }
    }
}

/// The text in so many columns.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let wide = c.width().unwrap_or(0);
        let is_room = wide <= left;
        left = left.saturating_sub(wide);
        is_room
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[("id", "#"), ("device", "DEVICE"), ("name", "WHAT"), ("began_at", "BEGAN"), ("ended_at", "OVER")];

    fn rows() -> Value {
        serde_json::json!([
            {"id": 17, "device": "备份", "name": "mysql", "began_at": 0, "n_seen": 3},
            {"id": 5, "device": "comsrv", "name": "a\u{1b}b", "began_at": 86_400_000, "n_seen": 1}
        ])
    }

    #[test]
    fn rows_stand_under_their_headings_whatever_the_script_and_the_first_time_names_the_zone() {
        let shown =
            Show { zone: chrono_tz::Asia::Shanghai, language: Language::En, width: None }.table(&rows(), COLUMNS);
        assert_eq!(
            shown,
            "#   DEVICE  WHAT    BEGAN (Asia/Shanghai)  OVER\n\
             17  备份    mysql   1970-01-01 08:00:00    -\n\
             5   comsrv  a\\x1bb  1970-01-02 08:00:00    -\n"
        );
    }

    #[test]
    fn every_heading_is_translated_and_so_are_words_but_no_names() {
        let tables = [DEVICES, PENDING, TASKS, SILENCES, REPORTS, CHANNELS, USERS, TOKENS, AUDIT];
        for (_, heading) in tables.into_iter().flatten().filter(|(_, heading)| *heading != "#") {
            assert!(!Language::ZhCn.phrase(heading).is_ascii(), "{heading}");
        }
        let rows = serde_json::json!([{"device": "ERR", "task": "yes", "state": "ERR", "expected": true, "due_at": 0}]);
        let shown = Show { zone: Tz::UTC, language: Language::ZhCn, width: None }.table(&rows, TASKS);
        assert!(shown.starts_with("设备  任务  状态  故障  应运行  应运行时间 (UTC)"), "{shown}");
        assert!(shown.contains("\nERR   yes   异常  -     是      1970-01-01 00:00:00"), "{shown}");
    }

    #[test]
    fn a_table_fits_the_terminal_and_a_wide_character_is_never_halved() {
        let show = Show { zone: Tz::UTC, language: Language::En, width: Some(30) };
        let long = "磁盘空间不足，请立即检查".to_owned();
        let shown = show.lines(vec!["#".into(), "ERROR".into()], vec![vec!["1".into(), long.clone()]]);
        assert_eq!(shown, format!("#  ERROR\n1  {long}\n"), "24 columns fit");
        let shown =
            Show { width: Some(20), ..show }.lines(vec!["#".into(), "ERROR".into()], vec![vec!["1".into(), long]]);
        assert_eq!(shown, "#  ERROR\n1  磁盘空间不足，请…\n");
        assert!(shown.lines().all(|line| line.width() <= 20));
    }

    #[test]
    fn a_very_narrow_terminal_still_shows_every_column() {
        let show = Show { zone: Tz::UTC, language: Language::En, width: Some(10) };
        let cells = || vec!["abcdefghijklmnop".to_owned(); 3];
        assert_eq!(show.lines(cells(), vec![]), "abcdefg…  abcdefg…  abcdefg…\n");
    }
}
