//! Getting tokens, and ending them.

use std::path::Path;

use oh_api::oauth::Authorization;
use oh_api::{AccessToken, AuthorizationCode, OAuthClient, RefreshToken, TokenError, Tokens};
use serde_json::json;

use crate::access::Access;
use crate::args::{Asked, ClientSecret, Exchange, Introspect, Refresh, RefreshSecret, Revoke};
use crate::failure::Failure;
use crate::keep::Place;
use crate::output;
use crate::secret::Kind;

/// Stands where no redirect URI is wanted.
const NO_REDIRECT: &str = "http://localhost/";

pub(crate) fn url(access: &Access, args: &Asked) -> Result<(), Failure> {
    // The secret has no part in an authorization address.
    let client = client(
        access,
        &args.client.client_id,
        "not wanted here",
        &args.client.redirect_uri,
    )?;
    let authorization = authorization(&client, args);
    output::json(&json!({
        "url": authorization.url().as_str(),
        "state": authorization.state(),
        "verifier": authorization.verifier(),
    }))
}

/// A way to authorize, asked for as the arguments say.
pub(super) fn authorization(client: &OAuthClient, args: &Asked) -> Authorization {
    let mut authorization = client.authorization();
    if args.force_approval {
        authorization = authorization.force_approval();
    }
    match &args.scope {
        Some(scope) => authorization.scope(scope),
        None => authorization,
    }
}

pub(crate) async fn exchange(access: &Access, args: Exchange) -> Result<(), Failure> {
    let secret = secret(&args.secret)?;
    let redirect_uri = &args.client.redirect_uri;
    let client = client(access, &args.client.client_id, &secret, redirect_uri)?;
    // Where the address was made without PKCE, any verifier is taken.
    let verifier = args.verifier.unwrap_or_else(OAuthClient::verifier);
    let code = AuthorizationCode::new(args.code);
    let place = Place::ready(args.out.out.as_deref())?;
    let tokens = to_the_end(place, async move {
        let granted = client.exchange(&code, &verifier).await;
        granted.map(|granted| granted.tokens).map_err(of_code)
    })
    .await?;
    said(&tokens, args.out.out.as_deref());
    Ok(())
}

/// What an exchange of a code failed of.
pub(super) fn of_code(error: TokenError) -> Failure {
    match error {
        TokenError::InvalidGrant => Failure::from(error).advise(
            "a code works once and for half an hour, with the verifier and the redirect URI it was \
             asked for with: begin again with `oh login` or `oh authorize-url`",
        ),
        error => lost(
            error,
            "the code may be used up: begin again with `oh login`",
        ),
    }
}

pub(crate) async fn refresh(access: &Access, args: &Refresh) -> Result<(), Failure> {
    let secret = secret(&args.secret)?;
    let token = refresh_token(access, &args.token)?;
    let client = client(access, &args.client_id, &secret, NO_REDIRECT)?;
    let place = Place::ready(args.out.out.as_deref())?;
    let tokens =
        to_the_end(place, async move {
            let granted = client.refresh(&token).await;
            granted.map(|granted| granted.tokens).map_err(|error| {
                match error {
            TokenError::InvalidGrant => Failure::from(error).advise(
                "a refresh token works once: whoever used it has the pair that came of it. Where \
                 nobody has, the member has left, or must authorize the project again: `oh login`",
            ),
            error => lost(
                error,
                "the refresh token may be used up: try it again, and if it is not known any more, \
                 the member must authorize the project again: `oh login`",
            ),
        }
            })
        })
        .await?;
    said(&tokens, args.out.out.as_deref());
    Ok(())
}

/// Says what may have come of a token request that was not answered.
fn lost(error: TokenError, advice: &str) -> Failure {
    let unsure = error.may_have_taken_effect();
    let failure = Failure::from(error);
    match unsure {
        true => failure.advise(advice),
        false => failure,
    }
}

/// Asks for tokens and keeps them, to the end even where this is dropped: what is asked for cannot
/// be asked for again.
pub(super) async fn to_the_end(
    place: Place,
    asking: impl Future<Output = Result<Tokens, Failure>> + Send + 'static,
) -> Result<Tokens, Failure> {
    let work = tokio::spawn(async move {
        let tokens = asking.await?;
        place.keep(&tokens)?;
        Ok(tokens)
    });
    match Dropped(Some(work)).ended().await {
        Ok(outcome) => outcome,
        Err(stopped) => Err(std::io::Error::other(stopped).into()),
    }
}

/// Says on standard error what became of tokens whose command was interrupted.
struct Dropped(Option<tokio::task::JoinHandle<Result<Tokens, Failure>>>);

impl Dropped {
    async fn ended(mut self) -> Result<Result<Tokens, Failure>, tokio::task::JoinError> {
        let ended = match &mut self.0 {
            Some(work) => work.await,
            None => std::future::pending().await,
        };
        self.0 = None;
        ended
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        let Some(work) = self.0.take() else {
            return;
        };
        output::note("oh: waiting for tokens that are on their way; once more ends at once");
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Ok(Err(failure)) = work.await {
                    output::complain(&failure);
                }
            });
        }
    }
}

pub(super) fn said(tokens: &Tokens, out: Option<&Path>) {
    if let Some(path) = out {
        let (path, until) = (path.display(), &tokens.expires_at);
        output::say(format!(
            "the tokens are in {path}; the access token works until {until}"
        ));
    }
}

pub(crate) async fn revoke(access: &Access, args: &Revoke) -> Result<(), Failure> {
    let secret = secret(&args.secret)?;
    let token = refresh_token(access, &args.token)?;
    let client = client(access, &args.client_id, &secret, NO_REDIRECT)?;
    client.revoke(&token).await?;
    output::line("the tokens are revoked; the member is still in the project")
}

pub(crate) async fn introspect(access: &Access, args: &Introspect) -> Result<(), Failure> {
    let secret = secret(&args.secret)?;
    let token = AccessToken::from(access.member_token()?);
    let client = client(access, &args.client_id, &secret, NO_REDIRECT)?;
    let known =
        client.introspect(&token).await.map_err(|error| {
            match error {
        TokenError::Other(oh_api::Error::Forbidden { .. } | oh_api::Error::NotFound) => {
            Failure::from(error).advise(
                "this Open Humans does not answer such questions to projects; `oh whoami` tells \
                 whether a token works",
            )
        }
        error => error.into(),
    }
        })?;
    output::json(&json!({
        "active": known.active,
        "scope": known.scope,
        "client_id": known.client_id,
        "username": known.username,
        "exp": known.exp,
    }))
}

pub(super) fn client(
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

pub(super) fn secret(args: &ClientSecret) -> Result<String, Failure> {
    let file = args.client_secret_file.as_deref();
    Kind::Client.wanted(args.client_secret.as_ref(), file)
}

/// The refresh token: where no flag gives it, from the file of `--token-file` if that has both. A
/// flag that names a member's file comes before another member's token in the environment.
fn refresh_token(access: &Access, args: &RefreshSecret) -> Result<RefreshToken, Failure> {
    let (flag, file) = (
        args.refresh_token.as_ref(),
        args.refresh_token_file.as_deref(),
    );
    let beside = match access.token_file() {
        Some(path) if flag.is_none() && file.is_none() => Some(path),
        _ => None,
    };
    if let Some(token) = beside
        .map(|path| Kind::Refresh.beside(path))
        .transpose()?
        .flatten()
    {
        return Ok(RefreshToken::new(token));
    }
    let found = Kind::Refresh.given(flag, file)?;
    let (token, _) = found.ok_or_else(|| match beside {
        None => Kind::Refresh.missing(),
        Some(path) => Kind::Refresh.missing().advise(format!(
            "{} holds none: it has one where --out wrote it",
            path.display()
        )),
    })?;
    Ok(RefreshToken::new(token))
}
