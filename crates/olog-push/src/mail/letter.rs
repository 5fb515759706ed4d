//! Builds the e-mail of a message: ASCII headers for any text, and plain text and HTML as alternatives.
//!
//! Header lines are folded at 78 bytes, so that a message to many receivers stays below the limit of 998 bytes (RFC 5322).

use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use olog_proto::Timestamp;

use crate::Message;

/// Bytes of a header's line, where it can be divided.
const LINE_MAX: usize = 78;

/// The letter's bytes, or why there is none.
pub(super) fn write(from: &Mailbox, to: &[&Address], message: &Message, now: Timestamp) -> Result<Vec<u8>, String> {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .subject(on_one_line(&message.summary))
        .date(at)
        .message_id(Some(message_id(from)?))
        // RFC 3834: no out-of-office answers, please.
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    // The envelope comes from the conversation; here the builder only asks that there is one.
    let envelope = Envelope::new(Some(from.email.clone()), to.iter().map(|address| (*address).clone()).collect());
    builder = builder.envelope(envelope.map_err(|error| format!("this cannot be written as a letter: {error}"))?);
    let raw: Vec<&str> = to.iter().map(|address| address.as_ref()).collect();
    let name = HeaderName::new_from_ascii_str("To");
    builder = builder.raw_header(HeaderValue::dangerous_new_pre_encoded(name, raw.join(", "), folded("To: ", &raw)));
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

/// Addresses as the value of a header, a new line before what would make one longer than [`LINE_MAX`].
fn folded(name: &str, addresses: &[&str]) -> String {
    let mut value = String::new();
    let mut length = name.len();
    for (place, address) in addresses.iter().enumerate() {
        let comma = usize::from(place + 1 < addresses.len());
        if place > 0 {
            let fits = length + 1 + address.len() + comma <= LINE_MAX;
            value.push_str(if fits { " " } else { "\r\n " });
            length = if fits { length + 1 } else { 1 };
        }
        value.push_str(address);
        value.push_str(if comma == 1 { "," } else { "" });
        length += address.len() + comma;
    }
    value
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_to_many_receivers_has_short_header_lines_and_names_all_of_them() {
        let of = |n: usize| format!("operator-number-{n:04}@mail.example.com").parse::<Address>().unwrap();
        let addresses: Vec<Address> = (0..60).map(of).collect();
        let to: Vec<&Address> = addresses.iter().collect();
        let message = Message {
            title: "ERR".into(),
            summary: "异常 comsrv/mysql — 无法连接数据库服务器，磁盘空间不足".repeat(2),
            html: "<p>x</p>".into(),
            markdown: String::new(),
            text: "x".into(),
            about: Vec::new(),
            link: None,
        };
        let letter = write(&"olog@example.com".parse().unwrap(), &to, &message, Timestamp(0)).unwrap();
        let letter = String::from_utf8(letter).unwrap();
        let head = letter.split("\r\n\r\n").next().unwrap();
        for line in head.split("\r\n") {
            assert!(line.len() <= 78, "{} bytes: {line}", line.len());
        }
        let unfolded = head.replace("\r\n ", " ");
        let line = unfolded.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
        let named: Vec<&str> = line.split(", ").collect();
        assert_eq!(named, addresses.iter().map(|address| address.as_ref()).collect::<Vec<&str>>());
    }
}
