//! Entries for the journal, in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
//!
//! An entry carries every field of an event twice. As a field of its own, `OLOG_DEVICE=pi`, for who searches:
//! `journalctl OLOG_DEVICE=pi`. And in its line, `a device joined device=pi from=10.0.0.7`, because `journalctl -u olog-hub` shows
//! nothing but lines, and "no session with the hub" without its reason helps nobody.
//!
//! One datagram an entry, every value bounded, so that it always fits. An entry that the journal does not take is lost: there
//! is nobody left to tell, and no daemon stops for its log.

use std::{fmt, io, os::unix::net::UnixDatagram, path::Path};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Before each field of ours: the journal's own have none.
const PREFIX: &str = "OLOG_";
/// Bytes of a value. A datagram may have about 200 KiB, an event has a handful of fields.
const VALUE_MAX: usize = 8 * 1024;

/// The layer that sends every event to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    /// What `journalctl -t` knows us by.
    identifier: String,
}

impl Journal {
    /// Fails where there is no journal.
    pub(super) fn open() -> io::Result<Journal> {
        let socket = UnixDatagram::unbound()?;
        // An empty datagram says nothing, and says whether somebody listens.
        socket.send_to(&[], SOCKET)?;
        let program = std::env::args_os().next().unwrap_or_default();
        let identifier = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Journal { socket, identifier })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::default();
        event.record(&mut entry);
        let origin = event.metadata();
        entry.put("SYSLOG_IDENTIFIER", &self.identifier);
        entry.put("PRIORITY", priority(origin.level()));
        entry.put("TARGET", origin.target());
        // Named at each entry: journald may have been started anew since.
        let _lost = self.socket.send_to(&entry.finish(), SOCKET);
    }
}

/// As syslog(3) numbers them.
fn priority(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

#[derive(Debug, Default)]
struct Entry {
    bytes: Vec<u8>,
    message: String,
    /// ` device=pi from=10.0.0.7`
    fields: String,
}

impl Entry {
    /// A field in the form that may hold anything: name, length, value.
    fn put(&mut self, name: &str, value: &str) {
        let value = cut(value);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'\n');
        self.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(b'\n');
    }

    fn take(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let name: String = field.name().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        self.put(&format!("{PREFIX}{}", name.to_ascii_uppercase()), &value);
        let is_word = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        let shown = if is_word { value } else { format!("{value:?}") };
        self.fields += &format!(" {}={shown}", field.name());
    }

    fn finish(mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.message) + &self.fields;
        self.put("MESSAGE", line.trim_start());
        self.bytes
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }
}

/// Bounded, and never inside a character.
fn cut(value: &str) -> &str {
    let end = (0..=VALUE_MAX.min(value.len())).rev().find(|&at| value.is_char_boundary(at));
    end.and_then(|end| value.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The fields of an entry, as journald reads them.
    fn read(mut bytes: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|b| *b == b'\n').unwrap();
            let (name, rest) = bytes.split_at(end);
            let (length, rest) = rest[1..].split_at(8);
            let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
            let (value, rest) = rest.split_at(length);
            assert_eq!(rest[0], b'\n');
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            fields.insert(text(name), text(value));
            bytes = &rest[1..];
        }
        fields
    }

    /// What the event in `tell` becomes.
    fn entry(tell: impl FnOnce()) -> BTreeMap<String, String> {
        struct Catch(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl<S: Subscriber> Layer<S> for Catch {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                let mut entry = Entry::default();
                event.record(&mut entry);
                *self.0.lock().unwrap() = entry.finish();
            }
        }
        let caught = std::sync::Arc::default();
        let layers = tracing_subscriber::registry().with(Catch(std::sync::Arc::clone(&caught)));
        tracing::subscriber::with_default(layers, tell);
        let bytes = caught.lock().unwrap().clone();
        read(&bytes)
    }

    #[test]
    fn an_entry_can_be_searched_by_its_fields_and_read_by_its_line() {
        let error = io::Error::other("Connection refused");
        let fields = entry(|| tracing::warn!(device = "pi", n = 3, %error, "no session with the hub"));
        assert_eq!(fields["OLOG_DEVICE"], "pi");
        assert_eq!(fields["OLOG_ERROR"], "Connection refused");
        assert_eq!(fields["MESSAGE"], "no session with the hub device=pi n=3 error=\"Connection refused\"");
    }

    #[test]
    fn a_value_of_many_lines_stays_whole_in_its_field_and_on_one_line_in_the_line() {
        let fields = entry(|| tracing::error!(findings = "one\ntwo", "refused"));
        assert_eq!(fields["OLOG_FINDINGS"], "one\ntwo");
        assert_eq!(fields["MESSAGE"], "refused findings=\"one\\ntwo\"");
    }

    #[test]
    fn no_value_is_larger_than_its_bound_nor_cut_inside_a_character() {
        let long = "错".repeat(VALUE_MAX);
        let fields = entry(|| tracing::info!(text = long, "long"));
        assert_eq!(fields["OLOG_TEXT"].len(), VALUE_MAX / 3 * 3);
        assert!(fields["MESSAGE"].len() <= VALUE_MAX);
    }
}
