//! `/assets/…`: the script of open pages (`assets/README.md`), under a name that has its hash, so that a browser keeps it for good and never has
//! that of another version.

use std::{io::Write as _, sync::Arc, sync::LazyLock};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

use super::{Problem, Web};

const HTMX: &str = include_str!("../../assets/htmx.min.js");
const EVENTS: &str = include_str!("../../assets/sse.min.js");
const LIVE: &str = include_str!("../../assets/live.js");

struct Script {
    /// Where it is, below the hub's own address.
    address: String,
    plain: Bytes,
    packed: Bytes,
}

static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    let text = [HTMX, EVENTS, LIVE].join("\n;\n");
    let hash: String = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    // Into memory: it does not fail; were it to, the script would go unpacked.
    let packed = packer.write_all(text.as_bytes()).and_then(|()| packer.finish()).unwrap_or_default();
    Script { address: format!("assets/live-{hash}.js"), plain: text.into(), packed: packed.into() }
});

/// The address of the script, below the hub's own.
pub(super) fn script() -> &'static str {
    &SCRIPT.address
}

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Result<Response, Problem> {
    let is_it = name.is_ok_and(|Path(name)| Some(name.as_str()) == SCRIPT.address.strip_prefix("assets/"));
    if !is_it {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "there is no such file; after an update of the hub, open the page again",
        ));
    }
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let takes_gzip = accepts.split(',').any(|one| one.trim().split(';').next() == Some("gzip") && !one.contains("q=0"));
    if takes_gzip && !SCRIPT.packed.is_empty() {
        let packed = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        return Ok((head, packed, SCRIPT.packed.clone()).into_response());
    }
    Ok((head, SCRIPT.plain.clone()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_others_are_as_their_registry_has_them_and_the_table_says_so() {
        let table = include_str!("../../assets/README.md");
        for (file, text) in [("htmx.min.js", HTMX), ("sse.min.js", EVENTS)] {
            let hash: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
            let row = table.lines().find(|line| line.starts_with(&format!("| `{file}`"))).unwrap();
            assert!(row.contains(&hash), "{file}: {hash}\n{row}");
        }
    }

    #[test]
    fn our_part_neither_evaluates_text_nor_writes_markup_or_style() {
        for word in [
            "eval(",
            "new Function",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            ".style",
            "http:",
            "https:",
        ] {
            assert!(!LIVE.contains(word), "{word}");
        }
    }
}
