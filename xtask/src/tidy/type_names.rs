//! One name, one type: no type name is defined twice in the production code of a crate.

use std::collections::BTreeMap;

use super::{
    Finding,
    modules::items,
    source::{Source, line_of},
};

/// Checks the files of one crate. Private types count: the reader of a `use` or of an error cannot see which of two is meant.
pub(crate) fn check(sources: &[&Source], found: &mut Vec<Finding>) {
    let mut by_name: BTreeMap<&str, Vec<(&Source, usize)>> = BTreeMap::new();
    for source in sources {
        for (at, keyword, name) in items(source.code()) {
            if matches!(keyword, "struct" | "enum" | "trait" | "union" | "type") {
                by_name.entry(name).or_default().push((source, line_of(source.code(), at)));
            }
        }
    }
    for (name, places) in by_name.iter().filter(|(_, places)| places.len() > 1) {
        let Some(((last, line), others)) = places.split_last() else { continue };
        let others: Vec<String> =
            others.iter().map(|(source, line)| format!("{}:{line}", source.path().display())).collect();
        let subject = format!("{}/{name}", last.place().0);
        let what = format!("{name} is also the name of a type in {}: give each its own", others.join(", "));
        found.push(Finding::about("type", last.path(), *line, &subject, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(format!("crates/olog-x/src/{path}").into(), text)).collect();
        let mut found = Vec::new();
        super::check(&sources.iter().collect::<Vec<_>>(), &mut found);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_type_name_that_is_defined_twice_is_found() {
        check(
            &[
                ("a.rs", "pub(crate) struct Told<'a>(&'a str);\nenum Kind {}"),
                ("b.rs", "\n\nenum Told { A }\nimpl Told { type Kind = u8; }"),
            ],
            &[
                "crates/olog-x/src/b.rs:3: Told is also the name of a type in crates/olog-x/src/a.rs:1: give each its own [type olog-x/Told]",
            ],
        );
    }

    #[test]
    fn tests_may_use_a_name_again() {
        check(
            &[
                ("a.rs", "struct Told;"),
                ("b.rs", "#[cfg(test)]\nmod tests { struct Told; }\n#[cfg(test)]\nstruct Told;"),
            ],
            &[],
        );
    }
}
