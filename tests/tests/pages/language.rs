//! The command line speaks the language of the key `language`, else that of the terminal.

use std::{fs, process::Command};

use clap::CommandFactory as _;
use olog_journeys::{
    daemon::{Daemon, Said, program, run},
    world::{Hub, World},
};

const CHINESE: &str = "zh_CN.UTF-8";
const ENGLISH: &str = "C.UTF-8";

/// A command in a shell of that language.
fn said(name: &str, args: &[&str], lang: &str) -> Said {
    let mut command = Command::new(program(name));
    run(command.args(args).env_remove("OLOG_CONFIG").env_remove("LC_ALL").env_remove("LC_MESSAGES").env("LANG", lang))
}

fn verb(daemon: &Daemon, name: &str, args: &[&str], lang: &str) -> Said {
    said(name, &[args, &["--config", daemon.config().to_str().unwrap()]].concat(), lang)
}

/// Every verb with the groups before it.
fn verbs(of: &clap::Command, before: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![before.to_vec()];
    for verb in of.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        all.extend(verbs(verb, &[before, &[verb.get_name().to_owned()]].concat()));
    }
    all
}

/// Lines with several English words that are neither names nor commands.
fn english_lines(text: &str) -> Vec<&str> {
    let is_word = |word: &&str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase());
    let is_english = |line: &&str| !line.starts_with("用法") && line.split(' ').filter(is_word).count() > 3;
    text.lines().filter(is_english).collect()
}

#[test]
fn the_help_of_every_verb_is_chinese_in_a_chinese_shell_and_english_in_every_other() {
    for (name, command) in
        [("olog-hub", olog_hub::cli::Cli::command()), ("olog-agent", olog_agent::cli::Cli::command())]
    {
        for verb in verbs(&command, &[]) {
            let args: Vec<&str> = verb.iter().map(String::as_str).chain(["--help"]).collect();
            let help = said(name, &args, CHINESE).good();
            assert!(help.contains("用法：") && help.contains("打印帮助"), "{name} {args:?}: {help}");
            assert_eq!(english_lines(&help), Vec::<&str>::new(), "{name} {args:?}");
        }
        assert!(said(name, &["--help"], ENGLISH).good().contains("Usage: "));
        let mistake = said(name, &["stauts"], CHINESE);
        assert!(mistake.status.code() == Some(2) && mistake.err.contains("未知的命令 'stauts'"), "{mistake:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_key_decides_what_check_tables_help_and_mistakes_say() {
    let world = World::new().await;
    let (english, mut chinese) = (world.hub(), Hub::new(&world, "chinese", "language = \"zh-CN\"", ""));
    chinese.start();
    let ask = |args: &[&str], lang: &str| [&english, &chinese].map(|hub| verb(&hub.daemon, "olog-hub", args, lang));
    // Whatever the terminal speaks.
    for lang in [ENGLISH, CHINESE] {
        let [en, zh] = ask(&["check"], lang).map(Said::good);
        assert!(en.contains("one channel only (me)") && zh.contains("只有一个渠道（me）"), "{en}{zh}");
        assert!(zh.contains("# 读自 "), "{zh}");
        let [en, zh] = ask(&["channel", "list"], lang).map(Said::good);
        assert!(en.starts_with("NAME ") && en.contains(" ok "), "{en}");
        assert!(zh.starts_with("名称 ") && zh.contains(" 正常 "), "{zh}");
        let [en, zh] = ask(&["device", "--help"], lang).map(Said::good);
        assert!(en.contains("List the devices") && zh.contains("命令："), "{en}{zh}");
        let [en, zh] = ask(&["silence", "add", "--device", "pi", "--until", "yesterday"], lang);
        assert!(en.err.contains("expected a time like") && zh.err.contains("应为时间，例如"), "{en:?}{zh:?}");
        let [en, zh] = ask(&["device", "forget", "nobody"], lang);
        assert!(en.err.contains("no device \"nobody\"") && zh.err.contains("没有设备 \"nobody\""), "{en:?}{zh:?}");
    }
    for (hub, words) in [(&english, "2 mistakes in the configuration"), (&chinese, "配置中有 2 处错误")] {
        let text = fs::read_to_string(hub.daemon.config()).unwrap();
        hub.daemon.configure(&format!("listn = \"x\"\nevent_keep_days = \"many\"\n{text}"));
        let said = verb(&hub.daemon, "olog-hub", &["check"], ENGLISH);
        assert!(said.status.code() == Some(78) && said.err.contains(words), "{said:?}");
        assert!(said.err.contains("hub.toml:1:1") && said.err.contains("`listen`"), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_verbs_speak_the_terminals_language() {
    let world = World::new().await;
    let agent = world.agent_off("pi", "", "");
    agent.write("mysql.err", "mysql is not running\n");
    agent.write("empty.err", "");
    let ask = |args: &[&str]| [ENGLISH, CHINESE].map(|lang| verb(&agent.daemon, "olog-agent", args, lang));
    let [en, zh] = ask(&["check"]).map(Said::good);
    assert!(en.contains("readable, 2 entries") && zh.contains("可读，2 项"), "{en}{zh}");
    assert!(en.contains("not joined: run `olog-agent join`") && zh.contains("尚未加入服务端"), "{en}{zh}");
    let [en, zh] = ask(&["scan", "--dry-run"]).map(Said::good);
    assert!(en.contains("task mysql, error, pushed at once: 21 bytes") && en.contains("1 file would be told"), "{en}");
    assert!(
        zh.contains("任务 mysql，错误，立即推送：21 字节") && zh.contains("任务 empty，不会上报：它是空的"),
        "{zh}"
    );
    let [en, zh] = ask(&["status"]);
    assert!(en.err.contains("is it running?") && zh.err.contains("它在运行吗"), "{en:?}{zh:?}");
    let text = fs::read_to_string(agent.daemon.config()).unwrap();
    agent.daemon.configure(&format!("settle = \"soon\"\n{text}"));
    let [en, zh] = ask(&["check"]);
    assert!(en.err.contains("settle: expected a span of time like"), "{en:?}");
    assert!(zh.err.contains("settle: 应为：一段时间，例如") && zh.err.contains("配置中有 1 处错误"), "{zh:?}");
}
