//! `jobs --declare`: proposes to the hub, through the running agent, the schedules of the jobs that report; else prints them as a section for
//! hub.toml.
//!
//! Only what is sure is proposed: a job whose good runs are reported, whose task's name is known, and whose schedule the hub understands. Every
//! other job is named with the reason, because an expectation that is a guess is LOST sooner or later.

use std::{collections::BTreeSet, time::Duration};

use olog_daemon::socket::Client;
use olog_proto::{
    TaskName,
    job::{JobAnswer, JobAnswers, JobOutcome, JobSchedule, ProposedJob, SPAN_MAX},
};
use olog_push::words::{self, Localizer};

use super::status::text;
use crate::{
    jobs::{
        list::{Job, JobList, Kind, Reports},
        timer::NoSchedule,
    },
    socket::Proposed,
    uplink::jobs::NotProposed,
};

/// Jobs in one request: it stays far below what the agent's socket reads.
const JOBS_AT_ONCE: usize = 40;

/// Where a job stands: its crontab and line, or its timer.
fn place(job: &Job) -> String {
    let line = job.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}", job.source)
}

/// A task's name, and not what a shell makes of a variable.
fn plain_name(task: &str) -> Option<TaskName> {
    TaskName::try_from(task.to_owned()).ok().filter(|_| !task.contains(['$', '`']))
}

/// Jobs that the hub can expect, and the key of the reason why it cannot expect each of the others.
struct Sorted<'a> {
    proposed: Vec<(&'a Job, ProposedJob)>,
    others: Vec<(&'a Job, &'static str)>,
}

fn sort(found: &JobList, grace: Option<Duration>) -> Sorted<'_> {
    let grace = grace.map(|grace| u64::try_from(grace.as_millis()).map_or(SPAN_MAX, |grace| grace.min(SPAN_MAX)));
    let (mut names, mut sorted) = (BTreeSet::new(), Sorted { proposed: Vec::new(), others: Vec::new() });
    for job in &found.jobs {
        let reason = match (job.reports, &job.when, plain_name(&job.task)) {
            (None, ..) => "agent-job-silent",
            (Some(Reports::LogDir), ..) => "agent-declare-file-names",
            (Some(_), None, _) => no_schedule(job.no_schedule),
            (Some(_), ..) if !job.tells_good_runs => "agent-declare-only-failures",
            (Some(_), _, None) => "agent-declare-no-name",
            (Some(_), Some(_), Some(_)) if !names.insert(&job.task) => "agent-declare-twice",
            (Some(_), Some(when), Some(task)) => {
                let slack = job.slack.min(SPAN_MAX);
                sorted.proposed.push((job, ProposedJob { task, when: when.clone(), slack, grace }));
                continue;
            }
        };
        sorted.others.push((job, reason));
    }
    sorted
}

fn no_schedule(why: Option<NoSchedule>) -> &'static str {
    match why {
        Some(NoSchedule::Once) | None => "agent-declare-once",
        Some(NoSchedule::Several) => "agent-declare-several",
        Some(NoSchedule::Calendar) => "agent-declare-calendar",
        Some(NoSchedule::Anacron) => "agent-declare-anacron",
        Some(NoSchedule::Zone) => "agent-declare-zone-unknown",
    }
}

/// Proposes the jobs. What it prints; or why the hub does not have them, and the section for hub.toml.
pub(super) async fn propose(
    say: &Localizer,
    client: &Client,
    found: &JobList,
    grace: Option<Duration>,
) -> Result<String, (String, String)> {
    let Sorted { proposed, others } = sort(found, grace);
    let jobs: Vec<ProposedJob> = proposed.iter().map(|(_, job)| job.clone()).collect();
    let mut answers: Vec<(String, JobAnswer)> = Vec::new();
    for jobs in jobs.chunks(JOBS_AT_ONCE) {
        let why = match client.post::<Proposed>("/jobs", &jobs).await {
            Ok(Proposed::Answered(JobAnswers { device, answers: of_these })) => {
                answers.extend(of_these.into_iter().map(|answer| (device.to_string(), answer)));
                continue;
            }
            Ok(Proposed::Not(why)) => say.word(match why {
                NotProposed::NotConnected => "agent-not-proposed-connected",
                NotProposed::TooOld => "agent-not-proposed-old",
                NotProposed::NoAnswer => "agent-not-proposed-answer",
            }),
            Err(error) => say.text("agent-not-proposed", &[text("why", &error.to_string())]),
        };
        return Err((why, show_section(say, found)));
    }
    let mut out = String::new();
    for ((job, proposed), (device, answer)) in proposed.iter().zip(&answers) {
        out += &show_answer(say, job, proposed, device, answer);
    }
    if out.is_empty() {
        out += &(say.word("agent-propose-none") + "\n");
    }
    if !others.is_empty() {
        out += &format!("\n{}\n", say.word("agent-propose-others"));
        for (job, reason) in others {
            out += &format!("  {}  {}: {}\n", job.task, place(job), say.word(reason));
        }
    }
    Ok(out)
}

fn show_answer(say: &Localizer, job: &Job, proposed: &ProposedJob, device: &str, answer: &JobAnswer) -> String {
    let schedule = words::job_schedule(&proposed.when, say.language, say.timezone);
    let key = match answer.outcome {
        JobOutcome::Proposed => "agent-proposed",
        JobOutcome::Known => "agent-proposed-known",
        JobOutcome::Declared => "agent-proposed-declared",
        JobOutcome::Refused => "agent-proposed-refused",
        JobOutcome::Limit => "agent-proposed-limit",
        JobOutcome::Invalid => "agent-proposed-invalid",
        JobOutcome::Unknown => "agent-proposed-unknown",
    };
    let sentence = say.text(key, &[text("why", &answer.detail)]);
    let mut out = format!("{}  {}\n  {schedule}\n  {sentence}\n", job.task, place(job));
    if matches!(answer.outcome, JobOutcome::Proposed | JobOutcome::Refused) {
        let [device, task] = [device, answer.task.as_str()].map(words::shell_word);
        let command = format!("olog-hub task expect {device} {task} on");
        out += &format!("  {}\n    {command}\n", say.word("agent-proposed-accept"));
    }
    out
}

/// The section of hub.toml by which the hub expects the crontabs that report by `exec`. hub.toml has no time zone for a task: that of `CRON_TZ`
/// is named beside the line.
pub(super) fn show_section(say: &Localizer, found: &JobList) -> String {
    let mut declared = BTreeSet::new();
    let (mut tasks, mut others) = (String::new(), String::new());
    for job in &found.jobs {
        let reason = match job.reports {
            None => "agent-job-silent",
            Some(Reports::LogDir) => "agent-declare-file-names",
            Some(_) if job.kind != Kind::Cron || job.schedule == "@reboot" => "agent-declare-learnt",
            Some(_) if plain_name(&job.task).is_none() => "agent-declare-no-name",
            Some(_) if !declared.insert(&job.task) => "agent-declare-twice",
            Some(_) => {
                let (name, schedule) = (toml_text(&job.task), toml_text(&job.schedule));
                let zone = match &job.when {
                    Some(JobSchedule::Calendar { zone, .. }) if zone != say.timezone.name() => format!(", {zone}"),
                    _ => String::new(),
                };
                tasks += &format!("    {{ name = {name}, schedule = {schedule} }}, # {}{zone}\n", place(job));
                continue;
            }
        };
        others += &format!("# {}  {}: {}\n", job.task, place(job), say.word(reason));
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

fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests;
