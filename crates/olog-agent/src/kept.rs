//! The files in which `exec` keeps what a command wrote, for people: `NAME.log` of the last good run, `NAME.err` of the last failed one.
//!
//! | part | holds |
//! |---|---|
//! | first line | that `exec` wrote the file, the run's id, its task, and whether the run is reported besides |
//! | the output | both outputs in the order in which they came; of a long output its head and its tail ([`KeptOutput`]) |
//! | last lines | exit code or signal, duration, time; user and command line, without secrets |
//!
//! A run is normally reported by its run file ([`crate::runs`]). Then the kept file says so in its first line, and the watcher tells nothing
//! of it: one failure is one event. Where no run file can be written and no agent answers, the kept file is the report: its first line
//! says that too, and the watcher reads it as every log file.
//!
//! It lies in the first log dir that takes it. A log dir may be writable by every user, so a file there is replaced only if it is a
//! regular file of this user that `exec` wrote for this task; a log of somebody else, or of the job itself, is never touched: then the
//! file lies in a folder of this user in the same log dir ([`own_folder`]). The file appears whole, by a rename; nothing half-written is read.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{
        linux::fs::MetadataExt as _,
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use olog_proto::{LogKind, TaskName, name::escape};
use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;

/// How every kept file begins. What comes then: `reported run` or `run`, the id, `of`, the task.
const BEGIN: &str = "# olog-agent exec: ";
const REPORTED: &str = "reported ";
/// A first line is not longer: the task's name has at most 1,020 bytes.
const FIRST_LINE_MAX: usize = 1_200;
/// Bytes of a file's name, as most file systems have it.
const FILE_NAME_MAX: usize = 255;

/// What is kept of a run.
#[derive(Debug)]
pub struct KeptRun<'a> {
    /// The task.
    pub task: &'a TaskName,
    /// The run's id.
    pub run: &'a str,
    /// The run is reported by its run file or over the socket.
    pub is_reported: bool,
    /// It is a good run: `.log`.
    pub is_good: bool,
    /// What it wrote: the beginning, how many bytes are left out, the end.
    pub output: KeptOutput<'a>,
    /// How it ended, who ran it, and what: the lines at the end.
    pub last_lines: &'a [String],
}

/// An output, or its two ends.
#[derive(Debug, Clone, Copy)]
pub struct KeptOutput<'a> {
    /// All of it, or the beginning.
    pub head: &'a [u8],
    /// Bytes between the two.
    pub n_left_out: u64,
    /// The end, if something is left out.
    pub tail: &'a [u8],
}

/// What a kept file's beginning says.
#[derive(Debug, PartialEq, Eq)]
pub struct FirstLine {
    /// The run is reported by itself: the file is not.
    pub is_reported: bool,
    /// The task.
    pub task: TaskName,
}

/// Reads the first line of a file; `None` if `exec` did not write it.
pub fn first_line(beginning: &[u8]) -> Option<FirstLine> {
    let line = beginning.get(..FIRST_LINE_MAX.min(beginning.len()))?.split(|&b| b == b'\n').next()?;
    let rest = std::str::from_utf8(line).ok()?.strip_prefix(BEGIN)?;
    let (is_reported, rest) = match rest.strip_prefix(REPORTED) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (run, task) = rest.strip_prefix("run ")?.split_once(" of ")?;
    let is_id = run.len() == 16 && run.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| task.parse().ok().map(|task| FirstLine { is_reported, task }))?
}

/// Does a file that begins so keep a run that is reported by itself?
pub fn is_reported(beginning: &[u8]) -> bool {
    first_line(beginning).is_some_and(|line| line.is_reported)
}

/// Writes the file into the first log dir that takes it, and returns where it lies.
pub fn keep(log_dirs: &[PathBuf], run: &KeptRun<'_>) -> io::Result<PathBuf> {
    let mut first_error = None;
    let mut failed = |folder: &Path, error: io::Error| {
        first_error.get_or_insert(io::Error::new(error.kind(), format!("{}: {error}", folder.display())));
    };
    for log_dir in log_dirs {
        match keep_in(log_dir, run) {
            Ok(path) => return Ok(path),
            Err(error) => failed(log_dir, error),
        }
        // A folder of one's own helps neither where there is no log dir, nor on a full disk.
        let own = own_folder(std::slice::from_ref(log_dir), "exec", 0o755, run.run);
        match own.and_then(|own| keep_in(&own, run)) {
            Ok(path) => return Ok(path),
            Err(error) => failed(log_dir, error),
        }
    }
    Err(first_error.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no log dir")))
}

fn keep_in(folder: &Path, run: &KeptRun<'_>) -> io::Result<PathBuf> {
    let suffix = if run.is_good { LogKind::Log } else { LogKind::Err };
    let path = folder.join(file_name(run.task, suffix));
    let is_there = replaces(&path, run.task)?;
    let new = folder.join(format!(".exec-{}.new", run.run));
    let written = write_new(&new, run).and_then(|()| {
        let flags = if is_there { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match rustix::fs::renameat_with(CWD, &new, CWD, &path, flags) {
            // A file system without this flag.
            Err(Errno::INVAL) if !is_there && !path.exists() => std::fs::rename(&new, &path),
            renamed => Ok(renamed?),
        }
    });
    if written.is_err()
        && let Err(error) = std::fs::remove_file(&new)
    {
        tracing::debug!(%error, path = %new.display(), "an unfinished file stays");
    }
    written?;
    // A file that is not the report says nothing. One that is would say that the error is still there.
    let before = folder.join(file_name(run.task, LogKind::Err));
    if run.is_good
        && !run.is_reported
        && matches!(replaces(&before, run.task), Ok(true))
        && let Err(error) = std::fs::remove_file(&before)
    {
        tracing::debug!(%error, path = %before.display(), "the file of the failed run stays");
    }
    Ok(path)
}

/// May this name be taken? `true`: a file of an earlier run of ours lies there, which is replaced.
fn replaces(path: &Path, task: &TaskName) -> io::Result<bool> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    let mut beginning = Vec::new();
    file.take(FIRST_LINE_MAX as u64).read_to_end(&mut beginning)?;
    let is_ours = found.is_file()
        && found.st_nlink() == 1
        && found.st_uid() == rustix::process::geteuid().as_raw()
        && first_line(&beginning).is_some_and(|line| line.task == *task);
    match is_ours {
        true => Ok(true),
        false => Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is not a file of exec", path.display()))),
    }
}

fn write_new(path: &Path, run: &KeptRun<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
    let reported = if run.is_reported { REPORTED } else { "" };
    writeln!(file, "{BEGIN}{reported}run {} of {}", run.run, run.task)?;
    let KeptOutput { head, n_left_out, tail } = run.output;
    file.write_all(head)?;
    if n_left_out > 0 {
        end_line(&mut file, head)?;
        writeln!(file, "# … {n_left_out} bytes are left out here …")?;
    }
    file.write_all(tail)?;
    end_line(&mut file, if tail.is_empty() { head } else { tail })?;
    let last = run.last_lines.iter().fold(String::new(), |all, line| all + "# " + line + "\n");
    file.write_all(last.as_bytes())
}

fn end_line(file: &mut File, text: &[u8]) -> io::Result<()> {
    if text.last().is_some_and(|&b| b != b'\n') { file.write_all(b"\n") } else { Ok(()) }
}

/// `NAME.log`; what cannot be in a file's name is written as `%2f`, and a name that is too long is cut.
fn file_name(task: &TaskName, suffix: LogKind) -> String {
    let name = task.as_str().replace('/', "%2f");
    let most = FILE_NAME_MAX - 1 - suffix.as_str().len();
    format!("{}.{suffix}", name.get(..name.floor_char_boundary(most)).unwrap_or_default())
}

/// A folder of this user, into which nobody else can write, in the first of these folders that takes one: `NAME-UID`. Its name is known
/// beforehand, so another user may have taken it: a folder that is not ours is passed over, and `NAME-UID-RANDOM` is used.
pub fn own_folder(within: &[PathBuf], name: &str, mode: u32, random: &str) -> io::Result<PathBuf> {
    let me = rustix::process::geteuid().as_raw();
    let start = format!("{name}-{me}");
    // One that is there is the one that the earlier run used.
    if let Some(own) = within.iter().flat_map(|folder| named(folder, &start)).find(|path| is_own(path, me)) {
        return Ok(own);
    }
    let mut first_error = None;
    for path in within.iter().flat_map(|folder| [folder.join(&start), folder.join(format!("{start}-{random}"))]) {
        match DirBuilder::new().mode(mode).create(&path) {
            Ok(()) => return Ok(path),
            // Somebody else's, or ours since a moment ago.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_own(&path, me) => return Ok(path),
            Err(error) => {
                first_error.get_or_insert(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
        }
    }
    Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// What is in a folder under this name, or this name and a random part, in an order that every run has.
fn named(folder: &Path, start: &str) -> Vec<PathBuf> {
    let is_named = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let rest = name.as_encoded_bytes().strip_prefix(start.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
    };
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().filter(is_named).map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Is it a folder of this user, no link, that nobody else may write into?
pub fn is_own(path: &Path, uid: u32) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && found.st_uid() == uid && found.st_mode() & 0o022 == 0)
}

/// A command line for people: words with blanks in them are quoted, what nobody sees is escaped.
pub fn command_line(words: &[std::ffi::OsString]) -> String {
    let quoted = |word: &std::ffi::OsString| {
        let text = escape(word.as_encoded_bytes());
        let is_plain = !text.is_empty() && !text.contains(|c: char| " '\"\\$`&|;<>()*?#~!{}[]".contains(c));
        if is_plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The name of a user, as `/etc/passwd` has it.
pub fn user_name(uid: u32) -> Option<String> {
    let all = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = all.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| escape(name.as_bytes()))
    })
}

#[cfg(test)]
mod tests;
