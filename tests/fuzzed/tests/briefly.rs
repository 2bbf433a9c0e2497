//! Each promise, over what fuzzing found worth keeping and random changes of it.
//!
//! `FUZZED_ROUNDS` says how many changes are tried of each target, `FUZZED_SEED` where the random
//! numbers begin, so that a failure can be had again.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use oh_fuzzed::TARGETS;

/// Changes of what is kept that are tried of each target.
const ROUNDS: u64 = 3_000;
const LONGEST: usize = 20_000;

/// Numbers that look random and are not: xorshift64*.
struct Numbers(u64);

impl Numbers {
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

/// What parsers stumble over.
const WORDS: [&[u8]; 22] = [
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

fn change(numbers: &mut Numbers, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + numbers.below(16)).min(bytes.len());
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] = numbers.byte(),
            1 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let word = WORDS[numbers.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            _ => {
                let from = numbers.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(LONGEST);
}

fn kept(name: &str) -> Vec<Vec<u8>> {
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

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

fn hold(name: &str) {
    let (_, target) = TARGETS
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    let check = |bytes: &[u8], what: &str| {
        if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
            panic!(
                "{what} breaks {name}: {:?}",
                bytes.escape_ascii().to_string()
            );
        }
    };
    let kept = kept(name);
    assert!(kept.len() >= 4, "hardly anything is kept");
    check(b"", "nothing");
    for bytes in &kept {
        check(bytes, "what is kept");
    }
    let seed = number("FUZZED_SEED", 0x5eed);
    let mut numbers = Numbers(seed);
    for round in 0..number("FUZZED_ROUNDS", ROUNDS) {
        let mut bytes = kept[numbers.below(kept.len())].clone();
        let other = &kept[numbers.below(kept.len())];
        change(&mut numbers, &mut bytes, other);
        check(&bytes, &format!("round {round} from seed {seed}"));
    }
}

/// One test for each target, and one that sees that none is missing.
macro_rules! tests {
    ($($test:ident: $target:literal),* $(,)?) => {
        $(#[test] fn $test() { hold($target); })*

        #[test]
        fn every_target_is_held_to_its_promise_here_and_fuzzed_there() {
            let here = [$($target),*];
            let all = TARGETS.map(|(name, _)| name);
            assert_eq!(here, all);
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
    only_the_right_signature_is_believed: "signature_header",
    a_signed_body_is_an_object_or_nothing: "webhook_body",
    no_cookie_logs_anyone_in_and_none_grows_too_large: "login_cookie",
    a_way_back_never_leads_away: "return_path",
    a_link_to_the_next_page_leads_nowhere_else: "page_link",
    no_answer_panics_or_shows_a_secret: "answers",
    a_metadata_csv_says_the_same_when_it_is_written_and_read_again: "csv_metadata",
    nobody_else_can_seal: "sealed_record",
    any_name_is_one_plain_file: "file_names",
}
