//! Wraps a table of a configuration file and reads it by the rows of the registry ([`super::keys`]): unknown keys, defaults, bounds,
//! missing keys, and the effective configuration.
//!
//! A value of the wrong kind is reported and replaced by its default, so that reading goes on to the end. It knows no key by itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use super::{
    context::Context,
    keys::{Absent, Key, Kind},
    node::{Node, Place, Value, quote},
    units::{SIZE, SPAN, parse_size, parse_span, show_span},
};
use crate::secret::Secret;

/// What the effective configuration shows of a secret unless the reader shows a part of it.
const MASK: &str = "\"…\"";

/// A table that is being read. Each `take_…` returns the value, or the default of the key's row. `None`: the key is absent and has no
/// default, or it is wrong and has none; what is wrong has been reported.
#[derive(Debug)]
#[must_use = "a table that is not finished does not report its unknown keys"]
pub struct Table {
    path: String,
    place: Place,
    left: BTreeMap<String, Node>,
    key_places: BTreeMap<String, Place>,
    places: BTreeMap<String, Place>,
    declared: Vec<Rows>,
    /// Keys that a file describes instead of a row.
    described: Vec<String>,
    /// The effective values as TOML has them.
    shown: BTreeMap<String, String>,
    slot: Vec<usize>,
    n_inner: usize,
    context: Context,
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Rows, and where in them a table is.
#[derive(Debug, Clone)]
struct Rows {
    keys: &'static [Key],
    prefix: String,
}

impl Table {
    pub(super) fn root(node: Node, context: Context) -> Table {
        Table::new(String::new(), Vec::new(), Vec::new(), node, context)
    }

    fn new(path: String, declared: Vec<Rows>, slot: Vec<usize>, node: Node, context: Context) -> Table {
        let entries = if let Value::Table(entries) = node.value { entries } else { BTreeMap::new() };
        let places = entries.iter().map(|(key, (_, node))| (key.clone(), node.place.clone())).collect();
        let key_places = entries.iter().map(|(key, (place, _))| (key.clone(), place.clone())).collect();
        let values = entries.iter().filter(|(_, (_, node))| !node.value.has_tables());
        let set = values.map(|(key, (place, _))| (joined(&path, key), place.clone()));
        context.shared.set.borrow_mut().extend(set);
        let left = entries.into_iter().map(|(key, (_, node))| (key, node)).collect();
        Table {
            path,
            place: node.place,
            left,
            key_places,
            places,
            declared,
            described: Vec::new(),
            shown: BTreeMap::new(),
            slot,
            n_inner: 0,
            context,
        }
    }

    /// The table in the key `key`, at `path`.
    fn inner(&mut self, key: &str, path: String, node: Node) -> Table {
        let step = |rows: &Rows| {
            let name = rows.keys.iter().filter_map(|row| row.name_in(&rows.prefix)).find(|name| *name == key);
            let name = name.unwrap_or("*");
            let prefix = if rows.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", rows.prefix) };
            Rows { keys: rows.keys, prefix }
        };
        let declared = self.declared.iter().map(step).collect();
        let slot = self.slot.iter().copied().chain([self.n_inner]).collect();
        self.n_inner += 1;
        Table::new(path, declared, slot, node, self.context.clone())
    }

    /// The rows of this table and of those in it. A table may have several such lists: the keys of every channel, and of its type.
    pub fn declare(&mut self, keys: &'static [Key]) {
        self.declared.push(Rows { keys, prefix: String::new() });
    }

    /// Keys that no row can have, because a file of the user describes them.
    pub fn declare_described<'a>(&mut self, keys: impl Iterator<Item = &'a str>) {
        self.described.extend(keys.map(str::to_owned));
    }

    fn row(&self, key: &str) -> Option<&'static Key> {
        let named = |rows: &Rows, name: &str| rows.keys.iter().find(|row| row.name_in(&rows.prefix) == Some(name));
        self.declared.iter().find_map(|rows| named(rows, key).or_else(|| named(rows, "*")))
    }

    /// The rows declared here that neither this table nor one in it has asked for.
    pub fn unread(&self) -> Vec<&'static str> {
        let asked = self.context.shared.asked.borrow();
        let rows = self.declared.iter().flat_map(|rows| rows.keys);
        rows.filter(|row| !asked.contains(row)).map(|row| row.path).collect()
    }

    fn name(&self, key: &str) -> String {
        joined(&self.path, key)
    }

    /// The value that was typed, and the row; a key without a row, or with one of another kind, is reported.
    fn take(&mut self, key: &str, is_kind: impl Fn(Kind) -> bool) -> (Option<Node>, Option<&'static Key>) {
        let row = self.row(key);
        match row {
            Some(row) => {
                if !is_kind(row.kind) {
                    self.fault(key, &format!("is read as another kind than its row says ({})", row.kind));
                }
                self.context.shared.asked.borrow_mut().push(*row);
            }
            None if self.described.iter().any(|described| described == key) => {}
            None => self.fault(key, "is read and has no row in the registry of keys"),
        }
        let node = self.left.remove(key);
        if let Some(node) = &node {
            let is_shown =
                row.is_some_and(|row| !matches!(row.kind, Kind::Hidden | Kind::Secret | Kind::Any | Kind::Map));
            let is_table = row.is_some_and(|row| matches!(row.kind, Kind::Table | Kind::Tables));
            if !is_table {
                self.shown.insert(key.to_owned(), if is_shown { node.value.toml() } else { MASK.to_owned() });
            }
        } else if let Some(Key { default: Absent::Wrong(expected), kind, .. }) = row {
            // Behind a file there is the value.
            let is_in_file = *kind == Kind::Secret && self.has(&format!("{key}_file"));
            if !is_in_file && !self.has(key) {
                self.fault(key, &format!("is missing: {expected}"));
            }
        }
        (node, row)
    }

    /// What `parse` makes of the value, else of the default. Its error says what is wrong.
    fn read<T>(
        &mut self,
        key: &str,
        is_kind: impl Fn(Kind) -> bool,
        parse: impl Fn(&Table, &Node) -> Result<T, String>,
    ) -> Option<T> {
        let (node, row) = self.take(key, is_kind);
        if let Some(node) = node {
            match parse(self, &node) {
                Ok(value) => return Some(value),
                Err(problem) => self.report_at(key, &node.place, &problem),
            }
        }
        let Some(Key { default: Absent::Is(text), .. }) = row else { return None };
        self.shown.entry(key.to_owned()).or_insert_with(|| (*text).to_owned());
        let default = Node::parse_value(&self.place, text)?;
        parse(self, &default).map_err(|problem| self.fault(key, &format!("the default: {problem}"))).ok()
    }

    fn report_at(&self, key: &str, place: &Place, problem: &str) {
        let name = self.name(key);
        self.context.report(place, name.clone(), format!("{name}: {problem}"), None);
    }

    /// Was this key typed (taken already or not)?
    pub fn has(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// Reports a mistake in the value of a key; of one that was not typed, at the table.
    pub fn fault(&self, key: &str, problem: &str) {
        self.report_at(key, self.places.get(key).unwrap_or(&self.place), problem);
    }

    /// What the effective configuration shows in this key: a value that the program has found out, or the harmless part of a secret.
    pub fn show(&mut self, key: &str, value: impl std::fmt::Display) {
        self.show_toml(key, quote(&value.to_string()));
    }

    /// As [`Table::show`], as TOML has it.
    pub fn show_toml(&mut self, key: &str, value: String) {
        self.shown.insert(key.to_owned(), value);
    }

    /// A text that `parse` understands; its error says what was expected.
    pub fn take_as<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.read(
            key,
            |kind| matches!(kind, Kind::Text | Kind::Hidden | Kind::Secret),
            |_, node| text(node, "a string", &parse),
        )
    }

    /// Any text.
    pub fn take_str(&mut self, key: &str) -> Option<String> {
        self.take_as(key, |text| Ok(text.to_owned()))
    }

    /// A text that is not empty.
    pub fn take_filled(&mut self, key: &str) -> Option<String> {
        self.take_as(
            key,
            |text| if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) },
        )
    }

    /// A path; a relative one is meant from `folder`.
    pub fn take_path(&mut self, key: &str, folder: &Path) -> Option<PathBuf> {
        let parse =
            |text: &str| if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(folder.join(text)) };
        let path = self.read(key, |kind| kind == Kind::Path, |_, node| text(node, "a string", parse))?;
        self.show(key, path.display());
        Some(path)
    }

    /// One of the words of the row, which are those of `choices`.
    pub fn take_choice<T: Clone>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let is_kind =
            |kind| matches!(kind, Kind::Choice(words) if words.iter().eq(choices.iter().map(|(word, _)| word)));
        let parse = |text: &str| {
            choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone()).ok_or_else(|| {
                let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
                format!("expected {}, found {text:?}", words.join(" or "))
            })
        };
        self.read(key, is_kind, |_, node| text(node, "a string", parse))
    }

    /// `true` or `false`.
    pub fn take_bool(&mut self, key: &str) -> Option<bool> {
        self.read(
            key,
            |kind| kind == Kind::Bool,
            |_, node| match node.value {
                Value::Bool(value) => Ok(value),
                _ => Err(unexpected("true or false", node)),
            },
        )
    }

    /// A whole number within the range of the row.
    pub fn take_int<T: TryFrom<i64>>(&mut self, key: &str) -> Option<T> {
        let range = match self.row(key).map(|row| row.kind) {
            Some(Kind::Int(from, to)) => from..=to,
            _ => i64::MIN..=i64::MAX,
        };
        self.read(
            key,
            |kind| matches!(kind, Kind::Int(..)),
            |_, node| {
                let n = if let Value::Int(n) = node.value { Some(n) } else { None };
                n.filter(|n| range.contains(n))
                    .and_then(|n| T::try_from(n).ok())
                    .ok_or_else(|| unexpected(&format!("a {}", Kind::Int(*range.start(), *range.end())), node))
            },
        )
    }

    /// A span of time: `"100ms"`, `"60s"`, `"10m"`, `"12h"`, `"7d"`; at least as long as the row says.
    pub fn take_span(&mut self, key: &str) -> Option<Duration> {
        let least =
            if let Some(Kind::Span(least)) = self.row(key).map(|row| row.kind) { least } else { Duration::ZERO };
        self.read(
            key,
            |kind| matches!(kind, Kind::Span(_)),
            |_, node| {
                let span = text(node, SPAN, parse_span)?;
                if span < least { Err(format!("must be at least {}", show_span(least))) } else { Ok(span) }
            },
        )
    }

    /// A number of bytes: `"1GiB"`, `"500MB"`, or a bare number; at least as many as the row says.
    pub fn take_size(&mut self, key: &str) -> Option<u64> {
        let least = if let Some(Kind::Size(least)) = self.row(key).map(|row| row.kind) { least } else { 0 };
        self.read(
            key,
            |kind| matches!(kind, Kind::Size(_)),
            |_, node| {
                let size = match node.value {
                    Value::Int(n) => u64::try_from(n).map_err(|_| "a size must not be negative".to_owned())?,
                    _ => text(node, SIZE, parse_size)?,
                };
                if size < least { Err(format!("must be at least {}MiB", least >> 20)) } else { Ok(size) }
            },
        )
    }

    /// A secret as `KEY`, or in the file that `KEY_file` names.
    pub fn take_secret(&mut self, key: &str) -> Option<Secret> {
        let key_file = format!("{key}_file");
        let direct = self.take_as(key, |text| Ok(text.to_owned()));
        let file = self.left.remove(&key_file).map(|node| text(&node, "a string", |text| Ok(PathBuf::from(text))));
        let file = file.and_then(|file| file.map_err(|problem| self.fault(&key_file, &problem)).ok());
        if self.has(key) && self.has(&key_file) {
            self.fault(&key_file, &format!("give {key} or {key_file}, not both"));
            return None;
        }
        let secret = match direct {
            Some(text) => Secret::new(&text).ok_or_else(|| self.fault(key, "must not be empty")),
            None => self.context.shared.secrets.read(&file?).map_err(|problem| self.fault(&key_file, &problem)),
        };
        let secret = secret.ok()?;
        self.show(key, &secret);
        Some(secret)
    }

    /// A list of texts that `parse` understands; each wrong one is reported where it stands.
    pub fn take_list_as<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let is_kind = |kind| matches!(kind, Kind::Texts | Kind::OneOrTexts | Kind::Secret);
        self.read(key, is_kind, |table, node| {
            table.each(key, node, "a list of strings", |item| text(item, "a string", &parse))
        })
    }

    /// A list of texts.
    pub fn take_list(&mut self, key: &str) -> Option<Vec<String>> {
        self.take_list_as(key, |text| Ok(text.to_owned()))
    }

    /// One text, or a list of texts, that `parse` understands.
    pub fn take_some_as<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        self.read(
            key,
            |kind| kind == Kind::OneOrTexts,
            |table, node| match node.value {
                Value::Text(_) => text(node, "a string", &parse).map(|one| vec![one]),
                _ => table.each(key, node, "a list of strings", |item| text(item, "a string", &parse)),
            },
        )
    }

    /// A list of whole numbers.
    pub fn take_ints(&mut self, key: &str) -> Option<Vec<i64>> {
        self.read(
            key,
            |kind| kind == Kind::Ints,
            |table, node| {
                table.each(key, node, "a list of whole numbers", |item| match item.value {
                    Value::Int(n) => Ok(n),
                    _ => Err(unexpected("a whole number", item)),
                })
            },
        )
    }

    /// The values of a list that are right; each wrong one is reported where it stands.
    fn each<T>(
        &self,
        key: &str,
        node: &Node,
        expected: &str,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let Value::List(items) = &node.value else { return Err(unexpected(expected, node)) };
        let good = |item| parse(item).map_err(|problem| self.report_at(key, &item.place, &problem)).ok();
        Ok(items.iter().filter_map(good).collect())
    }

    /// A list of names and tables: a name stands for a table with this `name` and nothing else.
    pub fn take_named(&mut self, key: &str) -> Vec<Table> {
        let named = self.take_nodes(key, Kind::Named, "a list of strings or tables", |table, path, mut node| {
            if matches!(node.value, Value::Text(_)) {
                let place = node.place.clone();
                let entry = ("name".to_owned(), (place.clone(), node));
                node = Node { place, value: Value::Table(BTreeMap::from([entry])) };
            }
            match node.value {
                Value::Table(_) => Ok(table.inner(key, path, node)),
                _ => Err(unexpected("a string or a table", &node)),
            }
        });
        named.unwrap_or_default()
    }

    /// `[[key]]`: tables in their order; none when there is none.
    pub fn take_tables(&mut self, key: &str) -> Vec<Table> {
        let expected = format!("tables: [[{}]]", self.name(key));
        let tables = self.take_nodes(key, Kind::Tables, &expected, |table, path, node| match node.value {
            Value::Table(_) => Ok(table.inner(key, path, node)),
            _ => Err(unexpected("a table", &node)),
        });
        tables.unwrap_or_default()
    }

    fn take_nodes<T>(
        &mut self,
        key: &str,
        of_kind: Kind,
        expected: &str,
        mut each: impl FnMut(&mut Table, String, Node) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let node = self.take(key, |kind| kind == of_kind).0?;
        if !matches!(node.value, Value::List(_)) {
            self.fault(key, &unexpected(expected, &node));
        }
        let Value::List(items) = node.value else { return None };
        let mut taken = Vec::new();
        for (n, item) in items.into_iter().enumerate() {
            let (path, place) = (format!("{}[{n}]", self.name(key)), item.place.clone());
            match each(self, path, item) {
                Ok(one) => taken.push(one),
                Err(problem) => self.report_at(key, &place, &problem),
            }
        }
        Some(taken)
    }

    /// `[key]`; `None` if it is not there.
    pub fn take_table(&mut self, key: &str) -> Option<Table> {
        let node = self.take(key, |kind| kind == Kind::Table).0?;
        if matches!(node.value, Value::Table(_)) {
            return Some(self.inner(key, self.name(key), node));
        }
        self.fault(key, &unexpected("a table", &node));
        None
    }

    /// `[key]`; with nothing in it if it is not there, so that all its keys have their defaults.
    pub fn section(&mut self, key: &str) -> Table {
        let empty = Node::empty(self.place.file.clone());
        self.take_table(key).unwrap_or_else(|| self.inner(key, self.name(key), empty))
    }

    /// A table whose keys are free and whose values are texts, such as headers.
    pub fn take_texts(&mut self, key: &str) -> Option<BTreeMap<String, String>> {
        let node = self.take(key, |kind| kind == Kind::Map).0?;
        let path = self.name(key);
        let Value::Table(entries) = node.value else {
            self.fault(key, &unexpected("a table", &node));
            return None;
        };
        let mut texts = BTreeMap::new();
        for (name, (_, node)) in entries {
            match text(&node, "a string", |text| Ok(text.to_owned())) {
                Ok(value) => drop(texts.insert(name, value)),
                Err(problem) => {
                    let name = format!("{path}.{name}");
                    self.context.report(&node.place, name.clone(), format!("{name}: {problem}"), None);
                }
            }
        }
        Some(texts)
    }

    /// The keys that nobody has taken yet, by name.
    pub fn keys(&self) -> Vec<String> {
        self.left.keys().cloned().collect()
    }

    /// Whatever stands there, free in its keys, as JSON.
    pub fn take_json(&mut self, key: &str) -> Option<serde_json::Value> {
        let node = self.take(key, |kind| kind == Kind::Any).0?;
        let json = node.value.json();
        if json.is_none() {
            self.fault(key, "expected texts, whole numbers, true or false, lists and tables of them");
        }
        json
    }

    /// The tables of the `*.toml` files in a folder beside the main file, in the order of their names. Their mistakes are
    /// mistakes of this configuration.
    pub fn beside(&self, folder: &str) -> Vec<(PathBuf, Table)> {
        let folder = self.place.file.parent().unwrap_or(Path::new("")).join(folder);
        let files = super::toml_files(&folder).unwrap_or_else(|error| {
            self.context.report(&Place { file: Rc::from(folder), at: None }, String::new(), unread(&error), None);
            Vec::new()
        });
        let table = |file: PathBuf| match std::fs::read_to_string(&file) {
            Ok(text) => {
                let mut findings = Vec::new();
                let node = Node::parse(&file, &text, &mut findings);
                self.context.shared.findings.borrow_mut().extend(findings);
                Some((file, Table::root(node, self.context.of_another_file())))
            }
            Err(error) => {
                let place = Place { file: Rc::from(file), at: None };
                self.context.report(&place, String::new(), unread(&error), None);
                None
            }
        };
        files.into_iter().filter_map(table).collect()
    }

    /// The effective keys of this table as lines of TOML, in the order of their rows, secrets masked.
    pub fn effective_lines(&self) -> String {
        let asked = self.context.shared.asked.borrow();
        let is_table = |kind| matches!(kind, Kind::Table | Kind::Tables);
        let rows = self
            .declared
            .iter()
            .flat_map(|rows| rows.keys.iter().filter_map(|row| Some((row, row.name_in(&rows.prefix)?))));
        let line = |(row, key): (&Key, &str)| match self.shown.get(key) {
            Some(value) => Some(format!("{key} = {value}\n")),
            None if self.path.is_empty() && asked.contains(row) && !is_table(row.kind) => {
                Some(format!("# {key} is not set\n"))
            }
            None => None,
        };
        let described = self.described.iter().filter_map(|key| Some(format!("{key} = {}\n", self.shown.get(key)?)));
        rows.filter_map(line).chain(described).collect()
    }

    /// The effective configuration: this table, and all those in it that are finished.
    pub fn effective(&self) -> String {
        let mut text = self.effective_lines();
        for (slot, block) in self.context.blocks.borrow().iter() {
            if slot.starts_with(&self.slot) {
                text.push_str(block);
            }
        }
        text
    }

    /// The keys that stand in files, in their order there.
    pub fn origins(&self) -> Vec<super::Origin> {
        self.context.origins()
    }

    /// Reports every key that nobody asked for, with the known one that it resembles.
    pub fn finish(self) {
        self.end(true);
    }

    /// As [`Table::finish`], of an element of a list: the table that has the list shows it.
    pub fn finish_item(self) {
        self.end(false);
    }

    fn end(self, is_block: bool) {
        let mut known: Vec<String> = self.described.clone();
        for rows in &self.declared {
            for row in rows.keys {
                let Some(name) = row.name_in(&rows.prefix) else { continue };
                known.push(name.to_owned());
                if row.kind == Kind::Secret {
                    known.push(format!("{name}_file"));
                }
            }
        }
        for key in self.left.keys() {
            let place = self.key_places.get(key).unwrap_or(&self.place);
            let likeness = |known: &&String| strsim::damerau_levenshtein(known, key);
            let nearest = known.iter().min_by_key(likeness).filter(|k| likeness(k) <= (key.chars().count() + 1) / 3);
            // Line and column say in which table.
            let problem = format!("unknown key {}", quoted(key));
            self.context.report(place, self.name(key), problem, nearest.cloned());
        }
        if is_block && !self.slot.is_empty() {
            let plain: String =
                self.path.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect::<Vec<_>>().join(".");
            let header = if self.path.ends_with(']') { format!("[[{plain}]]") } else { format!("[{plain}]") };
            let block = format!("\n{header}\n{}", self.effective_lines());
            self.context.blocks.borrow_mut().insert(self.slot.clone(), block);
        }
    }
}

/// What `parse` makes of a text.
fn text<T>(node: &Node, expected: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
    match &node.value {
        Value::Text(text) => parse(text),
        _ => Err(unexpected(expected, node)),
    }
}

fn unexpected(expected: &str, node: &Node) -> String {
    format!("expected {expected}, found {}", node.value.show())
}

/// A file that cannot be read, in words.
pub(super) fn unread(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}

/// A key as the phone shows it; what does not belong in a line is escaped.
pub(super) fn quoted(key: &str) -> String {
    format!("`{}`", key.escape_debug())
}
