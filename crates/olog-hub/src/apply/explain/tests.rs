use std::sync::Arc;

use olog_push::{Content, Kind, Reason};

use super::*;
use crate::apply;
use crate::rules::incident::AlertPolicy;
use crate::store::outbox::{self, RowEnd};
use crate::store::tests::stores;

const NOW: Timestamp = Timestamp(1_780_000_000_000);

#[test]
fn a_line_shows_what_is_taken_out_of_it() {
    let text = Excerpt::of(
        "03:11:04 ERROR 2002 (HY000): Can't connect\nTraceback (most recent call last):\n  File \"/srv/a.py\", line 7\nKeyError: 'x'",
    );
    let known = known_by(&text);
    let lines: Vec<&str> = known.iter().map(|known| known.line.as_str()).collect();
    assert_eq!(known.len(), 2, "{known:?}");
    assert!(lines[0].starts_with("‹03:11:04› ERROR ‹2002"), "{lines:?}");
    assert_eq!(lines[1], "KeyError: 'x'");
    assert_eq!(
        known[0].fingerprint,
        FingerprintText::of("09:00:00 ERROR 1999 (HY001): Can't connect").fingerprint().to_string()
    );
}

fn error(at: Timestamp) -> Notice {
    let content = Content::Error {
        why: Reason::First,
        excerpt: Excerpt::of("ERROR 2002: can't connect"),
        path: "/ologs/mysql.err".into(),
        fingerprint: None,
        last_good_at: None,
        began_at: at,
        n_seen: 1,
        facts: Box::default(),
    };
    serde_json::from_value(serde_json::json!({
        "kind": Kind::Err, "incident": 1, "device": "comsrv", "task": "mysql", "at": at, "saying": content
    }))
    .unwrap()
}

#[tokio::test]
async fn an_incident_says_what_was_told_of_it_through_whom_and_what_waits() {
    for store in stores().await {
        let rules = Arc::new(LivePolicy {
            channels: vec![crate::apply::tests::phone()],
            language: olog_push::words::Language::En,
            policy: AlertPolicy::default(),
            ..LivePolicy::default()
        });
        let told = rules.clone();
        store
            .store
            .write(move |tx| {
                let begin = incidents::Begin {
                    subject: incidents::Subject::Task,
                    device: None,
                    task: None,
                    name: "mysql",
                    at: NOW,
                };
                let id = incidents::begin(tx, &begin, &serde_json::json!({}))?;
                assert_eq!(id, 1);
                apply::enqueue_notice(tx, &told, &error(NOW), NOW)?;
                let first = outbox::latest(tx, "phone")?;
                let message = {
                    let rows = [first, 7];
                    let (title, at) = ("ERR comsrv/mysql", NOW.plus(500));
                    let new = outbox::NewMessage { title, rows: &rows, is_report: false, devices: &["comsrv"], at };
                    outbox::put_message(tx, "phone", &new)?
                };
                outbox::put_attempt(tx, message, "UID_a", "accepted", "1000 ok", NOW.plus(900))?;
                outbox::done(tx, &[first], message, RowEnd::Accepted, NOW.plus(900))?;
                apply::enqueue_notice(tx, &told, &error(NOW.plus(60_000)), NOW.plus(60_000))
            })
            .await
            .unwrap();
        let seen = rules.clone();
        let now = NOW.plus(61_000);
        let explained = store
            .store
            .read(move |tx| Ok(explain(tx, &seen, seen.localizer(now), 1)?.map(|(_, explained)| explained)))
            .await
            .unwrap()
            .unwrap();
        assert!(explained.state.starts_with("Open since 2026-05-28 20:26:40. Seen once"), "{}", explained.state);
        assert_eq!(explained.told.len(), 2);
        let [first, second] = [&explained.told[0], &explained.told[1]];
        assert_eq!((first.title.as_str(), first.why.as_str()), ("ERR comsrv/mysql", "first sign."));
        assert_eq!(first.channels[0].outcome, "accepted");
        assert_eq!(first.channels[0].words, "sent 2026-05-28 20:26:40 in message 1, with 1 other notice");
        assert_eq!(first.channels[0].answers[0].answer, "1000 ok");
        assert_eq!(second.channels[0].outcome, "waiting");
        let none = store.store.read(move |tx| explain(tx, &rules, rules.localizer(now), 2)).await.unwrap();
        assert!(none.is_none());
    }
}
