//! The verifier detects every change to an export after its checkpoints were signed.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]

use std::fmt::Write;

use oh_ledger::{
    Checkpoint, End, Frontier, LineProof, ProofError, SigningKey, Verdict, Verified, Verifier,
    VerifyError, VerifyingKey, checkpoint_record, notes_in,
};

const NAME: &str = "example.org/erasure";
const DAY: i64 = 86_400_000_000;

fn key() -> SigningKey {
    SigningKey::generate(NAME).unwrap()
}

/// Returns a line of a ledger in which each event has four lines.
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

/// Returns an export with a checkpoint after every `every` lines and at the end.
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

const AS_OF: i64 = 1_795_000_000_000_000;

fn verify(text: &str, key: &SigningKey) -> Result<Verified, VerifyError> {
    Verifier::new(keys(&[key]), AS_OF).read(text.as_bytes())
}

fn verify_against(text: &str, key: &SigningKey, trusted: &str) -> Result<Verified, VerifyError> {
    let mut verifier = Verifier::new(keys(&[key]), AS_OF);
    for note in notes_in(trusted) {
        verifier.trust_checkpoint(&note).unwrap();
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
fn verifier_locates_change_in_large_export() {
    let key = key();
    let text = export(100_000, 10_000, &key);
    let verified = verify(&text, &key).unwrap();
    assert_eq!((verified.lines, verified.signed_lines), (100_000, 100_000));
    assert_eq!(verified.checkpoints, 10);
    assert_eq!(verified.count(|group| group.end == End::Done), 25_000);

    let lines: Vec<&str> = text.lines().collect();
    let position = lines
        .iter()
        .position(|l| l.contains("\"seq\":100010,"))
        .unwrap();

    // One byte of one line changed.
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
        VerifyError::Changed { signed, size, .. } => assert_eq!((signed, size), (50_000, 60_000)),
        other => panic!("{other}"),
    }

    // One line removed.
    let mut fewer = lines.clone();
    fewer.remove(position);
    match verify(&joined(&fewer), &key).unwrap_err() {
        VerifyError::MisplacedCheckpoint { size, lines, .. } => {
            assert_eq!((size, lines), (60_000, 59_999))
        }
        other => panic!("{other}"),
    }

    // One line inserted, with an unused sequence number.
    let more_line = lines[position].replace("\"seq\":100010,", "\"seq\":100011,");
    let mut more = lines.clone();
    more.insert(position + 1, &more_line);
    match verify(&joined(&more), &key).unwrap_err() {
        VerifyError::MisplacedCheckpoint { size, lines, .. } => {
            assert_eq!((size, lines), (60_000, 60_001))
        }
        other => panic!("{other}"),
    }

    // A checkpoint replaced by another one of the same size and key.
    let mut other = Frontier::new();
    for number in 0..50_000 {
        other.push(line(number + 1).as_bytes());
    }
    let forged = Checkpoint::of(NAME, &other).sign(std::slice::from_ref(&key));
    let forged = checkpoint_record(forged.note());
    let checkpoint_line = 50_000 + 4;
    assert!(lines[checkpoint_line].contains("\\n50000\\n"));
    let mut replaced = lines.clone();
    replaced[checkpoint_line] = &forged;
    match verify(&joined(&replaced), &key).unwrap_err() {
        VerifyError::Changed { signed, size, .. } => assert_eq!((signed, size), (40_000, 50_000)),
        other => panic!("{other}"),
    }
    // A checkpoint replaced by one of an unknown key.
    let unknown = export(50_000, 50_000, &SigningKey::generate(NAME).unwrap());
    let mut replaced = lines;
    replaced[checkpoint_line] = unknown.lines().last().unwrap();
    assert!(matches!(
        verify(&joined(&replaced), &key).unwrap_err(),
        VerifyError::InvalidCheckpoint { line: 50_005, .. }
    ));
}

#[test]
fn verifier_rejects_any_changed_or_removed_byte() {
    let key = key();
    let text = export(5, 3, &key);
    assert_eq!(verify(&text, &key).unwrap().signed_lines, 5);
    let bytes = text.as_bytes();
    // Except for the last line break.
    for at in 0..bytes.len() - 1 {
        for change in [1, 0x20, 0x80] {
            let mut altered = bytes.to_vec();
            altered[at] ^= change;
            let read = Verifier::new(keys(&[&key]), AS_OF).read(altered.as_slice());
            assert!(read.is_err(), "byte {at}, {change:#x}");
        }
        let cut = [&bytes[..at], &bytes[at + 1..]].concat();
        let read = Verifier::new(keys(&[&key]), AS_OF).read(cut.as_slice());
        assert!(read.is_err(), "byte {at} removed");
    }
}

#[test]
fn verifier_rejects_moved_repeated_and_removed_lines() {
    let key = key();
    let text = export(12, 4, &key);
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        // A repeated checkpoint is valid.
        let is_checkpoint = lines[at].starts_with("{\"checkpoint\"");
        assert_eq!(
            verify(&joined(&doubled), &key).is_ok(),
            is_checkpoint,
            "{at}"
        );
        let mut fewer = lines.clone();
        fewer.remove(at);
        let result = verify(&joined(&fewer), &key);
        // Later checkpoints cover the same lines. Without the last checkpoint, fewer lines are covered.
        match result {
            Ok(verified) => assert!(is_checkpoint && verified.signed_lines >= 8),
            Err(_) => assert!(!is_checkpoint),
        }
        if at + 1 < lines.len() {
            let mut moved = lines.clone();
            moved.swap(at, at + 1);
            assert!(verify(&joined(&moved), &key).is_err(), "{at} moved");
        }
    }
}

#[test]
fn trusted_checkpoint_detects_truncated_and_rewritten_export() {
    let key = key();
    let complete = export(12, 4, &key);
    let last = complete.lines().last().unwrap();
    let note = notes_in(last).remove(0);

    // As a record of an export, as a note, and as a complete export.
    for trusted in [last, &note, &complete] {
        let verified = verify_against(&complete, &key, trusted).unwrap();
        assert_eq!(verified.signed_lines, 12);
        assert!(verified.trusted_checkpoints >= 1);
    }
    // An older checkpoint is consistent with the export.
    let older = export(4, 4, &key);
    assert_eq!(
        verify_against(&complete, &key, &older)
            .unwrap()
            .trusted_checkpoints,
        1
    );

    let truncated = export(8, 4, &key);
    assert!(verify(&truncated, &key).is_ok());
    match verify_against(&truncated, &key, last).unwrap_err() {
        VerifyError::Truncated { size, lines, .. } => assert_eq!((size, lines), (12, 8)),
        other => panic!("{other}"),
    }
    // The operator can sign a rewritten ledger. A trusted checkpoint reveals it.
    let mut tree = Frontier::new();
    let mut again = String::new();
    for number in 1..13 {
        tree.push(line(number).as_bytes());
        writeln!(again, "{}", line(number)).unwrap();
    }
    let signed = Checkpoint::of(NAME, &tree).sign(std::slice::from_ref(&key));
    writeln!(again, "{}", checkpoint_record(signed.note())).unwrap();
    assert!(verify(&again, &key).is_ok());
    match verify_against(&again, &key, last).unwrap_err() {
        VerifyError::Forked { size, .. } => assert_eq!(size, 12),
        other => panic!("{other}"),
    }
}

#[test]
fn verifier_rejects_export_without_checkpoint() {
    let key = key();
    let complete = export(8, 4, &key);
    let bare: Vec<&str> = complete
        .lines()
        .filter(|l| l.starts_with("{\"seq\""))
        .collect();
    let bare = joined(&bare);
    assert!(matches!(
        verify(&bare, &key).unwrap_err(),
        VerifyError::NoCheckpoint
    ));
    assert!(matches!(
        verify("", &key).unwrap_err(),
        VerifyError::NoCheckpoint
    ));
    // A trusted checkpoint proves the lines that it covers.
    let older = export(4, 4, &key);
    let verified = verify_against(&bare, &key, older.lines().last().unwrap()).unwrap();
    assert_eq!((verified.lines, verified.signed_lines), (8, 4));
    // The checkpoint of an empty ledger covers no line.
    let empty = Checkpoint::of(NAME, &Frontier::new()).sign(std::slice::from_ref(&key));
    assert_eq!(
        verify_against(&bare, &key, empty.note())
            .unwrap()
            .signed_lines,
        0
    );
}

#[test]
fn verified_counts_lines_without_checkpoint() {
    let key = key();
    let text = export(8, 8, &key) + &line(8) + "\n";
    let verified = verify(&text, &key).unwrap();
    assert_eq!((verified.lines, verified.signed_lines), (9, 8));
    assert_eq!(verified.attention.len(), 1);
    assert_eq!(verified.attention[0].end, End::Pending);
}

#[test]
fn verifier_accepts_checkpoints_of_successive_keys() {
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
            VerifyError::InvalidCheckpoint { .. }
        ));
    }
    let verified = Verifier::new(keys(&[&old, &new]), AS_OF)
        .read(text.as_bytes())
        .unwrap();
    let sizes = verified.keys.iter().map(|key| (key.first, key.last));
    assert_eq!(sizes.collect::<Vec<_>>(), [(4, 8), (12, 12)]);
}

#[test]
fn verified_lists_events_that_missed_deadline() {
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
    let verified = Verifier::new(keys(&[&key]), 3 * DAY)
        .deadline_days(1)
        .read(text.as_bytes())
        .unwrap();
    let listed: Vec<_> = verified
        .attention
        .iter()
        .map(|event| (event.id.as_str(), event.verdict))
        .collect();
    let expected = [
        ("fresh", Verdict::Overdue),
        ("late", Verdict::Late),
        ("never", Verdict::Overdue),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn proof_verifies_single_line_and_rejects_changes() {
    let key = key();
    let text = export(101, 20, &key);
    let keys = keys(&[&key]);
    let checkpoint = verify(&text, &key).unwrap().last_checkpoint.unwrap();
    let member = format!("{:032x}", 7);
    let proofs = LineProof::find(text.as_bytes(), &checkpoint, |l| l.member == member).unwrap();
    assert_eq!(proofs.len(), 4);
    for proof in &proofs {
        let again: LineProof = proof.to_string().parse().unwrap();
        assert_eq!(&again, proof);
        let mailed = proof.to_string().trim_end().replace('\n', "\r\n") + "\r\n\r\n";
        assert_eq!(&mailed.parse::<LineProof>().unwrap(), proof);
        let (line, signed) = again.verify(&keys).unwrap();
        assert_eq!(line.member, member);
        assert_eq!(signed, checkpoint);
        // Changing the index, the checkpoint or the line invalidates the proof.
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
    let unknown = [SigningKey::generate(NAME).unwrap().verifying_key().clone()];
    assert!(matches!(
        proofs[0].verify(&unknown),
        Err(ProofError::Checkpoint(_))
    ));
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
