//! Reads configuration files, key by key, and reports every mistake at once.
//!
//! A [`ConfigFiles`] is a main file and the `X.d/*.toml` files beside it, in the order of their names. A later file overrides single
//! keys; arrays of tables (`[[channel]]`) are appended. [`read`] hands the merged [`Table`] to a closure that knows the keys. The
//! closure takes the values that it wants and reports mistakes in the table itself; it never returns at the first one. Only a
//! configuration without any [`Finding`] leaves [`read`].
//!
//! Unvalidated values exist only inside the closure given to [`read`]; what the closure returns is validated.

mod context;
mod keys;
mod node;
mod table;
mod units;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    rc::Rc,
    time::SystemTime,
};

use crate::secret::{Secret, SecretFiles, Secrets};
use context::Context;
pub use context::Origin;
pub use keys::{Absent, Key, Kind};
use node::Node;
pub use node::quote;
pub use table::Table;
pub use units::{parse_size, parse_span, show_span};

/// One mistake, where it is, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1; `None` when the file as a whole is meant.
    pub place: Option<(usize, usize)>,
    /// The key with its tables, e.g. `push.channel[0].token`; empty when none is meant.
    pub key: String,
    /// What is wrong and what was expected.
    pub problem: String,
    /// For an unknown key: the known one that it resembles.
    pub nearest: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        let colon = if self.place.is_none() { ":" } else { "" };
        write!(f, "{colon} {}", self.problem)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, ", nearest {}", table::quoted(nearest)))
    }
}

/// A configuration with mistakes: all of them, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Vec<Finding>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.0.iter().enumerate() {
            write!(f, "{}{finding}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Folders beside the configuration whose files belong to it: the types of channels that are not built in.
const BESIDE: [&str; 1] = ["channels.d"];

/// Where a program's configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFiles {
    program: &'static str,
    main: PathBuf,
    must_exist: bool,
    has_secrets: bool,
    secret_files: SecretFiles,
}

/// What a look at the files without reading them shows: another value means that one of them changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(Vec<(PathBuf, Option<SystemTime>, u64)>);

impl ConfigFiles {
    /// Of `agent` or `hub`: the file that the user named, or `/etc/olog/PROGRAM.toml`, which may be missing.
    pub fn new(program: &'static str, named: Option<PathBuf>) -> ConfigFiles {
        let must_exist = named.is_some();
        let main = named.unwrap_or_else(|| Path::new("/etc/olog").join(format!("{program}.toml")));
        ConfigFiles { program, main, must_exist, has_secrets: true, secret_files: SecretFiles::default() }
    }

    /// For who only asks the daemon: that need not be one who may read its secrets.
    pub fn without_secrets(self) -> ConfigFiles {
        ConfigFiles { has_secrets: false, ..self }
    }

    /// Was a file named that is not there?
    pub fn is_missing(&self) -> bool {
        self.must_exist && matches!(self.main.try_exists(), Ok(false))
    }

    /// The main file.
    pub fn main(&self) -> &Path {
        &self.main
    }

    /// The main file's folder: relative paths in a configuration are meant from here.
    pub fn folder(&self) -> &Path {
        self.main.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The files in the order in which they are read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut parts = toml_files(&self.main.with_extension("d"))?;
        parts.insert(0, self.main.clone());
        Ok(parts)
    }

    /// The stamp to compare with from now on, after a reading that began at `before`: the files with secrets that the reading has met
    /// for the first time are no change, and what changed during the reading is one.
    pub fn stamp_after(&self, before: Stamp) -> Stamp {
        let now = self.stamp();
        if now.goes_on_from(&before) { now } else { before }
    }

    /// For noticing a change.
    pub fn stamp(&self) -> Stamp {
        let files = self.files().unwrap_or_else(|_| vec![self.main.clone()]);
        let look = |path: PathBuf| {
            let found = std::fs::metadata(&path).ok();
            (path, found.as_ref().and_then(|m| m.modified().ok()), found.map_or(0, |m| m.len()))
        };
        // A token that was corrected in its own file is a change too, wherever the configuration says that the file is.
        let secrets = std::fs::read_dir(Secrets::folder(self.folder(), self.program));
        let mut secrets: Vec<PathBuf> = secrets.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        secrets.extend(self.secret_files.paths());
        secrets.sort();
        secrets.dedup();
        // So is what stands beside the configuration for it to read: see `Table::beside`.
        let beside = BESIDE.iter().flat_map(|folder| toml_files(&self.folder().join(folder)).unwrap_or_default());
        Stamp(files.into_iter().chain(secrets).chain(beside).map(look).collect())
    }
}

impl Stamp {
    /// Was everything as it is now? What `before` does not name was not looked at then.
    fn goes_on_from(&self, before: &Stamp) -> bool {
        before.0.iter().all(|known| self.0.contains(known))
    }
}

/// The `*.toml` files of a folder by name; none where it is missing.
fn toml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                if path.extension().is_some_and(|e| e == "toml") {
                    files.push(path);
                }
            }
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
        Err(e) => return Err(e),
    }
    files.sort();
    Ok(files)
}

/// Files that hold other texts than those on the disk, or none: for trying a configuration before it is in place.
#[derive(Debug, Default)]
pub struct Draft {
    files: Vec<(PathBuf, Option<String>)>,
    secrets: Vec<(PathBuf, Secret)>,
}

impl Draft {
    /// As if this file held this text, or were not there.
    pub fn file(mut self, path: PathBuf, text: Option<String>) -> Draft {
        self.files.push((path, text));
        self
    }

    /// As if this file of the secrets' folder held this secret.
    pub fn secret(mut self, name: &str, secret: Secret) -> Draft {
        self.secrets.push((name.into(), secret));
        self
    }
}

/// Reads all files, lets `take` turn the tables into what the program trusts, and returns that or every finding.
pub fn read<T>(source: &ConfigFiles, take: impl FnOnce(&mut Table) -> T) -> Result<T, Invalid> {
    read_draft(source, &Draft::default(), take)
}

/// As [`read`], with what the draft says in the place of what is on the disk.
pub fn read_draft<T>(source: &ConfigFiles, draft: &Draft, take: impl FnOnce(&mut Table) -> T) -> Result<T, Invalid> {
    let mut findings = Vec::new();
    let whole = |file: &Path, e: &io::Error| Finding {
        file: file.to_owned(),
        place: None,
        key: String::new(),
        problem: table::unread(e),
        nearest: None,
    };
    let mut files = source.files().unwrap_or_else(|e| {
        findings.push(whole(&source.main.with_extension("d"), &e));
        vec![source.main.clone()]
    });
    files.extend(draft.files.iter().map(|(path, _)| path.clone()));
    // The main file first, then by name.
    files.sort_by_key(|file| (*file != source.main, file.clone()));
    files.dedup();
    let mut texts = Vec::new();
    for file in files {
        let drafted = draft.files.iter().find(|(path, _)| *path == file);
        let read = match drafted {
            Some((_, Some(text))) => Ok(text.clone()),
            Some((_, None)) => continue,
            None => std::fs::read_to_string(&file),
        };
        match read {
            Ok(text) => texts.push((file, text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !(source.must_exist && file == source.main) => {}
            Err(e) => findings.push(whole(&file, &e)),
        }
    }
    let secrets = match source.has_secrets {
        true => Secrets::beside(source.folder(), source.program, source.secret_files.clone()),
        false => Secrets::Unread,
    };
    read_texts(source.main.clone(), &texts, findings, secrets.with(draft.secrets.clone()), take)
}

/// As [`read`], of texts that stand for files.
pub fn read_text<T>(file: &str, text: &str, take: impl FnOnce(&mut Table) -> T) -> Result<T, Invalid> {
    let secrets = Secrets::beside(Path::new("."), "none", SecretFiles::default());
    read_texts(file.into(), &[(file.into(), text.to_owned())], Vec::new(), secrets, take)
}

fn read_texts<T>(
    main: PathBuf,
    texts: &[(PathBuf, String)],
    mut findings: Vec<Finding>,
    secrets: Secrets,
    take: impl FnOnce(&mut Table) -> T,
) -> Result<T, Invalid> {
    let mut root = Node::empty(Rc::from(main));
    for (file, text) in texts {
        root.merge(Node::parse(file, text, &mut findings));
    }
    // A file that is not TOML hides keys: what the reader would say of the rest is still worth knowing.
    let context = Context::new(findings, secrets);
    let mut table = Table::root(root, context.clone());
    let taken = take(&mut table);
    table.finish();
    let mut findings = context.findings();
    if findings.is_empty() {
        return Ok(taken);
    }
    let order = |file: &Path| texts.iter().position(|(f, _)| f == file);
    findings.sort_by_key(|f| (order(&f.file), f.place));
    Err(Invalid(findings))
}

#[cfg(test)]
mod tests;
