//! A daemon's own log: it goes to the journal if stderr is connected to the journal (as systemd does it), else to stderr, as text or JSON.
//!
//! The variable `RUST_LOG` selects what is logged. Without it, Olog's crates log from level `info` on and all other crates from `warn` on.
//! [`start`] is called once, before anything else logs. Must not: fail because there is no journal (then the log goes to stderr).

mod journal;

use std::{
    io::{self, Write},
    os::linux::fs::MetadataExt as _,
};

use olog_proto::clean;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _,
};

/// How a line on stderr looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err("expected \"text\" or \"json\""),
        }
    }
}

/// Starts logging for the whole process. `format` asks for stderr even under systemd. A second call changes nothing.
pub fn start(format: Option<Format>) {
    const DEFAULT: &str = "warn,olog_agent=info,olog_hub=info,olog_push=info,olog_daemon=info,olog_proto=info";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let journal = if format.is_none() && stderr_is_the_journal() { journal::layer().ok() } else { None };
    let layer = match (journal, format.unwrap_or_default()) {
        (Some(journal), _) => journal.boxed(),
        (None, Format::Json) => tracing_subscriber::fmt::layer().json().with_writer(|| Lines(io::stderr())).boxed(),
        (None, Format::Text) => text(|| Lines(io::stderr())).boxed(),
    };
    if tracing_subscriber::registry().with(layer).with(filter).try_init().is_err() {
        tracing::debug!("logging was started before");
    }
}

fn text<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // Without colours: [`Lines`] takes out what moves a terminal, whoever wrote it.
    tracing_subscriber::fmt::layer().with_writer(writer).with_target(false).with_ansi(false)
}

/// Writes each event as one line that moves no terminal: a device's name or a log's text may be in it.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    /// `tracing-subscriber` writes an event at once, with the line end.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = clean::line(text.trim_end_matches('\n').replace(['\r', '\n'], " "));
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// systemd names the device and inode of the journal's stream; a redirected stderr is another one (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_hostile_moves_a_terminal_on_which_a_daemon_logs_nor_makes_a_line_of_its_own() {
        let corpus: Vec<String> =
            serde_json::from_str(include_str!("../../olog-proto/src/clean/hostile.json")).unwrap();
        let screen = Screen::default();
        let writer = screen.clone();
        let log = tracing_subscriber::registry().with(text(move || Lines(writer.clone())));
        tracing::subscriber::with_default(log, || {
            for hostile in &corpus {
                tracing::warn!("a device says: {hostile}");
                tracing::warn!(device = hostile.as_str(), error = %hostile, "a device joined");
            }
        });
        let shown = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        assert_eq!(shown.lines().count(), 2 * corpus.len(), "{shown:?}");
        let moves = |c: char| c.is_control() || "\u{202e}\u{2066}\u{2069}\u{61c}\u{200e}\u{2028}".contains(c);
        for line in shown.split_terminator('\n') {
            assert!(!line.contains(moves) && line.contains(" WARN "), "{line:?}");
        }
    }
}
