//! Who may know whom: modules within a crate, crates among each other, and the one home of each foreign crate.

use super::{Finding, rules, source::Source};

/// Checks one file against the tables.
pub(crate) fn check(source: &Source, found: &mut Vec<Finding>) {
    let (name, module) = source.place();
    if let Some((_, arrows)) = rules::ARROWS.iter().find(|(of, _)| *of == name) {
        inner(source, module, arrows, found);
    }
    for (line, krate) in crates(source) {
        if krate.starts_with("olog_") {
            let may = rules::CRATES.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, may)| may);
            let own = name.replace('-', "_") == krate;
            if !own && !may.contains(&krate) && rules::CRATES.iter().any(|(of, _)| *of == name) {
                found.push(Finding::new(source.path(), line, format!("{name} must not know {krate}")));
            }
        }
        if let Some((_, homes)) = rules::HOMES.iter().find(|(of, _)| *of == krate) {
            let at_home =
                homes.iter().any(|(of, modules)| *of == name && (modules.is_empty() || modules.contains(&module)));
            let is_ours = rules::CRATES.iter().any(|(of, _)| *of == name);
            if is_ours && !at_home {
                let homes: Vec<String> =
                    homes.iter().map(|(of, modules)| format!("{of} {}", modules.join(" "))).collect();
                found.push(Finding::new(source.path(), line, format!("{krate} has its home in {}", homes.join(", "))));
            }
        }
    }
}

fn inner(source: &Source, module: &str, arrows: &[rules::Arrow], found: &mut Vec<Finding>) {
    if matches!(module, "lib" | "main") || source.is_test() {
        return;
    }
    let Some((_, may)) = arrows.iter().find(|(of, _)| *of == module) else {
        let what = format!("{module} is not in the table of arrows (xtask/src/tidy/rules.rs)");
        found.push(Finding::new(source.path(), 1, what));
        return;
    };
    for (line, target) in modules(source) {
        let is_module = arrows.iter().any(|(of, _)| *of == target);
        if is_module && target != module && !may.contains(&target) && !may.contains(&"*") {
            let what = format!("{module} -> {target}: not an arrow of the house (xtask/src/tidy/rules.rs)");
            found.push(Finding::new(source.path(), line, what));
        }
    }
}

/// Modules named after `crate::`, with their lines; one file's groups (`crate::{a::X, b}`) are opened.
fn modules(source: &Source) -> Vec<(usize, &str)> {
    let code = source.code();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let line = code.get(..at).map_or(0, |before| before.matches('\n').count()) + 1;
        let Some(rest) = code.get(at + "crate::".len()..) else { continue };
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads(group).into_iter().map(|head| (line, head))),
            None => found.push((line, word(rest))),
        }
    }
    found
}

/// The first word of each entry of a group, up to its closing brace.
fn heads(group: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0_usize, true);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && !c.is_whitespace() => {
                start = false;
                found.extend(group.get(i..).map(word));
            }
            _ => {}
        }
    }
    found
}

/// Words that stand before `::` and not behind it: crates, or modules in scope.
fn crates(source: &Source) -> Vec<(usize, &str)> {
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

fn word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}
