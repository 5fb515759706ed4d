//! The agent's side of the run files: reads what `exec` wrote, puts the events into the spool, removes the file.
//!
//! The files are the truth, and every look does the same: read the folder, compare with what the spool has of each run, write
//! what is missing. The spool keeps a mark per run in the transaction of its event, so that a crash between the event and the
//! removal of the file tells nothing twice.
//!
//! The folder is writable by every user, so each file is taken for hostile: no links are followed, only regular files of
//! bounded size count, at most [`PER_USER`] runs of one user are read before those of others, and a file that makes no sense is
//! removed. A spool that is full leaves the files where they are.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{self, Read as _},
    os::{fd::OwnedFd, linux::fs::MetadataExt as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use olog_daemon::{
    clock::Clock,
    workers::{Duty, Worker},
};
use olog_proto::{
    EventContent, Excerpt, Note, TaskName, Timestamp,
    event::{Event, is_good_end},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    End, FILE_MAX, FORMAT, How, KEPT_MAX, RunEnd, Shares, Start, is_locked, make_folder, names, open_file, open_folder,
    remove,
};
use crate::{
    boot,
    config::ReloadableConfig,
    spool::{Batch, Spool, SpoolError, Stamp},
    text::{self, Bytes, Redactor, TextOptions},
};

/// A bell can be lost: the folder is looked at this often anyway …
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// … and this often while a run goes on: if `exec` is killed, nobody rings.
const LOOK_WHILE_RUNNING: Duration = Duration::from_secs(5);
/// Runs of one user that one look tells; the others' come first, then the rest.
const PER_USER: usize = 100;
/// Files of one user that are kept at all, running ones included.
const FILES_PER_USER: usize = 2 * KEPT_MAX;
/// A file that was begun and never renamed.
const NEW_FOR: Duration = Duration::from_secs(24 * 3600);
/// In the spool's meta: what is told of the run with this id.
const MARK: &str = "run/";
/// In the spool's meta: the start of the earlier run because of which a run of this task was not started, once told.
const SKIPPED: &str = "run_not_started/";

/// Somebody who waits until the folder has been read.
pub type Look = oneshot::Sender<()>;

/// A run that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningRun {
    /// The task.
    pub task: TaskName,
    /// Since when.
    pub since: Timestamp,
    /// Whose it is.
    pub uid: u32,
}

/// What the spool remembers of a run until its file is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    task: TaskName,
    at: Timestamp,
    boot: olog_proto::BootId,
    ended: bool,
}

/// How a run stands, by its file.
#[derive(Debug)]
enum Stands {
    Runs,
    Ended(End),
    /// No `exec` follows it, and it has no end.
    Vanished,
}

struct Found {
    folder: usize,
    name: String,
    start: Start,
    stands: Stands,
}

/// Reads the folders.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Where the files are.
    pub folders: Vec<PathBuf>,
    /// Where the events go.
    pub spool: Spool,
    /// Rung after an event was put there.
    pub bell: Arc<Notify>,
    /// How output is read, and the spool's bound.
    pub live: watch::Receiver<Arc<ReloadableConfig>>,
    /// Wall time.
    pub clock: Clock,
    /// The runs that go on, for `status`.
    pub running: Arc<Mutex<Vec<RunningRun>>>,
    /// What each user may put into the spool.
    pub shares: Shares,
}

/// Why the worker ends, and with it the process.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The spool cannot be used any more; the next start sets a damaged one aside.
    #[error("runs")]
    Spool(#[from] SpoolError),
    /// A look panicked.
    #[error("runs: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

/// Looks when asked and on a timer, until `stop`. While the disk is full or busy the files stay, and nothing is lost.
pub async fn run(
    reader: Reader,
    mut asked: mpsc::Receiver<Look>,
    worker: Worker,
    stop: CancellationToken,
) -> Result<(), RunsError> {
    reader.make_folders();
    let duty: Duty = worker.duty("read run files");
    let mut waiting = Vec::new();
    while !stop.is_cancelled() {
        worker.beat();
        // A look that begins now sees what was written before it was asked for.
        while let Ok(one) = asked.try_recv() {
            waiting.push(one);
        }
        let own = reader.clone();
        let looked = tokio::task::spawn_blocking(move || own.inspect()).await?;
        let is_read = looked.is_ok();
        let again = match duty.round(looked, reader.clock.now())? {
            Some(LookResult { is_all: false }) => Duration::ZERO,
            Some(_) if reader.running().is_empty() => LOOK_EVERY,
            Some(_) => LOOK_WHILE_RUNNING,
            None => duty.retry_after(),
        };
        for one in waiting.drain(..).filter(|_| is_read) {
            if one.send(()).is_err() {
                tracing::debug!("exec did not wait for the agent");
            }
        }
        worker.idle();
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(again) => {}
            Some(one) = asked.recv() => waiting.push(one),
        }
    }
    Ok(())
}

/// What one look did.
#[derive(Debug)]
pub struct LookResult {
    /// Nothing was left for the next one.
    pub is_all: bool,
}

impl Reader {
    /// For the agent with this `state_dir`.
    pub fn new(
        state_dir: &std::path::Path,
        spool: Spool,
        bell: Arc<Notify>,
        live: watch::Receiver<Arc<ReloadableConfig>>,
        clock: Clock,
    ) -> Reader {
        let folders = super::folders(state_dir);
        Reader { folders, spool, bell, live, clock, running: Arc::default(), shares: Shares::default() }
    }

    /// The runs that go on, as of the last look.
    pub fn running(&self) -> Vec<RunningRun> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the folders that are not there. The shared one needs root's rights, or the package has made it.
    fn make_folders(&self) {
        for folder in &self.folders {
            if let Err(error) = make_folder(folder) {
                tracing::debug!(%error, folder = %folder.display(), "runs are not reported here");
            }
        }
    }

    /// Reads the folders once and writes what is new.
    pub fn inspect(&self) -> Result<LookResult, SpoolError> {
        let marks: HashMap<String, Option<Mark>> =
            self.spool.metas(MARK)?.into_iter().map(|(key, value)| (key, serde_json::from_str(&value).ok())).collect();
        let (mut found, mut ids, mut folders, mut is_all_read) = (Vec::new(), HashSet::new(), Vec::new(), true);
        for path in &self.folders {
            match open_folder(path).and_then(|folder| Ok((names(&folder, "run-")?, folder))) {
                Ok((names, folder)) => {
                    let n = folders.len();
                    ids.extend(names.iter().map(|name| name.replacen("run-", MARK, 1)));
                    found.extend(names.into_iter().filter_map(|name| read(&folder, n, name)));
                    self.sweep(&folder);
                    folders.push(folder);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    is_all_read = false;
                    tracing::debug!(%error, folder = %path.display(), "the folder of runs cannot be read");
                }
            }
        }
        found.sort_by_key(|one| one.start.at);
        let running = found.iter().filter(|one| matches!(one.stands, Stands::Runs)).map(|one| RunningRun {
            task: one.start.task.clone(),
            since: one.start.at,
            uid: one.start.uid,
        });
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running.collect();

        let mut per_user: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
        let mut is_all = true;
        for one in &found {
            let told = marks.get(&key(&one.start.run)).and_then(Option::as_ref);
            let (n_files, n_told) = per_user.entry(one.start.uid).or_default();
            *n_files += 1;
            if *n_files > FILES_PER_USER {
                tracing::warn!(
                    uid = one.start.uid,
                    "more than {FILES_PER_USER} runs of one user: the newest are ignored"
                );
                if let Some(folder) = folders.get(one.folder) {
                    remove(folder, &one.name);
                }
                continue;
            }
            if told.is_some() && matches!(one.stands, Stands::Runs) {
                continue;
            }
            *n_told += 1;
            if *n_told > PER_USER {
                is_all = false;
                continue;
            }
            let spool_max = self.live.borrow().files.spool_max;
            if self.spool.held().bytes >= spool_max {
                tracing::debug!("the spool is full: runs wait in their files");
                return Ok(LookResult { is_all: true });
            }
            if !is_trusted(one.start.uid)
                && let Err(no) = self.shares.room(one.start.uid, self.spool.acked(), spool_max)
            {
                tracing::debug!(uid = one.start.uid, "the runs of a user wait in their files: {no}");
                continue;
            }
            self.emit(one, told)?;
            if let (false, Some(folder)) = (matches!(one.stands, Stands::Runs), folders.get(one.folder)) {
                remove(folder, &one.name);
                self.spool.forget_meta(&key(&one.start.run))?;
            }
        }
        if is_all_read {
            self.tell_removed(&marks, &ids)?;
        }
        Ok(LookResult { is_all })
    }

    /// The events of one run that are not in the spool yet.
    fn emit(&self, one: &Found, told: Option<&Mark>) -> Result<(), SpoolError> {
        let start = &one.start;
        if told.is_some_and(|mark| mark.ended || matches!(one.stands, Stands::Runs)) {
            return Ok(());
        }
        let now = boot::stamp(self.clock.now());
        let at_start = no_later(Stamp { at: start.at, boot: start.boot, up: start.up }, now);
        let mut batch = Batch::default();
        if let Stands::Ended(End { how: How::NotStarted { running_since }, at, up }) = &one.stands {
            let at = no_later(Stamp { at: *at, boot: start.boot, up: *up }, now);
            return self.tell_skipped(&start.task, *running_since, at);
        }
        if told.is_none() {
            batch.emit(at_start, EventContent::RunStarted { task: start.task.clone(), run: start.run.clone() }, None);
        }
        match &one.stands {
            Stands::Runs => {}
            Stands::Ended(End { at, up, how }) => {
                if let How::RunEnd(ended) = how {
                    let at = no_later(Stamp { at: *at, boot: start.boot, up: *up }, now);
                    batch.emit(at, ended.into_event(&start.task, &start.run, &self.live.borrow()), None);
                }
            }
            Stands::Vanished => batch.emit(now, vanished(&start.task, &start.run, start.boot != now.boot), None),
        }
        let mark = Mark {
            task: start.task.clone(),
            at: start.at,
            boot: start.boot,
            ended: !matches!(one.stands, Stands::Runs),
        };
        batch.attribute(0, &boot::author(start.uid));
        batch.set_meta(key(&start.run), serde_json::to_string(&mark).unwrap_or_default());
        self.put(&batch)?;
        if !is_trusted(start.uid) {
            let spool_max = self.live.borrow().files.spool_max;
            self.shares.put(start.uid, self.spool.last(), batch.size(), spool_max);
        }
        Ok(())
    }

    /// Told once for each earlier run that is in the way: a job of every minute would otherwise tell it every minute.
    fn tell_skipped(&self, task: &TaskName, since: Option<Timestamp>, at: Stamp) -> Result<(), SpoolError> {
        let key = format!("{SKIPPED}{task}");
        let since = since.map_or_else(|| "?".to_owned(), |since| since.0.to_string());
        if self.spool.meta(&key)?.as_deref() == Some(since.as_str()) {
            return Ok(());
        }
        let mut batch = Batch::default();
        let minutes = since.parse().ok().map(|since| at.at.since(Timestamp(since)) / 60_000);
        let how_long = minutes.map(|minutes| format!(" after {minutes} min")).unwrap_or_default();
        let text = format!("the run before it is still going on{how_long}: not started a second time (exec --lock)");
        let note =
            Note { code: "run_not_started".to_owned(), path: Some(task.to_string()), text, over: false, once: true };
        batch.emit(at, EventContent::Note(note), None);
        batch.set_meta(key, since);
        self.put(&batch)
    }

    /// Runs whose file somebody removed while they went on: nobody will tell their end.
    fn tell_removed(&self, marks: &HashMap<String, Option<Mark>>, ids: &HashSet<String>) -> Result<(), SpoolError> {
        for (key, mark) in marks.iter().filter(|(key, _)| !ids.contains(*key)) {
            if let Some(mark) = mark.as_ref().filter(|mark| !mark.ended) {
                let now = boot::stamp(self.clock.now());
                let run = key.trim_start_matches(MARK);
                let mut batch = Batch::default();
                batch.emit(now, vanished(&mark.task, run, mark.boot != now.boot), None);
                let ended = Mark { ended: true, ..mark.clone() };
                batch.set_meta(key.clone(), serde_json::to_string(&ended).unwrap_or_default());
                self.put(&batch)?;
            }
            self.spool.forget_meta(key)?;
        }
        Ok(())
    }

    fn put(&self, batch: &Batch) -> Result<(), SpoolError> {
        let n = self.spool.put(batch)?;
        if batch.has_events() {
            log(batch, n);
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Removes what was begun and never finished.
    fn sweep(&self, folder: &OwnedFd) {
        let now = self.clock.now();
        for name in names(folder, "new-").unwrap_or_default() {
            let Ok(found) = rustix::fs::statat(folder, name.as_str(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let age = now.since(Timestamp(found.st_mtime.saturating_mul(1000)));
            if u64::try_from(age).is_ok_and(|age| age > NEW_FOR.as_secs() * 1000) {
                remove(folder, &name);
            }
        }
    }
}

/// Root and the agent's own user have no share but the whole spool.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

fn key(run: &str) -> String {
    format!("{MARK}{run}")
}

/// One file. What makes no sense is removed, so that nobody fills the folder with it; what cannot be read now stays.
fn read(folder: &OwnedFd, n: usize, name: String) -> Option<Found> {
    let parsed = open_file(folder, &name).and_then(|file| match file {
        Some(file) => parse(folder, &file, &name),
        None => Ok(None),
    });
    match parsed {
        Ok(Some((start, stands))) => return Some(Found { folder: n, name, start, stands }),
        Ok(None) => {
            tracing::debug!(name, "this file is no run");
            remove(folder, &name);
        }
        Err(error) => tracing::warn!(%error, name, "the file of a run cannot be read"),
    }
    None
}

fn parse(folder: &OwnedFd, mut file: &File, name: &str) -> io::Result<Option<(Start, Stands)>> {
    // The lock first: whoever lets it go has written the end before.
    let is_locked = is_locked(file);
    let mut text = Vec::new();
    (&mut file).take(FILE_MAX).read_to_end(&mut text)?;
    let mut lines = text.split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n"));
    let start = lines.next().and_then(|line| serde_json::from_slice::<Start>(line).ok());
    let is_ours = |start: &Start| {
        start.format == FORMAT && start.run.len() <= 64 && name.strip_prefix("run-") == Some(start.run.as_str())
    };
    let Some(mut start) = start.filter(is_ours) else { return Ok(None) };
    let (owner, folder_owner) = (file.metadata()?.st_uid(), rustix::fs::fstat(folder)?.st_uid);
    if owner != 0 && owner != folder_owner {
        start.uid = owner;
    }
    let end = lines.next().and_then(|line| serde_json::from_slice::<End>(line).ok());
    let stands = match end {
        _ if is_locked => Stands::Runs,
        Some(end) => Stands::Ended(end),
        None => Stands::Vanished,
    };
    Ok(Some((start, stands)))
}

/// A run whose end nobody wrote: neither exit code nor signal, so it is not taken for good.
fn vanished(task: &TaskName, run: &str, rebooted: bool) -> EventContent {
    let why = if rebooted {
        "the machine restarted during this run: how the run ended is unknown"
    } else {
        "olog-agent exec was killed during this run: how the run ended is unknown"
    };
    let fingerprints = olog_proto::fingerprint::fingerprints(why);
    EventContent::RunEnded {
        task: task.clone(),
        run: run.to_owned(),
        exit: None,
        signal: None,
        duration: 0,
        excerpt: Excerpt::of(why),
        fingerprints,
    }
}

/// The times in a file are what its user wrote: never later than now.
fn no_later(stamp: Stamp, now: Stamp) -> Stamp {
    let up = if stamp.boot == now.boot { stamp.up.min(now.up) } else { stamp.up };
    Stamp { at: stamp.at.min(now.at), boot: stamp.boot, up }
}

impl RunEnd {
    /// The event: its output read as a log's text is, decoded, cleaned, without secrets.
    pub fn into_event(&self, task: &TaskName, run: &str, live: &ReloadableConfig) -> EventContent {
        let output = BASE64.decode(&self.output).unwrap_or_default();
        let redactor = Redactor::new(live.files.redact.clone());
        let manner = TextOptions { encoding: live.files.encoding, ignore: &[], redactor: &redactor };
        let said = text::clean_text(Bytes { head: &output, from_start: true, ..Bytes::default() }, None, manner);
        let is_good = is_good_end(self.exit, self.signal);
        EventContent::RunEnded {
            task: task.clone(),
            run: run.to_owned(),
            exit: self.exit,
            signal: self.signal,
            duration: self.duration,
            excerpt: said.excerpt,
            fingerprints: if is_good { Vec::new() } else { said.fingerprints },
        }
    }
}

/// The log's line of each run.
pub(crate) fn log(batch: &Batch, n: u64) {
    for what in batch.events() {
        match what {
            EventContent::RunStarted { task, run } => tracing::debug!(%task, run, n, "a run started"),
            EventContent::RunEnded { task, run, exit, signal, duration, .. } => {
                tracing::info!(%task, run, exit, signal, ms = duration, n, "a run ended");
            }
            EventContent::Note(note) => tracing::info!(task = note.path, n, "a run was not started: {}", note.text),
            _ => {}
        }
    }
}

/// Is an event made of this within the bounds of the wire?
pub(crate) fn is_bounded(stamp: Stamp, what: &EventContent) -> bool {
    let event = Event {
        n: 0,
        at: olog_proto::DeviceTime(stamp.at),
        boot: stamp.boot,
        up: stamp.up,
        what: what.clone(),
        by: None,
        pushed: None,
    };
    event.is_bounded()
}
