//! Commands that get tokens, or end them.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub(crate) struct Client {
    /// The project's client id
    #[arg(long, env = "OPENHUMANS_CLIENT_ID")]
    pub(crate) client_id: String,
    /// The project's redirect URI, letter for letter
    #[arg(long, env = "OPENHUMANS_REDIRECT_URI", value_name = "URL")]
    pub(crate) redirect_uri: String,
}

/// What the authorization page is asked for.
#[derive(Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    pub(crate) client: Client,
    /// Ask the member even while there is a live token: for another account, or new permissions
    #[arg(long)]
    pub(crate) force_approval: bool,
    /// Ask for these scopes only, separated by blanks, as in "read write"
    #[arg(long)]
    pub(crate) scope: Option<String>,
}

#[derive(Args)]
pub(crate) struct ClientSecret {
    /// The project's client secret; better in a file or OPENHUMANS_CLIENT_SECRET
    #[arg(long)]
    pub(crate) client_secret: Option<String>,
    /// A file that holds the project's client secret; or OPENHUMANS_CLIENT_SECRET_FILE
    #[arg(long, value_name = "FILE", conflicts_with = "client_secret")]
    pub(crate) client_secret_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Out {
    /// Write the tokens to this file, readable by you alone, rather than print them
    ///
    /// --token-file and --refresh-token-file read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Login {
    #[command(flatten)]
    pub(crate) asked: Asked,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
    #[command(flatten)]
    pub(crate) out: Out,
    /// Print the address, and leave opening it to you
    #[arg(long)]
    pub(crate) no_browser: bool,
}

#[derive(Args)]
pub(crate) struct Exchange {
    #[command(flatten)]
    pub(crate) client: Client,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
    #[command(flatten)]
    pub(crate) out: Out,
    /// The code the member came back with
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) code: String,
    /// The verifier that `oh authorize-url` printed; not wanted for an address made otherwise
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) verifier: Option<String>,
}

#[derive(Args)]
pub(crate) struct RefreshSecret {
    /// The refresh token; better in a file or OPENHUMANS_REFRESH_TOKEN
    #[arg(long)]
    pub(crate) refresh_token: Option<String>,
    /// A file that holds the refresh token, such as one that --out wrote; or
    /// OPENHUMANS_REFRESH_TOKEN_FILE. Without it, a file of --token-file that --out wrote will do
    #[arg(long, value_name = "FILE", conflicts_with = "refresh_token")]
    pub(crate) refresh_token_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Refresh {
    /// The project's client id
    #[arg(long, env = "OPENHUMANS_CLIENT_ID")]
    pub(crate) client_id: String,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
    #[command(flatten)]
    pub(crate) out: Out,
    #[command(flatten)]
    pub(crate) token: RefreshSecret,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// The project's client id
    #[arg(long, env = "OPENHUMANS_CLIENT_ID")]
    pub(crate) client_id: String,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
    #[command(flatten)]
    pub(crate) token: RefreshSecret,
}

#[derive(Args)]
pub(crate) struct Introspect {
    /// The project's client id
    #[arg(long, env = "OPENHUMANS_CLIENT_ID")]
    pub(crate) client_id: String,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
}
