//! What the hubs of one database tell each other: what they have committed, by `NOTIFY`, so that a page that is open at one hub shows what another
//! one ingested.
//!
//! One connection of its own, beside the pool, listens and tells. Commits are told after they are made and outside of them, because PostgreSQL lets
//! transactions with a `NOTIFY` commit only one after another. What was told while the connection was away is lost; so with each new connection
//! everything may have changed, here and at the others. Must not: be relied on by a worker.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt as _, stream::poll_fn};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, NoTls,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::sync::CancellationToken;

use super::super::{
    StoreError,
    changes::{ChangeFeed, Changes},
};
use super::{away, of_postgres};

/// The channel of the notifications.
const CHANNEL: &str = "olog_changes";
/// PostgreSQL takes less than 8,000 bytes.
const PAYLOAD_MAX: usize = 7_900;
/// Until the next try, at first and at most.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A connection on which nothing was told is asked whether it still works.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// For an answer.
const ANSWER_AFTER: Duration = Duration::from_secs(10);

/// What a notification says.
#[derive(Debug, Serialize, Deserialize)]
struct Notification {
    /// The hub that tells: its own notifications come back to it.
    from: u64,
    changes: Changes,
}

/// How the database is reached.
pub(super) struct Exchange {
    pub(super) config: Config,
    pub(super) tls: Option<MakeRustlsConnect>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, Error>> + Send>>;

impl Exchange {
    /// Tells and hears until `stop`.
    pub(super) async fn run(&self, feed: &ChangeFeed, stop: CancellationToken) {
        let mut wait = WAIT.0;
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.talk(feed, &mut wait) => ended,
            };
            if let Err(error) = ended {
                tracing::warn!(%error, "open pages do not show at once what other hubs commit; trying again in {} s", wait.as_secs());
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
            wait = (wait * 2).min(WAIT.1);
        }
    }

    async fn talk(&self, feed: &ChangeFeed, wait: &mut Duration) -> Result<(), StoreError> {
        let connecting = async {
            match &self.tls {
                Some(tls) => connected(&self.config, tls.clone()).await,
                None => connected(&self.config, NoTls).await,
            }
        };
        let connected = timeout(ANSWER_AFTER, connecting).await.map_err(|_| away("no answer"))?;
        let (client, mut messages) = connected.map_err(of_postgres)?;
        let from = random()?;
        let hear = async {
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message.map_err(of_postgres)? {
                    match serde_json::from_str::<Notification>(notification.payload()) {
                        Ok(told) if told.from == from => {}
                        Ok(told) => feed.tell_others(told.changes),
                        // Of another version: what it means is not known, that something changed is.
                        Err(_) => feed.tell_others(Changes::everything()),
                    }
                }
            }
            Err(away("the connection was closed"))
        };
        let tell = async {
            let mut listener = feed.listen_to_own();
            answered(client.batch_execute(&format!("LISTEN {CHANNEL}"))).await?;
            *wait = WAIT.0;
            // Until now nobody was heard, and nobody was told.
            feed.tell_others(Changes::everything());
            tell(&client, from, Changes::everything()).await?;
            loop {
                match timeout(ASK_EVERY, listener.heard()).await {
                    Ok(changes) => tell(&client, from, changes).await?,
                    Err(_) => answered(client.batch_execute("")).await?,
                }
            }
        };
        tokio::select! {
            ended = hear => ended,
            ended = tell => ended,
        }
    }
}

/// A number that no other hub has.
fn random() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Disk(error.to_string()))
}

async fn tell(client: &Client, from: u64, changes: Changes) -> Result<(), StoreError> {
    let json =
        |changes| serde_json::to_string(&Notification { from, changes }).map_err(|e| StoreError::Row(e.to_string()));
    let mut payload = json(changes)?;
    if payload.len() > PAYLOAD_MAX {
        payload = json(Changes::everything())?;
    }
    answered(async { client.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &payload]).await.map(drop) }).await
}

/// A server that is gone without a word answers nothing.
async fn answered(asking: impl Future<Output = Result<(), Error>>) -> Result<(), StoreError> {
    timeout(ANSWER_AFTER, asking).await.map_err(|_| away("no answer"))?.map_err(of_postgres)
}

async fn connected<T>(config: &Config, tls: T) -> Result<(Client, Messages), Error>
where
    T: MakeTlsConnect<tokio_postgres::Socket>,
    T::Stream: Send + 'static,
    <T::TlsConnect as TlsConnect<tokio_postgres::Socket>>::Future: Send,
{
    let (client, mut connection): (Client, Connection<tokio_postgres::Socket, T::Stream>) = config.connect(tls).await?;
    Ok((client, Box::pin(poll_fn(move |context| connection.poll_message(context)))))
}
