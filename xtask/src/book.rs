//! `cargo xtask book`: both languages of the book as web pages, made by mdBook in `target/book`.
//!
//! The tests do not need it: they check chapters, examples and links of the Markdown itself (`tests/tests/pages/book.rs`), so that nobody compiles
//! mdBook for a change of a sentence. [Decision 0360](../../docs/decisions/0360-the-book-is-checked-as-markdown.md).

use std::process::Command;

use crate::run::{find, root, say, shown, succeeds};

/// The version with which the pages were looked at.
const MDBOOK: &str = "0.4.52";
const LANGUAGES: [&str; 2] = ["en", "zh-CN"];

/// Builds both books, or says what is missing.
pub(crate) fn book() -> anyhow::Result<bool> {
    let tools = root().join("target/tools/bin");
    let Some(mdbook) = find("mdbook", &[tools]) else {
        say("mdbook is not there. It compiles in some minutes:");
        say(&format!(
            "  cargo install mdbook --version {MDBOOK} --locked --no-default-features --features search --root target/tools"
        ));
        return Ok(false);
    };
    for language in LANGUAGES {
        let mut build = Command::new(&mdbook);
        build.arg("build").arg(root().join("docs/book").join(language));
        anyhow::ensure!(succeeds(&mut build)?, "{} failed", shown(&build));
        say(&format!("target/book/{language}/index.html"));
    }
    Ok(true)
}
