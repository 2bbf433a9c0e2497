//! Our stylesheet and script, under names that change with what is in them.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::routes::{RouteOutcome, plain};

const CSS: &str = include_str!("assets/pages.css");
const JS: &str = include_str!("assets/pages.js");

static CSS_NAME: LazyLock<String> = LazyLock::new(|| name(CSS, "css"));
static JS_NAME: LazyLock<String> = LazyLock::new(|| name(JS, "js"));

fn name(content: &str, ending: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    format!("pages-{}.{ending}", hex::encode(&digest[..8]))
}

/// The stylesheet's name.
pub(super) fn css() -> &'static str {
    &CSS_NAME
}

/// The script's name.
pub(super) fn js() -> &'static str {
    &JS_NAME
}

/// The asset of this name, to be kept for a year: another content has another name.
pub(super) fn answer(name: &str) -> RouteOutcome {
    let (content, kind) = match name {
        name if name == css() => (CSS, "text/css; charset=utf-8"),
        name if name == js() => (JS, "text/javascript; charset=utf-8"),
        _ => {
            let mut response = plain(StatusCode::NOT_FOUND, "not found\n");
            let no_store = HeaderValue::from_static("no-store");
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, no_store);
            return RouteOutcome::keep(response);
        }
    };
    let mut response = Response::new(Bytes::from_static(content.as_bytes()));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    RouteOutcome::keep(response)
}
