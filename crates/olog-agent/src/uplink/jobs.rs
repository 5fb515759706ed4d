//! Schedules of this machine's jobs that an administrator proposes to the hub (`olog-agent jobs --declare`), and the way back of the answer.
//!
//! They are not kept: they are sent in the session that is open, or not at all, and whoever asked hears which. So they never stand before
//! an event, and a hub that does not know them never sees them.

use std::time::Duration;

use futures_util::SinkExt as _;
use olog_proto::{
    AgentFrame,
    job::{JobAnswers, ProposedJob},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use super::{Disconnect, Session, broken};

/// Requests that may wait for the one that the hub has to answer.
pub const QUEUE: usize = 4;
/// The hub has answered by then.
const ANSWER_AFTER: Duration = Duration::from_secs(15);

/// Jobs, and who waits for what becomes of them.
#[derive(Debug)]
pub struct JobsRequest {
    pub(super) jobs: Vec<ProposedJob>,
    reply: oneshot::Sender<Result<JobAnswers, NotProposed>>,
}

/// Why the hub does not have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotProposed {
    /// No session is open, or it ended before the answer.
    NotConnected,
    /// The hub is of a version that does not take them.
    TooOld,
    /// The hub has not answered in time, or too many ask at once.
    NoAnswer,
}

impl JobsRequest {
    /// Nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn answer(self, answers: JobAnswers) {
        drop(self.reply.send(Ok(answers)));
    }

    pub(super) fn refuse(self, why: NotProposed) {
        drop(self.reply.send(Err(why)));
    }
}

/// Gives the jobs to the session, and waits for the hub's answer.
pub async fn propose(to: &mpsc::Sender<JobsRequest>, jobs: Vec<ProposedJob>) -> Result<JobAnswers, NotProposed> {
    let (reply, answer) = oneshot::channel();
    to.try_send(JobsRequest { jobs, reply }).map_err(|_| NotProposed::NoAnswer)?;
    match timeout(ANSWER_AFTER, answer).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(_)) => Err(NotProposed::NotConnected),
        Err(_) => Err(NotProposed::NoAnswer),
    }
}

impl Session<'_> {
    /// Sends the jobs, if the hub takes them and somebody still waits for its answer.
    pub(super) async fn propose(&mut self, mut request: JobsRequest) -> Result<(), Disconnect> {
        if request.is_abandoned() {
            return Ok(());
        }
        if !self.accepts_jobs {
            request.refuse(NotProposed::TooOld);
            return Ok(());
        }
        let frame = AgentFrame::Jobs { jobs: std::mem::take(&mut request.jobs) };
        let text = frame.encode().map_err(|e| Disconnect::Protocol(e.to_string()))?;
        self.socket.feed(Message::text(text)).await.map_err(|e| broken(&e))?;
        (self.proposed, self.flushing) = (Some(request), true);
        Ok(())
    }
}
