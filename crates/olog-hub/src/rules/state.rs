//! The states OK, ERR and LOST of tasks and devices, and the state of each of their last days. The one definition, used by the verbs, the
//! notifications and the report.
//!
//! A state is computed from facts and never stored. `incident` says whether an error is open, `expect` whether an expected run is
//! missing, `liveness` whether a device is away; here is only what follows from that. Pure. Contains no user-facing text.

mod days;

use serde::{Deserialize, Serialize};

pub use days::{DAYS, DAYS_LONG, DayState, Days, Strip, day_of};

/// The word, the worse the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Nothing is known to be wrong.
    #[default]
    Ok,
    /// An error came and is not over.
    Err,
    /// It was expected and did not come; of a device: nothing is heard.
    Lost,
}

impl State {
    /// As verbs print it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Err => "ERR",
            State::Lost => "LOST",
        }
    }
}

/// A task. What did not come at all is worse than the error that it had before.
pub fn of_task(is_failing: bool, is_missing: bool) -> State {
    match (is_failing, is_missing) {
        (_, true) => State::Lost,
        (true, false) => State::Err,
        (false, false) => State::Ok,
    }
}

/// A device speaks for its tasks while it is away; else it is ERR when any of them is ERR or LOST.
pub fn of_device(is_away: bool, tasks: impl IntoIterator<Item = State>) -> State {
    match tasks.into_iter().max() {
        _ if is_away => State::Lost,
        Some(State::Err | State::Lost) => State::Err,
        Some(State::Ok) | None => State::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_lost_before_anything_else_and_err_when_a_task_is_not_ok() {
        assert_eq!(of_device(true, [State::Ok]), State::Lost);
        assert_eq!(of_device(false, [State::Ok, State::Lost]), State::Err);
        assert_eq!(of_device(false, [State::Ok, State::Err]), State::Err);
        assert_eq!(of_device(false, [State::Ok]), State::Ok);
        assert_eq!(of_device(false, []), State::Ok);
        assert_eq!((of_task(true, true), of_task(true, false)), (State::Lost, State::Err));
    }
}
