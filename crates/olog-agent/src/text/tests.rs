use encoding_rs::{GB18030, GBK};
use olog_proto::{EXCERPT_END, EXCERPT_WHOLE};
use proptest::prelude::*;

use olog_proto::name::is_unprintable;

use super::*;

fn manner(redactor: &Redactor) -> TextOptions<'_> {
    TextOptions { encoding: None, ignore: &[], redactor }
}

fn whole(bytes: &[u8]) -> CleanText {
    clean_text(Bytes { head: bytes, from_start: true, ..Bytes::default() }, None, manner(&Redactor::default()))
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
fn a_broken_character_makes_no_mojibake_of_the_rest() {
    let sentence = "备份失败：目标磁盘空间不足，请立即检查 /data 分区";
    check(&sentence.as_bytes()[..40], "备份失败：目标磁盘空间不足\u{fffd}");

    check(
        &["数据库连接失败\narg=".as_bytes(), b"\xff\n", "重试三次后放弃\n".as_bytes()].concat(),
        "数据库连接失败\narg=\u{fffd}\n重试三次后放弃",
    );
    check(&["错".as_bytes(), b"\xff\n"].concat(), "错\u{fffd}");
    for cut in 1..sentence.len() {
        let said = whole(&sentence.as_bytes()[..cut]);
        assert!(said.encoding == Some(UTF_8) || cut < 4, "{cut}: {said:?}");
    }
}

#[test]
fn text_in_the_code_pages_of_others_is_read_as_it_was_written() {
    use encoding_rs::{BIG5, SHIFT_JIS, WINDOWS_1252};
    let big5 = "備份失敗：目標主機沒有回應，請檢查網路連線與磁碟空間是否足夠。\n資料庫連線逾時，已重試三次。";
    let japanese = "バックアップに失敗しました。ディスクの空き容量が足りません。\nデータベースに接続できません。";
    let french = "Échec de la sauvegarde : l'hôte n'a pas répondu, vérifiez le réseau.\nDélai dépassé.";
    for (text, encoding) in [(big5, BIG5), (japanese, SHIFT_JIS), (french, WINDOWS_1252)] {
        let bytes = encoding.encode(text).0;
        check(&bytes, text);
        let redactor = Redactor::default();
        let with = TextOptions { encoding: Some(encoding), ..manner(&redactor) };
        let said = clean_text(Bytes { head: &bytes, from_start: true, ..Bytes::default() }, None, with);
        assert_eq!((said.excerpt.head(), said.encoding), (text, Some(encoding)));
    }
}

#[test]
fn utf_8_that_is_named_is_always_utf_8() {
    let redactor = Redactor::default();
    let with = TextOptions { encoding: Some(UTF_8), ..manner(&redactor) };
    let gbk = GBK.encode("磁盘空间不足").0;
    for kept in [None, Some(GBK)] {
        let said = clean_text(Bytes { head: &gbk, from_start: true, ..Bytes::default() }, kept, with);
        assert_eq!(said.encoding, Some(UTF_8));
        let said = clean_text(Bytes { head: "磁盘满".as_bytes(), ..Bytes::default() }, kept, with);
        assert_eq!((said.excerpt.head(), said.encoding), ("磁盘满", Some(UTF_8)));
    }
}

#[test]
fn a_window_that_begins_inside_a_character_is_read_in_the_encoding_of_the_rest() {
    let redactor = Redactor::default();
    let plain = b"plain english line of a log\n".repeat(2000);
    let chinese = "任务失败编号，请检查磁盘空间；".repeat(200) + "\n最后：磁盘空间不足\n";
    for (encoding, steps) in [(UTF_8, 3), (GBK, 2)] {
        let bytes = encoding.encode(&chinese).0;
        for start in 0..steps {
            let bytes = Bytes { head: &plain, between: 70_000, tail: &bytes[start..], from_start: true, before: &[] };
            let said = clean_text(bytes, None, manner(&redactor));
            assert!(
                said.excerpt.tail().ends_with("最后：磁盘空间不足"),
                "{encoding:?} {start}: {}",
                said.excerpt.tail()
            );
            assert_eq!(said.encoding.map(|e| e == UTF_8), Some(encoding == UTF_8), "{start}");
        }
    }
}

#[test]
fn a_string_for_the_terminal_that_never_ends_is_text_and_costs_no_second_look() {
    let many = b"\x1b]x ".repeat(20_000);
    let said =
        clean_text(Bytes { head: &many, from_start: true, ..Bytes::default() }, None, manner(&Redactor::default()));
    assert!(said.excerpt.head().starts_with("x x x"));
    check(b"\x1b]0;a\x1b[1mtitle\x07b", "0;atitleb");
}

#[test]
fn the_configured_encoding_is_believed_if_it_decodes() {
    let redactor = Redactor::default();
    let with = TextOptions { encoding: Some(encoding_rs::WINDOWS_1252), ..manner(&redactor) };
    let said = clean_text(Bytes { head: b"caf\xe9", from_start: true, ..Bytes::default() }, None, with);
    assert_eq!((said.excerpt.head(), said.encoding), ("café", Some(encoding_rs::WINDOWS_1252)));
    let with = TextOptions { encoding: Some(GBK), ..manner(&redactor) };
    assert_eq!(decide("好".as_bytes(), Cut::default(), with.encoding), Some(UTF_8));
}

#[test]
fn the_encoding_is_kept_for_what_is_appended() {
    let start = whole(&GBK.encode("磁盘空间不足\n").0);
    let more = GBK.encode("好\n").0.into_owned();
    let redactor = Redactor::default();
    let said = clean_text(Bytes { head: &more, ..Bytes::default() }, start.encoding, manner(&redactor));
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
    let with = TextOptions { ignore: &ignore, ..manner(&redactor) };
    let say =
        |text: &str| clean_text(Bytes { head: text.as_bytes(), from_start: true, ..Bytes::default() }, None, with);
    assert!(say("DEBUG a\nx DeprecationWarning\n").is_blank());
    assert_eq!(say("DEBUG a\nreal\nnot DEBUG\n").excerpt.head(), "real\nnot DEBUG");
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
    let bytes = Bytes { head: &head, between: 1_000_000, tail: &tail, from_start: true, before: &[] };
    let said = clean_text(bytes, None, manner(&redactor));
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
        let said = clean_text(Bytes { head: &head, between, tail: &tail, from_start, before: &tail }, kept, manner(&redactor));
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
        let bytes = Bytes { head: &bytes[..a], between: (b - a) as u64, tail: &bytes[b..], from_start: true, before: &[] };
        prop_assume!(b > a);
        let said = clean_text(bytes, Some(UTF_8), manner(&redactor));
        let broken = format!("{}{}", said.excerpt.head(), said.excerpt.tail()).contains('\u{fffd}');
        prop_assert!(!broken);
    }
}
