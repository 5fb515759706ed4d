//! Finds the jobs of this machine: crontabs, the scripts of `cron.daily` and kin, and systemd timers.
//!
//! What cannot be read, and each line that cron would refuse, is a [`Problem`] with its file and line; it hides no other job. The next run of a
//! timer is what systemd says; that of a crontab line is computed as the hub does it (`olog_proto::schedule`), in the zone of the machine or of `CRON_TZ`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use chrono_tz::Tz;
use olog_proto::{Timestamp, job::JobSchedule, name::escape};
use serde::{Deserialize, Serialize};

use super::{
    HANDLER, SUCCESS_HANDLER,
    crontab::{self, Entry, Layout, task_of},
    is_exec,
    systemd::{Properties, Systemd},
    timer::{self, NoSchedule},
};

/// Bytes of a crontab or script that are read.
const FILE_MAX: u64 = 256 * 1024;
/// Bytes of cron's program that are looked at, and what is looked for.
const PROGRAM_MAX: u64 = 4 << 20;
const CRON_TZ: &[u8] = b"CRON_TZ";
/// Files of a folder.
const FILES_MAX: usize = 1_000;
/// The folders of scripts, and when they run if no crontab says it.
const SCRIPTS: [(&str, &str); 4] = [
    ("etc/cron.hourly", "@hourly"),
    ("etc/cron.daily", "@daily"),
    ("etc/cron.weekly", "@weekly"),
    ("etc/cron.monthly", "@monthly"),
];

/// What starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A line of a crontab.
    Cron,
    /// A script in `cron.daily` and kin.
    Script,
    /// A systemd timer.
    Timer,
}

/// How it reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reports {
    /// It runs by `olog-agent exec`.
    Exec,
    /// It writes into a log dir.
    LogDir,
    /// systemd starts `olog-unit-failed@` after it.
    Units,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// What starts it.
    pub kind: Kind,
    /// A name for its task.
    pub task: String,
    /// The file, or the timer.
    pub source: String,
    /// The line of a crontab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Who runs it, if the crontab says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// As it is written.
    pub schedule: String,
    /// The next run: milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// When it runs, as the hub takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<JobSchedule>,
    /// Why the hub cannot expect it by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_schedule: Option<NoSchedule>,
    /// It may start this much later (ms): the random delay and the accuracy of a timer.
    #[serde(skip)]
    pub slack: u64,
    /// A run that ends well is reported, too.
    #[serde(skip)]
    pub tells_good_runs: bool,
    /// What it runs.
    pub command: String,
    /// How it reports; `null`: not at all.
    pub reports: Option<Reports>,
    /// What would make it report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
}

/// What would make a job report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Suggestion {
    /// The line of the crontab.
    CrontabLine(String),
    /// The second line of a shell script.
    ScriptLine(String),
    /// How a program that is no shell script is run, from a script in its place.
    RunBy(String),
    /// A command to type.
    Command(String),
}

/// What cannot be read, or what cron would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, or the program.
    pub source: String,
    /// Its line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct JobList {
    /// The jobs, crontabs first.
    pub jobs: Vec<Job>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// When a list is made, and where.
#[derive(Debug, Clone, Copy)]
pub struct Here {
    /// Next runs are after that.
    pub now: Timestamp,
    /// The machine's time zone.
    pub zone: Tz,
}

/// Looks everywhere below the root.
pub async fn find(root: &Path, systemd: &Systemd, log_dirs: &[PathBuf], here: Here) -> JobList {
    let (run_parts, taken) = (Vec::new(), BTreeSet::new());
    let knows_cron_tz = knows_cron_tz(root);
    let mut search = Search { root, log_dirs, here, knows_cron_tz, found: JobList::default(), run_parts, taken };
    search.crontab(&root.join("etc/crontab"), Layout::System, None);
    for path in search.files("etc/cron.d", is_run_parts_name) {
        search.crontab(&path, Layout::System, None);
    }
    for path in search.files("var/spool/cron/crontabs", |_| true) {
        let user = path.file_name().map(|name| escape(name.as_encoded_bytes()));
        search.crontab(&path, Layout::User, user);
    }
    search.scripts();
    if root.join("run/systemd/system").is_dir()
        && let Err(error) = search.timers(systemd).await
    {
        search.problem("systemd timers", None, error.to_string());
    }
    search.found
}

/// Does the cron of this machine know `CRON_TZ`? cronie does, Debian's cron passes it over. Its program says which it is; without one, the
/// line is taken as it is meant.
fn knows_cron_tz(root: &Path) -> bool {
    let programs = ["usr/sbin/cron", "usr/sbin/crond"].map(|path| root.join(path));
    let mut found = programs.iter().filter_map(|path| File::open(path).ok()).peekable();
    let names_it = |file: File| {
        let mut bytes = Vec::new();
        let read = file.take(PROGRAM_MAX).read_to_end(&mut bytes);
        read.is_ok() && bytes.windows(CRON_TZ.len()).any(|window| window == CRON_TZ)
    };
    found.peek().is_none() || found.any(names_it)
}

/// run-parts and cron pass over files with other names, such as those of editors and packages.
fn is_run_parts_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

#[derive(Debug)]
struct Search<'a> {
    root: &'a Path,
    log_dirs: &'a [PathBuf],
    here: Here,
    knows_cron_tz: bool,
    found: JobList,
    /// Which folder's scripts run when.
    run_parts: Vec<(String, Entry)>,
    /// Names of tasks.
    taken: BTreeSet<String>,
}

impl Search<'_> {
    fn problem(&mut self, source: &str, line: Option<usize>, problem: String) {
        self.found.problems.push(Problem { source: source.to_owned(), line, problem });
    }

    /// As the machine itself names it.
    fn shown(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        format!("/{}", escape(below.as_os_str().as_encoded_bytes()).trim_start_matches('/'))
    }

    fn files(&mut self, folder: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let path = self.root.join(folder);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                let shown = self.shown(&path);
                self.problem(&shown, None, error.to_string());
                return Vec::new();
            }
        };
        let wanted = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&is_wanted));
        let mut files: Vec<PathBuf> = wanted.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        files.sort();
        files.truncate(FILES_MAX);
        files
    }

    /// The beginning of a file; a file that cannot be read is a problem, one that is not there is none.
    fn text(&mut self, path: &Path) -> Option<String> {
        let read = File::open(path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(FILE_MAX).read_to_end(&mut bytes).map(|_| bytes)
        });
        match read {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let shown = self.shown(path);
                self.problem(&shown, None, error.to_string());
                None
            }
        }
    }

    fn crontab(&mut self, path: &Path, layout: Layout, user: Option<String>) {
        let Some(text) = self.text(path) else { return };
        let source = self.shown(path);
        let (entries, mistakes) = crontab::read(&text, layout);
        for mistake in mistakes {
            self.problem(&source, Some(mistake.line), mistake.problem);
        }
        let mut named = entries.iter().filter(|entry| entry.zone.is_some() && !self.knows_cron_tz);
        if let Some(line) = named.next().map(|entry| entry.line) {
            let problem = "CRON_TZ above this line: the cron of this machine does not know it and runs in the machine's time zone";
            self.problem(&source, Some(line), problem.to_owned());
        }
        for entry in entries {
            // Its scripts are listed one by one.
            if let Some(folder) = entry.run_parts().filter(|folder| is_listed(folder)) {
                self.run_parts.push((folder.to_owned(), entry));
                continue;
            }
            let job = self.cron_job(entry, &source, user.clone());
            self.found.jobs.push(job);
        }
    }

    /// Two jobs with one name would be one task: the second is called `NAME-2`.
    fn free_name(&mut self, name: &str) -> String {
        let names = std::iter::once(name.to_owned()).chain((2..=FILES_MAX).map(|n| format!("{name}-{n}")));
        let free = names.into_iter().find(|name| !self.taken.contains(name)).unwrap_or_else(|| name.to_owned());
        self.taken.insert(free.clone());
        free
    }

    fn cron_job(&mut self, entry: Entry, source: &str, user: Option<String>) -> Job {
        let reports = match entry.is_by_exec() {
            true => Some(Reports::Exec),
            false => self.writes_to_log_dir(&entry.command).then_some(Reports::LogDir),
        };
        let named = reports.and_then(|_| exec_task(&entry.command));
        let task = named.unwrap_or_else(|| self.free_name(&entry.task()));
        let suggestion = reports.is_none().then(|| Suggestion::CrontabLine(entry.reporting(&task)));
        let timing = self.timing(&entry);
        let Entry { line, schedule, user: in_line, command, .. } = entry;
        let (source, line, user) = (source.to_owned(), Some(line), in_line.or(user));
        let command = escape(command.as_bytes());
        let tells_good_runs = reports == Some(Reports::Exec);
        let Timing { next, when, no_schedule } = timing;
        let (kind, slack) = (Kind::Cron, 0);
        Job {
            kind,
            task,
            source,
            line,
            user,
            schedule,
            next,
            when,
            no_schedule,
            slack,
            tells_good_runs,
            command,
            reports,
            suggestion,
        }
    }

    /// When a line of a crontab runs.
    fn timing(&self, entry: &Entry) -> Timing {
        let Some(schedule) = &entry.when else { return Timing::none(NoSchedule::Once) };
        let zone = match entry.zone.as_deref().filter(|_| self.knows_cron_tz) {
            None => self.here.zone,
            Some(name) => match name.parse::<Tz>() {
                Ok(zone) => zone,
                Err(_) => return Timing::none(NoSchedule::Zone),
            },
        };
        let when = JobSchedule::Calendar { schedule: schedule.to_string(), zone: zone.name().to_owned() };
        let next = schedule.next_after(self.here.now, zone).map(|next| next.0);
        Timing { next, when: Some(when), no_schedule: None }
    }

    /// `> LOG_DIR/…`: a file there is a report.
    fn writes_to_log_dir(&self, command: &str) -> bool {
        let after = |part: &str| part.trim_start_matches(['>', '|', ' ', '"', '\'']).to_owned();
        let mut targets = command.split('>').skip(1).map(after);
        targets.any(|target| self.log_dirs.iter().any(|folder| Path::new(&target).starts_with(folder)))
    }

    fn scripts(&mut self) {
        for (folder, usually) in SCRIPTS {
            let shown = format!("/{folder}");
            let entry = self.run_parts.iter().find(|(of, _)| *of == shown).map(|(_, entry)| entry.clone());
            let by_anacron = folder != "etc/cron.hourly" && self.root.join("usr/sbin/anacron").exists();
            let timing = match &entry {
                Some(entry) if !by_anacron => self.timing(entry),
                _ => Timing::none(NoSchedule::Anacron),
            };
            let schedule = entry.map_or_else(|| usually.to_owned(), |entry| entry.schedule);
            for path in self.files(folder, is_run_parts_name) {
                if path.metadata().is_ok_and(|found| found.permissions().mode() & 0o111 == 0) {
                    continue;
                }
                let text = self.text(&path).unwrap_or_default();
                let reports = match () {
                    () if text.lines().any(is_exec) => Some(Reports::Exec),
                    () if text.lines().any(|line| self.writes_to_log_dir(line)) => Some(Reports::LogDir),
                    () => None,
                };
                let command = self.shown(&path);
                let named = reports.and_then(|_| text.lines().find(|line| is_exec(line)).and_then(exec_task));
                let task = named.unwrap_or_else(|| self.free_name(&task_of(&command)));
                let suggestion = reports.is_none().then(|| script_suggestion(&text, &task, &command));
                let (source, schedule) = (command.clone(), schedule.clone());
                let Timing { next, when, no_schedule } = timing.clone();
                let (kind, line, user, slack) = (Kind::Script, None, None, 0);
                let tells_good_runs = reports == Some(Reports::Exec);
                self.found.jobs.push(Job {
                    kind,
                    task,
                    source,
                    line,
                    user,
                    schedule,
                    next,
                    when,
                    no_schedule,
                    slack,
                    tells_good_runs,
                    command,
                    reports,
                    suggestion,
                });
            }
        }
    }

    async fn timers(&mut self, systemd: &Systemd) -> io::Result<()> {
        let answer = systemd.control(&["list-timers", "--all", "--no-pager", "--output=json"]).await?;
        let rows: Vec<TimerRow> = serde_json::from_slice(&answer)?;
        // A timer that is masked has nothing to start.
        let is_listed = |row: &TimerRow| !row.unit.starts_with("olog-") && !row.activates.is_empty();
        let rows: Vec<TimerRow> = rows.into_iter().filter(is_listed).collect();
        let timers: Vec<&str> = rows.iter().map(|row| row.unit.as_str()).collect();
        let services: Vec<&str> = rows.iter().map(|row| row.activates.as_str()).collect();
        if timers.is_empty() {
            return Ok(());
        }
        let schedules = systemd.show(&timers, &TIMER_PROPERTIES).await?;
        let services = systemd.show(&services, &["Id", "ExecStart", "OnFailure", "OnSuccess"]).await?;
        let of = |all: &[Properties], name: &str, property: &str| {
            let found = all.iter().find(|one| one.get("Id").is_some_and(|id| id == name));
            found.and_then(|one| one.get(property).cloned()).unwrap_or_default()
        };
        for row in rows {
            let service = row.activates;
            let exec = of(&services, &service, "ExecStart");
            let reports = match () {
                () if is_exec(&exec) => Some(Reports::Exec),
                () if of(&services, &service, "OnFailure").contains(HANDLER) => Some(Reports::Units),
                () => None,
            };
            let [calendars, spans, accuracy, delay] = TIMER_PROPERTIES
                .map(|name| of(&schedules, &row.unit, name))
                .into_iter()
                .skip(1)
                .collect::<Vec<_>>()
                .try_into()
                .unwrap_or_default();
            let (when, no_schedule) = match timer::schedule(&calendars, &spans, self.here.zone.name()) {
                Ok(when) => (Some(when), None),
                Err(why) => (None, Some(why)),
            };
            let is_told = of(&services, &service, "OnSuccess").contains(SUCCESS_HANDLER);
            self.found.jobs.push(Job {
                kind: Kind::Timer,
                task: exec_task(&exec).filter(|_| is_exec(&exec)).unwrap_or_else(|| service.clone()),
                source: row.unit,
                line: None,
                user: None,
                schedule: timer_schedule(&[calendars, spans].concat()),
                when,
                no_schedule,
                slack: [accuracy, delay].iter().filter_map(|text| timer::span(text)).sum(),
                tells_good_runs: reports == Some(Reports::Exec) || is_told,
                next: row.next.and_then(|micros| i64::try_from(micros / 1_000).ok()).filter(|next| *next > 0),
                command: service,
                reports,
                suggestion: reports.is_none().then(|| Suggestion::Command("olog-agent units on".to_owned())),
            });
        }
        Ok(())
    }
}

/// What is asked of a timer.
const TIMER_PROPERTIES: [&str; 5] = ["Id", "TimersCalendar", "TimersMonotonic", "AccuracyUSec", "RandomizedDelayUSec"];

/// When a job runs, as far as that is known.
#[derive(Debug, Clone)]
struct Timing {
    next: Option<i64>,
    when: Option<JobSchedule>,
    no_schedule: Option<NoSchedule>,
}

impl Timing {
    fn none(why: NoSchedule) -> Timing {
        Timing { next: None, when: None, no_schedule: Some(why) }
    }
}

/// A row of `systemctl list-timers --output=json`; times are microseconds since 1970.
#[derive(Debug, Deserialize)]
struct TimerRow {
    unit: String,
    #[serde(default)]
    activates: String,
    next: Option<u64>,
}

fn is_listed(folder: &str) -> bool {
    SCRIPTS.iter().any(|(listed, _)| folder.strip_prefix('/') == Some(listed))
}

/// `{ OnCalendar=daily ; next_elapse=… }{ OnBootUSec=15min ; … }` without what is not the schedule.
fn timer_schedule(properties: &str) -> String {
    let settings: Vec<String> = timer::settings(properties).map(|(key, value)| format!("{key}={value}")).collect();
    settings.join(", ")
}

fn script_suggestion(text: &str, task: &str, path: &str) -> Suggestion {
    let first = text.lines().next().unwrap_or_default();
    let shells = ["sh", "bash", "dash", "ksh", "zsh"];
    let is_shell = first.starts_with("#!") && first.split([' ', '/']).any(|word| shells.contains(&word.trim()));
    match is_shell {
        // It starts itself again below `exec`, once.
        true => Suggestion::ScriptLine(format!(
            r#"[ "$OLOG_RUN" = {task} ] || OLOG_RUN={task} exec olog-agent exec --task {task} -- "$0" "$@""#
        )),
        false => Suggestion::RunBy(format!("olog-agent exec --task {task} -- {path}")),
    }
}

/// The task that an `exec` names.
fn exec_task(command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    let named = words.find_map(|word| match word.strip_prefix("--task") {
        Some("") => Some(None),
        Some(rest) => rest.strip_prefix('=').map(Some),
        None => None,
    })?;
    named.or_else(|| words.next()).map(|name| name.trim_matches(['\'', '"']).to_owned())
}
