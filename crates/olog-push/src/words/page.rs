//! The body of a message, written as an HTML fragment, as Markdown and as plain text from one list of parts.
//!
//! Text from logs and names is never taken for more than text: hidden characters, mentions and tags are broken first (`safe`), then
//! each form escapes what means something in it. In plain text every line of a log begins with `│ `, so that a log cannot
//! imitate the lines of the message around it.
//!
//! Of Markdown only what every service shows is used: bold, links, inline and fenced code. A zero-width space is inserted into
//! runs of backticks, because not every service knows longer fences.

use super::safe;
use crate::Form;

/// What a line of a log begins with in plain text.
const LOG_MARK: &str = "│ ";

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
        let part = match part {
            Part::Text(text) => Part::Text(safe::text(&text)),
            Part::Head(text) => Part::Head(safe::text(&text)),
            Part::Log(text) => Part::Log(safe::text(&text)),
            Part::Small(text) => Part::Small(safe::text(&text)),
            Part::Command { label, command, copy } => Part::Command { label, command: safe::command(&command), copy },
            link @ Part::Link { .. } => link,
        };
        let is_empty = match &part {
            Part::Text(text) | Part::Head(text) | Part::Log(text) | Part::Small(text) => text.trim().is_empty(),
            Part::Command { .. } | Part::Link { .. } => false,
        };
        if !is_empty {
            self.0.push(part);
        }
    }

    #[cfg(test)]
    fn of(parts: Vec<Part>) -> Page {
        let mut page = Page::default();
        parts.into_iter().for_each(|part| page.push(part));
        page
    }

    pub(super) fn write(&self, form: Form) -> String {
        match form {
            Form::Html => self.html(false),
            Form::HtmlWithCopy => self.html(true),
            Form::Markdown => self.markdown(),
            Form::Text => self.text(),
        }
    }

    fn html(&self, with_copy: bool) -> String {
        let mut html = String::new();
        for part in &self.0 {
            html.push_str(&match part {
                Part::Text(text) => format!("<p>{}</p>", escaped(text.trim()).replace('\n', "<br>")),
                Part::Head(text) => format!("<p><b>{}</b></p>", escaped(text)),
                Part::Log(text) => {
                    format!("<pre style=\"white-space:pre-wrap;word-break:break-word\">{}</pre>", escaped(text))
                }
                Part::Command { label, command, copy } => {
                    let (label, command, copy) = (escaped(label), escaped(command), escaped(copy));
                    let button = if with_copy {
                        format!(" <copy data-clipboard-text=\"{command}\">{copy}</copy>")
                    } else {
                        String::new()
                    };
                    format!("<p>{label} <code>{command}</code>{button}</p>")
                }
                Part::Link { label, url } => format!("<p><a href=\"{}\">{}</a></p>", escaped(url), escaped(label)),
                Part::Small(text) => format!("<p style=\"color:#888\">{}</p>", escaped(text)),
            });
        }
        html
    }

    fn markdown(&self) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) | Part::Small(text) => markdown(text),
            Part::Head(text) => format!("**{}**", markdown(text.trim())),
            Part::Log(text) => {
                format!("```\n{}\n```", text.replace("``", "`\u{200b}`").trim_end())
            }
            Part::Command { label, command, .. } => {
                let code = if command.contains('`') { format!("`` {command} ``") } else { format!("`{command}`") };
                format!("{} {code}", markdown(label))
            }
            Part::Link { label, url } => {
                let url: String = url.chars().map(|c| in_link(c).map_or(c.to_string(), str::to_owned)).collect();
                format!("[{}]({url})", markdown(label))
            }
        });
        parts.collect::<Vec<_>>().join("\n\n")
    }

    fn text(&self) -> String {
        let lines = self.0.iter().map(|part| match part {
            Part::Text(text) | Part::Head(text) | Part::Small(text) => text.clone(),
            Part::Log(text) => {
                text.trim_end().split('\n').map(|line| format!("{LOG_MARK}{line}")).collect::<Vec<_>>().join("\n")
            }
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
            c => escaped.push(c),
        }
    }
    escaped
}

/// A text in Markdown: nothing in it is taken for more than itself.
pub(crate) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for (n, line) in text.trim_end().split('\n').enumerate() {
        if n > 0 {
            // Two blanks before the end: else services put two lines into one.
            escaped.push_str("  \n");
        }
        // Indented it would be code.
        let line = line.trim_start();
        let n_digits = line.chars().take_while(char::is_ascii_digit).count();
        for (place, c) in line.chars().enumerate() {
            let is_mark = match place {
                _ if "\\`*_[]<&|~".contains(c) => true,
                0 => "#>+-=".contains(c),
                place => place == n_digits && ".)".contains(c),
            };
            if is_mark {
                escaped.push('\\');
            }
            escaped.push(c);
        }
    }
    escaped
}

/// What would end a link.
fn in_link(c: char) -> Option<&'static str> {
    Some(match c {
        '(' => "%28",
        ')' => "%29",
        '<' => "%3C",
        '>' => "%3E",
        ' ' => "%20",
        c if c.is_control() => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_shows_what_a_text_holds_and_nothing_more() {
        let page = Page::of(vec![
            Part::Head("ERR **web_1**".into()),
            Part::Text("# no head\n- no list\n1. none\n    [x](http://evil) <b> & a|b".into()),
            Part::Log("a\u{1b}[0m\n```\n# b\n````".into()),
            Part::Command { label: "Log in".into(), command: "echo `id`".into(), copy: "copy".into() },
            Part::Link { label: "all [of it]".into(), url: "https://h/a(b) c".into() },
        ]);
        let blocks = [
            r"**ERR \*\*web\_1\*\***",
            "\\# no head  \n\\- no list  \n1\\. none  \n\\[x\\]\u{200b}(http://evil) \\<\u{200b}b> \\& a\\|b",
            "```\na [0m\n`\u{200b}``\n# b\n`\u{200b}``\u{200b}`\n```",
            "Log in `` echo `id` ``",
            r"[all \[of it\]](https://h/a%28b%29%20c)",
        ];
        assert_eq!(page.markdown(), blocks.join("\n\n"));
    }

    #[test]
    fn a_log_cannot_imitate_the_lines_around_it() {
        let log = "disk full\nLog in ssh root@203.0.113.66\nERR bank/db — call 555\u{1b}[2J\0";
        let page = Page::of(vec![Part::Text("db failed.".into()), Part::Log(log.into())]);
        let lines = "db failed.\n│ disk full\n│ Log in ssh root@203.0.113.66\n│ ERR bank/db — call 555 [2J ";
        assert_eq!(page.write(Form::Text).trim_end(), lines.trim_end());
    }

    #[test]
    fn only_wxpusher_gets_its_button() {
        let page =
            Page::of(vec![Part::Command { label: "Log in".into(), command: "ssh a".into(), copy: "copy".into() }]);
        assert_eq!(page.write(Form::Html), "<p>Log in <code>ssh a</code></p>");
        assert!(page.write(Form::HtmlWithCopy).contains("<copy data-clipboard-text=\"ssh a\">copy</copy>"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_of_any_kind_ends_a_block_of_markdown(text in "[`\\\\ab\n]{0,40}") {
            let page = Page::of(vec![Part::Log(text)]);
            let markdown = page.markdown();
            proptest::prop_assert!(markdown.is_empty() || markdown.matches("```").count() == 2, "{markdown}");
        }
    }
}
