//! The built-in pages of the login routes, for applications that do not replace them.
//!
//! They are self-contained and readable without styles or scripts.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use url::Url;

use crate::Settings;
use crate::login::LoginPage;

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;\
padding:0 1.5rem;color:#222;background:#fff}h1{font-size:1.5rem}\
button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:.3rem;\
background:#155a8a;color:#fff;cursor:pointer}a{color:#155a8a}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#7bb8e0}}";

/// Renders `page` with status 200.
pub(super) fn render(page: &LoginPage<'_>, settings: &Settings) -> Response<Bytes> {
    let (title, text, url, button) = match page {
        LoginPage::Failed { failure, retry_url } => {
            let title = "You are not logged in";
            (title, failure.explanation(), *retry_url, "Try again")
        }
        LoginPage::ConfirmLogin { login_url } => (
            "Log in",
            "This app asks you to log in with Open Humans.",
            *login_url,
            "Log in with Open Humans",
        ),
        LoginPage::ConfirmLogout { logout_url } => (
            "Log out",
            "You can log in again at any time.",
            *logout_url,
            "Log out",
        ),
    };
    // Submitting the form ends with a redirect to this origin, which the policy must allow.
    let redirect = match page {
        LoginPage::ConfirmLogout { .. } => Url::parse(&settings.logout_redirect_url).ok(),
        _ => Some(settings.oh_base_url.clone()),
    };
    let redirect = redirect.map(|url| url.origin().ascii_serialization());
    let actions = format!(
        "<form method=\"post\" action=\"{}\"><button type=\"submit\">{button}</button></form>\
         <p><a href=\"{}\">Back to the start</a></p>",
        escape(url),
        escape(settings.app_base_url.path()),
    );
    response("", title, text, &actions, redirect.as_deref())
}

/// Renders a page that immediately requests `url` from this site.
///
/// Browsers withhold `SameSite=Strict` cookies from a request that another site started. The
/// request that this page starts carries them.
pub(super) fn redirecting(url: &str) -> Response<Bytes> {
    let url = escape(url);
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0;url={url}\">");
    let link = format!("<p><a href=\"{url}\">Continue</a></p>");
    response(&refresh, "Logging in", "One moment.", &link, None)
}

/// Renders the response to a logout that ended the session of this browser only.
pub(super) fn logged_out_here_only() -> Response<Bytes> {
    let mut response = response(
        "",
        "You are logged out here",
        "This browser is logged out. Your sessions on other devices could not be ended. To end \
         them, log in and out again later.",
        "",
        None,
    );
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn response(
    head: &str,
    title: &str,
    text: &str,
    actions: &str,
    form_redirect: Option<&str>,
) -> Response<Bytes> {
    let document = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\">{head}<title>{title}</title>\
         <style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1><p>{}</p>{actions}</main></body></html>",
        escape(text),
    );
    let mut policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      frame-ancestors 'none'; form-action 'self'"
        .to_owned();
    if let Some(origin) = form_redirect {
        policy.push(' ');
        policy.push_str(origin);
    }
    let mut response = Response::new(Bytes::from(document));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    if let Ok(policy) = policy.parse() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Escapes `text` for HTML content and quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::{LoginFailure, LoginRejected};

    #[test]
    fn failed_login_page_escapes_texts_and_addresses() {
        let settings = Settings::builder("id", "secret", "https://app.example/study");
        let failure = LoginFailure::Rejected(LoginRejected::new("<b>\"full\" & 'closed'</b>"));
        let page = LoginPage::Failed {
            failure: &failure,
            retry_url: "/login?a=1&b=\"",
        };
        let response = render(&page, &settings.build().unwrap());
        let html = String::from_utf8(response.into_body().into()).unwrap();
        let text = "<p>&lt;b&gt;&quot;full&quot; &amp; &#39;closed&#39;&lt;/b&gt;</p>";
        assert!(html.contains(text), "{html}");
        let action = "action=\"/login?a=1&amp;b=&quot;\"";
        assert!(html.contains(action), "{html}");
        assert!(html.contains("href=\"/study\""), "{html}");
    }
}
