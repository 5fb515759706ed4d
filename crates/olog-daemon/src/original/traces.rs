//! What of the original is in use on this machine: its processes, its crontab lines, and the files of its own output.
//!
//! Every file and folder is read within bounds; what may not be read is passed over, so an ordinary user sees less than root.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use super::Words;

const PROGRAM: &str = "olog.py";
const CRONTABS: [&str; 3] = ["etc/crontab", "etc/cron.d", "var/spool/cron/crontabs"];
/// Processes and lines that are named.
const SHOWN_MAX: usize = 20;
const FILE_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 1_000;

/// A process that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

/// A line of a crontab that starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronLine {
    /// The crontab.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// Where its output goes.
    pub outputs: Vec<PathBuf>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// What runs.
    pub processes: Vec<Process>,
    /// What starts it.
    pub cron: Vec<CronLine>,
}

/// Looks for the original below `root`, the root of the file system.
pub fn traces(root: &Path) -> Traces {
    Traces { processes: processes(&root.join("proc")), cron: cron_lines(root) }
}

impl Traces {
    /// One sentence for each, in the words of the catalogue.
    pub fn sentences(&self, words: Words<'_>) -> Vec<String> {
        let processes = self.processes.iter().map(|process| {
            words("import-running", &[("pid", &process.pid.to_string()), ("command", &process.command)])
        });
        let cron = self.cron.iter().map(|line| {
            words("import-cron", &[("file", &line.file.display().to_string()), ("line", &line.line.to_string())])
        });
        processes.chain(cron).collect()
    }

    /// Patterns of the files that hold the original's own output: its usual names, and where crontab lines send it.
    pub fn own_files(&self) -> Vec<String> {
        let mut files = vec!["olog_client.*".to_owned(), "olog_server.*".to_owned()];
        let outputs = self.cron.iter().flat_map(|line| &line.outputs);
        let names = outputs.filter_map(|path| path.file_name()?.to_str());
        for name in names.filter(|name| !name.contains(['*', '?', '[', '{'])) {
            if !name.starts_with("olog_client.")
                && !name.starts_with("olog_server.")
                && !files.iter().any(|f| f == name)
            {
                files.push(name.to_owned());
            }
        }
        files
    }
}

fn processes(proc: &Path) -> Vec<Process> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<Process> = pids
        .filter_map(|pid| {
            let line = read(&proc.join(pid.to_string()).join("cmdline"))?;
            let arguments: Vec<&str> = line.split('\0').filter(|argument| !argument.is_empty()).collect();
            // The shell that starts it, or an editor that shows it, is not it.
            let is_it = arguments.iter().take(4).skip(1).any(|argument| names_it(argument))
                && arguments.first().is_some_and(|program| program.contains("python"));
            is_it.then(|| Process { pid, command: arguments.join(" ").chars().take(200).collect() })
        })
        .take(SHOWN_MAX)
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

fn names_it(word: &str) -> bool {
    word.rsplit('/').next() == Some(PROGRAM)
}

fn cron_lines(root: &Path) -> Vec<CronLine> {
    let mut files = Vec::new();
    for place in CRONTABS {
        let place = root.join(place);
        match fs::read_dir(&place) {
            Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path()).take(FILES_MAX)),
            Err(_) => files.push(place),
        }
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let Some(text) = read(&file) else { continue };
        for (i, line) in text.lines().enumerate() {
            let is_it = !line.trim_start().starts_with('#')
                && line.split(|c: char| c.is_whitespace() || ";&|()\"'".contains(c)).any(names_it);
            if is_it && found.len() < SHOWN_MAX {
                found.push(CronLine { file: file.clone(), line: i + 1, outputs: outputs(line) });
            }
        }
    }
    found
}

/// The targets of `>`, `>>`, `1>`, `2>` and `&>`.
fn outputs(line: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for part in line.split('>').skip(1) {
        let target =
            part.trim_start().split(|c: char| c.is_whitespace() || ";&|)".contains(c)).next().unwrap_or_default();
        let target = Path::new(target.trim_matches(['"', '\'']));
        if target.is_absolute() && !target.starts_with("/dev") && !all.iter().any(|known| known == target) {
            all.push(target.to_owned());
        }
    }
    all
}

/// A text file, within the bound; what is no text has none of our lines.
fn read(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
