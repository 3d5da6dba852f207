//! Runs every target over its corpus and over random changes of it, the same each time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails so"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Changed inputs for each target: a few seconds for all of them in a debug build.
const ROUNDS: u32 = 8000;
/// Pieces that formats here are made of.
const PIECES: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"=",
    b"\n",
    b"\0",
    b"#",
    b" ",
    b":",
    b",",
    b"unlimited",
    b"KMEMSIZE=",
    b"all",
    b"18446744073709551616",
    b"-1",
    b"\xff\xfe",
    b"${VEID}",
];

/// xorshift64* (Vigna): enough to change bytes by, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    }
}

fn change(input: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(5) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => drop(input.drain(at..(at + random.below(9)).min(input.len()))),
            2 => drop(input.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            3 => {
                let other = &others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(40)).min(other.len());
                drop(input.splice(at..at, other[from..to].iter().copied()));
            }
            _ => input.truncate(at.max(1)),
        }
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn targets() {
    for (name, body) in vz_fuzz::TARGETS {
        let seeds = corpus(name);
        assert!(!seeds.is_empty(), "{name} has no corpus");
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let try_input = |input: &[u8]| {
            if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
                panic!("{name} fails for \"{}\"", input.escape_ascii());
            }
        };
        seeds.iter().for_each(|seed| try_input(seed));
        for _ in 0..ROUNDS {
            let mut input = seeds[random.below(seeds.len())].clone();
            change(&mut input, &seeds, &mut random);
            try_input(&input);
        }
    }
}
