//! `cargo xtask …`: the project's own commands. A fresh clone needs only cargo to run them.
//!
//! Each verb is a module: [`mod@demo`] shows the product, [`mod@test`] runs every suite, [`mod@bench`] measures, [`mod@attack`] attacks a running hub and agent, [`mod@deb`] makes the packages, [`mod@sbom`] lists what they are made of,
//! [`mod@tarball`] the static programs ([`cross`] builds for other machines), [`mod@book`] the book's pages, [`tidy`] checks the house rules. They start programs and read files. Nothing here depends on Olog's own crates, so that the rules run while a daemon
//! does not compile.

mod attack;
mod bench;
mod book;
mod cross;
mod deb;
mod demo;
mod programs;
mod run;
mod sbom;
mod tarball;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Olog's own commands")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a hub, an agent and a stand-in phone in a temporary folder, and watch errors arrive
    Demo(demo::DemoArgs),
    /// Run every suite; installs (as root) or names what it needs
    Test(test::TestArgs),
    /// Measure, and write docs/performance.md
    Bench(bench::BenchArgs),
    /// Attack a running hub and a running agent, and say which defence held
    Attack(attack::AttackArgs),
    /// Make the packages for Debian
    Deb(deb::DebArgs),
    /// Build the book's pages with mdBook, into target/book
    Book,
    /// Make the tarball of static programs, for machines without Debian
    Tarball(tarball::TarballArgs),
    /// Write what each program is made of (CycloneDX)
    Sbom(sbom::SbomArgs),
    /// Check the house rules
    Tidy(tidy::TidyArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Demo(args) => demo::demo(&args),
        Verb::Test(args) => test::test(&args),
        Verb::Bench(args) => bench::bench(&args),
        Verb::Attack(args) => attack::attack(&args),
        Verb::Deb(args) => deb::deb(&args),
        Verb::Book => book::book(),
        Verb::Tarball(args) => tarball::tarball(&args),
        Verb::Sbom(args) => sbom::sbom(&args),
        Verb::Tidy(args) => tidy::tidy(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            run::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
