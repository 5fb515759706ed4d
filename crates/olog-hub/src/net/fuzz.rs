//! What is tried on the answers of old clients.

use std::collections::HashMap;

use olog_proto::{Timestamp, event::Id128};

use super::legacy::report;

/// The report of an old client: what is read of it makes bounded events.
pub fn old_report(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let now = Timestamp(1_795_288_264_000);
    if let Ok(mut read) = report::parse(&text, chrono_tz::Asia::Shanghai, now) {
        assert!(read.tasks.len() <= report::TASKS_MAX);
        for event in read.events(&mut HashMap::new(), 1, Id128([7; 16])) {
            assert!(event.is_bounded() && event.at.0 <= now);
        }
    }
}
