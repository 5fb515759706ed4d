//! Interprets the answer of a described service: accepted, retry later, or refused, with the service's own words.
//!
//! HTTP 2xx counts as accepted only if the description says so. An answer that matches no rule is judged by its status. A 2xx answer
//! that is not the service's own (from a proxy or a captive portal) is retried later.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime};
use chrono_tz::Tz;
use olog_daemon::config::{Table, parse_span};
use olog_proto::Timestamp;
use serde_json::Value;

use crate::http::Reply;
use crate::{Answer, Refusal};

/// Longest wait that a service may ask for: a mistake of its must not hold messages for ever.
const WAIT_MAX: f64 = 7.0 * 24.0 * 3600.0;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct AnswerRules {
    accepted: Accepted,
    /// Where the code stands.
    code: Option<Path>,
    /// Where the service's words stand.
    words: Option<Path>,
    /// Where the seconds to wait stand, beside the header Retry-After.
    retry_after: Option<Path>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq)]
enum Accepted {
    /// Any 2xx.
    Status,
    /// A 2xx whose whole body is this.
    Body(String),
    /// A 2xx with this code.
    Code(String),
}

/// An answer that is of all that is given here.
#[derive(Debug, Clone, PartialEq, Default)]
struct Rule {
    codes: Vec<String>,
    statuses: Vec<u16>,
    /// One of these in its words, without regard to case.
    words: Vec<String>,
    means: RuleResult,
}

#[derive(Debug, Clone, PartialEq, Default)]
enum RuleResult {
    #[default]
    Later,
    LaterAfter(Duration),
    /// Not before this time of day there.
    LaterUntil(NaiveTime, Tz),
    Refused(Refusal),
}

/// Keys and places of lists, joined by dots.
#[derive(Debug, Clone, PartialEq)]
struct Path(String);

impl Path {
    fn of<'a>(&self, json: &'a Value) -> Option<&'a Value> {
        self.0.split('.').try_fold(json, |at, step| match at {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            at => at.get(step),
        })
    }
}

impl AnswerRules {
    /// `[answer]`.
    pub(super) fn parse(mut table: Table) -> AnswerRules {
        let code = take_path(&mut table, "code");
        let is = table.take_json("accepted").map(|value| shown(&value));
        let body = table.take_str("body");
        let accepted = match (is, body) {
            (Some(_), Some(_)) => {
                table.fault("body", "give accepted or body, not both");
                Accepted::Status
            }
            (Some(is), None) => {
                if code.is_none() && !table.has("code") {
                    table.fault("accepted", "needs code: the place in the answer where this stands");
                }
                Accepted::Code(is)
            }
            (None, Some(body)) => Accepted::Body(body),
            (None, None) => Accepted::Status,
        };
        let reading = AnswerRules {
            accepted,
            code,
            words: take_path(&mut table, "words"),
            retry_after: take_path(&mut table, "retry_after"),
            rules: table.take_tables("refusal").into_iter().map(Rule::parse).collect(),
        };
        table.finish();
        reading
    }

    /// What it says, every text through `shown`, which masks and bounds it.
    pub(super) fn read(&self, reply: &Reply, now: Timestamp, shown_as: impl Fn(&str) -> String) -> Answer {
        let body = String::from_utf8_lossy(&reply.body);
        let json: Option<Value> = serde_json::from_str(&body).ok();
        let at = |path: &Option<Path>| path.as_ref().and_then(|path| path.of(json.as_ref()?));
        let code = at(&self.code).map(shown);
        let said = match (&self.words, at(&self.words)) {
            (Some(_), Some(words)) => shown(words),
            // Without its place, or in an answer of another shape: all of it says something.
            _ => body.trim().to_owned(),
        };
        let is_ok = (200..300).contains(&reply.status);
        let code_shown = code
            .as_ref()
            .filter(|code| !said.starts_with(code.as_str()))
            .map_or_else(String::new, |code| format!("{code} "));
        let words = shown_as(&match is_ok && !said.is_empty() {
            true => format!("{code_shown}{said}"),
            false => format!("HTTP {}: {code_shown}{said}", reply.status),
        });
        let is_accepted = is_ok
            && match &self.accepted {
                Accepted::Status => true,
                Accepted::Body(expected) => body.trim() == expected,
                Accepted::Code(expected) => code.as_ref() == Some(expected),
            };
        if is_accepted {
            return Answer::Accepted { words };
        }
        let named = at(&self.retry_after).and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
        let named = named.filter(|s| s.is_finite() && *s >= 0.0).map(|s| Duration::from_secs_f64(s.min(WAIT_MAX)));
        let named = named.or(reply.retry_after).map(|wait| wait.min(Duration::from_secs_f64(WAIT_MAX)));
        let rule = self.rules.iter().find(|rule| rule.fits(reply.status, code.as_deref(), &body));
        match rule.map(|rule| &rule.means) {
            Some(RuleResult::Later) => Answer::Later { after: named, why: words },
            Some(RuleResult::LaterAfter(wait)) => Answer::Later { after: Some(named.unwrap_or(*wait)), why: words },
            Some(RuleResult::LaterUntil(time, zone)) => {
                Answer::Later { after: Some(until(now, *time, *zone)), why: words }
            }
            Some(RuleResult::Refused(class)) => Answer::Refused { class: *class, why: words },
            None => self.by_status(reply.status, code.is_some(), named, words),
        }
    }

    fn by_status(&self, status: u16, has_code: bool, after: Option<Duration>, why: String) -> Answer {
        let class = match status {
            408 | 425 | 429 | 300..=399 | 500.. => return Answer::Later { after, why },
            200..=299 if !has_code => {
                return Answer::Later { after, why: format!("not the service's answer: {why}") };
            }
            401 | 403 => Refusal::Credential,
            413 => Refusal::Format,
            _ => Refusal::Other,
        };
        Answer::Refused { class, why }
    }
}

impl Rule {
    fn parse(mut table: Table) -> Rule {
        let mut rule = Rule::default();
        let list = |table: &mut Table, key: &str| match table.take_json(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.iter().map(shown).collect(),
            Some(one) => vec![shown(&one)],
        };
        rule.codes = list(&mut table, "code");
        for status in list(&mut table, "status") {
            match status.parse() {
                Ok(status @ 100..=599) => rule.statuses.push(status),
                _ => table.fault("status", "expected HTTP statuses: numbers from 100 to 599"),
            }
        }
        rule.words = list(&mut table, "text").into_iter().map(|text| text.to_lowercase()).collect();
        if rule.codes.is_empty() && rule.statuses.is_empty() && rule.words.is_empty() {
            table.fault("means", "of which answers? give code, status or text");
        }
        let wait = table.take_as("after", parse_span);
        let until = table.take_as("until", time_there);
        const MEANINGS: [(&str, RuleResult); 5] = [
            ("later", RuleResult::Later),
            ("credential", RuleResult::Refused(Refusal::Credential)),
            ("receiver", RuleResult::Refused(Refusal::Receiver)),
            ("format", RuleResult::Refused(Refusal::Format)),
            ("other", RuleResult::Refused(Refusal::Other)),
        ];
        let means = table.take_choice("means", &MEANINGS).unwrap_or_default();
        rule.means = match (means, wait, until) {
            (RuleResult::Later, Some(wait), None) => RuleResult::LaterAfter(wait),
            (RuleResult::Later, None, Some((time, zone))) => RuleResult::LaterUntil(time, zone),
            (means, None, None) => means,
            (means, ..) => {
                table.fault("means", "after or until, one of them, goes with \"later\" only");
                means
            }
        };
        table.finish();
        rule
    }

    fn fits(&self, status: u16, code: Option<&str>, body: &str) -> bool {
        let lower = || body.to_lowercase();
        (self.codes.is_empty() || code.is_some_and(|code| self.codes.iter().any(|one| one == code)))
            && (self.statuses.is_empty() || self.statuses.contains(&status))
            && (self.words.is_empty() || self.words.iter().any(|word| lower().contains(word)))
    }
}

fn take_path(table: &mut Table, key: &str) -> Option<Path> {
    table.take_as(key, |text| match text.split('.').any(str::is_empty) {
        true => Err(format!("expected keys joined by dots, like \"error.code\", found {text:?}")),
        false => Ok(Path(text.to_owned())),
    })
}

/// A value as a rule names it: 0 and "0" are the same.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `00:05 Asia/Shanghai`
fn time_there(text: &str) -> Result<(NaiveTime, Tz), String> {
    let parsed = text.split_once(' ').and_then(|(time, zone)| {
        Some((NaiveTime::parse_from_str(time, "%H:%M").ok()?, zone.trim().parse::<Tz>().ok()?))
    });
    parsed.ok_or_else(|| format!("expected a time of day and its zone, like \"00:05 Asia/Shanghai\", found {text:?}"))
}

/// How long until it is that time there.
fn until(now: Timestamp, time: NaiveTime, zone: Tz) -> Duration {
    let day = Duration::from_secs(24 * 3600);
    let Some(now) = DateTime::from_timestamp_millis(now.0) else { return day };
    let there = now.with_timezone(&zone);
    let mut next = there.date_naive().and_time(time);
    if next <= there.naive_local() {
        next = next.checked_add_days(Days::new(1)).unwrap_or(next);
    }
    (next - there.naive_local()).to_std().unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tomorrow_is_where_the_service_is() {
        let until = |at: &str| {
            let at = DateTime::parse_from_rfc3339(at).unwrap();
            until(
                Timestamp(at.timestamp_millis()),
                NaiveTime::from_hms_opt(0, 5, 0).unwrap(),
                chrono_tz::Asia::Shanghai,
            )
        };
        assert_eq!(until("2026-11-23T23:05:00+08:00"), Duration::from_secs(3600));
        assert_eq!(until("2026-11-23T16:04:00Z"), Duration::from_secs(60));
        assert_eq!(until("2026-11-23T16:05:00Z"), Duration::from_secs(24 * 3600));
    }

    #[test]
    fn a_path_goes_through_tables_and_lists() {
        let json = serde_json::json!({"a": [{"b": 7}]});
        assert_eq!(Path("a.0.b".into()).of(&json), Some(&Value::from(7)));
        for no in ["a.1.b", "a.b", "x", "a.0.b.c"] {
            assert_eq!(Path(no.into()).of(&json), None, "{no}");
        }
    }
}
