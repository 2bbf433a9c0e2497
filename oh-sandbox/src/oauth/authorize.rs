//! The authorization endpoint.
//!
//! On the real server, login is a separate page. Here one page selects the member and asks for the
//! authorization. A cookie then stores the member, like a session at Open Humans. For scripts,
//! `&sandbox_member=ID&sandbox_decision=allow` (or `refuse`) skips the page.

use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use super::redirect::{registered, with};
use crate::pages;
use crate::state::Shared;
use crate::state::grants::{Challenge, SCOPES, within};
use crate::web::call::{Call, Fields};
use crate::web::respond::{ErrorResponse, not_found, private_html, redirect};

/// The cookie that stores the id of the logged-in member.
pub(crate) const SESSION_COOKIE: &str = "oh_sandbox_member";

/// `GET` and `POST /direct-sharing/projects/oauth2/authorize/`
pub(crate) fn authorize(shared: &Shared, call: &Call) -> Response {
    let form = Fields::parse(call.body());
    let request = match Request::read(shared, &call.query) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    match call.method {
        Method::GET | Method::HEAD => ask(shared, call, &request),
        Method::POST => {
            if form.get("csrfmiddlewaretoken") != Some(pages::csrf(shared).as_str()) {
                return pages::csrf_failed();
            }
            let member = form
                .get("sandbox_member")
                .or_else(|| call.cookie(SESSION_COOKIE))
                .unwrap_or_default();
            let decision = if form.get("allow").is_some() {
                "allow"
            } else {
                "refuse"
            };
            remember_member(decide(shared, &request, member, decision), member)
        }
        _ => private_html(StatusCode::METHOD_NOT_ALLOWED, ""),
    }
}

/// A valid authorization request.
struct Request {
    redirect_uri: Url,
    /// The redirect URI as the client wrote it. The token request must repeat it.
    redirect_uri_text: String,
    state: Option<String>,
    scope: String,
    challenge: Option<Challenge>,
    origin: String,
}

impl Request {
    /// Parses the query. Returns a page for an invalid client or redirect URI, and a redirect to
    /// the client for all other errors.
    fn read(shared: &Shared, query: &Fields) -> Result<Self, ErrorResponse> {
        let get = |name| query.get(name).filter(|value| !value.is_empty());
        if query.get("client_id") != Some(shared.credentials.client_id.as_str()) {
            return Err(not_found().into());
        }
        let settings = shared.db().settings.clone();
        if settings.on_site {
            let text = "This is an on-site project: its members join it at Open Humans itself, and it has no \
                        OAuth2 client.";
            let page = pages::message("Not an OAuth2 project", text);
            return Err(private_html(StatusCode::NOT_FOUND, page).into());
        }
        if !settings.active {
            return Err(redirect("/direct-sharing/authorize-inactive/").into());
        }
        let redirect_uri = match get("redirect_uri") {
            Some(asked) => registered(asked, &settings.redirect_uris),
            None => settings.redirect_uris.first().cloned(),
        };
        let Some(redirect_uri) = redirect_uri else {
            let page = pages::message("Error: invalid_request", "Mismatching redirect URI.");
            return Err(private_html(StatusCode::BAD_REQUEST, page).into());
        };
        let state = get("state").map(str::to_owned);
        let fail = |error: &str, description: Option<&str>| {
            let added = [
                ("error", Some(error)),
                ("error_description", description),
                ("state", state.as_deref()),
            ];
            ErrorResponse::from(redirect(with(redirect_uri.clone(), &added).as_str()))
        };
        match get("response_type") {
            Some("code") => {}
            Some("token" | "id_token" | "code token") => {
                return Err(fail("unauthorized_client", None));
            }
            Some(_) => return Err(fail("unsupported_response_type", None)),
            None => {
                return Err(fail(
                    "invalid_request",
                    Some("Missing response_type parameter."),
                ));
            }
        }
        let challenge = Challenge::of(
            query.get("code_challenge"),
            query.get("code_challenge_method"),
        )
        .map_err(|()| {
            fail(
                "invalid_request",
                Some("Transform algorithm not supported."),
            )
        })?;
        let scope = get("scope").unwrap_or(SCOPES).to_owned();
        if !within(&scope, SCOPES) {
            return Err(fail("invalid_scope", None));
        }
        let redirect_uri_text =
            get("redirect_uri").map_or_else(|| redirect_uri.to_string(), str::to_owned);
        let origin = get("origin").unwrap_or("external").to_owned();
        Ok(Self {
            redirect_uri_text,
            redirect_uri,
            state,
            scope,
            challenge,
            origin,
        })
    }

    fn refused(&self) -> Url {
        with(
            self.redirect_uri.clone(),
            &[
                ("error", Some("access_denied")),
                ("state", self.state.as_deref()),
            ],
        )
    }
}

/// Decides without the form if the query or a live token permits it. Otherwise returns the form.
fn ask(shared: &Shared, call: &Call, request: &Request) -> Response {
    let member = call
        .query
        .get("sandbox_member")
        .or_else(|| call.cookie(SESSION_COOKIE));
    match (member, call.query.get("sandbox_decision")) {
        // A refusal needs no member.
        (_, Some("refuse")) => return redirect(request.refused().as_str()),
        (member, Some(decision)) => {
            return decide(shared, request, member.unwrap_or_default(), decision);
        }
        _ => {}
    }
    let now = shared.clock.now();
    let db = shared.db();
    let known = member.and_then(|id| db.find(id));
    let forced = call.query.get("approval_prompt") == Some("force");
    if let Some(index) = known
        && !forced
        && db.grants.has_live(index, &request.scope, now)
    {
        drop(db);
        return decide(shared, request, member.unwrap_or_default(), "allow");
    }
    let page = pages::authorize(&db, &pages::csrf(shared), known, &request.refused());
    private_html(StatusCode::OK, page)
}

/// Redirects to the client with a code or a refusal.
fn decide(shared: &Shared, request: &Request, member: &str, decision: &str) -> Response {
    let now = shared.clock.now();
    let mut db = shared.db();
    let Some(index) = db.find(member) else {
        let text = format!("There is no member {member:?} in this sandbox.");
        return private_html(
            StatusCode::BAD_REQUEST,
            pages::message("No such member", &text),
        );
    };
    match decision {
        "allow" => {}
        "refuse" => return redirect(request.refused().as_str()),
        _ => {
            let text = "sandbox_decision is either allow or refuse.";
            return private_html(
                StatusCode::BAD_REQUEST,
                pages::message("No such decision", text),
            );
        }
    }
    if !db.members[index].joined() && !db.accepts_members() {
        return redirect("/direct-sharing/authorize-full/");
    }
    db.join(index, now);
    let code = db.grants.new_code(
        index,
        request.redirect_uri_text.clone(),
        request.scope.clone(),
        request.challenge.clone(),
        now,
    );
    let added = [
        ("code", Some(code.as_str())),
        ("state", request.state.as_deref()),
        ("origin", Some(request.origin.as_str())),
    ];
    redirect(with(request.redirect_uri.clone(), &added).as_str())
}

/// Stores the member in the cookie.
fn remember_member(mut response: Response, member: &str) -> Response {
    let cookie = format!("{SESSION_COOKIE}={member}; Path=/; HttpOnly; SameSite=Lax");
    if response.status() == StatusCode::FOUND
        && let Ok(cookie) = HeaderValue::from_str(&cookie)
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
