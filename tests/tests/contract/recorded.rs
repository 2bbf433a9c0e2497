//! A comparison with exchanges that were recorded with Open Humans.
//!
//! Each request of the client must have a recorded counterpart with the same kind of credentials,
//! content type and fields. Each response of the sandbox must have a recorded counterpart with the
//! same status, content type and JSON structure. The recordings are not part of this repository;
//! `OH_CONTRACT_RECORDED` names their directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt;
use oh_core::api::{DataFileId, DirectUpload, FileFilter, List, Message, Upload};
use oh_sandbox::Sandbox;
use serde::Deserialize;
use serde_json::Value;

use crate::recorder::{Exchange, Recorder};
use crate::server::{BOB, TestServer};

#[derive(Deserialize)]
struct Recorded {
    request: RecordedRequest,
    response: RecordedResponse,
}

#[derive(Deserialize)]
struct RecordedRequest {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: String,
}

#[derive(Deserialize)]
struct RecordedResponse {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

/// Reads the recorded exchanges, without entries of another form such as webhooks.
fn recordings() -> Option<Vec<Recorded>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/recorded");
    let directory = std::env::var_os("OH_CONTRACT_RECORDED").map(PathBuf::from);
    let directory = directory.unwrap_or_else(|| beside.into());
    let Ok(entries) = std::fs::read_dir(&directory) else {
        // The test harness hides the output of macros in tests that pass.
        let skipped = format!("SKIPPED: no recordings in {}\n", directory.display());
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return None;
    };
    let mut all = Vec::new();
    for entry in entries {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let exchanges: Vec<Value> = serde_json::from_str(&text).unwrap();
        all.extend(
            exchanges
                .into_iter()
                .filter_map(|e| serde_json::from_value(e).ok()),
        );
    }
    assert!(all.len() > 100, "only {} recordings were parsed", all.len());
    Some(all)
}

/// The kind of a call: method, and path without ids and names.
fn kind(method: &str, path: &str) -> String {
    if path.starts_with("/open-humans-testing/") {
        return format!("{method} object");
    }
    let mut named = false;
    let segments = path.split('/').map(|segment| {
        let hide = named || !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
        named = segment == "member";
        if hide { "*" } else { segment }
    });
    format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
}

/// How a request transmits its credentials.
fn credentials(query: &str, authorization: Option<&str>) -> String {
    let scheme = authorization.and_then(|value| value.split(' ').next());
    let by_query = query
        .split('&')
        .any(|pair| pair.starts_with("access_token="));
    format!(
        "{:?} in the header, {by_query} in the query",
        scheme.map(str::to_lowercase)
    )
}

fn names(pairs: &str) -> BTreeSet<String> {
    let pairs = url::form_urlencoded::parse(pairs.as_bytes());
    pairs.map(|(name, _)| name.into_owned()).collect()
}

/// The names of the fields in a body.
fn fields(content_type: &str, body: &str) -> BTreeSet<String> {
    match content_type {
        "application/json" => match serde_json::from_str(body) {
            Ok(Value::Object(map)) => map.keys().cloned().collect(),
            _ => BTreeSet::new(),
        },
        "application/x-www-form-urlencoded" => names(body),
        "multipart/form-data" => body
            .split("; name=\"")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
            .collect(),
        _ => BTreeSet::new(),
    }
}

fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Whether two JSON values have the same structure. Null, empty lists and metadata match anything.
fn same_structure(name: &str, a: &Value, b: &Value) -> bool {
    match (a, b) {
        _ if name == "metadata" => true,
        (Value::Null, _) | (_, Value::Null) => true,
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    b.get(key)
                        .is_some_and(|other| same_structure(key, value, other))
                })
        }
        (Value::Array(a), Value::Array(b)) => match (a.first(), b.first()) {
            (Some(a), Some(b)) => same_structure("", a, b),
            _ => true,
        },
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

/// An exchange between the client and the sandbox, in the form of the recordings.
struct Actual {
    kind: String,
    credentials: String,
    query: BTreeSet<String>,
    content_type: String,
    fields: BTreeSet<String>,
    status: u16,
    response_type: String,
    response: Bytes,
}

impl From<Exchange> for Actual {
    fn from(exchange: Exchange) -> Self {
        let (request, response) = (exchange.request, exchange.response);
        let header = |headers: &http::HeaderMap, name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let content_type = essence(&header(request.headers(), "content-type"));
        let query = request.uri().query().unwrap_or_default();
        let authorization = header(request.headers(), "authorization");
        let authorization = Some(authorization.as_str()).filter(|value| !value.is_empty());
        let body = String::from_utf8_lossy(request.body());
        Self {
            kind: kind(request.method().as_str(), request.uri().path()),
            credentials: credentials(query, authorization),
            query: names(query),
            fields: fields(&content_type, &body),
            content_type,
            status: response.status().as_u16(),
            response_type: essence(&header(response.headers(), "content-type")),
            response: response.into_body(),
        }
    }
}

/// Returns the differences between an exchange and the recorded ones of its kind.
fn differences(actual: &Actual, of_kind: &[&Recorded]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: String| differences.push(format!("{}: {what}", actual.kind));
    if of_kind.is_empty() {
        differ("no exchange of this kind is recorded".into());
        return differences;
    }
    let header = |r: &Recorded, name: &str| {
        let mut headers = r.request.headers.iter();
        let header = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.clone())
    };
    // Rejected requests do not show what the server accepts.
    let accepted: Vec<&&Recorded> = of_kind.iter().filter(|r| r.response.status < 400).collect();
    if actual.status < 400 {
        let credentials_of = |r: &Recorded| {
            let authorization = header(r, "authorization");
            credentials(&r.request.query, authorization.as_deref())
        };
        if !accepted
            .iter()
            .any(|r| credentials_of(r) == actual.credentials)
        {
            differ(format!("credentials {}", actual.credentials));
        }
        let types: BTreeSet<String> = accepted
            .iter()
            .map(|r| essence(&header(r, "content-type").unwrap_or_default()))
            .collect();
        if !types.contains(&actual.content_type) {
            differ(format!(
                "content type {:?} is none of {types:?}",
                actual.content_type
            ));
        }
        let known: BTreeSet<String> = accepted
            .iter()
            .flat_map(|r| {
                let content_type = essence(&header(r, "content-type").unwrap_or_default());
                fields(&content_type, &r.request.body)
            })
            .collect();
        for field in actual.fields.difference(&known) {
            differ(format!("the field {field} was never accepted"));
        }
        let mut known: BTreeSet<String> = accepted
            .iter()
            .flat_map(|r| names(&r.request.query))
            .collect();
        // All lists use the same parameters as exchange-member.
        known.extend(["limit".to_owned(), "offset".to_owned()]);
        if actual.kind != "PUT object" && actual.kind != "GET object" {
            for name in actual.query.difference(&known) {
                differ(format!("the query parameter {name} was never accepted"));
            }
        }
    }
    let same_status: Vec<&&Recorded> = of_kind
        .iter()
        .filter(|r| r.response.status == actual.status)
        .collect();
    if same_status.is_empty() {
        differ(format!("the status {} was never returned", actual.status));
        return differences;
    }
    let types: BTreeSet<String> = same_status
        .iter()
        .filter_map(|r| r.response.headers.get("Content-Type"))
        .map(|value| essence(value))
        .collect();
    if actual.kind != "GET object" && !types.is_empty() && !types.contains(&actual.response_type) {
        differ(format!(
            "the response's content type {} is none of {types:?}",
            actual.response_type
        ));
    }
    let Ok(response) = serde_json::from_slice::<Value>(&actual.response) else {
        return differences;
    };
    // The recordings contain only the start of long bodies.
    let recorded: Vec<Value> = same_status
        .iter()
        .filter_map(|r| serde_json::from_str(&r.response.body).ok())
        .collect();
    if !recorded.is_empty()
        && !recorded
            .iter()
            .any(|other| same_structure("", &response, other))
    {
        differ(format!("no response has this structure: {response}"));
    }
    differences
}

async fn read<T: Send + 'static>(list: List<T>) {
    list.for_each(async |_| {}).await;
}

/// Calls every endpoint of the client.
async fn call_every_endpoint(server: &TestServer, sandbox: &Sandbox) {
    sandbox.join(BOB);
    let shared = serde_json::json!({"tags": [], "description": "d"});
    sandbox
        .add_shared_file(server.id.as_str(), "shared.txt", b"s", shared)
        .unwrap();
    let (member, project, public) = (&server.member, &server.project, &server.public);
    let nobody = "00000000".parse().unwrap();

    server.authorize().await;
    let refreshed = server.authorize().await;
    server
        .oauth
        .refresh(&refreshed.refresh_token)
        .await
        .unwrap();
    server
        .oauth
        .refresh(&refreshed.refresh_token)
        .await
        .unwrap_err();
    let revoked = server.authorize().await;
    server.oauth.revoke(&revoked.refresh_token).await.unwrap();
    server
        .oauth
        .introspect(&revoked.access_token)
        .await
        .unwrap();

    project.project().await.unwrap();
    member.project().await.unwrap();
    member.exchange_member().await.unwrap();
    server.by_master().exchange_member().await.unwrap();
    project.member(&nobody).exchange_member().await.unwrap_err();
    server
        .client
        .member("bogus")
        .exchange_member()
        .await
        .unwrap_err();
    read(project.members()).await;
    read(project.members().page_size(1)).await;

    for client in [member, &server.by_master()] {
        let small = Upload::bytes("small.txt", "s").data_types(["2"]);
        let small = client.upload(small).await.unwrap().id;
        let large = Upload::bytes("large.txt", vec![0; 3 << 20]);
        client.upload(large).await.unwrap();
        read(client.files().page_size(2)).await;
        client.delete_file(small).await.unwrap();
        client.delete_file(small).await.unwrap();
    }
    let begun = member.begin_upload(DirectUpload::new("parts.txt")).await;
    member.discard_upload(&begun.unwrap()).await.unwrap();
    member.exchange_member_page(2, 1).await.unwrap();
    let files = member.exchange_member().await.unwrap().data;
    member.download(&files[0]).bytes().await.unwrap();
    let mut old = files[0].clone();
    old.download_url = old.download_url.expose().replace("key=", "key=0").into();
    member.download(&old).bytes().await.unwrap_err();
    let unknown = Upload::bytes("a.txt", "a").data_types(["999"]);
    member.upload(unknown).await.unwrap_err();

    let message = Message::new("hello").subject("hi");
    member.message(&message).await.unwrap();
    project.message_all(&message).await.unwrap();
    project
        .message(std::slice::from_ref(&server.id), &message)
        .await
        .unwrap();
    project
        .message(std::slice::from_ref(&nobody), &message)
        .await
        .unwrap_err();

    read(public.projects()).await;
    read(public.projects().page_size(1)).await;
    public.project(2).await.unwrap();
    public.project(999).await.unwrap_err();
    read(public.project_files(2)).await;
    read(public.project_members(2)).await;
    read(public.members()).await;
    public.member("alice").await.unwrap();
    public.member("nobody").await.unwrap_err();
    read(public.member_projects("alice").unwrap()).await;
    read(public.member_files("alice").unwrap()).await;
    read(public.data_types()).await;
    public.data_type(2).await.unwrap();
    public.data_type(999).await.unwrap_err();
    read(public.data_type_files(2)).await;
    read(public.data_types_of(2)).await;
    let below = FileFilter::new().data_type(1).include_children();
    read(public.files_matching(&below)).await;
    read(public.files_matching(&FileFilter::new().username("bob"))).await;
    read(public.projects_named("loopback")).await;
    read(public.members_named("ali")).await;
    read(public.files()).await;
    public.file(files[0].id).await.unwrap();
    public.file(DataFileId::new(999_999)).await.unwrap_err();
    read(public.public_data()).await;
    read(public.sources_by_member()).await;
    read(public.members_by_source()).await;

    member.delete_files_named("large.txt").await.unwrap();
    member.delete_all_files().await.unwrap();
    server.by_master().remove().await.unwrap();
    server.by_master().remove().await.unwrap();
    member.exchange_member().await.unwrap_err();
}

#[tokio::test]
async fn requests_and_responses_match_recordings() {
    let Some(recorded) = recordings() else {
        return;
    };
    let recorder = Recorder::new();
    let server = TestServer::sandbox(recorder.clone()).await;
    call_every_endpoint(&server, server.own_sandbox()).await;
    let actual: Vec<Actual> = recorder.take().into_iter().map(Actual::from).collect();
    assert!(actual.len() > 60, "{}", actual.len());
    let differences: BTreeSet<String> = actual
        .iter()
        .flat_map(|actual| {
            let of_kind: Vec<&Recorded> = recorded
                .iter()
                .filter(|r| kind(&r.request.method, &r.request.path) == actual.kind)
                .collect();
            differences(actual, &of_kind)
        })
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}
