//! A Python environment with the real programs that channels, pings, `deploy/`, the API and old clients are tested with: a mail server, Apprise, Ansible,
//! two clients of healthchecks.io, schemathesis, what the agent in the book is written with, and the websocket library of an old client.
//!
//! It stays in `target/test-python-KEY`, where KEY is a hash of its contents. It is built beside and then renamed, so that it is complete or absent.
//! Where the package index cannot be reached, the tests that need it say that they did not run.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::run::{root, say, shown, succeeds};

/// The variable with the Python for the tests. If it is set already, that Python is used.
pub(crate) const VARIABLE: &str = "OLOG_TEST_PYTHON";

/// The packages in it.
const PACKAGES: [&str; 9] = [
    "aiosmtpd==1.4.6",
    "ansible-core==2.19.14",
    "ansible-lint==26.10.1",
    "apprise==2.2.0",
    "borgmatic==2.1.10",
    "cryptography==50.0.2",
    "healthchecks-io==0.4.4",
    "schemathesis==4.32.5",
    "websockets==17.4",
];

/// The program, if there is one.
pub(crate) fn provide() -> anyhow::Result<Option<PathBuf>> {
    if let Some(python) = std::env::var_os(VARIABLE) {
        return Ok(Some(python.into()));
    }
    let mut key = String::new();
    for byte in Sha256::digest(PACKAGES.join("\n")).iter().take(6) {
        write!(key, "{byte:02x}")?;
    }
    let folder = root().join("target").join(format!("test-python-{key}"));
    let python = folder.join("bin/python");
    if !python.exists() && !make(&folder)? {
        say(
            "mail, exec, pings, the API, the Ansible role and the book's agent in Python are not tested against real programs: those could not be installed (see above)",
        );
        return Ok(None);
    }
    Ok(Some(python))
}

fn make(folder: &Path) -> anyhow::Result<bool> {
    let new = folder.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("cannot remove {}", new.display()))?;
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&new);
    let mut pip = Command::new(new.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    for command in [&mut venv, &mut pip] {
        say(&format!("== {}", shown(command)));
        if !succeeds(command)? {
            return Ok(false);
        }
    }
    // Scripts contain the path of their interpreter, which changes with the rename.
    for entry in fs::read_dir(new.join("bin"))?.filter_map(Result::ok) {
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let moved = text.replace(&new.display().to_string(), &folder.display().to_string());
        if text.starts_with("#!") && moved != text {
            fs::write(entry.path(), moved)?;
        }
    }
    fs::rename(&new, folder).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(true)
}
