//! The scenarios that are installed with the program, by name.

use std::path::{Path, PathBuf};

use super::PlayError;
use super::scenario::ScenarioFile;

/// Where the package puts them.
const SHIPPED: &str = "/usr/share/olog-hub/scenarios";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedScenario {
    /// By which it is played.
    pub name: String,
    /// What it is about.
    pub about: String,
}

/// All of them, by name, told in that language; where they are.
pub fn list(language: &str) -> (PathBuf, Vec<ShippedScenario>) {
    let folder = folder();
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if path.extension().is_none_or(|extension| extension != "jsonl") || name.is_empty() {
            continue;
        }
        let script = std::fs::read_to_string(&path).ok().and_then(|text| ScenarioFile::read(&name, &text).ok());
        let about = script.and_then(|script| script.about(language).map(str::to_owned)).unwrap_or_default();
        all.push(ShippedScenario { name, about });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    (folder, all)
}

/// The file of that name: as it is, or one that is shipped.
pub(super) fn find(named: &Path) -> Result<PathBuf, PlayError> {
    let is_bare = named.components().count() == 1 && named.extension().is_none();
    let shipped = folder().join(named).with_extension("jsonl");
    match (is_bare && !named.exists(), shipped.exists()) {
        (false, _) => Ok(named.to_owned()),
        (true, true) => Ok(shipped),
        (true, false) => Err(PlayError::Unknown {
            name: named.display().to_string(),
            shipped: list("en").1.into_iter().map(|listed| listed.name).collect(),
        }),
    }
}

/// As installed, or beside a program that was built and not installed.
fn folder() -> PathBuf {
    let built = std::env::current_exe().ok().and_then(|exe| {
        let mut folders = exe.ancestors().skip(1).map(|folder| folder.join("packaging/hub/scenarios"));
        folders.find(|folder| folder.is_dir())
    });
    built.unwrap_or_else(|| PathBuf::from(SHIPPED))
}
