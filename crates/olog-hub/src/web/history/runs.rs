//! The last runs of a task as a picture, a bar for how long each took, and the same in words: the shortest, the middle one, the longest. Pure.

use std::fmt::Write as _;

use olog_push::words::Localizer;

use crate::store::history::EventRow;

/// The picture's measures.
const BAR: usize = 6;
const HEIGHT: u64 = 48;

/// The runs of a task that ended, if their durations are known.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::web) struct RunsPlot {
    /// An SVG of attributes and classes.
    pub(in crate::web) picture: String,
    /// What it shows.
    pub(in crate::web) words: String,
}

impl RunsPlot {
    /// Of events, the newest first. `None`: none of them has a duration.
    pub(in crate::web) fn new(say: &Localizer, events: &[EventRow]) -> Option<RunsPlot> {
        let mut runs: Vec<(&EventRow, u64)> =
            events.iter().filter_map(|event| event.duration.map(|duration| (event, duration))).collect();
        runs.reverse();
        let has_failed = |event: &EventRow| event.signal.is_some() || event.exit.is_some_and(|exit| exit != 0);
        let mut sorted: Vec<u64> = runs.iter().map(|(_, duration)| *duration).collect();
        sorted.sort_unstable();
        let (shortest, longest) = (*sorted.first()?, *sorted.last()?);
        let middle = *sorted.get(sorted.len() / 2)?;
        let span = |ms: u64| say.duration(i64::try_from(ms).unwrap_or(i64::MAX));
        let n_failed = runs.iter().filter(|(event, _)| has_failed(event)).count() as u64;
        let args = [
            ("n", (runs.len() as u64).into()),
            ("min", span(shortest).into()),
            ("median", span(middle).into()),
            ("max", span(longest).into()),
            ("failed", n_failed.into()),
        ];
        let words = say.text("web-runs-words", &args);
        let mut bars = String::new();
        for (i, (event, duration)) in runs.iter().enumerate() {
            // A run of no time is seen, too.
            let share = u128::from(*duration) * u128::from(HEIGHT) / u128::from(longest.max(1));
            let height = u64::try_from(share).unwrap_or(HEIGHT).clamp(2, HEIGHT);
            let class = if has_failed(event) { "rb err" } else { "rb" };
            let exit = event.exit.map(|exit| format!(", {}", say.text("web-exit", &[("n", exit.to_string().into())])));
            let title = format!("{}: {}{}", say.time_exact(event.at), span(*duration), exit.unwrap_or_default());
            // A text grows without an error.
            let written = write!(
                bars,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\"><title>{}</title></rect>",
                i * BAR,
                HEIGHT - height,
                BAR - 1,
                escaped(&title),
            );
            debug_assert!(written.is_ok());
        }
        let picture = format!(
            "<svg class=\"runs\" viewBox=\"0 0 {} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">{bars}</svg>",
            runs.len() * BAR,
            escaped(&words),
        );
        Some(RunsPlot { picture, words })
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use olog_proto::Timestamp;
    use olog_push::words::Language;

    use super::*;

    fn run(duration: Option<u64>, exit: Option<i32>) -> EventRow {
        EventRow {
            id: "1.1.1".to_owned(),
            device: "pi".to_owned(),
            task: Some("backup".to_owned()),
            kind: "run_ended".to_owned(),
            at: Timestamp(0),
            received_at: Timestamp(0),
            path: None,
            text: String::new(),
            exit,
            signal: None,
            duration,
            by: None,
        }
    }

    fn plot(events: &[EventRow]) -> Option<RunsPlot> {
        let say = Localizer { language: Language::En, timezone: chrono_tz::Tz::UTC, now: Timestamp(0) };
        RunsPlot::new(&say, events)
    }

    #[test]
    fn runs_are_bars_from_the_oldest_to_the_newest_and_words_say_the_same() {
        let events = [run(Some(60_000), Some(0)), run(None, None), run(Some(0), Some(1)), run(Some(120_000), Some(0))];
        let plot = plot(&events).unwrap();
        assert_eq!(plot.picture.matches("<rect").count(), 3, "{}", plot.picture);
        let heights: Vec<&str> =
            plot.picture.split(" height=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(heights, ["48", "2", "24"], "the newest is the last: {}", plot.picture);
        assert_eq!(plot.picture.matches("rb err").count(), 1);
        assert!(
            plot.words.contains("3 runs") && plot.words.contains("1 min") && plot.words.contains("2 min"),
            "{}",
            plot.words
        );
        assert!(!plot.picture.contains("style"), "{}", plot.picture);
    }

    #[test]
    fn without_durations_there_is_no_picture_and_extreme_ones_are_drawn() {
        assert_eq!(plot(&[]), None);
        assert_eq!(plot(&[run(None, Some(0))]), None);
        assert!(plot(&[run(Some(u64::MAX), None), run(Some(0), None)]).is_some());
        assert!(plot(&[run(Some(0), None)]).is_some());
    }
}
