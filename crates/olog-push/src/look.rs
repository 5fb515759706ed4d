//! A look at an address as a phone would take it: does a link open there?

use crate::http::Http;

/// What a phone would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its beginning, as text.
        text: String,
    },
    /// Nobody answers, or the certificate is not trusted; in words.
    Nothing(String),
}

/// Asks once, with the system's trusted certificates, following no redirect.
pub async fn look(url: &str) -> Found {
    let answer = match Http::new(None) {
        Ok(http) => http.get(url).await,
        Err(why) => Err(why),
    };
    match answer {
        Ok(reply) => Found::Answer { status: reply.status, text: String::from_utf8_lossy(&reply.body).into_owned() },
        Err(why) => Found::Nothing(why),
    }
}
