//! A push as the phone shows it: the card with its 20 characters, and the page behind it.

use std::fmt::Write as _;
use std::io::Write as _;

use super::Push;

const CARD: usize = 20;
const WIDTH: usize = 76;

impl Push {
    /// What the card shows: about 20 characters.
    pub fn title(&self) -> String {
        match self.summary.char_indices().nth(CARD) {
            Some((end, _)) => format!("{}…", self.summary.get(..end).unwrap_or_default()),
            None => self.summary.clone(),
        }
    }

    /// The page behind the card, as plain text.
    pub fn text(&self) -> String {
        if self.content_type == 2 { plain(&self.content) } else { self.content.clone() }
    }

    /// Card and page in a frame.
    pub fn card(&self) -> String {
        let mut card = String::new();
        let seconds = self.wall.0.rem_euclid(86_400_000) / 1000;
        let time = format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60);
        _ = writeln!(card, "  ┌─ {time} ─ {} {}", self.receiver, "─".repeat(40));
        _ = writeln!(card, "  │ {}", self.title());
        _ = writeln!(card, "  ├{}", "┄".repeat(30));
        for line in self.text().lines() {
            let chars: Vec<char> = line.chars().collect();
            for piece in chars.chunks(WIDTH) {
                _ = writeln!(card, "  │ {}", piece.iter().collect::<String>());
            }
        }
        _ = writeln!(card, "  └{}", "─".repeat(30));
        card
    }

    /// Shows it in the terminal.
    pub fn print(&self) {
        // The phone goes on when the terminal is closed.
        let _written = std::io::stdout().lock().write_all(self.card().as_bytes());
    }
}

/// HTML as a phone shows it: the end of a block ends the line, all other tags are removed.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = after.split_once('>').unwrap_or((after, ""));
        let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap_or_default();
        let closes = tag.starts_with('/');
        match name {
            "br" => text.push('\n'),
            "p" | "div" | "pre" | "blockquote" | "ul" if closes && !text.ends_with('\n') => text.push('\n'),
            "pre" | "blockquote" | "ul" | "li" if !closes && !text.is_empty() && !text.ends_with('\n') => {
                text.push('\n')
            }
            "copy" => text.push_str(if closes { "]" } else { "[" }),
            _ => {}
        }
        rest = after;
    }
    text.push_str(rest);
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}
