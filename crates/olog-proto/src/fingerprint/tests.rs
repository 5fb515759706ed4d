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
fn a_chinese_date_makes_no_new_error() {
    same("周五 11月 27 19:22:04 CST 2026 备份失败", "周六 11月 28 03:02:59 CST 2026 备份失败");
    same("礼拜五 备份失败", "礼拜天 备份失败");
    same("星期五备份失败", "星期天备份失败");
    same("今天周五备份失败", "今天周一备份失败");
    same("11月27日凌晨3点05分 备份失败", "12月3日晚上11点40分 备份失败");
    same("11月27日凌晨3点05分备份失败", "11月28日下午2点备份失败");
    same("容器退出 5分钟前", "容器退出 刚刚");
    same("容器退出 2小时前", "容器退出 三天前");
    same("3个月前的备份损坏", "11个月前的备份损坏");
    // The same characters in other words.
    assert_eq!(FingerprintText::of("周日志轮转失败").as_str(), "周 日 志轮转失败");
    assert_eq!(FingerprintText::of("点击失败").as_str(), "点击失败");
    other("天气服务失败", "天线服务失败");
    other("3前端失败", "3后端失败");
}

#[test]
fn a_relative_time_makes_no_new_error() {
    same("web Exited (137) About a minute ago", "web Exited (137) 5 minutes ago");
    same("web Exited (137) About a minute ago", "web Exited (1) Less than a second ago");
    same("web Exited (1) About an hour ago", "web Exited (1) 2 weeks ago");
    same("web Exited (1) 3 months ago", "web Exited (1) 1 year ago");
    same("web Up About a minute", "web Up 12 hours");
    same("last seen a few seconds ago by peer", "last seen a couple of minutes ago by peer");
    // An ordinal, and words that only look like a span.
    other("failed to lock a second time", "failed to lock a third time");
    other("talk about a file", "talk about a folder");
}

#[test]
fn a_random_temporary_name_makes_no_new_error() {
    same("cannot write tmp.aBcDeFgHiJ", "cannot write tmp.Xq3Rb0ZkPa");
    same("cannot write tmp.aBcDeFgHiJ", "cannot write tmp.abcdefghij");
    same("no such file: tmpabcdef12", "no such file: tmp3f_9k2la");
    same("rename aBcDeFgHiJ failed", "rename KlMnOpQrSt failed");
    other("NullPointerException in PyQtGui", "ClassCastException in PyQtGui");
    other("tmpfs_error on x", "tmpfs_quota on x");
}

/// The characters that are looked at while this line is reduced.
fn steps(line: &str) -> usize {
    reduce::STEPS.with(|steps| steps.set(0));
    fingerprints(line);
    reduce::STEPS.with(std::cell::Cell::get)
}

#[test]
fn the_work_grows_with_the_length_of_a_line_and_not_with_its_square() {
    for piece in ["1 ", "x y ", "words and words ", "{\"a\":1,", "aB", "周日五", "ago ", "(", "a=", "'/", "about a "]
    {
        let line = |bytes: usize| piece.repeat(bytes / piece.len());
        // Within the part of a line that is reduced, and beyond it.
        for bytes in [1_000, 64 * 1024] {
            let (once, twice) = (steps(&line(bytes)), steps(&line(2 * bytes)));
            assert!(twice < 3 * once.max(1), "{piece:?} × {bytes}: {once} then {twice}");
        }
        assert!(steps(&line(128 * 1024)) < 400_000, "{piece:?}");
    }
}

#[test]
fn what_follows_the_first_part_of_a_long_line_does_not_count() {
    let line = |end: &str| format!("disk failed {}{end}", "7 ".repeat(2_000));
    same(&line("now"), &line("again"));
    let words = |last: &str| format!("{} {last}", "word ".repeat(500));
    same(&words("one"), &words("other"));
}

#[test]
fn tasks_that_share_a_first_line_are_told_apart_by_the_others() {
    let preamble = "bash: warning: setlocale: LC_ALL: cannot change locale (en_US.UTF-8)";
    let name = |i: usize| {
        [i / 26 % 26, i % 26].map(|n| char::from(b'g' + u8::try_from(n % 20).unwrap())).iter().collect::<String>()
    };
    let errors: BTreeSet<_> =
        (0..200).map(|i| set(&format!("{preamble}\njob {} of task {} failed", name(i), name(i / 7)))).collect();
    assert!(errors.len() > 150, "{}", errors.len());
    let shared = FingerprintText::of(preamble);
    assert!(errors.iter().all(|error| error.contains(&shared) && error.len() == 2));
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
    fn reducing_twice_changes_nothing(line in "[a-zA-Z0-9 年月日时分秒周星期礼拜五天点前后刚几小钟上午凌晨.,:()#'/=-]{0,60}") {
        let once = FingerprintText::of(&line);
        prop_assert_eq!(FingerprintText::of(once.as_str()), once);
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
