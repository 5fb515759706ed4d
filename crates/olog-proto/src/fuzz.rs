//! What is tried on the decoders of this crate: each function takes any bytes, and fails only if an invariant is broken.
//!
//! It is compiled for tests and for cargo-fuzz only. `docs/fuzzing.md` says how to run it.

use crate::{
    DeviceName, Excerpt, FINGERPRINTS_MAX, JoinLink, PATH_MAX, TASK_NAME_MAX, TaskName, clean,
    fingerprint::{fingerprints, taken_out},
    frame::{AgentFrame, HubFrame},
    name::{is_invisible, is_unprintable, path_text},
    redact::{Before, Redactor},
};

/// Frames of both directions: what is read is written as something that is read as the same.
pub fn frames(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(frame) = AgentFrame::decode(&text)
        && let Ok(written) = frame.encode()
    {
        assert_eq!(AgentFrame::decode(&written).ok(), Some(frame));
    }
    if let Ok(frame) = HubFrame::decode(&text)
        && let Ok(written) = frame.encode()
    {
        assert_eq!(HubFrame::decode(&written).ok(), Some(frame));
    }
}

/// Names of files, devices and tasks.
pub fn names(bytes: &[u8]) {
    assert!(path_text(bytes).len() <= PATH_MAX);
    assert!(!path_text(bytes).contains(is_invisible));
    for file in [bytes.to_vec(), [bytes, b".err"].concat()] {
        if let Some((task, _)) = TaskName::of_file(&file) {
            assert!(task.as_str().len() <= TASK_NAME_MAX && !task.as_str().contains(is_invisible));
            assert_eq!(TaskName::try_from(task.as_str().to_owned()).as_ref(), Ok(&task));
            let redacted = Redactor::default().redact_task(task);
            assert!(redacted.as_str().len() <= TASK_NAME_MAX);
        }
    }
    if let Ok(device) = DeviceName::try_from(String::from_utf8_lossy(bytes).into_owned()) {
        assert!(!device.as_str().contains(is_invisible));
    }
}

/// What a terminal would obey is taken out; a text that is clean stays as it is.
pub fn cleaning(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let is_bad = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    let cleaned = clean::log_text(&text);
    assert!(!cleaned.contains(is_bad) && cleaned.len() <= text.len());
    assert_eq!(clean::text(cleaned.clone()), cleaned);
    assert!(!clean::line(text.clone().into_owned()).contains(is_unprintable));
    assert!(!clean::for_terminal(&text).contains(is_bad));
    let excerpt = Excerpt::of(&cleaned);
    assert!(excerpt.head().len() + excerpt.tail().len() <= cleaned.len());
}

/// Secrets of a text that comes in two pieces, the first byte says where it is divided.
pub fn redaction(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes.get(1..).unwrap_or_default());
    let redactor = Redactor::default();
    let whole = redactor.redact(&text, &Before::Nothing);
    assert!(whole.len() <= text.len() + 3 * (text.len() + 1));
    let at = text.floor_char_boundary(usize::from(bytes.first().copied().unwrap_or_default()).min(text.len()));
    let (first, second) = text.split_at(at);
    let shown = redactor.redact(second, &Before::of(first));
    assert!(shown.len() <= second.len() + 3 * (second.len() + 1));
}

/// Fingerprints are bounded, and what is taken out of a line lies in it.
pub fn fingerprinting(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let found = fingerprints(&text);
    assert!(found.len() <= FINGERPRINTS_MAX);
    for line in text.lines() {
        for part in taken_out(line) {
            assert!(line.get(part).is_some());
        }
    }
}

/// Links with which a device joins.
pub fn links(bytes: &[u8]) {
    if let Ok(link) = String::from_utf8_lossy(bytes).parse::<JoinLink>() {
        assert_eq!(link.to_string().parse::<JoinLink>().ok(), Some(link));
    }
}

#[cfg(test)]
#[path = "../../../fuzz/corpora.rs"]
mod corpora;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_decoder_breaks_an_invariant_on_its_corpus_and_what_lies_near_it() {
        corpora::run("frames", frames);
        corpora::run("names", names);
        corpora::run("cleaning", cleaning);
        corpora::run("redaction", redaction);
        corpora::run("fingerprinting", fingerprinting);
        corpora::run("links", links);
    }
}
