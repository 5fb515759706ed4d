use encoding_rs::{GB18030, GBK};
use olog_proto::{EXCERPT_END, EXCERPT_WHOLE};
use proptest::prelude::*;

use super::*;

fn manner(redactor: &Redactor) -> Manner<'_> {
    Manner { encoding: None, ignore: &[], redactor }
}

fn whole(bytes: &[u8]) -> Said {
    say(Bytes { head: bytes, from_start: true, ..Bytes::default() }, None, manner(&Redactor::default()))
}

#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    assert_eq!(whole(bytes).excerpt.head(), expected);
}

fn utf16(text: &str, little: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

#[test]
fn text_is_read_in_the_encoding_it_was_written_in() {
    check("磁盘满\n".as_bytes(), "磁盘满");
    check(b"\xef\xbb\xbfwith a mark\n", "with a mark");
    check(&GBK.encode("磁盘空间不足").0, "磁盘空间不足");
    check(&GBK.encode("错误").0, "错误");
    check(&GB18030.encode("备份失败:目标主机没有响应\n").0, "备份失败:目标主机没有响应");
    check(&utf16("no mark\n", true), "no mark");
    check(&utf16("no mark\n", false), "no mark");
    check(&utf16("\u{feff}磁盘满\r\n再见\r\n", true), "磁盘满\n再见");
    check(&utf16("\u{feff}磁盘满\n", false), "磁盘满");
    check(&utf16("磁盘满了\n还有错\n", true), "磁盘满了\n还有错");
}

#[test]
fn the_configured_encoding_is_believed_if_it_decodes() {
    let redactor = Redactor::default();
    let with = Manner { encoding: Some(encoding_rs::WINDOWS_1252), ..manner(&redactor) };
    let said = say(Bytes { head: b"caf\xe9", from_start: true, ..Bytes::default() }, None, with);
    assert_eq!((said.excerpt.head(), said.encoding), ("café", Some(encoding_rs::WINDOWS_1252)));
    let with = Manner { encoding: Some(GBK), ..manner(&redactor) };
    assert_eq!(decide("好".as_bytes(), false, with.encoding), Some(UTF_8));
}

#[test]
fn the_encoding_is_kept_for_what_is_appended() {
    let start = whole(&GBK.encode("磁盘空间不足\n").0);
    let more = GBK.encode("好\n").0.into_owned();
    let redactor = Redactor::default();
    let said = say(Bytes { head: &more, ..Bytes::default() }, start.encoding, manner(&redactor));
    assert_eq!(said.excerpt.head(), "好");
    assert_eq!(whole(b"plain\n").encoding, None);
}

#[test]
fn nothing_that_moves_a_terminal_comes_through() {
    check(b"\x1b[31mred\x1b[0m \x1b[1;4Hx", "red x");
    check(b"\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "textlink");
    check(b"\x1b(Bplain\x1b7\x1b8\x1bM!", "plain!");
    check(b"a\0b\x08c\x07", "abc");
    check(b"10%\r20%\r\ndone\r\n", "10%\n20%\ndone");
    check("evil\u{202e}txt\u{2066}".as_bytes(), "eviltxt");
    check(b"open \x1b]never closed", "open never closed");
    check(b"cut \x1b[", "cut");
}

#[test]
fn blank_is_blank_in_any_form() {
    for bytes in [&b""[..], b"\n \t\r\n", b"\xef\xbb\xbf", b"\0\0\0\0", b"\x1b[0m\n", "\u{3000}\n".as_bytes()] {
        assert!(whole(bytes).is_blank(), "{bytes:?}");
    }
    assert!(!whole(b"x").is_blank());
    assert!(!whole(&[0xff, 0xfe, 0xfd, 0x80]).is_blank());
}

#[test]
fn ignored_lines_say_nothing() {
    let redactor = Redactor::default();
    let ignore = [Regex::new("DeprecationWarning").unwrap(), Regex::new("^DEBUG").unwrap()];
    let with = Manner { ignore: &ignore, ..manner(&redactor) };
    let say = |text: &str| say(Bytes { head: text.as_bytes(), from_start: true, ..Bytes::default() }, None, with);
    assert!(say("DEBUG a\nx DeprecationWarning\n").is_blank());
    assert_eq!(say("DEBUG a\nreal\nnot DEBUG\n").excerpt.head(), "real\nnot DEBUG");
}

#[test]
fn well_known_secrets_are_taken_out() {
    for (text, expected) in [
        ("key AKIAIOSFODNN7EXAMPLE used", "key *** used"),
        ("push ghp_0123456789abcdefghijABCDEFGHIJ012345 failed", "push *** failed"),
        ("glpat-abcdefghij0123456789", "***"),
        ("appToken AT_4kDRg0hBQzCcZpT0 sent to UID_abcdef0123456", "appToken *** sent to ***"),
        (
            "https://wxpusher.zjiecode.com/api/send/message/SPT_abcdefgh12/x",
            "https://wxpusher.zjiecode.com/api/send/message/***/x",
        ),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("curl -H 'bearer 0123456789abcdef'", "curl -H 'bearer ***'"),
        ("mysql password=hunter2 host=db", "mysql password=*** host=db"),
        ("{\"password\": \"hunter 2\", \"a\": 1}", "{\"password\": ***, \"a\": 1}"),
        ("DB_PASSWORD='x y' and token=abc", "DB_PASSWORD=*** and token=***"),
        ("mysqldump --password hunter2 db", "mysqldump --password *** db"),
        ("postgres://bob:hunter2@db:5432/x", "postgres://bob:***@db:5432/x"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_x", "jwt ***"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nxyz\n-----END RSA PRIVATE KEY-----\nb", "a\n***\nb"),
        ("a\n-----BEGIN PRIVATE KEY-----\nMIIE", "a\n***"),
        ("MIIE\n-----END PRIVATE KEY-----\nb", "***\nb"),
        (
            "Access denied for 'root'@'localhost' (using password: YES)",
            "Access denied for 'root'@'localhost' (using password: YES)",
        ),
        ("unexpected token: ';'", "unexpected token: ';'"),
        ("http://host:80/path", "http://host:80/path"),
        ("at 12:30:45 no secret here", "at 12:30:45 no secret here"),
    ] {
        assert_eq!(Redactor::default().redact(text, false), expected);
    }
    let own = Redactor::new(vec![Regex::new(r"(?i)pin \d+").unwrap()]);
    assert_eq!(own.redact("PIN 1234 ok", false), "*** ok");
}

#[test]
fn a_secret_is_in_neither_excerpt_nor_fingerprint() {
    let said = whole(b"login with password=hunterhunter refused\n");
    assert!(!said.excerpt.head().contains("hunter"));
    assert!(said.fingerprints.iter().all(|f| !f.as_str().contains("hunter")));
}

#[test]
fn an_excerpt_of_two_windows_has_both_ends() {
    let (head, tail) = ("头".repeat(900), "尾".repeat(900));
    let (mut head, mut tail) = (head.into_bytes(), tail.into_bytes());
    // Both windows cut a character.
    head.pop();
    tail.remove(0);
    let redactor = Redactor::default();
    let bytes = Bytes { head: &head, between: 1_000_000, tail: &tail, from_start: true };
    let said = say(bytes, None, manner(&redactor));
    assert_eq!(said.excerpt.head(), "头".repeat(EXCERPT_END));
    assert_eq!(said.excerpt.tail(), "尾".repeat(EXCERPT_END));
    assert!(said.excerpt.left_out() >= 1_000_000);
}

#[test]
fn a_file_still_open_ends_at_its_last_line_end() {
    assert_eq!(finished(b"a\nb\nc", None), 4);
    assert_eq!(finished(b"abc", None), 0);
    // U+0A0A is no line end.
    let text = utf16("x\n\u{0a0a}y", true);
    assert_eq!(finished(&text, Some(UTF_16LE)), 4);
    assert_eq!(finished(&utf16("x\ny", false), Some(UTF_16BE)), 4);
}

proptest! {
    #[test]
    fn any_bytes_give_a_bounded_text(
        head in prop::collection::vec(any::<u8>(), 0..4000),
        tail in prop::collection::vec(any::<u8>(), 0..4000),
        between in prop_oneof![Just(0_u64), any::<u64>()],
        from_start: bool,
        kept in prop::sample::select(vec![None, Some(GBK), Some(UTF_16LE), Some(UTF_8)]),
    ) {
        let redactor = Redactor::default();
        let tail = if between == 0 { Vec::new() } else { tail };
        let said = say(Bytes { head: &head, between, tail: &tail, from_start }, kept, manner(&redactor));
        let (h, t) = (said.excerpt.head().chars().count(), said.excerpt.tail().chars().count());
        let bound = if said.excerpt.left_out() == 0 { EXCERPT_WHOLE } else { EXCERPT_END };
        prop_assert!(h <= bound && t <= EXCERPT_END);
        prop_assert!(!said.excerpt.head().chars().any(|c| c != '\n' && c != '\t' && is_unprintable(c)));
        prop_assert!(finished(&head, kept) <= head.len());
    }

    #[test]
    fn no_character_is_cut_in_any_window(text in "[a-z 一-龥\u{1f600}-\u{1f64f}\n]{0,3000}", cut in any::<prop::sample::Index>(), gap in 1_usize..50) {
        let bytes = text.as_bytes();
        let a = cut.index(bytes.len() + 1);
        let b = (a + gap).min(bytes.len());
        let redactor = Redactor::default();
        let bytes = Bytes { head: &bytes[..a], between: (b - a) as u64, tail: &bytes[b..], from_start: true };
        prop_assume!(b > a);
        let said = say(bytes, Some(UTF_8), manner(&redactor));
        let broken = format!("{}{}", said.excerpt.head(), said.excerpt.tail()).contains('\u{fffd}');
        prop_assert!(!broken);
    }
}
