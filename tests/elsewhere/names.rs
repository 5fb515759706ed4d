//! A name server for a test: every name under `.olog.test` is 127.0.0.1, and there is no other name.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// It answers until the process ends.
#[derive(Debug)]
pub(crate) struct NameServer {
    /// Where it listens, on port 53: an address of the loopback range that this process has for itself.
    pub(crate) address: Ipv4Addr,
    n_answered: Arc<AtomicU32>,
}

impl NameServer {
    /// As root only, because of its port.
    pub(crate) fn start() -> NameServer {
        let [a, b, ..] = std::process::id().to_le_bytes();
        let address = Ipv4Addr::new(127, 77, b, a);
        let socket = UdpSocket::bind((address, 53)).unwrap();
        let n_answered = Arc::new(AtomicU32::new(0));
        let counted = n_answered.clone();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((n, from)) = socket.recv_from(&mut question) {
                if let Some(answer) = answer(&question[..n]) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        NameServer { address, n_answered }
    }

    /// How many questions it has answered.
    pub(crate) fn n_answered(&self) -> u32 {
        self.n_answered.load(Ordering::Relaxed)
    }
}

/// The answer of RFC 1035 to one question; `None` if it is none.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let mut at = HEADER;
    let mut labels: Vec<&[u8]> = Vec::new();
    while let n @ 1.. = usize::from(*question.get(at)?) {
        labels.push(question.get(at + 1..=at + n)?);
        at += 1 + n;
    }
    let end = at + 5;
    let is_a = question.get(at + 1..at + 3)? == [0, 1];
    let is_known = labels.ends_with(&[b"olog", b"test"]);
    let has_address = is_known && is_a;
    // A response, recursion available; no such name: 3. Counts: one question, perhaps one answer.
    let mut out = question.get(..2)?.to_vec();
    out.extend([0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    out.extend(question.get(HEADER..end)?);
    if has_address {
        // The name of the question, type A, class IN, 60 s, four bytes.
        out.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(out)
}
