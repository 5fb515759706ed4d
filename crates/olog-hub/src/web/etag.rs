//! Answers that the other end has already: each list, row and page has an `ETag`, the hash of its text, and who sends that in `If-None-Match` gets
//! 304 and no text (RFC 9110, section 13). The text is made all the same: what is saved is its way.

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// Of the hash.
const BYTES: usize = 15;

/// The answer, or that it is the one which the other end has. A stream, an error and a download have no tag.
pub(super) async fn conditional(asked: &HeaderMap, response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let has_tag = kind.starts_with("text/html") || kind.starts_with("application/json");
    let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let (Some(size), StatusCode::OK, true) = (size, response.status(), has_tag) else { return response };
    let (mut parts, body) = response.into_parts();
    // The body is in memory already: its size is known.
    let Ok(text) = to_bytes(body, size).await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let hash = Sha256::digest(&text);
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash.get(..BYTES).unwrap_or(&hash)));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    if !has(asked, &tag) {
        return Response::from_parts(parts, Body::from(text));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

/// Does the other end have it?
fn has(asked: &HeaderMap, tag: &str) -> bool {
    let lines = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|had| had == "*" || had.strip_prefix("W/").unwrap_or(had) == tag)
}

#[cfg(test)]
mod tests {
    use axum::Json;

    use super::*;

    async fn answered(asked: &str, response: impl IntoResponse) -> (u16, String, usize) {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, asked.parse().unwrap());
        let response = conditional(&headers, response.into_response()).await;
        let tag = response.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
        let status = response.status().as_u16();
        (status, tag, to_bytes(response.into_body(), 1_000).await.unwrap().len())
    }

    #[tokio::test]
    async fn the_same_answer_is_not_sent_twice_and_another_one_is() {
        let (status, tag, n) = answered("\"x\"", Json([1, 2])).await;
        assert_eq!((status, n), (200, 5));
        for had in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
            assert_eq!(answered(&had, Json([1, 2])).await, (304, tag.clone(), 0), "{had}");
        }
        let (status, other, _) = answered(&tag, Json([1, 3])).await;
        assert!(status == 200 && other != tag);
        // An error, and what has no tag, stay as they are.
        assert_eq!(answered("*", (StatusCode::NOT_FOUND, Json([1]))).await, (404, String::new(), 3));
        assert_eq!(answered("*", "text").await, (200, String::new(), 4));
        let endless = Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("{}")]));
        let endless = ([(header::CONTENT_TYPE, "application/json")], endless);
        assert_eq!(answered("*", endless).await, (200, String::new(), 2));
    }
}
