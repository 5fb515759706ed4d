//! One look at one file: what it says, and what is to be remembered. The rows of DESIGN §2 are here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_proto::name::path_text;
use olog_proto::{At, BootId, Change, Excerpt, File, Suffix, TaskName, What};

use super::{FilesConfig, Rule};
use crate::read::{self, Place, ReadError, Reading, Stat, as_path};
use crate::settle::{GONE, Pending, Writer};
use crate::spool::{Batch, FileKey, Memory, Spool, SpoolError, Stamp};
use crate::text::{self, Manner, Redactor, Said};

/// After the last change of a file that stays open, its unfinished line is told all the same.
const UNFINISHED: Duration = Duration::from_secs(60);

/// Where a folder is.
#[derive(Debug, Clone)]
pub(super) struct FolderPlace {
    pub(super) root: usize,
    pub(super) path: PathBuf,
}

/// What a look came to, beside what it put into the batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Nothing more to do until something changes.
    Done,
    /// To be looked at again at this time since boot.
    Again(Duration),
    /// Cannot be read, and why.
    Unreadable(String),
}

/// What a look needs to know.
pub(super) struct Looker<'a> {
    pub(super) config: &'a FilesConfig,
    pub(super) redactor: &'a Redactor,
    pub(super) spool: &'a Spool,
    pub(super) clock: &'a Clock,
    pub(super) boot: BootId,
    pub(super) now: Duration,
    pub(super) log_dir: &'a Path,
    pub(super) folder: &'a FolderPlace,
    pub(super) paced: &'a mut HashMap<FileKey, Duration>,
    pub(super) batch: &'a mut Batch,
}

/// A file under its name: whose it is and how it is read.
struct Subject<'a> {
    task: TaskName,
    suffix: Suffix,
    path: PathBuf,
    rule: Option<&'a Rule>,
}

impl Looker<'_> {
    /// Looks at a file.
    pub(super) fn look(&mut self, key: &FileKey, pending: &Pending) -> Result<Looked, SpoolError> {
        let memory = self.spool.memory(key)?;
        let named = memory.as_ref().and_then(|m| m.origin.as_deref()).unwrap_or(&key.name);
        let path = self.folder.path.join(as_path(&key.name));
        let Some((task, named_suffix)) = TaskName::of_file(named) else { return Ok(Looked::Done) };
        let whole = self.log_dir.join(self.folder.path.join(as_path(named)));
        let config = self.config;
        let rule = config.rules.iter().find(|rule| rule.files.matches(whole.as_os_str().as_encoded_bytes()));
        let suffix = rule.and_then(|rule| rule.as_suffix).unwrap_or(named_suffix);
        let subject = Subject { task, suffix, path, rule };
        match read::stat(self.place(&subject.path)) {
            Ok(stat) => self.there(key, pending, memory, &subject, stat),
            Err(ReadError::Gone | ReadError::NotAFile) => self.gone(key, pending, memory, &subject),
            Err(error) => Ok(unreadable(&error)),
        }
    }

    fn there(
        &mut self,
        key: &FileKey,
        pending: &Pending,
        memory: Option<Memory>,
        subject: &Subject<'_>,
        stat: Stat,
    ) -> Result<Looked, SpoolError> {
        let (closed, again_at) = self.closed(pending, memory.as_ref(), stat);
        let all = closed || self.is_stuck(pending, memory.as_ref(), stat);
        if let Some(memory) = memory.as_ref().filter(|memory| stat.is(memory) && !memory.history) {
            let rest = all && memory.offset < stat.size;
            let paced = self.paced.get(key).copied().filter(|&until| memory.held > 0 && until > self.now);
            match paced {
                Some(until) if !rest => return Ok(Looked::Again(until)),
                _ if rest || memory.held > 0 => {}
                _ => return Ok(self.unchanged(key, pending, memory, subject, closed)),
            }
        }
        let breath = self.config.settle.max(GONE);
        if stat.size == 0 && memory.as_ref().is_some_and(|m| m.has_text) && self.quiet(stat) < breath {
            // Cut a moment ago: perhaps somebody is just writing it anew.
            return Ok(Looked::Again(self.now + breath));
        }
        let memory = self.rotated(key, memory, subject, stat)?;
        let reading = match read::read(self.place(&subject.path), memory.as_ref(), all) {
            Ok(reading) => reading,
            // Between two looks: the change that did it is told of.
            Err(ReadError::Gone | ReadError::NotAFile) => return Ok(Looked::Again(self.now + self.config.settle)),
            Err(error) => return Ok(unreadable(&error)),
        };
        let grows = reading.change == Change::Grown && subject.suffix == Suffix::Log;
        if let Some(until) = self.paced.get(key).copied().filter(|&until| grows && until > self.now) {
            return Ok(Looked::Again(until));
        }
        let unfinished = reading.is_unfinished();
        let is_held = self.tell(key, pending, memory, subject, reading, closed);
        Ok(match again_at {
            _ if is_held => Looked::Again(self.paced.get(key).copied().unwrap_or(self.now)),
            Some(at) if unfinished || subject.suffix == Suffix::Log => Looked::Again(at),
            _ if unfinished => Looked::Again(self.now + UNFINISHED),
            _ => Looked::Done,
        })
    }

    /// Is its writer done with it? If that is a guess by its quiet, when will the guess be safe?
    fn closed(&self, pending: &Pending, memory: Option<&Memory>, stat: Stat) -> (bool, Option<Duration>) {
        let quiet =
            u64::try_from(self.clock.now().since(stat.changed_at())).map_or(Duration::MAX, Duration::from_millis);
        match pending.writer {
            Writer::Closed => (true, None),
            Writer::Open => (false, None),
            Writer::Unknown if pending.live => (memory.is_none_or(|m| !m.open), None),
            Writer::Unknown if quiet >= self.config.settle_max => (true, None),
            Writer::Unknown => (false, Some(self.now + self.config.settle_max.saturating_sub(quiet))),
        }
    }

    /// Open, but its last line has not been finished for long: it is told as it is, lest it never be.
    fn is_stuck(&self, pending: &Pending, memory: Option<&Memory>, stat: Stat) -> bool {
        let open = pending.writer == Writer::Open || (pending.live && pending.writer == Writer::Unknown);
        open && self.quiet(stat) >= UNFINISHED && memory.is_some_and(|m| stat.is(m))
    }

    fn quiet(&self, stat: Stat) -> Duration {
        // A time in the future says nothing about quiet; it is taken for long past.
        u64::try_from(self.clock.now().since(stat.changed_at())).map_or(Duration::MAX, Duration::from_millis)
    }

    /// Its bytes are as they were; but the end of a run, or of a text, may not be told yet.
    fn unchanged(
        &mut self,
        key: &FileKey,
        pending: &Pending,
        memory: &Memory,
        subject: &Subject<'_>,
        closed: bool,
    ) -> Looked {
        let ends = memory.open && closed && (pending.writer == Writer::Closed || !pending.live);
        if !ends {
            return Looked::Done;
        }
        let known = Memory { open: false, ..memory.clone() };
        if subject.suffix == Suffix::Log && memory.head.is_some() {
            if let Some(until) = self.paced.get(key).copied().filter(|&until| until > self.now && memory.size > 0) {
                return Looked::Again(until);
            }
            let change = if memory.size == 0 { Change::Rewritten } else { Change::Grown };
            let file = self.file(subject, change, memory.began, true, false, Vec::new());
            let at = self.clock.now();
            self.say(key, at, What::Text { file, excerpt: Excerpt::default() });
        } else if memory.size == 0 && memory.has_text {
            self.repeats(key, subject, self.clock.now(), memory.held);
            self.cleared(key, subject, self.clock.now(), false);
            self.batch.remember(key.clone(), Memory { has_text: false, ..known });
            return Looked::Done;
        }
        self.batch.remember(key.clone(), known);
        Looked::Done
    }

    /// Says what a reading says, and remembers it. True: it was seen before, and may not be told yet.
    fn tell(
        &mut self,
        key: &FileKey,
        pending: &Pending,
        memory: Option<Memory>,
        subject: &Subject<'_>,
        reading: Reading,
        closed: bool,
    ) -> bool {
        let history = memory.as_ref().is_some_and(|m| m.history);
        let kept = memory.as_ref().filter(|_| reading.change == Change::Grown).and_then(|m| m.encoding);
        let said = text::say(reading.bytes(), kept, self.manner(subject));
        let at = self.happened_at(pending, reading.stat);
        let began = began(pending, memory.as_ref(), &reading, at);
        let had_text = memory.as_ref().is_some_and(|m| m.has_text && !m.history);
        let grown = reading.change == Change::Grown;
        let blank = said.is_blank();
        let mut held = memory.as_ref().map_or(0, |m| m.held);
        if reading.same {
            // The look that a held-back writing asked for is not one more writing.
            let written_again = !memory.as_ref().is_some_and(|m| reading.stat.is(m));
            held = held.saturating_add(u32::from(written_again));
        }
        let mut known = Memory {
            inode: reading.stat.inode,
            size: reading.stat.size,
            mtime: reading.stat.mtime,
            seen: memory.as_ref().and_then(|m| m.seen),
            offset: reading.to,
            head: Some(reading.head_hash),
            tail: Some(reading.tail_hash),
            content: Some(reading.content),
            began,
            encoding: said.encoding,
            // An open file that is empty for the moment may yet be closed empty.
            has_text: !blank || (had_text && (grown || !closed)),
            open: !closed,
            history: false,
            held: 0,
            origin: memory.as_ref().and_then(|m| m.origin.clone()),
        };
        let run = subject.suffix == Suffix::Log && closed && !grown;
        if blank && !run {
            if had_text && !grown && closed {
                self.repeats(key, subject, at, held);
                self.cleared(key, subject, at, false);
            }
        } else if reading.same && !blank && !history {
            if self.paced.get(key).is_some_and(|&until| until > self.now) {
                known.held = held;
            } else {
                let file = self.file(subject, reading.change, began, closed, false, said.fingerprints);
                self.say(key, at, What::Seen { file, times: held.max(1) });
            }
        } else {
            self.repeats(key, subject, at, held);
            let file = self.file(subject, reading.change, began, closed, history, said.fingerprints);
            self.say(key, at, What::Text { file, excerpt: said.excerpt });
        }
        let is_held = known.held > 0;
        self.batch.remember(key.clone(), known);
        is_held
    }

    /// The file is gone, or no longer one.
    fn gone(
        &mut self,
        key: &FileKey,
        pending: &Pending,
        memory: Option<Memory>,
        subject: &Subject<'_>,
    ) -> Result<Looked, SpoolError> {
        let Some(memory) = memory else { return Ok(Looked::Done) };
        if self.follow(key, &memory, subject)?.is_none() {
            let told = memory.has_text || (memory.head.is_none() && memory.size > 0);
            if told && !pending.renamed && memory.origin.is_none() && subject.suffix != Suffix::Log {
                self.repeats(key, subject, self.clock.now(), memory.held);
                self.cleared(key, subject, self.clock.now(), true);
            }
        }
        self.batch.forget(key.clone());
        Ok(Looked::Done)
    }

    /// Did rotation put another file under this name, or copy it away and cut it? Then what is there now begins anew,
    /// and the rest of what was there is read under its new name.
    fn rotated(
        &mut self,
        key: &FileKey,
        memory: Option<Memory>,
        subject: &Subject<'_>,
        stat: Stat,
    ) -> Result<Option<Memory>, SpoolError> {
        let Some(known) = memory.as_ref().filter(|m| m.origin.is_none() && m.offset > 0) else { return Ok(memory) };
        let moved = stat.inode != known.inode && self.follow(key, known, subject)?.is_some();
        let copied = stat.inode == known.inode && stat.size < known.offset && self.copied(key, known, subject);
        Ok(memory.filter(|_| !(moved || copied)))
    }

    /// Finds a file under the name that rotation gave it, and goes on reading it there. Its new name.
    fn follow(&mut self, key: &FileKey, memory: &Memory, subject: &Subject<'_>) -> Result<Option<Vec<u8>>, SpoolError> {
        let folder = Place { log_dir: self.log_dir, path: &self.folder.path };
        let same = |name: &[u8], inode| inode == memory.inode && name != key.name;
        for sibling in read::siblings(folder, same).unwrap_or_default() {
            let path = self.folder.path.join(as_path(&sibling.name));
            let Ok(Some(stat)) = read::holds(self.place(&path), memory) else { continue };
            let origin = memory.origin.clone().unwrap_or_else(|| key.name.clone());
            let at = FileKey { folder: key.folder, name: sibling.name.clone() };
            if self.spool.memory(&at)?.is_some_and(|m| m.inode == memory.inode) {
                continue;
            }
            let mut known = Memory { origin: Some(origin), ..memory.clone() };
            if stat.size > memory.offset {
                self.rest(&at, &path, &mut known, subject);
            }
            self.batch.remember(at, known);
            return Ok(Some(sibling.name));
        }
        Ok(None)
    }

    /// Is there a younger copy that begins as this file did (logrotate's copytruncate)? What it holds beyond the offset is told.
    fn copied(&mut self, key: &FileKey, memory: &Memory, subject: &Subject<'_>) -> bool {
        let folder = Place { log_dir: self.log_dir, path: &self.folder.path };
        let stem = key.name.rsplitn(2, |&b| b == b'.').last().unwrap_or(&key.name).to_owned();
        let copy = |name: &[u8], _| {
            let rest = name.strip_prefix(key.name.as_slice()).or_else(|| name.strip_prefix(stem.as_slice()));
            name != key.name && rest.is_some_and(|rest| matches!(rest.first(), Some(b'.' | b'-' | b'_')))
        };
        for sibling in read::siblings(folder, copy).unwrap_or_default() {
            let path = self.folder.path.join(as_path(&sibling.name));
            let Ok(found) = read::stat(self.place(&path)) else { continue };
            if found.inode == memory.inode {
                continue;
            }
            let packed = [&b".gz"[..], b".xz", b".zst", b".bz2"].iter().any(|end| sibling.name.ends_with(end));
            if packed {
                // Its bytes cannot be compared; that it was made after our last look at the file is enough.
                if found.born.is_some_and(|born| born.0 >= memory.mtime.div_euclid(1_000_000)) {
                    return true;
                }
                continue;
            }
            if memory.head.is_some() && matches!(read::holds(self.place(&path), memory), Ok(Some(_))) {
                if found.size > memory.offset {
                    // As if the copy had been the file: same bytes, another inode.
                    let mut known = Memory { inode: found.inode, ..memory.clone() };
                    self.rest(key, &path, &mut known, subject);
                }
                return true;
            }
        }
        false
    }

    /// Tells what a rotated file holds beyond its offset.
    fn rest(&mut self, key: &FileKey, path: &Path, known: &mut Memory, subject: &Subject<'_>) {
        let Ok(reading) = read::read(self.place(path), Some(known), true) else { return };
        if reading.change != Change::Grown {
            return;
        }
        let said: Said = text::say(reading.bytes(), known.encoding, self.manner(subject));
        if !said.is_blank() {
            let file = self.file(subject, Change::Grown, known.began, true, false, said.fingerprints);
            self.say(key, reading.stat.changed_at(), What::Text { file, excerpt: said.excerpt });
            known.has_text = true;
        }
        known.size = reading.stat.size;
        known.mtime = reading.stat.mtime;
        known.offset = reading.to;
        (known.head, known.tail) = (Some(reading.head_hash), Some(reading.tail_hash));
        known.content = Some(reading.content);
    }

    fn file(
        &self,
        subject: &Subject<'_>,
        change: Change,
        began: Option<At>,
        closed: bool,
        history: bool,
        fingerprints: Vec<olog_proto::FingerprintText>,
    ) -> File {
        let sibling_err = subject.suffix == Suffix::Log && self.sibling_has_text(subject);
        File {
            task: subject.task.clone(),
            suffix: subject.suffix,
            path: self.path_text(subject),
            change,
            began_at: began,
            closed,
            sibling_err,
            history,
            fingerprints,
        }
    }

    fn sibling_has_text(&self, subject: &Subject<'_>) -> bool {
        ["err", "ERR", "Err"].iter().any(|suffix| {
            let path = subject.path.with_extension(suffix);
            let Ok(reading) = read::read(self.place(&path), None, true) else { return false };
            let whole = self.log_dir.join(&path);
            let rule = self.config.rules.iter().find(|r| r.files.matches(whole.as_os_str().as_encoded_bytes()));
            let is_error = rule.and_then(|rule| rule.as_suffix).is_none_or(Suffix::is_error);
            is_error && !text::say(reading.bytes(), None, self.manner(&Subject { rule, ..subject.clone() })).is_blank()
        })
    }

    fn manner<'b>(&'b self, subject: &Subject<'b>) -> Manner<'b> {
        Manner {
            encoding: subject.rule.and_then(|rule| rule.encoding).or(self.config.encoding),
            ignore: subject.rule.map_or(&[], |rule| &rule.ignore),
            redactor: self.redactor,
        }
    }

    fn cleared(&mut self, key: &FileKey, subject: &Subject<'_>, at: At, deleted: bool) {
        if subject.suffix == Suffix::Log {
            return;
        }
        let (task, suffix, path) = (subject.task.clone(), subject.suffix, self.path_text(subject));
        self.say(key, at, What::Cleared { task, suffix, path, deleted });
    }

    /// What was written again and is not told yet counts before the file says something else, or nothing any more. Which text it
    /// was, the hub knows by the path.
    fn repeats(&mut self, key: &FileKey, subject: &Subject<'_>, at: At, held: u32) {
        if held > 0 && subject.suffix != Suffix::Log {
            let file = self.file(subject, Change::Rewritten, None, true, false, Vec::new());
            self.say(key, at, What::Seen { file, times: held });
        }
    }

    fn say(&mut self, key: &FileKey, at: At, what: What) {
        self.paced.insert(key.clone(), self.now + self.config.pace);
        let up = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        self.batch.say(Stamp { at, boot: self.boot, up }, what, Some(key.clone()));
    }

    fn path_text(&self, subject: &Subject<'_>) -> String {
        path_text(self.log_dir.join(&subject.path).as_os_str().as_encoded_bytes())
    }

    /// The time of the change: the file's own, unless the kernel has just told of a file that carries an old one (moved in,
    /// copied with its times), or its clock is ahead.
    fn happened_at(&self, pending: &Pending, stat: Stat) -> At {
        let now = self.clock.now();
        let own = stat.changed_at();
        if own > now || (pending.live && pending.first_at.since(own) > 2000) { pending.first_at.min(now) } else { own }
    }

    fn place<'b>(&'b self, path: &'b Path) -> Place<'b> {
        Place { log_dir: self.log_dir, path }
    }
}

impl Clone for Subject<'_> {
    fn clone(&self) -> Self {
        Subject { task: self.task.clone(), suffix: self.suffix, path: self.path.clone(), rule: self.rule }
    }
}

/// When this writing of the file began: known to be so late, or not said. Too early is safe, too late would call an error over.
fn began(pending: &Pending, memory: Option<&Memory>, reading: &Reading, at: At) -> Option<At> {
    let first = pending.live.then_some(pending.first_at);
    let other_inode = memory.is_none_or(|m| m.inode != reading.stat.inode);
    match reading.change {
        Change::Grown => memory.and_then(|m| m.began),
        _ if other_inode => reading.stat.born.or(first).map(|born| born.min(at)),
        _ if memory.is_some_and(|m| m.history) => reading.stat.born,
        _ => first.or_else(|| memory.map(|m| At(m.mtime.div_euclid(1_000_000)))),
    }
}

fn unreadable(error: &ReadError) -> Looked {
    Looked::Unreadable(std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string))
}
