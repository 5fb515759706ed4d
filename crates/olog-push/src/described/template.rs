//! Templates of a described service: checked when the file is read, rendered for each call.
//!
//! Values cannot break out of their place, and no author of a description has to escape them. A JSON body is a tree whose strings
//! are templates; each is rendered on its own and becomes one JSON string. In a URL each value is percent-encoded. In a text body
//! that is declared as JSON each value becomes one JSON value. Nothing is escaped for HTML.
//!
//! A template has a bounded run time ([`FUEL`]), cannot read files, and knows only the given variables: an unknown variable is a
//! mistake in the file, found by [`Template::faults`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Steps that one template may take.
const FUEL: u64 = 50_000;

/// What the templates of one call may name.
pub(super) type Values = BTreeMap<String, Value>;

/// What is done to each value that a template puts into its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    Nothing,
    Url,
    Json,
}

/// A text with places for values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    source: String,
    escape: Escape,
}

impl Template {
    pub(super) fn new(source: &str, escape: Escape) -> Template {
        Template { source: source.to_owned(), escape }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// What is wrong with it, where these names are known.
    pub(super) fn faults(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        let template = environment().template_from_named_str(self.escape.name(), &self.source).map_err(in_words)?;
        unknown(template.undeclared_variables(false), known)
    }

    pub(super) fn render(&self, values: &Values) -> Result<String, String> {
        let template = environment().template_from_named_str(self.escape.name(), &self.source).map_err(in_words)?;
        template.render(values).map_err(in_words)
    }
}

/// A tree of JSON whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    /// As it is.
    Fixed(serde_json::Value),
    Text(Template),
    /// A text that is nothing but one `{{ expression }}`: its value keeps its type.
    Typed(String),
    List(Vec<Tree>),
    /// An entry whose text comes out empty is left out.
    Table(Vec<(String, Tree)>),
}

impl Tree {
    pub(super) fn new(json: serde_json::Value) -> Tree {
        use serde_json::Value as Json;
        match json {
            Json::String(text) => match expression(&text) {
                Some(expression) => Tree::Typed(expression.to_owned()),
                None => Tree::Text(Template::new(&text, Escape::Nothing)),
            },
            Json::Array(items) => Tree::List(items.into_iter().map(Tree::new).collect()),
            Json::Object(entries) => {
                Tree::Table(entries.into_iter().map(|(key, json)| (key, Tree::new(json))).collect())
            }
            fixed => Tree::Fixed(fixed),
        }
    }

    pub(super) fn faults(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        match self {
            Tree::Fixed(_) => Ok(()),
            Tree::Text(template) => template.faults(known),
            Tree::Typed(source) => {
                let expression = environment().compile_expression(source).map_err(in_words)?;
                unknown(expression.undeclared_variables(false), known)
            }
            Tree::List(items) => items.iter().try_for_each(|item| item.faults(known)),
            Tree::Table(entries) => {
                entries.iter().try_for_each(|(key, tree)| tree.faults(known).map_err(|why| format!("{key}: {why}")))
            }
        }
    }

    /// `None`: nothing stands there.
    pub(super) fn render(&self, values: &Values) -> Result<Option<serde_json::Value>, String> {
        let json = match self {
            Tree::Fixed(json) => json.clone(),
            Tree::Text(template) => template.render(values)?.into(),
            Tree::Typed(source) => {
                let value =
                    environment().compile_expression(source).and_then(|it| it.eval(values)).map_err(in_words)?;
                if value.is_undefined() {
                    return Err(format!("{{{{ {source} }}}} has no value"));
                }
                serde_json::to_value(&value).map_err(|error| format!("{{{{ {source} }}}}: {error}"))?
            }
            Tree::List(items) => {
                let items = items.iter().filter_map(|item| item.render(values).transpose());
                items.collect::<Result<Vec<_>, _>>()?.into()
            }
            Tree::Table(entries) => {
                let mut table = serde_json::Map::new();
                for (key, tree) in entries {
                    if let Some(json) = tree.render(values).map_err(|why| format!("{key}: {why}"))? {
                        table.insert(key.clone(), json);
                    }
                }
                table.into()
            }
        };
        Ok(Some(json).filter(|json| !json.is_null() && json.as_str() != Some("")))
    }
}

impl Escape {
    fn name(self) -> &'static str {
        match self {
            Escape::Nothing => "text",
            Escape::Url => "url",
            Escape::Json => "json",
        }
    }
}

/// A value for a place in a URL that is a piece of URL already.
pub(super) fn url_piece(text: &str) -> Value {
    Value::from_safe_string(text.to_owned())
}

/// All but what is itself everywhere in a URL.
pub(super) fn percent_encoded(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    // Two of them, or a part that the crate's reader of single expressions panics at (2.24).
    if ["{{", "}}", "%}"].iter().any(|mark| inner.contains(mark)) {
        return None;
    }
    environment().compile_expression(inner).is_ok().then(|| inner.trim())
}

fn unknown(used: std::collections::HashSet<String>, known: &BTreeSet<&str>) -> Result<(), String> {
    let globals: BTreeSet<&str> = environment().globals().map(|(name, _)| name).collect();
    let mut unknown: Vec<&String> =
        used.iter().filter(|name| !known.contains(name.as_str()) && !globals.contains(name.as_str())).collect();
    unknown.sort();
    match unknown.first() {
        None => Ok(()),
        Some(name) => {
            let known: Vec<&str> = known.iter().copied().collect();
            Err(format!("{name:?} is not known here: expected {}", known.join(", ")))
        }
    }
}

fn in_words(error: Error) -> String {
    let line = error.line().filter(|line| *line > 1).map_or_else(String::new, |line| format!(" in its line {line}"));
    match error.detail() {
        Some(detail) => format!("{}{line}: {detail}", error.kind()),
        None => format!("{}{line}", error.kind()),
    }
}

/// What every template may use beside its values.
fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|name| match name {
            "url" => AutoEscape::Custom("url"),
            "json" => AutoEscape::Custom("json"),
            _ => AutoEscape::None,
        });
        environment.set_formatter(put);
        environment.add_function("hmac_sha256", hmac_sha256);
        environment.add_filter("base64", |value: Value| match value.as_bytes() {
            Some(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes),
            None => base64::engine::general_purpose::STANDARD.encode(value.to_string()),
        });
        environment.add_filter("urlencode", |value: Value| percent_encoded(&value.to_string()));
        environment.add_filter("tojson", |value: Value| {
            serde_json::to_string(&value).map(Value::from_safe_string).map_err(|e| broken(e.to_string()))
        });
        environment.add_filter("markdown", |text: &str| crate::words::markdown(text));
        environment.add_filter("leading_digits", |text: &str| {
            text.chars().take_while(char::is_ascii_digit).collect::<String>()
        });
        environment
    })
}

fn broken(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

fn hmac_sha256(key: &str, message: &str) -> Result<Value, Error> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).map_err(|e| broken(e.to_string()))?;
    mac.update(message.as_bytes());
    Ok(Value::from_bytes(mac.finalize().into_bytes().to_vec()))
}

/// Puts one value into the text of a template.
fn put(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let text = match state.auto_escape() {
        _ if value.is_safe() => value.to_string(),
        AutoEscape::Custom("url") => percent_encoded(&value.to_string()),
        AutoEscape::Custom("json") => serde_json::to_string(value).map_err(|e| broken(e.to_string()))?,
        _ => value.to_string(),
    };
    out.write_str(&text).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\"}{{x}}\n\\ <b> & 备份 \u{1}";

    fn values() -> Values {
        let value = |text: &str| Value::from(text);
        [("title", value(HOSTILE)), ("n", Value::from(7)), ("empty", value("")), ("base", url_piece("https://h/a?b"))]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn render(source: &str, escape: Escape) -> Result<String, String> {
        Template::new(source, escape).render(&values())
    }

    #[test]
    fn a_value_is_one_text_of_json_whatever_it_holds() {
        let tree = Tree::new(serde_json::json!({
            "a": {"b": ["{{ title }}", 1, true]}, "n": "{{ n }}", "t": "n={{ n }}", "gone": "{{ empty }}", "plus": "{{ n + 1 }}",
        }));
        let json = tree.render(&values()).unwrap().unwrap();
        assert_eq!(json, serde_json::json!({"a": {"b": [HOSTILE, 1, true]}, "n": 7, "t": "n=7", "plus": 8}));
        let text = render(r#"{"title": {{ title }}, "n": {{ n }}}"#, Escape::Json).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json, serde_json::json!({"title": HOSTILE, "n": 7}));
    }

    #[test]
    fn a_value_in_a_url_is_encoded_and_a_piece_of_url_is_not() {
        assert_eq!(
            render("{{ base }}&c={{ title }}", Escape::Url).unwrap(),
            "https://h/a?b&c=%22%7D%7B%7Bx%7D%7D%0A%5C%20%3Cb%3E%20%26%20%E5%A4%87%E4%BB%BD%20%01"
        );
        assert_eq!(render("{{ title }}", Escape::Nothing).unwrap(), HOSTILE);
    }

    #[test]
    fn signatures_are_those_of_the_rfc() {
        // RFC 4231, test case 2.
        let signed = "{{ hmac_sha256('Jefe', 'what do ya want for nothing?') | base64 }}";
        assert_eq!(render(signed, Escape::Nothing).unwrap(), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
        let empty = "{{ hmac_sha256('', '') | base64 | urlencode }}";
        assert_eq!(render(empty, Escape::Nothing).unwrap(), "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0%3D");
        assert_eq!(render("{{ 'sctp123tABC'[4:] | leading_digits }}", Escape::Nothing).unwrap(), "123");
    }

    #[test]
    fn what_cannot_be_rendered_says_why_and_never_panics() {
        let known = ["title", "n"].into();
        let faults = |source: &str| Template::new(source, Escape::Nothing).faults(&known).unwrap_err();
        assert!(faults("{{ titel }}").contains("\"titel\" is not known here: expected n, title"));
        assert!(faults("{{ title").contains("syntax error"), "{}", faults("{{ title"));
        for bad in ["{{ nothing }}", "{{ title | shout }}", "{{ title.x.y }}", "{{ n // 0 }}", "{{ [1][title] }}"] {
            assert!(render(bad, Escape::Nothing).is_err(), "{bad}");
        }
        let long = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(render(long, Escape::Nothing).unwrap_err().contains("fuel"));
    }

    proptest::proptest! {
        #[test]
        fn no_source_makes_it_panic(source in "(\\{\\{)?[a-z{}%|.()'\"\\[\\] 0-9+~]{0,60}(\\}\\})?") {
            drop(Template::new(&source, Escape::Json).render(&values()));
            drop(Tree::new(source.into()).render(&values()));
        }
    }
}
