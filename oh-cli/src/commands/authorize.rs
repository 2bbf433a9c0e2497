//! Getting tokens.

use std::io::Write;
use std::path::Path;

use oh_api::OAuthClient;
use oh_api::Tokens;
use oh_api::{AuthorizationCode, RefreshToken};
use serde_json::json;

use crate::access::{Access, given};
use crate::args::{Client, ClientSecret, Exchange, Refresh};
use crate::failure::Failure;
use crate::output;

pub(crate) fn url(access: &Access, args: &Client) -> Result<(), Failure> {
    // The secret has no part in an authorization address.
    let client = client(
        access,
        &args.client_id,
        "not wanted here",
        &args.redirect_uri,
    )?;
    let authorization = client.authorization();
    output::json(&json!({
        "url": authorization.url().as_str(),
        "state": authorization.state(),
        "verifier": authorization.verifier(),
    }))
}

pub(crate) async fn exchange(access: &Access, args: Exchange) -> Result<(), Failure> {
    let secret = secret(&args.secret)?;
    let redirect_uri = &args.client.redirect_uri;
    let client = client(access, &args.client.client_id, &secret, redirect_uri)?;
    // Where the address was made without PKCE, any verifier is taken.
    let verifier = args
        .verifier
        .unwrap_or_else(|| client.authorization().verifier().to_owned());
    let code = AuthorizationCode::new(args.code);
    let tokens = client.exchange(&code, &verifier).await?.tokens;
    keep(&tokens, args.secret.out.as_deref())
}

pub(crate) async fn refresh(access: &Access, args: &Refresh) -> Result<(), Failure> {
    let secret = secret(&args.secret)?;
    let file = args.refresh_token_file.as_deref();
    let token = given(args.refresh_token.as_ref(), file)?.ok_or_else(|| {
        let why = "there is no refresh token: give --refresh-token-file or set \
                   OPENHUMANS_REFRESH_TOKEN";
        Failure::Usage(why.into())
    })?;
    // A refresh names no redirect URI; any will do.
    let client = client(access, &args.client_id, &secret, "http://localhost/")?;
    let tokens = client.refresh(&RefreshToken::new(token)).await?.tokens;
    keep(&tokens, args.secret.out.as_deref())
}

fn client(
    access: &Access,
    client_id: &str,
    client_secret: &str,
    redirect_uri: &str,
) -> Result<OAuthClient, Failure> {
    let client = access
        .server()?
        .oauth(client_id, client_secret, redirect_uri);
    client.map_err(|error| Failure::Usage(error.to_string()))
}

fn secret(args: &ClientSecret) -> Result<String, Failure> {
    let secret = given(
        args.client_secret.as_ref(),
        args.client_secret_file.as_deref(),
    )?;
    secret.ok_or_else(|| {
        let why = "there is no client secret: give --client-secret-file or set \
                   OPENHUMANS_CLIENT_SECRET";
        Failure::Usage(why.into())
    })
}

/// Prints tokens, or writes them to a file that nobody else can read.
fn keep(tokens: &Tokens, out: Option<&Path>) -> Result<(), Failure> {
    let tokens = json!({
        "access_token": tokens.access_token.expose(),
        "refresh_token": tokens.refresh_token.expose(),
        "expires_at": tokens.expires_at.to_string(),
    });
    let Some(path) = out else {
        return output::json(&tokens);
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // Whole or not at all: the old pair is dead already.
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(file, "{tokens}")?;
    file.as_file().sync_all()?;
    match file.persist(path) {
        Ok(_) => Ok(()),
        Err(error) => {
            // Better shown than lost.
            output::json(&tokens)?;
            Err(error.error.into())
        }
    }
}
