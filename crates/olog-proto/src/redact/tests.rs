use proptest::prelude::*;

use super::*;

/// Lines as programs write them, each secret between `⟦` and `⟧`.
const SECRETS: &str = include_str!("secrets.txt");
/// Error lines without a secret.
const CALM: &str = include_str!("calm.txt");
/// What programs really wrote when they failed: compilers, interpreters, PostgreSQL, nginx, ssh, openssl, git, kubectl and some hundred
/// others, each run without rights on input that it cannot use.
const REAL: &str = include_str!("real.txt");

fn redact(text: &str) -> String {
    Redactor::default().redact(text, &Before::Nothing)
}

fn after(before: &str, text: &str) -> String {
    Redactor::default().redact(text, &Before::of(before))
}

#[test]
fn every_known_shape_of_a_secret_is_taken_out() {
    assert!(SECRETS.lines().count() > 100);
    let mut leaks = Vec::new();
    for line in SECRETS.lines() {
        let (_, rest) = line.split_once('⟦').unwrap();
        let (secret, _) = rest.split_once('⟧').unwrap();
        let shown = redact(&line.replace(['⟦', '⟧'], ""));
        // Neither the whole nor a part of it that would help to guess it.
        let parts = secret.split(|c: char| !c.is_alphanumeric()).filter(|part| part.len() >= 6);
        if shown.contains(secret) || parts.clone().any(|part| shown.contains(part)) || !shown.contains(MASK) {
            leaks.push(format!("{line}\n  {shown}"));
        }
    }
    assert!(leaks.is_empty(), "{} leak:\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn what_stands_around_a_secret_stays() {
    for (text, expected) in [
        ("key AKIAIOSFODNN7EXAMPLE used", "key *** used"),
        (
            "POST https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0/sendMessage 400",
            "POST https://api.telegram.org/***/sendMessage 400",
        ),
        (
            "POST https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7bcd-4bc4-97a0-0ec2beefaaaa errcode 93000",
            "POST https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=*** errcode 93000",
        ),
        (
            "https://wxpusher.zjiecode.com/api/send/message/SPT_abcdefgh12/x",
            "https://wxpusher.zjiecode.com/api/send/message/***/x",
        ),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("mysql password=hunter2 host=db", "mysql password=*** host=db"),
        ("{\"password\": \"hunter 2\", \"a\": 1}", "{\"password\": ***, \"a\": 1}"),
        ("DB_PASSWORD='x y' and token=abc", "DB_PASSWORD=*** and token=***"),
        ("postgres://bob:hun/ter2@db:5432/x refused", "postgres://bob:***@db:5432/x refused"),
        ("export DATABASE_PASSWORD=correct&horse=battery failed", "export DATABASE_PASSWORD=*** failed"),
        ("密码：hunter2pass 登录失败", "密码：*** 登录失败"),
        ("mysqldump -uroot -phunter2pass db: failed", "mysqldump -uroot -p*** db: failed"),
        ("curl -u admin:hunter2pass https://x failed", "curl -u admin:*** https://x failed"),
        ("CREATE USER x IDENTIFIED BY 'hunter2pass' failed", "CREATE USER x IDENTIFIED BY *** failed"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_x", "jwt ***"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nxyz\n-----END RSA PRIVATE KEY-----\nb", "a\n***\nb"),
        (
            "a\n-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOY\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\nb",
            "a\n***\nb",
        ),
        ("a\nPuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nAAAA\nPrivate-MAC: 0123abcd\nb", "a\n***\nb"),
        ("a\n-----BEGIN PRIVATE KEY-----\nMIIE", "a\n***"),
        ("MIIE\n-----END PRIVATE KEY-----\nb", "***\nb"),
    ] {
        assert_eq!(redact(text), expected);
    }
    let own = Redactor::new(vec![Regex::new(r"(?i)pin \d+").unwrap()]);
    assert_eq!(own.redact("PIN 1234 ok", &Before::Nothing), "*** ok");
}

#[test]
fn an_error_line_without_a_secret_stays_whole() {
    assert!(CALM.lines().count() >= 200);
    let touched: Vec<String> =
        CALM.lines().filter(|line| redact(line) != **line).map(|line| format!("{line}\n  {}", redact(line))).collect();
    assert!(touched.is_empty(), "{} touched:\n{}", touched.len(), touched.join("\n"));
    assert_eq!(redact(CALM), CALM, "also together");
}

#[test]
fn of_a_thousand_lines_that_programs_really_wrote_at_most_two_are_touched() {
    let n_lines = REAL.lines().count();
    assert!(n_lines >= 2_000);
    let touched: Vec<String> =
        REAL.lines().filter(|line| redact(line) != **line).map(|line| format!("{line}\n  {}", redact(line))).collect();
    assert!(touched.len() * 1_000 <= n_lines * 2, "{} of {n_lines} touched:\n{}", touched.len(), touched.join("\n"));
}

#[test]
fn a_key_that_is_longer_than_what_is_read_again_shows_none_of_its_lines() {
    let line = "lQOYBGc0ZkEBCADf9vQ8bJtq1x5l2m3n4o5p6q7r8s9t0u1v2w3x4y5z6A7B8C9D\n";
    let before = line.repeat(16 * 1024 / line.len());
    let before = before.get(7..).unwrap();
    assert_eq!(after(before, "AAAAB3NzaC1yc2E\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\nb"), "***\nb");
    assert_eq!(after(before, "AAAAB3NzaC1yc2E\n"), "***");
    let log = "disk is full\n".repeat(2_000);
    assert_eq!(after(&log, "AAAAB3NzaC1yc2E\n"), "AAAAB3NzaC1yc2E\n");
}

#[test]
fn a_private_key_that_is_appended_line_by_line_shows_none_of_its_lines() {
    for kind in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "DSA PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
        "OpenVPN Static key V1",
    ] {
        let lines: Vec<String> = [format!("-----BEGIN {kind}-----")]
            .into_iter()
            .chain((0..10).map(|i| format!("b3BlbnNzaC1rZXktdjEAAAAA{i}")))
            .chain([format!("-----END {kind}-----"), "job failed".to_owned()])
            .collect();
        let mut written = String::new();
        let mut told = String::new();
        for line in lines {
            let line = format!("{line}\n");
            told += &after(&written, &line);
            written += &line;
        }
        assert!(!told.contains("b3Blbn") && told.ends_with("job failed\n"), "{told}");
    }
}

#[test]
fn a_value_that_is_split_between_two_writes_is_taken_out_of_both() {
    for line in SECRETS.lines() {
        let (head, rest) = line.split_once('⟦').unwrap();
        let (secret, tail) = rest.split_once('⟧').unwrap();
        if tail.contains('⟦') || secret.contains(' ') || line.starts_with("echo") || secret.len() < 8 {
            continue;
        }
        let line = format!("{head}{secret}{tail}");
        let middle = head.len() + secret.floor_char_boundary(secret.len() - 3);
        let (first, second) = line.split_at(middle);
        let shown = after(first, second);
        let rest = secret.get(secret.floor_char_boundary(secret.len() - 3)..).unwrap();
        assert!(!shown.starts_with(rest), "{line}\n  {shown}");
    }
    assert_eq!(after("login password=hun", "ter2 failed\n"), "*** failed\n");
    assert_eq!(after("login password=hunter2\n", "ter2 failed\n"), "ter2 failed\n");
    assert_eq!(after("all is well", " so far\n"), " so far\n");
}

#[test]
fn a_secret_far_into_a_long_line_is_taken_out() {
    for n in [0, 10, 700, 1_000, 1_020, 3_000, 40_000] {
        let line = format!("key {} password={} end", "x ".repeat(n), "hunter2pass".repeat(300));
        assert!(!redact(&line).contains("hunter2"), "{n}");
        assert!(redact(&line).ends_with("password=*** end"), "{n}");
    }
}

proptest! {
    #[test]
    fn any_text_comes_out_bounded_and_never_fails(text in ".{0,300}", before in ".{0,100}") {
        let shown = after(&before, &text);
        prop_assert!(shown.len() <= text.len() + MASK.len() * (text.len() + 1));
    }
}

#[test]
fn what_the_operator_names_is_taken_out_of_a_plain_line() {
    let own = Redactor::new(vec![Regex::new("PIN [0-9]+").unwrap()]);
    assert_eq!(own.redact_line("PIN 1234 ok"), "*** ok");
}

#[test]
fn a_secret_in_the_name_of_a_file_is_not_in_the_name_of_its_task() {
    let task = |file: &str| {
        let (task, _) = TaskName::of_file(file.as_bytes()).unwrap();
        Redactor::default().redact_task(task).to_string()
    };
    assert_eq!(task("deploy_ghp_0123456789abcdefghijABCDEFGHIJ012345.err"), "deploy***");
    assert_eq!(task("@curl token=f00dcafe1234beef@2026.err"), "curl token=***");
    assert_eq!(task("备份 密码：hunter2pass.err"), "备份 密码：***");
    assert_eq!(task("backup-2026-11-28.err"), "backup-2026-11-28");
    let longest = format!("{}password=ab.err", "x".repeat(255 * 4 - 11));
    assert!(task(&longest).len() <= crate::TASK_NAME_MAX && !task(&longest).contains("=ab"));
}
