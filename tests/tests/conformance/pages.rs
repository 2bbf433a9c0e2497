//! The member pages in both frameworks: as HTML, as JSON, and under attack.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use oh_core::Member;
use oh_core::deauth::EventState;
use oh_core::login::{
    AuthorizedMember, FailedLogin, LoginAccepted, LoginFailure, LoginHandler, LoginRejected,
};
use oh_core::routes::Route;
use oh_pages::{Page, PageContext, PageRenderer, Pages};
use oh_sandbox::{Endpoint, Fault};
use oh_tests::visitor::{Initiator, Visitor};
use oh_tests::wire::{RawResponse, Request};
use serde_json::{Value, json};

use crate::apps::{App, Plan, both};

const ALICE: &str = "01026778";

/// The plan of an application with pages. Requests with the header `x-staff` may use the dashboard.
pub(crate) fn plan() -> Plan {
    Plan {
        pages: Some(pages),
        ..Plan::default()
    }
}

fn pages() -> Pages {
    Pages::new("Sleep <study>")
        .max_upload(30_000_000)
        .staff(|head: &Parts, _: Option<&Member>| {
            head.headers.get("x-staff").is_some_and(|who| who == "yes")
        })
}

/// Shows the context of a login, and renders some failures itself.
struct Tells;

#[async_trait]
impl LoginHandler for Tells {
    async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        let context = login.context.as_deref().unwrap_or("none");
        Ok(LoginAccepted::redirect_to(format!("/connected/{context}")))
    }

    async fn login_failed(
        &self,
        failure: &LoginFailure,
        login: &FailedLogin,
    ) -> Option<Response<Bytes>> {
        let is_ours = matches!(failure, LoginFailure::AuthorizationError(_));
        is_ours.then(|| {
            let context = login.context.as_deref().unwrap_or("none");
            let to = login
                .return_to
                .as_ref()
                .map_or("none", |path| path.as_str());
            let body = format!("{} {context} {to} {}", failure.reason(), login.retry_url);
            let mut response = Response::new(body.into());
            *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
            response
        })
    }
}

#[tokio::test]
async fn login_handler_replaces_the_response_to_a_failed_login() {
    let plan = Plan {
        build: |builder| builder.login_handler(Tells),
        ..plan()
    };
    both(plan, async |app| {
        let mut alice = app.visitor();
        let connect = alice.get("/connect").await;
        let url: url::Url = connect.location().parse().unwrap();
        let state = url.query_pairs().find(|(key, _)| key == "state").unwrap().1;
        let callback = format!("/openhumans/complete?error=server_error&state={state}");
        let answer = app.callback(&mut alice, &callback).await;
        let text = answer.text();
        let (answered, retry) = text.rsplit_once(' ').unwrap();
        assert_eq!(answered, "authorization_error user 42 none");
        assert!(retry.starts_with("/openhumans/login?"), "{retry}");
    })
    .await;
}

/// Returns a visitor who is logged in.
async fn alice(app: &mut App) -> Visitor {
    let mut alice = app.visitor();
    app.log_in(&mut alice, ALICE).await;
    alice
}

/// Sends a request as a program with the browser's cookies does.
async fn ask(app: &mut App, visitor: &mut Visitor, request: Request) -> RawResponse {
    let label = format!("{} as JSON", request.method());
    let request = request.header("accept", "application/json");
    let answer = visitor.send(request, Initiator::SameOrigin).await;
    app.note(&label, answer)
}

async fn get_json(app: &mut App, visitor: &mut Visitor, path: &str) -> Value {
    let answer = ask(app, visitor, Request::get(path)).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).expect("JSON")
}

async fn post_json(app: &mut App, visitor: &mut Visitor, path: &str, body: &Value) -> RawResponse {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(body.to_string());
    ask(app, visitor, request).await
}

fn form(path: &str, body: &str) -> Request {
    Request::post(path)
        .header("sec-fetch-site", "same-origin")
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

/// Returns the request of an upload form.
fn upload(name: &str, content: &[u8], size: Option<&str>) -> Request {
    let mut body = Vec::new();
    let size = size.map(|size| ("size", size));
    let texts = [
        ("description", "A night's sleep"),
        ("tags", "sleep, csv, sleep"),
    ];
    for (field, value) in size.into_iter().chain(texts) {
        let part =
            format!("--XX\r\ncontent-disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         content-type: text/csv\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--XX--\r\n");
    Request::post("/openhumans/files/upload")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "multipart/form-data; boundary=XX")
        .body(body)
}

async fn send(app: &mut App, visitor: &mut Visitor, request: Request) -> RawResponse {
    let answer = visitor.send(request, Initiator::SameOrigin).await;
    app.note("a form", answer)
}

#[tokio::test]
async fn pages_require_login_except_home() {
    both(plan(), async |app| {
        let mut nobody = app.visitor();
        let answer = nobody.get("/openhumans").await;
        let answer = app.note("home", answer);
        assert_eq!(answer.status, 200);
        let text = answer.text();
        assert!(text.contains("Log in with Open Humans"), "{text}");
        assert!(text.contains("Sleep &lt;study&gt;") && !text.contains("<study>"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"));
        assert!(!policy.contains("unsafe"), "{policy}");

        for path in [
            "/files",
            "/files/7/edit",
            "/files/7/download",
            "/disconnect",
        ] {
            let path = format!("/openhumans{path}");
            let answer = nobody.get(&path).await;
            let answer = app.note(&path, answer);
            let login = format!("/openhumans/login?next={path}");
            assert_eq!((answer.status, answer.location()), (303, login.as_str()));
            let answer = ask(app, &mut nobody, Request::get(&path)).await;
            assert_eq!(answer.status, 401);
        }
        let json = get_json(app, &mut nobody, "/openhumans").await;
        assert_eq!(json["connected"], false);
    })
    .await;
}

#[tokio::test]
async fn home_shows_who_is_connected_and_what_is_shared() {
    both(plan(), async |app| {
        let mut alice = alice(app).await;
        let json = get_json(app, &mut alice, "/openhumans").await;
        assert_eq!(json["username"], "alice");
        assert_eq!(json["project_member_id"], ALICE);
        assert!(json["since"].is_string() && json["sources_shared"].is_array());
        let german = Request::get("/openhumans")
            .header("accept-language", "de-AT,de;q=0.9,en;q=0.5")
            .header("accept", "text/html");
        let answer = send(app, &mut alice, german).await;
        assert!(answer.text().contains("lang=\"de\""));
        assert!(answer.text().contains("Verbunden als"));

        // The session identifies the member even if Open Humans does not respond.
        app.sandbox
            .fault(Endpoint::ExchangeMember, Fault::page(503));
        let json = get_json(app, &mut alice, "/openhumans").await;
        assert_eq!(json["username"], "alice");
        assert_eq!(json["sources_shared"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn files_can_be_uploaded_edited_downloaded_and_deleted() {
    both(plan(), async |app| {
        let mut alice = alice(app).await;
        let content = b"night,hours\n1,8\n".repeat(3);
        let answer = send(app, &mut alice, upload("nights.csv", &content, None)).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, "/openhumans/files?done=uploaded")
        );
        let page = alice.get("/openhumans/files?done=uploaded").await;
        let page = app.note("the list", page).text();
        assert!(page.contains("The file was uploaded."), "{page}");
        assert!(page.contains("nights.csv"), "{page}");

        let json = get_json(app, &mut alice, "/openhumans/files").await;
        let file = &json["files"][0];
        assert_eq!(file["name"], "nights.csv");
        assert_eq!(file["kind"], "CSV");
        assert_eq!(file["tags"], json!(["sleep", "csv"]));
        assert_eq!(file["own"], true);
        let id = file["id"].as_u64().unwrap();
        assert_eq!(app.sandbox.file_content(id).unwrap(), content);

        let download = alice.get(&format!("/openhumans/files/{id}/download")).await;
        assert_eq!(download.status, 303);
        assert!(download.location().starts_with(app.sandbox.url().as_str()));

        let edit = format!("/openhumans/files/{id}/edit");
        let page = alice.get(&edit).await;
        assert!(app.note("edit", page).text().contains("A night's sleep"));
        let answer = send(app, &mut alice, form(&edit, "description=Two&tags=a%2C+b")).await;
        assert_eq!(answer.location(), "/openhumans/files?done=edited");
        let json = get_json(app, &mut alice, "/openhumans/files").await;
        assert_eq!(json["total"], 1);
        let file = &json["files"][0];
        assert_eq!(file["description"], "Two");
        assert_eq!(file["tags"], json!(["a", "b"]));
        let new = file["id"].as_u64().unwrap();
        assert_ne!(new, id);
        assert_eq!(app.sandbox.file_content(new).unwrap(), content);

        let delete = format!("/openhumans/files/{new}/delete");
        let page = alice.get(&delete).await;
        assert!(
            app.note("delete?", page)
                .text()
                .contains("Delete nights.csv?")
        );
        let answer = send(app, &mut alice, form(&delete, "")).await;
        assert_eq!(answer.location(), "/openhumans/files?done=deleted");
        assert!(app.sandbox.files(ALICE).is_empty());
        let again = post_json(app, &mut alice, &delete, &json!({})).await;
        assert_eq!(again.status, 404, "{again:?}");
    })
    .await;
}

#[tokio::test]
async fn delete_all_keeps_files_of_other_sources() {
    both(plan(), async |app| {
        let metadata = json!({ "description": "", "tags": [] });
        let mut alice = alice(app).await;
        for name in ["a.csv", "b.csv"] {
            app.sandbox.add_file(ALICE, name, b"x", metadata.clone());
        }
        let other = app
            .sandbox
            .add_shared_file(ALICE, "theirs.csv", b"x", metadata)
            .unwrap();
        let json = get_json(app, &mut alice, "/openhumans/files").await;
        assert_eq!((&json["total"], &json["own"]), (&json!(3), &json!(2)));
        let json = get_json(app, &mut alice, "/openhumans/files/delete-all").await;
        assert_eq!(json["count"], 2);
        for path in ["edit", "delete"] {
            let path = format!("/openhumans/files/{other}/{path}");
            let answer = post_json(app, &mut alice, &path, &json!({})).await;
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
        }
        let all = form("/openhumans/files/delete-all", "");
        let answer = send(app, &mut alice, all).await;
        assert_eq!(answer.location(), "/openhumans/files?done=deleted-all");
        let json = get_json(app, &mut alice, "/openhumans/files").await;
        assert_eq!(json["total"], 1);
        assert_eq!(json["files"][0]["id"], other);
    })
    .await;
}

#[tokio::test]
async fn upload_stores_large_files_with_and_without_announced_size() {
    both(plan(), async |app| {
        let mut alice = alice(app).await;
        let content: Vec<u8> = (0..7_000_000_u32).map(|n| (n % 251) as u8).collect();
        let length = content.len().to_string();
        for size in [None, Some(length.as_str())] {
            let request = upload("big.bin", &content, size).header("accept", "application/json");
            let answer = send(app, &mut alice, request).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            let done: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(done["size"], content.len());
            let stored = app.sandbox.file_content(done["id"].as_u64().unwrap());
            assert!(stored.unwrap() == content, "the file is another");
        }
    })
    .await;
}

#[tokio::test]
async fn upload_rejects_invalid_forms_without_storing_anything() {
    both(plan(), async |app| {
        let mut alice = alice(app).await;
        let broken = Request::post("/openhumans/files/upload")
            .header("content-type", "multipart/form-data; boundary=XX")
            .body(
                "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc",
            );
        let no_file = Request::post("/openhumans/files/upload")
            .header("content-type", "multipart/form-data; boundary=XX")
            .body("--XX\r\ncontent-disposition: form-data; name=\"tags\"\r\n\r\na\r\n--XX--\r\n");
        let no_form = Request::post("/openhumans/files/upload").body("abc");
        for (request, status, error) in [
            (upload("", b"abc", None), 400, "no_file"),
            (no_file, 400, "no_file"),
            (upload("a.csv", b"", Some("0")), 400, "empty_file"),
            (upload("a.csv", b"", None), 400, "empty_file"),
            (upload("a.csv", b"abc", Some("40000000")), 413, "too_large"),
            (broken, 400, "bad_form"),
            (no_form, 400, "bad_form"),
        ] {
            let answer = ask(app, &mut alice, request).await;
            assert_eq!(answer.status, status, "{error}: {answer:?}");
            let json: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(json["error"], error, "{json}");
        }
        // The size field differs from the size of the file.
        let answer = ask(app, &mut alice, upload("a.csv", b"abc", Some("2"))).await;
        assert!(answer.status >= 400, "{answer:?}");
        let announced = Request::post("/openhumans/files/upload")
            .header("content-type", "multipart/form-data; boundary=XX")
            .announce(100_000_000);
        let answer = ask(app, &mut alice, announced).await;
        assert_eq!(answer.status, 413, "before a byte of it came");
        assert!(app.sandbox.files(ALICE).is_empty());
    })
    .await;
}

#[tokio::test]
async fn pages_escape_malicious_names() {
    both(plan(), async |app| {
        let mut alice = alice(app).await;
        let evil = "<script>alert(1)</script>";
        app.sandbox.add_member("99999999", Some(evil));
        let metadata = json!({ "description": evil, "tags": [evil, "\"><img src=x>"] });
        for name in [evil, "../../etc/passwd", "\"onmouseover=\"x"] {
            app.sandbox.add_file(ALICE, name, b"x", metadata.clone());
        }
        let page = alice.get("/openhumans/files").await;
        let text = app.note("the list", page).text();
        assert!(
            text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "{text}"
        );
        assert!(
            !text.contains("<script>alert") && !text.contains("<img src=x"),
            "{text}"
        );
        for id in app.sandbox.files(ALICE).iter().map(|file| file.id) {
            for page in ["edit", "delete"] {
                let answer = alice.get(&format!("/openhumans/files/{id}/{page}")).await;
                assert!(!answer.text().contains("<script>alert"), "{page}");
                assert!(!answer.text().contains("=\"\"onmouseover"), "{page}");
            }
        }
        for (sent, kept) in [("../../x.csv", "x.csv"), ("C:\\\\dir\\\\y.csv", "y.csv")] {
            let answer = send(app, &mut alice, upload(sent, b"abc", None)).await;
            assert_eq!(answer.status, 303, "{sent}: {answer:?}");
            let files = app.sandbox.files(ALICE);
            assert_eq!(files.last().unwrap().basename, kept);
        }
        for id in ["..%2f..%2fx", "<script>", "-1", "99999999999999999999999"] {
            let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
            let answer = alice.get(&format!("/openhumans/files/{id}/delete")).await;
            assert_eq!(answer.status, 404, "{id}");
        }
        // A link cannot show its own text on a page.
        let page = alice.get("/openhumans/files?done=<b>Call+0900</b>").await;
        assert!(!page.text().contains("0900"));

        let mut mallory = app.visitor();
        app.log_in(&mut mallory, "99999999").await;
        let page = mallory.get("/openhumans").await;
        let text = app.note("a member of an evil name", page).text();
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script>alert"));
    })
    .await;
}

#[tokio::test]
async fn pages_reject_cross_site_posts() {
    both(plan(), async |app| {
        let mut alice = alice(app).await;
        let metadata = json!({ "description": "", "tags": [] });
        let id = app
            .sandbox
            .add_file(ALICE, "a.csv", b"x", metadata)
            .unwrap();
        let posts = [
            upload("b.csv", b"abc", None),
            form("/openhumans/files/delete-all", ""),
            form(&format!("/openhumans/files/{id}/edit"), "description=x"),
            form(&format!("/openhumans/files/{id}/delete"), ""),
            form("/openhumans/disconnect", "data=erase"),
            form("/openhumans/staff/events/x/requeue", "").header("x-staff", "yes"),
            form("/openhumans/staff/events/x/release", "").header("x-staff", "yes"),
            form("/openhumans/staff/release-all", "").header("x-staff", "yes"),
        ];
        // All cookies are sent, as by a browser without support for SameSite.
        let elsewhere = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ];
        for (name, value) in elsewhere {
            for post in &posts {
                let request = post.clone().without("sec-fetch-site").header(name, value);
                let answer = send(app, &mut alice, request).await;
                assert_eq!(answer.status, 403, "{post:?} {name}: {answer:?}");
            }
        }
        assert_eq!(app.sandbox.files(ALICE).len(), 1);
        assert_eq!(app.events().await, 0);
        let json = get_json(app, &mut alice, "/openhumans").await;
        assert_eq!(json["connected"], true);
    })
    .await;
}

#[tokio::test]
async fn disconnect_requires_a_choice_about_the_data() {
    both(plan(), async |app| {
        for (member, data, erasure) in [
            (ALICE, "erase", "requested"),
            ("00169953", "keep", "not_requested"),
        ] {
            let mut visitor = app.visitor();
            app.log_in(&mut visitor, member).await;
            // The session has other data, because the frameworks treat empty sessions differently.
            visitor.post("/session/set/dark").await;
            let undecided =
                post_json(app, &mut visitor, "/openhumans/disconnect", &json!({})).await;
            assert_eq!(undecided.status, 400);
            assert!(app.sandbox.is_joined(member));
            let page = visitor.get("/openhumans/disconnect").await;
            assert!(page.text().contains("value=\"keep\"") && !page.text().contains("checked"));
            let body = format!("data={data}");
            let answer = send(app, &mut visitor, form("/openhumans/disconnect", &body)).await;
            assert_eq!(answer.status, 303, "{answer:?}");
            assert!(!app.sandbox.is_joined(member));
            let json = get_json(app, &mut visitor, "/openhumans").await;
            assert_eq!(json["connected"], false);
            let events = app
                .openhumans
                .ledger()
                .events(EventState::Pending)
                .await
                .unwrap();
            let id = member.parse().unwrap();
            let of_member = events
                .iter()
                .filter(|event| event.member.as_ref() == Some(&id));
            let wishes: Vec<_> = of_member.map(|event| event.erasure.as_str()).collect();
            assert!(wishes.contains(&erasure), "{wishes:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn failed_login_is_retried_with_its_context() {
    let plan = Plan {
        build: |builder| builder.login_handler(Tells),
        ..plan()
    };
    both(plan, async |app| {
        let mut alice = app.visitor();
        let connect = alice.get("/connect").await;
        let back = app.sandbox.refuse(connect.location()).await.unwrap();
        let callback = app.local(back.as_str());
        let failed = app.callback(&mut alice, &callback).await;
        assert_eq!(failed.status, 403);
        let text = failed.text();
        assert!(
            text.contains("Try again") && text.contains("Back to Sleep &lt;study&gt;"),
            "{text}"
        );
        let (_, action) = text.split_once("action=\"").unwrap();
        let action = action.split('"').next().unwrap().replace("&amp;", "&");
        assert!(action.contains("again="), "{action}");
        let again = alice.navigate("POST", &action, Initiator::SameOrigin).await;
        let back = app
            .sandbox
            .authorize(ALICE, again.location())
            .await
            .unwrap();
        let callback = app.local(back.as_str());
        let done = app.callback(&mut alice, &callback).await;
        assert_eq!(
            (done.status, done.location()),
            (303, "/connected/user 42"),
            "the app receives its context"
        );
    })
    .await;
}

#[tokio::test]
async fn openapi_document_describes_every_route_and_method() {
    both(plan(), async |app| {
        let mut nobody = app.visitor();
        let document = get_json(app, &mut nobody, "/openhumans/openapi.json").await;
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 25);
        for route in Route::ALL {
            let path = format!("/openhumans{}", route.path());
            assert!(paths.contains_key(&path), "{path}");
        }
        for (path, operations) in paths {
            let target = path.replace("{id}", "1").replace("{name}", "x");
            for (method, operation) in operations.as_object().unwrap() {
                let request = Request::new(&method.to_uppercase(), &target);
                let answer = app.send(&target, &request).await;
                assert_ne!(answer.status, 405, "{method} {target}");
                assert!(operation["summary"].is_string());
            }
            let delete = Request::new("DELETE", &target).header("accept", "application/json");
            let answer = app.send("DELETE", &delete).await;
            assert_eq!(answer.status, 405, "{target}");
            let allowed = answer.header("allow").unwrap_or_default().to_lowercase();
            let methods = operations.as_object().unwrap();
            assert!(
                methods.keys().all(|method| allowed.contains(method)),
                "{allowed}"
            );
        }
        for (path, status) in [("", 200), ("/files/", 401)] {
            let slash = Request::get(&format!("/openhumans{path}"));
            let answer = app
                .send(path, &slash.header("accept", "application/json"))
                .await;
            assert_eq!(answer.status, status, "{path}");
        }
        for path in ["/no/such/page", "/files/1/rename"] {
            let request = Request::get(&format!("/openhumans{path}"));
            let answer = app
                .send(path, &request.header("accept", "application/json"))
                .await;
            assert_eq!(answer.status, 404, "{path}");
            let json: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(json["error"], "not_found");
        }
        // A proxy may allow some paths only, and does not decode them.
        let encoded = Request::get("/openhumans/%66iles").header("accept", "application/json");
        assert_eq!(app.send("encoded", &encoded).await.status, 404);
    })
    .await;
}

/// Replaces the files page only.
struct OwnFiles;

impl PageRenderer for OwnFiles {
    fn render(&self, page: &Page, context: &PageContext<'_>) -> Option<String> {
        let Page::Files(files) = page else {
            return None;
        };
        let (name, base) = (context.app_name, context.base);
        let count = context.text("file-count", &[("count", &files.total.to_string())]);
        Some(format!(
            "{count} of {name} in {} at {base}",
            context.language
        ))
    }
}

#[tokio::test]
async fn pages_use_the_look_texts_and_renderer_of_the_app() {
    let own = Plan {
        pages: Some(|| {
            Pages::new("Own")
                .logo("/own.svg")
                .stylesheet("/own.css")
                .home("/start")
                .texts("en", "log-in = Come in to { $app }")
                .expect("a known message")
                .renderer(OwnFiles)
        }),
        ..Plan::default()
    };
    both(own, async |app| {
        let page = app.send("home", &Request::get("/openhumans")).await.text();
        assert!(
            page.contains("Come in to Own") && !page.contains("Log in with"),
            "{page}"
        );
        for part in ["src=\"/own.svg\"", "href=\"/own.css\"", "href=\"/start\""] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let (built_in, own) = (
            page.find("assets/pages").unwrap(),
            page.find("/own.css").unwrap(),
        );
        assert!(built_in < own, "the own stylesheet comes last");
        let mut alice = alice(app).await;
        let page = alice.get("/openhumans/files").await;
        assert_eq!(page.text(), "0 files of Own in en at /openhumans");
        let json = get_json(app, &mut alice, "/openhumans/files").await;
        assert_eq!(json["total"], 0, "JSON is the same");
    })
    .await;
}

#[tokio::test]
async fn assets_are_cached_under_names_with_a_digest() {
    both(plan(), async |app| {
        let page = app.send("home", &Request::get("/openhumans")).await.text();
        let assets: Vec<&str> = page
            .split('"')
            .filter(|part| part.starts_with("/openhumans/assets/"))
            .collect();
        assert_eq!(assets.len(), 3, "{page}");
        for asset in assets {
            let answer = app.send(asset, &Request::get(asset)).await;
            assert_eq!(answer.status, 200);
            let cache = answer.header("cache-control").unwrap();
            assert!(cache.contains("immutable"), "{cache}");
        }
        let other = Request::get("/openhumans/assets/pages-0.css");
        let answer = app.send("another version", &other).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (404, Some("no-store"))
        );
    })
    .await;
}

#[tokio::test]
async fn probes_distinguish_the_process_from_its_stores() {
    both(plan(), async |app| {
        for (path, status) in [("/openhumans/health", 200), ("/openhumans/ready", 200)] {
            assert_eq!(app.send(path, &Request::get(path)).await.status, status);
        }
        app.store.switch_off();
        let answer = app.send("up", &Request::get("/openhumans/health")).await;
        assert_eq!(answer.status, 200);
        let answer = app
            .send("not ready", &Request::get("/openhumans/ready"))
            .await;
        assert_eq!(answer.status, 503);
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (&json["token_store"], &json["deauth_inbox"]),
            (&json!("unavailable"), &json!("ok"))
        );
    })
    .await;
}
