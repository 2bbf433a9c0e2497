//! What a member does on the pages, against the sandbox that holds the files.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "pages")]

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use oh_core::OpenHumans;
use oh_core::pages::{PageRoute, Pages};
use oh_core::routes::Route;
use oh_sandbox::{Endpoint, Fault, Sandbox};
use serde_json::{Value, json};
use support::*;

/// The largest file, in bytes.
const MAX_UPLOAD: usize = 1_000;

/// What a form may have around a file, in bytes.
const AROUND: usize = 64 * 1024;

/// Someone who is logged in.
struct Visitor {
    sandbox: Sandbox,
    oh: OpenHumans,
    browser: Browser,
}

impl Visitor {
    async fn alice() -> Self {
        let sandbox = sandbox().await;
        let pages = Pages::new("Sleep").max_upload(MAX_UPLOAD as u64);
        let oh = app(&sandbox).pages(pages).build().unwrap();
        let mut browser = Browser::default();
        browser.log_in(&oh, &sandbox).await;
        Self {
            sandbox,
            oh,
            browser,
        }
    }

    fn add(&self, name: &str, content: &[u8], metadata: Value) -> u64 {
        self.sandbox
            .add_file(ALICE, name, content, metadata)
            .unwrap()
    }

    async fn send<B>(&mut self, page: PageRoute, request: Request<B>) -> Response<Bytes>
    where
        B: http_body::Body<Data = Bytes, Error = Infallible>,
    {
        let route = Route::Page(page);
        self.browser.send_body(&self.oh, route, request).await
    }

    /// What programs are told.
    async fn get(&mut self, page: PageRoute, path: &str) -> Value {
        let request = Request::get(path)
            .header("accept", "application/json")
            .body(Full::default())
            .unwrap();
        let response = self.send(page, request).await;
        assert_eq!(response.status(), 200, "{path}");
        json(&response)
    }

    /// What comes of a program's POST.
    async fn post(&mut self, page: PageRoute, path: &str, body: &Value) -> Value {
        let request = Request::post(path)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .unwrap();
        let response = self.send(page, request).await;
        assert_eq!(response.status(), 200, "{path}");
        json(&response)
    }

    async fn upload<B>(&mut self, length: Option<usize>, body: B) -> (StatusCode, Value)
    where
        B: http_body::Body<Data = Bytes, Error = Infallible>,
    {
        let mut request = Request::post("/openhumans/files/upload")
            .header("accept", "application/json")
            .header("content-type", "multipart/form-data; boundary=XX");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let response = self
            .send(PageRoute::Upload, request.body(body).unwrap())
            .await;
        (response.status(), json(&response))
    }
}

fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn plain() -> Value {
    json!({ "description": "", "tags": [] })
}

/// A form with a file, and its size if that is told.
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
async fn what_a_member_shares_is_told_but_for_the_apps_own() {
    let mut alice = Visitor::alice().await;
    let answer = json!({
        "count": 0,
        "next": null,
        "previous": null,
        "created": "2026-01-02T03:04:05Z",
        "project_member_id": ALICE,
        "sources_shared": ["direct-sharing-1", "direct-sharing-2", "fitbit"],
        "data": [],
    });
    let fault = Fault::json(200, answer.to_string());
    alice.sandbox.fault(Endpoint::ExchangeMember, fault);
    let home = alice.get(PageRoute::Home, "/openhumans").await;
    assert_eq!(
        home["sources_shared"],
        json!(["direct-sharing-1", "fitbit"]),
        "the sandbox's project is the second"
    );
}

#[tokio::test]
async fn the_second_page_of_files_goes_on_where_the_first_ends() {
    let mut alice = Visitor::alice().await;
    let mut ids: Vec<u64> = (0..52).map(|_| alice.add("a.csv", b"x", plain())).collect();
    ids.reverse();
    for (page, shown) in [("1", &ids[..50]), ("2", &ids[50..]), ("3", &ids[50..])] {
        let path = format!("/openhumans/files?page={page}");
        let files = alice.get(PageRoute::Files, &path).await;
        assert_eq!((&files["total"], &files["pages"]), (&52.into(), &2.into()));
        let files = files["files"].as_array().unwrap().iter();
        let found: Vec<u64> = files.map(|file| file["id"].as_u64().unwrap()).collect();
        assert_eq!(found, shown, "page {page}");
    }
}

#[tokio::test]
async fn sizes_that_open_humans_does_not_list_are_found_out_once() {
    let mut alice = Visitor::alice().await;
    alice.add("a.csv", b"abc", plain());
    alice.add("b.csv", b"abcde", plain());
    for _ in 0..2 {
        let list = alice.get(PageRoute::Files, "/openhumans/files").await;
        assert_eq!(list["files"][0]["size"], 5);
        assert_eq!(list["files"][1]["size"], 3);
    }
    assert_eq!(alice.sandbox.count(Endpoint::ObjectGet), 2);
}

#[tokio::test]
async fn editing_a_file_keeps_what_else_was_said_of_it() {
    let mut alice = Visitor::alice().await;
    let metadata = json!({
        "description": "One",
        "tags": ["a"],
        "creation_date": "2026-01-02T03:04:05Z",
        "nights": 3,
        "nothing": null,
    });
    let id = alice.add("a.csv", b"abc", metadata);
    let edited = json!({ "description": "Two", "tags": ["b", "c"] });
    let path = format!("/openhumans/files/{id}/edit");
    let done = alice.post(PageRoute::Edit, &path, &edited).await;
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
async fn programs_are_told_which_file_was_deleted() {
    let mut alice = Visitor::alice().await;
    let id = alice.add("a.csv", b"abc", plain());
    let path = format!("/openhumans/files/{id}/delete");
    let done = alice.post(PageRoute::Delete, &path, &json!({})).await;
    assert_eq!(done, json!({ "done": "deleted", "id": id }));
}

#[tokio::test]
async fn whoever_leaves_is_told_what_becomes_of_the_data() {
    for (choice, done) in [("erase", "erasing"), ("keep", "disconnected")] {
        let mut alice = Visitor::alice().await;
        let request = Request::post("/openhumans/disconnect")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(format!("data={choice}")))
            .unwrap();
        let response = alice.send(PageRoute::Disconnect, request).await;
        assert_eq!(location(&response), format!("/openhumans?done={done}"));
        assert!(alice.browser.session.is_none());

        let mut alice = Visitor::alice().await;
        let choice = json!({ "data": choice });
        let path = "/openhumans/disconnect";
        let told = alice.post(PageRoute::Disconnect, path, &choice).await;
        assert_eq!(told, json!({ "done": done }));
    }
}

#[tokio::test]
async fn a_file_may_be_as_large_as_the_app_says_and_no_larger() {
    let mut alice = Visitor::alice().await;
    let longest = vec![b'x'; MAX_UPLOAD];
    let longer = vec![b'x'; MAX_UPLOAD + 1];
    for told in [None, Some(MAX_UPLOAD)] {
        let body = Full::from(form(told, &longest));
        let (status, told) = alice.upload(None, body).await;
        assert_eq!(status, 201, "{told}");
        assert_eq!(told["size"], MAX_UPLOAD);
    }
    for told in [None, Some(MAX_UPLOAD + 1)] {
        let body = Full::from(form(told, &longer));
        let (status, problem) = alice.upload(None, body).await;
        assert_eq!(
            (status.as_u16(), &problem["error"]),
            (413, &"too_large".into())
        );
    }
    assert_eq!(alice.sandbox.files(ALICE).len(), 2);
}

#[tokio::test]
async fn a_description_may_have_16_kib_and_no_more() {
    let mut alice = Visitor::alice().await;
    for (len, expected) in [(16 * 1024, 201), (16 * 1024 + 1, 413)] {
        let text = "x".repeat(len);
        let before = format!(
            "--XX\r\ncontent-disposition: form-data; name=\"description\"\r\n\r\n{text}\r\n"
        );
        let form = [before.into_bytes(), form(None, b"abc")].concat();
        let (status, told) = alice.upload(None, Full::from(form)).await;
        assert_eq!(status.as_u16(), expected, "{told}");
    }
    let files = alice.sandbox.files(ALICE);
    assert_eq!(files.len(), 1);
}

#[tokio::test]
async fn a_file_that_turns_out_too_large_on_the_way_is_said_to_be_that() {
    let mut alice = Visitor::alice().await;
    let form = Bytes::from(form(None, &[b'x'; MAX_UPLOAD + 1]));
    let parts = [form.slice(..500), form.slice(500..)];
    let parts = parts.map(|part| Ok::<_, Infallible>(Frame::data(part)));
    let body = StreamBody::new(stream::iter(parts));
    let (status, problem) = alice.upload(None, body).await;
    assert_eq!(
        (status.as_u16(), &problem["error"]),
        (413, &"too_large".into())
    );
    assert!(alice.sandbox.files(ALICE).is_empty());
}

#[tokio::test]
async fn a_form_may_have_64_kib_around_the_file_and_no_more() {
    let mut alice = Visitor::alice().await;
    let mut form = form(None, b"abc");
    // Behind the last boundary anything may come.
    form.resize(MAX_UPLOAD + AROUND, b'\n');
    let length = Some(form.len());
    let (status, told) = alice.upload(length, Full::from(form.clone())).await;
    assert_eq!(status, 201, "{told}");
    form.push(b'\n');
    for length in [None, Some(form.len())] {
        let body = Full::from(form.clone());
        let (status, problem) = alice.upload(length, body).await;
        assert_eq!(
            (status.as_u16(), &problem["error"]),
            (413, &"too_large".into())
        );
    }
}
