//! The keys of a WxPusher channel.

use std::collections::BTreeSet;

use olog_daemon::config::{Key, Table};
use olog_daemon::keys;
use olog_daemon::secret::{SECRET_NOT_LOADED, Secret};

use super::{API_URL, Whom, Wxpusher};
use crate::http::Endpoint;

/// Of the type `wxpusher`: `token` with `uids` and `topic_ids`, or `spt` alone.
pub(crate) static KEYS: &[Key] = keys! {
    /// The application's token (`AT_…`).
    "token", Secret, Unset, "0.1";
    /// The users (`UID_…`) that are told.
    "uids", Texts, Unset, "0.1";
    /// The topics whose subscribers are told.
    "topic_ids", Ints, Unset, "0.1";
    /// Simple push: a list of tokens (`SPT_…`), or a file with one a line. It stands alone.
    "spt", Secret, Unset, "0.1";
};

impl Wxpusher {
    /// `None` when something is wrong, and reported.
    pub(crate) fn parse(table: &mut Table) -> Option<Wxpusher> {
        table.declare(KEYS);
        let (whom, line) = (take_whom(table), Endpoint::parse(table, Some(API_URL)));
        let wxpusher = Wxpusher { whom: whom?, line: line? };
        if let Whom::Simple(_) = wxpusher.whom {
            let spts: Vec<String> = wxpusher.receivers().into_iter().map(|receiver| receiver.id).collect();
            table.show_toml("spt", format!("{spts:?}"));
        }
        Some(wxpusher)
    }
}

/// WxPusher: `token` with `uids` and `topic_ids`, or `spt` alone.
fn take_whom(table: &mut Table) -> Option<Whom> {
    if table.has("spt") || table.has("spt_file") {
        return take_simple(table);
    }
    let token = table.take_secret("token");
    if !table.has("token") && !table.has("token_file") {
        table.fault("token", "is missing: expected token or token_file with uids or topic_ids, or spt alone");
    }
    let uid = |text: &str| match text.trim() {
        "" => Err("must not be empty".to_owned()),
        // It would be shown as a receiver's name.
        text if text.starts_with("AT_") || text.starts_with("SPT_") => {
            Err("expected a UID_…, found a token".to_owned())
        }
        text => Ok(text.to_owned()),
    };
    let mut uids = table.take_list_as("uids", uid).unwrap_or_default();
    let mut topics = table.take_ints("topic_ids").unwrap_or_default();
    let mut seen = BTreeSet::new();
    uids.retain(|uid| seen.insert(uid.clone()));
    topics.sort_unstable();
    topics.dedup();
    if topics.iter().any(|topic| *topic < 1) {
        table.fault("topic_ids", "expected numbers from 1");
    }
    if !table.has("uids") && !table.has("topic_ids") || uids.is_empty() && topics.is_empty() {
        table.fault("uids", "expected at least one uid in uids, or a topic in topic_ids");
    }
    let topics = topics.into_iter().filter_map(|topic| u64::try_from(topic).ok()).collect();
    Some(Whom::App { token: token?, uids, topics })
}

fn take_simple(table: &mut Table) -> Option<Whom> {
    for key in ["token", "token_file", "uids", "topic_ids"] {
        if table.has(key) {
            table.fault(key, "simple push (spt) stands alone: no token, uids or topic_ids beside it");
            return None;
        }
    }
    let texts = if table.has("spt") {
        if table.has("spt_file") {
            table.fault("spt_file", "give spt or spt_file, not both");
            return None;
        }
        table.take_list("spt")?
    } else {
        let file = table.take_secret("spt")?;
        file.reveal().split_whitespace().map(str::to_owned).collect()
    };
    let mut spts: Vec<Secret> = Vec::new();
    for text in texts {
        match Secret::new(&text).filter(|spt| spt.reveal().starts_with("SPT_") || spt.reveal() == SECRET_NOT_LOADED) {
            Some(spt) if !spts.contains(&spt) => spts.push(spt),
            Some(_) => {}
            None => table.fault("spt", "expected tokens of simple push: SPT_…"),
        }
    }
    if spts.is_empty() {
        table.fault("spt", "expected at least one SPT_…");
        return None;
    }
    Some(Whom::Simple(spts))
}
