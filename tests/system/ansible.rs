//! The Ansible role of `deploy/`, over ssh: from bare machines to the first push.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use olog_journeys::{
    daemon::{Said, run},
    phone::{TOKEN, UID},
};
use serde_json::{Value, json};

use crate::{machine::Machine, site::Site};

/// What a run needs.
struct Control {
    playbook: PathBuf,
    folder: tempfile::TempDir,
}

impl Control {
    /// With a key that these machines accept.
    fn of(playbook: PathBuf, machines: &[&Machine]) -> Control {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key)).good();
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        for machine in machines {
            machine.write("/root/.ssh/authorized_keys", &public);
            machine.good("chmod 0700 /root/.ssh && systemctl start ssh");
        }
        Control { playbook, folder }
    }

    /// `ansible-playbook site.yml` on these machines.
    fn play(&self, inventory: &Value) -> Said {
        let file = self.folder.path().join("inventory.yml");
        // JSON is YAML.
        fs::write(&file, inventory.to_string()).unwrap();
        let mut command = Command::new(&self.playbook);
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/ansible"));
        command.arg("-i").arg(file).arg("--private-key").arg(self.folder.path().join("key")).arg("site.yml");
        command.env("HOME", self.folder.path()).env("LC_ALL", "C.UTF-8").env("ANSIBLE_HOST_KEY_CHECKING", "False");
        run(&mut command)
    }
}

/// How many tasks of a run changed something.
fn n_changed(said: &Said) -> usize {
    assert!(said.status.success(), "{}{}", said.out, said.err);
    let recap = said.out.split("PLAY RECAP").nth(1).expect("a recap");
    recap.split("changed=").skip(1).map(|rest| rest.split(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn the_role_leads_bare_machines_to_the_first_push_and_a_second_run_changes_nothing() {
    let python = std::env::var_os("OLOG_TEST_PYTHON").map(PathBuf::from);
    let playbook = python.and_then(|python| Some(python.parent()?.join("ansible-playbook"))).filter(|one| one.exists());
    let Some(playbook) = playbook else {
        eprintln!("not run: OLOG_TEST_PYTHON names no Python with ansible-playbook");
        return;
    };
    let site = Site::with_room_for(2).await;
    let (hub, pi) = (site.boot("hub"), site.boot("pi"));
    let control = Control::of(playbook, &[&hub, &pi]);
    let packages = PathBuf::from(std::env::var_os("OLOG_DEBS").unwrap()).join("this");
    let hub_config = format!(
        "public_url = \"https://{}:8765\"\nlanguage = \"en\"\ntimezone = \"UTC\"\n[[channel]]\nname = \"phone\"\ntype = \"wxpusher\"\n\
         token_file = \"phone.token\"\nuids = [{UID:?}]\napi_url = {:?}\n",
        hub.address,
        site.phone.url()
    );
    let mut inventory = json!({
        "all": {"vars": {"ansible_user": "root", "olog_packages": packages}},
        "olog_hub": {"hosts": {"hub": {
            "ansible_host": hub.address.to_string(),
            "olog_hub_config": hub_config,
            "olog_hub_secrets": {"phone.token": format!("{TOKEN}\n")},
        }}},
        "olog_agents": {"hosts": {"hub": {}, "pi": {
            "ansible_host": pi.address.to_string(),
            "olog_agent_config": "address = \"root@pi\"\n",
        }}},
    });
    assert!(n_changed(&control.play(&inventory)) > 5);
    for machine in [&hub, &pi] {
        machine.wait_connected();
        assert_eq!(machine.property("olog-agent", "UnitFileState"), "enabled");
    }
    assert_eq!(hub.good("stat -c '%U:%G %a' /etc/olog/secrets/hub/phone.token").trim(), "root:olog-hub 640");
    pi.good("echo 'installed by the role' > /var/log/olog/svc.err");
    site.push("installed by the role").await;

    let pids = || [&hub, &pi].map(|machine| machine.property("olog-agent", "MainPID"));
    let before = (hub.property("olog-hub", "MainPID"), pids());
    let again = control.play(&inventory);
    assert_eq!(n_changed(&again), 0, "{}", again.out);
    assert_eq!((hub.property("olog-hub", "MainPID"), pids()), before);

    // A mistake ends the run before anything is restarted.
    inventory["olog_agents"]["hosts"]["pi"]["olog_agent_config"] = "addres = \"root@pi\"\n".into();
    let refused = control.play(&inventory);
    assert!(!refused.status.success() && refused.out.contains("addres"), "{}{}", refused.out, refused.err);
    assert_eq!(pids(), before.1);
    pi.wait_connected();
}
