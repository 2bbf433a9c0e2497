//! Checking the ledger of an app, and what is made of it. Reads files; asks nobody.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use oh_api::{Error, Timestamp};
use oh_ledger::{
    Event, EventKind, Group, KeyError, LineProof, SigningKey, Verdict, Verified, Verifier,
    VerifyError, VerifyingKey, notes_in, report,
};
use serde_json::{Value, json};

use crate::args::{Check, Export, Keygen, Keys, Ledger, Prove, Report, Verify};
use crate::counted::counted;
use crate::failure::Failure;
use crate::output::{self, plain};

pub(crate) async fn run(command: Ledger) -> Result<(), Failure> {
    let work = move || match command {
        Ledger::Keygen(args) => keygen(&args),
        Ledger::Verify(args) => verify(&args),
        Ledger::Report(args) => write_report(&args),
        Ledger::Prove(args) => prove(&args),
        Ledger::Check(args) => check(&args),
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(Failure::Interrupted))
}

fn keygen(args: &Keygen) -> Result<(), Failure> {
    let key = SigningKey::generate(&args.name).map_err(|e| Failure::Wrong(e.to_string()))?;
    let secret = key.to_secret_text();
    let verifying = key.verifying_key().to_string();
    let mut made = Made(Vec::new());
    // All are made before any is written, and stay together or not at all.
    for (path, private) in [(&args.out, true), (&args.verifying_out, false)] {
        if let Some(path) = path {
            made.make(path, private)?;
        }
    }
    for (path, text) in [
        (&args.out, secret.as_str()),
        (&args.verifying_out, &verifying),
    ] {
        if let Some(path) = path {
            made.write(path, text)?;
        }
    }
    made.keep();
    match &args.out {
        None => output::json(&json!({ "signing_key": *secret, "verifying_key": verifying })),
        Some(_) => output::json(&json!({ "verifying_key": verifying })),
    }
}

/// Files that were made just now, and that go again unless they are kept.
struct Made(Vec<(PathBuf, File)>);

impl Made {
    /// Makes a file, for its owner alone if it is private. Never over another: what a key sealed
    /// could not be gone on with, or checked.
    fn make(&mut self, path: &Path, private: bool) -> Result<(), Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = private;
        match options.open(path) {
            Ok(file) => {
                self.0.push((path.to_owned(), file));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Failure::from(Error::from(error).at(path))
                    .advise("no key is written over another: name a file that is not there yet"))
            }
            Err(error) => Err(Error::from(error).at(path).into()),
        }
    }

    fn write(&mut self, path: &Path, line: &str) -> Result<(), Failure> {
        let made = self.0.iter_mut().find(|(made, _)| made == path);
        let written = made.map_or(Ok(()), |(_, file)| writeln!(file, "{line}"));
        Ok(written.map_err(|e| Error::from(e).at(path))?)
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for (path, _) in self.0.drain(..) {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn verify(args: &Verify) -> Result<(), Failure> {
    let verified = verified(&args.export)?;
    if args.json {
        return output::json(&as_json(&verified));
    }
    let summary = &verified.summary;
    output::line(format!(
        "the ledger is intact: lines 1 to {} of {} match the signed checkpoints ({}, {} trusted)",
        verified.signed_lines,
        verified.lines,
        counted(verified.checkpoints, "checkpoint"),
        verified.trusted_checkpoints
    ))?;
    if verified.lines > verified.signed_lines {
        output::line(not_signed(verified.lines - verified.signed_lines))?;
    }
    for used in verified.keys.iter().filter(|used| used.checkpoints > 0) {
        let (key, first, last) = (&used.key, used.first, used.last);
        output::line(format!(
            "signed by {key}: checkpoints over {first} to {last} lines"
        ))?;
    }
    let judged = |verdict| summary.count(|group| group.verdict == verdict);
    output::line(format!(
        "{}: {} ended in time, {} late, {} open, {} overdue",
        counted(summary.count(has_deadline), "erasure request"),
        judged(Verdict::InTime),
        judged(Verdict::Late),
        judged(Verdict::Open),
        judged(Verdict::Overdue),
    ))?;
    for (kind, count) in other_kinds(&verified) {
        output::line(format!("{}, without a deadline", counted(count, &kind)))?;
    }
    for event in &verified.attention {
        output::line(row(event))?;
    }
    Ok(())
}

fn has_deadline(group: &Group) -> bool {
    group.kind.has_deadline()
}

/// Returns the number of events of each kind that has no deadline, without the empty kinds.
fn other_kinds(verified: &Verified) -> Vec<(String, u64)> {
    [
        EventKind::Departure,
        EventKind::UnannouncedDeparture,
        EventKind::Disconnection,
        EventKind::TokenLoss,
    ]
    .into_iter()
    .map(|kind| {
        let count = verified.summary.count(|group| group.kind == kind);
        (kind.to_string(), count)
    })
    .filter(|(_, count)| *count > 0)
    .collect()
}

fn not_signed(lines: u64) -> String {
    match lines {
        1 => "no checkpoint covers the last line yet".to_owned(),
        lines => format!("no checkpoint covers the last {lines} lines yet"),
    }
}

/// Formats an event that needs attention, as columns separated by tabs.
fn row(event: &Event) -> String {
    let received = event.received_at.map(Timestamp::from_micros);
    let data = event.data.map(|data| data.to_string());
    [
        event.kind.to_string(),
        event.verdict.to_string(),
        event.end.to_string(),
        data.unwrap_or_default(),
        received.map_or("receipt unknown".into(), |at| at.to_string()),
        plain(&event.id),
        plain(&event.member),
        plain(event.note.as_deref().unwrap_or_default()),
    ]
    .join("\t")
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let at = |micros: i64| Timestamp::from_micros(micros).to_string();
    let attention = verified.attention.iter().map(|event| {
        json!({
            "event": event.id,
            "pseudonym": event.member,
            "kind": event.kind.to_string(),
            "discovery": event.discovery.map(|discovery| discovery.to_string()),
            "received": event.received_at.map(at),
            "end": event.end.to_string(),
            "since": at(event.since),
            "verdict": event.verdict.to_string(),
            "data": event.data.map(|data| data.to_string()),
            "result": event.result,
            "attempts": event.attempts,
            "note": event.note,
        })
    });
    let judged = |verdict| verified.summary.count(|group| group.verdict == verdict);
    let other_kinds: serde_json::Map<_, _> = other_kinds(verified)
        .into_iter()
        .map(|(kind, count)| (kind.replace(' ', "_"), count.into()))
        .collect();
    let keys = verified.keys.iter().map(|used| {
        json!({
            "key": used.key.to_string(),
            "checkpoints": used.checkpoints,
            "first": used.first,
            "last": used.last,
        })
    });
    json!({
        "lines": verified.lines,
        "signed_lines": verified.signed_lines,
        "checkpoints": verified.checkpoints,
        "trusted_checkpoints": verified.trusted_checkpoints,
        "last_checkpoint": verified.last_checkpoint.as_ref().map(|last| last.note()),
        "keys": keys.collect::<Vec<_>>(),
        "erasure_requests": verified.summary.count(has_deadline),
        "in_time": judged(Verdict::InTime),
        "late": judged(Verdict::Late),
        "open": judged(Verdict::Open),
        "overdue": judged(Verdict::Overdue),
        "other_events": other_kinds,
        "attention": attention.collect::<Vec<_>>(),
    })
}

fn write_report(args: &Report) -> Result<(), Failure> {
    let verified = verified(&args.export)?;
    let export = &args.export.export;
    if let Some(path) = &args.csv {
        let to = create(path)?;
        let written = report::write_csv(open(export)?, &verified, to);
        written.map_err(|e| Error::from(e).at(path))?;
    }
    if let Some(path) = &args.html {
        let written = report::write_html(open(export)?, &verified, create(path)?);
        written.map_err(|e| Error::from(e).at(path))?;
    }
    Ok(())
}

fn prove(args: &Prove) -> Result<(), Failure> {
    let verified = verified(&args.export)?;
    let Some(checkpoint) = &verified.last_checkpoint else {
        return Err(Failure::Wrong("the export holds no checkpoint".into()));
    };
    let export = &args.export.export;
    let proofs = LineProof::find(open(export)?, checkpoint, |line| {
        let of_member = args
            .member
            .as_ref()
            .is_none_or(|member| line.member == *member);
        let of_event = args.event.as_ref().is_none_or(|event| line.event == *event);
        of_member && of_event
    });
    let proofs = proofs.map_err(|e| Error::from(e).at(export))?;
    if proofs.is_empty() {
        return Err(nothing_to_prove(
            args,
            verified.lines - checkpoint.checkpoint().size,
        ));
    }
    std::fs::create_dir_all(&args.directory).map_err(|e| Error::from(e).at(&args.directory))?;
    for proof in &proofs {
        let path = args
            .directory
            .join(format!("line-{}.tlog-proof", proof.index() + 1));
        output::write(Some(&path), proof.to_string().as_bytes())?;
        output::line(path.display().to_string())?;
    }
    Ok(())
}

/// Says what was looked for in vain, and how things are named in a ledger.
fn nothing_to_prove(args: &Prove, not_signed_yet: u64) -> Failure {
    let mut why = match (&args.member, &args.event) {
        (Some(member), _) => format!(
            "no line covered by a checkpoint is about the member {}: members are named by pseudonym, 32 hexadecimal \
             digits, never by id. The search of the app's desk, or `Ledger::pseudonym`, gives it",
            plain(member)
        ),
        (None, event) => format!(
            "no line covered by a checkpoint is about the event {}",
            plain(event.as_deref().unwrap_or_default())
        ),
    };
    if not_signed_yet > 0 {
        why += &format!("; {}", not_signed(not_signed_yet));
    }
    Failure::from(Error::NotFound).advise(why)
}

fn check(args: &Check) -> Result<(), Failure> {
    let keys = keys(&args.keys)?;
    for path in &args.proofs {
        let text = read(path)?;
        let checked = text.parse::<LineProof>().and_then(|proof| {
            let (_, checkpoint) = proof.verify(&keys)?;
            Ok((proof, checkpoint))
        });
        let (proof, checkpoint) =
            checked.map_err(|error| Failure::Broken(format!("{}: {error}", path.display())))?;
        output::line(plain(&String::from_utf8_lossy(proof.line())))?;
        let signed = checkpoint.checkpoint();
        output::say(format!(
            "{}: line {} of {} lines that {} has signed",
            path.display(),
            proof.index() + 1,
            signed.size,
            plain(&signed.origin),
        ));
    }
    Ok(())
}

fn verified(args: &Export) -> Result<Verified, Failure> {
    let now = args.as_of.unwrap_or_else(Timestamp::now);
    let mut verifier = Verifier::new(keys(&args.keys)?, now.as_micros()).deadline_days(args.days);
    for path in &args.checkpoints {
        let notes = notes_in(&read(path)?);
        if notes.is_empty() {
            let why = format!("{} holds no checkpoint", path.display());
            return Err(Failure::Wrong(why));
        }
        for note in notes {
            verifier
                .trust_checkpoint(&note)
                .map_err(|error| Failure::Broken(format!("{}: {error}", path.display())))?;
        }
    }
    verifier
        .read(open(&args.export)?)
        .map_err(|error| match error {
            VerifyError::Read(error) => Error::from(error).at(&args.export).into(),
            error => Failure::Broken(plain(&error.to_string())),
        })
}

/// Keys as they are, or from files.
fn keys(args: &Keys) -> Result<Vec<VerifyingKey>, Failure> {
    let mut keys = Vec::new();
    for key in &args.keys {
        let path = Path::new(key);
        match verifying_key(key) {
            Ok(key) => keys.push(key),
            Err(_) if path.exists() => keys.extend(keys_in(path)?),
            Err(why) => {
                return Err(Failure::Usage(format!(
                    "--key: {why}, and no file of that name"
                )));
            }
        }
    }
    Ok(keys)
}

/// The keys of a file: a line each, or as `oh ledger keygen` prints them.
fn keys_in(path: &Path) -> Result<Vec<VerifyingKey>, Failure> {
    let wrong = |why: String| Failure::Wrong(format!("{}: {why}", path.display()));
    let text = read(path)?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut keys = Vec::new();
    if text.starts_with('{') {
        for printed in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            // What is wrong with it is not said: it may quote the signing key.
            let key = printed.ok().and_then(|printed| {
                let key = printed["verifying_key"].as_str()?;
                Some(key.to_owned())
            });
            let key = key.ok_or_else(|| {
                wrong(
                    "it is not the JSON that `oh ledger keygen` prints, with a verifying_key"
                        .into(),
                )
            })?;
            keys.push(verifying_key(&key).map_err(wrong)?);
        }
    } else {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            keys.push(verifying_key(line).map_err(wrong)?);
        }
    }
    match keys.is_empty() {
        true => Err(wrong("it holds no key".into())),
        false => Ok(keys),
    }
}

fn verifying_key(text: &str) -> Result<VerifyingKey, String> {
    if text.trim_start().starts_with("PRIVATE+KEY+") {
        let why = "that is the signing key, which is secret: give the verifying key, which \
                   `oh ledger keygen` made with it";
        return Err(why.into());
    }
    text.parse().map_err(|error: KeyError| error.to_string())
}

fn read(path: &Path) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(path).map_err(|e| Error::from(e).at(path))?)
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path).map_err(|e| Error::from(e).at(path))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path).map_err(|e| Error::from(e).at(path))?;
    Ok(BufWriter::new(file))
}
