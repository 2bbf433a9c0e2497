//! Whatever is done to an export after it was sealed is found out.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

use std::fmt::Write;

use oh_ledger::{
    Checkpoint, End, Frontier, LineProof, ProofError, SignedCheckpoint, SigningKey, Terms, Verdict,
    Verified, Verifier, VerifyError, VerifyingKey, checkpoint_record, notes_in,
};

const NAME: &str = "example.org/erasure";
const DAY: i64 = 86_400_000_000;

fn key() -> SigningKey {
    SigningKey::generate(NAME).unwrap()
}

/// A line of a ledger in which each event takes four.
fn line(number: u64) -> String {
    let (event, step) = (number / 4, number % 4);
    let step = ["received", "tokens_destroyed", "tried", "done"][usize::try_from(step).unwrap()];
    let (minute, second) = ((number / 60) % 60, number % 60);
    format!(
        "{{\"seq\":{},\"event\":\"{event:032x}\",\"member\":\"{:032x}\",\
         \"at\":\"2026-11-01T12:{minute:02}:{second:02}Z\",\"step\":\"{step}\",\"attempt\":0}}",
        10 + 2 * number,
        event % 1_000,
    )
}

/// An export of so many lines, sealed after every so many and at its end.
fn export(lines: u64, every: u64, key: &SigningKey) -> String {
    let mut tree = Frontier::new();
    let mut text = String::new();
    for number in 0..lines {
        let line = line(number);
        tree.push(line.as_bytes());
        writeln!(text, "{line}").unwrap();
        if (number + 1) % every == 0 || number + 1 == lines {
            let signed = Checkpoint::of(NAME, &tree).sign(std::slice::from_ref(key));
            writeln!(text, "{}", checkpoint_record(signed.note())).unwrap();
        }
    }
    text
}

fn keys(of: &[&SigningKey]) -> Vec<VerifyingKey> {
    of.iter().map(|key| key.verifying_key().clone()).collect()
}

fn terms() -> Terms {
    Terms::at(1_795_000_000_000_000)
}

fn verify(text: &str, key: &SigningKey) -> Result<Verified, VerifyError> {
    Verifier::new(keys(&[key]), terms()).read(text.as_bytes())
}

fn verify_against(text: &str, key: &SigningKey, held: &str) -> Result<Verified, VerifyError> {
    let mut verifier = Verifier::new(keys(&[key]), terms());
    for note in notes_in(held) {
        verifier.hold_against(&note).unwrap();
    }
    verifier.read(text.as_bytes())
}

fn joined(lines: &[&str]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        text += line;
        text.push('\n');
        text
    })
}

#[test]
fn a_ledger_of_a_hundred_thousand_lines_holds_until_it_is_touched() {
    let key = key();
    let text = export(100_000, 10_000, &key);
    let verified = verify(&text, &key).unwrap();
    assert_eq!((verified.lines, verified.sealed), (100_000, 100_000));
    assert_eq!(verified.checkpoints, 10);
    assert_eq!(verified.summary.of(End::Done), 25_000);

    let lines: Vec<&str> = text.lines().collect();
    let place = lines
        .iter()
        .position(|l| l.contains("\"seq\":100010,"))
        .unwrap();

    // One byte of one line.
    let altered = text.replacen(
        &format!(
            "{}\"tried\"",
            &line(50_002)[..line(50_002).find("\"tried\"").unwrap()]
        ),
        &format!(
            "{}\"tribd\"",
            &line(50_002)[..line(50_002).find("\"tried\"").unwrap()]
        ),
        1,
    );
    assert_ne!(altered, text);
    match verify(&altered, &key).unwrap_err() {
        VerifyError::Changed { sealed, size, .. } => assert_eq!((sealed, size), (50_000, 60_000)),
        other => panic!("{other}"),
    }

    // One line removed.
    let mut fewer = lines.clone();
    fewer.remove(place);
    match verify(&joined(&fewer), &key).unwrap_err() {
        VerifyError::Place { size, lines, .. } => assert_eq!((size, lines), (60_000, 59_999)),
        other => panic!("{other}"),
    }

    // One put in, with a number that was free.
    let more_line = lines[place].replace("\"seq\":100010,", "\"seq\":100011,");
    let mut more = lines.clone();
    more.insert(place + 1, &more_line);
    match verify(&joined(&more), &key).unwrap_err() {
        VerifyError::Place { size, lines, .. } => assert_eq!((size, lines), (60_000, 60_001)),
        other => panic!("{other}"),
    }

    // A checkpoint replaced, by one of another tree of that size under the same key.
    let mut other = Frontier::new();
    for number in 0..50_000 {
        other.push(line(number + 1).as_bytes());
    }
    let forged = Checkpoint::of(NAME, &other).sign(std::slice::from_ref(&key));
    let forged = checkpoint_record(forged.note());
    let seal = 50_000 + 4;
    assert!(lines[seal].contains("\\n50000\\n"));
    let mut replaced = lines.clone();
    replaced[seal] = &forged;
    match verify(&joined(&replaced), &key).unwrap_err() {
        VerifyError::Changed { sealed, size, .. } => assert_eq!((sealed, size), (40_000, 50_000)),
        other => panic!("{other}"),
    }
    // And by one that a stranger signed.
    let stranger = export(50_000, 50_000, &SigningKey::generate(NAME).unwrap());
    let mut replaced = lines;
    replaced[seal] = stranger.lines().last().unwrap();
    assert!(matches!(
        verify(&joined(&replaced), &key).unwrap_err(),
        VerifyError::Checkpoint { at: 50_005, .. }
    ));
}

#[test]
fn every_byte_counts() {
    let key = key();
    let text = export(5, 3, &key);
    assert_eq!(verify(&text, &key).unwrap().sealed, 5);
    let bytes = text.as_bytes();
    // But for the last line break.
    for at in 0..bytes.len() - 1 {
        for change in [1, 0x20, 0x80] {
            let mut altered = bytes.to_vec();
            altered[at] ^= change;
            let read = Verifier::new(keys(&[&key]), terms()).read(altered.as_slice());
            assert!(read.is_err(), "byte {at}, {change:#x}");
        }
        let cut = [&bytes[..at], &bytes[at + 1..]].concat();
        let read = Verifier::new(keys(&[&key]), terms()).read(cut.as_slice());
        assert!(read.is_err(), "byte {at} removed");
    }
}

#[test]
fn lines_cannot_be_moved_doubled_or_left_out() {
    let key = key();
    let text = export(12, 4, &key);
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        // A checkpoint that is there twice says the same twice.
        let sealed_twice = lines[at].starts_with("{\"checkpoint\"");
        assert_eq!(
            verify(&joined(&doubled), &key).is_ok(),
            sealed_twice,
            "{at}"
        );
        let mut fewer = lines.clone();
        fewer.remove(at);
        let left = verify(&joined(&fewer), &key);
        // Without a checkpoint those after it prove the same; without the last, less.
        match left {
            Ok(left) => assert!(sealed_twice && left.sealed >= 8),
            Err(_) => assert!(!sealed_twice),
        }
        if at + 1 < lines.len() {
            let mut moved = lines.clone();
            moved.swap(at, at + 1);
            assert!(verify(&joined(&moved), &key).is_err(), "{at} moved");
        }
    }
}

#[test]
fn only_a_checkpoint_from_elsewhere_shows_that_the_end_was_cut_off_or_all_was_written_again() {
    let key = key();
    let whole = export(12, 4, &key);
    let kept = whole.lines().last().unwrap();
    let note = notes_in(kept).remove(0);

    // As a record of an export, and as the bare note.
    for held in [kept, &note, &whole] {
        let verified = verify_against(&whole, &key, held).unwrap();
        assert_eq!(verified.sealed, 12);
        assert!(verified.held >= 1);
    }
    // Older than the last: consistent with it, as both are of one tree.
    let older = export(4, 4, &key);
    assert_eq!(verify_against(&whole, &key, &older).unwrap().held, 1);

    let cut = export(8, 4, &key);
    assert!(verify(&cut, &key).is_ok());
    match verify_against(&cut, &key, kept).unwrap_err() {
        VerifyError::Cut { size, lines, .. } => assert_eq!((size, lines), (12, 8)),
        other => panic!("{other}"),
    }
    // Whoever has the key can sign another story; those who hold the first one know.
    let mut tree = Frontier::new();
    let mut again = String::new();
    for number in 1..13 {
        tree.push(line(number).as_bytes());
        writeln!(again, "{}", line(number)).unwrap();
    }
    let signed = Checkpoint::of(NAME, &tree).sign(std::slice::from_ref(&key));
    writeln!(again, "{}", checkpoint_record(signed.note())).unwrap();
    assert!(verify(&again, &key).is_ok());
    match verify_against(&again, &key, kept).unwrap_err() {
        VerifyError::Forked { size, .. } => assert_eq!(size, 12),
        other => panic!("{other}"),
    }
}

#[test]
fn without_any_checkpoint_nothing_is_proved() {
    let key = key();
    let whole = export(8, 4, &key);
    let bare: Vec<&str> = whole
        .lines()
        .filter(|l| l.starts_with("{\"seq\""))
        .collect();
    let bare = joined(&bare);
    assert!(matches!(
        verify(&bare, &key).unwrap_err(),
        VerifyError::Nothing
    ));
    assert!(matches!(
        verify("", &key).unwrap_err(),
        VerifyError::Nothing
    ));
    // One from elsewhere proves what it covers.
    let older = export(4, 4, &key);
    let verified = verify_against(&bare, &key, older.lines().last().unwrap()).unwrap();
    assert_eq!((verified.lines, verified.sealed), (8, 4));
    // Kept before there was a line, it proves nothing about any.
    let empty = Checkpoint::of(NAME, &Frontier::new()).sign(std::slice::from_ref(&key));
    assert_eq!(verify_against(&bare, &key, empty.note()).unwrap().sealed, 0);
}

#[test]
fn what_is_not_sealed_yet_is_said() {
    let key = key();
    let text = export(8, 8, &key) + &line(8) + "\n";
    let verified = verify(&text, &key).unwrap();
    assert_eq!((verified.lines, verified.sealed), (9, 8));
    assert_eq!(verified.listed.len(), 1);
    assert_eq!(verified.listed[0].end, End::Pending);
}

#[test]
fn keys_can_follow_one_another() {
    let (old, new) = (key(), key());
    let mut text = export(8, 4, &old);
    let mut tree = Frontier::new();
    for number in 0..12 {
        let line = line(number);
        tree.push(line.as_bytes());
        if number >= 8 {
            writeln!(text, "{line}").unwrap();
        }
    }
    let signed = Checkpoint::of(NAME, &tree).sign(std::slice::from_ref(&new));
    writeln!(text, "{}", checkpoint_record(signed.note())).unwrap();
    for one in [&old, &new] {
        assert!(matches!(
            verify(&text, one).unwrap_err(),
            VerifyError::Checkpoint { .. }
        ));
    }
    let verified = Verifier::new(keys(&[&old, &new]), terms())
        .read(text.as_bytes())
        .unwrap();
    let uses: Vec<_> = verified
        .keys
        .iter()
        .map(|used| (used.first, used.last))
        .collect();
    assert_eq!(uses, [(4, 8), (12, 12)]);
}

#[test]
fn a_request_without_an_end_in_time_is_listed() {
    let key = key();
    let mut tree = Frontier::new();
    let mut text = String::new();
    for (seq, event, day, step) in [
        (1, "on-time", 1, "received"),
        (2, "late", 1, "received"),
        (3, "never", 1, "received"),
        (4, "fresh", 1, "received"),
        (5, "on-time", 2, "done"),
        (6, "late", 3, "done"),
        (7, "fresh", 3, "requeued"),
    ] {
        let line = format!(
            "{{\"seq\":{seq},\"event\":\"{event}\",\"member\":\"m\",\
             \"at\":\"1970-01-0{day}T00:00:00Z\",\"step\":\"{step}\",\"attempt\":0}}"
        );
        tree.push(line.as_bytes());
        writeln!(text, "{line}").unwrap();
    }
    let signed = Checkpoint::of(NAME, &tree).sign(std::slice::from_ref(&key));
    writeln!(text, "{}", checkpoint_record(signed.note())).unwrap();
    let terms = Terms::at(3 * DAY).days(1);
    let verified = Verifier::new(keys(&[&key]), terms)
        .read(text.as_bytes())
        .unwrap();
    let listed: Vec<_> = verified
        .listed
        .iter()
        .map(|request| (request.event.as_str(), request.verdict(terms)))
        .collect();
    let expected = [
        ("fresh", Verdict::Overdue),
        ("late", Verdict::Late),
        ("never", Verdict::Overdue),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn one_members_lines_are_proved_without_the_others() {
    let key = key();
    let text = export(101, 20, &key);
    let keys = keys(&[&key]);
    let checkpoint = verify(&text, &key).unwrap().last.unwrap();
    let member = format!("{:032x}", 7);
    let proofs = LineProof::find(text.as_bytes(), &checkpoint, |l| l.member == member).unwrap();
    assert_eq!(proofs.len(), 4);
    for proof in &proofs {
        let again: LineProof = proof.to_string().parse().unwrap();
        assert_eq!(&again, proof);
        let mailed = proof.to_string().trim_end().replace('\n', "\r\n") + "\r\n\r\n";
        assert_eq!(&mailed.parse::<LineProof>().unwrap(), proof);
        let (line, sealed) = again.verify(&keys).unwrap();
        assert_eq!(line.member, member);
        assert_eq!(sealed, checkpoint);
        // Another line, another place, another checkpoint: nothing is proved.
        let written = proof.to_string();
        for (from, to) in [
            (
                format!("index {}", proof.index()),
                format!("index {}", proof.index() + 1),
            ),
            ("\n101\n".into(), "\n102\n".into()),
        ] {
            let altered: LineProof = written.replace(&from, &to).parse().unwrap();
            assert!(altered.verify(&keys).is_err(), "{from}");
        }
        let other = text.lines().next().unwrap();
        let altered = written.replace(
            written.lines().nth(1).unwrap(),
            &format!("extra {}", base64(other.as_bytes())),
        );
        let altered: LineProof = altered.parse().unwrap();
        assert_eq!(altered.verify(&keys).unwrap_err(), ProofError::NotIncluded);
    }
    assert!("".parse::<LineProof>().is_err());
    assert!(text.parse::<LineProof>().is_err());
    let stranger = [SigningKey::generate(NAME).unwrap().verifying_key().clone()];
    assert!(matches!(
        proofs[0].verify(&stranger),
        Err(ProofError::Checkpoint(_))
    ));
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_checkpoint_that_is_shown_only_is_read_without_keys() {
    let key = key();
    let text = export(4, 4, &key);
    let note = notes_in(&text).remove(0);
    let shown = SignedCheckpoint::unverified(&note).unwrap();
    assert_eq!(shown.checkpoint().size, 4);
    assert!(SignedCheckpoint::unverified("nothing").is_err());
}
