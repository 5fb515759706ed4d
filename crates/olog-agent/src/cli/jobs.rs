//! What `jobs`, `units` and `unit-failed` print, in the language of the terminal.

use std::collections::BTreeSet;

use olog_proto::TaskName;
use olog_push::words::Localizer;

use super::status::{n, text};
use crate::jobs::{
    list::{Job, JobList, Kind, Reports, Suggestion},
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

/// The section of hub.toml by which the hub expects the jobs. Only what is sure is in it: a crontab's schedule, and the task that `exec` names. Every other
/// job is a comment with the reason, because an expectation that is a guess is LOST sooner or later.
pub(super) fn show_declaration(say: &Localizer, found: &JobList) -> String {
    let mut declared = BTreeSet::new();
    let (mut tasks, mut others) = (String::new(), String::new());
    for job in &found.jobs {
        let line = job.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = format!("{}{line}", job.source);
        let reason = match job.reports {
            None => "agent-job-silent",
            Some(Reports::LogDir) => "agent-declare-file-names",
            Some(_) if job.kind != Kind::Cron || job.schedule == "@reboot" => "agent-declare-learnt",
            Some(_) if !is_plain(&job.task) => "agent-declare-no-name",
            Some(_) if !declared.insert(&job.task) => "agent-declare-twice",
            Some(_) => {
                let (name, schedule) = (toml_text(&job.task), toml_text(&job.schedule));
                tasks += &format!("    {{ name = {name}, schedule = {schedule} }}, # {place}\n");
                continue;
            }
        };
        others += &format!("# {}  {place}: {}\n", job.task, say.word(reason));
    }
    let mut out = String::new();
    if tasks.is_empty() {
        out += &format!("# {}\n", say.word("agent-declare-none"));
    } else {
        for key in ["agent-declare-where", "agent-declare-zone", "agent-declare-then"] {
            out += &format!("# {}\n", say.word(key));
        }
        out += &format!("[[device]]\nname = \"DEVICE\"\ntasks = [\n{tasks}]\n");
    }
    if !others.is_empty() {
        out += &format!("\n# {}\n{others}", say.word("agent-declare-others"));
    }
    out
}

/// A task's name, and not what a shell makes of a variable.
fn is_plain(task: &str) -> bool {
    !task.contains(['$', '`']) && TaskName::try_from(task.to_owned()).is_ok()
}

fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
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

    #[test]
    fn a_declaration_has_the_crontab_jobs_that_report_by_exec_and_names_why_the_others_are_not_in_it() {
        let of = |task: &str, schedule: &str, kind, reports| Job {
            task: task.into(),
            schedule: schedule.into(),
            kind,
            ..job(reports, None)
        };
        let exec = Some(Reports::Exec);
        let found = JobList {
            jobs: vec![
                of("dump", "5 4 * * *", Kind::Cron, exec),
                of("silent", "5 4 * * *", Kind::Cron, None),
                of("by-file", "5 4 * * *", Kind::Cron, Some(Reports::LogDir)),
                of("boot", "@reboot", Kind::Cron, exec),
                of("script", "@daily", Kind::Script, exec),
                of("a.service", "OnCalendar=daily", Kind::Timer, Some(Reports::Units)),
                of("$JOB", "5 4 * * *", Kind::Cron, exec),
                of("dump", "5 16 * * *", Kind::Cron, exec),
                of("sync", "@hourly", Kind::Cron, exec),
            ],
            problems: Vec::new(),
        };
        let shown = |language, found| {
            let say = Localizer { language, timezone: chrono_tz::UTC, now: olog_proto::Timestamp(0) };
            show_declaration(&say, found)
        };
        let english = shown(Language::En, &found);
        let read: toml::Table = english.parse().unwrap();
        let expected: toml::Table = r#"
            [[device]]
            name = "DEVICE"
            tasks = [{ name = "dump", schedule = "5 4 * * *" }, { name = "sync", schedule = "@hourly" }]
        "#
        .parse()
        .unwrap();
        assert_eq!(read, expected, "{english}");
        for left_out in ["silent", "by-file", "boot", "script", "a.service", "$JOB", "dump"] {
            assert!(english.contains(&format!("\n# {left_out}  /etc/crontab:3: ")), "{left_out}: {english}");
        }
        let chinese = shown(Language::ZhCn, &found);
        assert_eq!(chinese.parse::<toml::Table>().unwrap(), expected, "{chinese}");
        for text in [english, chinese, shown(Language::En, &JobList::default())] {
            assert!(!text.contains("agent-"), "{text}");
        }
    }
}
