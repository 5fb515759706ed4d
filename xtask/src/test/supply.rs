//! What comes in with a dependency: `cargo deny` by the rules of `deny.toml`.
//!
//! Licences, bans and sources are read from the lock file and the sources that cargo has, and need no network. Advisories need their database:
//! where it cannot be reached, that is said and nothing fails.

use std::process::Command;

use anyhow::Context as _;

use crate::{
    run::{root, say},
    tools::DENY,
};

/// How a look at the advisories ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Advisories {
    Good,
    Bad,
    /// There is no database.
    Unknown,
}

/// Each check with whether it is good.
pub(super) fn checks() -> anyhow::Result<Vec<(&'static str, bool)>> {
    let deny = |what: &[&str], is_offline: bool| {
        let mut command = Command::new(DENY.path()?);
        command.current_dir(root()).args(is_offline.then_some("--offline")).args(["--locked", "check"]).args(what);
        let out = command.output().context("cannot start cargo-deny")?;
        anyhow::Ok((out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned()))
    };
    let (is_good, said) = deny(&["--hide-inclusion-graph", "licenses", "bans", "sources"], true)?;
    if !is_good {
        say(&said);
    }
    let mut checks = vec![("deny: licences, bans, sources", is_good)];
    let (is_good, said) = deny(&["advisories"], false)?;
    match advisories(is_good, &said) {
        Advisories::Unknown => say("deny: advisories are not checked: their database cannot be reached"),
        found => {
            if found == Advisories::Bad {
                say(&said);
            }
            checks.push(("deny: advisories", found == Advisories::Good));
        }
    }
    Ok(checks)
}

fn advisories(is_good: bool, said: &str) -> Advisories {
    match is_good {
        true => Advisories::Good,
        false if said.contains("failed to fetch advisory database") || said.contains("'FETCH_HEAD' metadata") => {
            Advisories::Unknown
        }
        false => Advisories::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_database_nothing_is_known_and_a_found_advisory_is_bad() {
        let away = "[ERROR] failed to fetch advisory database https://example.org/db with cli: failed to clone";
        assert_eq!(advisories(false, away), Advisories::Unknown);
        assert_eq!(advisories(false, "error[vulnerability]: a hole in x"), Advisories::Bad);
        assert_eq!(advisories(true, ""), Advisories::Good);
    }
}
