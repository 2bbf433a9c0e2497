//! The project API and the public API: who may ask, in which form, and who answers.

mod access_log;
mod caller;
mod datafiles;
mod datatypes;
mod files;
mod message;
mod metadata;
mod paging;
mod project;
mod public;
mod remove;
mod upload;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};

use crate::Endpoint;
use crate::endpoint::parted;
use crate::state::Shared;
use crate::web::call::{BODY_KEPT, Call};
use crate::web::params::Params;
use crate::web::respond::{Refused, crash, detail, html, json};
use caller::Caller;

pub(crate) use datafiles::download_url;
pub(crate) use upload::store_file;

/// Answers a request to the API, `None` if there is no such place.
pub(crate) async fn dispatch(shared: &Arc<Shared>, call: &Call) -> Option<Response> {
    let endpoint = Endpoint::of(&call.path)?;
    if endpoint == Endpoint::Download {
        return Some(files::download(shared, call));
    }
    let methods = match endpoint {
        Endpoint::Project
        | Endpoint::ExchangeMember
        | Endpoint::Members
        | Endpoint::Public
        | Endpoint::FileAccessLog
        | Endpoint::StoreAccessLog => "GET, HEAD, OPTIONS",
        _ => "POST, OPTIONS",
    };
    if call.method == Method::OPTIONS && call.header("access-control-request-method").is_some() {
        return Some(allow_any_origin(html(StatusCode::OK, "")));
    }
    let answer = match wants_html(call) {
        Err(refusal) => *refusal,
        Ok(as_page) => {
            let answer = ask(shared, call, endpoint, methods).await?;
            if as_page {
                browsable(answer).await
            } else {
                answer
            }
        }
    };
    Some(finish(answer, methods))
}

async fn ask(
    shared: &Arc<Shared>,
    call: &Call,
    endpoint: Endpoint,
    methods: &'static str,
) -> Option<Response> {
    let caller = match endpoint {
        Endpoint::Public => None,
        Endpoint::Members => Some(Caller::project(shared, call)),
        Endpoint::FileAccessLog | Endpoint::StoreAccessLog => Some(Caller::own(shared, call)),
        _ => Some(Caller::anyone(shared, call)),
    };
    let caller = match caller.transpose() {
        Ok(caller) => caller,
        Err(refusal) => return Some(refusal.into_response()),
    };
    if call.method == Method::OPTIONS {
        return Some(describe(endpoint));
    }
    let method = if call.method == Method::HEAD {
        &Method::GET
    } else {
        &call.method
    };
    if !methods
        .split(", ")
        .any(|allowed| allowed == method.as_str())
    {
        let text = format!("Method \"{}\" not allowed.", call.method);
        return Some(detail(StatusCode::METHOD_NOT_ALLOWED, &text));
    }
    let Some(caller) = caller else {
        return public::answer(shared, call);
    };
    if method == Method::POST && endpoint.trips_over_a_format() && parted(&call.path).1.is_some() {
        return Some(crash());
    }
    let params = Params::read(call).await;
    if method == Method::POST
        && let Err(refusal) = params.accept()
    {
        return Some(*refusal);
    }
    let answer = match endpoint {
        Endpoint::Project => project::project(shared),
        Endpoint::ExchangeMember => project::exchange_member(shared, call, caller),
        Endpoint::Members => project::members(shared, call),
        Endpoint::Message => message::message(shared, caller, &params),
        Endpoint::RemoveMembers => remove::remove_members(shared, caller, &params).await,
        Endpoint::Upload => upload::simple(shared, call, caller, &params),
        Endpoint::DirectUpload => upload::direct(shared, caller, &params),
        Endpoint::CompleteUpload => upload::complete(shared, caller, &params),
        Endpoint::DeleteFiles => files::delete(shared, caller, &params),
        Endpoint::FileAccessLog => access_log::site(shared, call, caller),
        Endpoint::StoreAccessLog => access_log::store(shared, call, caller),
        _ => return None,
    };
    Some(answer)
}

/// Whether the client would rather have a page than JSON; the refusal if it wants neither.
fn wants_html(call: &Call) -> Result<bool, Refused> {
    match parted(&call.path).1.or(call.query.get("format")) {
        Some("json") => return Ok(false),
        Some("api") => return Ok(true),
        Some(_) => return Err(detail(StatusCode::NOT_FOUND, "Not found.").into()),
        None => {}
    }
    let accept = call.header("accept").unwrap_or("*/*");
    let kinds = accept
        .split(',')
        .map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let mut anything = false;
    for kind in kinds {
        match kind {
            "application/json" | "application/*" => return Ok(false),
            "text/html" | "text/*" => return Ok(true),
            "*/*" => anything = true,
            _ => {}
        }
    }
    if anything {
        return Ok(false);
    }
    let text = "Could not satisfy the request Accept header.";
    Err(detail(StatusCode::NOT_ACCEPTABLE, text).into())
}

/// The answer as a page around its JSON.
async fn browsable(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::try_from(BODY_KEPT).unwrap_or(usize::MAX))
        .await
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&body)
        .replace('&', "&amp;")
        .replace('<', "&lt;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><title>API</title><body><pre>{text}</pre></body></html>"
    );
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    Response::from_parts(parts, Body::from(page))
}

fn finish(mut answer: Response, methods: &'static str) -> Response {
    // A crash is answered by another part of the server, which knows nothing of methods.
    if answer.status() != StatusCode::INTERNAL_SERVER_ERROR {
        answer
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    allow_any_origin(answer)
}

fn allow_any_origin(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Origin"));
    answer
}

/// What `OPTIONS` says about a place.
fn describe(endpoint: Endpoint) -> Response {
    let (name, description) = match endpoint {
        Endpoint::Project => (
            "Project Data",
            "Return information about the project itself.",
        ),
        _ => ("Project", ""),
    };
    json(
        StatusCode::OK,
        &serde_json::json!({
            "name": name,
            "description": description,
            "renders": ["application/json", "text/html"],
            "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
        }),
    )
}
