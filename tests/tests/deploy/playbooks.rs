//! The files of `deploy/` for Ansible and Docker, as far as that needs neither a machine nor a container engine. `system` runs the role for real.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use olog_journeys::daemon::{program, run};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A program beside the Python that `cargo xtask test` makes; without it the test says that it did not run.
fn beside_python(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("OLOG_TEST_PYTHON").and_then(|python| Some(Path::new(&python).parent()?.join(name)));
    let found = found.filter(|program| program.exists());
    if found.is_none() {
        eprintln!("not run: OLOG_TEST_PYTHON names no Python with {name}");
    }
    found
}

fn in_ansible(program: &Path) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = program.parent().map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).unwrap()).env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8");
    command.current_dir(root().join("deploy/ansible"));
    command
}

#[test]
fn the_playbook_is_one_that_ansible_reads() {
    let Some(playbook) = beside_python("ansible-playbook") else { return };
    let line = ["-i", "inventory.example.yml", "--syntax-check", "site.yml"];
    run(in_ansible(&playbook).args(line)).good();
}

#[test]
fn the_role_keeps_the_rules_of_ansible_lint() {
    let Some(lint) = beside_python("ansible-lint") else { return };
    let said = run(in_ansible(&lint).args(["--offline", "--profile", "production", "."]));
    assert!(said.status.success(), "{}{}", said.out, said.err);
}

#[test]
fn compose_names_services_volumes_and_stages_that_are_there() {
    let Some(python) = beside_python("python") else { return };
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let file = root().join("deploy/docker/compose.yaml");
    let text = run(Command::new(python).args(["-c", read]).arg(&file)).good();
    let compose: serde_json::Value = serde_json::from_str(&text).unwrap();
    let dockerfile = std::fs::read_to_string(root().join("deploy/docker/Dockerfile")).unwrap();
    for (name, service) in compose["services"].as_object().unwrap() {
        let build = &service["build"];
        assert!(file.parent().unwrap().join(build["context"].as_str().unwrap()).join("Cargo.toml").exists(), "{name}");
        let stage = format!(" AS {}\n", build["target"].as_str().unwrap());
        assert!(dockerfile.contains(&stage), "{name}");
        for volume in service["volumes"].as_array().unwrap() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let is_known = from.starts_with(['/', '.']) || compose["volumes"].get(from).is_some();
            assert!(is_known, "{name}: {from}");
        }
    }
    for part in ["hub", "agent"] {
        let service = &compose["services"][part];
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"][0], "ALL");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true");
    }
}

#[test]
fn the_configuration_in_the_inventory_and_in_compose_has_no_mistake() {
    let inventory = std::fs::read_to_string(root().join("deploy/ansible/inventory.example.yml")).unwrap();
    for (program, key) in [("olog-hub", "olog_hub_config: |"), ("olog-agent", "olog_agent_config: |")] {
        let (before, rest) = inventory.split_once(key).unwrap();
        let indent = before.lines().last().unwrap().len() + 2;
        let block = rest.lines().skip(1).take_while(|line| line.chars().take(indent).all(|c| c == ' '));
        let text: String = block.flat_map(|line| [line.get(indent..).unwrap_or_default(), "\n"]).collect();
        assert!(text.lines().count() >= 2, "{text}");
        check(program, &text);
    }
    check("olog-hub", &std::fs::read_to_string(root().join("deploy/docker/hub.toml")).unwrap());
}

/// `check` accepts it.
#[track_caller]
fn check(name: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{}.toml", name.trim_start_matches("olog-")));
    std::fs::write(&file, text).unwrap();
    for secrets in ["secrets/hub", "secrets/agent"] {
        std::fs::create_dir_all(folder.path().join(secrets)).unwrap();
        std::fs::write(folder.path().join(secrets).join("wxpusher.token"), "AT_x\n").unwrap();
    }
    let said = run(Command::new(program(name)).args(["check", "--config"]).arg(&file));
    assert_ne!(said.status.code(), Some(78), "{text}\n{}{}", said.out, said.err);
}

#[test]
fn the_image_is_built_in_a_stage_of_its_own_and_runs_as_nobody_special() {
    let text = std::fs::read_to_string(root().join("deploy/docker/Dockerfile")).unwrap();
    let mut stages: Vec<&str> = Vec::new();
    let mut users: Vec<(&str, &str)> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["FROM", image, "AS", stage] => {
                assert!(stages.contains(image) || image.contains(':') && !image.ends_with(":latest"), "{line}");
                stages.push(stage);
            }
            ["USER", user] => users.push((stages.last().unwrap(), user)),
            ["COPY", from, ..] if from.starts_with("--from=") => {
                assert!(stages.contains(&from.trim_start_matches("--from=")), "{line}");
            }
            ["COPY", from, _] => {
                assert!(root().join(from).exists(), "{line}");
                let ignored = include_str!("../../../deploy/docker/Dockerfile.dockerignore");
                assert!(
                    !ignored.lines().any(|path| from.split('/').next() == Some(path)),
                    "the build does not get {from}"
                );
            }
            _ => {}
        }
    }
    assert_eq!(stages, ["build", "run", "hub", "agent"]);
    assert_eq!(users, [("hub", "8765:8765"), ("agent", "8765:8765")]);
    let rust = include_str!("../../../Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = \""));
    let rust = rust.and_then(|rest| rest.split('"').next()).unwrap();
    assert!(text.contains(&format!("FROM rust:{rust}-")), "{rust}");

    if run(Command::new("docker").arg("info")).status.success() {
        for target in ["hub", "agent"] {
            let mut build = Command::new("docker");
            build.args(["build", "--file", "deploy/docker/Dockerfile", "--target", target, "--tag"]);
            run(build.arg(format!("olog-{target}:test")).arg(".").current_dir(root())).good();
            let mut version = Command::new("docker");
            run(version.args(["run", "--rm", &format!("olog-{target}:test"), "--version"])).good();
        }
    } else {
        eprintln!("the image is not built: no container engine answers");
    }
}
