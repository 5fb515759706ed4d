//! What `jobs`, `units` and `unit-failed` print, in the language of the terminal.

use std::{path::Path, time::Duration};

use olog_daemon::{clock::Clock, service::Exit};
use olog_proto::job::JobSchedule;
use olog_push::words::Localizer;

use super::{
    client, complain, declare, print,
    status::{n, of_terminal, text},
};
use crate::{
    config::Config,
    fallback,
    jobs::{
        list::{Here, Job, JobList, Kind, Problem, Reports, Suggestion, find},
        switch::{SwitchError, Switched},
        systemd::Systemd,
        unit_failed::{Done, UnitName},
    },
};

/// What is made of the jobs that were found.
pub(super) enum ListJobs {
    /// Shown.
    List,
    /// Printed as JSON.
    Json,
    /// Printed as a section for hub.toml.
    Section,
    /// Proposed to the hub, with this grace.
    Propose(Option<Duration>),
}

impl ListJobs {
    /// What the options ask for; `declare` holds the grace.
    pub(super) fn of(json: bool, declare: Option<Option<Duration>>, toml: bool) -> ListJobs {
        match declare {
            _ if json => ListJobs::Json,
            None => ListJobs::List,
            Some(_) if toml => ListJobs::Section,
            Some(grace) => ListJobs::Propose(grace),
        }
    }
}

/// Finds the jobs, and does that with them. What is wrong with crontabs goes to stderr.
pub(super) async fn list_jobs(config: &Config, what: ListJobs) -> Exit {
    let here = Here { now: Clock::system().now(), zone: fallback::timezone() };
    let found = find(Path::new("/"), &Systemd::default(), &config.live.files.log_dirs, here).await;
    let say = of_terminal(here.now);
    let printed = match what {
        ListJobs::Json => return print(&(serde_json::to_string_pretty(&found).unwrap_or_default() + "\n")),
        ListJobs::List => print(&show_jobs(&say, &found)),
        ListJobs::Section => print(&declare::show_section(&say, &found)),
        ListJobs::Propose(grace) => match declare::propose(&say, &client(config), &found, grace).await {
            Ok(shown) => print(&shown),
            Err((why, section)) => {
                complain(&format!("olog-agent: {why}"));
                print(&section);
                Exit::Failed
            }
        },
    };
    for Problem { source, line, problem } in &found.problems {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        complain(&format!("{source}{line}: {problem}"));
    }
    printed
}

/// The list, a block for each job.
fn show_jobs(say: &Localizer, found: &JobList) -> String {
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
    let written = match &job.when {
        // Only `CRON_TZ` makes it another one; a timer's own is in what it says.
        Some(JobSchedule::Calendar { zone, .. }) if job.kind == Kind::Cron && zone != say.timezone.name() => {
            say.text("schedule-zone", &[text("words", &job.schedule), text("zone", zone)])
        }
        _ => job.schedule.clone(),
    };
    let schedule = match job.next {
        Some(next) => {
            let next = say.time(olog_proto::Timestamp(next));
            say.text("agent-job-schedule-next", &[text("schedule", &written), text("next", &next)])
        }
        None => say.text("agent-job-schedule", &[text("schedule", &written)]),
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

    fn job(reports: Option<Reports>, suggestion: Option<Suggestion>) -> Job {
        Job {
            kind: Kind::Cron,
            task: "dump".into(),
            source: "/etc/crontab".into(),
            line: Some(3),
            user: Some("root".into()),
            schedule: "5 4 * * *".into(),
            next: None,
            when: None,
            no_schedule: None,
            slack: 0,
            tells_good_runs: true,
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
