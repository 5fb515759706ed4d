//! Parses the keys of a channel whose type is described by a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use olog_daemon::config::Table;
use olog_daemon::secret::{SECRET_NOT_LOADED, Secret};
use serde_json::Value as Json;

use super::TemplateChannel;
use super::body::Body;
use super::call;
use super::description::{ChannelTypeDef, Key, KeyType, is_json};
use crate::http::{Endpoint, url_masked};

impl TemplateChannel {
    /// `None` when something is wrong, and reported.
    pub(crate) fn parse(of: Arc<ChannelTypeDef>, table: &mut Table) -> Option<TemplateChannel> {
        let (mut texts, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        let (mut headers, mut typed) = (BTreeMap::new(), None);
        let mut is_good = true;
        table.declare_described(of.keys.iter().map(|key| key.name.as_str()));
        for key in &of.keys {
            let name = key.name.as_str();
            let is_given = table.has(name) || table.has(&format!("{name}_file"));
            let is_taken = match key.is {
                KeyType::Text => take_texts(table, key).map(|values| texts.insert(key.name.clone(), values)).is_some(),
                KeyType::Secret => {
                    take_secrets(table, key).map(|values| secrets.insert(key.name.clone(), values)).is_some()
                }
                KeyType::Url => take_url(table, name).map(|url| secrets.insert(key.name.clone(), vec![url])).is_some(),
                KeyType::Headers => take_headers(table, name).map(|taken| headers = taken).is_some(),
                KeyType::Body => table.take_json(name).map(|json| typed = Some(json)).is_some(),
            };
            if !is_given && key.is_needed {
                let or_file = if matches!(key.is, KeyType::Secret | KeyType::Url) {
                    format!("{name} or {name}_file")
                } else {
                    name.to_owned()
                };
                table.fault(name, &format!("is missing: a channel of type {:?} needs {or_file}", of.name));
            }
            is_good &= is_taken || !is_given && !key.is_needed;
        }
        let line = Endpoint::parse(table, of.api_url.as_deref());
        let usual = of.headers.iter().map(|(name, value)| (name.as_str(), value.source()));
        let own = headers.iter().map(|(name, value): (&String, &Secret)| (name.as_str(), value.reveal()));
        let is_json = is_json(own.chain(usual));
        let body = typed.map(|json: Json| {
            let as_typed = Secret::new(&json.to_string());
            as_typed.map(|as_typed| (Body::new(json, is_json), as_typed))
        });
        let described = TemplateChannel { of, texts, secrets, headers, body: body.flatten(), line: line? };
        described.show(table);
        (is_good && described.is_whole(table)).then_some(described)
    }

    /// Can its calls be put together?
    fn is_whole(&self, table: &Table) -> bool {
        // Of secrets that nobody has read nothing can be put together; who reads them looks.
        if self.secrets().iter().any(|secret| secret.reveal() == SECRET_NOT_LOADED) {
            return true;
        }
        let known = self.of.known();
        let parts = self.parts();
        let headers = parts.headers.iter().try_for_each(|(_, template)| template.faults(&known));
        let body = self.body.as_ref().map_or(Ok(()), |(body, _)| body.faults(&known));
        let own = headers.map_err(|why| ("headers", why)).and(body.map_err(|why| ("body", why)));
        match own.and_then(|()| call::try_messages(&parts, &self.key_values(0))) {
            Ok(()) => true,
            Err((key, why)) => {
                let key = if table.has(key) { key } else { "type" };
                table.fault(key, &self.masked(&format!("a call cannot be put together: {why}")));
                false
            }
        }
    }

    /// Its keys in force, secrets masked.
    fn show(&self, table: &mut Table) {
        let one_or_list = |values: &[String]| match values {
            [one] => format!("{one:?}"),
            several => format!("{several:?}"),
        };
        for key in &self.of.keys {
            let name = &key.name;
            let value = match key.is {
                KeyType::Text => self.texts.get(name).map(|values| one_or_list(values)),
                KeyType::Secret => self
                    .secrets
                    .get(name)
                    .map(|secrets| one_or_list(&secrets.iter().map(Secret::masked).collect::<Vec<_>>())),
                KeyType::Url => self
                    .secrets
                    .get(name)
                    .and_then(|urls| urls.first())
                    .map(|url| format!("{:?}", url_masked(url.reveal()))),
                KeyType::Headers => Some(&self.headers).filter(|headers| !headers.is_empty()).map(|headers| {
                    let headers: Vec<String> = headers.keys().map(|name| format!("{name:?} = \"…\"")).collect();
                    format!("{{ {} }}", headers.join(", "))
                }),
                KeyType::Body => self.body.as_ref().map(|_| "\"…\"".to_owned()),
            };
            if let Some(value) = value {
                table.show_toml(name, value);
            }
        }
    }
}

fn not_a_url(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must not be empty".to_owned()),
        text if text.contains("://") => Err("expected this part alone, found a whole URL".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// A number counts as its digits: some services name chats by one.
fn take_texts(table: &mut Table, key: &Key) -> Option<Vec<String>> {
    let items = match table.take_json(&key.name)? {
        Json::Array(items) if key.names_receivers => items,
        one => vec![one],
    };
    let text = |item: Json| match item {
        Json::String(text) => not_a_url(&text),
        Json::Number(number) => Ok(number.to_string()),
        _ => Err("expected a text".to_owned()),
    };
    let texts: Result<Vec<String>, String> = items.into_iter().map(text).collect();
    let mut texts = texts.map_err(|why| table.fault(&key.name, &why)).ok()?;
    let mut seen = std::collections::BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    if texts.is_empty() {
        table.fault(&key.name, "expected at least one");
        return None;
    }
    Some(texts)
}

/// Several, where they name receivers: a list, or a file with one a line.
fn take_secrets(table: &mut Table, key: &Key) -> Option<Vec<Secret>> {
    let name = key.name.as_str();
    let secret = |text: &str| Secret::new(text).ok_or_else(|| "must not be empty".to_owned());
    let mut secrets = if key.names_receivers && table.has(name) && !table.has(&format!("{name}_file")) {
        table.take_some_as(name, secret)?
    } else {
        let one = table.take_secret(name)?;
        match key.names_receivers {
            true => one.reveal().split_whitespace().filter_map(Secret::new).collect(),
            false => vec![one],
        }
    };
    let mut seen: Vec<Secret> = Vec::new();
    secrets.retain(|secret| {
        let is_new = !seen.contains(secret);
        seen.push(secret.clone());
        is_new
    });
    for secret in &secrets {
        if let Err(why) = not_a_url(secret.reveal()) {
            table.fault(name, &why);
            return None;
        }
    }
    Some(secrets)
}

fn take_url(table: &mut Table, name: &str) -> Option<Secret> {
    let secret = table.take_secret(name)?;
    let is_url =
        |text: &str| url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if secret.reveal() != SECRET_NOT_LOADED && !is_url(secret.reveal()) {
        table.fault(name, "expected the whole URL that the service gave, like \"https://hooks.example.com/…\"");
        return None;
    }
    Some(secret)
}

fn take_headers(table: &mut Table, name: &str) -> Option<BTreeMap<String, Secret>> {
    let texts = table.take_texts(name)?;
    let mut headers = BTreeMap::new();
    for (header, value) in texts {
        let is_name = !header.is_empty() && header.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        match Secret::new(&value).filter(|_| is_name) {
            Some(value) => {
                headers.insert(header, value);
            }
            None => {
                table.fault(name, &format!("{header:?}: expected a header's name and its value"));
                return None;
            }
        }
    }
    Some(headers)
}
