//! Which module may use which: within a crate, among our crates, and the one home of each foreign crate.
//!
//! A crate has either floors (an order of its top modules: each may use those on lower floors) or arrows (a list for each module). What
//! the tables allow and nobody uses is a finding too, so that they say what is, not what was once wished.

use std::collections::BTreeSet;

use super::{
    Finding,
    modules::Reference,
    rules::{self, Within},
    source::{Source, is_in, word},
};

/// The page of the tables.
const TABLES: &str = "xtask/src/tidy/rules.rs";

/// Checks the modules of one crate against its floors or arrows.
pub(crate) fn within(
    name: &str,
    sources: &[&Source],
    references: &[Reference<'_>],
    table: &Within,
    found: &mut Vec<Finding>,
) {
    let top = |module: &str| module.split('/').next().unwrap_or_default().to_owned();
    let mut missing = BTreeSet::new();
    for source in sources {
        let module = top(source.place().1);
        if !matches!(module.as_str(), "lib" | "main") && !table.has(&module) && missing.insert(module.clone()) {
            let subject = format!("{name}/{module}");
            found.push(Finding::about(
                "arrow",
                source.path(),
                1,
                &subject,
                format!("{module} is not in the table of modules ({TABLES})"),
            ));
        }
    }
    let mut used = BTreeSet::new();
    for reference in references {
        let from = top(reference.from.place().1);
        // What the root re-exports belongs to the module that defines it.
        let to = reference.named.first().cloned().unwrap_or_else(|| top(reference.defines.place().1));
        let is_root = |module: &str| matches!(module, "lib" | "main");
        if from == to || is_root(&from) || is_root(&to) {
            continue;
        }
        used.insert((from.clone(), to.clone()));
        if table.has(&from) && table.has(&to) && !table.allows(&from, &to) {
            let subject = format!("{name}/{from}->{to}");
            let what = format!("{from} -> {to}: {} ({TABLES})", table.refusal());
            found.push(Finding::about("arrow", reference.from.path(), reference.line, &subject, what));
        }
    }
    table.unused(&used, |from, to| {
        let what = format!("{name} {from} -> {to} is allowed and nobody uses it: delete it");
        found.push(Finding::about("arrow", std::path::Path::new(TABLES), 1, &format!("{name}/{from}->{to}"), what));
    });
}

impl Within {
    fn has(&self, module: &str) -> bool {
        match self {
            Within::Floors(floors) => floors.iter().any(|floor| floor.contains(&module)),
            Within::Arrows(arrows) => arrows.iter().any(|(of, _)| *of == module),
        }
    }

    fn allows(&self, from: &str, to: &str) -> bool {
        match self {
            Within::Floors(floors) => {
                let floor = |module: &str| floors.iter().position(|floor| floor.contains(&module));
                floor(to) < floor(from)
            }
            Within::Arrows(arrows) => {
                let may = arrows.iter().find(|(of, _)| *of == from).map_or(&[][..], |(_, may)| may);
                may.contains(&to) || may.contains(&"*")
            }
        }
    }

    fn refusal(&self) -> &'static str {
        match self {
            Within::Floors(_) => "arrows go to lower floors only",
            Within::Arrows(_) => "not an arrow of the house",
        }
    }

    fn unused(&self, used: &BTreeSet<(String, String)>, mut tell: impl FnMut(&str, &str)) {
        if let Within::Arrows(arrows) = self {
            for (from, may) in *arrows {
                for to in may.iter().filter(|to| **to != "*") {
                    if !used.contains(&((*from).to_owned(), (*to).to_owned())) {
                        tell(from, to);
                    }
                }
            }
        }
    }
}

/// Checks which of our crates, and which foreign ones, each file uses; and that no table allows what nobody does.
pub(crate) fn among(
    sources: &[Source],
    crates: &[rules::Crate],
    homes: &[(&'static str, &[rules::Home])],
    found: &mut Vec<Finding>,
) {
    let mut used = BTreeSet::new();
    let mut at_home = BTreeSet::new();
    for source in sources {
        let (name, _) = source.place();
        let Some((_, may)) = crates.iter().find(|(of, _)| *of == name) else { continue };
        for (line, krate) in crate_names(source) {
            if krate.starts_with("olog_") && name.replace('-', "_") != krate {
                used.insert((name.to_owned(), krate.to_owned()));
                if !may.contains(&krate) {
                    let subject = format!("{name}->{krate}");
                    found.push(Finding::about(
                        "crate",
                        source.path(),
                        line,
                        &subject,
                        format!("{name} must not use {krate}"),
                    ));
                }
            }
            if let Some((_, homes)) = homes.iter().find(|(of, _)| *of == krate) {
                let is_home =
                    |(of, modules): &&rules::Home| modules.iter().any(|module| is_in(source.place(), (of, module)));
                let here: Vec<_> = homes.iter().filter(is_home).collect();
                for (of, modules) in &here {
                    let module = modules.iter().find(|module| is_in(source.place(), (of, module)));
                    at_home.extend(module.map(|module| (krate.to_owned(), *of, *module)));
                }
                if here.is_empty() {
                    let homes: Vec<String> =
                        homes.iter().map(|(of, modules)| format!("{of} {}", modules.join(" "))).collect();
                    let subject = format!("{}/{}:{krate}", source.place().0, source.place().1);
                    let what = format!("{krate} has its home in {}", homes.join(", "));
                    found.push(Finding::about("home", source.path(), line, &subject, what));
                }
            }
        }
    }
    let tables = std::path::Path::new(TABLES);
    for (name, may) in crates {
        for krate in may.iter().filter(|krate| !used.contains(&((*name).to_owned(), (**krate).to_owned()))) {
            let what = format!("{name} -> {krate} is allowed and nobody uses it: delete it");
            found.push(Finding::about("crate", tables, 1, &format!("{name}->{krate}"), what));
        }
    }
    for (krate, homes) in homes {
        for (of, modules) in *homes {
            for module in modules.iter().filter(|module| !at_home.contains(&((*krate).to_owned(), *of, **module))) {
                let what = format!("{krate} is not used in its home {of} {module}: delete that home");
                found.push(Finding::about("home", tables, 1, &format!("{of}/{module}:{krate}"), what));
            }
        }
    }
}

/// Words that stand before `::` and not behind it: crates, or modules in scope.
fn crate_names(source: &Source) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (line, text) in source.code_lines() {
        for (at, _) in text.match_indices("::") {
            let before = text.get(..at).unwrap_or_default();
            let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
            let first = !before.get(..start).unwrap_or_default().ends_with(':');
            if let Some(name) = before.get(start..).filter(|name| first && !name.is_empty()) {
                found.push((line, name));
            }
        }
        if let Some(name) = text.trim().strip_prefix("use ").and_then(|rest| rest.strip_suffix(';')) {
            found.push((line, word(name)));
        }
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::modules::Modules;

    const FLOORS: Within = Within::Floors(&[&["rules"], &["store"], &["ingest", "outbox"], &["hub"]]);
    const ARROWS: Within = Within::Arrows(&[("watch", &["read"]), ("read", &[]), ("agent", &["*"])]);

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        files.iter().map(|(path, text)| Source::new(format!("crates/olog-x/src/{path}").into(), text)).collect()
    }

    #[track_caller]
    fn says(found: &[Finding], expected: &[&str]) {
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[track_caller]
    fn check(table: Within, files: &[(&str, &str)], expected: &[&str]) {
        let sources = sources(files);
        let modules = Modules::new(&sources);
        let mut found = Vec::new();
        within("olog-x", &sources.iter().collect::<Vec<_>>(), &modules.references(), &table, &mut found);
        says(&found, expected);
    }

    #[test]
    fn an_arrow_to_the_same_or_a_higher_floor_is_found() {
        let down = ("hub.rs", "use crate::{ingest::Batch, store::Store}; use crate::rules::x;");
        let files = |ingest| [("rules.rs", ""), ("store.rs", ""), ("outbox.rs", ""), down, ("ingest.rs", ingest)];
        check(FLOORS, &files("use crate::store::Store; // crate::hub\n"), &[]);
        check(
            FLOORS,
            &files("fn f() { crate::outbox::send() }"),
            &["ingest.rs:1: ingest -> outbox: arrows go to lower floors only"],
        );
        check(
            FLOORS,
            &files("#[cfg(test)]\nmod tests;\nuse crate::{rules::{A}, hub::{B}};"),
            &["ingest.rs:3: ingest -> hub"],
        );
        check(
            FLOORS,
            &[("rules.rs", ""), ("rules/due.rs", "use super::super::store::Store;"), ("store.rs", "")],
            &["due.rs:1: rules -> store"],
        );
    }

    #[test]
    fn a_module_without_a_place_is_found() {
        check(FLOORS, &[("newcomer.rs", ""), ("newcomer/inner.rs", "")], &["newcomer is not in the table"]);
    }

    #[test]
    fn an_arrow_that_is_not_in_the_table_is_found_and_one_that_nobody_uses() {
        let uses = ("watch.rs", "use crate::read::Read;");
        check(ARROWS, &[uses, ("read.rs", ""), ("agent.rs", "use crate::watch::W;")], &[]);
        check(ARROWS, &[uses, ("read.rs", "use crate::watch::Watch;")], &["read -> watch: not an arrow of the house"]);
        check(
            ARROWS,
            &[("watch.rs", "#[cfg(test)]\nuse crate::read::Read;"), ("read.rs", "")],
            &["watch -> read is allowed and nobody uses it"],
        );
    }

    #[test]
    fn crates_of_ours_and_foreign_ones_have_their_places() {
        let crates: &[rules::Crate] = &[("olog-x", &["olog_proto"])];
        let homes: &[(&str, &[rules::Home])] = &[("rusqlite", &[("olog-x", &["store"])])];
        let check = |files: &[(&str, &str)], expected: &[&str]| {
            let mut found = Vec::new();
            among(&sources(files), crates, homes, &mut found);
            says(&found, expected);
        };
        let (store, web) = (("store/sqlite.rs", "use rusqlite::Connection;"), ("web.rs", "use olog_proto::At;"));
        check(&[store, web], &[]);
        check(
            &[store, ("web.rs", "use olog_proto::At;\nuse olog_hub::hub;")],
            &["web.rs:2: olog-x must not use olog_hub"],
        );
        check(&[store, web, ("stored.rs", "fn f(x: rusqlite::Row) {}")], &["rusqlite has its home in olog-x store"]);
        check(&[store, web, ("outbox.rs", "#[cfg(test)]\nmod tests { use rusqlite::Connection; }")], &[]);
        check(&[web], &["rusqlite is not used in its home olog-x store"]);
        check(&[store], &["olog-x -> olog_proto is allowed and nobody uses it"]);
    }
}
