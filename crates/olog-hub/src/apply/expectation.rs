//! What is expected of a task, and what says so, in a sentence: for `task show` and the task's page. Changes nothing.

use olog_push::words::{self, Localizer};

use super::LivePolicy;
use crate::rules::expect::{Due, ExpectationStatus, Learnt, Plan, ProposedSchedule};
use crate::store::tasks::ListedTask;

/// What is expected, and what says so. `standing` is the task's.
pub fn expectation(
    say: &Localizer,
    rules: &LivePolicy,
    listed: &ListedTask,
    standing: ExpectationStatus<'_>,
) -> String {
    let task = &listed.task;
    let known = super::known_of(rules, &listed.device_name, listed.joined_at, task);
    let habit = |learnt: &Learnt| {
        let Learnt { cadence, n_runs, span } = learnt;
        [
            ("habit", words::cadence(cadence, say.language).into()),
            ("n", (*n_runs).into()),
            ("span", say.duration(*span).into()),
        ]
    };
    let on = || {
        let [device, task] = [listed.device_name.as_str(), task.name.as_str()].map(words::shell_word);
        ("command", format!("olog-hub task expect {device} {task} on").into())
    };
    let proposal = task.expect.proposal(&known, &rules.expect);
    let read = task.expect.read().filter(|_| known.plan.is_none());
    let what = match (known.plan, task.expect.watched(), proposal) {
        (Some(Plan::Scheduled { schedule, grace }), ..) => {
            let args = [("schedule", schedule.to_string().into()), ("grace", say.duration(*grace).into())];
            say.text("cli-task-expects-schedule", &args)
        }
        (Some(Plan::EachReport), ..) if known.is_alarm => say.word("cli-task-expects-alarm"),
        (Some(Plan::EachReport), ..) => say.word("cli-task-expects-report"),
        (None, _, Some(ProposedSchedule::Read(read))) => {
            let schedule = words::job_schedule(&read.when, say.language, say.timezone);
            say.text("cli-task-expects-offered", &[("schedule", schedule.into()), on()])
        }
        (None, ..) if let Some((read, from)) = read => {
            let schedule = words::job_schedule(&read.when, say.language, say.timezone);
            let grace = say.duration(read.lateness(from)).into();
            let args = [("schedule", schedule.into()), ("grace", grace), ("time", say.day_time(from).into())];
            say.text("cli-task-expects-read", &args)
        }
        (None, Some((learnt, from)), _) => {
            let mut args = habit(&learnt).to_vec();
            args.push(("time", say.day_time(from).into()));
            say.text("cli-task-expects-learnt", &args)
        }
        (None, None, Some(ProposedSchedule::Learnt(learnt))) => say.text("cli-task-expects-proposed", &habit(&learnt)),
        (None, None, None) => match task.expect.gone_at() {
            Some(gone) => say.text("cli-task-expects-dropped", &[("time", say.day_time(gone).into())]),
            None => say.text("cli-task-expects-nothing", &[("n", task.expect.n_runs().into())]),
        },
    };
    match standing {
        ExpectationStatus::Off => say.text("cli-task-expects-off", &[on()]),
        ExpectationStatus::Waiting(Due { at, .. }) | ExpectationStatus::InTime(Due { at, .. }) => {
            say.sentences([what, say.text("cli-task-next", &[("time", say.day_time(at).into())])])
        }
        ExpectationStatus::Lost(_) | ExpectationStatus::Free => what,
    }
}
