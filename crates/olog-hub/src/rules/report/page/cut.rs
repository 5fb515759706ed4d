//! How texts of logs are shortened for the page: by characters, by lines.

/// Characters of a name, of a line of an excerpt.
pub(super) const NAME: usize = 60;
pub(super) const LINE: usize = 160;

/// At most so many characters.
pub(super) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

pub(super) fn last_lines(text: &str, max: usize) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(max)
        .map(|line| cut(line.trim_end(), LINE))
        .collect();
    lines.reverse();
    lines.join("\n")
}

/// The first two and the last three lines of what has more than six.
pub(super) fn six_lines(text: &str) -> String {
    let lines: Vec<String> =
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| cut(line.trim_end(), LINE)).collect();
    if lines.len() <= 6 {
        return lines.join("\n");
    }
    let ends = lines.iter().take(2).map(String::as_str).chain(["…"]);
    ends.chain(lines.iter().skip(lines.len() - 3).map(String::as_str)).collect::<Vec<_>>().join("\n")
}
