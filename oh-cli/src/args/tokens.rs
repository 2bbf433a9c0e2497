//! Commands that obtain, inspect and revoke tokens.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub(crate) struct Client {
    /// The project's client id
    #[arg(long, env = "OPENHUMANS_CLIENT_ID")]
    pub(crate) client_id: String,
    /// The redirect URI, exactly as registered for the project
    #[arg(long, env = "OPENHUMANS_REDIRECT_URI", value_name = "URL")]
    pub(crate) redirect_uri: String,
}

#[derive(Args)]
pub(crate) struct AuthorizeUrl {
    #[command(flatten)]
    pub(crate) client: Client,
    /// Show the authorization page even if the member has a valid token, to change the account or the
    /// permissions
    #[arg(long)]
    pub(crate) force_approval: bool,
    /// Request these scopes only, separated by spaces, for example "read write"
    #[arg(long)]
    pub(crate) scope: Option<String>,
}

#[derive(Args)]
pub(crate) struct ClientSecret {
    /// The project's client secret. Prefer --client-secret-file or OPENHUMANS_CLIENT_SECRET
    #[arg(long)]
    pub(crate) client_secret: Option<String>,
    /// A file with the project's client secret. Also OPENHUMANS_CLIENT_SECRET_FILE
    #[arg(long, value_name = "FILE", conflicts_with = "client_secret")]
    pub(crate) client_secret_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Out {
    /// Write the tokens to this file, readable by you only, instead of printing them
    ///
    /// The file works with --token-file and --refresh-token-file.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Login {
    #[command(flatten)]
    pub(crate) authorize: AuthorizeUrl,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
    #[command(flatten)]
    pub(crate) out: Out,
    /// Print the URL without opening a browser
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
    /// The code from the redirect
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) code: String,
    /// The verifier that `oh authorize-url` printed; optional for URLs without PKCE
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) verifier: Option<String>,
}

#[derive(Args)]
pub(crate) struct RefreshTokenArgs {
    /// The refresh token. Prefer --refresh-token-file or OPENHUMANS_REFRESH_TOKEN
    #[arg(long)]
    pub(crate) refresh_token: Option<String>,
    /// A file with the refresh token, for example one that --out wrote; by default the file of
    /// --token-file, if --out wrote it. Also OPENHUMANS_REFRESH_TOKEN_FILE
    #[arg(long, value_name = "FILE", conflicts_with = "refresh_token")]
    pub(crate) refresh_token_file: Option<PathBuf>,
}

/// The client id and secret, for requests without a redirect URI.
#[derive(Args)]
pub(crate) struct Credentials {
    /// The project's client id
    #[arg(long, env = "OPENHUMANS_CLIENT_ID")]
    pub(crate) client_id: String,
    #[command(flatten)]
    pub(crate) secret: ClientSecret,
}

#[derive(Args)]
pub(crate) struct Refresh {
    #[command(flatten)]
    pub(crate) credentials: Credentials,
    #[command(flatten)]
    pub(crate) out: Out,
    #[command(flatten)]
    pub(crate) token: RefreshTokenArgs,
}

#[derive(Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) credentials: Credentials,
    #[command(flatten)]
    pub(crate) token: RefreshTokenArgs,
}
