//! Verification of ledgers, reports and proofs. Works on files only.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::path::Path;

use oh_api::{Error, Timestamp};
use oh_ledger::{
    Event, EventKind, Group, KeyError, LineProof, SigningKey, Verdict, Verified, Verifier,
    VerifyError, VerifyingKey, notes_in, report,
};
use serde_json::{Value, json};
use tempfile::TempPath;

use crate::args::{Check, Export, Keygen, Keys, Ledger, Prove, Report, Verify};
use crate::error::CliError;
use crate::output;
use crate::text::count;
use crate::text_file;

pub(crate) async fn run(command: Ledger) -> Result<(), CliError> {
    let work = move || match command {
        Ledger::Keygen(args) => keygen(&args),
        Ledger::Verify(args) => print_verified(&args),
        Ledger::Report(args) => write_report(&args),
        Ledger::Prove(args) => prove(&args),
        Ledger::Check(args) => check(&args),
    };
    let result = tokio::task::spawn_blocking(work).await;
    result.unwrap_or(Err(CliError::Interrupted))
}

fn keygen(args: &Keygen) -> Result<(), CliError> {
    let key = SigningKey::generate(&args.name).map_err(|e| CliError::Invalid(e.to_string()))?;
    let secret = key.to_secret_text();
    let verifying = key.verifying_key().to_string();
    // Deletes the files on drop, so that an error leaves none of them.
    let mut created = Vec::new();
    for (path, text, is_secret) in [
        (&args.out, secret.as_str(), true),
        (&args.verifying_out, &verifying, false),
    ] {
        if let Some(path) = path {
            created.push(create_new(path, text, is_secret)?);
        }
    }
    for path in created {
        path.keep().map_err(|error| error.error)?;
    }
    match &args.out {
        None => output::json(&json!({ "signing_key": *secret, "verifying_key": verifying })),
        Some(_) => output::json(&json!({ "verifying_key": verifying })),
    }
}

/// Creates a file, readable by the owner only if it is secret. Never overwrites one: a ledger whose
/// key is lost cannot be continued or verified.
fn create_new(path: &Path, line: &str, is_secret: bool) -> Result<TempPath, CliError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = is_secret;
    let mut file = options.open(path).map_err(|error| {
        let exists = error.kind() == ErrorKind::AlreadyExists;
        let error = CliError::from(Error::from(error).at(path));
        match exists {
            true => error.with_hint("keys are not overwritten: choose a new file"),
            false => error,
        }
    })?;
    let created = TempPath::try_from_path(path)?;
    writeln!(file, "{line}").map_err(|e| Error::from(e).at(path))?;
    Ok(created)
}

fn print_verified(args: &Verify) -> Result<(), CliError> {
    let verified = verify(&args.export)?;
    if args.json {
        return output::json(&to_json(&verified));
    }
    output::line(verified_range(&verified))?;
    for used in verified.keys.iter().filter(|used| used.checkpoints > 0) {
        let (key, first, last) = (&used.key, used.first, used.last);
        output::line(format!(
            "signed by {key}: checkpoints over {first} to {last} lines"
        ))?;
    }
    output::line(format!(
        "{}: {} ended in time, {} late, {} open, {} overdue",
        count(verified.count(has_deadline), "erasure request"),
        judged(&verified, Verdict::InTime),
        judged(&verified, Verdict::Late),
        judged(&verified, Verdict::Open),
        judged(&verified, Verdict::Overdue),
    ))?;
    for (kind, events) in other_kinds(&verified) {
        output::line(format!("{}, without a deadline", count(events, &kind)))?;
    }
    verified
        .attention
        .iter()
        .try_for_each(|event| output::row(event_row(event)))
}

fn has_deadline(group: &Group) -> bool {
    group.verdict != Verdict::NoDeadline
}

fn judged(verified: &Verified, verdict: Verdict) -> u64 {
    verified.count(|group| group.verdict == verdict)
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
        let events = verified.count(|group| group.kind == kind);
        (kind.to_string(), events)
    })
    .filter(|(_, events)| *events > 0)
    .collect()
}

/// Describes the verified lines, for `verify` and `report` alike.
fn verified_range(verified: &Verified) -> String {
    let mut text = format!(
        "the ledger is intact: lines 1 to {} of {} match the signed checkpoints ({}, {} trusted)",
        verified.signed_lines,
        verified.lines,
        count(verified.checkpoints, "checkpoint"),
        verified.trusted_checkpoints,
    );
    if verified.lines > verified.signed_lines {
        text += &format!("; {}", uncovered(verified.lines - verified.signed_lines));
    }
    text
}

fn uncovered(lines: u64) -> String {
    match lines {
        1 => "no checkpoint covers the last line yet".to_owned(),
        lines => format!("no checkpoint covers the last {lines} lines yet"),
    }
}

/// Returns the columns of an event that needs attention.
fn event_row(event: &Event) -> [String; 8] {
    let received = event.received_at.map(Timestamp::from_micros);
    let data = event.data.map(|data| data.to_string());
    [
        event.kind.to_string(),
        event.verdict.to_string(),
        event.end.to_string(),
        data.unwrap_or_default(),
        received.map_or("receipt unknown".into(), |at| at.to_string()),
        event.id.clone(),
        event.member.clone(),
        event.note.clone().unwrap_or_default(),
    ]
}

fn to_json(verified: &Verified) -> Value {
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
    let other_kinds: serde_json::Map<_, _> = other_kinds(verified)
        .into_iter()
        .map(|(kind, events)| (kind.replace(' ', "_"), events.into()))
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
        "erasure_requests": verified.count(has_deadline),
        "in_time": judged(verified, Verdict::InTime),
        "late": judged(verified, Verdict::Late),
        "open": judged(verified, Verdict::Open),
        "overdue": judged(verified, Verdict::Overdue),
        "other_events": other_kinds,
        "attention": attention.collect::<Vec<_>>(),
    })
}

fn write_report(args: &Report) -> Result<(), CliError> {
    let verified = verify(&args.export)?;
    let export = &args.export.export;
    output::line(verified_range(&verified))?;
    if let Some(path) = &args.csv {
        let written = report::write_csv(open(export)?, &verified, create(path)?);
        written.map_err(|e| Error::from(e).at(path))?;
        output::line(format!("wrote {}", path.display()))?;
    }
    if let Some(path) = &args.html {
        let written = report::write_html(open(export)?, &verified, create(path)?);
        written.map_err(|e| Error::from(e).at(path))?;
        output::line(format!("wrote {}", path.display()))?;
    }
    Ok(())
}

fn prove(args: &Prove) -> Result<(), CliError> {
    let verified = verify(&args.export)?;
    let Some(checkpoint) = &verified.last_checkpoint else {
        return Err(CliError::Invalid("the export has no checkpoint".into()));
    };
    let export = &args.export.export;
    let (member, event) = (args.member.as_ref(), args.event.as_ref());
    let proofs = LineProof::find(open(export)?, checkpoint, |line| {
        member.is_none_or(|member| line.member == *member)
            && event.is_none_or(|event| line.event == *event)
    });
    let proofs = proofs.map_err(|e| Error::from(e).at(export))?;
    if proofs.is_empty() {
        let uncovered_lines = verified.lines - checkpoint.checkpoint().size;
        return Err(no_lines(args, uncovered_lines));
    }
    std::fs::create_dir_all(&args.directory).map_err(|e| Error::from(e).at(&args.directory))?;
    for proof in &proofs {
        let name = format!("line-{}.tlog-proof", proof.index() + 1);
        let path = args.directory.join(name);
        output::document(Some(&path), proof.to_string().as_bytes())?;
        output::line(path.display().to_string())?;
    }
    Ok(())
}

fn no_lines(args: &Prove, uncovered_lines: u64) -> CliError {
    let mut hint = match (&args.member, &args.event) {
        (Some(member), _) => format!(
            "no line covered by a checkpoint is about the member {member}. The ledger identifies \
             members by pseudonym, 32 hexadecimal digits: find it with the search of the app's \
             erasure dashboard or with `Ledger::pseudonym`"
        ),
        (None, event) => format!(
            "no line covered by a checkpoint is about the event {}",
            event.as_deref().unwrap_or_default()
        ),
    };
    if uncovered_lines > 0 {
        hint += &format!("; {}", uncovered(uncovered_lines));
    }
    CliError::from(Error::NotFound).with_hint(hint)
}

fn check(args: &Check) -> Result<(), CliError> {
    let keys = parse_keys(&args.keys)?;
    for path in &args.proofs {
        let text = text_file::read(path)?;
        let result = text.parse::<LineProof>().and_then(|proof| {
            let (line, checkpoint) = proof.verify(&keys)?;
            Ok((proof, line, checkpoint))
        });
        let (proof, line, checkpoint) = result.map_err(|error| mismatch(path, &error))?;
        output::line(crate::text::one_line(&String::from_utf8_lossy(
            proof.line(),
        )))?;
        let checkpoint = checkpoint.checkpoint();
        output::status(crate::text::one_line(&format!(
            "{}: line {} of {} in a checkpoint of {}: {line}",
            path.display(),
            proof.index() + 1,
            checkpoint.size,
            checkpoint.origin,
        )));
    }
    Ok(())
}

fn mismatch(path: &Path, error: &dyn std::error::Error) -> CliError {
    CliError::LedgerMismatch(format!("{}: {error}", path.display()))
}

fn verify(args: &Export) -> Result<Verified, CliError> {
    let now = args.as_of.unwrap_or_else(Timestamp::now);
    let keys = parse_keys(&args.keys)?;
    let mut verifier = Verifier::new(keys, now.as_micros()).deadline_days(args.days);
    for path in &args.checkpoints {
        let notes = notes_in(&text_file::read(path)?);
        if notes.is_empty() {
            return Err(CliError::Invalid(format!(
                "{} contains no checkpoint",
                path.display()
            )));
        }
        for note in notes {
            let trusted = verifier.trust_checkpoint(&note);
            trusted.map_err(|error| mismatch(path, &error))?;
        }
    }
    verifier
        .read(open(&args.export)?)
        .map_err(|error| match error {
            VerifyError::Read(error) => Error::from(error).at(&args.export).into(),
            error => CliError::LedgerMismatch(error.to_string()),
        })
}

/// Parses the values of `--key`: keys, or files with keys.
fn parse_keys(args: &Keys) -> Result<Vec<VerifyingKey>, CliError> {
    let mut keys = Vec::new();
    for key in &args.keys {
        let path = Path::new(key);
        match parse_key(key) {
            Ok(key) => keys.push(key),
            Err(_) if path.exists() => keys.extend(read_keys(path)?),
            Err(why) => {
                return Err(CliError::Usage(format!(
                    "--key: {why}, and no file has this name"
                )));
            }
        }
    }
    Ok(keys)
}

/// Reads keys from a file with one key per line or with the JSON of `oh ledger keygen`.
fn read_keys(path: &Path) -> Result<Vec<VerifyingKey>, CliError> {
    let invalid = |why: String| CliError::Invalid(format!("{}: {why}", path.display()));
    let text = text_file::read(path)?;
    let text = text.trim();
    let mut keys = Vec::new();
    if text.starts_with('{') {
        for json in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            // The error of the parser may quote the signing key.
            let key = json.ok().and_then(|json| {
                let key = json["verifying_key"].as_str()?;
                Some(key.to_owned())
            });
            let key = key.ok_or_else(|| {
                invalid("expected the JSON of `oh ledger keygen`, with a verifying_key".into())
            })?;
            keys.push(parse_key(&key).map_err(invalid)?);
        }
    } else {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            keys.push(parse_key(line).map_err(invalid)?);
        }
    }
    match keys.is_empty() {
        true => Err(invalid("contains no key".into())),
        false => Ok(keys),
    }
}

fn parse_key(text: &str) -> Result<VerifyingKey, String> {
    if text.trim_start().starts_with("PRIVATE+KEY+") {
        let why = "this is the signing key, which is secret: pass the verifying key of `oh ledger \
                   keygen`";
        return Err(why.into());
    }
    text.parse().map_err(|error: KeyError| error.to_string())
}

fn open(path: &Path) -> Result<BufReader<File>, CliError> {
    let file = File::open(path).map_err(|e| Error::from(e).at(path))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

fn create(path: &Path) -> Result<BufWriter<File>, CliError> {
    let file = File::create(path).map_err(|e| Error::from(e).at(path))?;
    Ok(BufWriter::new(file))
}
