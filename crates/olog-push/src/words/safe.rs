//! Makes text from logs, names and paths harmless in every output, whatever service shows it.
//!
//! Three things are taken away from it: control characters and invisible ones that reorder text (terminal escapes, NUL, bidirectional
//! overrides); what a service reads as a mention of a person or of everybody (`@name`, `<at …>`, `<@id>`, `<!here>`); and tags and
//! links (`<b>`, `[text](address)`) in services that read them in plain text. A zero-width space is put behind the first character
//! of such a mark: a reader sees the same text, a service sees none. An address like `user@host` stays as it is.
//!
//! Escaping for HTML and Markdown is done in `page`, after this.

use olog_proto::name::is_unprintable;

/// Put into a mark, it is no mark any more.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// A character that is shown by nothing, or that changes how others are shown: a blank stands for it.
pub(super) fn is_hidden(c: char) -> bool {
    is_unprintable(c) && !matches!(c, '\n' | '\t')
}

/// Text of several lines without hidden characters and without active marks.
pub(crate) fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + text.len() / 32);
    let mut before = ' ';
    let mut chars = text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).peekable();
    while let Some(c) = chars.next() {
        safe.push(c);
        let next = chars.peek().copied().unwrap_or(' ');
        let is_mark = match c {
            // In the middle of a word it is an address of mail or of ssh.
            '@' => !before.is_alphanumeric() && !matches!(before, '.' | '_' | '-' | '+') && is_name(next),
            '<' => next.is_alphabetic() || matches!(next, '@' | '!' | '#' | '/' | ':'),
            ']' => next == '(',
            _ => false,
        };
        if is_mark {
            safe.push(ZERO_WIDTH_SPACE);
        }
        before = c;
    }
    safe
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '*')
}

/// The same on one line: what ends a line in it is a blank.
pub(crate) fn one_line(line: &str) -> String {
    let line: String = line.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c }).collect();
    text(line.trim())
}

/// A command for a shell. It is copied, so nothing is put into it: a mark that a name holds is divided by the shell's own quotes.
pub(super) fn command(command: &str) -> String {
    command.chars().map(|c| if is_hidden(c) || matches!(c, '\n' | '\t') { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_broken_and_looks_the_same() {
        for (given, expected) in [
            ("<at user_id=\"all\">everyone</at>", "<\u{200b}at user_id=\"all\">everyone<\u{200b}/at>"),
            ("hey @everyone, @here", "hey @\u{200b}everyone, @\u{200b}here"),
            ("<!channel> <@U123> <#C1>", "<\u{200b}!channel> <\u{200b}@\u{200b}U123> <\u{200b}#C1>"),
            ("[pay](http://evil)", "[pay]\u{200b}(http://evil)"),
            ("mail root@example.com, ssh a.b@h", "mail root@example.com, ssh a.b@h"),
            ("@所有人", "@\u{200b}所有人"),
            ("a < b, x @ y, list[1] (2)", "a < b, x @ y, list[1] (2)"),
            ("a\u{1b}[31mred\0\u{202e}x", "a [31mred  x"),
        ] {
            assert_eq!(text(given), expected);
        }
        assert_eq!(one_line(" a\nb\r\n"), "a b");
    }

    proptest::proptest! {
        #[test]
        fn no_text_keeps_an_active_mark(text in "[@<>!#/a全\\[\\]() \n\u{1b}\u{202e}]{0,30}") {
            let safe = super::text(&text);
            proptest::prop_assert!(!safe.contains(is_hidden));
            proptest::prop_assert!(!safe.contains("<a") && !safe.contains("<@") && !safe.contains("<!") && !safe.contains("]("));
            proptest::prop_assert!(!safe.contains(" @a") && !safe.starts_with("@a") && !safe.contains("\n@全"));
            let again = super::text(&safe);
            proptest::prop_assert_eq!(again, safe, "what is safe is left alone");
        }
    }
}
