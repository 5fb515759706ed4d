use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Errors as real programs write them: each block is one error, its variants are the same error at other times, with other
/// numbers, ids, paths, hosts.
const ERRORS: &str = include_str!("errors.txt");

/// The blocks of [`ERRORS`]: separated by `====`, their variants by `----`.
fn errors() -> Vec<Vec<&'static str>> {
    ERRORS.split("\n====\n").map(|block| block.split("\n----\n").collect()).collect()
}

fn set(text: &str) -> BTreeSet<FingerprintText> {
    fingerprints(text).into_iter().collect()
}

#[track_caller]
fn same(a: &str, b: &str) {
    assert_eq!(fingerprints(a), fingerprints(b));
}

#[track_caller]
fn other(a: &str, b: &str) {
    assert_ne!(fingerprints(a), fingerprints(b));
}

#[test]
fn the_same_error_of_a_real_program_is_the_same() {
    for variants in errors() {
        assert!(variants.len() > 1, "needs variants: {}", variants[0]);
        for variant in &variants {
            assert_eq!(set(variants[0]), set(variant), "\n{}\n{variant}", variants[0]);
        }
    }
}

#[test]
fn another_error_of_a_real_program_is_another() {
    let errors = errors();
    assert!(errors.len() > 50);
    for (i, a) in errors.iter().enumerate() {
        for b in &errors[i + 1..] {
            assert_ne!(set(a[0]), set(b[0]), "\n{}\n{}", a[0], b[0]);
            // Else the second of the two would not be pushed within an incident of the first.
            assert!(!set(b[0]).is_subset(&set(a[0])) && !set(a[0]).is_subset(&set(b[0])), "\n{}\n{}", a[0], b[0]);
        }
    }
}

#[test]
fn a_block_says_the_same_wherever_it_is_cut() {
    for variants in errors() {
        for text in variants {
            let whole = set(text);
            for (at, _) in text.match_indices('\n') {
                let (a, b) = text.split_at(at + 1);
                let mut pieces: BTreeSet<FingerprintText> = set(a).union(&set(b)).cloned().collect();
                if whole.len() < FINGERPRINTS_MAX {
                    pieces.retain(|piece| !piece.is_nothing() || whole.contains(piece));
                    assert_eq!(pieces, whole, "cut into\n{a}|\n{b}");
                }
            }
        }
    }
}

#[test]
fn the_same_error_at_another_time_is_the_same() {
    same("nginx not running! Sun Nov 22 07:22:04 PM UTC 2026", "nginx not running! Mon Nov 23 11:02:59 AM UTC 2026");
    same("2026-11-22T19:22:04.123Z db down", "2026-12-01T01:02:03.9Z db down");
    same("2026年 11月 22日 星期日 19:22:04 CST 磁盘满", "2026年 12月 03日 星期四 上午 09:01:04 CST 磁盘满");
    same("[11/22/26 19:22] worker 4711 died", "[01/02/27 03:04] worker 12 died");
    same("conn from 10.0.0.1:5123 refused", "conn from 192.168.7.21:80 refused");
    same("conn from fe80::abcd:1 refused", "conn from 2001:db8::1 refused");
    same("mac aa:bb:cc:dd:ee:ff gone", "mac 02:42:ac:11:00:02 gone");
    same("req 550e8400-e29b-41d4-a716-446655440000 failed", "req 123e4567-cafe-beef-dead-426614174000 failed");
    same("at 0xdeadbeef: fault", "at 0xcafebabe: fault");
    same("cannot open /var/lib/a/x.db", "cannot open /srv/b.db");
    same("cannot open \"/srv/my files/a b.txt\": denied", "cannot open \"/home/x\": denied");
    same("timed out after 1 minute", "timed out after 5 minutes");
    same("12.5 GiB left", "980 MiB left");
    same("eth0: link down", "eth1: link down");
}

#[test]
fn another_error_is_another() {
    other("nginx not running!", "mysql not running!");
    other("磁盘满", "内存不足");
    other("No space left on device", "Input/output error");
    other("may fail", "march fail");
    other("mysql8 is gone", "redis7 is gone");
    other("job failed:\n  no such host", "job failed:\n  permission denied");
}

#[test]
fn a_traceback_is_its_last_line() {
    let first = "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nValueError: no such key";
    let again = "Traceback (most recent call last):\n  File \"b.py\", line 9, in h\nValueError: no such key";
    same(first, again);
    same(first, "ValueError: no such key");
}

#[test]
fn fingerprints_are_distinct_and_bounded() {
    let mut text = "same 1\nsame 2\n  why not\nother\n".to_owned();
    assert_eq!(fingerprints(&text).len(), 3);
    for c in 'a'..='z' {
        text.push_str(&format!("{c}{c}{c}\n"));
    }
    assert_eq!(fingerprints(&text).len(), FINGERPRINTS_MAX);
    assert_eq!(fingerprints("12 34\n").len(), 1);
    assert!(fingerprints(" \n\t").is_empty());
}

#[test]
fn a_person_sees_which_parts_were_taken_out() {
    let marked = |line: &str| {
        let mut out = line.to_owned();
        for part in taken_out(line).into_iter().rev() {
            out.insert(part.end, '⟩');
            out.insert(part.start, '⟨');
        }
        out
    };
    assert_eq!(
        marked("2026-11-22 03:11:04 worker 4711: /srv/x gone"),
        "⟨2026-11-22 03:11:04⟩ worker ⟨4711: /srv/x⟩ gone"
    );
    assert_eq!(marked("磁盘 sda1 已满 98%"), "磁盘 sda⟨1⟩ 已满 ⟨98⟩%");
    assert_eq!(marked("no number"), "no number");
}

proptest! {
    #[test]
    fn numbers_never_make_another_error(a in 0_u32.., b in 0_u32.., words in "[g-z]{3,8}( [g-z]{3,8}){1,4}") {
        prop_assert_eq!(fingerprints(&format!("{words} {a} x")), fingerprints(&format!("{words} {b} x")));
        prop_assert_eq!(fingerprints(&format!("{words}={a}")), fingerprints(&format!("{words}={b}")));
    }

    #[test]
    fn what_is_taken_out_lies_within_the_line(line in ".{0,200}") {
        let mut before = 0;
        for part in taken_out(&line) {
            prop_assert!(part.start >= before && part.end > part.start && line.get(part.clone()).is_some());
            before = part.end;
        }
    }
}
