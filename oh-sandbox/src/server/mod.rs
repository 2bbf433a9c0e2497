//! Request handling: counting, fault injection, dispatch.

pub(crate) mod admin;
pub(crate) mod connection;
mod injection;

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};

use crate::fault::Fault;
use crate::oauth::authorize::{SESSION_COOKIE, authorize};
use crate::oauth::token;
use crate::state::database::{MAX_UNAPPROVED_MEMBERS, Membership};
use crate::state::{Shared, leave};
use crate::web::call::{Call, ClientDisconnected};
use crate::web::params::Params;
use crate::web::path::{decode, segment};
use crate::web::respond::{add_slash, bad_request_page, crash, not_found, private_html, redirect};
use crate::{Endpoint, api, pages};
use connection::ResetHandle;

/// The maximum length of a request line.
const MAX_REQUEST_LINE: usize = 4094;

/// Handles a request to the site.
pub(crate) async fn site(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(reset): ConnectInfo<ResetHandle>,
    request: Request,
) -> Response {
    let line = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    if line.len() > MAX_REQUEST_LINE {
        return bad_request_page();
    }
    let mut waiter = shared.faults.waiter();
    let endpoint = Endpoint::of(request.uri().path());
    if let Some(endpoint) = endpoint {
        shared.counter.arrived(endpoint);
    }
    let mut call = match Call::read(request, &shared.host()).await {
        Ok(call) => call,
        Err(ClientDisconnected) => return bad_request_page(),
    };
    let fault = endpoint.and_then(|endpoint| shared.faults.take(endpoint));
    if let Some(response) = injection::before_effect(&mut waiter, fault.as_ref(), &reset).await {
        return response;
    }
    call.fault = fault.clone();
    let response = dispatch(&shared, &call).await;
    injection::after_effect(&mut waiter, fault, &reset, response).await
}

async fn dispatch(shared: &Arc<Shared>, call: &Call) -> Response {
    let path = call.path.as_str();
    if let Some(rest) = path.strip_prefix("/sandbox/") {
        return admin::dispatch(shared, call, rest).await;
    }
    if Endpoint::lacks_slash(path) {
        return add_slash(path, call.raw_query.as_deref());
    }
    if let Some(id) = segment(path, "/direct-sharing/projects/leave/") {
        return leave_page(shared, call, id).await;
    }
    match path {
        "/direct-sharing/projects/oauth2/authorize/" | "/oauth2/authorize/" => {
            authorize(shared, call)
        }
        "/oauth2/token/" => token::token(shared, call, &Params::read(call).await),
        "/oauth2/revoke_token/" => token::revoke(shared, call, &Params::read(call).await),
        "/oauth2/introspect/" => token::introspect(shared, call, &Params::read(call).await),
        "/direct-sharing/authorize-full/" => {
            let text = format!(
                "Sorry, \"Sandbox Project\" has not been approved and has exceeded the {MAX_UNAPPROVED_MEMBERS} \
                 member limit for unapproved projects."
            );
            private_html(StatusCode::OK, pages::message("No more members", &text))
        }
        "/direct-sharing/authorize-inactive/" => {
            let text = "This project is not active, so it cannot be authorized.";
            private_html(StatusCode::OK, pages::message("Inactive project", text))
        }
        "/" | "/account/login/" => {
            let db = shared.db();
            let page = pages::index(shared, &db, call.cookie(SESSION_COOKIE));
            private_html(StatusCode::OK, page)
        }
        "/account/logout/" if call.method == Method::POST => logout(shared, call),
        "/member/me/connections/" => {
            let db = shared.db();
            private_html(
                StatusCode::OK,
                pages::connections(&db, &pages::csrf(shared), None),
            )
        }
        _ => match segment(path, "/member/") {
            Some(name) => member_page(shared, call, name),
            None => api::dispatch(shared, call).await.unwrap_or_else(not_found),
        },
    }
}

/// `GET /member/<name>/`: the files and messages of a member. On the real server this is the public
/// profile.
fn member_page(shared: &Shared, call: &Call, name: &str) -> Response {
    let db = shared.db();
    let name = decode(name);
    let member = db.members.iter().position(|member| {
        member.membership != Membership::Deleted && member.account_name() == name
    });
    let Some(index) = member else {
        let text = "There is no such member in this sandbox.";
        return private_html(StatusCode::NOT_FOUND, pages::message("Not Found", text));
    };
    let page = pages::member::page(shared, &db, &call.base, index);
    private_html(StatusCode::OK, page)
}

/// `POST /direct-sharing/projects/leave/<id>/`: a member leaves. The real server redirects to the
/// list of connections; this page shows the webhook requests.
async fn leave_page(shared: &Arc<Shared>, call: &Call, id: &str) -> Response {
    let params = Params::read(call).await;
    let csrf = pages::csrf(shared);
    if call.method != Method::POST
        || params.text("csrfmiddlewaretoken").as_deref() != Some(csrf.as_str())
    {
        return pages::csrf_failed();
    }
    let Some(outcome) = leave(shared, id, params.flag("erasure_requested")).await else {
        let text = "That member takes no part in the project.";
        return private_html(StatusCode::NOT_FOUND, pages::message("Not Found", text));
    };
    let db = shared.db();
    let left = Some((id, outcome.deliveries.as_slice(), outcome.crashed));
    private_html(StatusCode::OK, pages::connections(&db, &csrf, left))
}

fn logout(shared: &Shared, call: &Call) -> Response {
    let form = crate::web::call::Fields::parse(call.body());
    if form.get("csrfmiddlewaretoken") != Some(pages::csrf(shared).as_str()) {
        return pages::csrf_failed();
    }
    let mut response = redirect("/");
    let cookie = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Handles a request to the object store.
pub(crate) async fn object_store(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(reset): ConnectInfo<ResetHandle>,
    request: Request,
) -> Response {
    let mut waiter = shared.faults.waiter();
    let endpoint = Endpoint::of_object(request.method());
    if let Some(endpoint) = endpoint {
        shared.counter.arrived(endpoint);
    }
    let fault = endpoint.and_then(|endpoint| shared.faults.take(endpoint));
    if endpoint == Some(Endpoint::ObjectPut) && fault == Some(Fault::ResetMidBody) {
        injection::read_half(request).await;
        reset.reset();
        return crash();
    }
    if let Some(response) = injection::before_effect(&mut waiter, fault.as_ref(), &reset).await {
        // Clients read the response only after they have sent the body.
        injection::read_all(request).await;
        return response;
    }
    let now = shared.clock.now();
    let fetched = (*request.method() == Method::GET).then(|| {
        let agent = request.headers().get(header::USER_AGENT);
        let agent = agent.and_then(|value| value.to_str().ok());
        (
            decode(request.uri().path()),
            agent.unwrap_or("-").to_owned(),
        )
    });
    let response = shared.objects.answer(request, now).await;
    if let Some((object, agent)) = fetched.filter(|_| response.status().is_success()) {
        shared.fetched(&object, response.status().as_u16(), agent);
    }
    injection::after_effect(&mut waiter, fault, &reset, response).await
}
