use clap::CommandFactory as _;

use super::*;

#[test]
fn check_says_when_the_kernel_allows_links_of_foreign_files() {
    assert!(allows_foreign_links("0\n") && !allows_foreign_links("1\n") && !allows_foreign_links(""));
}

#[test]
fn without_systemd_join_names_the_command_that_starts_the_agent() {
    let root = tempfile::tempdir().unwrap();
    let default = config::source(None).main().to_owned();
    let say = |language| Localizer { language, ..of_terminal(olog_proto::Timestamp(0)) };
    let start = |config: &Path| how_to_start(&say(Language::En), root.path(), config);
    assert_eq!(start(&default), "start the agent; without systemd: olog-agent run");
    assert!(start(Path::new("/a b/agent.toml")).ends_with(": olog-agent --config '/a b/agent.toml' run"));
    assert!(how_to_start(&say(Language::ZhCn), root.path(), &default).contains("没有 systemd"));
    std::fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
    assert!(start(&default).contains("systemctl enable --now olog-agent"));
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
    assert!(Cli::try_parse_from(["olog-agent", "scan"]).is_err(), "--dry-run must be said");
    assert!(Cli::try_parse_from(["olog-agent", "scan", "--dry-run", "/a", "/b"]).is_ok());
    assert!(Cli::try_parse_from(["olog-agent", "status", "--json", "--config", "/x"]).is_ok());
}

/// The files whose errors and remarks a verb prints.
const PRINTED: [(&str, &str); 12] = [
    ("dial", include_str!("../dial.rs")),
    ("enter", include_str!("../uplink/enter.rs")),
    ("uplink", include_str!("../uplink.rs")),
    ("join", include_str!("../join.rs")),
    ("identity", include_str!("../identity.rs")),
    ("spool", include_str!("../spool.rs")),
    ("exec", include_str!("../exec.rs")),
    ("record", include_str!("../exec/record.rs")),
    ("follow", include_str!("../exec/follow.rs")),
    ("kept", include_str!("../kept.rs")),
    ("shares", include_str!("../runs/shares.rs")),
    ("socket", include_str!("../../../olog-daemon/src/socket.rs")),
];

/// Written to the journal, to files, to the wire or to the hub, or only a part of a sentence.
const NOT_PRINTED: [&str; 7] = [
    "ended by its time limit",
    "its output went to the terminal in which it ran",
    "the lock cannot be taken, so the command was not started: X",
    "ended in an unknown way",
    "X bytes of the output are left out here",
    "# … X bytes are left out here …",
    "the hub asked for new numbers (X); what was held is sent again under them",
];

/// The texts in string literals, with `X` for each argument; without comments, tests and what is traced.
fn texts(source: &str) -> Vec<String> {
    let production = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code: Vec<&str> = production.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let literal = regex::Regex::new(r#"(?s)"((?:[^"\\]|\\.)*)""#).unwrap();
    let broken = regex::Regex::new(r"\\\n\s*").unwrap();
    let argument = regex::Regex::new(r"\{[^{}]*\}").unwrap();
    let mut texts = Vec::new();
    for found in literal.captures_iter(&code) {
        let before = code.get(..found.get(0).map_or(0, |all| all.start())).unwrap_or_default();
        let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default();
        if statement.contains("tracing::") || statement.contains("#[expect") || statement.contains("execute(") {
            continue;
        }
        let text = broken.replace_all(&found[1], "").replace("\\\"", "\"").replace("{{", "").replace("}}", "");
        // A time or nothing, before the colon.
        let text = text.replace("running{}:", "running:");
        texts.push(argument.replace_all(&text, "X").into_owned());
    }
    texts
}

#[test]
fn what_exec_and_join_print_is_there_in_chinese() {
    let n_words = |text: &str| {
        text.split(' ').filter(|word| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase())).count()
    };
    let mut missing = Vec::new();
    for (file, source) in PRINTED {
        let sentences =
            texts(source).into_iter().filter(|text| n_words(text) >= 3 && !NOT_PRINTED.contains(&text.as_str()));
        missing.extend(
            sentences.filter(|text| Language::ZhCn.phrase(text).is_ascii()).map(|text| format!("{file}: {text}")),
        );
    }
    assert!(missing.is_empty(), "without an entry in locales/phrases.zh-CN.txt:\n{}", missing.join("\n"));
}

#[test]
fn an_error_with_its_causes_and_its_values_is_in_chinese() {
    let say = |text: &str| Language::ZhCn.phrase(text);
    assert_eq!(
        say("backup is still running since 2026-11-28T01:00:00Z: not started a second time"),
        "backup 自 2026-11-28T01:00:00Z 起仍在运行：没有再次启动"
    );
    assert_eq!(say("/no/such: No such file or directory (os error 2)"), "/no/such：文件或目录不存在 (os error 2)");
    assert_eq!(
        say("TLS: hub:8765: what answers there does not speak TLS: is the link's https right?"),
        "TLS：hub:8765：对方不使用 TLS：链接中的 https 对吗？"
    );
    assert_eq!(
        say(
            "joined, but the first session failed: TCP: 10.0.0.1:8765: connection refused: is olog-hub running there, and is the port right?; the agent will try again"
        ),
        "已加入，但第一次会话失败：TCP：10.0.0.1:8765：连接被拒绝：olog-hub 在那里运行吗？端口对吗？；客户端会再次尝试"
    );
}
