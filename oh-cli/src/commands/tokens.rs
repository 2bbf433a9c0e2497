//! Obtaining, inspecting and revoking tokens.

use std::path::Path;

use oh_api::oauth::Authorization;
use oh_api::{AccessToken, AuthorizationCode, OAuthClient, RefreshToken, TokenError, Tokens};
use serde_json::json;

use crate::access::Access;
use crate::args::{
    AuthorizeUrl, ClientSecret, Credentials, Exchange, Refresh, RefreshTokenArgs, Revoke,
};
use crate::error::CliError;
use crate::output;
use crate::secret::Credential;
use crate::token_output::TokenOutput;

/// A redirect URI for requests that do not use it.
const UNUSED_REDIRECT_URI: &str = "http://localhost/";

pub(crate) fn authorize_url(access: &Access, args: &AuthorizeUrl) -> Result<(), CliError> {
    let client_args = &args.client;
    // The URL does not depend on the secret.
    let client = client(
        access,
        &client_args.client_id,
        "unused",
        &client_args.redirect_uri,
    )?;
    let authorization = authorization(&client, args);
    output::json(&json!({
        "url": authorization.url().as_str(),
        "state": authorization.state(),
        "verifier": authorization.verifier(),
    }))
}

pub(super) fn authorization(client: &OAuthClient, args: &AuthorizeUrl) -> Authorization {
    let mut authorization = client.authorization();
    if args.force_approval {
        authorization = authorization.force_approval();
    }
    match &args.scope {
        Some(scope) => authorization.scope(scope),
        None => authorization,
    }
}

pub(crate) async fn exchange(access: &Access, args: Exchange) -> Result<(), CliError> {
    let secret = client_secret(&args.secret)?;
    let redirect_uri = &args.client.redirect_uri;
    let client = client(access, &args.client.client_id, &secret, redirect_uri)?;
    // Open Humans ignores the verifier for URLs without PKCE.
    let verifier = args.verifier.unwrap_or_else(OAuthClient::verifier);
    let code = AuthorizationCode::new(args.code);
    let output = TokenOutput::prepare(args.out.out.as_deref())?;
    let tokens = request_tokens(output, async move {
        let granted = client.exchange(&code, &verifier).await;
        granted
            .map(|granted| granted.tokens)
            .map_err(exchange_error)
    })
    .await?;
    report_location(&tokens, args.out.out.as_deref());
    Ok(())
}

pub(super) fn exchange_error(error: TokenError) -> CliError {
    match error {
        TokenError::InvalidGrant => CliError::from(error).with_hint(
            "a code works once, for half an hour, with the verifier and redirect URI of its \
             authorization URL: start again with `oh login` or `oh authorize-url`",
        ),
        error => ambiguous(
            error,
            "the code may have been used: start again with `oh login`",
        ),
    }
}

pub(crate) async fn refresh(access: &Access, args: &Refresh) -> Result<(), CliError> {
    let token = refresh_token(access, &args.token)?;
    let client = client_for(access, &args.credentials)?;
    let output = TokenOutput::prepare(args.out.out.as_deref())?;
    let tokens = request_tokens(output, async move {
        let granted = client.refresh(&token).await;
        granted.map(|granted| granted.tokens).map_err(refresh_error)
    })
    .await?;
    report_location(&tokens, args.out.out.as_deref());
    Ok(())
}

fn refresh_error(error: TokenError) -> CliError {
    match error {
        TokenError::InvalidGrant => CliError::from(error).with_hint(
            "a refresh token works once: another program may have used it and hold the new tokens. \
             Otherwise the member has left, or must authorize the project again: `oh login`",
        ),
        error => ambiguous(
            error,
            "the refresh token may have been used: try again, and if Open Humans rejects it then, \
             the member must authorize the project again: `oh login`",
        ),
    }
}

/// Adds the hint if the request may have taken effect.
fn ambiguous(error: TokenError, hint: &str) -> CliError {
    let may_have_taken_effect = error.may_have_taken_effect();
    let error = CliError::from(error);
    match may_have_taken_effect {
        true => error.with_hint(hint),
        false => error,
    }
}

/// Requests tokens and writes them to `output`, in a task that completes even if this future is
/// dropped: the request cannot be repeated.
pub(super) async fn request_tokens(
    output: TokenOutput,
    request: impl Future<Output = Result<Tokens, CliError>> + Send + 'static,
) -> Result<Tokens, CliError> {
    let task = tokio::spawn(async move {
        let tokens = request.await?;
        output.write(&tokens)?;
        Ok(tokens)
    });
    match ReportOnDrop(Some(task)).join().await {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error).into()),
    }
}

/// Reports the outcome of a token request on standard error if its command was interrupted.
struct ReportOnDrop(Option<tokio::task::JoinHandle<Result<Tokens, CliError>>>);

impl ReportOnDrop {
    async fn join(mut self) -> Result<Result<Tokens, CliError>, tokio::task::JoinError> {
        let result = match &mut self.0 {
            Some(task) => task.await,
            None => std::future::pending().await,
        };
        self.0 = None;
        result
    }
}

impl Drop for ReportOnDrop {
    fn drop(&mut self) {
        let Some(task) = self.0.take() else {
            return;
        };
        output::warning("oh: waiting for the requested tokens; interrupt again to stop");
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Ok(Err(error)) = task.await {
                    output::error(&error);
                }
            });
        }
    }
}

pub(super) fn report_location(tokens: &Tokens, out: Option<&Path>) {
    if let Some(path) = out {
        let (path, expires_at) = (path.display(), &tokens.expires_at);
        output::status(format!(
            "wrote the tokens to {path}; the access token expires at {expires_at}"
        ));
    }
}

pub(crate) async fn revoke(access: &Access, args: &Revoke) -> Result<(), CliError> {
    let token = refresh_token(access, &args.token)?;
    let client = client_for(access, &args.credentials)?;
    client.revoke(&token).await?;
    output::line("revoked the tokens; the member is still in the project")
}

pub(crate) async fn introspect(access: &Access, args: &Credentials) -> Result<(), CliError> {
    let token = AccessToken::from(access.member_token()?);
    let client = client_for(access, args)?;
    let introspection = client.introspect(&token).await.map_err(introspect_error)?;
    output::json(&json!({
        "active": introspection.active,
        "scope": introspection.scope,
        "client_id": introspection.client_id,
        "username": introspection.username,
        "exp": introspection.exp,
    }))
}

fn introspect_error(error: TokenError) -> CliError {
    let hint = match &error {
        // Measured on the server of Open Humans, which does not use 401 here.
        TokenError::Other(oh_api::Error::Forbidden { .. }) => {
            "Open Humans responds with 403 to a wrong client id or secret: compare them with the \
             project's page"
        }
        TokenError::Other(oh_api::Error::NotFound) => {
            "this server does not support introspection; `oh whoami` shows whether a token is valid"
        }
        _ => return error.into(),
    };
    CliError::from(error).with_hint(hint)
}

pub(super) fn client(
    access: &Access,
    client_id: &str,
    client_secret: &str,
    redirect_uri: &str,
) -> Result<OAuthClient, CliError> {
    let client = access
        .server()?
        .oauth(client_id, client_secret, redirect_uri);
    client.map_err(|error| CliError::Usage(error.to_string()))
}

fn client_for(access: &Access, args: &Credentials) -> Result<OAuthClient, CliError> {
    let secret = client_secret(&args.secret)?;
    client(access, &args.client_id, &secret, UNUSED_REDIRECT_URI)
}

pub(super) fn client_secret(args: &ClientSecret) -> Result<String, CliError> {
    let file = args.client_secret_file.as_deref();
    Credential::ClientSecret.require(args.client_secret.as_ref(), file)
}

/// Returns the refresh token from its own options, else from the file of `--token-file`, else from
/// the environment. The file comes first because the environment may be for another member.
fn refresh_token(access: &Access, args: &RefreshTokenArgs) -> Result<RefreshToken, CliError> {
    let option = args.refresh_token.as_ref();
    let file = args.refresh_token_file.as_deref();
    let token_file = access
        .token_file()
        .filter(|_| option.is_none() && file.is_none());
    if let Some(path) = token_file
        && let Some(token) = Credential::RefreshToken.in_token_file(path)?
    {
        return Ok(RefreshToken::new(token));
    }
    match (Credential::RefreshToken.find(option, file)?, token_file) {
        (Some((token, _)), _) => Ok(RefreshToken::new(token)),
        (None, None) => Err(Credential::RefreshToken.missing()),
        (None, Some(path)) => Err(Credential::RefreshToken.missing().with_hint(format!(
            "{} contains no refresh token: only files that --out wrote do",
            path.display()
        ))),
    }
}
