//! Strips: thirty or ninety days as a small SVG in the page, told apart by shape as well as by colour, with a text for screen readers.
//!
//! Consecutive days of one kind are one dashed stroke, so a strip takes about two hundred bytes.

use olog_push::notice::StateCounts;

use crate::rules::state::{DAYS, DayState};

/// A day is this wide, a gap included.
const DAY: usize = 8;
/// Of the fleet's picture.
const FLEET_HEIGHT: u64 = 36;

/// A strip. `label` says the same for who does not see it.
pub(super) fn svg(strip: &[DayState], label: &str) -> String {
    let mut paths = String::new();
    for kind in [DayState::Nothing, DayState::Ok, DayState::Err, DayState::Lost] {
        let mut path = String::new();
        let mut day = 0;
        while day < strip.len() {
            let len = strip.iter().skip(day).take_while(|cell| **cell == kind).count();
            if len == 0 {
                day += 1;
                continue;
            }
            let (class, lines) = form(kind);
            if path.is_empty() {
                path.push_str(&format!("<path class=\"{class}\" d=\""));
            }
            for y in lines {
                path.push_str(&format!("M{} {y}h{}", day * DAY, len * DAY - 1));
            }
            day += len;
        }
        if !path.is_empty() {
            paths.push_str(&path);
            paths.push_str("\"/>");
        }
    }
    let (label, class) = (escaped(label), if strip.len() > DAYS { "strip long" } else { "strip" });
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {} 16\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">{paths}</svg>",
        strip.len() * DAY
    )
}

/// The class of the strokes, and where their middles are: nothing is a thin line, OK half as high as ERR, LOST hollow.
fn form(kind: DayState) -> (&'static str, &'static [&'static str]) {
    match kind {
        DayState::Nothing => ("sn", &["14.5"]),
        DayState::Ok => ("so", &["11.5"]),
        DayState::Err => ("se", &["8"]),
        DayState::Lost => ("sl", &["2", "14"]),
    }
}

/// The fleet: every day a bar, from below OK, ERR, LOST by their shares; the least trouble is seen.
pub(super) fn fleet(days: &[StateCounts; DAYS], label: &str) -> String {
    let mut paths = [String::new(), String::new(), String::new()];
    for (day, tally) in days.iter().enumerate() {
        let all = tally.all();
        if all == 0 {
            continue;
        }
        let share = |n: u64| if n == 0 { 0 } else { (n * FLEET_HEIGHT / all).max(4) };
        let (lost, err) = (share(tally.lost), share(tally.err));
        let ok = FLEET_HEIGHT.saturating_sub(lost + err);
        let mut top = FLEET_HEIGHT;
        for (path, height) in paths.iter_mut().zip([ok, err, lost]) {
            if height > 0 {
                top = top.saturating_sub(height);
                path.push_str(&format!("M{} {top}h{}v{height}h-{}z", day * DAY, DAY - 1, DAY - 1));
            }
        }
    }
    let classes = ["fo", "fe", "fl"];
    let paths: String = paths
        .iter()
        .zip(classes)
        .filter(|(path, _)| !path.is_empty())
        .map(|(path, class)| format!("<path class=\"{class}\" d=\"{path}\"/>"))
        .collect();
    let label = escaped(label);
    format!(
        "<svg class=\"fleet\" viewBox=\"0 0 {} {FLEET_HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">{paths}</svg>",
        DAYS * DAY
    )
}

/// Labels are the catalogues'; escaped all the same.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
