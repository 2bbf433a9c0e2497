//! Checks of Open Humans: whether it is reachable, agrees on the time and accepts the credentials.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::DATE;
use axum::http::{HeaderMap, Request};
use oh_api::{AuthorizationCode, Client, Error, OAuthClient, Timestamp, TokenError};
use oh_core::Settings;
use oh_core::transport::{Body, HttpClient};
use url::Url;

use super::http::send;
use super::report::Report;
use crate::error::with_sources;

/// With a larger clock difference, expired tokens look valid.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// Clocks that are synchronized over the network differ less.
const TYPICAL_CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// Checks that Open Humans responds, and compares the clocks.
pub(super) async fn reachable(report: &mut Report, base: &Url, transport: &HttpClient) -> bool {
    let check = "Open Humans";
    let url = base.join("/api/public/projects/?limit=1");
    let url = url.as_ref().map_or(base.as_str(), Url::as_str);
    let before = Timestamp::now();
    let request = Request::get(url).body(Body::empty());
    let response = match send(transport, request).await {
        Ok(response) => response,
        Err(why) => {
            report.error(
                check,
                format!("could not connect to {base} (OPENHUMANS_OH_BASE_URL): {why}"),
            );
            return false;
        }
    };
    let after = Timestamp::now();
    match response.status.as_u16() {
        200 => report.ok(check, format!("{base} responds")),
        status @ 500.. => {
            report.warning(
                check,
                format!("{base} responds with {status}: try again later"),
            );
        }
        status => report.error(
            check,
            format!(
                "{base} responds with {status}, unlike Open Humans: check OPENHUMANS_OH_BASE_URL"
            ),
        ),
    }
    compare_clocks(report, &response.headers, before, after);
    true
}

fn compare_clocks(report: &mut Report, headers: &HeaderMap, before: Timestamp, after: Timestamp) {
    let check = "clock";
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(server) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        return report.skipped(check, "the response of Open Humans contains no date");
    };
    let server = Timestamp::from(server);
    // The date has a resolution of one second, and is from some time between the two.
    let second = Duration::from_secs(1);
    let (slow, fast) = (server.since(after), before.since(server + second));
    let (difference, direction) = match slow > fast {
        true => (slow, "slow"),
        false => (fast, "fast"),
    };
    let seconds = difference.as_secs();
    if difference > MAX_CLOCK_DIFFERENCE {
        report.error(
            check,
            format!(
                "this machine's clock is {seconds} s {direction}: expired tokens can look valid, \
                 and the order of logins and departures can be wrong. Synchronize it with NTP"
            ),
        );
    } else if difference > TYPICAL_CLOCK_DIFFERENCE {
        report.warning(
            check,
            format!("this machine's clock is {seconds} s {direction}: synchronize it with NTP"),
        );
    } else {
        report.ok(check, "agrees with the clock of Open Humans");
    }
}

/// Checks the client id and secret by exchanging a code that does not exist: with the right
/// credentials, Open Humans rejects the code; with wrong ones, the credentials.
pub(super) async fn credentials(report: &mut Report, settings: &Settings, transport: &HttpClient) {
    let check = "credentials";
    let client = client(settings, transport).and_then(|client| {
        client.oauth(
            settings.client_id(),
            settings.client_secret().clone(),
            settings.redirect_uri().as_str(),
        )
    });
    let client: OAuthClient = match client {
        Ok(client) => client,
        Err(error) => return report.error(check, with_sources(&error)),
    };
    let code = AuthorizationCode::new("oh-doctor-nonexistent-code");
    match client.exchange(&code, &OAuthClient::verifier()).await {
        Err(TokenError::InvalidGrant) => {
            report.ok(check, "Open Humans accepts the client id and secret");
        }
        Err(TokenError::InvalidClient) => report.error(
            check,
            "Open Humans rejects OPENHUMANS_CLIENT_ID and OPENHUMANS_CLIENT_SECRET: compare them \
             with the project's page, which shows the secret only once, when it is created",
        ),
        Err(error) => {
            report.warning(
                check,
                format!("could not be checked: {}", with_sources(&error)),
            );
        }
        Ok(_) => report.error(
            check,
            "the server issued tokens for a code that does not exist: it is not Open Humans",
        ),
    }
}

fn client(settings: &Settings, transport: &HttpClient) -> Result<Client, Error> {
    let transport = Arc::new(transport.clone());
    Client::with_transport(settings.oh_base_url().as_str(), transport)
}

/// Checks the master token and the state of the project.
pub(super) async fn master_token(report: &mut Report, settings: &Settings, transport: &HttpClient) {
    let check = "master token";
    let Some(token) = settings.master_token() else {
        return report.ok(
            check,
            "not set. OPENHUMANS_MASTER_TOKEN is required to message members and to list them",
        );
    };
    let client = match client(settings, transport) {
        Ok(client) => client,
        Err(error) => return report.error(check, with_sources(&error)),
    };
    let project = match client.project(token.clone()).project().await {
        Ok(project) => project,
        Err(Error::Expired) => {
            return report.error(
                check,
                "it has expired: create a new one on the project's page, or ask an administrator \
                 of Open Humans to switch off its expiry",
            );
        }
        Err(Error::Unauthorized { .. }) => {
            return report.error(
                check,
                "Open Humans rejects OPENHUMANS_MASTER_TOKEN: it may have been replaced on the \
                 project's page",
            );
        }
        Err(error) => {
            let why = with_sources(&error);
            return report.warning(check, format!("could not be checked: {why}"));
        }
    };
    let name = project
        .name
        .as_deref()
        .unwrap_or("a project without a name");
    report.ok(
        check,
        format!(
            "valid for {name}. It expires 24 hours after its creation on the project's page, unless \
             an administrator of Open Humans has switched that off; the API does not return the time"
        ),
    );
    if project.active == Some(false) {
        report.error(
            "project",
            "it is not active, so nobody can join it: activate it on its page",
        );
    }
    if project.kind.as_deref().is_some_and(|kind| kind != "oauth2") {
        report.error(
            "project",
            "it is not an OAuth2 project, so members cannot log in: create one that is",
        );
    }
    if project.approved == Some(false) {
        report.warning(
            "project",
            "it is not approved, which limits its number of members: request approval on its page",
        );
    }
}
