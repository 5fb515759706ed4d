//! The signed messages of the old protocol: read and checked, or written. Pure.
//!
//! Each message is a JSON text `{"payload": string, "timestamp": seconds, "checksum": hex}`. The checksum is the SHA-256 of the
//! payload, the timestamp and the shared token, one after the other. The timestamp goes into it as text: the digits that stand in
//! the JSON, which are those that Python prints for a float. So the number is never parsed and printed again before the check.
//!
//! A message whose timestamp differs from the hub's clock by more than [`CLOCK_MAX_MS`] is refused, after its checksum: only who
//! knows the token is told about its clock.

use std::borrow::Cow;

use olog_daemon::secret::Secret;
use olog_proto::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The largest difference between the two clocks, in milliseconds.
pub(super) const CLOCK_MAX_MS: i64 = 10_000;
/// JSON texts in one message of the websocket.
const TEXTS_MAX: usize = 16;

/// A message whose checksum holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// What it says.
    pub(super) payload: String,
    /// Milliseconds that the sender's clock is ahead of the hub's.
    pub(super) skew_ms: i64,
}

/// Why a message is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    /// It is none.
    #[error("it is not a message of the old protocol: {0}")]
    Form(String),
    /// The checksum is of another text or token.
    #[error("its checksum is wrong: the tokens of the old client and of [legacy] differ")]
    Checksum,
    /// The clocks differ.
    #[error("its clock differs from the hub's by {} s; the old protocol allows 10 s", skew_ms / 1000)]
    Clock {
        /// Milliseconds that the sender's clock is ahead.
        skew_ms: i64,
        /// What it says.
        payload: String,
    },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow)]
    checksum: Cow<'a, str>,
}

/// The messages of a text, usually one. The first that is refused refuses all.
pub(super) fn read(text: &str, token: &Secret, now: Timestamp) -> Result<Vec<Signed>, WireError> {
    let mut found = Vec::new();
    for envelope in serde_json::Deserializer::from_str(text).into_iter::<Envelope<'_>>() {
        let envelope = envelope.map_err(|error| WireError::Form(error.to_string()))?;
        if found.len() >= TEXTS_MAX {
            return Err(WireError::Form(format!("more than {TEXTS_MAX} texts at once")));
        }
        found.push(check(envelope, token, now)?);
    }
    if found.is_empty() { Err(WireError::Form("it is empty".to_owned())) } else { Ok(found) }
}

fn check(envelope: Envelope<'_>, token: &Secret, now: Timestamp) -> Result<Signed, WireError> {
    let digits = envelope.timestamp.get();
    let seconds = digits.parse::<f64>().map_err(|_| WireError::Form("its timestamp is not a number".to_owned()))?;
    let payload = envelope.payload.into_owned();
    let given = envelope.checksum.to_ascii_lowercase();
    let holds = |digits: &str| bool::from(checksum(&payload, digits, token).as_bytes().ct_eq(given.as_bytes()));
    // A program that writes a whole second as `17` signs it as Python would print it: `17.0`.
    if !holds(digits) && !holds(&printed(seconds)) {
        return Err(WireError::Checksum);
    }
    let skew_ms = millis(seconds).saturating_sub(now.0);
    if skew_ms.saturating_abs() > CLOCK_MAX_MS {
        return Err(WireError::Clock { skew_ms, payload });
    }
    Ok(Signed { payload, skew_ms })
}

/// A message of the hub.
pub(super) fn write(payload: &str, token: &Secret, now: Timestamp) -> String {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of any year are far below 2^53")]
    let digits = printed(now.0 as f64 / 1000.0);
    let checksum = checksum(payload, &digits, token);
    let payload = serde_json::Value::from(payload);
    format!("{{\"payload\": {payload}, \"timestamp\": {digits}, \"checksum\": \"{checksum}\"}}")
}

/// As Python prints a float: the fewest digits that give the same number, at least one behind the point.
fn printed(seconds: f64) -> String {
    let digits = format!("{seconds:?}");
    // Both print exponents for the same numbers, but Python with a sign and two digits: 1e+16, 1e-05.
    match digits.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) => format!("{digits}e{exponent:+03}"),
        None => digits,
    }
}

fn millis(seconds: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is out of range becomes the nearest end, which is refused"
    )]
    let ms = (seconds * 1000.0).round() as i64;
    ms
}

fn checksum(payload: &str, digits: &str, token: &Secret) -> String {
    let parts = [payload.as_bytes(), digits.as_bytes(), token.reveal().as_bytes()];
    let hash = parts.into_iter().fold(Sha256::new(), Sha256::chain_update).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_764_292_327_123);

    fn token() -> Secret {
        Secret::new("AT_abc").unwrap()
    }

    fn read(text: &str) -> Result<Vec<Signed>, WireError> {
        super::read(text, &token(), NOW)
    }

    /// Made by Python 3: `json.dumps({"payload": p, "timestamp": t, "checksum": sha256((p + str(t) + "AT_abc").encode())…})`.
    const PYTHON: [&str; 3] = [PYTHON_PLAIN, PYTHON_CHINESE, PYTHON_WHOLE_SECOND];
    const PYTHON_PLAIN: &str = r#"{"payload": "pong", "timestamp": 1764292327.1234567, "checksum": "5804a77d2672d5ffabde1718a8911f62ba6eef427dd3d79ebfa3ce7135e36174"}"#;
    const PYTHON_CHINESE: &str = r#"{"payload": "\u5907\u4efd\u673a#root@10.0.0.7:22", "timestamp": 1764292325.0300002, "checksum": "5b2a21db92f36be924eb18c7731f7d0375232a36e46fd614347705224a01732a"}"#;
    const PYTHON_WHOLE_SECOND: &str = r#"{"payload": "pong", "timestamp": 1764292328.0, "checksum": "c043556cad3451c7aefb46e869005f057b6b3ea4e11683c6561643256ae6195d"}"#;

    #[test]
    fn messages_that_python_signed_are_taken_whatever_the_digits_of_their_float() {
        let payloads: Vec<String> = PYTHON.iter().map(|text| read(text).unwrap().remove(0).payload).collect();
        assert_eq!(payloads, ["pong", "备份机#root@10.0.0.7:22", "pong"]);
    }

    #[test]
    fn every_number_that_python_prints_is_taken_and_printed_the_same() {
        let table = include_str!("python_numbers.txt");
        let rows: Vec<_> = table.lines().filter_map(|line| line.split_once(' ')).filter(|(n, _)| *n != "#").collect();
        assert!(rows.len() > 100);
        for (number, checksum) in rows {
            let text = format!(r#"{{"payload": "pong", "timestamp": {number}, "checksum": "{checksum}"}}"#);
            let read = read(&text);
            assert!(matches!(read, Ok(_) | Err(WireError::Clock { .. })), "{number}: {read:?}");
            // Whole numbers without a point are those of a program that gives an int.
            if number.contains(['.', 'e']) {
                assert_eq!(printed(number.parse().unwrap()), number);
            }
        }
    }

    #[test]
    fn what_the_hub_writes_it_reads_itself_and_its_digits_are_the_shortest() {
        let text = write("report now", &token(), NOW);
        assert!(text.contains("\"timestamp\": 1764292327.123,"), "{text}");
        assert_eq!(read(&text).unwrap(), [Signed { payload: "report now".into(), skew_ms: 0 }]);
        assert!(write("ping", &token(), Timestamp(1_764_292_327_000)).contains("\"timestamp\": 1764292327.0,"));
    }

    #[test]
    fn another_token_payload_or_timestamp_is_refused() {
        let text = write("pong", &token(), NOW);
        assert_eq!(super::read(&text, &Secret::new("AT_abd").unwrap(), NOW), Err(WireError::Checksum));
        assert_eq!(read(&text.replace("pong", "ping")), Err(WireError::Checksum));
        assert_eq!(read(&text.replace(".123", ".124")), Err(WireError::Checksum));
    }

    #[test]
    fn a_clock_that_is_more_than_ten_seconds_off_is_refused_and_named() {
        for (ms, is_refused) in [(10_000, false), (-10_000, false), (10_001, true), (-600_000, true)] {
            let read = read(&write("pong", &token(), NOW.plus(ms)));
            assert_eq!(
                matches!(&read, Err(WireError::Clock { skew_ms, .. }) if *skew_ms == ms),
                is_refused,
                "{read:?}"
            );
        }
    }

    #[test]
    fn several_texts_in_one_message_are_read_one_by_one_and_their_number_is_bounded() {
        let one = write("pong", &token(), NOW);
        assert_eq!(read(&format!("{one}\n{one}")).unwrap().len(), 2);
        assert!(matches!(read(&one.repeat(TEXTS_MAX + 1)), Err(WireError::Form(_))));
    }

    #[test]
    fn what_is_no_message_is_refused_without_a_panic() {
        let good = write("pong", &token(), NOW);
        let half: String = good.chars().take(good.chars().count() / 2).collect();
        let bomb = format!("{{\"payload\": {}", "[".repeat(1_000_000));
        let nested = format!(
            "{{\"payload\": \"x\", \"timestamp\": {}{}, \"checksum\": \"\"}}",
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        for text in [
            "",
            "null",
            "[]",
            "{}",
            "{\"payload\":1}",
            &half,
            &bomb,
            &nested,
            r#"{"payload": "x", "timestamp": "1764292327.123", "checksum": ""}"#,
            r#"{"payload": "\ud800", "timestamp": 1764292327.123, "checksum": ""}"#,
            r#"{"payload": "x", "timestamp": NaN, "checksum": ""}"#,
        ] {
            assert!(matches!(read(text), Err(WireError::Form(_))), "{}", text.chars().take(60).collect::<String>());
        }
        for far in ["1e999", "-1e999", "1e308", "0"] {
            let text = format!(r#"{{"payload": "x", "timestamp": {far}, "checksum": "00"}}"#);
            assert!(read(&text).is_err(), "{far}");
        }
    }
}
