//! Ghost tasks: names that log rotation made (`x-2026-11-27` beside `x`), in stores from before the agent followed a renamed
//! file by its inode.
//!
//! Pure: names go in, pairs come out. It only proposes; the user decides (`olog-hub task merge`, `task forget`).

use std::collections::BTreeSet;

/// What rotation puts before or behind a name.
const PREFIXES: [&str; 3] = ["old-", "old_", "old."];
const SUFFIXES: [&str; 9] = [".old", "-old", "_old", ".bak", "-bak", "_bak", ".orig", ".save", "~"];
/// Digits of a rotation's number.
const NUMBER_MAX: usize = 3;

/// The task of the same device whose old name this is.
pub fn original<'a>(name: &str, names: &BTreeSet<&'a str>) -> Option<&'a str> {
    let known = |base: &str| names.get(base).copied();
    let before = PREFIXES.iter().filter_map(|prefix| name.strip_prefix(prefix));
    let behind = SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
    before.chain(behind).chain(without_date(name)).chain(without_number(name)).find_map(known)
}

/// `x` of `x-2026-11-27`, `x_20261127`, `x.2026-11-27-031500`.
fn without_date(name: &str) -> Option<&str> {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    let tail = name.strip_prefix(base)?;
    let digits: String = tail.chars().filter(char::is_ascii_digit).collect();
    let is_separated = !tail.starts_with(|c: char| c.is_ascii_digit());
    let is_date = digits.len() >= 8 && (digits.starts_with("19") || digits.starts_with("20"));
    (is_separated && is_date).then_some(base)
}

/// `x` of `x.1`.
fn without_number(name: &str) -> Option<&str> {
    let (base, number) = name.rsplit_once('.')?;
    let is_number = (1..=NUMBER_MAX).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_rotation_made_leads_to_its_task_and_no_other_name_does() {
        let names = BTreeSet::from(["x", "db.main", "backup2", "x-2026-11-27", "2026-11-27"]);
        let table = [
            ("x-2026-11-27", Some("x")),
            ("x_20261127", Some("x")),
            ("x.2026-11-27-031500", Some("x")),
            ("x.1", Some("x")),
            ("db.main.12", Some("db.main")),
            ("old-x", Some("x")),
            ("x.old", Some("x")),
            ("x~", Some("x")),
            ("x.1234", None),
            ("x2", None),
            ("x-7", None),
            ("y-2026-11-27", None),
            ("backup2", None),
            ("backup20261127", None),
            ("x", None),
            ("2026-11-27", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(original(name, &names), expected, "{name}");
        }
    }
}
