//! The document is compared with the one beside this file, which someone has read.

use http::Request;
use serde_json::{Value, json};

use super::{Visit, app, at, json, pages};
use crate::OpenHumansBuilder;
use crate::routes::pages::openapi;

const REVIEWED: &str = include_str!("openapi.json");

/// Set to write the document anew.
const RENEW: &str = "RENEW_OPENAPI";

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/routes/pages/tests/openapi.json"
);

fn served(app: OpenHumansBuilder) -> Value {
    let visit = Visit::of(app, Request::get("/openhumans/openapi.json"));
    json(openapi::answer(&visit.cx()))
}

#[test]
fn the_document_is_the_one_that_was_reviewed() {
    let mut served = served(app());
    let version = served["info"]["version"].take();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    served["info"]["version"] = json!("the crate's");
    let written = serde_json::to_string_pretty(&served).unwrap() + "\n";
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(PATH, &written).unwrap();
        return;
    }
    let reviewed: Value = serde_json::from_str(REVIEWED).unwrap_or_default();
    let mut lines = written.lines().zip(REVIEWED.lines());
    assert!(
        served == reviewed,
        "The OpenAPI document is another than the reviewed one. If it should be, run\n    \
         {RENEW}=1 cargo test -p oh-core --features pages --lib openapi\n\
         and read and commit what changes in {PATH}. The first difference: {:?}",
        lines.find(|(now, before)| now != before)
    );
}

#[test]
fn without_staff_the_document_says_nothing_of_a_desk() {
    let document = served(at("https://app.example").pages(pages()));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/openhumans/files"));
    assert!(!paths.keys().any(|path| path.contains("/staff")));
}
