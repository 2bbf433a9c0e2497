//! Helpers for the tests: an HTTP client and common requests.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use oh_sandbox::Sandbox;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use url::Url;

pub(crate) const ALICE: &str = "01026778";
pub(crate) const BOB: &str = "00169953";

/// Returns a client that follows no redirects and uses no proxy.
pub(crate) fn client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .expect("a client can be built")
}

/// Starts a sandbox with the default members.
pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::builder()
        .start()
        .await
        .expect("the sandbox starts")
}

/// Returns a URL of the sandbox.
pub(crate) fn at(sandbox: &Sandbox, path: &str) -> Url {
    sandbox.url().join(path).expect("the path is a path")
}

/// Returns a URL of the project API.
pub(crate) fn api(sandbox: &Sandbox, path: &str) -> Url {
    at(sandbox, &format!("/api/direct-sharing/project/{path}"))
}

/// Returns an authorization URL with additional parameters.
pub(crate) fn authorization_url(sandbox: &Sandbox, added: &[(&str, &str)]) -> Url {
    let mut url = at(sandbox, "/direct-sharing/projects/oauth2/authorize/");
    url.query_pairs_mut()
        .append_pair("client_id", sandbox.client_id())
        .append_pair("response_type", "code")
        .extend_pairs(added);
    url
}

/// Returns a query parameter of a URL.
pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Returns an authorization code for a member.
pub(crate) async fn code(sandbox: &Sandbox, member: &str, added: &[(&str, &str)]) -> String {
    let back = sandbox
        .authorize(member, authorization_url(sandbox, added))
        .await
        .expect("the member is sent back");
    parameter(&back, "code").expect("there is a code")
}

/// Sends a request with the client's credentials to the token endpoint.
pub(crate) async fn token(sandbox: &Sandbox, form: &[(&str, &str)]) -> (u16, Value) {
    let request = client()
        .post(at(sandbox, "/oauth2/token/"))
        .basic_auth(sandbox.client_id(), Some(sandbox.client_secret()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encode(form));
    answer(request).await
}

/// Encodes a form.
pub(crate) fn encode(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}

/// Creates a POST request with a form.
pub(crate) fn post_form(url: Url, token: &str, form: &[(&str, &str)]) -> RequestBuilder {
    client()
        .post(url)
        .bearer_auth(token)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encode(form))
}

/// Creates a POST request with JSON.
pub(crate) fn post_json(url: Url, token: &str, body: &Value) -> RequestBuilder {
    client()
        .post(url)
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(body.to_string())
}

/// Sends a request and returns the status and the JSON of the response, or null if it is not JSON.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("there is an answer");
    read(response).await
}

pub(crate) async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("the body is complete");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Requests `exchange-member` with a token.
pub(crate) async fn exchange_member(sandbox: &Sandbox, token: &str) -> (u16, Value) {
    answer(
        client()
            .get(api(sandbox, "exchange-member/"))
            .bearer_auth(token),
    )
    .await
}

/// Returns valid metadata.
pub(crate) fn metadata() -> Value {
    json!({ "tags": ["survey", "csv"], "description": "Diet survey" })
}

/// Starts a direct upload and returns the file id and the upload URL.
pub(crate) async fn direct(sandbox: &Sandbox, token: &str, filename: &str) -> (u64, String) {
    let form = [
        ("filename", filename),
        ("metadata", &metadata().to_string()),
    ];
    let (status, body) = answer(post_form(
        api(sandbox, "files/upload/direct/"),
        token,
        &form,
    ))
    .await;
    assert_eq!(status, 201, "{body}");
    (
        body["id"].as_u64().expect("an id"),
        body["url"].as_str().expect("a URL").to_owned(),
    )
}

/// Returns the object store's link to a file.
pub(crate) async fn download_link(sandbox: &Sandbox, token: &str, file_id: u64) -> String {
    let form = [("file_id", &*file_id.to_string())];
    answer(post_form(
        api(sandbox, "files/upload/complete/"),
        token,
        &form,
    ))
    .await;
    let (_, member) = exchange_member(sandbox, token).await;
    let files = member["data"].as_array().expect("a list");
    let file = files
        .iter()
        .find(|file| file["id"] == file_id)
        .expect("the file is listed");
    let url = file["download_url"].as_str().expect("a URL");
    let response = client().get(url).send().await.expect("an answer");
    response.headers()["location"]
        .to_str()
        .expect("a link")
        .to_owned()
}
