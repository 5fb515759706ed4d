//! E-mail: one SMTP session per call, and the server's answer for each receiver.
//!
//! | `smtp =` | encryption |
//! |---|---|
//! | `smtps://HOST[:465]` | TLS from the first byte |
//! | `smtp://HOST[:587]` | STARTTLS is required; not on loopback, where no certificate can match the name, unless `ca_file` is set |
//! | `smtp+clear://HOST[:25]` | none; a password is not allowed |
//!
//! Certificates are verified with the system's root certificates, or only with those of `ca_file` (for a server with its own CA).
//!
//! The reply to RCPT is the answer for that receiver. The reply to the end of DATA is the answer for all accepted receivers. A reply
//! that concerns the whole session (server busy, wrong password) is the answer for every receiver. `letter` builds the message,
//! `dialogue` holds the session, `wire` limits the size and time of the server's replies.
//!
//! It must not keep a connection between calls (servers close it after minutes), and must not send anything unencrypted that the
//! configuration did not allow.

mod dialogue;
mod letter;
mod wire;

use std::net::IpAddr;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use olog_daemon::config::{Key, Table};
use olog_daemon::keys;
use olog_daemon::secret::{SECRET_NOT_LOADED, Secret};
use olog_proto::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::{Instant, timeout_at};

use crate::{Answer, Form, Limits, Message, Receiver, Unit};
use dialogue::Heard;

/// A letter may be long, a phone's mail program is not glad of it: as much as a report has.
pub(crate) const LIMITS: Limits =
    Limits { unit: Unit::Characters, form: Form::Html, body: 40_000, plain: 40_000, summary_chars: 100 };
/// A call is over after this.
const CALL_MAX: Duration = Duration::from_secs(10);
/// For a farewell after everything is said.
const QUIT_MAX: Duration = Duration::from_secs(1);
/// Receivers of one call: what every server has to take (RFC 5321, 4.5.3.1.8).
const RECEIVERS_MAX: usize = 100;
const EXPECTED: &str = "expected the mail server as \"smtps://HOST:465\" (TLS) or \"smtp://HOST:587\" (STARTTLS), without user and password";

/// Where letters go and who writes them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mail {
    server: Server,
    from: Mailbox,
    to: Vec<Address>,
    login: Option<(String, Secret)>,
    /// Trusted instead of the system's.
    roots: Option<Vec<CertificateDer<'static>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    scheme: &'static str,
    host: String,
    port: u16,
    safety: Safety,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Safety {
    /// From the first byte.
    Tls,
    /// Before anything is said.
    StartTls,
    Clear,
}

/// Of the type `mail`.
pub(crate) static KEYS: &[Key] = keys! {
    /// The server: `smtps://HOST[:PORT]`, `smtp://` (STARTTLS), or `smtp+clear://`.
    "smtp", Text, Wrong("e-mail needs smtp, from and to"), "0.1";
    /// The sender, like `Olog <olog@example.com>`.
    "from", Text, Found("`user`, if it is an address"), "0.1";
    /// The receivers' addresses.
    "to", OneOrTexts, Wrong("e-mail needs smtp, from and to"), "0.1";
    /// The user that signs in.
    "user", Text, Unset, "0.1";
    /// The user's password.
    "password", Secret, Unset, "0.1";
    /// Certificates in PEM that are trusted instead of the system's.
    "ca", Secret, Unset, "0.1";
};

impl Mail {
    /// Reads [`KEYS`].
    pub(crate) fn parse(table: &mut Table) -> Option<Mail> {
        table.declare(KEYS);
        let server = table.take_as("smtp", Server::parse);
        let user = table.take_str("user").filter(|user| !user.is_empty());
        let password = table.take_secret("password");
        let from = table.take_as("from", mailbox);
        let to = table.take_some_as("to", |text| mailbox(text).map(|mailbox| mailbox.email));
        let roots = take_roots(table);
        let has_password = table.has("password") || table.has("password_file");
        match (&user, has_password) {
            (Some(_), false) => table.fault("user", "has no password: give password or password_file"),
            (None, true) => table.fault("user", "is missing: a password needs its user"),
            _ => {}
        }
        // Most servers take letters only from the address that signed in.
        let from = match from {
            None if !table.has("from") => user.as_deref().and_then(|user| mailbox(user).ok()),
            typed => typed,
        };
        if from.is_none() && !table.has("from") {
            table.fault("from", "is missing: expected an address like \"Olog <olog@example.com>\"");
        }
        let mut to = to?;
        let mut seen = Vec::new();
        to.retain(|address| {
            !seen.contains(address) && {
                seen.push(address.clone());
                true
            }
        });
        if to.is_empty() {
            table.fault("to", "expected at least one address");
        }
        let mut server = server?;
        if server.scheme == "smtp" && server.is_loopback() && roots.is_none() {
            server.safety = Safety::Clear;
        }
        if server.safety == Safety::Clear && !server.is_loopback() && has_password {
            table.fault("smtp", "a password does not go in clear: use smtps:// or smtp://");
        }
        if server.scheme == "smtp+clear" && roots.is_some() {
            table.fault("smtp", "smtp+clear:// never encrypts: a ca_file has no use");
        }
        let from = from?;
        table.show("smtp", format_args!("{}://{}:{}", server.scheme, server.host, server.port));
        table.show("from", &from);
        Some(Mail { server, from, to, login: user.zip(password), roots })
    }

    /// What is masked there and yet decides whether a call is taken.
    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        self.login.iter().map(|(_, password)| password).collect()
    }

    /// Everybody it reaches.
    pub(crate) fn receivers(&self) -> Vec<Receiver> {
        self.to.iter().map(|address| Receiver { id: address.to_string() }).collect()
    }

    /// Those of `left` that one call may name, in the order of the configuration.
    pub(crate) fn in_one_call(&self, left: &[Receiver]) -> Vec<Receiver> {
        self.receivers().into_iter().filter(|receiver| left.contains(receiver)).take(RECEIVERS_MAX).collect()
    }

    /// One letter to these; ends within 10 s.
    pub(crate) async fn send(&self, message: &Message, to: &[Receiver], now: Timestamp) -> Vec<(Receiver, Answer)> {
        let deadline = Instant::now() + CALL_MAX;
        let to: Vec<&Address> = self.to.iter().filter(|a| to.iter().any(|r| r.id == a.to_string())).collect();
        let mut heard = Heard::new(to.len());
        match letter::write(&self.from, &to, message, now) {
            Err(why) => heard.rest(&Answer::Refused { class: crate::Refusal::Format, why }),
            Ok(letter) => match timeout_at(deadline, self.speak(&to, &letter, &mut heard)).await {
                Ok(Ok(mut connection)) => {
                    // It has taken the letter or refused it; whether it says goodbye is nobody's concern.
                    let farewell = deadline.min(Instant::now() + QUIT_MAX);
                    drop(timeout_at(farewell, connection.quit()).await);
                }
                Ok(Err(answer)) => heard.rest(&answer),
                Err(_) => heard.timed_out(CALL_MAX),
            },
        }
        let named = to.into_iter().map(|address| Receiver { id: address.to_string() });
        named.zip(heard.answers(|words| self.masked(words))).collect()
    }

    /// Without the password, should a server repeat it.
    fn masked(&self, words: &str) -> String {
        match &self.login {
            Some((_, password)) => words.replace(password.reveal(), &password.masked()),
            None => words.to_owned(),
        }
    }
}

impl Server {
    fn parse(text: &str) -> Result<Server, String> {
        let wrong = || EXPECTED.to_owned();
        let url = url::Url::parse(text.trim()).map_err(|_| wrong())?;
        let (scheme, port, safety) = match url.scheme() {
            "smtps" => ("smtps", 465, Safety::Tls),
            "smtp" => ("smtp", 587, Safety::StartTls),
            "smtp+clear" => ("smtp+clear", 25, Safety::Clear),
            _ => return Err(wrong()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_ascii_lowercase();
        let is_bare = url.username().is_empty() && url.password().is_none() && matches!(url.path(), "" | "/");
        if !is_bare || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong());
        }
        Ok(Server { scheme, host, port: url.port().unwrap_or(port), safety })
    }

    /// Without the brackets of an IPv6 address in a URL.
    fn name(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    fn is_loopback(&self) -> bool {
        self.name() == "localhost" || self.name().parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    let wrong =
        || format!("expected an address like \"me@example.com\" or \"Olog <olog@example.com>\", found {text:?}");
    let mailbox: Mailbox = text.trim().parse().map_err(|_| wrong())?;
    // Beyond ASCII the part before the @ needs a server that knows SMTPUTF8; a domain is written in its xn-- form.
    let is_plain = mailbox.email.to_string().is_ascii() && !text.chars().any(char::is_control);
    if is_plain { Ok(mailbox) } else { Err(wrong()) }
}

/// `ca` or `ca_file`: certificates in PEM.
fn take_roots(table: &mut Table) -> Option<Vec<CertificateDer<'static>>> {
    let pem = table.take_secret("ca")?;
    if pem.reveal() == SECRET_NOT_LOADED {
        return Some(Vec::new());
    }
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.reveal().as_bytes()).collect();
    match roots {
        Ok(roots) if !roots.is_empty() => Some(roots),
        _ => {
            let key = if table.has("ca") { "ca" } else { "ca_file" };
            table.fault(key, "expected certificates in PEM: -----BEGIN CERTIFICATE-----");
            None
        }
    }
}

#[cfg(test)]
mod tests;
