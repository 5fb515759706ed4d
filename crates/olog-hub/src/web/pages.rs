//! The static pages of the hub, each complete in itself: the Content-Security-Policy allows the style and script inside the page
//! and nothing from anywhere else.

use std::sync::OnceLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// `/join`: how to install an agent and join. The secret in the link's fragment is shown by the browser and never sent.
pub(super) const JOIN: &str = include_str!("join.html");

/// What `/agent` says to whoever does not ask for a websocket.
pub(super) const NO_UPGRADE: &str = "\
this address is for agents: it takes websockets only. If an agent got this answer, a proxy on the way removes the upgrade; \
with nginx the location needs `proxy_http_version 1.1;`, `proxy_set_header Upgrade $http_upgrade;`, \
`proxy_set_header Connection \"upgrade\";` and `proxy_read_timeout 1h;`; Apache needs mod_proxy_wstunnel \
and `ProxyPass /agent ws://HOST:PORT/agent`; Caddy needs nothing but `reverse_proxy`.";

/// What a browser may do with any page: run the script that stands in it, and nothing else.
pub(super) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = |tag: &str| {
            let between = |page: &str| {
                let (_, rest) = page.split_once(&format!("<{tag}>"))?;
                rest.split_once(&format!("</{tag}>")).map(|(text, _)| text.to_owned())
            };
            let hashes = [JOIN].into_iter().filter_map(between);
            let hashes: Vec<String> =
                hashes.map(|text| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))).collect();
            hashes.join(" ")
        };
        format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash("style"),
            hash("script"),
        )
    })
}
