//! Checks of the app: whether its routes are reachable and have the same webhook secret.

use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, LOCATION};
use axum::http::{Request, StatusCode};
use hmac::{Hmac, KeyInit, Mac};
use oh_core::Settings;
use oh_core::transport::{Body, HttpClient};
use oh_core::webhook::SIGNATURE_HEADER;
use sha1::Sha1;

use super::http::{Response, send};
use super::report::Report;

/// The signed body that is sent to the webhook. It names no member, so no receiver can mistake it
/// for a deauthorization. The app's route responds with 400 after it has verified the signature.
const EMPTY_BODY: &str = "{}";

/// Checks that the route that completes logins is reachable at the redirect URI. Without a code, the
/// route responds with 400.
pub(super) async fn redirect_uri(report: &mut Report, settings: &Settings, transport: &HttpClient) {
    let check = "redirect URI";
    let url = settings.redirect_uri();
    let request = Request::get(url.as_str()).header(ACCEPT, "text/html");
    match send(transport, request.body(Body::empty())).await {
        Err(why) => report.error(check, format!("the app does not respond at {url}: {why}")),
        Ok(response) if response.status == StatusCode::BAD_REQUEST => {
            report.ok(check, format!("the app responds at {url}"));
        }
        Ok(response) => report.error(
            check,
            format!(
                "the response at {url} is not from the route that completes logins{}: check that \
                 the routes are mounted and that the proxy forwards to them",
                describe(&response)
            ),
        ),
    }
}

/// Checks that the webhook is reachable and accepts signatures with each of the secrets.
pub(super) async fn webhook(report: &mut Report, settings: &Settings, transport: &HttpClient) {
    let check = "webhook";
    let base = settings.app_base_url().as_str().trim_end_matches('/');
    let url = format!("{base}{}/deauth", settings.mount_path());
    let request = Request::get(&url).body(Body::empty());
    let response = match send(transport, request).await {
        Ok(response) => response,
        Err(why) => {
            return report.error(check, format!("the app does not respond at {url}: {why}"));
        }
    };
    if response.status.is_redirection() {
        return report.error(
            check,
            format!(
                "{url} redirects{}, and Open Humans drops the body of redirected requests: \
                 register the final URL, and use it here",
                describe(&response)
            ),
        );
    }
    let not_the_route = |response: &Response| {
        format!(
            "the response at {url} is not from the webhook route{}: check that the routes are \
             mounted and that the proxy forwards to them",
            describe(response)
        )
    };
    if !allows_post_only(&response) {
        return report.error(check, not_the_route(&response));
    }
    let secrets = settings.webhook_secrets();
    if secrets.is_empty() {
        return report.error(
            check,
            format!(
                "{url} responds, but OPENHUMANS_WEBHOOK_SECRET is not set: the app rejects the \
                 webhooks of Open Humans, and receives no erasure requests"
            ),
        );
    }
    for (number, secret) in (1..).zip(secrets) {
        let name = match secrets.len() {
            1 => "OPENHUMANS_WEBHOOK_SECRET".to_owned(),
            total => format!("secret {number} of {total} in OPENHUMANS_WEBHOOK_SECRET"),
        };
        let request = Request::post(&url)
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, sign(secret.expose(), EMPTY_BODY));
        let response = match send(transport, request.body(Body::full(EMPTY_BODY))).await {
            Ok(response) => response,
            Err(why) => {
                report.error(check, format!("the app does not respond at {url}: {why}"));
                continue;
            }
        };
        match response.status.as_u16() {
            400 => report.ok(check, format!("{url} responds, and the app accepts {name}")),
            401 => report.error(
                check,
                format!(
                    "the app at {url} does not accept {name}: it runs with another secret. The \
                     right one is on the project's page at Open Humans"
                ),
            ),
            503 => report.error(
                check,
                format!("the app at {url} has no webhook secret: set OPENHUMANS_WEBHOOK_SECRET"),
            ),
            _ => report.error(check, not_the_route(&response)),
        }
    }
}

fn allows_post_only(response: &Response) -> bool {
    let allow = response.headers.get(ALLOW);
    response.status == StatusCode::METHOD_NOT_ALLOWED
        && allow.is_some_and(|allow| allow.as_bytes() == b"POST")
}

/// Describes an unexpected response, with its redirect or the start of its body.
fn describe(response: &Response) -> String {
    let status = response.status;
    let location = response.headers.get(LOCATION);
    match location.and_then(|location| location.to_str().ok()) {
        Some(location) => format!(" ({status}, to {location})"),
        None => {
            let line = response.text.lines().next().unwrap_or_default();
            let line: String = line.chars().take(80).collect();
            format!(" ({status}: {line})")
        }
    }
}

fn sign(secret: &str, body: &str) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC accepts any key length");
    let tag = mac.chain_update(body).finalize().into_bytes();
    format!("sha1={}", hex::encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_matches_signature_of_open_humans() {
        let body = r#"{"project_member_id": "12345678", "erasure_requested": true, "timestamp": "2020-06-30T20:00:00.000000+00:00"}"#;
        assert_eq!(
            sign("abcdefghijklmnop", body),
            "sha1=ebda5c0a38593a4350ad8401b7d8c8f1cd08ec67"
        );
    }
}
