//! Compares the document with a reviewed one.

use http::Request;
use serde_json::{Value, json};

use super::{app, json as body, pages, send};
use crate::settings::Pages;

const REVIEWED: &str = include_str!("openapi.json");

/// Set this variable to write the document.
const RENEW: &str = "RENEW_OPENAPI";

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/openapi.json");

async fn document(pages: Pages) -> Value {
    let oh = app("https://app.example").build().unwrap();
    let request = Request::get("/openapi.json");
    body(send(&pages.router(&oh), request, "", None).await).await
}

#[tokio::test]
async fn openapi_document_is_the_reviewed_one() {
    let mut document = document(pages()).await;
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    document["info"]["version"] = json!("the crate's");
    let written = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(PATH, &written).unwrap();
        return;
    }
    let reviewed: Value = serde_json::from_str(REVIEWED).unwrap();
    assert!(
        document == reviewed,
        "the OpenAPI document changed. If this is intended, run\n    \
         {RENEW}=1 cargo test -p oh-pages --lib openapi\n\
         and review the changes in {PATH}"
    );
}

#[tokio::test]
async fn openapi_document_omits_the_dashboard_without_a_staff_guard() {
    let document = document(Pages::new("Sleep")).await;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/openhumans/files"));
    assert!(!paths.keys().any(|path| path.contains("/staff")));
}
