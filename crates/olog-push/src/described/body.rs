//! The request body as templates, and the variables that templates may use.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::template::{Escape, Template, Tree, Values};

/// What every template may name beside the type's own keys.
pub(super) const NAMES: [&str; 21] = [
    "about",
    "ack_form",
    "ack_label",
    "ack_url",
    "api_url",
    "api_url_is_own",
    "body",
    "device",
    "form",
    "html",
    "incident",
    "kind",
    "link",
    "link_label",
    "markdown",
    "now_ms",
    "now_s",
    "summary",
    "task",
    "text",
    "title",
];

/// What goes out as the body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Nothing,
    Tree(Tree),
    /// A text; if it is to be JSON, that is looked at before it goes.
    Text(Template, bool),
}

/// What stands in the way of a call: in which template, and why.
pub(super) type Fault = (&'static str, String);

impl Body {
    /// A tree, or a text that is a template.
    pub(super) fn new(json: Json, is_json: bool) -> Body {
        match json {
            Json::String(text) if is_json => Body::Text(Template::new(&text, Escape::Json), true),
            Json::String(text) => Body::Text(Template::new(&text, Escape::Nothing), false),
            tree => Body::Tree(Tree::new(tree)),
        }
    }

    pub(super) fn faults(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        match self {
            Body::Nothing => Ok(()),
            Body::Tree(tree) => tree.faults(known),
            Body::Text(template, _) => template.faults(known),
        }
    }

    pub(super) fn render(&self, values: &Values) -> Result<Vec<u8>, String> {
        Ok(match self {
            Body::Nothing => Vec::new(),
            Body::Tree(tree) => tree.render(values)?.unwrap_or_default().to_string().into_bytes(),
            Body::Text(template, is_json) => {
                let text = template.render(values)?;
                if *is_json {
                    serde_json::from_str::<serde::de::IgnoredAny>(&text)
                        .map_err(|why| format!("what comes out is not JSON: {why} (a value brings its own quotes)"))?;
                }
                text.into_bytes()
            }
        })
    }
}
