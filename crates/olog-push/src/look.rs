//! A look at an address as a phone would take it: does a link open there? And the same address again and again, to be heard there.

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

/// An address that is called so that somebody hears of us. It may be a secret: what happened is told without it.
#[derive(Debug)]
pub struct Beacon {
    url: olog_daemon::secret::Secret,
    http: Http,
}

impl Beacon {
    /// Calls nobody yet.
    pub fn new(url: olog_daemon::secret::Secret) -> Result<Beacon, String> {
        Ok(Beacon { url, http: Http::new(None)? })
    }

    /// One call, over within 10 s; anything but a 2xx is a failure, in words.
    pub async fn call(&self) -> Result<(), String> {
        match self.http.get(self.url.reveal()).await {
            Ok(reply) if (200..300).contains(&reply.status) => Ok(()),
            Ok(reply) => Err(format!("HTTP {}", reply.status)),
            Err(why) => Err(why.replace(self.url.reveal(), &self.url.masked())),
        }
    }
}
