//! GET requests that are not notifications: does a link open from here, and the heartbeat to an external monitor.
//!
//! [`fetch`] opens an address as a phone would: with the system's trusted certificates, without following redirects.
//! [`Heartbeat`] calls one address again and again; its URL may be a secret, so no error text contains it.

use crate::http::Http;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// An HTTP answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its body as text, bounded.
        text: String,
    },
    /// No answer, or a certificate that is not trusted: the reason.
    Nothing(String),
}

/// One GET; ends within 10 s.
pub async fn fetch(url: &str) -> Fetched {
    let answer = match Http::new(None) {
        Ok(http) => http.get(url).await,
        Err(why) => Err(why),
    };
    match answer {
        Ok(reply) => Fetched::Answer { status: reply.status, text: String::from_utf8_lossy(&reply.body).into_owned() },
        Err(why) => Fetched::Nothing(why),
    }
}

/// An address of an external monitor, which raises an alarm when the calls stop.
#[derive(Debug)]
pub struct Heartbeat {
    url: olog_daemon::secret::Secret,
    http: Http,
}

impl Heartbeat {
    /// Makes no call yet.
    pub fn new(url: olog_daemon::secret::Secret) -> Result<Heartbeat, String> {
        Ok(Heartbeat { url, http: Http::new(None)? })
    }

    /// One call; ends within 10 s. Any status but 2xx is an error; the error text does not contain the URL.
    pub async fn call(&self) -> Result<(), String> {
        match self.http.get(self.url.reveal()).await {
            Ok(reply) if (200..300).contains(&reply.status) => Ok(()),
            Ok(reply) => Err(format!("HTTP {}", reply.status)),
            Err(why) => Err(why.replace(self.url.reveal(), &self.url.masked())),
        }
    }
}
