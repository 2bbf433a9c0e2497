//! The sandbox as a program: `cargo run -p oh-sandbox -- --listen 127.0.0.1:8001`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use oh_sandbox::{Sandbox, defaults};

/// A stand-in Open Humans on loopback.
///
/// Point an app at it with OPENHUMANS_OH_BASE_URL and the credentials printed at the start, which
/// are the same each time. Everything is forgotten when it ends.
#[derive(Parser)]
#[command(name = "oh-sandbox", version, max_term_width = 100)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8001", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the object store for files listens; a free port without it.
    #[arg(long, value_name = "ADDRESS")]
    object_store_listen: Option<SocketAddr>,
    /// Listen even where others can reach it. Whoever does can be anybody in it.
    #[arg(long)]
    allow_non_loopback: bool,
    /// The project's client id.
    #[arg(long, default_value = defaults::CLIENT_ID)]
    client_id: String,
    /// The project's client secret.
    #[arg(long, default_value = defaults::CLIENT_SECRET)]
    client_secret: String,
    /// The project's master token.
    #[arg(long, default_value = defaults::MASTER_TOKEN)]
    master_token: String,
    /// An address that members may be sent back to; can be given several times.
    #[arg(long, default_values = defaults::REDIRECT_URIS, value_name = "URL")]
    redirect_uri: Vec<String>,
    /// Where leaving is announced; empty for nowhere.
    #[arg(
        long,
        default_value = "http://localhost:8000/openhumans/deauth",
        value_name = "URL"
    )]
    webhook_url: String,
    /// What webhooks are signed with; empty for no signature.
    #[arg(long, default_value = defaults::WEBHOOK_SECRET)]
    webhook_secret: String,
    /// A member of Open Humans; can be given several times. Without a name the project is not told it.
    #[arg(long, value_name = "ID[:USERNAME]")]
    member: Vec<String>,
    /// As many more members, who have already joined the project.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    joined_members: u32,
    /// Which generation of the server to be: the newest leaves out announcements of leaving without
    /// erasure, and answers 500 when members have been removed by API.
    #[arg(long, value_enum, default_value_t = Server::Older)]
    server: Server,
    /// Only the first of the newest server's two habits.
    #[arg(long)]
    silent_leave: bool,
    /// Only the second of them.
    #[arg(long)]
    remove_members_500: bool,
    /// A project that is not approved: in no public list, and with at most 20 members.
    #[arg(long)]
    unapproved: bool,
    /// An on-site project: with a master token, and no OAuth2 client.
    #[arg(long)]
    on_site: bool,
    /// The one project that may see who has fetched its members' files.
    #[arg(long)]
    access_logs: bool,
    /// A master token that expires after 24 hours.
    #[arg(long)]
    expiring_master_token: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Newest,
    Older,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oh-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let newest = args.server == Server::Newest;
    let mut builder = Sandbox::builder()
        .listen(args.listen)
        .allow_non_loopback(args.allow_non_loopback)
        .client_id(&args.client_id)
        .client_secret(&args.client_secret)
        .master_token(&args.master_token)
        .webhook_secret(&args.webhook_secret)
        .silent_leave(newest || args.silent_leave)
        .remove_members_500(newest || args.remove_members_500)
        .approved(!args.unapproved)
        .on_site(args.on_site)
        .access_logs(args.access_logs)
        .expiring_master_token(args.expiring_master_token);
    if let Some(address) = args.object_store_listen {
        builder = builder.object_store_listen(address);
    }
    if !args.webhook_url.is_empty() {
        builder = builder.webhook_url(&args.webhook_url);
    }
    for uri in &args.redirect_uri {
        builder = builder.redirect_uri(uri);
    }
    for member in &args.member {
        let (id, name) = member
            .split_once(':')
            .map_or((member.as_str(), None), |(id, name)| (id, Some(name)));
        builder = builder.member(id, name.filter(|name| !name.is_empty()));
    }
    let sandbox = builder.start().await?;
    sandbox.populate(args.joined_members);
    println!("A stand-in Open Humans listens at {}", sandbox.url());
    println!();
    println!("OPENHUMANS_OH_BASE_URL={}", sandbox.url());
    println!("OPENHUMANS_CLIENT_ID={}", args.client_id);
    println!("OPENHUMANS_CLIENT_SECRET={}", args.client_secret);
    println!("OPENHUMANS_MASTER_TOKEN={}", args.master_token);
    println!("OPENHUMANS_WEBHOOK_SECRET={}", args.webhook_secret);
    println!();
    println!("Redirect URIs: {}", args.redirect_uri.join(", "));
    println!(
        "Webhook URL:   {}",
        if args.webhook_url.is_empty() {
            "none"
        } else {
            &args.webhook_url
        }
    );
    println!("Members:       {}member/me/connections/", sandbox.url());
    println!();
    println!("Stop it with Ctrl-C.");
    interrupted().await?;
    // Dropping the sandbox removes the contents of its files.
    Ok(())
}

/// Waits for Ctrl-C, or for the polite request to end that service managers send.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
