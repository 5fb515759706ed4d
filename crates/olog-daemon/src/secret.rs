//! Secrets: texts such as tokens and passwords, and the files that hold them.
//!
//! [`Secret`] prints only its first four characters, and only if it is long; so no log, page, error or debug output can show it. The whole
//! text is returned by [`Secret::reveal`] alone. [`Secrets`] finds the file that a key `KEY_file` names: in systemd's
//! `$CREDENTIALS_DIRECTORY` if it is there, else in `secrets/PROGRAM/` beside the configuration. It remembers which files it looked for
//! ([`SecretFiles`]), because a corrected token is a changed configuration.
//!
//! Must not: put the content of such a file into an error; an error names the path.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Stands for a secret that nobody is going to use and so nobody has read.
pub const SECRET_NOT_LOADED: &str = "…";

/// A token, a password, a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// White space around it is not part of it; nothing is no secret.
    pub fn new(text: &str) -> Option<Secret> {
        let text = text.trim();
        (!text.is_empty()).then(|| Secret(text.to_owned()))
    }

    /// For the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Enough to tell two apart, not enough to use: the first four characters of a long one.
    pub fn masked(&self) -> String {
        let shown = if self.0.chars().count() >= 16 { self.0.chars().take(4).collect() } else { String::new() };
        format!("{shown}…")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Where files with secrets are.
#[derive(Debug, Clone)]
pub enum Secrets {
    /// In these folders, the first that has it.
    In {
        /// systemd's `$CREDENTIALS_DIRECTORY`.
        credentials: Option<PathBuf>,
        /// The folder beside the configuration.
        beside: PathBuf,
        /// Which files were looked for.
        asked: SecretFiles,
    },
    /// Nobody is going to use one: no file is opened.
    Unread,
    /// Those that are not written yet, then the others.
    Drafted {
        /// By the name of their file.
        drafted: Vec<(PathBuf, Secret)>,
        /// Where the others are.
        others: Box<Secrets>,
    },
}

/// The files with secrets that a configuration names, wherever they are: a correction in one of them is a changed configuration.
#[derive(Debug, Clone, Default)]
pub struct SecretFiles(Arc<Mutex<BTreeSet<PathBuf>>>);

impl SecretFiles {
    /// All of them.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn add(&self, path: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }
}

/// Which files were read does not make another configuration.
impl PartialEq for SecretFiles {
    fn eq(&self, _: &SecretFiles) -> bool {
        true
    }
}

impl Eq for SecretFiles {}

impl Secrets {
    /// The folder beside the configuration: `secrets/PROGRAM/`.
    pub fn folder(beside: &Path, program: &str) -> PathBuf {
        beside.join("secrets").join(program)
    }

    /// In systemd's `$CREDENTIALS_DIRECTORY`, else in `secrets/PROGRAM/` beside the configuration.
    pub fn beside(folder: &Path, program: &str, asked: SecretFiles) -> Secrets {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Secrets::In { credentials, beside: Secrets::folder(folder, program), asked }
    }

    /// As if these files were there.
    pub fn with(self, drafted: Vec<(PathBuf, Secret)>) -> Secrets {
        if drafted.is_empty() { self } else { Secrets::Drafted { drafted, others: Box::new(self) } }
    }

    /// Reads one; the error says which file it looked for.
    pub fn read(&self, file: &Path) -> Result<Secret, String> {
        let (credentials, beside, asked) = match self {
            Secrets::In { credentials, beside, asked } => (credentials, beside, asked),
            Secrets::Unread => return Ok(Secret(SECRET_NOT_LOADED.to_owned())),
            Secrets::Drafted { drafted, others } => {
                let found = drafted.iter().find(|(name, _)| name == file);
                return found.map_or_else(|| others.read(file), |(_, secret)| Ok(secret.clone()));
            }
        };
        let credential = credentials.as_ref().map(|folder| folder.join(file)).filter(|path| path.exists());
        let path = credential.unwrap_or_else(|| beside.join(file));
        asked.add(&path);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
        Secret::new(&text).ok_or_else(|| format!("{}: is empty, expected a secret", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("AT_abcdefghijklmnopqrstuvwxyz\n").unwrap();
        assert_eq!(format!("{secret} {secret:?}"), "AT_a… AT_a…");
        assert_eq!(format!("{:?}", Secret::new("short").unwrap()), "…");
        assert_eq!(secret.reveal(), "AT_abcdefghijklmnopqrstuvwxyz");
    }

    #[test]
    fn systemds_credentials_come_before_the_folder_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("secrets/hub");
        std::fs::create_dir_all(&beside).unwrap();
        std::fs::write(beside.join("a.token"), "beside\n").unwrap();
        let credentials = folder.path().join("credentials");
        std::fs::create_dir(&credentials).unwrap();
        let secrets = Secrets::In { credentials: Some(credentials.clone()), beside, asked: SecretFiles::default() };
        assert_eq!(secrets.read(Path::new("a.token")).unwrap().reveal(), "beside");
        std::fs::write(credentials.join("a.token"), "credential").unwrap();
        assert_eq!(secrets.read(Path::new("a.token")).unwrap().reveal(), "credential");
        std::fs::write(credentials.join("a.token"), " \n").unwrap();
        assert!(secrets.read(Path::new("a.token")).unwrap_err().contains("is empty"));
        assert!(secrets.read(Path::new("b.token")).unwrap_err().contains("secrets/hub/b.token"));
    }
}
