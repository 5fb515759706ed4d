//! Frames: the units of `olog.2`, one JSON text message each.
//!
//! ```text
//! hub   {"hello": {hub_key, nonce, time, versions}}
//! agent {"auth": {key, name, address, version, epoch, last, boot, up, nonce, time, signature}}
//! hub   {"welcome": {acked, window, ping_every, time, signature}}   or   {"refused": {why, …}}
//! agent {"events": {from, events}}          hub {"ack": {through}}          agent {"bye": {why}}
//! agent {"rotate": {key, signature, key_signature}}                         hub {"rotated": {key}}
//! agent {"jobs": {jobs}}                    hub {"jobs": {device, answers}}
//! ```
//!
//! Kinds that were added after version 0.1 (`rotate`, `jobs`) are sent to a hub only if its `welcome` names them in `accepts`; a hub sends a newer
//! kind only as the answer to one. So each of the two may be the newer one.
//!
//! After `welcome` the agent sends *all* that its spool holds, also what stands at or below `acked`: only an `ack` of what was
//! sent in this session releases anything. The hub knows those numbers and compares their digests; so a spool that was
//! cloned, or restored from an older copy, never takes another machine's acknowledgement for its own.
//!
//! A frame is an object with one key, its kind. Unknown fields are passed over, so that a newer peer may add some; an
//! unknown kind is an error that names it, which the hub answers with `refused`. The size is looked at before anything is
//! parsed, and what is parsed is never larger than what came.

use serde::{Deserialize, Serialize};

use crate::{
    BootId, DeviceName, Epoch, Event, FRAME_EVENTS_MAX, FRAME_MAX, Nonce, PublicKey, Signature, TEXT_MAX, Timestamp,
    clean,
    job::{JOBS_MAX, JobAnswers, ProposedJob},
};

/// In `accepts`: the hub takes [`AgentFrame::Rotate`].
pub const ROTATE: &str = "rotate";
/// In `accepts`: the hub takes [`AgentFrame::Jobs`].
pub const JOBS: &str = "jobs";
/// More names in a list of a frame are too many.
const LIST_MAX: usize = 100;

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentFrame {
    /// Who it is, and the proof of it.
    Auth(Box<Auth>),
    /// What it saw.
    Events {
        /// The number of the first; the others follow without a gap.
        from: u64,
        /// At most [`FRAME_EVENTS_MAX`].
        events: Vec<Event>,
    },
    /// The key that the device will have next. Sent only to a hub that accepts [`ROTATE`].
    Rotate {
        /// The key.
        key: PublicKey,
        /// Over [`crate::identity::HandshakeProof::next_device_key`], by the key of this session.
        signature: Signature,
        /// Over the same, by the next key: whoever announces it has it.
        key_signature: Signature,
    },
    /// When jobs of its machine run, for the operator to accept. Sent only to a hub that accepts [`JOBS`];
    /// one frame at a time, each is answered.
    Jobs {
        /// At most [`JOBS_MAX`].
        jobs: Vec<ProposedJob>,
    },
    /// It goes, on purpose: shutdown, stop, upgrade.
    Bye {
        /// `shutdown`, `stop` or `upgrade`.
        #[serde(deserialize_with = "clean::decode_line")]
        why: String,
    },
}

/// The agent's proof and where its stream stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth {
    /// The device's key.
    pub key: PublicKey,
    /// The name that it would like to have.
    pub name: DeviceName,
    /// How to reach it by ssh, if it was told.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "clean::decode_optional_line")]
    pub address: Option<String>,
    /// Of the program.
    #[serde(deserialize_with = "clean::decode_line")]
    pub version: String,
    /// The epoch of its spool.
    pub epoch: Epoch,
    /// The highest number that its spool ever gave.
    pub last: u64,
    /// This boot.
    pub boot: BootId,
    /// Milliseconds since that boot.
    #[serde(default)]
    pub up: u64,
    /// For the hub to sign.
    pub nonce: Nonce,
    /// The device's clock.
    pub time: Timestamp,
    /// Over [`crate::identity::HandshakeProof`].
    pub signature: Signature,
}

/// What a hub says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HubFrame {
    /// The first word.
    Hello {
        /// The hub's identity, proven in `welcome`.
        hub_key: PublicKey,
        /// For the agent to sign.
        nonce: Nonce,
        /// The hub's clock.
        time: Timestamp,
        /// The protocol versions that it speaks.
        #[serde(deserialize_with = "clean::decode_lines")]
        versions: Vec<String>,
    },
    /// The device is known, and this is the hub that it knows.
    Welcome {
        /// Committed through this number of the epoch; 0 when nothing is. To show, not to release by.
        acked: u64,
        /// How many events may be on their way.
        window: u32,
        /// Milliseconds between the hub's pings.
        ping_every: u64,
        /// The hub's clock.
        time: Timestamp,
        /// Over [`crate::identity::HandshakeProof`].
        signature: Signature,
        /// The key that the hub will have next, if one is announced. Agents of version 0.1 do not know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<NextHubKey>,
        /// Kinds of frames that the hub takes beyond those of version 0.1, such as [`ROTATE`]. Older hubs send none.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "clean::decode_lines")]
        accepts: Vec<String>,
    },
    /// No session, and why.
    Refused {
        /// The reason.
        #[serde(flatten)]
        why: Refusal,
    },
    /// Committed to the hub's store through this number.
    Ack {
        /// The number.
        through: u64,
    },
    /// The answer to `rotate`.
    Rotated {
        /// The key that was announced.
        key: PublicKey,
        /// Why it is not the device's next key. Without a reason it is: committed to the hub's store.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "clean::decode_optional_line")]
        refused: Option<String>,
    },
    /// What it made of the jobs.
    Jobs(JobAnswers),
}

/// The hub's next key, signed by its present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHubKey {
    /// The key.
    pub key: PublicKey,
    /// Over [`crate::identity::HandshakeProof::next_hub_key`].
    pub signature: Signature,
}

/// Why a hub refuses. Written as `"why": "…"`, with what belongs to it beside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Refusal {
    /// The proof holds, nobody enrolled the key: it waits under `device list --pending`. The agent keeps its spool and tries again.
    Pending,
    /// The device was forgotten or replaced: join again.
    Revoked,
    /// The spool's numbers cannot be trusted (restored from an older copy, or cloned): make a new epoch and renumber.
    NewEpoch {
        /// What was seen, for a person.
        #[serde(default, deserialize_with = "clean::decode_line")]
        detail: String,
    },
    /// The signature is not the key's.
    BadProof,
    /// A frame that the hub does not take.
    BadFrame {
        /// What was wrong with it.
        #[serde(default, deserialize_with = "clean::decode_line")]
        detail: String,
    },
    /// Another session of the same key took over.
    Displaced,
    /// The hub cannot take events now (starting, full disk): try again later.
    Busy {
        /// Why.
        #[serde(default, deserialize_with = "clean::decode_line")]
        detail: String,
    },
    /// A reason that this version does not know: try again later.
    #[serde(other)]
    Unknown,
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Over [`FRAME_MAX`].
    #[error("a frame of {0} bytes; at most {FRAME_MAX} are taken")]
    TooLarge(usize),
    /// Not JSON, not a known kind, or a field that is not what it must be.
    #[error("not a frame of olog.2: {0}")]
    Malformed(#[from] serde_json::Error),
    /// More than [`JOBS_MAX`] jobs, or none.
    #[error("a jobs frame must hold 1 to {JOBS_MAX} jobs")]
    BadJobs,
    /// More than [`FRAME_EVENTS_MAX`] events, none, or not numbered in a row from `from`.
    #[error("an events frame must hold 1 to {FRAME_EVENTS_MAX} events numbered in a row")]
    BadNumbers,
    /// A text in it is over its bound.
    #[error("a text in the frame is over its bound")]
    TooLong,
}

impl AgentFrame {
    /// Reads a frame, and checks every bound.
    pub fn decode(text: &str) -> Result<AgentFrame, FrameError> {
        let frame: AgentFrame = decode(text)?;
        match &frame {
            AgentFrame::Auth(auth) => {
                let address = auth.address.as_ref().map_or(0, String::len);
                if auth.version.len() > TEXT_MAX || address > TEXT_MAX {
                    return Err(FrameError::TooLong);
                }
            }
            AgentFrame::Events { from, events } => {
                let fits = from.checked_add(events.len() as u64).is_some_and(|end| i64::try_from(end).is_ok());
                let in_a_row = || events.iter().zip(*from..).all(|(event, n)| event.n == n);
                if events.is_empty() || events.len() > FRAME_EVENTS_MAX || *from == 0 || !fits || !in_a_row() {
                    return Err(FrameError::BadNumbers);
                }
                if !events.iter().all(Event::is_bounded) {
                    return Err(FrameError::TooLong);
                }
            }
            AgentFrame::Jobs { jobs } => {
                if jobs.is_empty() || jobs.len() > JOBS_MAX {
                    return Err(FrameError::BadJobs);
                }
                if !jobs.iter().all(ProposedJob::is_bounded) {
                    return Err(FrameError::TooLong);
                }
            }
            AgentFrame::Bye { why } if why.len() > TEXT_MAX => return Err(FrameError::TooLong),
            AgentFrame::Bye { .. } | AgentFrame::Rotate { .. } => {}
        }
        Ok(frame)
    }

    /// Writes a frame.
    pub fn encode(&self) -> Result<String, FrameError> {
        encode(self)
    }
}

impl HubFrame {
    /// Reads a frame, and checks every bound.
    pub fn decode(text: &str) -> Result<HubFrame, FrameError> {
        let frame: HubFrame = decode(text)?;
        match &frame {
            HubFrame::Hello { versions: list, .. } | HubFrame::Welcome { accepts: list, .. }
                if list.len() > LIST_MAX =>
            {
                Err(FrameError::TooLong)
            }
            HubFrame::Jobs(answers) if !answers.is_bounded() => Err(FrameError::TooLong),
            _ => Ok(frame),
        }
    }

    /// Writes a frame.
    pub fn encode(&self) -> Result<String, FrameError> {
        encode(self)
    }
}

fn decode<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, FrameError> {
    if text.len() > FRAME_MAX {
        return Err(FrameError::TooLarge(text.len()));
    }
    Ok(serde_json::from_str(text)?)
}

fn encode<T: Serialize>(frame: &T) -> Result<String, FrameError> {
    let text = serde_json::to_string(frame)?;
    if text.len() > FRAME_MAX { Err(FrameError::TooLarge(text.len())) } else { Ok(text) }
}
