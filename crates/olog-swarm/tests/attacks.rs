//! The attacks that need no load, against a hub and an agent that were built for tests: what `cargo xtask attack` finds only when somebody
//! runs it, this finds with every run of the suites. Root tries those of a local user as well.

use std::process::Command;

/// By a part of the name. Floods, races and guessing need time or many connections; they are left to `cargo xtask attack`.
const LIGHT: &str = "web/,texts/,device/replay,device/forged,device/large-frames,device/names,sign-in/fixation,sign-in/cross-site,sign-in/set-up-link,\
    tokens/scope,local/links,local/verbs,local/lock,local/others-incidents,local/open-incidents,hub/commands,hub/forged-acks,hub/long-refusals";

#[test]
fn every_attack_that_needs_no_load_is_held() {
    let mut attack = Command::new(env!("CARGO_BIN_EXE_olog-attack"));
    // That an honest error is told counts here, and not how fast: other tests run beside this one.
    let out = attack.args(["--seconds", "1", "--told-within", "60", "--only", LIGHT]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    let n_held = said.lines().filter(|line| line.starts_with("held")).count();
    assert!(n_held >= 15, "only {n_held} were tried:\n{said}");
}
