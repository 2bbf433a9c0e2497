//! Upload, download and deletion of files.

mod support;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use support::{
    ALICE, BOB, answer, api, client, direct, exchange_member, metadata, post_form, post_json,
};

const LIMIT: usize = 2_621_440;

/// Returns a multipart body of exactly this size.
fn body_of(size: usize) -> Vec<u8> {
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{}\r\n--b\r\nContent-Disposition: form-data; \
         name=\"data_file\"; filename=\"big.bin\"\r\n\r\n",
        metadata()
    );
    let tail = "\r\n--b--\r\n";
    let mut body = head.into_bytes();
    body.resize(size - tail.len(), b'x');
    body.extend_from_slice(tail.as_bytes());
    body
}

#[tokio::test]
async fn simple_upload_is_downloaded_unchanged() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let form = Form::new()
        .text("metadata", metadata().to_string())
        .text("datatypes", "[\"GPS\"]")
        .part(
            "data_file",
            Part::bytes(&b"a,b\n1,2\n"[..]).file_name("a b.csv"),
        );
    let upload = client()
        .post(api(&sandbox, "files/upload/"))
        .bearer_auth(&tokens.access_token)
        .multipart(form);
    let (status, body) = answer(upload).await;
    assert_eq!(status, 201, "{body}");

    let (_, member) = exchange_member(&sandbox, &tokens.access_token).await;
    let file = &member["data"][0];
    assert_eq!(
        (&file["id"], &file["basename"]),
        (&body["id"], &json!("a_b.csv"))
    );
    assert_eq!(file["metadata"], metadata());
    assert!(
        file["datatypes"][0]
            .as_str()
            .unwrap()
            .ends_with("/api/public/datatype/2/")
    );
    assert!(
        file["source_project"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1")
    );

    let download = client()
        .get(file["download_url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(download.status(), 302);
    let link = download.headers()["location"].to_str().unwrap().to_owned();
    let object = client().get(&link).send().await.unwrap();
    assert_eq!(object.headers()["content-type"], "text/csv");
    assert_eq!(
        object.headers()["etag"],
        format!("\"{}\"", md5("a,b\n1,2\n")).as_str()
    );
    assert!(object.headers().contains_key("date"));
    assert_eq!(object.text().await.unwrap(), "a,b\n1,2\n");
    let rejected = client().get(&link).bearer_auth("x").send().await.unwrap();
    assert_eq!(rejected.status(), 400);
    assert!(
        rejected
            .text()
            .await
            .unwrap()
            .contains("<Code>InvalidArgument</Code>")
    );
}

fn md5(text: &str) -> String {
    use md5::{Digest, Md5};
    hex::encode(Md5::digest(text))
}

#[tokio::test]
async fn simple_upload_fails_above_size_limit() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    for (size, expected) in [(LIMIT, 201), (LIMIT + 1, 500), (40 << 20, 500)] {
        let upload = client()
            .post(api(&sandbox, "files/upload/"))
            .bearer_auth(&tokens.access_token)
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body_of(size));
        assert_eq!(answer(upload).await.0, expected, "{size}");
    }
    assert_eq!(sandbox.files(ALICE).len(), 1);
}

#[tokio::test]
async fn chunked_body_arrives_empty() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(body_of(2000))]);
    let upload = client()
        .post(api(&sandbox, "files/upload/"))
        .bearer_auth(&tokens.access_token)
        .header("content-type", "multipart/form-data; boundary=b")
        .body(reqwest::Body::wrap_stream(stream));
    let (status, body) = answer(upload).await;
    assert_eq!(status, 400);
    let required = ["This field is required."];
    assert_eq!(body, json!({ "metadata": required, "data_file": required }));
}

#[tokio::test]
async fn upload_rejects_too_many_or_too_large_fields() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let many = (0..1200).fold(Form::new(), |form, number| {
        form.text(format!("f{number}"), "x")
    });
    let large = json!({ "tags": [], "description": "x".repeat(3_000_000) }).to_string();
    for form in [many, Form::new().text("metadata", large)] {
        let file = Part::bytes(&b"x"[..]).file_name("x.txt");
        let upload = client()
            .post(api(&sandbox, "files/upload/"))
            .bearer_auth(&tokens.access_token);
        let response = upload
            .multipart(form.part("data_file", file))
            .send()
            .await
            .unwrap();
        // A body above the size limit crashes the server.
        assert!(
            [400, 500].contains(&response.status().as_u16()),
            "{}",
            response.status()
        );
        assert!(
            response.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
    }
    assert!(sandbox.files(ALICE).is_empty());
}

#[tokio::test]
async fn direct_upload_is_listed_after_completion() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let (id, url) = direct(&sandbox, &tokens.access_token, "direct file+é.json").await;
    let complete = || {
        let form = [("file_id", &*id.to_string())];
        answer(post_form(
            api(&sandbox, "files/upload/complete/"),
            &tokens.access_token,
            &form,
        ))
    };
    assert_eq!(
        complete().await,
        (400, json!({ "detail": "file not present" }))
    );
    assert_eq!(
        exchange_member(&sandbox, &tokens.access_token).await.1["count"],
        0
    );
    assert_eq!(
        client()
            .put(&url)
            .body("{\"testing\": 1}")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        complete().await,
        (200, json!({ "status": "ok", "size": 14 }))
    );
    assert_eq!(
        client()
            .put(&url)
            .body("{\"testing\": 22222}")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        complete().await,
        (200, json!({ "status": "ok", "size": 18 }))
    );
    assert_eq!(
        client()
            .put(&url)
            .body("")
            .header("content-length", "0")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        complete().await,
        (200, json!({ "status": "ok", "size": 0 }))
    );
    let (_, member) = exchange_member(&sandbox, &tokens.access_token).await;
    assert_eq!(member["data"][0]["basename"], "direct file+é.json");
}

#[tokio::test]
async fn object_store_rejects_unsigned_headers_and_expired_links() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let (id, url) = direct(&sandbox, &tokens.access_token, "x.txt").await;
    let put = || client().put(&url);
    let refused = put()
        .header("content-type", "text/plain")
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 403);
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("<Code>SignatureDoesNotMatch</Code>")
    );
    assert_eq!(
        put()
            .bearer_auth("x")
            .body("x")
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>("x")]);
    let chunked = put()
        .body(reqwest::Body::wrap_stream(stream))
        .send()
        .await
        .unwrap();
    assert_eq!(chunked.status(), 501);
    assert_eq!(
        client()
            .put(url.replace("x.txt", "y.txt"))
            .body("x")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    assert_eq!(
        client().get(&url).send().await.unwrap().status(),
        403,
        "an upload link is not valid for a download"
    );
    sandbox.advance(std::time::Duration::from_secs(6 * 3600 + 1));
    let expired = put().body("x").send().await.unwrap();
    assert_eq!(expired.status(), 403);
    assert!(
        expired
            .text()
            .await
            .unwrap()
            .contains("<Message>Request has expired</Message>")
    );
    assert_eq!(sandbox.file_content(id), None);
}

#[tokio::test]
async fn object_store_serves_ranges() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let content: Vec<u8> = (0..1_000_000_u32)
        .map(|number| (number % 251).to_le_bytes()[0])
        .collect();
    let id = sandbox
        .add_file(ALICE, "big.bin", &content, metadata())
        .unwrap();
    assert_eq!(sandbox.file_content(id).as_ref(), Some(&content));
    let (_, member) = exchange_member(&sandbox, &tokens.access_token).await;
    let download = client()
        .get(member["data"][0]["download_url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let link = download.headers()["location"].to_str().unwrap().to_owned();

    let complete_object = client().get(&link).send().await.unwrap();
    assert_eq!(complete_object.headers()["accept-ranges"], "bytes");
    let etag = complete_object.headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(complete_object.bytes().await.unwrap(), content);

    let rest = client()
        .get(&link)
        .header("range", "bytes=600000-")
        .header("if-range", &etag)
        .send()
        .await
        .unwrap();
    assert_eq!(rest.status(), 206);
    assert_eq!(
        rest.headers()["content-range"],
        "bytes 600000-999999/1000000"
    );
    assert_eq!(rest.headers()["content-length"], "400000");
    assert_eq!(rest.bytes().await.unwrap(), content[600_000..]);

    let other = client()
        .get(&link)
        .header("range", "bytes=600000-")
        .header("if-range", "\"other\"");
    assert_eq!(other.send().await.unwrap().status(), 200);
    let beyond = client()
        .get(&link)
        .header("range", "bytes=1000000-")
        .send()
        .await
        .unwrap();
    assert_eq!(beyond.status(), 416);
    assert_eq!(beyond.headers()["content-range"], "bytes */1000000");
}

#[tokio::test]
async fn download_link_expires_and_opens_one_file() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.add_file(ALICE, "a.txt", b"a", metadata());
    let (_, member) = exchange_member(&sandbox, &tokens.access_token).await;
    let url = member["data"][0]["download_url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(client().head(&url).send().await.unwrap().status(), 302);
    let bare = url.split('?').next().unwrap();
    let refused = client()
        .get(bare)
        .bearer_auth(&tokens.access_token)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(
        refused.text().await.unwrap(),
        "<h1>You are not authorized to view this file.</h1>"
    );
    sandbox.advance(std::time::Duration::from_secs(3661));
    assert_eq!(client().get(&url).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn delete_removes_only_files_of_project() {
    let sandbox = support::sandbox().await;
    let tokens = sandbox.issue_tokens(ALICE);
    let own = sandbox
        .add_file(ALICE, "own.txt", b"a", metadata())
        .unwrap();
    let shared = sandbox
        .add_shared_file(ALICE, "shared.txt", b"b", metadata())
        .unwrap();
    sandbox.join(BOB);
    let bobs = sandbox.add_file(BOB, "bob.txt", b"c", metadata()).unwrap();
    let delete = |body: Value| {
        answer(post_json(
            api(&sandbox, "files/delete/"),
            &tokens.access_token,
            &body,
        ))
    };
    assert_eq!(
        delete(json!({ "file_id": shared })).await,
        (200, json!({ "ids": [] }))
    );
    assert_eq!(
        delete(json!({ "file_id": bobs })).await,
        (200, json!({ "ids": [] }))
    );
    assert_eq!(
        delete(json!({ "file_basename": "own.txt" })).await,
        (200, json!({ "ids": [own] }))
    );
    assert_eq!(
        delete(json!({ "file_id": 1, "all_files": true })).await.0,
        400
    );
    let (_, member) = exchange_member(&sandbox, &tokens.access_token).await;
    assert_eq!(
        (&member["count"], &member["data"][0]["source"]),
        (&json!(1), &json!("direct-sharing-1"))
    );
}

#[tokio::test]
async fn members_lists_hundred_thousand_in_pages() {
    let sandbox = support::sandbox().await;
    assert_eq!(sandbox.populate(100_000).len(), 100_000);
    let mut next = format!(
        "{}?access_token={}&limit=25000",
        api(&sandbox, "members/"),
        sandbox.master_token()
    );
    let mut listed = 0;
    loop {
        let (status, page) = answer(client().get(&next)).await;
        assert_eq!((status, &page["count"]), (200, &json!(100_000)));
        listed += page["results"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(url) => url.clone_into(&mut next),
            None => break,
        }
    }
    assert_eq!(listed, 100_000);
}
