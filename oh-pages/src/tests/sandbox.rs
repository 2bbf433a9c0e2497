//! Members and their files, against the sandbox.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{COOKIE, SET_COOKIE};
use http::{Request, StatusCode};
use http_body_util::Empty;
use oh_core::routes::Route;
use oh_core::{OpenHumans, SessionChange, SessionMember, Settings};
use oh_sandbox::{Endpoint, Fault, Sandbox};
use serde_json::{Value, json};

use super::{json as body, send};
use crate::settings::Pages;

const ALICE: &str = "01026778";

/// The size limit of an upload in bytes.
const MAX_UPLOAD: usize = 1_000;

/// The size limit of everything except the file, in bytes.
const MAX_OVERHEAD: usize = 64 * 1024;

/// A logged-in member.
struct Visitor {
    sandbox: Sandbox,
    router: Router,
    session: SessionMember,
}

impl Visitor {
    async fn alice() -> Self {
        let sandbox = Sandbox::builder()
            .redirect_uri("https://app.example/openhumans/complete")
            .member(ALICE, Some("alice"))
            .start()
            .await
            .unwrap();
        let (id, secret) = (sandbox.client_id(), sandbox.client_secret());
        let settings = Settings::builder(id, secret, "https://app.example")
            .oh_base_url(sandbox.url().as_str())
            .master_token(sandbox.master_token())
            .webhook_secret("abcdefghijklmnop");
        let oh = OpenHumans::builder(settings.build().unwrap())
            .build()
            .unwrap();
        let pages = Pages::new("Sleep").max_upload(MAX_UPLOAD as u64);
        Self {
            router: pages.router(&oh),
            session: log_in(&oh, &sandbox).await,
            sandbox,
        }
    }

    fn add(&self, name: &str, content: &[u8], metadata: Value) -> u64 {
        self.sandbox
            .add_file(ALICE, name, content, metadata)
            .unwrap()
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Response {
        send(&self.router, request, body, Some(self.session.clone())).await
    }

    async fn get(&self, path: &str) -> Value {
        let request = Request::get(path).header("accept", "application/json");
        let response = self.send(request, "").await;
        assert_eq!(response.status(), 200, "{path}");
        body(response).await
    }

    async fn post(&self, path: &str, fields: &Value) -> Value {
        let request = Request::post(path)
            .header("accept", "application/json")
            .header("content-type", "application/json");
        let response = self.send(request, fields.to_string()).await;
        assert_eq!(response.status(), 200, "{path}");
        body(response).await
    }

    async fn upload(&self, length: Option<usize>, form: impl Into<Body>) -> (StatusCode, Value) {
        let mut request = Request::post("/files/upload")
            .header("accept", "application/json")
            .header("content-type", "multipart/form-data; boundary=XX");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let response = self.send(request, form).await;
        (response.status(), body(response).await)
    }
}

async fn log_in(oh: &OpenHumans, sandbox: &Sandbox) -> SessionMember {
    let request = |path: &str, cookie: &str| {
        let request = Request::get(path).header(COOKIE, cookie);
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    let login = request("/openhumans/login", "");
    let login = oh.respond(Route::Login, login, None).await.response;
    let cookie = login.headers()[SET_COOKIE].to_str().unwrap();
    let url = login.headers()["location"].to_str().unwrap();
    let callback = sandbox.authorize(ALICE, url).await.unwrap();
    let path = &callback[url::Position::BeforePath..];
    let complete = request(path, cookie.split(';').next().unwrap());
    match oh.respond(Route::Complete, complete, None).await.session {
        SessionChange::LogIn(member) => member,
        change => panic!("not logged in: {change:?}"),
    }
}

fn plain() -> Value {
    json!({ "description": "", "tags": [] })
}

/// A form with a file, and with its size in a field if given.
fn form(size: Option<usize>, content: &[u8]) -> Vec<u8> {
    let size = size.map(|size| {
        format!("--XX\r\ncontent-disposition: form-data; name=\"size\"\r\n\r\n{size}\r\n")
    });
    let mut form = size.unwrap_or_default().into_bytes();
    form.extend_from_slice(
        b"--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n",
    );
    form.extend_from_slice(content);
    form.extend_from_slice(b"\r\n--XX--\r\n");
    form
}

#[tokio::test]
async fn home_lists_shared_sources_except_the_project() {
    let alice = Visitor::alice().await;
    let exchange = json!({
        "count": 0,
        "next": null,
        "previous": null,
        "created": "2026-01-02T03:04:05Z",
        "project_member_id": ALICE,
        "sources_shared": ["direct-sharing-1", "direct-sharing-2", "fitbit"],
        "data": [],
    });
    let fault = Fault::json(200, exchange.to_string());
    alice.sandbox.fault(Endpoint::ExchangeMember, fault);
    let home = alice.get("/").await;
    assert_eq!(
        home["sources_shared"],
        json!(["direct-sharing-1", "fitbit"]),
        "the sandbox's project is the second"
    );
}

#[tokio::test]
async fn files_page_continues_where_the_previous_page_ends() {
    let alice = Visitor::alice().await;
    let mut ids: Vec<u64> = (0..52).map(|_| alice.add("a.csv", b"x", plain())).collect();
    ids.reverse();
    for (page, shown) in [("1", &ids[..50]), ("2", &ids[50..]), ("3", &ids[50..])] {
        let path = format!("/files?page={page}");
        let files = alice.get(&path).await;
        assert_eq!((&files["total"], &files["pages"]), (&52.into(), &2.into()));
        let files = files["files"].as_array().unwrap().iter();
        let listed: Vec<u64> = files.map(|file| file["id"].as_u64().unwrap()).collect();
        assert_eq!(listed, shown, "page {page}");
    }
}

#[tokio::test]
async fn edit_keeps_other_metadata() {
    let alice = Visitor::alice().await;
    let metadata = json!({
        "description": "One",
        "tags": ["a"],
        "creation_date": "2026-01-02T03:04:05Z",
        "nights": 3,
        "nothing": null,
    });
    let id = alice.add("a.csv", b"abc", metadata);
    let edited = json!({ "description": "Two", "tags": ["b", "c"] });
    let path = format!("/files/{id}/edit");
    let done = alice.post(&path, &edited).await;
    let files = alice.sandbox.files(ALICE);
    assert_eq!(files.len(), 1);
    assert_eq!(
        done,
        json!({ "done": "edited", "id": files[0].id, "size": 3 })
    );
    let metadata = &files[0].metadata;
    assert_eq!(metadata["description"], "Two");
    assert_eq!(metadata["tags"], json!(["b", "c"]));
    assert_eq!(metadata["creation_date"], "2026-01-02T03:04:05Z");
    assert_eq!(metadata["nights"], 3);
    assert_eq!(metadata.get("nothing"), None);
}

#[tokio::test]
async fn delete_returns_the_id_of_the_file() {
    let alice = Visitor::alice().await;
    let id = alice.add("a.csv", b"abc", plain());
    let path = format!("/files/{id}/delete");
    let done = alice.post(&path, &json!({})).await;
    assert_eq!(done, json!({ "done": "deleted", "id": id }));
}

#[tokio::test]
async fn disconnect_confirms_the_choice_and_ends_the_session() {
    for (choice, done) in [("erase", "erasing"), ("keep", "disconnected")] {
        let alice = Visitor::alice().await;
        let request = Request::post("/disconnect")
            .header("content-type", "application/x-www-form-urlencoded");
        let response = alice.send(request, format!("data={choice}")).await;
        let location = format!("/openhumans?done={done}");
        assert_eq!(response.headers()["location"], location);
        let change = response.extensions().get::<SessionChange>();
        assert_eq!(change, Some(&SessionChange::LogOut));

        let alice = Visitor::alice().await;
        let choice = json!({ "data": choice });
        let confirmation = alice.post("/disconnect", &choice).await;
        assert_eq!(confirmation, json!({ "done": done }));
    }
}

#[tokio::test]
async fn upload_accepts_files_up_to_the_limit() {
    let alice = Visitor::alice().await;
    for (size, len, status) in [
        (None, MAX_UPLOAD, 201),
        (Some(MAX_UPLOAD), MAX_UPLOAD, 201),
        (None, MAX_UPLOAD + 1, 413),
        (Some(MAX_UPLOAD + 1), MAX_UPLOAD + 1, 413),
    ] {
        let body = form(size, &vec![b'x'; len]);
        let response = alice.upload(None, body).await;
        assert_upload(&response, status, &format!("{size:?} {len}"));
    }
    assert_eq!(alice.sandbox.files(ALICE).len(), 2);
}

#[track_caller]
fn assert_upload((status, body): &(StatusCode, Value), expected: u16, case: &str) {
    assert_eq!(status.as_u16(), expected, "{case}: {body}");
    if expected == 413 {
        assert_eq!(body["error"], "too_large", "{case}");
    } else {
        assert_eq!(body["done"], "uploaded", "{case}");
    }
}

#[tokio::test]
async fn upload_accepts_a_description_up_to_16_kib() {
    let alice = Visitor::alice().await;
    for (len, status) in [(16 * 1024, 201), (16 * 1024 + 1, 413)] {
        let text = "x".repeat(len);
        let before = format!(
            "--XX\r\ncontent-disposition: form-data; name=\"description\"\r\n\r\n{text}\r\n"
        );
        let form = [before.into_bytes(), form(None, b"abc")].concat();
        assert_upload(&alice.upload(None, form).await, status, &len.to_string());
    }
    assert_eq!(alice.sandbox.files(ALICE).len(), 1);
}

#[tokio::test]
async fn upload_rejects_a_file_that_exceeds_the_limit_in_a_later_chunk() {
    let alice = Visitor::alice().await;
    let form = Bytes::from(form(None, &[b'x'; MAX_UPLOAD + 1]));
    let chunks = [form.slice(..500), form.slice(500..)].map(Ok::<_, Infallible>);
    let body = Body::from_stream(stream::iter(chunks));
    assert_upload(&alice.upload(None, body).await, 413, "two chunks");
    assert!(alice.sandbox.files(ALICE).is_empty());
}

#[tokio::test]
async fn upload_stores_nothing_if_the_body_breaks_off() {
    let alice = Visitor::alice().await;
    let form = Bytes::from(form(Some(500), &[b'x'; 500]));
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Body::from_stream(stream::iter([Ok(form.slice(..300)), Err(reset)]));
    let (status, body) = alice.upload(None, body).await;
    assert_eq!((status.as_u16(), &body["error"]), (400, &"bad_form".into()));
    assert!(alice.sandbox.files(ALICE).is_empty());
}

#[tokio::test]
async fn upload_accepts_64_kib_around_the_file() {
    let alice = Visitor::alice().await;
    let mut form = form(None, b"abc");
    // After the last boundary, a form may contain anything.
    form.resize(MAX_UPLOAD + MAX_OVERHEAD, b'\n');
    let length = Some(form.len());
    assert_upload(
        &alice.upload(length, form.clone()).await,
        201,
        "at the limit",
    );
    form.push(b'\n');
    for length in [None, Some(form.len())] {
        let response = alice.upload(length, form.clone()).await;
        assert_upload(&response, 413, "over the limit");
    }
}

#[tokio::test]
async fn small_forms_are_limited_to_64_kib() {
    let alice = Visitor::alice().await;
    let id = alice.add("a.csv", b"abc", plain());
    let start = "tags=a&description=";
    for (len, status) in [
        (MAX_OVERHEAD, [200, 303, 400]),
        (MAX_OVERHEAD + 1, [413; 3]),
    ] {
        let form = format!("{start}{}", "x".repeat(len - start.len()));
        let request = Request::post(format!("/files/{id}/edit"))
            .header("content-type", "application/x-www-form-urlencoded");
        let response = alice.send(request, form).await;
        assert!(status.contains(&response.status().as_u16()), "{response:?}");
    }
}
