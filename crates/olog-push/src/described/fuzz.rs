//! What is tried on the answers of services.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use olog_proto::{Timestamp, name::is_unprintable};

use super::{description::ChannelTypeDef, known::ChannelCatalog};
use crate::{Answer, http::Reply};

/// An answer's body as every service's description reads it: its words are bounded and harmless, and no wait is without end.
pub fn answers(bytes: &[u8]) {
    // Read once: to read them costs more than all the rest.
    static DESCRIPTIONS: LazyLock<Vec<Arc<ChannelTypeDef>>> = LazyLock::new(|| {
        let catalog = ChannelCatalog::built_in();
        catalog.names().into_iter().filter_map(|name| catalog.get(name).flatten()).collect()
    });
    let status = [200, 400, 401, 404, 413, 429, 500, 503];
    for description in DESCRIPTIONS.iter() {
        for status in status {
            let reply = Reply { status, retry_after: None, body: bytes.to_vec() };
            let answer = description.reading.read(&reply, Timestamp(0), crate::http::one_line);
            if let Answer::Later { after: Some(after), .. } = &answer {
                assert!(*after <= Duration::from_secs(7 * 86_400));
            }
            let (Answer::Accepted { words } | Answer::Later { why: words, .. } | Answer::Refused { why: words, .. }) =
                &answer;
            assert!(words.chars().count() <= 1_000 && !words.contains(is_unprintable));
        }
    }
}
