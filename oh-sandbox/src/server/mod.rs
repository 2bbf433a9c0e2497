//! From a request to its answer: counted, made to fail if a fault says so, then answered.

pub(crate) mod admin;
pub(crate) mod connection;
mod mischief;

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};

use crate::fault::Fault;
use crate::oauth::authorize::{SESSION_COOKIE, authorize};
use crate::oauth::token;
use crate::objects::percent;
use crate::state::world::{Standing, UNAPPROVED_MEMBERS};
use crate::state::{Shared, leave};
use crate::web::call::{Call, GoneAway};
use crate::web::params::Params;
use crate::web::path::segment;
use crate::web::respond::{add_slash, bad_request_page, crash, not_found, private_html, redirect};
use crate::{Endpoint, api, pages};
use connection::Switch;

/// What the server's front end takes as a request line.
const LINE_LIMIT: usize = 4094;

/// Answers a request to the site.
pub(crate) async fn site(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response {
    let line = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    if line.len() > LINE_LIMIT {
        return bad_request_page();
    }
    let mut hold = shared.faults.hold();
    let endpoint = Endpoint::of(request.uri().path());
    if let Some(endpoint) = endpoint {
        shared.counter.arrived(endpoint);
    }
    let mut call = match Call::read(request, &shared.host()).await {
        Ok(call) => call,
        Err(GoneAway) => return bad_request_page(),
    };
    let fault = endpoint.and_then(|endpoint| shared.faults.take(endpoint));
    if let Some(answer) = mischief::before(&mut hold, fault.as_ref(), &switch).await {
        return answer;
    }
    call.fault = fault.clone();
    let answer = dispatch(&shared, &call).await;
    mischief::after(&mut hold, fault, &switch, answer).await
}

async fn dispatch(shared: &Arc<Shared>, call: &Call) -> Response {
    let path = call.path.as_str();
    if let Some(rest) = path.strip_prefix("/sandbox/") {
        return admin::dispatch(shared, call, rest).await;
    }
    if Endpoint::wants_slash(path) {
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
                "Sorry, \"Sandbox Project\" has not been approved and has exceeded the {UNAPPROVED_MEMBERS} \
                 member limit for unapproved projects."
            );
            private_html(StatusCode::OK, pages::message("No more members", &text))
        }
        "/direct-sharing/authorize-inactive/" => {
            let text = "This project is not active, so it cannot be authorized.";
            private_html(StatusCode::OK, pages::message("Inactive project", text))
        }
        "/" | "/account/login/" => {
            let world = shared.world();
            let page = pages::index(shared, &world, call.cookie(SESSION_COOKIE));
            private_html(StatusCode::OK, page)
        }
        "/account/logout/" if call.method == Method::POST => logout(shared, call),
        "/member/me/connections/" => {
            let world = shared.world();
            private_html(
                StatusCode::OK,
                pages::connections(&world, &pages::csrf(shared), None),
            )
        }
        _ => match segment(path, "/member/") {
            Some(name) => member_page(shared, call, name),
            None => api::dispatch(shared, call).await.unwrap_or_else(not_found),
        },
    }
}

/// `GET /member/<name>/`: what the project has done for a member. The real one is the member's public
/// profile.
fn member_page(shared: &Shared, call: &Call, name: &str) -> Response {
    let world = shared.world();
    let name = percent::decode(name);
    let member = world
        .members
        .iter()
        .position(|member| member.standing != Standing::Deleted && member.account_name() == name);
    let Some(index) = member else {
        let text = "There is no such member in this sandbox.";
        return private_html(StatusCode::NOT_FOUND, pages::message("Not Found", text));
    };
    let page = pages::member::page(shared, &world, &call.base, index);
    private_html(StatusCode::OK, page)
}

/// `POST /direct-sharing/projects/leave/<id>/`, where a person leaves. The real one goes back to
/// the list of connections; this one shows what the project was told on the way.
async fn leave_page(shared: &Arc<Shared>, call: &Call, id: &str) -> Response {
    let params = Params::read(call).await;
    let csrf = pages::csrf(shared);
    if call.method != Method::POST
        || params.text("csrfmiddlewaretoken").as_deref() != Some(csrf.as_str())
    {
        return private_html(
            StatusCode::FORBIDDEN,
            pages::message("Forbidden", "CSRF verification failed."),
        );
    }
    let Some(departure) = leave(shared, id, params.flag("erasure_requested")).await else {
        let text = "That member takes no part in the project.";
        return private_html(StatusCode::NOT_FOUND, pages::message("Not Found", text));
    };
    let world = shared.world();
    let left = Some((id, departure.deliveries.as_slice(), departure.crashed));
    private_html(StatusCode::OK, pages::connections(&world, &csrf, left))
}

fn logout(shared: &Shared, call: &Call) -> Response {
    let form = crate::web::call::Fields::parse(call.body());
    if form.get("csrfmiddlewaretoken") != Some(pages::csrf(shared).as_str()) {
        return private_html(
            StatusCode::FORBIDDEN,
            pages::message("Forbidden", "CSRF verification failed."),
        );
    }
    let mut response = redirect("/");
    let cookie = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Answers a request to the object store, which is another host.
pub(crate) async fn object_store(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response {
    let mut hold = shared.faults.hold();
    let endpoint = Endpoint::of_object(request.method());
    if let Some(endpoint) = endpoint {
        shared.counter.arrived(endpoint);
    }
    let fault = endpoint.and_then(|endpoint| shared.faults.take(endpoint));
    if endpoint == Some(Endpoint::ObjectPut) && fault == Some(Fault::ResetMidBody) {
        mischief::read_half(request).await;
        switch.reset();
        return crash();
    }
    if let Some(answer) = mischief::before(&mut hold, fault.as_ref(), &switch).await {
        // Whoever is still sending would not hear an answer before they are done.
        mischief::read_all(request).await;
        return answer;
    }
    let now = shared.clock.now();
    let fetched = (*request.method() == Method::GET).then(|| {
        let agent = request.headers().get(header::USER_AGENT);
        let agent = agent.and_then(|value| value.to_str().ok());
        (
            percent::decode(request.uri().path()),
            agent.unwrap_or("-").to_owned(),
        )
    });
    let answer = shared.objects.answer(request, now).await;
    if let Some((object, agent)) = fetched.filter(|_| answer.status().is_success()) {
        shared.fetched(&object, answer.status().as_u16(), agent);
    }
    mischief::after(&mut hold, fault, &switch, answer).await
}
