//! Truncation: names and excerpts are cut in the middle, titles to 20 characters; facts are never cut. And the commands that a
//! message offers: the ssh line, and names as words of a shell.
//!
//! An excerpt is cut at line ends, and the line that says what happened is always in the part that is shown. A command is copied
//! and run by a person, and the names in it were chosen by others: each is one word of the shell and never an option, and where a
//! pattern is expected it means itself only.

use olog_proto::Excerpt;

use super::TITLE_MAX;
use super::catalogue::Localizer;

const DEVICE_IN_TITLE: usize = 8;

/// At most `max` characters, with `…` for the middle of what is longer.
pub(super) fn middle(text: &str, max: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= max {
        return text.to_owned();
    }
    let kept = max.saturating_sub(1);
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let mut cut: String = chars.iter().take(head).collect();
    cut.push('…');
    cut.extend(chars.iter().skip(chars.len() - tail));
    cut
}

/// At most `max` characters, `…` at the end of what is longer.
pub(super) fn end(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// `STATE device/task` in 20 characters: the state whole, the device at most 8, the rest for the task.
pub(super) fn title(state: &str, device: Option<&str>, task: Option<&str>) -> String {
    let room = TITLE_MAX.saturating_sub(state.chars().count() + 1);
    let name = match (device, task) {
        (None, None) => return end(state, TITLE_MAX),
        (Some(one), None) | (None, Some(one)) => middle(one, room),
        (Some(device), Some(task)) => {
            let whole = format!("{device}/{task}");
            if whole.chars().count() <= room {
                whole
            } else {
                let device = middle(device, DEVICE_IN_TITLE);
                let left = room.saturating_sub(device.chars().count() + 1);
                format!("{device}/{}", middle(task, left))
            }
        }
    };
    format!("{state} {name}")
}

/// The last line that says something, without the time that its writer put before it.
pub(super) fn telling_line(excerpt: &Excerpt) -> String {
    let lines = excerpt.tail().lines().rev().chain(excerpt.head().lines().rev());
    let line = lines.map(str::trim).find(|line| says_something(line)).unwrap_or_default();
    let mut rest = line;
    while let Some((word, after)) = rest.split_once(char::is_whitespace) {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let is_time = digits >= 4 && word.chars().all(|c| c.is_ascii_digit() || "[]():-/.,TZ+".contains(c));
        if !is_time {
            break;
        }
        rest = after.trim_start();
    }
    if rest.is_empty() { line.to_owned() } else { rest.to_owned() }
}

fn says_something(line: &str) -> bool {
    line.chars().any(char::is_alphabetic)
}

/// At most about `max` characters of an excerpt: its first and its last lines, the line that says what happened among them, around
/// a line that says how much is left out.
pub(super) fn excerpt(say: &Localizer, excerpt: &Excerpt, max: usize) -> String {
    let (head, tail) = (excerpt.head().trim_end(), excerpt.tail().trim_end());
    let left_out = |bytes: u64| say.text("left-out", &[("n", bytes.into())]);
    let length = head.chars().count() + tail.chars().count();
    if length <= max {
        return match excerpt.left_out() {
            0 => head.to_owned(),
            bytes => format!("{head}\n{}\n{}", left_out(bytes), tail.trim_start_matches('\n')),
        };
    }
    let last = if tail.is_empty() { head } else { tail };
    // The line that says what happened, with all that stands behind it, comes first; the beginning takes what room is left.
    let telling = last.lines().rev().position(says_something).map_or(0, |n| n + 1);
    let end = last_lines(last, max.div_ceil(2), telling);
    let start = first_lines(head, max.saturating_sub(end.chars().count()));
    let (start, end) = if tail.is_empty() && start.len() + end.len() > head.len() {
        (start, head.get(start.len()..).unwrap_or_default())
    } else {
        (start, end)
    };
    let shown = start.len() + end.len();
    let all = (head.len() + tail.len()) as u64 + excerpt.left_out();
    let bytes = all.saturating_sub(shown as u64);
    let parts = [start.trim_end().to_owned(), left_out(bytes), end.trim_matches('\n').to_owned()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Whole lines from the beginning, at most `max` characters; of a first line that is longer, its beginning.
fn first_lines(text: &str, max: usize) -> &str {
    let at = text.char_indices().nth(max).map_or(text.len(), |(at, _)| at);
    let cut = text.get(..at).unwrap_or_default();
    if at == text.len() || text.get(at..).is_some_and(|rest| rest.starts_with('\n')) {
        return cut;
    }
    cut.rfind('\n').map_or(cut, |line_end| cut.get(..line_end).unwrap_or_default())
}

/// Whole lines from the end, at most `max` characters, but at least the last `n` lines if they fit; of a line that is longer than
/// that, its end.
fn last_lines(text: &str, max: usize, n: usize) -> &str {
    let from = |n: usize| text.char_indices().rev().nth(n.saturating_sub(1)).map_or(0, |(at, _)| at);
    if max == 0 {
        return "";
    }
    let at = from(max);
    let cut = text.get(at..).unwrap_or_default();
    let is_at_line_start = at == 0 || text.get(..at).is_some_and(|before| before.ends_with('\n'));
    if is_at_line_start {
        return cut;
    }
    let whole = cut.split_once('\n').map_or("", |(_, rest)| rest);
    if whole.lines().count() < n { cut } else { whole }
}

/// `ssh -p PORT user@host` for an address like `user@host:port`; nothing for what is not one, because a person pastes this
/// into a shell and the device has written it.
pub fn ssh(address: &str) -> Option<String> {
    let (user, place) = address.rsplit_once('@').map_or((None, address), |(user, place)| (Some(user), place));
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None if place.matches(':').count() == 1 => place.split_once(':').map(|(host, port)| (host, Some(port)))?,
        None => (place, None),
    };
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'))
    };
    let port: Option<u16> = port.map(str::parse).transpose().ok()?;
    if !plain(host) || !user.is_none_or(plain) {
        return None;
    }
    let to = user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
    Some(match port {
        None | Some(22) => format!("ssh {to}"),
        Some(port) => format!("ssh -p {port} {to}"),
    })
}

/// A word for a shell: a name is somebody's choice, and the command that holds it is copied and run.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.%+=:,/".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        // Between the quotes that end and begin anew no service sees a mention or a tag.
        let quoted = text.replace('\'', r"'\''").replace('@', "@''").replace('<', "<''").replace("](", "]''(");
        format!("'{quoted}'")
    }
}

/// An option of a command and its value. A value that begins with `-` is joined to it, or it would be an option of its own.
pub(super) fn option(name: &str, value: &str) -> String {
    let sign = if value.starts_with('-') { '=' } else { ' ' };
    format!("--{name}{sign}{}", shell_word(value))
}

/// A name where a pattern is expected: it matches only itself.
pub fn literal(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Numbers for a verb that takes lists and ranges: `15-53 60`.
pub(super) fn ranges(numbers: impl IntoIterator<Item = u64>) -> String {
    let numbers: std::collections::BTreeSet<u64> = numbers.into_iter().collect();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.saturating_add(1) == n => *last = n,
            _ => ranges.push((n, n)),
        }
    }
    let shown = |(first, last): (u64, u64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first} {last}"),
        _ => format!("{first}-{last}"),
    };
    ranges.into_iter().map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_keeps_the_state_and_cuts_names_in_their_middle() {
        assert_eq!(title("ERR", Some("comsrv"), Some("mysql")), "ERR comsrv/mysql");
        let cut = title("ERR", Some("production-web"), Some("nightly-database-backup"));
        assert_eq!((cut.as_str(), cut.chars().count()), ("ERR prod…web/nig…kup", 20));
        assert_eq!(
            title("未运行", Some("备份服务器一号机房东"), Some("数据库全量备份")),
            "未运行 备份服务…机房东/数据库全量备份"
        );
        assert_eq!(title("LOST", Some("a-device-with-a-long-name"), None), "LOST a-devic…ng-name");
        assert_eq!(title("TEST", None, None), "TEST");
    }

    #[test]
    fn an_address_becomes_a_command_only_if_it_is_one() {
        assert_eq!(ssh("ubuntu@10.20.0.233:22").as_deref(), Some("ssh ubuntu@10.20.0.233"));
        assert_eq!(ssh("me@nas.lan:2222").as_deref(), Some("ssh -p 2222 me@nas.lan"));
        assert_eq!(ssh("[2001:db8::1]:2222").as_deref(), Some("ssh -p 2222 2001:db8::1"));
        assert_eq!(ssh("2001:db8::1").as_deref(), Some("ssh 2001:db8::1"));
        for bad in ["x;reboot", "-oProxyCommand=x", "a b", "me@h:99999", "me@h:", "", "$(x)@h", "h`x`", "-l@h", "[::1"]
        {
            assert_eq!(ssh(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_telling_line_is_the_last_one_without_its_time() {
        let line = |text: &str| telling_line(&Excerpt::of(text));
        assert_eq!(line("Traceback:\n  File x\nValueError: no\n\n---\n"), "ValueError: no");
        assert_eq!(line("2026-11-22 03:11:04,123 ERROR disk full"), "ERROR disk full");
        assert_eq!(line("[2026-11-22T03:11:04Z] gone"), "gone");
        assert_eq!(line("2026 things"), "things");
        assert_eq!(line("nginx not running!"), "nginx not running!");
        assert_eq!(line("12:00"), "");
    }

    proptest::proptest! {
        #[test]
        fn nothing_grows_longer_than_its_bound(text in "\\PC{0,40}", other in "\\PC{0,40}", max in 2usize..30) {
            assert!(middle(&text, max).chars().count() <= max);
            assert!(end(&text, max).chars().count() <= max);
            assert!(title("仍异常", Some(&text), Some(&other)).chars().count() <= TITLE_MAX);
            ssh(&text);
        }

        #[test]
        fn an_excerpt_keeps_about_its_bound(text in "(?s).{0,1500}", max in 0usize..1200) {
            let say = super::super::tests::say();
            let cut = excerpt(&say, &Excerpt::of(&text), max);
            assert!(cut.chars().count() <= max + 60, "{cut}");
        }
    }

    #[test]
    fn a_name_in_a_command_is_one_word_whatever_it_holds() {
        assert_eq!(shell_word("a-b.c"), "a-b.c");
        assert_eq!(shell_word("$(reboot)"), "'$(reboot)'");
        assert_eq!(shell_word("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(shell_word("备份"), "'备份'");
        assert_eq!(shell_word("@all<at>"), "'@''all<''at>'");
    }

    #[test]
    fn a_name_that_looks_like_a_pattern_or_an_option_means_itself() {
        assert_eq!(option("task", &literal("*")), r"--task '\*'");
        assert_eq!(option("task", &literal("-rf")), "--task=-rf");
        assert_eq!(option("task", &literal("a?[b]")), r"--task 'a\?\[b\]'");
        assert_eq!(option("task", &literal("mysql")), "--task mysql");
        for name in ["*", "-rf", "a?[b]", r"a\b", "{x,y}"] {
            assert!(crate::channel::glob(&literal(name), name), "{name}");
            assert!(!crate::channel::glob(&literal(name), "other"), "{name}");
        }
    }

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(ranges([17]), "17");
        assert_eq!(ranges([53, 15, 16, 17, 60, 61, 15]), "15-17 53 60 61");
    }

    #[test]
    fn an_excerpt_is_cut_at_line_ends_and_shows_the_line_that_says_what_happened() {
        let say = super::super::tests::say();
        let text = format!(
            "Traceback (most recent call last):\n{}ValueError: disk full\n---\n",
            "  File \"x.py\", line 1\n".repeat(60)
        );
        let cut = excerpt(&say, &Excerpt::of(&text), 200);
        assert!(cut.starts_with("Traceback (most recent call last):\n"), "{cut}");
        assert!(cut.ends_with("ValueError: disk full\n---"), "{cut}");
        for line in cut.lines() {
            assert!(line.contains("left out") || text.lines().any(|whole| whole == line), "{line:?} is not whole");
        }
        let chinese = format!("开始\n{}磁盘已满", "第一行日志内容比较长\n".repeat(50));
        assert!(excerpt(&say, &Excerpt::of(&chinese), 60).ends_with("磁盘已满"));
    }
}
