//! Wraps a table of a configuration and records which keys were read; the others are reported as unknown, each with the nearest
//! known key.
//!
//! A value of the wrong kind is reported and treated as absent, so that reading goes on to the end. It knows no key by itself.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use toml::de::{DeTable, DeValue};

use super::Finding;
use crate::secret::{Secret, Secrets};

const SPAN: &str = "a span of time like \"100ms\", \"60s\", \"10m\", \"12h\" or \"7d\"";
const SIZE: &str = "a size like \"1GiB\", \"500MB\" or a number of bytes";

/// Where something was typed.
#[derive(Debug, Clone)]
struct Place {
    file: Rc<Path>,
    at: Option<(usize, usize)>,
}

/// A value with its place.
#[derive(Debug)]
pub(super) struct Node {
    place: Place,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
    /// A float or a date: no key takes one.
    Other(&'static str),
    List(Vec<Node>),
    Table(BTreeMap<String, (Place, Node)>),
}

impl Value {
    fn is_tables(&self) -> bool {
        matches!(self, Value::List(items) if !items.is_empty() && items.iter().all(|i| matches!(i.value, Value::Table(_))))
    }

    fn json(self) -> Option<serde_json::Value> {
        Some(match self {
            Value::Text(text) => text.into(),
            Value::Int(n) => n.into(),
            Value::Bool(b) => b.into(),
            Value::Other(_) => return None,
            Value::List(items) => items.into_iter().map(|item| item.value.json()).collect::<Option<Vec<_>>>()?.into(),
            Value::Table(entries) => {
                let entries = entries.into_iter().map(|(key, (_, node))| Some((key, node.value.json()?)));
                entries.collect::<Option<serde_json::Map<_, _>>>()?.into()
            }
        })
    }

    fn show(&self) -> String {
        match self {
            // What was typed where a secret belongs stays out of messages, so no text is ever shown.
            Value::Text(_) => "a string".into(),
            Value::Int(n) => n.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::Other(kind) => format!("a {kind}"),
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
        }
    }
}

impl Node {
    pub(super) fn empty(file: Rc<Path>) -> Node {
        Node { place: Place { file, at: None }, value: Value::Table(BTreeMap::new()) }
    }

    pub(super) fn parse(file: &Path, text: &str, findings: &mut Vec<Finding>) -> Node {
        let file: Rc<Path> = Rc::from(file);
        let place = |offset: usize| Place { file: file.clone(), at: Some(line_and_column(text, offset)) };
        let (table, errors) = DeTable::parse_recoverable(text);
        findings.extend(errors.iter().map(|error| Finding {
            file: file.to_path_buf(),
            place: error.span().map(|span| line_and_column(text, span.start)),
            key: String::new(),
            problem: format!("not TOML: {}", error.message().trim().replace('\n', ", ")),
            nearest: None,
        }));
        Node { place: Place { file: file.clone(), at: None }, value: table_value(table.into_inner(), &place) }
    }

    /// Puts a later file over this one.
    pub(super) fn merge(&mut self, later: Node) {
        match (&mut self.value, later.value) {
            (Value::Table(mine), Value::Table(theirs)) => {
                for (key, (place, node)) in theirs {
                    match mine.get_mut(&key) {
                        Some((_, old)) => old.merge(node),
                        None => {
                            mine.insert(key, (place, node));
                        }
                    }
                }
            }
            (mine, theirs) if mine.is_tables() && theirs.is_tables() => {
                if let (Value::List(mine), Value::List(theirs)) = (mine, theirs) {
                    mine.extend(theirs);
                }
            }
            (_, value) => *self = Node { place: later.place, value },
        }
    }
}

fn table_value(table: DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    let entry = |(key, value): (toml::Spanned<std::borrow::Cow<'_, str>>, toml::Spanned<DeValue<'_>>)| {
        (key.get_ref().to_string(), (place(key.span().start), node(value, place)))
    };
    Value::Table(table.into_iter().map(entry).collect())
}

fn node(value: toml::Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Place) -> Node {
    let at = place(value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(n) => {
            i64::from_str_radix(n.as_str(), n.radix()).map_or(Value::Other("number out of range"), Value::Int)
        }
        DeValue::Boolean(b) => Value::Bool(b),
        DeValue::Float(_) => Value::Other("fraction"),
        DeValue::Datetime(_) => Value::Other("date"),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| node(item, place)).collect()),
        DeValue::Table(table) => table_value(table, place),
    };
    Node { place: at, value }
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// What all tables of one reading share.
#[derive(Debug, Clone)]
pub(super) struct Context(Rc<(RefCell<Vec<Finding>>, Secrets)>);

impl Context {
    pub(super) fn new(findings: Vec<Finding>, secrets: Secrets) -> Context {
        Context(Rc::new((RefCell::new(findings), secrets)))
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        self.0.0.take()
    }

    fn report(&self, place: &Place, key: String, problem: String, nearest: Option<String>) {
        self.0.0.borrow_mut().push(Finding { file: place.file.to_path_buf(), place: place.at, key, problem, nearest });
    }
}

/// A table that is being read. Each `take_…` returns `None` when the key is absent *or* wrong; what is wrong has been reported.
#[derive(Debug)]
#[must_use = "a table that is not finished does not report its unknown keys"]
pub struct Table {
    path: String,
    place: Place,
    left: BTreeMap<String, (Place, Node)>,
    places: BTreeMap<String, Place>,
    known: BTreeSet<String>,
    context: Context,
}

/// An element of a list that takes strings and tables.
#[derive(Debug)]
pub enum Item {
    /// A string.
    Text(String),
    /// A table.
    Table(Table),
}

impl Table {
    pub(super) fn root(node: Node, context: Context) -> Table {
        Table::of(String::new(), node, context)
    }

    fn of(path: String, node: Node, context: Context) -> Table {
        let left = if let Value::Table(entries) = node.value { entries } else { BTreeMap::new() };
        let places = left.iter().map(|(key, (_, node))| (key.clone(), node.place.clone())).collect();
        Table { path, place: node.place, left, places, known: BTreeSet::new(), context }
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take(&mut self, key: &str) -> Option<Node> {
        self.known.insert(key.to_owned());
        self.left.remove(key).map(|(_, node)| node)
    }

    fn wrong(&self, key: &str, place: &Place, expected: &str, found: &str) {
        let name = self.name(key);
        self.context.report(place, name.clone(), format!("{name}: expected {expected}, found {found}"), None);
    }

    /// Was this key typed (taken already or not)?
    pub fn has(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// Reports a mistake in the value of a key; of one that was not typed, at the table.
    pub fn fault(&self, key: &str, problem: &str) {
        let place = self.places.get(key).unwrap_or(&self.place);
        let name = self.name(key);
        self.context.report(place, name.clone(), format!("{name}: {problem}"), None);
    }

    /// A text that `parse` understands; its error says what was expected.
    pub fn take_as<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.take_text(key, "a string", parse)
    }

    fn take_text<T>(&mut self, key: &str, expected: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let node = self.take(key)?;
        let Value::Text(text) = &node.value else {
            self.wrong(key, &node.place, expected, &node.value.show());
            return None;
        };
        parse(text).map_err(|problem| self.fault(key, &problem)).ok()
    }

    /// Any text.
    pub fn take_str(&mut self, key: &str) -> Option<String> {
        self.take_as(key, |text| Ok(text.to_owned()))
    }

    /// A text that must be there and not empty; empty when it is not (and reported).
    pub fn need_str(&mut self, key: &str) -> String {
        match self.take_str(key) {
            Some(text) if !text.is_empty() => return text,
            Some(_) => self.fault(key, "must not be empty"),
            None if !self.has(key) => self.fault(key, "is missing: expected a string"),
            None => {}
        }
        String::new()
    }

    /// A path; a relative one is meant from `folder`.
    pub fn take_path(&mut self, key: &str, folder: &Path) -> Option<PathBuf> {
        let path = self
            .take_as(key, |text| if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(text.to_owned()) });
        path.map(|path| folder.join(path))
    }

    /// One of a few words.
    pub fn take_choice<T: Clone>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.take_as(key, |text| {
            choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone()).ok_or_else(|| {
                let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
                format!("expected {}, found {text:?}", words.join(" or "))
            })
        })
    }

    /// `true` or `false`.
    pub fn take_bool(&mut self, key: &str) -> Option<bool> {
        let node = self.take(key)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.wrong(key, &node.place, "true or false", &node.value.show());
        None
    }

    /// A whole number within a range.
    pub fn take_int(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let node = self.take(key)?;
        match node.value {
            Value::Int(n) if range.contains(&n) => return Some(n),
            value => {
                let expected = match (*range.start(), *range.end()) {
                    (from, i64::MAX) => format!("a whole number from {from}"),
                    (from, to) => format!("a whole number from {from} to {to}"),
                };
                self.wrong(key, &node.place, &expected, &value.show());
            }
        }
        None
    }

    /// A span of time: `"100ms"`, `"60s"`, `"10m"`, `"12h"`, `"7d"`.
    pub fn take_span(&mut self, key: &str) -> Option<Duration> {
        self.take_text(key, SPAN, parse_span)
    }

    /// A number of bytes: `"1GiB"`, `"500MB"`, or a bare number.
    pub fn take_size(&mut self, key: &str) -> Option<u64> {
        let bare = self.left.get(key).and_then(|(_, node)| if let Value::Int(n) = node.value { Some(n) } else { None });
        match bare.map(u64::try_from) {
            Some(Ok(bytes)) => {
                self.take(key);
                Some(bytes)
            }
            Some(Err(_)) => {
                self.take(key);
                self.fault(key, "a size must not be negative");
                None
            }
            None => self.take_text(key, SIZE, parse_size),
        }
    }

    /// A secret as `KEY`, or in the file that `KEY_file` names.
    pub fn take_secret(&mut self, key: &str) -> Option<Secret> {
        let key_file = format!("{key}_file");
        let (direct, file) = (self.take_str(key), self.take_str(&key_file));
        if self.has(key) && self.has(&key_file) {
            self.fault(&key_file, &format!("give {key} or {key_file}, not both"));
            return None;
        }
        if let Some(text) = direct {
            return Secret::new(&text).or_else(|| {
                self.fault(key, "must not be empty");
                None
            });
        }
        let read = self.context.0.1.read(Path::new(&file?));
        read.map_err(|problem| self.fault(&key_file, &problem)).ok()
    }

    /// A list of texts that `parse` understands; each wrong one is reported where it stands.
    pub fn take_list_as<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        self.take_nodes(key, "a list of strings", |table, node| match &node.value {
            Value::Text(text) => parse(text).map_err(|problem| table.wrong_item(key, &node.place, &problem)).ok(),
            other => {
                table.wrong(key, &node.place, "a string", &other.show());
                None
            }
        })
    }

    /// A list of texts.
    pub fn take_list(&mut self, key: &str) -> Option<Vec<String>> {
        self.take_list_as(key, |text| Ok(text.to_owned()))
    }

    /// One text, or a list of texts, that `parse` understands.
    pub fn take_some_as<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let is_one = self.left.get(key).is_some_and(|(_, node)| matches!(node.value, Value::Text(_)));
        if is_one { self.take_as(key, parse).map(|one| vec![one]) } else { self.take_list_as(key, parse) }
    }

    /// A list of whole numbers.
    pub fn take_ints(&mut self, key: &str) -> Option<Vec<i64>> {
        self.take_nodes(key, "a list of whole numbers", |table, node| {
            if let Value::Int(n) = node.value {
                return Some(n);
            }
            table.wrong(key, &node.place, "a whole number", &node.value.show());
            None
        })
    }

    /// A list of strings and tables.
    pub fn take_items(&mut self, key: &str) -> Option<Vec<Item>> {
        let mut n = 0;
        self.take_nodes(key, "a list of strings or tables", |table, node| {
            let path = format!("{}[{n}]", table.name(key));
            n += 1;
            match node.value {
                Value::Text(text) => Some(Item::Text(text)),
                Value::Table(_) => Some(Item::Table(Table::of(path, node, table.context.clone()))),
                other => {
                    table.wrong(key, &node.place, "a string or a table", &other.show());
                    None
                }
            }
        })
    }

    /// `[[key]]`: tables in their order; none when there is none.
    pub fn take_tables(&mut self, key: &str) -> Vec<Table> {
        let mut n = 0;
        let tables = self.take_nodes(key, &format!("tables: [[{}]]", self.name(key)), |table, node| {
            let path = format!("{}[{n}]", table.name(key));
            n += 1;
            if matches!(node.value, Value::Table(_)) {
                return Some(Table::of(path, node, table.context.clone()));
            }
            table.wrong(key, &node.place, "a table", &node.value.show());
            None
        });
        tables.unwrap_or_default()
    }

    /// `[key]`.
    pub fn take_table(&mut self, key: &str) -> Option<Table> {
        let node = self.take(key)?;
        if matches!(node.value, Value::Table(_)) {
            return Some(Table::of(self.name(key), node, self.context.clone()));
        }
        self.wrong(key, &node.place, "a table", &node.value.show());
        None
    }

    /// A table whose keys are free and whose values are texts, such as headers.
    pub fn take_texts(&mut self, key: &str) -> Option<BTreeMap<String, String>> {
        let mut table = self.take_table(key)?;
        let keys: Vec<String> = table.left.keys().cloned().collect();
        Some(keys.into_iter().filter_map(|key| table.take_str(&key).map(|text| (key, text))).collect())
    }

    /// The keys that nobody has taken yet, by name.
    pub fn keys(&self) -> Vec<String> {
        self.left.keys().cloned().collect()
    }

    /// Whatever stands there, free in its keys, as JSON.
    pub fn take_json(&mut self, key: &str) -> Option<serde_json::Value> {
        let node = self.take(key)?;
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
                self.context.0.0.borrow_mut().extend(findings);
                Some((file, Table::root(node, self.context.clone())))
            }
            Err(error) => {
                let place = Place { file: Rc::from(file), at: None };
                self.context.report(&place, String::new(), unread(&error), None);
                None
            }
        };
        files.into_iter().filter_map(table).collect()
    }

    fn take_nodes<T>(
        &mut self,
        key: &str,
        expected: &str,
        mut each: impl FnMut(&Table, Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let node = self.take(key)?;
        if let Value::List(items) = node.value {
            return Some(items.into_iter().filter_map(|item| each(self, item)).collect());
        }
        self.wrong(key, &node.place, expected, &node.value.show());
        None
    }

    fn wrong_item(&self, key: &str, place: &Place, problem: &str) {
        let name = self.name(key);
        self.context.report(place, name.clone(), format!("{name}: {problem}"), None);
    }

    /// Reports every key that nobody asked for, with the known one that it resembles.
    pub fn finish(self) {
        for (key, (place, _)) in &self.left {
            let likeness = |known: &&String| strsim::damerau_levenshtein(known, key);
            let nearest =
                self.known.iter().min_by_key(likeness).filter(|k| likeness(k) <= (key.chars().count() + 1) / 3);
            // Line and column say in which table.
            let problem = format!("unknown key {}", quoted(key));
            self.context.report(place, self.name(key), problem, nearest.cloned());
        }
    }
}

/// A file that cannot be read, in words.
pub(super) fn unread(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}

/// A key as the phone shows it; what does not belong in a line is escaped.
pub(super) fn quoted(key: &str) -> String {
    format!("`{}`", key.escape_debug())
}

/// Reads a span of time.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| format!("expected {SPAN}, found {text:?}"))
}

/// As [`parse_span`] reads it.
pub fn show_span(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}

/// Reads a number of bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("b", 1),
    ];
    let lower = text.trim().to_ascii_lowercase();
    let (digits, unit) =
        UNITS.iter().find_map(|(unit, n)| lower.strip_suffix(unit).map(|d| (d, *n))).unwrap_or((&lower, 1));
    digits
        .trim()
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(unit))
        .ok_or_else(|| format!("expected {SIZE}, found {text:?}"))
}
