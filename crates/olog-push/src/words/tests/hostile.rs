//! Logs that write what a service, a page or a terminal would obey.

use super::*;

#[test]
fn in_plain_text_each_line_of_a_hostile_log_is_marked_and_in_html_it_is_text() {
    let corpus: Vec<String> =
        serde_json::from_str(include_str!("../../../../olog-proto/src/clean/hostile.json")).unwrap();
    let calm = error_of("dev", "task", NIGHT, "calm", Reason::First);
    let lines_of = |notices: &[Notice]| compose(notices, &context(Language::En)).message.text.lines().count();
    for hostile in corpus {
        let notice = error_of("dev", "task", NIGHT, &format!("calm\n{hostile}"), Reason::First);
        for notices in [vec![notice.clone()], vec![calm.clone(), notice]] {
            let message = compose(&notices, &context(Language::En)).message;
            let marked: Vec<&str> = message.text.lines().filter(|line| line.starts_with("│ ")).collect();
            let of_log = message.text.lines().filter(|line| line.contains("evil") || line.contains("203.0.113.66"));
            assert!(of_log.clone().all(|line| line.starts_with("│ ")), "{}", message.text);
            // No line is there that is neither ours nor marked.
            let ours = message.text.lines().count() - marked.len();
            assert!(ours <= lines_of(&[calm.clone(), calm.clone()]), "{}", message.text);
            for html in [&message.html, &message.summary, &message.title] {
                for mark in ["<script", "<img", "<svg", "<at", "onload=alert(1)>\"", "\u{1b}", "\u{202e}", "\0", "\r"] {
                    assert!(!html.contains(mark), "{mark:?} in {html}");
                }
            }
            assert!(!message.html.contains("=\"rm -rf /"), "{}", message.html);
            // What an `exec` channel's program reads, in each form of its standard input.
            for (input, read) in crate::exec::inputs(&message, NIGHT) {
                let read = String::from_utf8(read).unwrap();
                for mark in ["\u{1b}", "\u{202e}", "\u{2066}", "\0", "\r", "\u{9b}", "\u{7f}", "\u{2028}"] {
                    assert!(!read.contains(mark), "{mark:?} in {input}: {read}");
                }
                if input == "json" {
                    let read: serde_json::Value = serde_json::from_str(&read).unwrap();
                    assert_eq!(read["text"], message.text);
                }
            }
            assert!(!message.summary.contains('\n') && !message.title.contains('\n'), "{message:?}");
        }
    }
}
