//! Runs a target on its corpus (`fuzz/corpus/NAME`) and on inputs near it: the same ones in every run, so that a failure is found again.
//!
//! `OLOG_FUZZ_RUNS` says how many inputs are made of each file. This is what runs without cargo-fuzz.

use std::{fs, path::Path};

const RUNS: u64 = 60;
/// Pieces that mean something to one of the parsers.
const PIECES: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\x1b[",
    b"\x1b]",
    b"\xff",
    b"\xc3",
    b"-1",
    b"18446744073709551615",
    b"1e999",
    b"=",
    b": ",
    b"://",
    b"@",
    b"password=",
    b"-----BEGIN PRIVATE KEY-----",
    b"-----END PRIVATE KEY-----",
    b"\xe2\x80\xae",
    b"\xe5\xaf\x86\xe7\xa0\x81\xef\xbc\x9a",
    b"null",
    b"[[",
    b"'''",
];

/// Runs it.
pub(crate) fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let listed = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    let runs = std::env::var("OLOG_FUZZ_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(RUNS);
    let mut n_runs = 0_u64;
    for (n, file) in files.iter().enumerate() {
        let seed = fs::read(file).unwrap();
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ (n as u64 + 1));
        let mut input = seed.clone();
        for run in 0..=runs {
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                panic!("{name}: {} in run {run}: {:?}", file.display(), String::from_utf8_lossy(&input));
            }
            n_runs += 1;
            // A new start now and then: else the input wanders off.
            if run % 8 == 0 || input.len() > 64 * 1024 {
                input.clone_from(&seed);
            }
            change(&mut input, &mut chance);
        }
    }
    println!("{name}: {} files, {n_runs} runs", files.len());
}

fn change(input: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(3) {
        let at = chance.below(input.len() + 1);
        match chance.below(6) {
            0 if at < input.len() => input[at] ^= 1 << chance.below(8),
            1 => input.truncate(at),
            2 if at < input.len() => {
                input.remove(at);
            }
            3 => {
                let end = (at + chance.below(64)).min(input.len());
                let part = input[at..end].to_vec();
                let to = chance.below(input.len() + 1);
                input.splice(to..to, part);
            }
            _ => {
                let piece = PIECES[chance.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}
