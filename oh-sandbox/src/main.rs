//! The command line program: `cargo run -p oh-sandbox -- --listen 127.0.0.1:8001`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use oh_sandbox::{Sandbox, defaults};

/// A local stand-in for Open Humans
///
/// Set OPENHUMANS_OH_BASE_URL and the credentials that the sandbox prints in your application's
/// environment. The credentials never change. The sandbox stores nothing after it stops.
#[derive(Parser)]
#[command(name = "oh-sandbox", version, max_term_width = 100)]
struct Args {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:8001", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The address of the object store for files [default: a free port]
    #[arg(long, value_name = "ADDRESS")]
    object_store_listen: Option<SocketAddr>,
    /// Allow addresses that other machines can reach. Anyone who reaches the sandbox can act as any
    /// member
    #[arg(long)]
    allow_non_loopback: bool,
    /// The client id of the project
    #[arg(long, default_value = defaults::CLIENT_ID)]
    client_id: String,
    /// The client secret of the project
    #[arg(long, default_value = defaults::CLIENT_SECRET)]
    client_secret: String,
    /// The master token of the project
    #[arg(long, default_value = defaults::MASTER_TOKEN)]
    master_token: String,
    /// A redirect URI of the project; repeatable
    #[arg(long, default_values = defaults::REDIRECT_URIS, value_name = "URL")]
    redirect_uri: Vec<String>,
    /// The URL that receives webhooks; empty for none
    #[arg(
        long,
        default_value = "http://localhost:8000/openhumans/deauth",
        value_name = "URL"
    )]
    webhook_url: String,
    /// The secret that signs webhooks; empty for unsigned webhooks
    #[arg(long, default_value = defaults::WEBHOOK_SECRET)]
    webhook_secret: String,
    /// A member of Open Humans; repeatable. A member without a username does not share it with the
    /// project
    #[arg(long, value_name = "ID[:USERNAME]")]
    member: Vec<String>,
    /// The number of further members, who have already joined the project
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    joined_members: u32,
    /// The version of the server. The newest sends no webhook for a departure without an erasure
    /// request, responds 500 after it removed a member by API, and cannot delete the account of a
    /// member of the project
    #[arg(long, value_enum, default_value_t = Server::Older)]
    server: Server,
    /// Make the project unapproved: it is in no public list and accepts 20 members
    #[arg(long)]
    unapproved: bool,
    /// Make the project an on-site project: it has a master token but no OAuth2 client
    #[arg(long)]
    on_site: bool,
    /// Allow the project to read the access logs of its members' files
    #[arg(long)]
    access_logs: bool,
    /// Make the master token expire after 24 hours
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
    let mut builder = Sandbox::builder()
        .listen(args.listen)
        .allow_non_loopback(args.allow_non_loopback)
        .client_id(&args.client_id)
        .client_secret(&args.client_secret)
        .master_token(&args.master_token)
        .webhook_secret(&args.webhook_secret)
        .newest_server(args.server == Server::Newest)
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
    println!("The Open Humans sandbox listens on {}", sandbox.url());
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
    println!("Press Ctrl-C to stop.");
    interrupted().await?;
    // Dropping the sandbox deletes its temporary files.
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
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
