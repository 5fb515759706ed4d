//! A composed message in the forms that channels accept, and the size limits that decide where a text is cut.
//!
//! A [`Message`] holds the same body as plain text, Markdown and HTML. A channel's [`Limits`] name the form that it sends and its
//! maximum length, in characters or bytes; [`Message::body`] returns that form, cut to fit.
//!
//! Pure: no sentences (those are in `words`), no IO.

use crate::Kind;

/// A message ready for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `STATE device/task`, at most 20 characters.
    pub title: String,
    /// Title and telling line, at most 100 characters.
    pub summary: String,
    /// The body as an HTML fragment, every text escaped; with copy buttons only if the channel asked for them. Empty: the
    /// message goes as plain text.
    pub html: String,
    /// The body as Markdown, every text escaped. Empty: the message goes as plain text.
    pub markdown: String,
    /// The same as plain text.
    pub text: String,
    /// What it tells of, worst first.
    pub about: Vec<About>,
    /// Where its page opens, for services with buttons; the body has the same link.
    pub link: Option<MessageLink>,
}

/// The page of what a message tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageLink {
    /// What the button says.
    pub label: String,
    /// The address.
    pub url: String,
    /// What acknowledges all that is open in the message.
    pub acknowledge: Option<Acknowledge>,
}

/// A `POST` of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledge {
    /// What the button says.
    pub label: String,
    /// The address.
    pub url: String,
    /// The form.
    pub form: String,
}

/// One matter of a message, for services and programs that sort by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its kind.
    pub kind: Kind,
    /// The device, if it is about one.
    pub device: Option<String>,
    /// The task, if it is about one.
    pub task: Option<String>,
    /// The incident's number, if it is one's.
    pub incident: Option<u64>,
    /// When it happened.
    pub at: olog_proto::Timestamp,
}

impl Message {
    /// The same as plain text, cut to `max` in the channel's unit: for a service that refused length or format.
    pub fn plain(mut self, limits: &Limits, max: usize) -> Message {
        self.html.clear();
        self.markdown.clear();
        let max = limits.unit.fitting(&self.text, max.min(limits.plain));
        self.text.truncate(max);
        self
    }

    /// The body in this form, or as plain text where it has none.
    pub fn body(&self, form: Form) -> (&str, Form) {
        match form {
            Form::Html | Form::HtmlWithCopy if !self.html.is_empty() => (&self.html, form),
            Form::Markdown if !self.markdown.is_empty() => (&self.markdown, Form::Markdown),
            _ => (&self.text, Form::Text),
        }
    }
}

/// What fits into one message of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How the service measures the body and the summary.
    pub unit: Unit,
    /// The form of the body that it shows best.
    pub form: Form,
    /// The body's size.
    pub body: usize,
    /// The size of a body that goes as plain text.
    pub plain: usize,
    /// Characters of the summary.
    pub summary_chars: usize,
}

impl Limits {
    /// None: for who reads a message whole.
    pub const NONE: Limits =
        Limits { unit: Unit::Characters, form: Form::Text, body: usize::MAX, plain: usize::MAX, summary_chars: 200 };
}

/// What a text's size is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode characters.
    Characters,
    /// Bytes of its UTF-8: a Chinese character is three.
    Bytes,
}

impl Unit {
    /// The size of a text.
    pub fn size(self, text: &str) -> usize {
        match self {
            Unit::Characters => text.chars().count(),
            Unit::Bytes => text.len(),
        }
    }

    /// Bytes of the longest beginning that is whole characters and not over `max`.
    fn fitting(self, text: &str, max: usize) -> usize {
        match self {
            Unit::Characters => text.char_indices().nth(max).map_or(text.len(), |(end, _)| end),
            Unit::Bytes => text.floor_char_boundary(max),
        }
    }

    /// At most `max` of it, `…` at the end of what is longer.
    pub fn cut(self, text: &str, max: usize) -> String {
        if self.size(text) <= max {
            return text.to_owned();
        }
        let end = self.fitting(text, max.saturating_sub(self.size("…")));
        let mut cut = text.get(..end).unwrap_or_default().to_owned();
        if max >= self.size("…") {
            cut.push('…');
        }
        cut
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An HTML fragment.
    Html,
    /// The same with WxPusher's own element for a button that copies a command.
    HtmlWithCopy,
    /// Markdown, the parts of it that every service knows.
    Markdown,
    /// Plain text.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_in_its_unit_and_never_inside_a_character() {
        assert_eq!(Unit::Characters.cut("备份失败了", 4), "备份失…");
        assert_eq!(Unit::Bytes.cut("备份失败了", 14), "备份失…");
        assert_eq!(Unit::Bytes.cut("备份失败了", 15), "备份失败了");
        assert_eq!(Unit::Bytes.cut("备份", 2), "");
        assert_eq!((Unit::Bytes.size("备份"), Unit::Characters.size("备份")), (6, 2));
    }

    #[test]
    fn plain_text_keeps_to_the_services_unit() {
        let message = Message {
            title: "t".into(),
            summary: "s".into(),
            html: "<p>x</p>".into(),
            markdown: "x".into(),
            text: "备份失败了".into(),
            about: Vec::new(),
            link: None,
        };
        let limits = Limits { unit: Unit::Bytes, form: Form::Markdown, body: 4096, plain: 10, summary_chars: 20 };
        assert_eq!(message.body(Form::Markdown), ("x", Form::Markdown));
        let plain = message.clone().plain(&limits, 1000);
        assert_eq!(plain.body(Form::Markdown), ("备份失", Form::Text));
        assert_eq!(message.plain(&Limits::NONE, 2).body(Form::Html), ("备份", Form::Text));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_over_its_bound(text in "\\PC{0,60}", max in 0usize..100) {
            for unit in [Unit::Characters, Unit::Bytes] {
                proptest::prop_assert!(unit.size(&unit.cut(&text, max)) <= max);
            }
        }
    }
}
