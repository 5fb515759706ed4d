//! `scan --dry-run`: beside a running agent and without one, it says the same and changes nothing.

use std::fs;

use super::{World, wait_for};

#[test]
fn a_dry_run_says_the_same_beside_an_agent_and_without_one_and_changes_nothing() {
    let mut world = World::new();
    let config = world.path("agent.toml");
    let rule = "[[rule]]\nfiles = \"svc.err\"\nignore = ['^DEBUG']\nas = \"scanerr\"\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + rule).unwrap();
    fs::write(world.path("logs/svc.err"), "DEBUG a\npassword=hunter2pass refused\n").unwrap();
    fs::write(world.path("logs/empty.err"), "").unwrap();
    fs::write(world.path("logs/long.log"), (0..3000).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
    let scan = |world: &World| {
        let out = world.agent().args(["scan", "--dry-run"]).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    let without = scan(&world);
    assert!(!world.path("state").exists(), "it makes no folder");
    let (code, said) = &without;
    assert_eq!(*code, Some(0), "{said}");
    for part in [
        "svc.err\n  task svc, error, in the daily report only: ",
        "    | password=*** refused\n  rule 1 (files = \"svc.err\"): taken as .scanerr, 1 line ignored\n  redacted: ",
        "empty.err\n  task empty, nothing would be told: it is empty\n",
        "    | line 5\n    … ",
        "    | line 2999\n",
        "2 files would be told, nothing of 1 file; ",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!said.contains("hunter2pass") && !said.contains("DEBUG"), "{said}");
    world.start_agent();
    wait_for("what the first scan tells", || world.status()["watched_files"] == 3 && world.status()["last"] == 2);
    assert_eq!(scan(&world), without);
    assert_eq!(world.status()["last"], 2);
}

#[test]
fn a_dry_run_of_other_folders_says_which_cannot_be_read_and_fails() {
    let world = World::new();
    fs::create_dir(world.path("elsewhere")).unwrap();
    fs::write(world.path("elsewhere/x.err"), "broken\n").unwrap();
    let mut scan = world.agent();
    scan.current_dir(world.path("")).args(["scan", "--dry-run", "elsewhere", "/no/such/folder"]);
    let out = scan.output().unwrap();
    let (said, complaint) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert_eq!(out.status.code(), Some(1));
    assert!(
        said.contains("elsewhere/x.err\n  task x, error, pushed at once: ") && said.contains("| broken\n"),
        "{said}"
    );
    assert!(complaint.contains("/no/such/folder: "), "{complaint}");
}
