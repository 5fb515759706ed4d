//! The API as its own description says: schemathesis reads `/api/openapi.json` of a real hub and sends what fits it, and what does not.

use std::{fs, path::Path, process::Command};

use olog_journeys::{daemon::run, world::World};

use crate::site::{PlainHub, agent};

/// What an answer must keep: no error of the server, and only statuses, types and bodies that the description has.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_api_is_one_that_its_description_has() {
    let python = std::env::var_os("OLOG_TEST_PYTHON");
    let program = python.and_then(|python| Some(Path::new(&python).parent()?.join("schemathesis")));
    let Some(program) = program.filter(|program| program.exists()) else {
        eprintln!("not run: OLOG_TEST_PYTHON names no Python with schemathesis");
        return;
    };
    let world = World::new().await;
    let hub = PlainHub::start(&world, "hub", 1);
    let pi = agent(&world, "pi", &hub);
    // Rows for every list.
    pi.write("nginx.err", "nginx: [emerg] bind() failed\n");
    pi.write("backup.log", "备份完成\n");
    world.push("bind() failed").await;
    hub.hub.verb(&["silence", "add", "--device", "pi", "--task", "backup", "--for", "2h"]).good();
    hub.hub.verb(&["report", "now", "--push"]).good();
    let said = hub.hub.verb(&["token", "create", "tests", "--scope", "admin"]).good();
    let token = said.split_whitespace().find(|word| word.starts_with("olog_")).expect("a token").to_owned();
    // What the description names and does not have is a failure too.
    let config =
        "[warnings]\nfail-on = ['unresolvable_reference', 'base_url_mismatch', 'missing_auth', 'rate_limited']\n";
    fs::write(world.folder().join("schemathesis.toml"), config).unwrap();
    let mut command = Command::new(program);
    command.current_dir(world.folder()).args(["run", &hub.at("/api/openapi.json"), "--checks", CHECKS]);
    command.args(["-H", &format!("Authorization: Bearer {token}"), "--max-examples", "20", "--seed", "1"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-shrink"]);
    // It has no end; a journey reads it.
    command.args(["--exclude-path", "/api/v1/stream"]);
    let said = run(command.env("HOME", world.folder()).env("COLUMNS", "160"));
    assert!(said.status.success(), "{}{}", said.out, said.err);
    eprintln!("{}", said.out);
    let log = hub.hub.daemon.log_text();
    assert!(!log.contains("panicked"), "{log}");
}
