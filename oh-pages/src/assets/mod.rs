//! The stylesheet, the script and the icon. Their names contain a digest of their content, so that
//! browsers can cache them.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use http::header;
use sha2::{Digest, Sha256};

use crate::error::PageError;
use crate::response::set;

/// An asset.
struct Asset {
    name: String,
    content: &'static str,
    content_type: &'static str,
}

static CSS: LazyLock<Asset> =
    LazyLock::new(|| asset_of(include_str!("pages.css"), "css", "text/css; charset=utf-8"));
static JS: LazyLock<Asset> = LazyLock::new(|| {
    asset_of(
        include_str!("pages.js"),
        "js",
        "text/javascript; charset=utf-8",
    )
});
static ICON: LazyLock<Asset> =
    LazyLock::new(|| asset_of(include_str!("icon.svg"), "svg", "image/svg+xml"));

fn asset_of(content: &'static str, extension: &str, content_type: &'static str) -> Asset {
    let digest = Sha256::digest(content.as_bytes());
    Asset {
        name: format!("pages-{}.{extension}", hex::encode(&digest[..8])),
        content,
        content_type,
    }
}

/// The name of the stylesheet.
pub(crate) fn css() -> &'static str {
    &CSS.name
}

/// The name of the script.
pub(crate) fn js() -> &'static str {
    &JS.name
}

/// The name of the icon.
pub(crate) fn icon() -> &'static str {
    &ICON.name
}

/// Returns the stylesheet, the script or the icon of the pages
///
/// Another content has another name, so the response may be cached for a year.
#[utoipa::path(
    get,
    path = "/assets/{name}",
    params(("name" = String, Path, description = "The name that a page links to")),
    responses(
        (status = 200, description = "The asset", content(
            (String = "text/css"), (String = "text/javascript"), (String = "image/svg+xml"),
        )),
    ),
)]
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, PageError> {
    let assets = [&CSS, &JS, &ICON];
    let asset = assets.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(PageError::not_found)?;
    let mut response = Response::new(Body::from(asset.content));
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, asset.content_type);
    let cache = "public, max-age=31536000, immutable";
    set(headers, header::CACHE_CONTROL, cache);
    Ok(response)
}
