//! Bounds how much a hub may send: acknowledgements and pings are short and few, so a hub that sends more makes the agent work for nothing.
//!
//! A stream of empty fragments or of tiny frames never fills a buffer, so no limit of size ends it. What counts is bytes as they
//! arrive: a burst of [`BURST`], and [`PER_SECOND`] beside it. Beyond that the stream fails, the session ends, and the next one waits as after
//! any session that broke.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::dial::ByteStream;

/// Bytes that may come at once: four of the largest frames.
const BURST: u64 = 4 * olog_proto::FRAME_MAX as u64;
/// Bytes in a second that a hub may send for ever: more than a thousand acknowledgements.
const PER_SECOND: u64 = 64 * 1024;

/// A stream from which no more is read than a hub has to say.
pub(super) struct Metered {
    stream: Box<dyn ByteStream>,
    /// Bytes that may come now.
    left: u64,
    /// Up to when `left` was refilled.
    refilled_at: Instant,
}

impl Metered {
    pub(super) fn new(stream: Box<dyn ByteStream>) -> Metered {
        Metered { stream, left: BURST, refilled_at: Instant::now() }
    }

    /// Takes what has come from what may come; `false`: it is too much.
    fn take(&mut self, n: u64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.refilled_at);
        let more = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_mul(PER_SECOND) / 1000;
        if more > 0 {
            self.refilled_at = now;
        }
        let may_come = self.left.saturating_add(more).min(BURST);
        self.left = may_come.saturating_sub(n);
        n <= may_come
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let n = buf.filled().len().saturating_sub(before);
        if n > 0 && !self.take(n as u64, Instant::now()) {
            return Poll::Ready(Err(io::Error::other("the hub sends more than it can have to say")));
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_and_a_rate_may_come_and_no_more() {
        let mut metered = Metered::new(Box::new(tokio::io::duplex(1).0));
        let now = metered.refilled_at;
        assert!(metered.take(BURST, now) && !metered.take(1, now), "a burst, and not a byte more");
        let second = now + Duration::from_secs(1);
        assert!(metered.take(PER_SECOND, second) && !metered.take(1, second));
        assert!(!metered.take(BURST + 1, second + Duration::from_secs(86_400)), "time is not saved up");
        // Many short looks count as one long one.
        let mut metered = Metered { left: 0, ..metered };
        let start = metered.refilled_at;
        assert!((1..=1000).all(|ms| metered.take(PER_SECOND / 1000, start + Duration::from_millis(ms))));
    }
}
