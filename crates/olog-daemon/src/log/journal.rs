//! The journal: `tracing-journald` writes the entries, and this file composes the line that people read.
//!
//! An entry carries every field of an event twice. As a field of its own, `OLOG_DEVICE=pi`, so that `journalctl OLOG_DEVICE=pi` finds
//! it; and in its line, `a device joined device=pi from=10.0.0.7`, because `journalctl -u olog-hub` shows only lines, and "no
//! session with the hub" without its reason helps nobody. [`Readable`] replaces an event's message by such a line and hands
//! the event on. Every value is bounded. An entry that the journal does not accept is lost: no daemon stops for its log.

use std::{fmt, io, path::Path};

use olog_proto::clean;
use tracing::{
    Event, Subscriber,
    field::{Field, Value, Visit},
    span::{Attributes, Id, Record},
};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Before each field of ours: the journal's own fields have no prefix.
const PREFIX: &str = "OLOG";
/// Bytes of a value. An event has a handful of fields.
const VALUE_MAX: usize = 8 * 1024;
/// The macros of `tracing` allow no more fields of an event.
const FIELDS_MAX: usize = 32;
const MESSAGE: &str = "message";

/// The layer that sends every event to the journal; fails where there is no journal.
pub(super) fn layer<S>() -> io::Result<impl Layer<S>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let program = std::env::args_os().next().unwrap_or_default();
    let identifier = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    let journal = tracing_journald::layer()?
        .with_field_prefix(Some(PREFIX.to_owned()))
        .with_syslog_identifier(identifier)
        .with_priority_mappings(priorities);
    Ok(Readable(journal))
}

/// Hands each event on to the inner layer, with its fields at the end of its message.
struct Readable<L>(L);

impl<S: Subscriber, L: Layer<S>> Layer<S> for Readable<L> {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let known = event.metadata().fields();
        let Some(message) = known.field(MESSAGE) else { return self.0.on_event(event, context) };
        let line = fields.line();
        let mut values: [(&Field, Option<&dyn Value>); FIELDS_MAX] = [(&message, None); FIELDS_MAX];
        let others = fields.values.iter().map(|(field, value)| (field, value as &dyn Value));
        let all = std::iter::once((&message, &line as &dyn Value)).chain(others);
        for (place, (field, value)) in values.iter_mut().zip(all) {
            *place = (field, Some(value));
        }
        self.0.on_event(&Event::new(event.metadata(), &known.value_set(&values)), context);
    }

    // The inner layer expects to have met the spans that an event is in.
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }
}

/// The fields of an event, as text.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    values: Vec<(Field, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: &str) {
        let value = cut(value).to_owned();
        if field.name() == MESSAGE {
            self.message = value;
        } else {
            self.values.push((field.clone(), value));
        }
    }

    /// `a device joined device=pi from=10.0.0.7`
    fn line(&self) -> String {
        let mut line = self.message.clone();
        for (field, value) in &self.values {
            let is_word =
                !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
            let shown = if is_word { value.clone() } else { format!("{value:?}") };
            line += &format!(" {field}={shown}");
        }
        // A device's name or a log's text may be in it: a terminal that shows it must not obey it.
        let line = clean::line(line.replace(['\r', '\n'], " "));
        cut(line.trim_start()).to_owned()
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

/// Bounded, and never inside a character.
fn cut(value: &str) -> &str {
    value.get(..value.floor_char_boundary(VALUE_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// In the place of the journal: the fields of the last event.
    #[derive(Default, Clone)]
    struct Caught(Arc<Mutex<BTreeMap<String, String>>>);

    impl<S: Subscriber> Layer<S> for Caught {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            struct Into<'a>(&'a mut BTreeMap<String, String>);
            impl Visit for Into<'_> {
                fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                    self.0.insert(field.name().to_owned(), format!("{value:?}"));
                }
                fn record_str(&mut self, field: &Field, value: &str) {
                    self.0.insert(field.name().to_owned(), value.to_owned());
                }
            }
            event.record(&mut Into(&mut self.0.lock().unwrap()));
        }
    }

    /// What the journal gets of the event in `say`.
    fn entry(say: impl FnOnce()) -> BTreeMap<String, String> {
        let caught = Caught::default();
        let layers = tracing_subscriber::registry().with(Readable(caught.clone()));
        tracing::subscriber::with_default(layers, say);
        caught.0.lock().unwrap().clone()
    }

    #[test]
    fn an_entry_can_be_searched_by_its_fields_and_read_by_its_line() {
        let error = io::Error::other("Connection refused");
        let fields = entry(|| tracing::warn!(device = "pi", n = 3, %error, "no session with the hub"));
        assert_eq!(fields["device"], "pi");
        assert_eq!(fields["error"], "Connection refused");
        assert_eq!(fields["n"], "3");
        assert_eq!(fields["message"], "no session with the hub device=pi n=3 error=\"Connection refused\"");
        assert_eq!(fields.len(), 4);
    }

    #[test]
    fn an_event_of_fields_alone_and_one_of_words_alone_stay_as_they_are() {
        let fields = entry(|| tracing::warn!(device = "pi"));
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), [("device".to_owned(), "pi".to_owned())]);
        let fields = entry(|| tracing::warn!("the hub runs"));
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), [("message".to_owned(), "the hub runs".to_owned())]);
    }

    #[test]
    fn a_value_of_many_lines_stays_whole_in_its_field_and_on_one_line_in_the_line() {
        let fields = entry(|| tracing::error!(findings = "one\ntwo", "refused"));
        assert_eq!(fields["findings"], "one\ntwo");
        assert_eq!(fields["message"], "refused findings=\"one\\ntwo\"");
    }

    #[test]
    fn nothing_hostile_moves_a_terminal_in_which_the_journal_is_read() {
        let corpus = include_str!("../../../olog-proto/src/clean/hostile.json");
        let corpus: Vec<String> = serde_json::from_str(corpus).unwrap();
        for hostile in corpus {
            for fields in [
                entry(|| tracing::warn!("a device says: {hostile}")),
                entry(|| tracing::warn!(device = hostile.as_str(), error = %hostile, "a device joined")),
            ] {
                let line = &fields["message"];
                let moves = |c: char| c.is_control() || "\u{202e}\u{2066}\u{2069}\u{61c}\u{200e}\u{2028}".contains(c);
                assert!(!line.contains(moves), "{hostile:?}: {line:?}");
            }
        }
    }

    #[test]
    fn no_value_is_larger_than_its_bound_nor_cut_inside_a_character() {
        let long = "错".repeat(VALUE_MAX);
        let fields = entry(|| tracing::info!(text = long, "long"));
        assert_eq!(fields["text"].len(), VALUE_MAX / 3 * 3);
        assert!(fields["message"].len() <= VALUE_MAX);
    }

    #[test]
    fn an_event_inside_a_span_is_handed_on() {
        let fields = entry(|| tracing::error_span!("call", n = 1).in_scope(|| tracing::error!("failed")));
        assert_eq!(fields["message"], "failed");
    }
}
