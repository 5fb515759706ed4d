//! `cargo xtask test`: every suite, with the real programs that the suites need.
//!
//! The cheap checks (tidy, fmt, clippy, doc) run first, the tests last. Every check runs even when an earlier one failed, so that one run shows
//! everything. A check counts as one test. The last line is always `N passed, M failed`.

mod axe;
mod elsewhere;
mod needs;
mod postgres;
mod python;
mod supply;
mod system;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::Context as _;

use crate::run::{cargo, say, shown, succeeds};

/// The feature that builds the tests that boot machines.
const SYSTEM: &str = "olog-journeys/system";

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Only the tests whose name contains this, without the checks; `system`: the tests that boot machines, `system::NAME`: of
    /// those the ones whose name contains NAME; `arm64`: the tests of the programs for arm64 and of the static ones
    #[arg(long)]
    only: Option<String>,
}

/// The results so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The names of what failed.
    names: Vec<String>,
}

impl Tally {
    fn check(&mut self, name: &str, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.names.push(name.to_owned());
        }
    }

    /// Counts what did not start as failed, and says why.
    fn started(&mut self, name: &str, done: anyhow::Result<()>) {
        if let Err(error) = done {
            say(&format!("error: {name} did not start: {error:#}"));
            self.check(&format!("{name} did not start"), false);
        }
    }

    /// Reads a line of `cargo test`: `test result: ok. 3 passed; 0 failed; 1 ignored; …`, or `test NAME ... FAILED`.
    fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let mut words = result.split([' ', ';']).filter(|word| !word.is_empty()).peekable();
            while let Some(word) = words.next() {
                let Ok(n) = word.parse::<u64>() else { continue };
                match words.peek().copied() {
                    Some("passed") => self.passed += n,
                    Some("failed") => self.failed += n,
                    Some("ignored") => self.ignored += n,
                    _ => {}
                }
            }
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.names.push(name.to_owned());
        }
    }
}

/// Runs the suites.
pub(crate) fn test(args: &TestArgs) -> anyhow::Result<bool> {
    let mut tally = Tally::default();
    let of_machines = args.only.as_deref().and_then(|only| only.strip_prefix("system"));
    let of_machines = of_machines.filter(|rest| rest.is_empty() || rest.starts_with("::"));
    let of_arm64 = args.only.as_deref() == Some("arm64");
    // A part that cannot start counts as failed; the other parts still run, and the last line is printed.
    if of_machines.is_none() && !of_arm64 {
        let done = suites(args.only.as_deref(), &mut tally);
        tally.started("the suites", done);
    }
    if args.only.is_none() || of_machines.is_some() {
        let name = of_machines.and_then(|rest| rest.strip_prefix("::"));
        let done = machines(name, &mut tally);
        tally.started("the system tests", done);
    }
    if args.only.is_none() || of_arm64 {
        let done = programs_elsewhere(&mut tally);
        tally.started("the tests of the programs for other machines", done);
    }
    for name in &tally.names {
        say(&format!("failed: {name}"));
    }
    if tally.ignored > 0 {
        say(&format!("{} ignored", tally.ignored));
    }
    say(&format!("{} passed, {} failed", tally.passed, tally.failed));
    Ok(tally.failed == 0)
}

fn suites(only: Option<&str>, tally: &mut Tally) -> anyhow::Result<()> {
    needs::provide()?;
    if only.is_none() {
        checks(tally)?;
    }
    // Journeys that kill a daemon start the real programs.
    tally.check("build", step("build", &mut cargo(["build", "--workspace", "--bins"]))?);
    let postgres = postgres::Cluster::start()?;
    let mut tests = cargo(["test", "--workspace", "--no-fail-fast"]);
    tests.env(postgres::VARIABLE, postgres.url());
    if let Some(python) = python::provide()? {
        tests.env(python::VARIABLE, python);
    }
    if let Some(script) = axe::provide()? {
        tests.env(axe::VARIABLE, script);
    }
    if let Some(name) = only {
        tests.args(["--", name]);
    }
    run_tests(&mut tests, tally)
}

/// The tests that boot machines. They are marked as ignored, and so they are counted where no machine boots.
fn machines(only: Option<&str>, tally: &mut Tally) -> anyhow::Result<()> {
    // With the features of the whole workspace, or half of it would be compiled again.
    let mut tests = cargo(["test", "--workspace", "--features", SYSTEM, "--test", "system", "--"]);
    tests.args(only);
    match system::obstacle() {
        Some(why) => say(&format!("the system tests are not run: {why}")),
        None => {
            needs::provide_machines()?;
            system::provide()?.tell(&mut tests);
            if let Some(python) = python::provide()? {
                tests.env(python::VARIABLE, python);
            }
            tests.arg("--include-ignored");
        }
    }
    run_tests(&mut tests, tally)
}

/// The tests of the programs for other machines; marked as ignored like those that boot machines.
fn programs_elsewhere(tally: &mut Tally) -> anyhow::Result<()> {
    let mut tests = cargo(["test", "--workspace", "--features", SYSTEM, "--test", "elsewhere", "--"]);
    match elsewhere::obstacle() {
        Some(why) => say(&format!("the programs for other machines are not tested: {why}")),
        None => {
            needs::provide_elsewhere()?;
            let start = now();
            elsewhere::provide()?.tell(&mut tests);
            say(&format!("programs for other machines: built after {} s", start.elapsed().as_secs()));
            tests.arg("--include-ignored");
        }
    }
    run_tests(&mut tests, tally)
}

fn checks(tally: &mut Tally) -> anyhow::Result<()> {
    let broken = crate::tidy::findings(&crate::run::root())?;
    for finding in &broken {
        say(&format!("tidy: {finding}"));
    }
    say(&format!("tidy: {} findings", broken.len()));
    tally.check("tidy", broken.is_empty());
    match supply::checks() {
        Ok(checks) => checks.into_iter().for_each(|(name, is_good)| {
            say(&format!("{name}: {}", if is_good { "passed" } else { "failed" }));
            tally.check(name, is_good);
        }),
        Err(error) => tally.started("cargo deny", Err(error)),
    }
    tally.check("fmt", step("fmt", &mut cargo(["fmt", "--all", "--check"]))?);
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--features", SYSTEM, "--", "-D", "warnings"];
    tally.check("clippy", step("clippy", &mut cargo(clippy))?);
    let mut doc = cargo(["doc", "--quiet", "--workspace", "--no-deps"]);
    // A head may point at what is private: it is read in the source as well.
    doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links");
    tally.check("doc", step("doc", &mut doc)?);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "how long a suite takes is what is measured here")]
fn now() -> Instant {
    Instant::now()
}

/// Runs a check to its end, and closes its output with a line that says how it ended and how long it took.
fn step(name: &str, command: &mut Command) -> anyhow::Result<bool> {
    say(&format!("== {}", shown(command)));
    let start = now();
    let good = succeeds(command)?;
    say(&format!("{name}: {} after {} s", if good { "passed" } else { "failed" }, start.elapsed().as_secs()));
    Ok(good)
}

/// Runs the tests, passes on what they write, and counts.
fn run_tests(command: &mut Command, tally: &mut Tally) -> anyhow::Result<()> {
    say(&format!("== {}", shown(command)));
    let start = now();
    let before = tally.failed;
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read what cargo writes")?;
        let text = String::from_utf8_lossy(&line);
        tally.read(text.trim_end());
        let mut out = std::io::stdout().lock();
        drop(out.write_all(&line).and_then(|()| out.write_all(b"\n")));
    }
    let good = child.wait().context("cannot wait for cargo")?.success();
    if !good && tally.failed == before {
        tally.check("cargo test did not come to its end", false);
    }
    say(&format!("cargo test: {} after {} s", if good { "passed" } else { "failed" }, start.elapsed().as_secs()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_start_has_failed() {
        let mut tally = Tally::default();
        tally.started("the suites", Ok(()));
        tally.started("the system tests", Err(anyhow::anyhow!("no debootstrap")));
        assert_eq!((tally.passed, tally.failed), (0, 1));
        assert_eq!(tally.names, ["the system tests did not start"]);
    }

    #[test]
    fn the_results_of_all_binaries_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "test fingerprint::tests::dates_do_not_count ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test a_file_becomes_a_push ... FAILED",
            "test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.00s",
        ] {
            tally.read(line);
        }
        tally.check("tidy", true);
        let names = vec!["a_file_becomes_a_push".to_owned()];
        assert_eq!(tally, Tally { passed: 8, failed: 1, ignored: 1, names });
    }
}
