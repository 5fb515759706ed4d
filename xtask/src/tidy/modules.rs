//! Which file names which: the modules of one crate, and what their paths mean.
//!
//! A *reference* is a path in production code, in a `use` or anywhere else, that begins with `crate`, `self`, `super`, with a module of
//! the same file, or with a name that a `use` of the same file brought in. It has two ends: the module that is *named*
//! (`crate::store::Store` names `store`), and the file that *defines* the last name. The second follows re-exports: when `store.rs` says
//! `pub use sqlite::Store`, the definition is in `store/sqlite.rs`.
//!
//! Not seen, because only a compiler knows: calls of methods, traits that apply without being named, and what macros generate.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, is_word, line_of, word};

/// A module's path in its crate; the root's is empty.
pub(crate) type ModulePath = Vec<String>;

/// The modules of one crate.
#[derive(Debug)]
pub(crate) struct Modules<'a> {
    by_path: BTreeMap<ModulePath, Module<'a>>,
}

#[derive(Debug)]
struct Module<'a> {
    source: &'a Source,
    defined: BTreeSet<&'a str>,
    uses: Vec<Use>,
}

/// One name that a `use` brings in.
#[derive(Debug, Clone)]
struct Use {
    line: usize,
    is_public: bool,
    /// As written; for a glob without its `*`.
    path: Vec<String>,
    /// The name in this file; `None`: a glob.
    name: Option<String>,
}

/// A path in a file that leads to another file of the crate.
#[derive(Debug, Clone)]
pub(crate) struct Reference<'a> {
    pub(crate) from: &'a Source,
    pub(crate) line: usize,
    /// The module that the path names.
    pub(crate) named: ModulePath,
    /// The file that defines what the path leads to.
    pub(crate) defines: &'a Source,
    /// A parent re-exports something of its own child (`pub use child::Name`).
    pub(crate) is_reexport: bool,
}

impl<'a> Modules<'a> {
    /// Reads the production files of one crate. A binary beside a library is left out: it only starts the library.
    pub(crate) fn new(sources: impl IntoIterator<Item = &'a Source>) -> Modules<'a> {
        let mut by_path = BTreeMap::new();
        for source in sources {
            let Some(path) = module_path(source) else { continue };
            let module = Module { source, defined: defined(source.code()), uses: uses(source.code()) };
            by_path.insert(path, module);
        }
        Modules { by_path }
    }

    /// All references between files.
    pub(crate) fn references(&self) -> Vec<Reference<'a>> {
        let mut found = Vec::new();
        for (path, module) in &self.by_path {
            let mut add = |line, parts: &[String], is_reexport| {
                if let Some((named, defines)) = self.resolve(path, parts, 0)
                    && defines != *path
                    && let Some(target) = self.by_path.get(&defines)
                {
                    found.push(Reference { from: module.source, line, named, defines: target.source, is_reexport });
                }
            };
            for one in &module.uses {
                let names_child = self
                    .resolve(path, &one.path, 0)
                    .is_some_and(|(_, to)| to.len() > path.len() && to.starts_with(path));
                add(one.line, &one.path, one.is_public && names_child);
            }
            for (line, parts) in paths(module.source.code()) {
                add(line, &parts, false);
            }
        }
        found
    }

    /// What `parts`, written in the module `at`, leads to: the module that it names, and the module that defines its last name.
    fn resolve(&self, at: &ModulePath, parts: &[String], depth: usize) -> Option<(ModulePath, ModulePath)> {
        // A circle of re-exports does not compile; this only keeps a misread file from hanging the check.
        if depth > 16 {
            return None;
        }
        let (first, rest) = parts.split_first()?;
        let start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => at.clone(),
            "super" => {
                let mut up = at.clone();
                up.pop()?;
                up
            }
            name => {
                let child = [at.as_slice(), &[name.to_owned()]].concat();
                if self.by_path.contains_key(&child) {
                    child
                } else {
                    // A name of another crate, or of this file, leads nowhere.
                    let brought = self.by_path.get(at)?.uses.iter().find(|one| one.name.as_deref() == Some(name))?;
                    let path: Vec<String> = brought.path.iter().chain(rest).cloned().collect();
                    let is_itself = brought.path.first().is_some_and(|first| first == name);
                    return if is_itself { None } else { self.resolve(at, &path, depth + 1) };
                }
            }
        };
        self.walk(start, rest, depth)
    }

    fn walk(&self, mut at: ModulePath, parts: &[String], depth: usize) -> Option<(ModulePath, ModulePath)> {
        let mut parts = parts;
        while let Some((first, rest)) = parts.split_first() {
            if first == "super" {
                at.pop()?;
            } else {
                let child = [at.as_slice(), std::slice::from_ref(first)].concat();
                if !self.by_path.contains_key(&child) {
                    break;
                }
                at = child;
            }
            parts = rest;
        }
        let module = self.by_path.get(&at)?;
        let Some(name) = parts.first().filter(|name| !module.defined.contains(name.as_str())) else {
            return Some((at.clone(), at));
        };
        let by_name = module.uses.iter().filter(|one| one.name.as_ref() == Some(name)).map(|one| one.path.clone());
        let by_glob =
            module.uses.iter().filter(|one| one.name.is_none()).map(|one| [one.path.as_slice(), parts].concat());
        for path in by_name.chain(by_glob) {
            if let Some((_, defines)) = self.resolve(&at, &path, depth + 1)
                && self
                    .by_path
                    .get(&defines)
                    .is_some_and(|module| module.defined.contains(path.last().map_or("", String::as_str)))
            {
                return Some((at, defines));
            }
        }
        Some((at.clone(), at))
    }
}

/// `["store", "sql"]` for `store/sql.rs` of the crate `olog-hub`.
fn module_path(source: &Source) -> Option<ModulePath> {
    let path = source.path().to_str()?;
    let (_, module) = path.split_once("/src/")?;
    let module = module.strip_suffix(".rs")?;
    if source.is_test() || module == "main" || module.starts_with("bin/") {
        return None;
    }
    let module = module.strip_suffix("/mod").unwrap_or(module);
    Some(if module == "lib" { Vec::new() } else { module.split('/').map(str::to_owned).collect() })
}

/// Names of items at the outermost level of a file.
fn defined(code: &str) -> BTreeSet<&str> {
    items(code).map(|(_, _, name)| name).collect()
}

/// Items at the outermost level: where, the keyword, the name.
pub(crate) fn items(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut found = Vec::new();
    let (mut depth, mut i) = (0_usize, 0);
    while let Some(rest) = code.get(i..).filter(|rest| !rest.is_empty()) {
        let this = word(rest.get(..).filter(|rest| !rest.starts_with(char::is_whitespace)).unwrap_or_default());
        if this.is_empty() {
            let c = rest.chars().next().unwrap_or(' ');
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            i += c.len_utf8();
            continue;
        }
        if depth == 0 && ["struct", "enum", "trait", "union", "type", "fn", "const", "static"].contains(&this) {
            let name = word(rest.get(this.len()..).unwrap_or_default());
            if !matches!(name, "" | "fn" | "unsafe" | "async" | "mut" | "_") {
                found.push((i, this, name));
            }
        }
        i += this.len();
    }
    found.into_iter()
}

/// Every name that a `use` brings in.
fn uses(code: &str) -> Vec<Use> {
    let mut found = Vec::new();
    for (from, to) in use_statements(code) {
        let before = code.get(..from).unwrap_or_default().trim_end();
        let is_public = before.ends_with("pub")
            || before.rsplit_once("pub").is_some_and(|(_, rest)| {
                let rest = rest.trim();
                rest.starts_with('(') && rest.ends_with(')') && !rest.contains([';', '}'])
            });
        let tree = code.get(from + "use".len()..to).unwrap_or_default();
        let line = line_of(code, from);
        let mut names = Vec::new();
        expand(tree, &[], &mut names);
        found.extend(names.into_iter().map(|(path, name)| Use { line, is_public, path, name }));
    }
    found
}

/// From each word `use` to its semicolon.
fn use_statements(code: &str) -> Vec<(usize, usize)> {
    let starts = code.match_indices("use").map(|(at, _)| at).filter(|at| {
        let before = code.get(..*at).and_then(|before| before.chars().next_back());
        let after = code.get(at + 3..).and_then(|after| after.chars().next());
        !before.is_some_and(is_word) && after.is_some_and(char::is_whitespace)
    });
    starts.filter_map(|at| Some((at, at + code.get(at..)?.find(';')?))).collect()
}

/// Opens the groups of a tree of names: `a::{b, c::D as E, self}`.
fn expand(tree: &str, prefix: &[String], found: &mut Vec<(Vec<String>, Option<String>)>) {
    let (head, group) = tree.split_once('{').map_or((tree, None), |(head, group)| (head, Some(group)));
    let (head, renamed) =
        head.split_once(" as ").map_or((head, None), |(head, name)| (head, Some(name.trim().to_owned())));
    let mut path = prefix.to_vec();
    path.extend(head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
    if let Some(group) = group {
        let group = group.trim_end().strip_suffix('}').unwrap_or(group);
        entries(group).for_each(|entry| expand(entry, &path, found));
        return;
    }
    let last = path.last().cloned().unwrap_or_default();
    match last.as_str() {
        "" => {}
        "*" => {
            path.pop();
            found.push((path, None));
        }
        "self" if path.len() > 1 => {
            path.pop();
            let name = renamed.or_else(|| path.last().cloned());
            found.push((path, name));
        }
        _ => found.push((path, Some(renamed.unwrap_or(last)))),
    }
}

/// The parts between the commas of a group, not those of the groups inside it.
fn entries(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    group.split(move |c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// Paths outside `use`, with their lines: `crate::store::open` of `crate::store::open::<T>(x)`.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let uses = use_statements(code);
    let mut found = Vec::new();
    let mut past = 0;
    for (at, _) in code.match_indices("::") {
        if at < past || uses.iter().any(|(from, to)| (*from..*to).contains(&at)) {
            continue;
        }
        let before = code.get(..at).unwrap_or_default();
        let start = before
            .rfind(|c: char| !is_word(c))
            .map_or(0, |i| i + before.get(i..).and_then(|c| c.chars().next()).map_or(1, char::len_utf8));
        let first = before.get(start..).unwrap_or_default();
        if first.is_empty() {
            continue;
        }
        let mut parts = vec![first.to_owned()];
        past = at;
        while let Some(rest) = code.get(past..).and_then(|rest| rest.strip_prefix("::")) {
            let next = word(rest.get(..).filter(|rest| rest.starts_with(is_word)).unwrap_or_default());
            past += 2 + next.len();
            if next.is_empty() {
                break;
            }
            parts.push(next.to_owned());
        }
        found.push((line_of(code, at), parts));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// References of a crate of these files, as `FROM:LINE NAMED -> FILE`.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(format!("crates/olog-x/src/{path}").into(), text)).collect();
        let modules = Modules::new(&sources);
        let found: Vec<String> = modules
            .references()
            .iter()
            .map(|found| {
                let reexport = if found.is_reexport { " (re-export)" } else { "" };
                let (from, to) = (found.from.place().1, found.defines.place().1);
                format!("{from}:{} {} -> {to}{reexport}", found.line, found.named.join("::"))
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_lead_to_the_file_that_defines_their_name() {
        let a = "use crate::b::{self, Thing, inner::{Deep as D}};\nfn f() { b::make(); super::c::go(self::own()) }";
        check(
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", a),
                ("b.rs", "mod inner; pub struct Thing; pub fn make() {}"),
                ("b/inner.rs", "pub struct Deep;"),
                ("c.rs", ""),
            ],
            &["a:1 b -> b", "a:1 b -> b", "a:1 b::inner -> b/inner", "a:2 b -> b", "a:2 c -> c"],
        );
    }

    #[test]
    fn a_reexport_leads_to_where_the_name_is_defined() {
        check(
            &[
                ("lib.rs", "mod store; mod web;"),
                ("store.rs", "mod sqlite;\npub(crate) use sqlite::Store;\npub(crate) use self::sqlite::*;"),
                ("store/sqlite.rs", "pub(crate) struct Store; pub(crate) fn open() {}"),
                (
                    "web.rs",
                    "use crate::store::Store;\nfn f() { crate::store::open::<u8>(); log::info!(\"crate::store\") }",
                ),
            ],
            &[
                "store:2 store::sqlite -> store/sqlite (re-export)",
                "store:3 store::sqlite -> store/sqlite (re-export)",
                "web:1 store -> store/sqlite",
                "web:2 store -> store/sqlite",
            ],
        );
    }

    #[test]
    fn a_child_that_uses_its_parents_imports_refers_to_their_source() {
        check(
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "mod child; use crate::b::Thing; struct Own;"),
                ("a/child.rs", "use super::{Own, Thing};\nimpl Own { fn f(self) -> super::super::b::Thing { Thing } }"),
                ("b.rs", "pub struct Thing;"),
            ],
            &["a:1 b -> b", "a/child:1 a -> a", "a/child:1 a -> b", "a/child:2 b -> b"],
        );
    }
}
