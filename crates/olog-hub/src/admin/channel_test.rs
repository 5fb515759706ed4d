//! A test through a channel, and what the service said to it, in words: `channel test`, and the end of `setup`.
//!
//! The test is an outbox row like any other; this module asks the running hub until the service has answered, and knows
//! neither store nor service.

use std::{fmt::Write as _, time::Duration};

use olog_daemon::socket::{AskError, Client};
use tokio::time::Instant;

use crate::admin::socket::{Test, Tested, Who};

/// A call takes 10 s at most, and another one may be under way.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What came of a test.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Everybody was reached.
    pub is_accepted: bool,
    /// Lines for a person.
    pub words: String,
}

/// Sends a test through a channel of the running hub and waits for the answer.
pub async fn send(client: &Client, channel: &str) -> Result<Outcome, AskError> {
    let test: Test = client.post("/channel/test", &Who { who: channel.to_owned() }).await?;
    let start = Instant::now();
    loop {
        let tested: Tested = client.get(&format!("/channel/test/{}", test.row)).await?;
        if tested.is_done || !tested.attempts.is_empty() || start.elapsed() >= PATIENCE {
            return Ok(outcome(channel, &tested));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn outcome(channel: &str, tested: &Tested) -> Outcome {
    let mut words = String::new();
    let mut say = |line: String| {
        if writeln!(words, "{line}").is_err() {
            // Writing into a text cannot fail.
        }
    };
    for attempt in &tested.attempts {
        let (receiver, answer) = (&attempt.receiver, olog_proto::name::escape(attempt.answer.as_bytes()));
        match attempt.outcome.as_str() {
            "accepted" => say(format!("{receiver}: the service accepted it ({answer}): look at your phone")),
            "refused" => say(format!("{receiver}: the service refused it: {answer}")),
            _ => say(format!("{receiver}: not accepted yet: {answer}")),
        }
    }
    let all = |outcome: &str| tested.attempts.iter().all(|attempt| attempt.outcome == outcome);
    let is_accepted = !tested.attempts.is_empty() && all("accepted");
    if tested.attempts.is_empty() {
        say(format!(
            "no answer yet: {channel} may be busy or out of reach. The hub goes on trying; see: olog-hub channel list"
        ));
    } else if tested.attempts.iter().any(|attempt| attempt.outcome == "refused") {
        say(format!(
            "What to do: check that the token is the one of {channel} and that the receiver has subscribed; `olog-hub setup` asks for both again."
        ));
    } else if !is_accepted {
        say("What to do: check that this machine reaches the service (DNS, firewall, proxy). The hub goes on trying, for 7 days.".to_owned());
    }
    Outcome { is_accepted, words }
}

#[cfg(test)]
mod tests {
    use olog_proto::At;

    use super::*;
    use crate::store::outbox::Attempt;

    fn words(outcomes: &[(&str, &str)]) -> Outcome {
        let attempt = |(outcome, answer): &(&str, &str)| Attempt {
            message: 1,
            title: "TEST".to_owned(),
            channel: "phone".to_owned(),
            receiver: "UID_me".to_owned(),
            at: At(0),
            outcome: (*outcome).to_owned(),
            answer: (*answer).to_owned(),
        };
        outcome("phone", &Tested { is_done: false, attempts: outcomes.iter().map(attempt).collect() })
    }

    #[test]
    fn each_answer_is_told_with_the_services_own_words_and_what_to_do() {
        let good = words(&[("accepted", "1000 ok")]);
        assert!(good.is_accepted && good.words.contains("(1000 ok): look at your phone"), "{good:?}");
        let bad = words(&[("accepted", "1000 ok"), ("refused", "1001 no such token")]);
        assert!(!bad.is_accepted && bad.words.contains("1001 no such token") && bad.words.contains("setup"), "{bad:?}");
        let later = words(&[("later", "error sending request")]);
        assert!(!later.is_accepted && later.words.contains("firewall"), "{later:?}");
        assert!(words(&[]).words.contains("no answer yet"));
    }
}
