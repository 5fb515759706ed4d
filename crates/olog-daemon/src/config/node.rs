//! The values of a configuration file as TOML has them, each with the place where it was typed. Knows no key and no kind.

use std::{collections::BTreeMap, path::Path, rc::Rc};

use toml::de::{DeTable, DeValue};

use super::Finding;

/// Where something was typed.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: Rc<Path>,
    pub(super) at: Option<(usize, usize)>,
}

/// A value with its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
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

    /// Is it a table, or a list of them?
    pub(super) fn has_tables(&self) -> bool {
        matches!(self, Value::Table(_)) || self.is_tables()
    }

    pub(super) fn json(self) -> Option<serde_json::Value> {
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

    /// As a line of TOML has it, tables inline.
    pub(super) fn toml(&self) -> String {
        match self {
            Value::Text(text) => quote(text),
            Value::Int(n) => n.to_string(),
            Value::Bool(b) => b.to_string(),
            Value::Other(kind) => format!("# a {kind}"),
            Value::List(items) => {
                format!("[{}]", items.iter().map(|item| item.value.toml()).collect::<Vec<_>>().join(", "))
            }
            Value::Table(entries) => {
                let entries = entries.iter().map(|(key, (_, node))| format!("{key} = {}", node.value.toml()));
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// What was found, for a mistake.
    pub(super) fn show(&self) -> String {
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

    /// The value of a row's default, as if it stood at `place`.
    pub(super) fn parse_value(place: &Place, text: &str) -> Option<Node> {
        let value = DeValue::parse(text).ok()?;
        Some(node(value, &|_| place.clone()))
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

/// A text as TOML has it.
pub fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}
