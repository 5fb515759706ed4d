//! The link of a notification to the page of its incident: who has the link sees that incident and may acknowledge, silence or close it, without
//! a sign-in, until the link expires. It opens nothing else.
//!
//! The link carries its expiry and an HMAC-SHA256 over incident and expiry, cut to 128 bits (RFC 2104 §5 allows half of the hash). Nothing is
//! stored for a link, so that a storm of notifications costs nothing, and a link of one incident does not fit another. Pure.

use hmac::{Hmac, KeyInit as _, Mac as _};
use olog_proto::Timestamp;
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

    /// The address of an incident's page, with what opens it.
    pub fn url(&self, incident: u64, now: Timestamp) -> String {
        let expires_s = now.plus(LINK_KEPT).0 / 1_000;
        let tag = self.mac(incident, expires_s).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        let tag: String = tag.iter().take(TAG).map(|byte| format!("{byte:02x}")).collect();
        format!("{}/incidents/{incident}?key={expires_s:x}-{tag}", self.base)
    }

    /// Is that what opens this incident now?
    pub fn opens(&self, incident: u64, key: &str, now: Timestamp) -> bool {
        let Some((expires_s, tag)) = key.split_once('-') else { return false };
        let (Ok(expires_s), Some(tag)) = (i64::from_str_radix(expires_s, 16), bytes(tag)) else { return false };
        let is_ours = self.mac(incident, expires_s).is_some_and(|mac| mac.verify_truncated_left(&tag).is_ok());
        is_ours && expires_s.saturating_mul(1_000) > now.0
    }

    fn mac(&self, incident: u64, expires_s: i64) -> Option<Hmac<Sha256>> {
        // Any key has a good length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).ok()?;
        mac.update(format!("incident {incident} until {expires_s}").as_bytes());
        Some(mac)
    }
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
        let url = links(1).url(17, NOW);
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
        let key = key_of(&links(1).url(17, NOW));
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
}
