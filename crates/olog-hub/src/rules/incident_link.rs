//! The link of a notification to the page of its incident, or of a merged one to the page of all its incidents: who has the link sees them and may
//! acknowledge, silence or close each, without a sign-in, until the link expires. It opens nothing else.
//!
//! The link carries its expiry and an HMAC-SHA256 over incidents and expiry, cut to 128 bits (RFC 2104 §5 allows half of the hash). Nothing is
//! stored for a link, so that a storm of notifications costs nothing, and a link of one incident does not fit another. Pure.

use hmac::{Hmac, KeyInit as _, Mac as _};
use olog_proto::Timestamp;
use olog_push::words::LINKED_MAX;
use sha2::Sha256;

/// A link opens for so long (ms).
pub const LINK_KEPT: i64 = 7 * 86_400_000;
/// Bytes of the HMAC in a link.
const TAG: usize = 16;

/// The key of all links of a hub.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKey(pub [u8; 32]);

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

/// Makes links, and knows those that it made.
#[derive(Debug, Clone)]
pub struct IncidentLinks {
    base: String,
    key: LinkKey,
}

impl IncidentLinks {
    /// For pages below that address.
    pub fn new(public_url: &str, key: LinkKey) -> IncidentLinks {
        IncidentLinks { base: public_url.trim_end_matches('/').to_owned(), key }
    }

    /// The address of the page of one incident, or of several, with what opens it.
    pub fn url(&self, incidents: &[u64], now: Timestamp) -> String {
        let expires_s = now.plus(LINK_KEPT).0 / 1_000;
        if let [one] = incidents {
            return format!("{}/incidents/{one}?key={}", self.base, self.key(&of_one(*one), expires_s));
        }
        let text = text_of(incidents);
        format!("{}/incidents?n={text}&key={}", self.base, self.key(&of_several(&text), expires_s))
    }

    /// Is that what opens this incident now?
    pub fn opens(&self, incident: u64, key: &str, now: Timestamp) -> bool {
        self.is_good(&of_one(incident), key, now)
    }

    /// Is that what opens exactly these incidents now? As the link has them.
    pub fn open_several(&self, text: &str, key: &str, now: Timestamp) -> bool {
        self.is_good(&of_several(text), key, now)
    }

    /// For whoever has the good key of several: what opens one of them, no longer than that key.
    pub fn narrowed(&self, key: &str, incident: u64) -> String {
        let expires_s = key.split_once('-').and_then(|(expires_s, _)| i64::from_str_radix(expires_s, 16).ok());
        expires_s.map_or_else(String::new, |expires_s| self.key(&of_one(incident), expires_s))
    }

    fn key(&self, about: &str, expires_s: i64) -> String {
        let tag = self.mac(about, expires_s).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        let tag: String = tag.iter().take(TAG).map(|byte| format!("{byte:02x}")).collect();
        format!("{expires_s:x}-{tag}")
    }

    fn is_good(&self, about: &str, key: &str, now: Timestamp) -> bool {
        let Some((expires_s, tag)) = key.split_once('-') else { return false };
        let (Ok(expires_s), Some(tag)) = (i64::from_str_radix(expires_s, 16), bytes(tag)) else { return false };
        let is_ours = self.mac(about, expires_s).is_some_and(|mac| mac.verify_truncated_left(&tag).is_ok());
        is_ours && expires_s.saturating_mul(1_000) > now.0
    }

    fn mac(&self, about: &str, expires_s: i64) -> Option<Hmac<Sha256>> {
        // Any key has a good length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).ok()?;
        mac.update(format!("{about} until {expires_s}").as_bytes());
        Some(mac)
    }
}

fn of_one(incident: u64) -> String {
    format!("incident {incident}")
}

fn of_several(text: &str) -> String {
    format!("incidents {text}")
}

/// Numbers of incidents as a link has them: `17-19.23`.
fn text_of(incidents: &[u64]) -> String {
    let mut numbers = incidents.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let runs: Vec<String> = runs
        .filter_map(|run| match run {
            [one] => Some(one.to_string()),
            [first, .., last] => Some(format!("{first}-{last}")),
            [] => None,
        })
        .collect();
    runs.join(".")
}

/// The numbers of a link; `None`: none, or more than a message links to.
pub fn numbers_of(text: &str) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    for run in text.split('.') {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let n = last.checked_sub(first)?;
        if n.saturating_add(numbers.len() as u64) >= LINKED_MAX as u64 {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// The bytes of a tag; `None` if it has another form.
fn bytes(text: &str) -> Option<[u8; TAG]> {
    let mut bytes = [0; TAG];
    if text.len() != 2 * TAG || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn links(key: u8) -> IncidentLinks {
        IncidentLinks::new("https://hub.example.com/olog/", LinkKey([key; 32]))
    }

    fn key_of(url: &str) -> String {
        url.split_once("?key=").unwrap().1.to_owned()
    }

    #[test]
    fn a_link_opens_its_incident_until_it_expires_and_nothing_else() {
        let url = links(1).url(&[17], NOW);
        assert!(url.starts_with("https://hub.example.com/olog/incidents/17?key="), "{url}");
        let key = key_of(&url);
        assert!(links(1).opens(17, &key, NOW));
        assert!(links(1).opens(17, &key, NOW.plus(LINK_KEPT - 1_000)));
        assert!(!links(1).opens(17, &key, NOW.plus(LINK_KEPT)));
        assert!(!links(1).opens(18, &key, NOW));
        assert!(!links(2).opens(17, &key, NOW));
    }

    #[test]
    fn a_link_that_was_changed_opens_nothing() {
        let key = key_of(&links(1).url(&[17], NOW));
        let (expires, tag) = key.split_once('-').unwrap();
        let later = format!("{:x}", i64::from_str_radix(expires, 16).unwrap() + 1);
        let cut = tag.get(..TAG).unwrap();
        for wrong in [
            "",
            "-",
            "é-é",
            tag,
            &format!("{later}-{tag}"),
            &format!("{expires}-{cut}"),
            &format!("{key}0"),
            "7fffffffffffffff-",
        ] {
            assert!(!links(1).opens(17, wrong, NOW), "{wrong}");
        }
    }

    #[test]
    fn the_link_of_a_merged_message_opens_exactly_its_incidents_and_each_of_them_no_longer() {
        let url = links(1).url(&[23, 17, 18, 19, 17], NOW);
        let (text, key) = url.split_once("?n=").unwrap().1.split_once("&key=").unwrap();
        assert_eq!((text, numbers_of(text)), ("17-19.23", Some(vec![17, 18, 19, 23])));
        assert!(links(1).open_several(text, key, NOW.plus(LINK_KEPT - 1_000)));
        assert!(!links(1).open_several(text, key, NOW.plus(LINK_KEPT)));
        for other in ["17-23", "17-19", "17-19.23.24", "17-19.23.", ""] {
            assert!(!links(1).open_several(other, key, NOW), "{other}");
        }
        assert!(!links(1).opens(17, key, NOW), "the key of several is not that of one");
        let narrowed = links(1).narrowed(key, 18);
        assert!(links(1).opens(18, &narrowed, NOW.plus(LINK_KEPT - 1_000)) && !links(1).opens(17, &narrowed, NOW));
        assert!(!links(1).opens(18, &narrowed, NOW.plus(LINK_KEPT)));
        assert!(!links(1).opens(18, &links(1).narrowed("x", 18), NOW));
        // Numbers that nobody's message has.
        for wrong in
            ["1.0-18446744073709551615", "", "x", "5-3", "1-", "0-18446744073709551615", "1-101", "1-60.70-120"]
        {
            assert_eq!(numbers_of(wrong), None, "{wrong}");
        }
        assert_eq!(numbers_of("1-100").map(|numbers| numbers.len()), Some(LINKED_MAX));
    }
}
