//! A message as a letter: headers in ASCII whatever the words are, plain text and HTML side by side.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use olog_proto::At;

use crate::Message;

/// The letter's bytes, or why there is none.
pub(super) fn write(from: &Mailbox, to: &[&Address], message: &Message, now: At) -> Result<Vec<u8>, String> {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .subject(on_one_line(&message.summary))
        .date(at)
        .message_id(Some(message_id(from)?))
        // RFC 3834: no out-of-office answers, please.
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    for address in to {
        builder = builder.to(Mailbox::new(None, (*address).clone()));
    }
    let text = message.text.replace('\0', "");
    let letter = if message.html.is_empty() {
        builder.singlepart(SinglePart::plain(text))
    } else {
        let html = format!(
            "<!doctype html><html><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"></head><body>{}</body></html>",
            message.html.replace('\0', "")
        );
        builder.multipart(MultiPart::alternative_plain_html(text, html))
    };
    letter.map(|letter| letter.formatted()).map_err(|error| format!("this cannot be written as a letter: {error}"))
}

/// What ends a line ends a header.
fn on_one_line(words: &str) -> String {
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().to_owned()
}

/// Never twice the same: some mailboxes show a known one only once.
fn message_id(from: &Mailbox) -> Result<String, String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(format!("<{:032x}@{}>", u128::from_le_bytes(random), from.email.domain()))
}
