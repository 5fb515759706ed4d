//! What `jobs`, `units` and `unit-failed` print, in the language of the terminal.

use olog_push::words::Localizer;

use super::status::{n, text};
use crate::jobs::{
    list::{Job, JobList, Reports, Suggestion},
    switch::{SwitchError, Switched},
    unit_failed::{Done, UnitName},
};

/// The list, a block for each job.
pub(super) fn show_jobs(say: &Localizer, found: &JobList) -> String {
    let mut out = String::new();
    if found.jobs.is_empty() {
        out += &(say.word("agent-jobs-none") + "\n");
    }
    for job in &found.jobs {
        out += &show_job(say, job);
    }
    let n_silent = found.jobs.iter().filter(|job| job.reports.is_none()).count();
    if !found.jobs.is_empty() {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let args = [n("jobs", count(found.jobs.len())), n("silent", count(n_silent))];
        out += &(say.text("agent-jobs-count", &args) + "\n");
    }
    out
}

fn show_job(say: &Localizer, job: &Job) -> String {
    let line = job.line.map(|line| format!(":{line}")).unwrap_or_default();
    let user = job.user.as_deref().map(|user| format!(" ({user})")).unwrap_or_default();
    let mut out = format!("{}  {}{line}{user}\n", job.task, job.source);
    let schedule = match job.next {
        Some(next) => {
            let next = say.time(olog_proto::Timestamp(next));
            say.text("agent-job-schedule-next", &[text("schedule", &job.schedule), text("next", &next)])
        }
        None => say.text("agent-job-schedule", &[text("schedule", &job.schedule)]),
    };
    out += &format!("  {schedule}\n  {}\n", job.command);
    let reports = match job.reports {
        Some(Reports::Exec) => "agent-job-by-exec",
        Some(Reports::LogDir) => "agent-job-by-log-dir",
        Some(Reports::Units) => "agent-job-by-units",
        None => "agent-job-silent",
    };
    out += &format!("  {}\n", say.word(reports));
    let (how, line) = match &job.suggestion {
        None => return out,
        Some(Suggestion::CrontabLine(line)) => ("agent-job-crontab-line", line),
        Some(Suggestion::ScriptLine(line)) => ("agent-job-script-line", line),
        Some(Suggestion::RunBy(line)) => ("agent-job-run-by", line),
        Some(Suggestion::Command(line)) => ("agent-job-command", line),
    };
    out += &format!("  {}\n    {line}\n", say.word(how));
    out
}

/// What `units on` and `units off` did.
pub(super) fn show_switched(say: &Localizer, switched: &Switched) -> String {
    let path = |path: &std::path::Path| [text("path", &path.display().to_string())];
    match switched {
        Switched::On(at) => say.text("agent-units-on", &path(at)),
        Switched::WasOn(at) => say.text("agent-units-was-on", &path(at)),
        Switched::Off(at) => say.text("agent-units-off", &path(at)),
        Switched::WasOff => say.word("agent-units-was-off"),
    }
}

/// Why they did nothing.
pub(super) fn show_switch_error(say: &Localizer, error: &SwitchError) -> String {
    match error {
        SwitchError::NotRoot => say.word("agent-units-not-root"),
        SwitchError::NoSystemd => say.word("agent-units-no-systemd"),
        SwitchError::NotShipped(path) => {
            say.text("agent-units-not-shipped", &[text("path", &path.display().to_string())])
        }
        SwitchError::File { .. } | SwitchError::Systemd(_) => error.to_string(),
    }
}

/// What `unit-failed` did.
pub(super) fn show_done(say: &Localizer, unit: &UnitName, done: Done) -> String {
    let key = match done {
        Done::Failed => "agent-unit-failed",
        Done::Counted => "agent-unit-counted",
        Done::Good => "agent-unit-good",
        Done::Nothing => "agent-unit-nothing",
    };
    say.text(key, &[text("unit", unit.as_str())])
}

#[cfg(test)]
mod tests {
    use olog_push::words::Language;

    use super::*;
    use crate::jobs::list::Kind;

    fn job(reports: Option<Reports>, suggestion: Option<Suggestion>) -> Job {
        Job {
            kind: Kind::Cron,
            task: "dump".into(),
            source: "/etc/crontab".into(),
            line: Some(3),
            user: Some("root".into()),
            schedule: "5 4 * * *".into(),
            next: None,
            command: "/opt/dump".into(),
            reports,
            suggestion,
        }
    }

    #[test]
    fn a_job_that_does_not_report_is_shown_with_the_line_that_makes_it_report() {
        let silent = job(None, Some(Suggestion::CrontabLine("5 4 * * * root olog-agent exec …".into())));
        let timer = Job { next: Some(3_600_000), ..job(None, Some(Suggestion::Command("olog-agent units on".into()))) };
        let found = JobList { jobs: vec![silent, job(Some(Reports::Exec), None), timer], problems: Vec::new() };
        let shown = |language| {
            let say = Localizer { language, timezone: chrono_tz::UTC, now: olog_proto::Timestamp(0) };
            show_jobs(&say, &found)
        };
        let head = "dump  /etc/crontab:3 (root)\n";
        assert_eq!(
            shown(Language::En),
            format!(
                "{head}  schedule: 5 4 * * *\n  /opt/dump\n  does not report to Olog\n  to make it report, replace the line by:\n    \
                 5 4 * * * root olog-agent exec …\n\
                 {head}  schedule: 5 4 * * *\n  /opt/dump\n  reports to Olog: runs through `olog-agent exec`\n\
                 {head}  schedule: 5 4 * * *; next run: 01:00\n  /opt/dump\n  does not report to Olog\n  \
                 to make it report, type:\n    olog-agent units on\n\
                 3 jobs, of which 2 do not report to Olog\n"
            )
        );
        let chinese = shown(Language::ZhCn);
        assert!(
            chinese.contains("要让它上报，请把这一行换成：") && chinese.contains("共 3 个任务，其中 2 个不会上报"),
            "{chinese}"
        );
        assert!(!chinese.contains("agent-job"), "{chinese}");
    }
}
