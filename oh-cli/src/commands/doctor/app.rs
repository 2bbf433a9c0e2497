//! What only the app can tell: whether it is there, and whether it has the same webhook secret.

use hmac::{Hmac, KeyInit, Mac};
use http::header::{ALLOW, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{Request, StatusCode};
use oh_core::Settings;
use oh_core::transport::{Body, HttpClient};
use oh_core::webhook::SIGNATURE_HEADER;
use sha1::Sha1;
use url::Url;

use super::open_humans::{Answered, ask};
use super::report::Report;

/// What is signed and sent. It names no member, so that nobody can be taken to have left, whatever
/// reads it; the app's route answers 400, once it has found the signature good.
const NOBODY: &str = "{}";

/// Who asks, for those who read the app's log.
const AGENT: &str = concat!("oh-doctor/", env!("CARGO_PKG_VERSION"));

/// Whether the route that completes logins is where members are sent. Asked without a code, it says
/// that something is missing.
pub(super) async fn redirect_uri(report: &mut Report, settings: &Settings, transport: &HttpClient) {
    let about = "redirect URI";
    let url = settings.redirect_uri();
    let request = Request::get(url.as_str())
        .header(USER_AGENT, AGENT)
        .header("accept", "text/html");
    let Ok(request) = request.body(Body::empty()) else {
        return report.wrong(about, format!("{url} cannot be asked"));
    };
    match ask(transport, request).await {
        Err(why) => report.wrong(about, format!("the app does not answer at {url}: {why}")),
        Ok(answered) if answered.status == StatusCode::BAD_REQUEST => {
            report.fine(about, format!("the app answers at {url}"));
        }
        Ok(answered) => report.wrong(
            about,
            format!(
                "what answers at {url} is not the route that completes logins{}: are the routes \
                 mounted, and does the proxy lead there?",
                with_what(&answered)
            ),
        ),
    }
}

/// Whether the webhook can be delivered, and whether the app believes what is signed with each of
/// the secrets here.
pub(super) async fn webhook(report: &mut Report, settings: &Settings, transport: &HttpClient) {
    let about = "webhook";
    let base = settings.app_base_url().as_str().trim_end_matches('/');
    let url = format!("{base}{}/deauth", settings.mount_path());
    let Ok(url) = Url::parse(&url) else {
        return report.wrong(about, format!("{url} is no address"));
    };
    let request = Request::get(url.as_str()).header(USER_AGENT, AGENT);
    let Ok(request) = request.body(Body::empty()) else {
        return report.wrong(about, format!("{url} cannot be asked"));
    };
    match ask(transport, request).await {
        Err(why) => {
            return report.wrong(about, format!("the app does not answer at {url}: {why}"));
        }
        Ok(answered) if answered.status.is_redirection() => {
            return report.wrong(
                about,
                format!(
                    "{url} redirects{}: Open Humans loses the body on the way. Register the address \
                     it ends at, and give it here",
                    with_what(&answered)
                ),
            );
        }
        Ok(answered) if !takes_post_only(&answered) => {
            return report.wrong(
                about,
                format!(
                    "what answers at {url} is not the route for the webhook{}: are the routes \
                     mounted, and does the proxy lead there?",
                    with_what(&answered)
                ),
            );
        }
        Ok(_) => {}
    }
    let secrets = settings.webhook_secrets();
    if secrets.is_empty() {
        return report.wrong(
            about,
            format!(
                "{url} answers, but OPENHUMANS_WEBHOOK_SECRET is not set: nothing that Open Humans \
                 says of members who leave can be believed, and no wish to be erased is heard"
            ),
        );
    }
    for (place, secret) in (1..).zip(secrets) {
        let which = match secrets.len() {
            1 => "OPENHUMANS_WEBHOOK_SECRET".to_owned(),
            all => format!("secret {place} of the {all} in OPENHUMANS_WEBHOOK_SECRET"),
        };
        let request = Request::post(url.as_str())
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, sign(secret.expose(), NOBODY));
        let Ok(request) = request.body(Body::full(NOBODY)) else {
            return report.wrong(about, format!("{url} cannot be asked"));
        };
        match ask(transport, request).await {
            Err(why) => report.wrong(about, format!("the app does not answer at {url}: {why}")),
            Ok(answered) => match answered.status.as_u16() {
                400 => report.fine(about, format!("{url} answers, and the app knows {which}")),
                401 => report.wrong(
                    about,
                    format!(
                        "the app at {url} does not know {which}: it was started with another. What \
                         it has must be what the project's page at Open Humans says"
                    ),
                ),
                503 => report.wrong(
                    about,
                    format!(
                        "the app at {url} has no webhook secret: set OPENHUMANS_WEBHOOK_SECRET"
                    ),
                ),
                _ => report.wrong(
                    about,
                    format!(
                        "what answers at {url} is not the route for the webhook{}",
                        with_what(&answered)
                    ),
                ),
            },
        }
    }
}

fn takes_post_only(answered: &Answered) -> bool {
    let allow = answered
        .headers
        .get(ALLOW)
        .and_then(|allow| allow.to_str().ok());
    answered.status == StatusCode::METHOD_NOT_ALLOWED && allow == Some("POST")
}

fn with_what(answered: &Answered) -> String {
    let to = answered
        .headers
        .get(LOCATION)
        .and_then(|to| to.to_str().ok());
    match to {
        Some(to) => format!(" ({}, to {to})", answered.status),
        None => {
            let line = answered.text.lines().next().unwrap_or_default();
            let line: String = line.chars().take(80).collect();
            format!(" ({}: {line})", answered.status)
        }
    }
}

fn sign(secret: &str, body: &str) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    let tag = mac.chain_update(body).finalize().into_bytes();
    format!("sha1={}", hex::encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_as_open_humans_does() {
        let body = r#"{"project_member_id": "12345678", "erasure_requested": true, "timestamp": "2020-06-30T20:00:00.000000+00:00"}"#;
        assert_eq!(
            sign("abcdefghijklmnop", body),
            "sha1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec67"
        );
    }
}
