//! Golden frames: what released versions really sent. Files may be added, never edited or removed; their sums are recorded in the folder.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::{Finding, rules};

/// Compares each golden file with its recorded sum.
pub(crate) fn check(root: &Path, found: &mut Vec<Finding>) -> anyhow::Result<()> {
    let folder = Path::new(rules::GOLDEN);
    let (recorded, there) = (recorded(root)?, there(root)?);
    for (name, sum) in &there {
        match recorded.get(name) {
            None => found.push(Finding::new(
                "golden",
                &folder.join(name),
                1,
                "a new golden frame: `cargo xtask tidy --record-golden`",
            )),
            Some(old) if old != sum => found.push(Finding::new(
                "golden",
                &folder.join(name),
                1,
                "a golden frame is never edited: add another one",
            )),
            Some(_) => {}
        }
    }
    for name in recorded.keys().filter(|name| !there.contains_key(*name)) {
        found.push(Finding::new("golden", &folder.join(name), 1, "a golden frame is never removed"));
    }
    Ok(())
}

/// Records the sums of new files; those of old ones stay as they are.
pub(crate) fn record(root: &Path) -> anyhow::Result<()> {
    let mut sums = there(root)?;
    sums.extend(recorded(root)?);
    let mut text = String::new();
    for (name, sum) in sums {
        writeln!(text, "{sum}  {name}")?;
    }
    let file = root.join(rules::GOLDEN).join(rules::GOLDEN_SUMS);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn recorded(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let file = root.join(rules::GOLDEN).join(rules::GOLDEN_SUMS);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    Ok(text
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect())
}

fn there(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let folder = root.join(rules::GOLDEN);
    let mut sums = BTreeMap::new();
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(sums) };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {name}"))?;
            let mut sum = String::new();
            for byte in Sha256::digest(&bytes) {
                write!(sum, "{byte:02x}")?;
            }
            sums.insert(name, sum);
        }
    }
    Ok(sums)
}
