//! What is tried on the decoders of this crate: each function takes any bytes, and fails only if an invariant is broken.
//!
//! It is compiled for tests and for cargo-fuzz only. `docs/fuzzing.md` says how to run it.

use std::path::Path;

use olog_daemon::config::read_text;

pub use crate::net::fuzz::old_report;

use crate::{
    config::Config,
    ingest::pings::PingOutput,
    rules::{alert::ReadAlerts, ping::Ping},
};

/// The hub's configuration: it is read, or each mistake is said.
pub fn hub_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(invalid) = read_text("hub.toml", &text, |root| Config::parse(root, Path::new("/etc/olog"))) {
        assert!(!invalid.0.is_empty() && !invalid.to_string().is_empty());
    }
}

/// A ping: the path after `/ping/`, a line end, the query, a line end, the body.
pub fn pings(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (path, query, body) = (String::from_utf8_lossy(next()), String::from_utf8_lossy(next()), next());
    if let Ok(ping) = Ping::read(&path, &query) {
        let run = ping.run.as_ref().map_or_else(String::new, |run| format!("rid={run}"));
        let query = format!("{run}&create={}", u8::from(ping.may_create));
        assert_eq!(Ping::read(&path, &query), Ok(ping.clone()));
        assert!(ping.address.secret().len() <= 64 && ping.address.slug().is_none_or(|slug| slug.len() <= 100));
    }
    assert!(PingOutput::of(body).is_bounded());
}

/// Alerts: what is read is bounded, and what is not read is said.
pub fn alerts(bytes: &[u8]) {
    let read = ReadAlerts::of(bytes, olog_proto::Timestamp(1_795_288_264_000));
    assert!(!read.alerts.is_empty() || !read.mistakes.is_empty() || bytes.trim_ascii().starts_with(b"["));
    for (_, alert) in &read.alerts {
        let others: Vec<_> = read.alerts.iter().map(|(_, other)| other.labels.clone()).take(10).collect();
        assert!(alert.labels.task(&others).is_none_or(|task| task.as_str().len() <= olog_proto::TASK_NAME_MAX));
        assert!(alert.labels.line().len() <= 400);
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
        corpora::run("hub_config", hub_config);
        corpora::run("old_report", old_report);
        corpora::run("pings", pings);
        corpora::run("alerts", alerts);
    }
}
