//! Quiet hours: the part of each day in which good news and old news do not ring by themselves.
//!
//! `[alerts] quiet = "22:00-08:00"`, in the reader's time zone; `""` turns it off. The dispatcher (`outbox`) asks
//! [`QuietHours::ends_at`] before it begins a message that holds nothing urgent: such a message waits until then, unless a
//! more urgent one leaves earlier and takes it along. Errors and losses ring at any time. Pure.

use chrono::NaiveTime;
use chrono_tz::Tz;
use olog_proto::Timestamp;

use crate::rules::budget::Urgency;
use olog_proto::schedule::Schedule;

/// A part of the day, which may cross midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietSpan {
    /// From this time of day …
    pub from: NaiveTime,
    /// … until this one.
    pub until: NaiveTime,
}

impl QuietSpan {
    /// Reads `HH:MM-HH:MM`; the empty text is no quiet span at all.
    pub fn parse(text: &str) -> Result<Option<QuietSpan>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").ok();
        let span = text.split_once('-').and_then(|(from, until)| Some((time(from)?, time(until)?)));
        match span {
            Some((from, until)) if from != until => Ok(Some(QuietSpan { from, until })),
            _ => Err(format!("expected two times of day like \"22:00-08:00\", or \"\" for none, found {text:?}")),
        }
    }
}

impl std::fmt::Display for QuietSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.from.format("%H:%M"), self.until.format("%H:%M"))
    }
}

/// The quiet hours of one reader.
#[derive(Debug, Clone)]
pub struct QuietHours {
    span: QuietSpan,
    /// When they end, each day.
    end: Schedule,
    zone: Tz,
}

impl QuietHours {
    /// This span, in this time zone.
    pub fn new(span: QuietSpan, zone: Tz) -> Option<QuietHours> {
        Some(QuietHours { span, end: Schedule::daily(&[span.until])?, zone })
    }

    /// When the quiet hours that are now end; `None`: it is not a quiet hour.
    pub fn ends_at(&self, now: Timestamp) -> Option<Timestamp> {
        let local = chrono::DateTime::from_timestamp_millis(now.0)?.with_timezone(&self.zone).time();
        let QuietSpan { from, until } = self.span;
        let is_quiet = if from < until { (from..until).contains(&local) } else { local >= from || local < until };
        if is_quiet { self.end.next_after(now, self.zone) } else { None }
    }
}

/// What was put into the outbox longer ago had to wait: in quiet hours it is not news any more.
const FRESH_FOR: i64 = 10 * 60_000;

/// May what was put into the outbox then begin a message in quiet hours?
pub fn rings(urgency: Urgency, put_at: Timestamp, now: Timestamp) -> bool {
    match urgency {
        Urgency::Asked | Urgency::FirstSign | Urgency::Report | Urgency::Trouble => true,
        Urgency::CanWait => now.since(put_at) <= FRESH_FOR,
        Urgency::OldNews | Urgency::Stranger => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(text: &str) -> Timestamp {
        Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    fn hours(span: &str, zone: Tz) -> QuietHours {
        QuietHours::new(QuietSpan::parse(span).unwrap().unwrap(), zone).unwrap()
    }

    #[test]
    fn the_night_is_quiet_until_eight_and_the_day_is_not() {
        let night = hours("22:00-08:00", chrono_tz::Asia::Shanghai);
        let eight = at("2026-11-23T08:00:00+08:00");
        for quiet in ["2026-11-22T22:00:00+08:00", "2026-11-23T00:00:00+08:00", "2026-11-23T07:59:59.999+08:00"] {
            assert_eq!(night.ends_at(at(quiet)), Some(eight), "{quiet}");
        }
        for loud in ["2026-11-23T08:00:00+08:00", "2026-11-23T21:59:59+08:00", "2026-11-23T12:00:00+08:00"] {
            assert_eq!(night.ends_at(at(loud)), None, "{loud}");
        }
        let noon = hours("12:00-14:00", chrono_tz::Asia::Shanghai);
        assert_eq!(noon.ends_at(at("2026-11-23T13:00:00+08:00")), Some(at("2026-11-23T14:00:00+08:00")));
        assert_eq!(noon.ends_at(at("2026-11-23T15:00:00+08:00")), None);
    }

    #[test]
    fn a_night_in_which_the_clock_changes_ends_at_eight_as_well() {
        let night = hours("22:00-08:00", chrono_tz::Europe::Berlin);
        // Nine hours long in spring, eleven in autumn.
        let spring = at("2026-03-28T22:00:00+01:00");
        assert_eq!(night.ends_at(spring), Some(spring.plus(9 * HOUR)));
        let autumn = at("2026-10-24T22:00:00+02:00");
        assert_eq!(night.ends_at(autumn), Some(autumn.plus(11 * HOUR)));
        // An end that does not exist in spring is the next time that does.
        let gap = hours("22:00-02:30", chrono_tz::Europe::Berlin);
        assert_eq!(gap.ends_at(at("2026-03-29T01:00:00+01:00")), Some(at("2026-03-29T03:00:00+02:00")));
    }

    #[test]
    fn what_is_no_span_is_refused_and_nothing_means_none() {
        assert_eq!(QuietSpan::parse("").unwrap(), None);
        assert_eq!(QuietSpan::parse(" 22:00 - 08:00 ").unwrap().unwrap().to_string(), "22:00-08:00");
        for wrong in ["22:00", "22-8", "25:00-08:00", "08:00-08:00", "-", "22:00-08:00-09:00"] {
            assert!(QuietSpan::parse(wrong).is_err(), "{wrong}");
        }
    }
}
