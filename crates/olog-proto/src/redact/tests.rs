use proptest::prelude::*;

use super::*;

/// Lines as programs write them, each secret between `⟦` and `⟧`.
const SECRETS: &str = include_str!("secrets.txt");
/// Error lines without a secret.
const CALM: &str = include_str!("calm.txt");

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
fn a_private_key_that_is_appended_line_by_line_shows_none_of_its_lines() {
    for kind in ["RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
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
fn no_line_with_a_secret_is_taken_for_plain() {
    let is_marked = |line: &&str| line.contains('⟦');
    for line in SECRETS.lines().filter(is_marked) {
        let line = line.replace(['⟦', '⟧'], "");
        assert!(!is_plain(&line), "{line}");
        assert_eq!(Redactor::default().redact_line(&line), redact(&line));
    }
    for line in CALM.lines().filter(|line| is_plain(line)) {
        assert_eq!(redact(line), *line);
    }
    for plain in
        ["/usr/local/bin/backup.sh", "rsync -a /srv nas:/srv", "sh -c 'echo out'", "borg create --stats /mnt/b::x ~"]
    {
        assert!(is_plain(plain), "{plain}");
    }
    let own = Redactor::new(vec![Regex::new("PIN [0-9]+").unwrap()]);
    assert_eq!(own.redact_line("PIN 1234 ok"), "*** ok");
}
