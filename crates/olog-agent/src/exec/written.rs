//! What the command wrote on both outputs, in the order in which it came: all of it up to a bound, else its head and its tail.
//!
//! A command may write any number of bytes, in writes of any size. So the bytes are bounded, and so is how often the two
//! outputs take turns.

use std::collections::VecDeque;

use crate::kept;

/// Bytes of the head.
pub(super) const HEAD_MAX: usize = 256 * 1024;
/// Bytes of the tail.
pub(super) const TAIL_MAX: usize = 768 * 1024;
/// Pieces of each of the two. A piece ends where the command goes on on its other output.
const PIECES_MAX: usize = 8 * 1024;

/// One of the command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// Bytes of one output in a row.
#[derive(Debug)]
struct Piece {
    stream: Stream,
    length: usize,
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    head: Vec<u8>,
    head_pieces: Vec<Piece>,
    tail: VecDeque<u8>,
    tail_pieces: VecDeque<Piece>,
    n_bytes: u64,
}

impl Written {
    /// More of it.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.n_bytes += bytes.len() as u64;
        // Once the tail has begun, the head stays as it is.
        let room = if self.tail.is_empty() { HEAD_MAX.saturating_sub(self.head.len()) } else { 0 };
        let goes_on = self.head_pieces.last().is_some_and(|last| last.stream == stream);
        let room = if goes_on || self.head_pieces.len() < PIECES_MAX { room } else { 0 };
        let (first, rest) = bytes.split_at(bytes.len().min(room));
        if !first.is_empty() {
            self.head.extend_from_slice(first);
            match self.head_pieces.last_mut().filter(|_| goes_on) {
                Some(last) => last.length += first.len(),
                None => self.head_pieces.push(Piece { stream, length: first.len() }),
            }
        }
        if !rest.is_empty() {
            self.tail.extend(rest);
            match self.tail_pieces.back_mut().filter(|last| last.stream == stream) {
                Some(last) => last.length += rest.len(),
                None => self.tail_pieces.push_back(Piece { stream, length: rest.len() }),
            }
            self.trim();
        }
    }

    /// The oldest bytes of the tail go.
    fn trim(&mut self) {
        loop {
            let n_over = self.tail.len().saturating_sub(TAIL_MAX);
            let has_too_many = self.tail_pieces.len() > PIECES_MAX;
            let Some(first) = self.tail_pieces.front_mut() else { return };
            let n = if has_too_many { first.length } else { n_over.min(first.length) };
            if n == 0 {
                return;
            }
            first.length -= n;
            if first.length == 0 {
                self.tail_pieces.pop_front();
            }
            self.tail.drain(..n);
        }
    }

    /// Head and tail. What is cut is cut at the ends of lines, unless they are very long.
    pub(super) fn ends(&mut self) -> kept::KeptOutput<'_> {
        const LINE_MAX: usize = 4 * 1024;
        let tail = &*self.tail.make_contiguous();
        let n_missing = self.n_bytes - (self.head.len() + tail.len()) as u64;
        let (mut head, mut tail) = (self.head.as_slice(), tail);
        if n_missing > 0 {
            let last = head.iter().rev().take(LINE_MAX).position(|&b| b == b'\n').unwrap_or(0);
            head = head.get(..head.len() - last).unwrap_or(head);
            let first = tail.iter().take(LINE_MAX).position(|&b| b == b'\n').map_or(0, |n| n + 1);
            tail = tail.get(first..).unwrap_or(tail);
        }
        if n_missing == 0 {
            return kept::KeptOutput { head, n_left_out: 0, tail };
        }
        kept::KeptOutput { head, n_left_out: self.n_bytes - (head.len() + tail.len()) as u64, tail }
    }

    /// The last bytes, at most so many.
    pub(super) fn last(&self, n: usize) -> Vec<u8> {
        let from_head = n.saturating_sub(self.tail.len()).min(self.head.len());
        let head = self.head.get(self.head.len() - from_head..).unwrap_or_default();
        let tail = self.tail.iter().skip(self.tail.len().saturating_sub(n));
        head.iter().chain(tail).copied().collect()
    }

    /// Everything as it came, with what is left out between the two parts.
    pub(super) fn pieces(&mut self) -> (Pieces<'_>, u64, Pieces<'_>) {
        let n_left_out = self.n_bytes - (self.head.len() + self.tail.len()) as u64;
        let tail = cut(self.tail.make_contiguous(), self.tail_pieces.iter());
        (cut(&self.head, self.head_pieces.iter()), n_left_out, tail)
    }
}

/// Bytes in the order in which they came, each with its stream.
type Pieces<'a> = Vec<(Stream, &'a [u8])>;

fn cut<'a, 'b>(mut bytes: &'a [u8], pieces: impl Iterator<Item = &'b Piece>) -> Pieces<'a> {
    let piece = |piece: &Piece| {
        let (first, rest) = bytes.split_at_checked(piece.length).unwrap_or((bytes, &[]));
        bytes = rest;
        (piece.stream, first)
    };
    pieces.map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(written: &mut Written, stream: Stream) -> String {
        let (head, _, tail) = written.pieces();
        let of_stream = head.into_iter().chain(tail).filter(|(from, _)| *from == stream);
        of_stream.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    #[test]
    fn a_short_output_is_kept_whole_and_goes_back_to_where_it_came_from() {
        let mut written = Written::default();
        for (stream, text) in [(Stream::Out, "a\n"), (Stream::Err, "b\n"), (Stream::Out, "c"), (Stream::Out, "d\n")] {
            written.push(stream, text.as_bytes());
        }
        let kept = written.ends();
        assert_eq!((kept.head, kept.n_left_out, kept.tail), (b"a\nb\ncd\n".as_slice(), 0, b"".as_slice()));
        assert_eq!(replayed(&mut written, Stream::Out), "a\ncd\n");
        assert_eq!(replayed(&mut written, Stream::Err), "b\n");
        assert_eq!(written.last(4), b"\ncd\n");
    }

    #[test]
    fn of_a_long_output_the_head_and_the_tail_are_kept_in_whole_lines() {
        let mut written = Written::default();
        let n_lines = 1_000_000;
        (0..n_lines).for_each(|n| written.push(Stream::Out, format!("line {n}\n").as_bytes()));
        let n_bytes = written.n_bytes;
        let kept = written.ends();
        assert!(kept.head.starts_with(b"line 0\nline 1\n") && kept.head.ends_with(b"\n"));
        assert!(kept.tail.starts_with(b"line ") && kept.tail.ends_with(b"line 999999\n"));
        assert!(kept.head.len() <= HEAD_MAX && kept.tail.len() <= TAIL_MAX);
        assert_eq!((kept.head.len() + kept.tail.len()) as u64 + kept.n_left_out, n_bytes);
        assert_eq!(replayed(&mut written, Stream::Out).len(), HEAD_MAX + TAIL_MAX);
    }

    #[test]
    fn an_output_that_takes_turns_with_every_byte_is_bounded_too() {
        let mut written = Written::default();
        for _ in 0..1_000_000 {
            written.push(Stream::Out, b"o");
            written.push(Stream::Err, b"e");
        }
        assert!(written.head_pieces.len() <= PIECES_MAX && written.tail_pieces.len() <= PIECES_MAX);
        assert_eq!(written.last(4), b"oeoe");
        assert_eq!(written.ends().n_left_out, 2_000_000 - 2 * PIECES_MAX as u64);
    }
}
