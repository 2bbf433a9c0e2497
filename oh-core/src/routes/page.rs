//! The few pages a person sees: plain, self-contained, readable without styles or scripts.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;\
padding:0 1.5rem;color:#222;background:#fff}h1{font-size:1.5rem}\
button,a.button{font:inherit;display:inline-block;padding:.6rem 1.2rem;border:0;border-radius:.3rem;\
background:#155a8a;color:#fff;cursor:pointer;text-decoration:none}a{color:#155a8a}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#7bb8e0}}";

/// A page with a heading, a text and whatever the person can do next.
pub(super) fn page(title: &str, text: &str, next: &Markup) -> Markup {
    document(title, text, next, None)
}

/// A page that goes on by itself.
///
/// A browser that came here from another site keeps `SameSite=Strict` cookies back. When this page
/// leads on, the request comes from the app's own site, and they are sent.
pub(super) fn continue_to(url: &str) -> Markup {
    let next = html! { p { a href=(url) { "Continue" } } };
    document("Logging in", "One moment.", &next, Some(url))
}

fn document(title: &str, text: &str, next: &Markup, refresh: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                @if let Some(url) = refresh {
                    meta http-equiv="refresh" content=(format!("0;url={url}"));
                }
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } p { (text) } (next) } }
        }
    }
}

/// An answer that holds a page. `form_to` is the one other origin that a form on it may lead to.
pub(super) fn answer(status: StatusCode, markup: Markup, form_to: Option<&str>) -> Response<Bytes> {
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'self' {}",
        form_to.unwrap_or_default()
    );
    let mut response = Response::new(Bytes::from(markup.into_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    if let Ok(policy) = policy.trim_end().parse() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
