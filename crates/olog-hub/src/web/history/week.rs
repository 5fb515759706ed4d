//! The next seven days of silences as a picture, days by hours, with a bar for each silence and each window; and the same in words, day by day, for who
//! does not see the picture. Days and hours are those of the hub's zone. Pure.

use std::fmt::Write as _;

use chrono::{DateTime, Days, LocalResult, NaiveDate, TimeZone as _, Timelike as _};
use chrono_tz::Tz;
use olog_proto::Timestamp;
use olog_push::words::Localizer;

use crate::rules::silence::{Period, Silence};

/// Days that are shown.
const DAYS: u64 = 7;
/// Windows of one silence that are drawn: one that comes every few minutes is told in the list.
const WINDOWS_MAX: usize = 100;
/// Bars of one day that are drawn and told.
const BARS_MAX: usize = 60;
/// Bars of one day that lie beside each other; further ones lie over the last.
const LANES_MAX: usize = 6;
/// The picture's measures: the names of the days, an hour, a bar, what is above and between.
const NAMES: u64 = 40;
const HOUR: u64 = 12;
const BAR: u64 = 9;
const TOP: u64 = 14;
const GAP: u64 = 6;
const DAY_S: u64 = 86_400;

/// A day in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WeekDay {
    pub(super) name: String,
    /// `02:00–04:00 #3 web-*`, by time.
    pub(super) lines: Vec<String>,
    bars: Vec<Bar>,
}

#[derive(Debug, PartialEq, Eq)]
struct Bar {
    lane: usize,
    /// Seconds of the day.
    from: u64,
    to: u64,
    words: String,
}

/// Seven days.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Week {
    pub(super) days: Vec<WeekDay>,
}

/// The instant at which a day begins; where clocks go forward at midnight, the first one that exists.
pub(super) fn midnight(day: NaiveDate, zone: Tz) -> Option<DateTime<Tz>> {
    (0..4).find_map(|hour| match zone.from_local_datetime(&day.and_hms_opt(hour, 0, 0)?) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at),
        LocalResult::None => None,
    })
}

impl Week {
    /// From today on. An error that is none for ever is no part of a week.
    pub(super) fn new(say: &Localizer, silences: &[Silence], what: impl Fn(u64) -> String) -> Week {
        let zone = say.timezone;
        let today = DateTime::from_timestamp_millis(say.now.0).unwrap_or_default().with_timezone(&zone).date_naive();
        let is_drawn = |silence: &&Silence| silence.scope.fingerprint.is_none() || silence.period.until.is_some();
        let drawn: Vec<&Silence> = silences.iter().filter(is_drawn).collect();
        let day = |n: u64| {
            let date = today.checked_add_days(Days::new(n))?;
            let (begin, end) = (midnight(date, zone)?, midnight(date.succ_opt()?, zone)?);
            Some(WeekDay::new(say, (begin, end), &drawn, &what))
        };
        Week { days: (0..DAYS).filter_map(day).collect() }
    }

    /// The picture; empty if there is nothing to draw.
    pub(super) fn svg(&self, label: &str) -> String {
        if self.days.iter().all(|day| day.bars.is_empty()) {
            return String::new();
        }
        let mut drawn = String::new();
        let mut y = TOP;
        for day in &self.days {
            let n_lanes = day.bars.iter().map(|bar| bar.lane + 1).max().unwrap_or(1);
            let height = n_lanes as u64 * BAR;
            // A text grows without an error.
            let mut add = |text: std::fmt::Arguments<'_>| drawn.write_fmt(text).unwrap_or_default();
            add(format_args!("<text x=\"0\" y=\"{}\">{}</text>", y + BAR - 1, escaped(&day.name)));
            add(format_args!("<path class=\"wd\" d=\"M{NAMES} {y}h{}v{height}h-{}z\"/>", 24 * HOUR, 24 * HOUR));
            for bar in &day.bars {
                let x = |seconds: u64| NAMES + seconds * 24 * HOUR / DAY_S;
                let (from, to) = (x(bar.from), x(bar.to).max(x(bar.from) + 2));
                let top = y + bar.lane as u64 * BAR + 1;
                let words = escaped(&bar.words);
                add(format_args!(
                    "<rect class=\"wb\" x=\"{from}\" y=\"{top}\" width=\"{}\" height=\"{}\"><title>{words}</title></rect>",
                    to - from,
                    BAR - 2
                ));
            }
            y += height + GAP;
        }
        let hours = [0, 6, 12, 18].map(|hour| {
            let x = NAMES + hour * HOUR;
            format!("<text x=\"{x}\" y=\"9\">{hour:02}</text><path class=\"wh\" d=\"M{x} {TOP}V{y}\"/>")
        });
        let (width, label) = (NAMES + 24 * HOUR, escaped(label));
        format!(
            "<svg class=\"week\" viewBox=\"0 0 {width} {y}\" role=\"img\" aria-label=\"{label}\">{}{drawn}</svg>",
            hours.concat()
        )
    }
}

impl WeekDay {
    fn new(
        say: &Localizer,
        (begin, end): (DateTime<Tz>, DateTime<Tz>),
        silences: &[&Silence],
        what: &impl Fn(u64) -> String,
    ) -> WeekDay {
        let (from, to) = (Timestamp(begin.timestamp_millis()), Timestamp(end.timestamp_millis()));
        let mut windows: Vec<(Period, u64)> = Vec::new();
        for silence in silences {
            windows.extend(silence.windows(from, to, WINDOWS_MAX).into_iter().map(|window| (window, silence.id)));
        }
        windows.sort_by_key(|(window, id)| (window.from.max(from), *id));
        windows.truncate(BARS_MAX);
        let mut lanes: Vec<Timestamp> = Vec::new();
        let (mut lines, mut bars) = (Vec::new(), Vec::new());
        for (window, id) in windows {
            let until = window.until.unwrap_or(to).min(to);
            let starts = window.from.max(from);
            let lane = lanes.iter().position(|busy| *busy <= starts).unwrap_or(lanes.len()).min(LANES_MAX - 1);
            match lanes.get_mut(lane) {
                Some(busy) => *busy = until.max(*busy),
                None => lanes.push(until),
            }
            let seconds = |at: Timestamp| {
                let local = DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&say.timezone);
                u64::from(local.num_seconds_from_midnight())
            };
            let (first, last) = (seconds(starts), if until >= to { DAY_S } else { seconds(until) });
            let clock = |seconds: u64| format!("{:02}:{:02}", seconds / 3_600, seconds / 60 % 60);
            let words = format!("{}–{} #{id} {}", clock(first), clock(last), what(id));
            lines.push(words.clone());
            // Where clocks go back, an end may stand before its beginning.
            bars.push(Bar { lane, from: first, to: last.max(first), words });
        }
        WeekDay { name: say.day(from), lines, bars }
    }
}

/// Names are a stranger's.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use olog_push::words::Language;

    use super::*;
    use crate::rules::silence::{Recurrence, Scope};

    // 2026-11-28 12:00 in Shanghai, a Saturday.
    const NOON: Timestamp = Timestamp(1_795_838_400_000);
    const HOUR_MS: i64 = 3_600_000;

    fn silence(id: u64, from: i64, until: Option<i64>, every: Option<(&str, i64)>) -> Silence {
        let period = Period { from: NOON.plus(from * HOUR_MS), until: until.map(|until| NOON.plus(until * HOUR_MS)) };
        let every = every.map(|(schedule, lasts)| Recurrence {
            schedule: schedule.parse().unwrap(),
            zone: chrono_tz::Asia::Shanghai,
            lasts: lasts * HOUR_MS,
        });
        Silence { id, scope: Scope::of("pi", None), period, every }
    }

    fn week(zone: Tz, silences: &[Silence]) -> Week {
        let say = Localizer { language: Language::En, timezone: zone, now: NOON };
        Week::new(&say, silences, |id| if id == 1 { "<b>&\"".to_owned() } else { "pi".to_owned() })
    }

    #[test]
    fn a_silence_is_a_bar_on_each_day_that_it_touches_and_a_window_on_each_of_its_days() {
        let silences = [silence(1, 0, Some(24), None), silence(2, 0, Some(1), Some(("0 2 * * 0", 2)))];
        let week = week(chrono_tz::Asia::Shanghai, &silences);
        let lines: Vec<&[String]> = week.days.iter().map(|day| day.lines.as_slice()).collect();
        assert_eq!(lines[0], ["12:00–24:00 #1 <b>&\""]);
        assert_eq!(lines[1], ["00:00–12:00 #1 <b>&\"", "02:00–04:00 #2 pi"]);
        assert!(lines.len() == 7 && lines.iter().skip(2).all(|lines| lines.is_empty()), "{lines:?}");
        let svg = week.svg("the week");
        assert!(svg.contains("&lt;b&gt;&amp;&quot;") && !svg.contains("<b>") && !svg.contains("style"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
    }

    #[test]
    fn silences_at_the_same_time_lie_beside_each_other_and_without_one_there_is_no_picture() {
        let silences: Vec<Silence> = (1..=9).map(|id| silence(id, 1, Some(2), None)).collect();
        let shown = week(chrono_tz::Asia::Shanghai, &silences);
        let lanes: Vec<usize> = shown.days[0].bars.iter().map(|bar| bar.lane).collect();
        assert_eq!(lanes, [0, 1, 2, 3, 4, 5, 5, 5, 5]);
        assert_eq!(week(Tz::UTC, &[]).svg("the week"), "");
        // What is none for ever is no part of a week, and what comes every minute does not fill the page.
        let mut for_ever = silence(3, -1, None, None);
        for_ever.scope.fingerprint = Some(olog_proto::Fingerprint(7));
        assert_eq!(week(Tz::UTC, &[for_ever]).svg("the week"), "");
        let mut often = silence(4, 0, Some(1), Some(("*/2 * * * *", 0)));
        often.every.as_mut().unwrap().lasts = 60_000;
        assert_eq!(week(Tz::UTC, &[often]).days[1].lines.len(), BARS_MAX);
    }

    #[test]
    fn a_week_in_which_clocks_change_has_seven_days() {
        let at = |zone: Tz, now: i64| {
            let say = Localizer { language: Language::En, timezone: zone, now: Timestamp(now) };
            let period = Period { from: Timestamp(0), until: Some(Timestamp(i64::MAX)) };
            let endless = Silence { period, ..silence(2, 0, None, None) };
            Week::new(&say, &[endless], |_| String::new())
        };
        // Berlin's autumn and spring; Cairo and Santiago, whose clocks change at midnight.
        for (zone, now) in [
            (chrono_tz::Europe::Berlin, 1_792_800_000_000),
            (chrono_tz::Europe::Berlin, 1_774_569_600_000),
            (chrono_tz::Africa::Cairo, 1_776_988_800_000),
            (chrono_tz::America::Santiago, 1_788_566_400_000),
        ] {
            let week = at(zone, now);
            assert_eq!(week.days.len(), 7, "{zone}");
            assert!(week.days.iter().all(|day| day.lines.len() == 1), "{zone}: {week:?}");
        }
    }
}
