//! What only Open Humans can tell: whether it is there, what time it is, whether it knows us.

use std::time::Duration;

use http::header::DATE;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use oh_api::{AuthorizationCode, Client, Error, OAuthClient, Timestamp, TokenError};
use oh_core::Settings;
use oh_core::transport::{Body, HttpClient, Transport};
use url::Url;

use super::report::Report;
use crate::failure::sentence;

/// How long anyone may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The most of an answer that is looked at, in bytes.
const MOST: usize = 64 * 1024;

/// A clock that is wrong by more lets tokens expire unnoticed.
const WRONG_BY: Duration = Duration::from_secs(60);

/// A clock that is set over the network is not wrong by more.
const HARDLY_BY: Duration = Duration::from_secs(5);

/// What someone answered.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// Asks anyone anything.
pub(super) async fn ask(
    transport: &HttpClient,
    request: Request<Body>,
) -> Result<Answered, String> {
    let asking = async {
        let answer = transport.send(request).await;
        let (head, body) = answer.map_err(|error| sentence(&error))?.into_parts();
        let body = Limited::new(body, MOST).collect().await;
        let body = body.map_err(|error| sentence(&*error))?.to_bytes();
        Ok(Answered {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    let late = |_| format!("no answer within {} s", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, asking).await.map_err(late)?
}

/// Whether Open Humans answers, and with what time.
pub(super) async fn reach(report: &mut Report, base: &Url, transport: &HttpClient) -> bool {
    let about = "Open Humans";
    let url = base.join("/api/public/projects/?limit=1");
    let url = url.as_ref().map_or(base.as_str(), Url::as_str);
    let Ok(request) = Request::get(url).body(Body::empty()) else {
        report.wrong(about, format!("{base} cannot be asked"));
        return false;
    };
    let before = Timestamp::now();
    let answered = match ask(transport, request).await {
        Ok(answered) => answered,
        Err(why) => {
            report.wrong(
                about,
                format!("{base} is not reached: {why}. OPENHUMANS_OH_BASE_URL says where it is"),
            );
            return false;
        }
    };
    let after = Timestamp::now();
    match answered.status.as_u16() {
        200 => report.fine(about, format!("{base} answers")),
        status @ 500.. => report.warn(about, format!("{base} answers {status}: try again later")),
        status => report.wrong(
            about,
            format!(
                "{base} answers {status}, which Open Humans would not: \
                 is OPENHUMANS_OH_BASE_URL right?"
            ),
        ),
    }
    clock(report, &answered.headers, before, after);
    true
}

fn clock(report: &mut Report, headers: &HeaderMap, before: Timestamp, after: Timestamp) {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(there) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        report.skip("clock", "Open Humans did not say what time it is");
        return;
    };
    let there = Timestamp::from(there);
    // The time comes in whole seconds, from somewhere between the two moments.
    let second = Duration::from_secs(1);
    let (slow, fast) = (there.since(after), before.since(there + second));
    let (by, which) = if slow > fast {
        (slow, "slow")
    } else {
        (fast, "fast")
    };
    let by_seconds = by.as_secs();
    if by > WRONG_BY {
        report.wrong(
            "clock",
            format!(
                "this machine's is {by_seconds} s {which}: tokens that seem good may have expired, \
                 and logins and departures be taken for older or newer than they are. Set it over \
                 the network (NTP)"
            ),
        );
    } else if by > HARDLY_BY {
        report.warn(
            "clock",
            format!("this machine's is {by_seconds} s {which}: is it set over the network?"),
        );
    } else {
        report.fine("clock", "it agrees with Open Humans'");
    }
}

/// Whether client id and secret are right. A code that is none is refused to those who are, and to
/// others their names are; either way nothing comes of it.
pub(super) async fn credentials(report: &mut Report, settings: &Settings, transport: &HttpClient) {
    let about = "credentials";
    let client = Client::with_transport(
        settings.oh_base_url().as_str(),
        std::sync::Arc::new(transport.clone()),
    );
    let redirect_uri = settings.redirect_uri().as_str();
    let oauth = client.and_then(|client| {
        client.oauth(
            settings.client_id(),
            settings.client_secret().clone(),
            redirect_uri,
        )
    });
    let oauth: OAuthClient = match oauth {
        Ok(oauth) => oauth,
        Err(error) => return report.wrong(about, sentence(&error)),
    };
    let code = AuthorizationCode::new("oh-doctor-asks-with-no-code-at");
    match oauth.exchange(&code, &OAuthClient::verifier()).await {
        Err(TokenError::InvalidGrant) => {
            report.fine(about, "Open Humans takes the client id and secret");
        }
        Err(TokenError::InvalidClient) => report.wrong(
            about,
            "Open Humans does not take OPENHUMANS_CLIENT_ID and OPENHUMANS_CLIENT_SECRET: compare \
             them with the project's page there. The secret is shown only once, when it is made",
        ),
        Err(TokenError::Other(error)) => {
            report.warn(
                about,
                format!("they could not be tried: {}", sentence(&error)),
            );
        }
        Err(error) => report.warn(about, format!("they could not be tried: {error}")),
        Ok(_) => report.wrong(
            about,
            "the server gave tokens for a code that is none: this is not Open Humans",
        ),
    }
}

/// Whether the master token works, and for how long.
pub(super) async fn master_token(report: &mut Report, settings: &Settings, transport: &HttpClient) {
    let about = "master token";
    let Some(token) = settings.master_token() else {
        return report.fine(
            about,
            "there is none; OPENHUMANS_MASTER_TOKEN is wanted for messages to members, and to ask \
             who is one",
        );
    };
    let client = Client::with_transport(
        settings.oh_base_url().as_str(),
        std::sync::Arc::new(transport.clone()),
    );
    let client = match client {
        Ok(client) => client,
        Err(error) => return report.wrong(about, sentence(&error)),
    };
    match client.project(token.clone()).project().await {
        Ok(project) => {
            let name = project.name.as_deref().unwrap_or("a project without a name");
            report.fine(
                about,
                format!(
                    "it works, for {name}. It dies 24 hours after it was made on the project's page, \
                     unless an administrator of Open Humans has switched that off; Open Humans does \
                     not say when"
                ),
            );
            if project.active == Some(false) {
                report.wrong("project", "it is not active: nobody can join it. Activate it on its page");
            }
            if project.kind.as_deref().is_some_and(|kind| kind != "oauth2") {
                report.wrong("project", "it is no OAuth2 project: members cannot log in. Make one that is");
            }
            if project.approved == Some(false) {
                report.warn(
                    "project",
                    "it is not approved yet: it can have few members. Ask for approval on its page",
                );
            }
        }
        Err(Error::Expired) => report.wrong(
            about,
            "it has expired: make a new one on the project's page, or have an administrator of Open \
             Humans switch its expiry off",
        ),
        Err(Error::Unauthorized { .. }) => report.wrong(
            about,
            "Open Humans does not know OPENHUMANS_MASTER_TOKEN: it may have been replaced on the \
             project's page",
        ),
        Err(error) => report.warn(about, format!("it could not be tried: {}", sentence(&error))),
    }
}
