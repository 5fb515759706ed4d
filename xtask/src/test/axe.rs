//! axe-core from npm: the script by which the tests of the pages look for what a screen reader, a keyboard or weak eyes cannot use.
//!
//! npm installs it into `target/test-axe-VERSION` and compares its hash with the one that stands here. It stays there. Where npm's registry cannot be
//! reached, the tests that need it say that they did not run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use serde_json::json;

use crate::run::{root, say, shown, succeeds};

/// The variable with the path of the script. If it is set already, that script is used.
pub(crate) const VARIABLE: &str = "OLOG_TEST_AXE";
const VERSION: &str = "4.14.1";
/// Of the package, as npm writes it into a lock file.
const INTEGRITY: &str =
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==";

/// The script, if there is one.
pub(crate) fn provide() -> anyhow::Result<Option<PathBuf>> {
    if let Some(script) = std::env::var_os(VARIABLE) {
        return Ok(Some(script.into()));
    }
    let folder = root().join("target").join(format!("test-axe-{VERSION}"));
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.exists() && !install(&folder)? {
        say("the pages are not looked at by axe-core: npm could not install it (see above)");
        return Ok(None);
    }
    Ok(Some(script))
}

fn install(folder: &Path) -> anyhow::Result<bool> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let needs = json!({ "axe-core": VERSION });
    let lock = json!({
        "lockfileVersion": 3,
        "packages": {
            "": { "dependencies": needs },
            "node_modules/axe-core": { "version": VERSION, "integrity": INTEGRITY },
        },
    });
    fs::write(folder.join("package.json"), json!({ "private": true, "dependencies": needs }).to_string())?;
    fs::write(folder.join("package-lock.json"), lock.to_string())?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
    say(&format!("== {}", shown(&npm)));
    succeeds(&mut npm)
}
