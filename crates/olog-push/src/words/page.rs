//! The body of a message, as an HTML fragment and as plain text from one list of parts. Whatever a text holds, it is escaped.

/// A part of a body, from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A sentence or two.
    Text(String),
    /// The head of one of several matters.
    Head(String),
    /// Text out of a log, as it stood there.
    Log(String),
    /// A line for a shell, with a button that copies it.
    Command { label: String, command: String, copy: String },
    /// A link.
    Link { label: String, url: String },
    /// What only a person who wonders reads.
    Small(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page(pub(super) Vec<Part>);

impl Page {
    pub(super) fn push(&mut self, part: Part) {
        let is_empty = match &part {
            Part::Text(text) | Part::Head(text) | Part::Log(text) | Part::Small(text) => text.trim().is_empty(),
            Part::Command { .. } | Part::Link { .. } => false,
        };
        if !is_empty {
            self.0.push(part);
        }
    }

    pub(super) fn html(&self) -> String {
        let mut html = String::new();
        for part in &self.0 {
            html.push_str(&match part {
                Part::Text(text) => format!("<p>{}</p>", escaped(text)),
                Part::Head(text) => format!("<p><b>{}</b></p>", escaped(text)),
                Part::Log(text) => {
                    format!("<pre style=\"white-space:pre-wrap;word-break:break-word\">{}</pre>", escaped(text))
                }
                Part::Command { label, command, copy } => {
                    let (label, command, copy) = (escaped(label), escaped(command), escaped(copy));
                    let button = format!("<copy data-clipboard-text=\"{command}\">{copy}</copy>");
                    format!("<p>{label} <code>{command}</code> {button}</p>")
                }
                Part::Link { label, url } => format!("<p><a href=\"{}\">{}</a></p>", escaped(url), escaped(label)),
                Part::Small(text) => format!("<p style=\"color:#888\">{}</p>", escaped(text)),
            });
        }
        html
    }

    pub(super) fn text(&self) -> String {
        let lines = self.0.iter().map(|part| match part {
            Part::Text(text) | Part::Head(text) | Part::Log(text) | Part::Small(text) => text.clone(),
            Part::Command { label, command, .. } => format!("{label} {command}"),
            Part::Link { label, url } => format!("{label} {url}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
