//! Renders one call of a described service from its templates and a message.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use minijinja::value::Value;
use olog_proto::Timestamp;

use super::body::{Body, Fault};
use super::description::{ChannelTypeDef, KeyType};
use super::template::{Template, Values, url_piece};
use crate::http::Call;
use crate::notice::KINDS;
use crate::{About, Acknowledge, Form, Kind, Message, MessageLink};

/// The templates of a call, the channel's own before the type's.
pub(super) struct Parts<'a> {
    pub(super) of: &'a ChannelTypeDef,
    /// Headers of the channel's own.
    pub(super) headers: Vec<(String, Template)>,
    /// A body of the channel's own.
    pub(super) body: Option<&'a Body>,
}

impl Parts<'_> {
    pub(super) fn put_together(&self, values: &Values, is_plain: bool) -> Result<Call, Fault> {
        let of = self.of;
        let url = of.url.render(values).map_err(|why| ("url", why))?;
        let parsed = url::Url::parse(&url).map_err(|why| ("url", format!("what comes out is not a URL: {why}")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(("url", "what comes out does not begin with http:// or https://".to_owned()));
        }
        let mut headers: BTreeMap<String, (String, String)> = BTreeMap::new();
        for (name, template) in of.headers.iter().chain(&self.headers) {
            let value = template.render(values).map_err(|why| ("headers", format!("{name}: {why}")))?;
            if value.chars().any(|c| c.is_control() && c != '\t') {
                return Err(("headers", format!("{name}: a header is one line")));
            }
            headers.insert(name.to_ascii_lowercase(), (name.clone(), value));
        }
        let own = of.plain.as_ref().filter(|_| is_plain).unwrap_or(&of.body);
        let body = self.body.unwrap_or(own).render(values).map_err(|why| ("body", why))?;
        let is_json = matches!(self.body.unwrap_or(own), Body::Tree(_) | Body::Text(_, true));
        if is_json {
            let json = || ("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned());
            headers.entry("content-type".to_owned()).or_insert_with(json);
        }
        let headers = headers.into_values().filter(|(_, value)| !value.is_empty()).collect();
        Ok(Call { method: of.method, url, headers, body })
    }
}

/// What a message gives to templates. `body` is the message's in the form that goes out.
pub(super) fn message_values(message: &Message, (body, form): (&str, Form), summary: &str, now: Timestamp) -> Values {
    let worst = message.about.first();
    let word = |kind: Kind| KINDS.iter().find(|(_, it)| *it == kind).map_or("system", |(word, _)| *word);
    let form = match form {
        Form::Html | Form::HtmlWithCopy => "html",
        Form::Markdown => "markdown",
        Form::Text => "text",
    };
    let link = message.link.as_ref();
    let acknowledge = link.and_then(|link| link.acknowledge.as_ref());
    let texts = [
        ("link", link.map(|link| link.url.as_str()).unwrap_or_default()),
        ("link_label", link.map(|link| link.label.as_str()).unwrap_or_default()),
        ("ack_url", acknowledge.map(|ack| ack.url.as_str()).unwrap_or_default()),
        ("ack_label", acknowledge.map(|ack| ack.label.as_str()).unwrap_or_default()),
        ("ack_form", acknowledge.map(|ack| ack.form.as_str()).unwrap_or_default()),
        ("title", message.title.as_str()),
        ("summary", summary),
        ("body", body),
        ("form", form),
        ("text", &message.text),
        ("html", &message.html),
        ("markdown", &message.markdown),
        ("kind", word(worst.map_or(Kind::System, |about| about.kind))),
        ("device", worst.and_then(|about| about.device.as_deref()).unwrap_or_default()),
        ("task", worst.and_then(|about| about.task.as_deref()).unwrap_or_default()),
    ];
    let mut values: Values = texts.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect();
    let incident = worst.and_then(|about| about.incident).map_or_else(|| Value::from(()), Value::from);
    let about = |about: &About| {
        serde_json::json!({
            "kind": word(about.kind), "device": about.device, "task": about.task, "incident": about.incident,
            "at": DateTime::from_timestamp_millis(about.at.0).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        })
    };
    let about: Vec<serde_json::Value> = message.about.iter().map(about).collect();
    let others = [
        ("incident", incident),
        ("about", Value::from_serialize(about)),
        // Texts: as such they stand in a signature and in JSON.
        ("now_ms", Value::from(now.0.to_string())),
        ("now_s", Value::from(now.0.div_euclid(1000).to_string())),
    ];
    values.extend(others.map(|(name, value)| (name.to_owned(), value)));
    values
}

/// Puts a type's templates together with made-up keys and messages.
pub(super) fn try_out(of: &ChannelTypeDef) -> Result<(), Fault> {
    for has_all in [true, false] {
        let mut keys = Values::new();
        for key in &of.keys {
            let value = match key.is {
                KeyType::Url => url_piece("https://push.example.com/hook/0123456789"),
                _ if has_all || key.is_needed => Value::from("0123456789abcdef"),
                _ => Value::from(""),
            };
            keys.insert(key.name.clone(), value);
        }
        keys.insert("api_url".to_owned(), url_piece(of.api_url.as_deref().unwrap_or_default()));
        keys.insert("api_url_is_own".to_owned(), Value::from(has_all));
        try_messages(&Parts { of, headers: Vec::new(), body: None }, &keys)?;
    }
    Ok(())
}

/// Puts templates together with made-up messages, hostile ones among them.
pub(super) fn try_messages(parts: &Parts<'_>, keys: &Values) -> Result<(), Fault> {
    const HOSTILE: &str = "\"}{{x}}\n\\ <b>&</b> \u{5907}\u{4efd} \u{1b}[0m '; ${y}";
    let kinds = KINDS.iter().map(|(_, kind)| Some(*kind)).chain([None]);
    for kind in kinds {
        let name = || Some(HOSTILE.to_owned());
        let about = |kind| About { kind, device: name(), task: name(), incident: Some(17), at: Timestamp(0) };
        let message = Message {
            title: HOSTILE.to_owned(),
            summary: HOSTILE.to_owned(),
            html: HOSTILE.to_owned(),
            markdown: HOSTILE.to_owned(),
            text: HOSTILE.to_owned(),
            about: kind.map(about).into_iter().collect(),
            link: kind.map(|_| {
                let hostile = || HOSTILE.to_owned();
                let acknowledge = Acknowledge { label: hostile(), url: hostile(), form: hostile() };
                MessageLink { label: hostile(), url: hostile(), acknowledge: Some(acknowledge) }
            }),
        };
        for form in [parts.of.limits.form, Form::Text] {
            let mut values = message_values(&message, (HOSTILE, form), HOSTILE, Timestamp(1_795_288_264_000));
            values.extend(keys.iter().map(|(name, value)| (name.clone(), value.clone())));
            let is_plain = form != parts.of.limits.form;
            let fault =
                |(key, why)| (if is_plain && key == "body" && parts.of.plain.is_some() { "plain" } else { key }, why);
            parts.put_together(&values, is_plain).map_err(fault)?;
        }
    }
    Ok(())
}
