//! Runs each fuzz target with its corpus and random mutations of it.
//!
//! `FUZZED_ROUNDS` sets the number of mutations for each target, and `FUZZED_SEED` the seed, so that
//! a failure can be reproduced.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use oh_fuzzed::TARGETS;

/// Mutations for each target.
const ROUNDS: u64 = 3_000;
const MAX_LEN: usize = 20_000;

/// A pseudorandom number generator: xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Difficult input for parsers.
const TOKENS: [&[u8]; 22] = [
    b"\"",
    b"\\",
    b"{",
    b"[",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"\\ud800",
    b"\xff",
    b"\0",
    b"\r\n",
    b"%2F",
    b"%252F",
    b"//",
    b"..",
    b",",
    b";",
    b"=",
    b"\xe2\x80\xae",
    b"\x1b[31m",
    b"aXBfKym8W1M4fjUMXoy38iHzMEZdWS",
];

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(16)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.byte(),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let token = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            _ => {
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(MAX_LEN);
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn run(name: &str) {
    let (_, target) = TARGETS
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    let check = |bytes: &[u8], what: &str| {
        if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
            panic!(
                "{what} violates {name}: {:?}",
                bytes.escape_ascii().to_string()
            );
        }
    };
    let corpus = corpus(name);
    assert!(corpus.len() >= 4, "the corpus is too small");
    check(b"", "empty input");
    for bytes in &corpus {
        check(bytes, "an entry of the corpus");
    }
    let seed = number("FUZZED_SEED", 0x5eed);
    let mut random = Random(seed);
    for round in 0..number("FUZZED_ROUNDS", ROUNDS) {
        let mut bytes = corpus[random.below(corpus.len())].clone();
        let other = &corpus[random.below(corpus.len())];
        mutate(&mut random, &mut bytes, other);
        check(&bytes, &format!("round {round} from seed {seed}"));
    }
}

/// One test for each target, and one that no target is missing.
macro_rules! tests {
    ($($test:ident: $target:literal),* $(,)?) => {
        $(#[test] fn $test() { run($target); })*

        #[test]
        fn fuzz_targets_are_complete_here_and_in_fuzz() {
            let tested = [$($target),*];
            let all = TARGETS.map(|(name, _)| name);
            assert_eq!(tested, all);
            let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
            for name in all {
                let program = fuzz.join(format!("fuzz_targets/{name}.rs"));
                let text = std::fs::read_to_string(&program).unwrap();
                assert!(text.contains(&format!("oh_fuzzed::{name}(data)")), "{text}");
            }
        }
    };
}

tests! {
    signature_header_is_accepted_only_if_valid: "signature_header",
    webhook_body_is_a_complete_object_or_rejected: "webhook_body",
    login_cookie_logs_nobody_in_and_stays_small: "login_cookie",
    return_path_stays_on_the_site: "return_path",
    page_link_stays_on_the_server: "page_link",
    responses_cause_no_panic_and_show_no_secret: "responses",
    csv_metadata_is_unchanged_after_write_and_read: "csv_metadata",
    encrypted_record_is_valid_only_with_the_key: "encrypted_record",
    file_names_become_one_visible_file: "file_names",
}
