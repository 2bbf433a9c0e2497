//! Responses of Open Humans, or of a server in its place.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LINK, LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use oh_core::api::{Client, Message, RetryPolicy, TokenError, Upload, UploadMethod};
use oh_core::{AccessToken, AuthorizationCode, Error, RefreshToken};
use serde_json::json;

use crate::input::Input;
use crate::transport::FixedResponses;
use crate::{assert_printable, message, run};

const BASE: &str = "https://oh.example/below";
const TOKEN: &str = "aXBfKym8W1M4fjUMXoy38iHzMEZdWS";
const STATUSES: [u16; 24] = [
    200, 200, 200, 200, 200, 201, 202, 204, 206, 301, 302, 307, 308, 400, 401, 403, 404, 413, 416,
    429, 500, 502, 503, 599,
];
/// Maximum length of an error. It quotes up to 20 problems of a request in short.
const MAX_ERROR: usize = 20 * 2 * 800;

/// Any text as the link to the next page: the client uses only its `limit` and `offset`, and sends
/// the token only to the configured server.
pub fn page_link(data: &[u8]) {
    let link = String::from_utf8_lossy(data);
    let first = json!({"count": 7, "next": link, "results": [], "data": []}).to_string();
    let last = json!({"count": 7, "next": null, "results": [], "data": []}).to_string();
    let pages = [first, last].map(|page| Response::new(Bytes::from(page)));

    let transport = FixedResponses::new(pages.to_vec());
    let mut members = client(&transport).project(TOKEN).members();
    let end = run(members.try_next());
    assert_links(&transport, end.map(drop), "members/", true);

    let transport = FixedResponses::new(pages.to_vec());
    let mut files = client(&transport).member(TOKEN).files();
    let end = run(files.try_next());
    assert_links(&transport, end.map(drop), "exchange-member/", false);
}

fn assert_links(transport: &FixedResponses, end: Result<(), Error>, path: &str, with_token: bool) {
    if let Err(error) = end {
        assert_error(&error);
    }
    let requests = transport.requests();
    assert!((1..=2).contains(&requests.len()), "{requests:?}");
    for url in &requests {
        let whole = format!("{BASE}/api/direct-sharing/project/{path}");
        assert!(url.as_str().starts_with(&whole), "{url}");
        assert_eq!(url.path(), &whole["https://oh.example".len()..]);
        for (name, value) in url.query_pairs() {
            match &*name {
                "access_token" => assert!(with_token && value == TOKEN),
                "limit" | "offset" => assert!(value.parse::<u64>().is_ok(), "{value}"),
                other => panic!("{other} was sent"),
            }
        }
    }
}

/// Any response to any call. The first byte selects the call, the second the status, the third the
/// header of the next line; the rest is the body. No call panics or runs forever, and errors are
/// printable and contain no token.
pub fn responses(data: &[u8]) {
    let mut input = Input::new(data);
    let call = input.byte();
    let status = STATUSES[usize::from(input.byte()) % STATUSES.len()];
    let (name, kind) = match input.byte() % 6 {
        0 => (RETRY_AFTER, "application/json"),
        1 => (LOCATION, "application/json"),
        2 => (LINK, "text/html"),
        3 => (HeaderName::from_static("date"), "application/json"),
        4 => (
            HeaderName::from_static("content-range"),
            "application/octet-stream",
        ),
        _ => (
            HeaderName::from_static("content-length"),
            "application/json",
        ),
    };
    let value = HeaderValue::from_bytes(input.line());
    let mut response = Response::new(Bytes::copy_from_slice(input.rest()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = value {
        headers.insert(name, value);
    }
    // The second page of a list is the last.
    let end = json!({"next": null, "results": [], "data": []}).to_string();
    let first_only = call >= 128;
    let mut all = vec![response];
    if first_only {
        all.push(Response::new(Bytes::from(end)));
    }
    let transport = FixedResponses::new(all);
    let client = client(&transport);
    let hour = std::time::Duration::from_secs(3_600);
    let ended = run(async { tokio::time::timeout(hour, make(call % 128, &client)).await });
    match ended {
        Err(_) => panic!("the call does not end"),
        Ok(Err(error)) => assert_error(&error),
        Ok(Ok(())) => {}
    }
    assert!(
        transport.requests().len() <= 40,
        "{} requests",
        transport.requests().len()
    );
}

fn client(transport: &FixedResponses) -> Client {
    Client::with_transport(BASE, Arc::new(transport.clone()))
        .expect("a client")
        .retries(RetryPolicy::none())
}

fn assert_error(error: &Error) {
    let text = message(error);
    assert_printable(&text, MAX_ERROR);
    for text in [text, format!("{error:?}")] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

/// Reads the first items of a list.
macro_rules! read {
    ($list:expr) => {{
        let mut list = $list;
        for _ in 0..10 {
            match list.try_next().await? {
                Some(item) => drop(format!("{item:?}")),
                None => break,
            }
        }
        Ok(())
    }};
}

async fn make(call: u8, client: &Client) -> Result<(), Error> {
    let member = client.member(TOKEN);
    let project = client.project(TOKEN);
    let public = client.public();
    let id = "01026778".parse().expect("an id");
    let oauth = || client.oauth("id", "secret", "https://app.example/done");
    let granted = |granted: Result<oh_core::api::oauth::TokenGrant, TokenError>| {
        let tokens = granted.map_err(Error::from)?.tokens;
        let header = format!("Bearer {}", tokens.access_token.expose());
        assert!(HeaderValue::from_str(&header).is_ok());
        assert!(!format!("{tokens:?}").contains(tokens.refresh_token.expose()));
        Ok(())
    };
    let upload = |via| Upload::bytes("a.txt", "abc").via(via);
    match call {
        0 => member.exchange_member().await.map(drop),
        1 => member.project_member_id().await.map(drop),
        2 => read!(member.files()),
        3 => member.project().await.map(drop),
        4 => project.project().await.map(drop),
        5 => {
            let mut members = project.members();
            for _ in 0..10 {
                let Some(one) = members.try_next().await? else {
                    break;
                };
                let mut files = project.files_of(&one);
                while let Some(file) = files.try_next().await? {
                    drop(format!("{file:?} {:?}", file.metadata()));
                }
            }
            Ok(())
        }
        6 => read!(project.member_ids()),
        7 => read!(public.projects()),
        8 => public.project(1).await.map(drop),
        9 => read!(public.members()),
        10 => public.member("alice").await.map(drop),
        11 => read!(public.data_types()),
        12 => public.data_type(1).await.map(drop),
        13 => read!(public.files()),
        14 => read!(public.public_data()),
        15 => read!(public.sources_by_member()),
        16 => read!(public.members_by_source()),
        17 => public.members_of_source("a").await.map(drop),
        18 => member.upload(upload(UploadMethod::Direct)).await.map(drop),
        19 => member.upload(upload(UploadMethod::Simple)).await.map(drop),
        20 => member.delete_all_files().await.map(drop),
        21 => member.message(&Message::new("hello")).await,
        22 => project.message_all(&Message::new("hello")).await,
        23 => member.remove().await.map(drop),
        24 => project.remove(&id).await.map(drop),
        25 => granted(oauth()?.exchange(&AuthorizationCode::new(TOKEN), "v").await),
        26 => granted(oauth()?.refresh(&RefreshToken::new(TOKEN)).await),
        27 => Ok(oauth()?.revoke(&RefreshToken::new(TOKEN)).await?),
        28 => {
            let known = oauth()?.introspect(&AccessToken::new(TOKEN)).await;
            known.map(drop).map_err(Error::from)
        }
        29 => {
            let url = format!("{BASE}/file?key={TOKEN}");
            let download = client.download(url, "a.txt").max_size(1 << 20);
            download.bytes().await.map(drop)
        }
        _ => project.member(&id).exchange_member().await.map(drop),
    }
}
