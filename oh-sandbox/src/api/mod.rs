//! The project API and the public API: authentication, content negotiation and dispatch.

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
use crate::endpoint::split_format;
use crate::state::Shared;
use crate::web::call::{Call, MAX_STORED_BODY};
use crate::web::params::Params;
use crate::web::respond::{ErrorResponse, crash, detail, html, json};
use caller::Caller;

pub(crate) use datafiles::download_url;
pub(crate) use upload::{NewFile, store_file};

/// Handles a request to the API. Returns `None` for an unknown path.
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
    let response = match wants_html(call) {
        Err(response) => *response,
        Ok(as_page) => {
            let response = handle(shared, call, endpoint, methods).await?;
            if as_page {
                browsable(response).await
            } else {
                response
            }
        }
    };
    Some(finish(response, methods))
}

async fn handle(
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
        Err(response) => return Some(*response),
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
        return public::respond(shared, call);
    };
    if method == Method::POST
        && endpoint.crashes_on_format()
        && split_format(&call.path).1.is_some()
    {
        return Some(crash());
    }
    let params = Params::read(call).await;
    if method == Method::POST
        && let Err(response) = params.accept()
    {
        return Some(*response);
    }
    let response = match endpoint {
        Endpoint::Project => project::project(shared),
        Endpoint::ExchangeMember => project::exchange_member(shared, call, caller),
        Endpoint::Members => project::members(shared, call),
        Endpoint::Message => {
            message::message(shared, caller, &params).unwrap_or_else(|error| *error)
        }
        Endpoint::RemoveMembers => remove::remove_members(shared, caller, &params)
            .await
            .unwrap_or_else(|error| *error),
        Endpoint::Upload => {
            upload::simple(shared, call, caller, &params).unwrap_or_else(|error| *error)
        }
        Endpoint::DirectUpload => {
            upload::direct(shared, caller, &params).unwrap_or_else(|error| *error)
        }
        Endpoint::CompleteUpload => {
            upload::complete(shared, caller, &params).unwrap_or_else(|error| *error)
        }
        Endpoint::DeleteFiles => {
            files::delete(shared, caller, &params).unwrap_or_else(|error| *error)
        }
        Endpoint::FileAccessLog => access_log::site(shared, call, caller),
        Endpoint::StoreAccessLog => access_log::store(shared, call, caller),
        _ => return None,
    };
    Some(response)
}

/// Returns whether the client prefers HTML to JSON. Fails if it accepts neither.
fn wants_html(call: &Call) -> Result<bool, ErrorResponse> {
    match split_format(&call.path).1.or(call.query.get("format")) {
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

/// Wraps a JSON response in an HTML page.
async fn browsable(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::try_from(MAX_STORED_BODY).unwrap_or(usize::MAX))
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

fn finish(mut response: Response, methods: &'static str) -> Response {
    // The error page comes from another part of the server, which does not send `Allow`.
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR {
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    allow_any_origin(response)
}

fn allow_any_origin(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Origin"));
    response
}

/// Returns the response to `OPTIONS`.
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
