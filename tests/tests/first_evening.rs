//! The first evening: `olog-hub setup` in a terminal and from a pipe.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::{Command, Stdio},
};

use olog_journeys::{
    daemon::{Said, program},
    phone,
    world::{Hub, World},
};

/// A hub without any channel.
fn bare(world: &World) -> Hub {
    let hub = Hub::new(world, "hub", "", "");
    let text = fs::read_to_string(hub.daemon.config()).unwrap();
    let (before, _) = text.split_once("[[channel]]").unwrap();
    hub.daemon.configure(before);
    hub
}

/// Answers from a pipe, one a line.
fn set_up(world: &World, hub: &Hub, answers: &[&str]) -> Said {
    let mut command = Command::new(program("olog-hub"));
    command.args(["setup", "--api-url", &world.phone.url(), "--config"]).arg(hub.daemon.config());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program may end before it has read all input.
    drop(stdin.write_all(format!("{}\n", answers.join("\n")).as_bytes()));
    drop(stdin);
    let out = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { status: out.status, out: text(&out.stdout), err: text(&out.stderr) }
}

const APP: [&str; 7] = ["en", "Europe/Berlin", "-", "2", "2", phone::TOKEN, phone::UID];

fn app(world: &World, hub: &Hub) -> Said {
    let mut answers = APP;
    // The journeys' hub has a public_url already.
    answers[2] = "";
    set_up(world, hub, &answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_writes_two_files_sends_the_first_push_and_says_what_the_service_answered() {
    let world = World::new().await;
    let mut hub = bare(&world);
    hub.start();
    let hub_toml = fs::read_to_string(hub.daemon.config()).unwrap();
    let said = app(&world, &hub);
    assert!(!format!("{said:?}").contains(phone::TOKEN), "the token is never shown: {said:?}");
    let out = said.good();
    for words in
        ["UID_me: the service accepted it", "look at your phone", "phone is the only channel", "--local", "Berlin"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    world.push("TEST").await;
    let folder = hub.daemon.config().parent().unwrap().to_owned();
    let (file, secret) = (folder.join("hub.d/10-phone.toml"), folder.join("secrets/hub/wxpusher.token"));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("per_day = 10") && text.contains("Europe/Berlin") && !text.contains(phone::TOKEN), "{text}");
    assert_eq!(fs::read_to_string(&secret).unwrap().trim(), phone::TOKEN);
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(secret.parent().unwrap()).unwrap().permissions().mode() & 0o7777, 0o750);
    assert_eq!(fs::read_to_string(hub.daemon.config()).unwrap(), hub_toml, "hub.toml is the user's");

    // Enter for every question: nothing changes.
    let again = set_up(&world, &hub, &[""; 7]).good();
    assert!(again.contains("accepted"), "{again}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // One different answer changes only that value.
    let other = set_up(&world, &hub, &["", "", "", "1", "", "", "", "y"]).good();
    assert!(other.contains("accepted"), "{other}");
    assert!(!fs::read_to_string(&file).unwrap().contains("per_day"));
    // The group that may read the folder of secrets may read the new file.
    let secrets = secret.parent().unwrap();
    let group = if rustix::process::geteuid().is_root() { 12345 } else { fs::metadata(secrets).unwrap().gid() };
    std::os::unix::fs::chown(secrets, None, Some(group)).unwrap();
    set_up(&world, &hub, &["", "", "", "", "", phone::TOKEN, ""]).good();
    let placed = fs::metadata(&secret).unwrap();
    assert_eq!((placed.gid(), placed.permissions().mode() & 0o7777), (group, 0o640));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_told_in_the_services_words_and_corrected_by_a_second_run() {
    let world = World::new().await;
    let mut hub = bare(&world);
    hub.start();
    let said = set_up(&world, &hub, &["en", "UTC", "", "1", "2", "AT_mistyped", phone::UID]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.out.contains("UID_me: the service refused it: 1"), "{said:?}");
    let said = set_up(&world, &hub, &["", "", "", "", "", phone::TOKEN, ""]);
    assert!(said.good().contains("UID_me: the service accepted it"));
    // The same question without setup.
    let tested = hub.verb(&["channel", "test", "phone"]);
    assert!(tested.good().contains("accepted"));
    world.phone.set_token("AT_anotherone");
    let tested = hub.verb(&["channel", "test", "phone"]);
    assert_eq!(tested.status.code(), Some(1));
    assert!(tested.err.contains("refused"), "{tested:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_that_does_not_come_to_its_end_changes_nothing() {
    let world = World::new().await;
    let hub = bare(&world);
    let folder = hub.daemon.config().parent().unwrap().to_owned();
    for (answers, words) in [
        (vec!["en", "UTC"], "the answers ended"),
        (vec!["en", "Mars/Olympus"], "Asia/Shanghai"),
        (vec!["en", "UTC", "", "1", "1", "AT_wrong_kind"], "begins with SPT_"),
    ] {
        let said = set_up(&world, &hub, &answers);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(said.err.contains(words), "{said:?}");
    }
    assert!(!folder.join("hub.d").exists() && !folder.join("secrets").exists());
    // A file that was edited by hand is kept.
    fs::create_dir(folder.join("hub.d")).unwrap();
    let file = folder.join("hub.d/10-phone.toml");
    fs::write(&file, "# mine\nlanguage = \"en\"\n").unwrap();
    let said = app(&world, &hub);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.err.contains("edited by hand") && said.err.contains("nothing was changed"), "{said:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\nlanguage = \"en\"\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_before_the_first_start_says_how_to_go_on() {
    let world = World::new().await;
    let mut hub = bare(&world);
    let spt = "SPT_firstfirstfirst";
    world.phone.add_spt(spt);
    let said = set_up(&world, &hub, &["zh-CN", "Asia/Shanghai", "", "1", "1", spt]);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(
        said.out.contains("systemctl enable --now olog-hub") && said.out.contains("channel test phone"),
        "{said:?}"
    );
    hub.start();
    assert!(hub.verb(&["channel", "test", "phone"]).good().contains("已接受"));
    assert!(!hub.daemon.log_text().contains(spt));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_terminal_a_wrong_answer_is_asked_again_and_the_token_is_not_shown() {
    let world = World::new().await;
    let mut hub = bare(&world);
    hub.start();
    // A pseudo-terminal: each answer is typed when its question appears.
    let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal = || {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        Stdio::from(rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap())
    };
    let mut command = Command::new(program("olog-hub"));
    command.args(["setup", "--api-url", &world.phone.url(), "--config"]).arg(hub.daemon.config());
    let mut child = command.stdin(terminal()).stdout(terminal()).stderr(terminal()).spawn().unwrap();
    drop(command);
    let mut screen = fs::File::from(master);
    let mut keys = screen.try_clone().unwrap();
    let (mut shown, mut seen) = (String::new(), 0);
    let mut until = |words: &str| {
        let mut bytes = [0; 4096];
        loop {
            // A character that is split between two reads only looks wrong.
            if let Some((at, _)) = shown.match_indices(words).find(|(at, _)| *at >= seen) {
                seen = at + words.len();
                return;
            }
            let n = std::io::Read::read(&mut screen, &mut bytes).unwrap();
            assert!(n > 0, "{words} never came: {shown}");
            shown.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    };
    for (question, answer) in [
        ("zh-CN or en [en]: ", "fr"),
        ("应为: zh-CN or en", "en"),
        ("Time zone [", "UTC"),
        ("public_url [", ""),
        ("2: inside WeChat [1]: ", ""),
        ("2: application [1]: ", "2"),
        ("Application token", phone::TOKEN),
        ("of the receivers", phone::UID),
    ] {
        until(question);
        keys.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    until("the service accepted it");
    until("olog-hub join-link\r\n");
    drop(keys);
    assert!(child.wait().unwrap().success());
    assert!(!shown.contains(phone::TOKEN), "{shown}");
    assert!(shown.contains("UID_me"), "what is no secret is shown");
}
