//! Measures memory and time of a large upload, a large download and a long member list.
//!
//! ```sh
//! cargo run --release -p oh-tests --bin transfer -- --size 4GiB --members 100000
//! ```
//!
//! The sandbox runs in another process, so that the peak memory of this process is the client's.
//! The client and `curl` do each transfer alternately, with the same server and the same disk. The
//! ratio compares the best time of each. The last line is JSON.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use http_body_util::BodyExt;
use oh_core::api::{Client, DataFile, DataFileId, MemberClient, Upload};
use oh_core::transport::{Body, HttpClient, Transport};
use oh_sandbox::Sandbox;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

const MEMBER: &str = "01026778";

#[derive(Parser)]
struct Args {
    /// The size of the file, in bytes or with KiB, MiB or GiB.
    #[arg(long, default_value = "4GiB", value_parser = bytes)]
    size: u64,
    /// The number of members in the list.
    #[arg(long, default_value_t = 100_000)]
    members: u32,
    /// The number of repetitions. The best time counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// The directory of the file.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    directory: PathBuf,
    /// Compute and check the MD5. For curl, `md5sum` runs before the upload and after the download.
    #[arg(long)]
    md5: bool,
    /// Run as the sandbox process.
    #[arg(long, hide = true)]
    serve: bool,
}

fn bytes(text: &str) -> Result<u64, String> {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("the unit is none of KiB, MiB, GiB".into()),
    };
    let number: u64 = number.parse().map_err(|_| "it is not a number")?;
    number.checked_mul(factor).ok_or("it is too large".into())
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    if args.serve {
        return serve(args.members);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(run(&args))?;
    println!("{report}");
    Ok(())
}

/// Runs as the sandbox process until standard input ends.
fn serve(members: u32) -> Outcome<()> {
    let sandbox = Sandbox::builder().start_blocking()?;
    sandbox.populate(members);
    let tokens = sandbox.issue_tokens(MEMBER);
    let told = json!({
        "url": sandbox.url().as_str(),
        "token": tokens.access_token,
        "master_token": sandbox.master_token(),
    });
    println!("{told}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The sandbox process. Dropping it ends the process.
struct Other {
    child: Child,
    told: Value,
}

impl Other {
    fn start(members: u32) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", "--members", &members.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("the sandbox has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let told = serde_json::from_str(&line)?;
        Ok(Self { child, told })
    }

    fn said(&self, what: &str) -> Outcome<&str> {
        Ok(self.told[what].as_str().ok_or("the sandbox said less")?)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // The process has ended, or has nothing left to read.
        let _ = self.child.wait();
    }
}

async fn run(args: &Args) -> Outcome<Value> {
    let other = Other::start(args.members)?;
    let server = Client::new(other.said("url")?)?;
    let listing = list(&server, other.said("master_token")?).await?;
    eprintln!("listed: {listing}");

    let directory = tempfile::tempdir_in(&args.directory)?;
    let file = directory.path().join("transfer.bin");
    write_file(&file, args.size)?;
    let member = server.member(other.said("token")?);
    let mut ours = (Duration::MAX, Duration::MAX);
    let mut curls = (Duration::MAX, Duration::MAX);
    for round in 0..args.rounds.max(1) {
        // The order alternates, so that neither always benefits from a warm cache.
        for turn in 0..2 {
            let by_curl = (round + turn) % 2 == 1;
            let took = match by_curl {
                true => curl(args, &other, &member, &file).await?,
                false => client(args, &member, &file).await?,
            };
            let best = if by_curl { &mut curls } else { &mut ours };
            best.0 = best.0.min(took.0);
            best.1 = best.1.min(took.1);
            let who = if by_curl { "curl" } else { "oh-core" };
            eprintln!("{who}: up {:.2?}, down {:.2?}", took.0, took.1);
        }
    }
    let ratio = |curl: Duration, ours: Duration| {
        (curl.as_secs_f64() / ours.as_secs_f64() * 1_000.0).round() / 1_000.0
    };
    Ok(json!({
        "size": args.size,
        "md5": args.md5,
        "upload_seconds": ours.0.as_secs_f64(),
        "download_seconds": ours.1.as_secs_f64(),
        "curl_upload_seconds": curls.0.as_secs_f64(),
        "curl_download_seconds": curls.1.as_secs_f64(),
        "upload_ratio": ratio(curls.0, ours.0),
        "download_ratio": ratio(curls.1, ours.1),
        "peak_rss_bytes": peak_memory()?,
        "list": listing,
    }))
}

/// Lists all members, and measures memory after one hundredth of them and at the end.
async fn list(server: &Client, master_token: &str) -> Outcome<Value> {
    let begun = Instant::now();
    let mut members = server.project(master_token).members();
    let mut count = 0_u64;
    let mut early = 0;
    while let Some(_member) = members.try_next().await? {
        count += 1;
        if early == 0 && count * 100 >= members.total().unwrap_or(0) {
            early = peak_memory()?;
        }
    }
    Ok(json!({
        "members": count,
        "seconds": begun.elapsed().as_secs_f64(),
        "peak_rss_bytes_after_a_hundredth": early,
        "peak_rss_bytes": peak_memory()?,
    }))
}

type Took = (Duration, Duration);

async fn client(args: &Args, member: &MemberClient, path: &Path) -> Outcome<Took> {
    let begun = Instant::now();
    let mut upload = Upload::path(path);
    if args.md5 {
        upload = upload.with_md5();
    }
    let uploaded = member.upload(upload).await?;
    let up = begun.elapsed();
    let file = listed(member, uploaded.id).await?;
    let target = path.with_extension("down");
    let begun = Instant::now();
    member.download(&file).to_path(&target).await?;
    let down = begun.elapsed();
    tidy_up(member, uploaded.id, &target).await?;
    Ok((up, down))
}

/// Runs the same transfers with curl. Its time does not include the API requests before and after.
async fn curl(args: &Args, other: &Other, member: &MemberClient, path: &Path) -> Outcome<Took> {
    let metadata = r#"{"tags":[],"description":""}"#;
    let direct = [("filename", "curl.bin"), ("metadata", metadata)];
    let direct = post(other, "upload/direct/", &direct).await?;
    let address = direct["url"].as_str().ok_or("there is no address")?;
    let begun = Instant::now();
    if args.md5 {
        md5sum(path)?;
    }
    let put = ["-sSf", "-H", "Content-Type:", "-H", "Expect:", "-T"];
    run_curl(&put, path, address)?;
    let up = begun.elapsed();
    let id = direct["id"].as_u64().ok_or("there is no id")?;
    post(other, "upload/complete/", &[("file_id", &id.to_string())]).await?;
    let id = DataFileId::new(id);
    let file = listed(member, id).await?;
    let target = path.with_extension("down");
    let begun = Instant::now();
    run_curl(&["-sSfL", "-o"], &target, file.download_url.expose())?;
    if args.md5 {
        md5sum(&target)?;
    }
    let down = begun.elapsed();
    tidy_up(member, id, &target).await?;
    Ok((up, down))
}

/// Makes one API request without the client.
async fn post(other: &Other, path: &str, form: &[(&str, &str)]) -> Outcome<Value> {
    let url = format!(
        "{}api/direct-sharing/project/files/{path}",
        other.said("url")?
    );
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request = http::Request::post(url)
        .header("authorization", format!("Bearer {}", other.said("token")?))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::full(form))?;
    let answer = HttpClient::new()?.send(request).await?;
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(|e| e.to_string())?;
    Ok(serde_json::from_slice(&body.to_bytes())?)
}

fn md5sum(path: &Path) -> Outcome<()> {
    let done = Command::new("md5sum")
        .arg(path)
        .stdout(Stdio::null())
        .status()?;
    match done.success() {
        true => Ok(()),
        false => Err("md5sum failed".into()),
    }
}

fn run_curl(options: &[&str], path: &Path, address: &str) -> Outcome<()> {
    let done = Command::new("curl")
        .args(options)
        .arg(path)
        .arg(address)
        .stdout(Stdio::null())
        .status()?;
    match done.success() {
        true => Ok(()),
        false => Err("curl failed".into()),
    }
}

async fn listed(member: &MemberClient, id: DataFileId) -> Outcome<DataFile> {
    let mut files = member.files();
    while let Some(file) = files.try_next().await? {
        if file.id == id {
            return Ok(file);
        }
    }
    Err("the file is not listed".into())
}

async fn tidy_up(member: &MemberClient, id: DataFileId, target: &Path) -> Outcome<()> {
    member.delete_file(id).await?;
    std::fs::remove_file(target)?;
    Ok(())
}

fn write_file(path: &Path, size: u64) -> Outcome<()> {
    let mut file = std::fs::File::create(path)?;
    let block: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..part])?;
        left -= part as u64;
    }
    file.sync_all()?;
    Ok(())
}

/// Returns the peak resident memory of this process in bytes.
fn peak_memory() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kib.ok_or("there is no VmHWM")?.parse::<u64>()? * 1_024)
}
