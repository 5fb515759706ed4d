//! Dates, times of day and relative times, in English and in Chinese: they change, while the error is the same.
//!
//! A word such as `Fri`, `minutes` or `上午` changes only beside a number: "may fail" is no month. A Chinese weekday (`周五`, `礼拜五`)
//! and a relative time ("about a minute ago", `5分钟前`, `刚刚`) change wherever they stand.

use super::token::{Kind, Token};

/// Words of a date or a time of day, and units: they change with the number beside which they stand.
#[rustfmt::skip]
const BESIDE_NUMBERS: &[&str] = &[
    "mon", "tue", "wed", "thu", "fri", "sat", "sun", "monday", "tuesday", "wednesday", "thursday", "friday",
    "saturday", "sunday", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "sept", "oct", "nov",
    "dec", "january", "february", "march", "april", "june", "july", "august", "september", "october",
    "november", "december", "am", "pm", "utc", "gmt", "cst", "cest", "cet", "est", "edt", "pst", "pdt", "bst",
    "ist", "jst", "hkt", "t", "z", "星期", "凌晨", "清晨", "早上", "早晨", "上午", "中午", "下午", "傍晚", "晚上", "夜间", "深夜",
    "年", "月", "日", "时", "分", "秒", "一", "二", "三", "四", "五", "六", "周", "ns", "us", "µs", "ms", "s", "sec", "secs",
    "second", "seconds", "m", "min", "mins", "minute", "minutes", "h", "hr", "hrs", "hour", "hours", "d", "day",
    "days", "week", "weeks", "month", "months", "year", "years", "b", "byte", "bytes", "k", "kb", "mb", "gb", "tb",
    "kib", "mib", "gib", "tib", "g",
];

/// Parts of a Chinese date: each is a word by itself, also when another ideograph follows.
#[rustfmt::skip]
const DATE_WORDS: &[&str] = &[
    "星期", "凌晨", "清晨", "早上", "早晨", "上午", "中午", "下午", "傍晚", "晚上", "夜间", "深夜", "年", "月", "日", "时", "分", "秒",
];

/// Chinese units that touch a number (`3点`, `5分钟前`), the longest first, and the characters that make another word of one (`3分区`).
const UNITS: &[(&str, &str)] = &[
    ("个小时", ""),
    ("小时", ""),
    ("分钟", ""),
    ("秒钟", ""),
    ("毫秒", ""),
    ("微秒", ""),
    ("个月", ""),
    ("星期", ""),
    ("周", "期报"),
    ("天", "气线"),
    ("点", "击赞"),
    ("号", "码"),
    ("秒", ""),
    ("分", "区布支析配片享类发"),
    ("年", ""),
    ("月", ""),
    ("日", "志"),
    ("时", "间区"),
];

/// What follows a unit in a relative time.
const AGO: [&str; 4] = ["以前", "之前", "前", "后"];

/// Units of an English relative time.
#[rustfmt::skip]
const AGO_UNITS: &[&str] = &[
    "second", "seconds", "sec", "secs", "s", "minute", "minutes", "min", "mins", "m", "hour", "hours", "hr", "hrs",
    "h", "day", "days", "d", "week", "weeks", "month", "months", "year", "years", "moment", "moments",
];

/// Words that an English relative time may begin with or hold.
const ABOUT: &[&str] = &[
    "about",
    "almost",
    "nearly",
    "around",
    "approximately",
    "over",
    "less",
    "more",
    "than",
    "a",
    "an",
    "one",
    "few",
    "couple",
    "of",
    "several",
];

/// The words of a relative time before `ago`, at most: "less than a couple of minutes".
const AGO_WORDS_MAX: usize = 7;

/// The length of a Chinese weekday, unit of a number or relative time at the start of this text.
pub(super) fn chinese(text: &str, touches_number: bool) -> Option<usize> {
    if touches_number && let Some(length) = unit(text) {
        return Some(length);
    }
    weekday(text).or_else(|| relative(text))
}

/// The length of a word of a date at the start of this text.
pub(super) fn date_word(text: &str) -> Option<usize> {
    DATE_WORDS.iter().find(|word| text.starts_with(**word)).map(|word| word.len())
}

/// Does a run of ideographs end before this text?
pub(super) fn breaks_run(text: &str) -> bool {
    text.starts_with(['年', '月', '日', '时', '分', '秒']) || chinese(text, false).is_some()
}

/// `周五`, `星期日`, `礼拜天`.
fn weekday(text: &str) -> Option<usize> {
    let start = ["星期", "礼拜", "周"].into_iter().find(|start| text.starts_with(start))?;
    let rest = text.get(start.len()..)?;
    let day = rest.chars().next().filter(|c| matches!(c, '一' | '二' | '三' | '四' | '五' | '六' | '日' | '天'))?;
    let after = rest.get(day.len_utf8()..)?;
    // 周日志: a log of the week.
    (!(day == '日' && after.starts_with('志'))).then_some(start.len() + day.len_utf8())
}

/// `点`, `分钟前` behind a number.
fn unit(text: &str) -> Option<usize> {
    let (unit, not_before) = UNITS.iter().find(|(unit, _)| text.starts_with(*unit))?;
    let rest = text.get(unit.len()..)?;
    if rest.starts_with(|c| not_before.contains(c)) {
        return None;
    }
    Some(unit.len() + ago(rest).unwrap_or(0))
}

/// `前`, and not the beginning of another word (`前端`).
fn ago(text: &str) -> Option<usize> {
    let word = AGO.into_iter().find(|word| text.starts_with(word))?;
    let rest = text.get(word.len()..)?;
    (!rest.starts_with(['端', '台', '缀', '置', '提', '面', '续', '备'])).then_some(word.len())
}

/// `刚刚`, `几秒前`, `三天前`, `半小时前`.
fn relative(text: &str) -> Option<usize> {
    if let Some(now) = ["刚刚", "刚才"].into_iter().find(|now| text.starts_with(now)) {
        return Some(now.len());
    }
    let is_number = |c: &char| "一二两三四五六七八九十几半数".contains(*c);
    let number: usize = text.chars().take(3).take_while(is_number).map(char::len_utf8).sum();
    let rest = text.get(number..).filter(|_| number > 0)?;
    let (unit, _) = UNITS.iter().find(|(unit, _)| rest.starts_with(*unit))?;
    Some(number + unit.len() + ago(rest.get(unit.len()..)?)?)
}

/// "About a minute ago", "less than a second ago", "up about an hour". Marks between the words do not count, and a run of
/// numbers is one, as in a reduced line.
pub(super) fn drop_relative(tokens: &mut [Token<'_>]) {
    let mut parts: Vec<usize> = Vec::with_capacity(tokens.len());
    for (i, token) in tokens.iter().enumerate() {
        let goes_on =
            token.kind == Kind::Changes && parts.last().and_then(|last| tokens.get(*last)).is_some_and(is_number);
        if token.kind != Kind::Mark && !goes_on {
            parts.push(i);
        }
    }
    for n in 0..parts.len() {
        let is_ago = part(tokens, &parts, n).is_some_and(|token| is_word(token, &["ago"]));
        let found = if is_ago {
            words_before(tokens, &parts, n).map(|length| n - length..n + 1)
        } else {
            qualified(tokens, &parts, n).map(|length| n..n + length)
        };
        for i in found.and_then(|found| parts.get(found)).unwrap_or_default() {
            if let Some(token) = tokens.get_mut(*i) {
                token.kind = Kind::Changes;
            }
        }
    }
}

fn part<'a, 'b>(tokens: &'b [Token<'a>], parts: &[usize], n: usize) -> Option<&'b Token<'a>> {
    tokens.get(*parts.get(n)?)
}

/// How many parts before `ago` say how long, if they do.
fn words_before(tokens: &[Token<'_>], parts: &[usize], ago: usize) -> Option<usize> {
    let before = parts.get(ago.saturating_sub(AGO_WORDS_MAX)..ago)?.iter().rev().filter_map(|i| tokens.get(*i));
    let says = |token: &&Token<'_>| is_number(token) || is_word(token, AGO_UNITS) || is_word(token, ABOUT);
    let words: Vec<&Token<'_>> = before.take_while(says).collect();
    words.first().is_some_and(|last| is_number(last) || is_word(last, AGO_UNITS)).then_some(words.len())
}

/// How many parts are `about a minute`, `less than a second`: a vague span, with its unit.
fn qualified(tokens: &[Token<'_>], parts: &[usize], at: usize) -> Option<usize> {
    let is = |n: usize, words: &[&str]| part(tokens, parts, at + n).is_some_and(|token| is_word(token, words));
    let n_before = if is(0, &["less", "more"]) && is(1, &["than"]) {
        2
    } else if is(0, &["about", "almost", "nearly", "around", "approximately", "over"]) {
        1
    } else {
        return None;
    };
    let is_number = is(n_before, &["a", "an"]) || part(tokens, parts, at + n_before).is_some_and(is_number);
    (is_number && is(n_before + 1, AGO_UNITS)).then_some(n_before + 2)
}

fn is_number(token: &Token<'_>) -> bool {
    token.kind == Kind::Changes
}

/// Each word of each line is compared with each known word: the length and the first byte settle nearly all of that.
fn is_word(token: &Token<'_>, words: &[&str]) -> bool {
    let Some(first) = token.text.as_bytes().first().filter(|_| token.kind == Kind::Word) else { return false };
    let may_be = |known: &str| {
        known.len() == token.text.len()
            && known.as_bytes().first().is_some_and(|known| known.eq_ignore_ascii_case(first))
    };
    words.iter().any(|known| may_be(known) && known.eq_ignore_ascii_case(token.text))
}

/// Words of dates and units change when they stand in a row with a number, with marks at most between: "Sun Nov 22",
/// "PM UTC 2026", "1 minute".
pub(super) fn drop_beside_numbers(tokens: &mut [Token<'_>]) {
    let belongs = |token: &Token<'_>| token.kind != Kind::Word || is_word(token, BESIDE_NUMBERS);
    let mut i = 0;
    while i < tokens.len() {
        let run = tokens.iter().skip(i).take_while(|token| belongs(token)).count();
        let has_number = tokens.iter().skip(i).take(run).any(|token| token.kind == Kind::Changes);
        if has_number {
            let words = tokens.iter_mut().skip(i).take(run).filter(|token| token.kind == Kind::Word);
            words.for_each(|token| token.kind = Kind::Changes);
        }
        i += run.max(1);
    }
}
