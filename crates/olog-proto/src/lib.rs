//! What an Olog agent and an Olog hub say to each other, and the rules that both must apply alike.
//!
//! The story in one page. A *device* is an Ed25519 key ([`identity`]). Its agent watches log files; the file's name
//! says the *task* and what its text means ([`name`]). What it saw becomes an [`Event`], numbered within an
//! [`Epoch`] ([`event`]); the error text in it is reduced to *fingerprints*, so that the same error with another
//! date is the same error ([`fingerprint`]). Events travel in JSON text frames over a websocket ([`frame`]): the hub
//! says hello, both sides prove their keys, the agent sends events within the window, and the hub acknowledges what it has
//! committed. The hub never sends commands. When jobs have
//! to run is a *schedule* ([`schedule`]), and an agent may propose those of its machine ([`job`]). Texts are cleaned as they are decoded ([`clean`]).
//!
//! This crate does no IO, reads no clock, spawns nothing. Every bound is a constant below; a decoder checks it before
//! it allocates.

pub mod clean;
pub mod event;
pub mod fingerprint;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod identity;
pub mod job;
pub mod name;
pub mod redact;
pub mod schedule;

pub use event::{
    Author, BootId, DeviceTime, Epoch, Event, EventContent, Excerpt, File, Growth, Note, OwnPush, Timestamp,
};
pub use fingerprint::{Fingerprint, FingerprintText};
pub use frame::{AgentFrame, FrameError, HubFrame};
pub use identity::{JoinLink, Nonce, PublicKey, SecretKey, Signature};
pub use name::{DeviceName, LogKind, TaskName};

/// The websocket subprotocol of this version.
pub const SUBPROTOCOL: &str = "olog.2";
/// The versions that this build speaks, as `hello` lists them.
pub const VERSIONS: &[&str] = &[SUBPROTOCOL];
/// The kinds of frames that a hub of this build takes beyond those of version 0.1, as `welcome` lists them.
pub const ACCEPTS: &[&str] = &[frame::ROTATE, frame::JOBS];
/// The largest frame either side accepts, in bytes. An event is at most about 50 kB of JSON, usually 0.5.
pub const FRAME_MAX: usize = 512 * 1024;
/// Events in one frame.
pub const FRAME_EVENTS_MAX: usize = 500;
/// The largest window that an agent honours: events sent and not yet acknowledged.
pub const WINDOW_MAX: u32 = 10_000;
/// Bytes of a task's name: a file name has at most 255 bytes, each written at most as `\xNN`.
pub const TASK_NAME_MAX: usize = 255 * 4;
/// Characters of a device's name (a Linux host name has at most 64).
pub const DEVICE_NAME_MAX: usize = 64;
/// Bytes of a path as it travels; a longer one is cut in its middle.
pub const PATH_MAX: usize = 4096;
/// An excerpt is whole up to this many characters.
pub const EXCERPT_WHOLE: usize = 1050;
/// Characters at each end of an excerpt that had to be cut.
pub const EXCERPT_END: usize = 500;
/// Fingerprints that one event carries.
pub const FINGERPRINTS_MAX: usize = 20;
/// Characters of a fingerprint's text.
pub const FINGERPRINT_TEXT_MAX: usize = 200;
/// Bytes of any other text in a frame: a reason, a version, an address.
pub const TEXT_MAX: usize = 1024;
