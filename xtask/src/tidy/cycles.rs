//! No file of a crate needs, directly or over others, a file that needs it.
//!
//! What counts is which file *defines* the name that is used ([`super::modules`]), so a parent may re-export what its children have. A child
//! is a part of its parent: what it uses of the modules that contain it does not count. So a parent may call a child that continues an
//! `impl` of the parent. Two siblings, or two modules that do not contain each other, may not need each other. The reasons:
//! docs/decisions/0210-cycles-between-files.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{Finding, modules::Reference};

type Graph<'a> = BTreeMap<&'a Path, BTreeMap<&'a Path, usize>>;

/// Finds the cycles of one crate. One finding tells of one cycle: the shortest through its first file.
pub(crate) fn check(references: &[Reference<'_>], found: &mut Vec<Finding>) {
    let mut graph: Graph<'_> = BTreeMap::new();
    for reference in references.iter().filter(|reference| !reference.is_reexport && !is_inside(reference)) {
        let targets = graph.entry(reference.from.path()).or_default();
        targets.entry(reference.defines.path()).or_insert(reference.line);
    }
    let mut done = BTreeSet::new();
    for file in graph.keys().copied() {
        if done.contains(file) {
            continue;
        }
        let from_here = reached(&graph, file);
        if !from_here.contains(file) {
            continue;
        }
        // All that reach each other are one knot: told once.
        let knot: BTreeSet<&Path> =
            from_here.into_iter().filter(|other| reached(&graph, other).contains(file)).collect();
        done.extend(knot.iter().copied());
        let steps: Vec<String> = shortest(&graph, file)
            .into_iter()
            .map(|(from, line, to)| format!("{}:{line} uses {}", shown(from), shown(to)))
            .collect();
        let size = match knot.len() {
            2 => "two files need each other".to_owned(),
            n => format!(
                "{n} files need each other ({})",
                knot.iter().map(|file| shown(file)).collect::<Vec<_>>().join(" ")
            ),
        };
        let what = format!("{size}: {}", steps.join(", "));
        found.push(Finding::about("cycle", file, 1, &shown(file), what));
    }
}

/// Does a child use what a module that contains it defines?
fn is_inside(reference: &Reference<'_>) -> bool {
    let (from, to) = (reference.from.path(), reference.defines.path().with_extension(""));
    from.starts_with(&to) || to.file_name().is_some_and(|name| name == "lib")
}

/// Every file that `from` needs, directly or over others.
fn reached<'a>(graph: &Graph<'a>, from: &Path) -> BTreeSet<&'a Path> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(file) = todo.pop() {
        for target in graph.get(file).into_iter().flat_map(BTreeMap::keys).copied() {
            if seen.insert(target) {
                todo.push(target);
            }
        }
    }
    seen
}

/// The steps of the shortest way from `start` back to it.
fn shortest<'a>(graph: &Graph<'a>, start: &'a Path) -> Vec<(&'a Path, usize, &'a Path)> {
    let mut came_from: BTreeMap<&Path, (&'a Path, usize)> = BTreeMap::new();
    let mut round = vec![start];
    while !round.is_empty() && !came_from.contains_key(start) {
        let mut next = Vec::new();
        for file in round {
            for (target, line) in graph.get(file).into_iter().flatten() {
                if !came_from.contains_key(target) {
                    came_from.insert(target, (file, *line));
                    next.push(*target);
                }
            }
        }
        round = next;
    }
    let mut steps = Vec::new();
    let mut at = start;
    while let Some((before, line)) = came_from.get(at) {
        steps.push((*before, *line, at));
        at = before;
        if at == start {
            break;
        }
    }
    steps.reverse();
    steps
}

/// A file by its path in the crate, without `.rs`.
fn shown(file: &Path) -> String {
    let path = file.with_extension("").display().to_string();
    path.split_once("/src/").map_or(path.clone(), |(_, module)| module.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{modules::Modules, source::Source};

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(format!("crates/olog-x/src/{path}").into(), text)).collect();
        let modules = Modules::new(&sources);
        let mut found = Vec::new();
        super::check(&modules.references(), &mut found);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn a_cycle_of_three_files_is_one_finding_with_its_lines() {
        check(
            &[
                ("lib.rs", "mod a; mod b; mod c; mod d;"),
                ("a.rs", "use crate::b::B;\npub struct A;"),
                ("b.rs", "pub struct B;\nfn f() { crate::c::C }"),
                ("c.rs", "pub struct C;\n\nuse super::a::A;"),
                ("d.rs", "use crate::a::A;"),
            ],
            &["3 files need each other (a b c): a:1 uses b, b:2 uses c, c:3 uses a"],
        );
    }

    #[test]
    fn a_parent_and_its_child_may_need_each_other() {
        let child = ("a/child.rs", "use super::A; pub struct Child(A);");
        check(&[("a.rs", "mod child; pub use child::Child; pub struct A; fn f() { child::Child }"), child], &[]);
    }

    #[test]
    fn siblings_and_modules_that_need_a_part_of_each_other_are_found() {
        let parent = ("a.rs", "mod one; mod two;");
        let (one, two) =
            (("a/one.rs", "use super::two::T; pub struct O;"), ("a/two.rs", "use super::one::O; pub struct T;"));
        check(&[parent, one, two], &["two files need each other: a/one:1 uses a/two, a/two:1 uses a/one"]);
        let over_a_child = [
            ("a.rs", "mod c; pub struct A; fn f() { c::f() }"),
            ("a/c.rs", "use crate::b::B; pub fn f() {}"),
            ("b.rs", "use crate::a::A; pub struct B;"),
        ];
        check(&over_a_child, &["3 files need each other (a/c a b)"]);
    }

    #[test]
    fn tests_make_no_cycle() {
        check(
            &[
                ("a.rs", "use crate::b::B; pub struct A;"),
                ("b.rs", "pub struct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n"),
            ],
            &[],
        );
    }
}
