//! A daemon's own log: it goes to the journal if stderr is connected to the journal (as systemd does it), else to stderr, as text or JSON.
//!
//! The variable `RUST_LOG` selects what is logged. Without it, Olog's crates log from level `info` on and all other crates from `warn` on.
//! [`start`] is called once, before anything else logs. Must not: fail because there is no journal (then the log goes to stderr).

mod journal;

use std::{io, os::linux::fs::MetadataExt as _};

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt as _, util::SubscriberInitExt as _};

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
        (None, Format::Json) => tracing_subscriber::fmt::layer().json().with_writer(io::stderr).boxed(),
        (None, Format::Text) => tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_target(false)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .boxed(),
    };
    if tracing_subscriber::registry().with(layer).with(filter).try_init().is_err() {
        tracing::debug!("logging was started before");
    }
}

/// systemd names the device and inode of the journal's stream; a redirected stderr is another one (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino())
}
