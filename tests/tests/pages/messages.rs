//! The chapter about messages: it explains everything that a phone can show, in the words of the catalogues, and nothing else.

use std::{collections::BTreeSet, fs, path::Path};

use super::translations::{LANGUAGES, Language};

fn catalogue(language: Language) -> String {
    let name = match language {
        Language::English => "en",
        Language::Chinese => "zh-CN",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/olog-push/locales");
    fs::read_to_string(folder.join(format!("{name}.ftl"))).unwrap()
}

/// The texts of a catalogue whose key begins and ends so, on one line each; what is filled in becomes `…`.
fn texts(catalogue: &str, begin: &str, end: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in catalogue.lines() {
        let Some((key, text)) = line.split_once(" = ") else { continue };
        if key.starts_with(begin) && key.ends_with(end) && !key.contains(' ') {
            let mut parts = text.split('{');
            let mut shown = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                shown.push('…');
                shown.push_str(part.split('}').nth(1).unwrap());
            }
            found.insert(shown);
        }
    }
    assert!(!found.is_empty(), "{begin}…{end}");
    found
}

/// The first cells of the tables under the heading of this number, without what makes them bold or code.
fn first_cells(page: &str, section: usize) -> BTreeSet<String> {
    let part = page.split("\n## ").nth(section).unwrap_or_else(|| panic!("no section {section}"));
    let rows = part.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    let cells = rows.filter_map(|row| row.split('|').nth(1)).map(|cell| cell.trim().replace(['*', '`'], ""));
    cells.collect()
}

#[test]
fn the_book_explains_every_message_that_a_phone_can_show_and_no_other() {
    for language in LANGUAGES {
        let (catalogue, page) = (catalogue(language), fs::read_to_string(language.book().join("messages.md")).unwrap());
        // Words of a report's counts are no first word of a title; the page of the report has its own place.
        let mut states = texts(&catalogue, "state-", "");
        for inside in ["state-ok", "state-note", "state-channel"] {
            for word in texts(&catalogue, inside, inside) {
                states.remove(&word);
            }
        }
        assert_eq!(first_cells(&page, 2), states, "first words of titles");
        assert_eq!(first_cells(&page, 3), texts(&catalogue, "why-", ""), "why it was pushed");
        assert_eq!(first_cells(&page, 4), texts(&catalogue, "ground-", ""), "what shows a recovery");
        assert_eq!(first_cells(&page, 5), texts(&catalogue, "system-", "-title"), "about Olog itself");
        let problems = catalogue.split("agent-problem = ").nth(1).unwrap().split("\n}").next().unwrap();
        let codes: BTreeSet<String> = problems
            .lines()
            .filter_map(|line| line.trim().strip_prefix('[')?.split_once(']').map(|(code, _)| code.to_owned()))
            .collect();
        assert!(codes.len() > 10, "{codes:?}");
        assert_eq!(first_cells(&page, 6), codes, "problems of an agent");
        let lines = ["report-n-", "report-all-ok", "report-ok-now", "report-no-devices"];
        let lines: BTreeSet<String> = lines.iter().flat_map(|begin| texts(&catalogue, begin, "")).collect();
        assert_eq!(first_cells(&page, 7), lines, "titles of a report");
    }
}
