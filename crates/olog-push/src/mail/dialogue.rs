//! The SMTP session: sends the commands and assigns each reply to its receivers.

use std::net::SocketAddr;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wire::{self, Wire, WireError};
use super::{Mail, Safety};
use crate::{Answer, Refusal};

/// One of a server's addresses has so long to be reached: another one may be the one that works.
const CONNECT_MAX: Duration = Duration::from_secs(4);
/// Characters of a server's words that are kept.
const WORDS_MAX: usize = 300;

/// How far a conversation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Tls,
    Greeting,
    SignIn,
    From,
    Receiver,
    Letter,
}

/// What has been answered so far: it outlives a conversation that does not come to its end.
#[derive(Debug)]
pub(super) struct Heard {
    step: Step,
    answers: Vec<Option<Answer>>,
}

impl Heard {
    pub(super) fn new(n: usize) -> Heard {
        Heard { step: Step::Connect, answers: vec![None; n] }
    }

    /// What is said to all who have no answer of their own.
    pub(super) fn rest(&mut self, answer: &Answer) {
        self.answers.iter_mut().filter(|own| own.is_none()).for_each(|own| *own = Some(answer.clone()));
    }

    /// The time is over.
    pub(super) fn timed_out(&mut self, after: Duration) {
        let why = format!("no end within {} s, the last step was {}", after.as_secs(), self.step.in_words());
        self.rest(&Answer::Later { after: None, why });
    }

    /// One for each receiver, its words through `masked` and bounded.
    pub(super) fn answers(self, masked: impl Fn(&str) -> String) -> impl Iterator<Item = Answer> {
        let bounded = move |words: String| line(&masked(&words));
        self.answers.into_iter().map(move |answer| match answer {
            Some(Answer::Accepted { words }) => Answer::Accepted { words: bounded(words) },
            Some(Answer::Later { after, why }) => Answer::Later { after, why: bounded(why) },
            Some(Answer::Refused { class, why }) => Answer::Refused { class, why: bounded(why) },
            None => Answer::Later { after: None, why: "the server said nothing about this receiver".to_owned() },
        })
    }
}

impl Step {
    fn in_words(self) -> &'static str {
        match self {
            Step::Connect => "to connect",
            Step::Tls => "the TLS handshake",
            Step::Greeting => "the server's greeting",
            Step::SignIn => "to sign in",
            Step::From => "the sender (MAIL FROM)",
            Step::Receiver => "the receivers (RCPT TO)",
            Step::Letter => "the letter (DATA)",
        }
    }
}

impl Mail {
    /// From the first byte to the server's word on the letter. An error is the answer for all who have none.
    pub(super) async fn speak(
        &self,
        to: &[&Address],
        letter: &[u8],
        heard: &mut Heard,
    ) -> Result<AsyncSmtpConnection, Answer> {
        let mut connection = self.open(heard).await?;
        if let Some((user, password)) = &self.login {
            heard.step = Step::SignIn;
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            signed_in.map_err(|error| answer(Step::SignIn, &error))?;
        }
        heard.step = Step::From;
        let from = MailFrom::new(Some(self.from.email.clone()), Vec::new());
        connection.command(from).await.map_err(|error| answer(Step::From, &error))?;
        heard.step = Step::Receiver;
        for (place, address) in to.iter().enumerate() {
            let Err(error) = connection.command(Rcpt::new((*address).clone(), Vec::new())).await else { continue };
            let refused = answer(Step::Receiver, &error);
            // Without a code it is the connection that failed, and with it everybody.
            if error.status().is_none() {
                return Err(refused);
            }
            if let Some(own) = heard.answers.get_mut(place) {
                *own = Some(refused);
            }
        }
        if heard.answers.iter().all(Option::is_some) {
            return Ok(connection);
        }
        heard.step = Step::Letter;
        connection.command(Data).await.map_err(|error| answer(Step::Letter, &error))?;
        let taken = connection.message(letter).await.map_err(|error| answer(Step::Letter, &error))?;
        let words = format!("{} {}", taken.code(), taken.message().collect::<Vec<_>>().join(" "));
        heard.rest(&Answer::Accepted { words });
        Ok(connection)
    }

    /// Connected, encrypted as it must be, greeted.
    async fn open(&self, heard: &mut Heard) -> Result<AsyncSmtpConnection, Answer> {
        // A name that resolves, unlike many a machine's own: some servers look.
        let me = self.from.email.domain();
        let (mut stream, peer) = self.connect().await?;
        if self.server.safety == Safety::StartTls {
            heard.step = Step::Greeting;
            stream = wire::start_tls(stream, me).await.map_err(|error| unsafe_way(Step::Greeting, &error))?;
        }
        let wire: Box<dyn AsyncTokioStream> = if self.server.safety == Safety::Clear {
            Box::new(Wire::new(stream, peer))
        } else {
            heard.step = Step::Tls;
            let stream = wire::tls(stream, self.server.name(), self.roots.as_deref()).await;
            let stream = stream.map_err(|error| unsafe_way(Step::Tls, &error))?;
            let is_greeted = self.server.safety == Safety::StartTls;
            Box::new(if is_greeted { Wire::greeted(stream, peer) } else { Wire::new(stream, peer) })
        };
        heard.step = Step::Greeting;
        let connection = AsyncSmtpConnection::connect_with_transport(wire, &ClientId::Domain(me.to_owned())).await;
        connection.map_err(|error| answer(Step::Greeting, &error))
    }

    async fn connect(&self) -> Result<(TcpStream, SocketAddr), Answer> {
        let (host, port) = (self.server.name(), self.server.port);
        let failed = |why: &str| Answer::Later { after: None, why: format!("{host}:{port}: {why}") };
        let found = tokio::net::lookup_host((host, port)).await.map_err(|error| failed(&error.to_string()))?;
        let mut why = "the name has no address".to_owned();
        for address in found {
            match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => why = format!("{}: {error}", address.ip()),
                Err(_) => why = format!("{}: cannot be reached", address.ip()),
            }
        }
        Err(failed(&why))
    }
}

/// What an error at this step means. Sources of the codes: RFC 5321 4.2, RFC 4954 6, RFC 3463.
fn answer(step: Step, error: &lettre::transport::smtp::Error) -> Answer {
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let later = |why: String| Answer::Later { after: None, why };
    let Some(code) = error.status().map(u16::from) else {
        return match step {
            // It offers no way to sign in that we know: a person has to look.
            Step::SignIn if error.is_client() => Answer::Refused { class: Refusal::Credential, why: cause },
            _ => later(format!("{cause} ({})", step.in_words())),
        };
    };
    let why = format!("{code} {cause} ({})", step.in_words());
    if code < 500 {
        return later(why);
    }
    let is_size = code == 552 || code == 523 || cause.starts_with("5.3.4") || cause.starts_with("5.2.3");
    let class = match (step, code) {
        // "Authentication required", whenever it comes.
        (_, 530 | 534 | 535 | 538) | (Step::SignIn, _) => Refusal::Credential,
        // Nothing was said yet that could be at fault: the server is out of order, or does not want this address today.
        (Step::Connect | Step::Tls | Step::Greeting, _) => return later(why),
        // RFC 5321 4.5.3.1.10: to be taken as "too many, the others in another call".
        (Step::Receiver, 552) => return later(why),
        (Step::From | Step::Letter, _) if is_size => Refusal::Format,
        // Who may not write as `from` has to change it.
        (Step::From, _) => Refusal::Credential,
        (Step::Receiver, _) => Refusal::Receiver,
        (Step::Letter, _) => Refusal::Other,
    };
    Answer::Refused { class, why }
}

/// Before the conversation: nothing was said yet that could be at fault.
fn unsafe_way(step: Step, error: &WireError) -> Answer {
    let why = error.to_string();
    let is_unknown = why.contains("UnknownIssuer") || why.contains("CaUsedAsEndEntity");
    let hint = if is_unknown {
        ": the server's certificate is not trusted; if it is your own, name it with ca_file"
    } else {
        ""
    };
    Answer::Later { after: None, why: format!("{why}{hint} ({})", step.in_words()) }
}

/// Bounded, on one line.
fn line(words: &str) -> String {
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    match line.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}
