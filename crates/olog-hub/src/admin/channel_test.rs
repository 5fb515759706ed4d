//! Waits for a service's answer to a notification, and says it in words: `channel test`, `report now --push`, the end of `setup`.
//!
//! A test is an outbox row like any other; this module asks the running hub until the service has answered. Must not: know the
//! store or a service, or say more of the answer than the service said.

use std::time::Duration;

use olog_daemon::socket::{AskError, Client};
use olog_push::words::Localizer;
use tokio::time::Instant;

use crate::admin::socket::{Test, Tested, Who};

/// A call takes 10 s at most, and another one may be under way.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Sends a test through a channel of the running hub and waits for the answer.
pub async fn send(client: &Client, channel: &str) -> Result<Tested, AskError> {
    let test: Test = client.post("/channel/test", &Who { who: channel.to_owned() }).await?;
    wait(client, test.row).await
}

/// Waits until the services have answered to this outbox row, or for `PATIENCE`.
pub async fn wait(client: &Client, row: i64) -> Result<Tested, AskError> {
    let start = Instant::now();
    loop {
        let tested: Tested = client.get(&format!("/channel/test/{row}")).await?;
        if tested.is_done || !tested.attempts.is_empty() || start.elapsed() >= PATIENCE {
            return Ok(tested);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Did the service accept it for everybody?
pub fn is_accepted(tested: &Tested) -> bool {
    !tested.attempts.is_empty() && tested.attempts.iter().all(|attempt| attempt.outcome == "accepted")
}

/// The answers, a line each, and what to do where one is no acceptance.
pub fn words(say: &Localizer, channel: &str, tested: &Tested) -> String {
    let mut lines = Vec::new();
    for attempt in &tested.attempts {
        let key = match attempt.outcome.as_str() {
            "accepted" => "sent-accepted",
            "refused" => "sent-refused",
            _ => "sent-later",
        };
        let answer = olog_proto::name::escape(attempt.answer.as_bytes());
        lines.push(say.text(key, &[("receiver", attempt.receiver.as_str().into()), ("answer", answer.into())]));
    }
    let channel = [("channel", channel.into())];
    if tested.attempts.is_empty() {
        lines.push(say.text("sent-no-answer", &channel));
    } else if tested.attempts.iter().any(|attempt| attempt.outcome == "refused") {
        lines.push(say.text("sent-check-token", &channel));
    } else if !is_accepted(tested) {
        lines.push(say.text("sent-check-network", &channel));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use olog_proto::Timestamp;
    use olog_push::words::Language;

    use super::*;
    use crate::store::outbox::Attempt;

    fn told(outcomes: &[(&str, &str)]) -> (bool, String) {
        let attempt = |(outcome, answer): &(&str, &str)| Attempt {
            message: 1,
            title: "TEST".to_owned(),
            channel: "phone".to_owned(),
            receiver: "UID_me".to_owned(),
            at: Timestamp(0),
            outcome: (*outcome).to_owned(),
            answer: (*answer).to_owned(),
        };
        let tested = Tested { is_done: false, attempts: outcomes.iter().map(attempt).collect() };
        let say = Localizer { language: Language::En, timezone: chrono_tz::Tz::UTC, now: Timestamp(0) };
        (is_accepted(&tested), words(&say, "phone", &tested))
    }

    #[test]
    fn each_answer_is_told_with_the_services_own_words_and_what_to_do() {
        let (is_good, words) = told(&[("accepted", "1000 ok")]);
        assert!(is_good && words.contains("(1000 ok)"), "{words}");
        let (is_good, words) = told(&[("accepted", "1000 ok"), ("refused", "1001 no such token")]);
        assert!(!is_good && words.contains("1001 no such token") && words.contains("setup"), "{words}");
        let (is_good, words) = told(&[("later", "error sending request")]);
        assert!(!is_good && words.contains("firewall"), "{words}");
        assert!(told(&[]).1.contains("no answer yet"));
    }
}
