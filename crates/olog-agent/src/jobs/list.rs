//! Finds the jobs of this machine: crontabs, the scripts of `cron.daily` and kin, and systemd timers.
//!
//! What cannot be read, and each line that cron would refuse, is a [`Problem`] with its file and line; it hides no other job. The next run is
//! known of timers only, because systemd says it.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use olog_proto::name::escape;
use serde::{Deserialize, Serialize};

use super::{
    HANDLER,
    crontab::{self, Entry, Layout, task_of},
    is_exec,
    systemd::{Properties, Systemd},
};

/// Bytes of a crontab or script that are read.
const FILE_MAX: u64 = 256 * 1024;
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
    /// Milliseconds since 1970; timers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
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

/// Looks everywhere below the root.
pub async fn find(root: &Path, systemd: &Systemd, log_dirs: &[PathBuf]) -> JobList {
    let mut search =
        Search { root, log_dirs, found: JobList::default(), run_parts: Vec::new(), taken: BTreeSet::new() };
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

/// run-parts and cron pass over files with other names, such as those of editors and packages.
fn is_run_parts_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

#[derive(Debug)]
struct Search<'a> {
    root: &'a Path,
    log_dirs: &'a [PathBuf],
    found: JobList,
    /// Which folder's scripts run when.
    run_parts: Vec<(String, String)>,
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
        for entry in entries {
            // Its scripts are listed one by one.
            if let Some(folder) = entry.run_parts().filter(|folder| is_listed(folder)) {
                self.run_parts.push((folder.to_owned(), entry.schedule));
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
        let Entry { line, schedule, user: in_line, command, .. } = entry;
        let (source, line, user) = (source.to_owned(), Some(line), in_line.or(user));
        let command = escape(command.as_bytes());
        Job { kind: Kind::Cron, task, source, line, user, schedule, next: None, command, reports, suggestion }
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
            let schedule = self.run_parts.iter().find(|(of, _)| *of == shown).map(|(_, schedule)| schedule.clone());
            let schedule = schedule.unwrap_or_else(|| usually.to_owned());
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
                let (kind, line, user, next) = (Kind::Script, None, None, None);
                self.found.jobs.push(Job {
                    kind,
                    task,
                    source,
                    line,
                    user,
                    schedule,
                    next,
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
        let schedules = systemd.show(&timers, &["Id", "TimersCalendar", "TimersMonotonic"]).await?;
        let services = systemd.show(&services, &["Id", "ExecStart", "OnFailure"]).await?;
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
            let schedule = ["TimersCalendar", "TimersMonotonic"].map(|name| of(&schedules, &row.unit, name));
            self.found.jobs.push(Job {
                kind: Kind::Timer,
                task: service.clone(),
                source: row.unit,
                line: None,
                user: None,
                schedule: timer_schedule(&schedule.concat()),
                next: row.next.and_then(|micros| i64::try_from(micros / 1_000).ok()).filter(|next| *next > 0),
                command: service,
                reports,
                suggestion: reports.is_none().then(|| Suggestion::Command("olog-agent units on".to_owned())),
            });
        }
        Ok(())
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
    let parts = properties.split('{').filter_map(|part| part.split(" ; ").next());
    let parts: Vec<&str> =
        parts.map(|part| part.trim().trim_end_matches('}').trim()).filter(|p| !p.is_empty()).collect();
    parts.join(", ")
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
