//! The endpoints for tokens: exchange, refresh, revocation and introspection.

use std::collections::HashMap;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode, header};

use super::redirect::registered;
use crate::secret::constant_time_eq;
use crate::state::Shared;
use crate::state::grants::{IssuedTokens, RefreshRefused};
use crate::web::call::Call;
use crate::web::params::Params;
use crate::web::respond::{html, oauth_error, oauth_json, response};

/// `POST /oauth2/token/`
pub(crate) fn token(shared: &Shared, call: &Call, params: &Params) -> Response {
    if call.method != Method::POST {
        return method_not_allowed();
    }
    let form = params.form();
    let (grant, result) = grant(shared, call, &form);
    shared.counter.token_request(
        grant,
        result
            .as_ref()
            .map_or_else(|refused| refused.error, |_| "granted"),
    );
    match result {
        Ok(tokens) => granted(&tokens),
        Err(refused) if refused.as_page => {
            let mut response = oauth_error(refused.error, refused.description);
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, html);
            response
        }
        Err(refused) => oauth_error(refused.error, refused.description),
    }
}

/// `POST /oauth2/revoke_token/`, RFC 7009. Succeeds for unknown tokens as well.
pub(crate) fn revoke(shared: &Shared, call: &Call, params: &Params) -> Response {
    if call.method != Method::POST {
        return method_not_allowed();
    }
    let form = params.form();
    if !authenticate_client(shared, call, &form) {
        return oauth_error("invalid_client", None);
    }
    match form.get("token") {
        Some(token) if !token.is_empty() => {
            shared.db().grants.revoke(token);
            html(StatusCode::OK, "")
        }
        _ => oauth_error("invalid_request", Some("Missing token parameter.")),
    }
}

/// `POST /oauth2/introspect/`, RFC 7662, for the client's own tokens.
pub(crate) fn introspect(shared: &Shared, call: &Call, params: &Params) -> Response {
    let form = params.form();
    if !authenticate_client(shared, call, &form) {
        return html(StatusCode::FORBIDDEN, "");
    }
    let now = shared.clock.now();
    let db = shared.db();
    let token = form.get("token").map_or("", String::as_str);
    let body = match db.grants.describe(token, now) {
        None => crate::web::respond::python_json(&[("active", false.into())]),
        Some((member, scope, expires)) => crate::web::respond::python_json(&[
            ("active", true.into()),
            ("scope", scope.into()),
            ("exp", expires.into()),
            ("client_id", shared.credentials.client_id.as_str().into()),
            ("username", db.members[member].account_name().into()),
        ]),
    };
    response(StatusCode::OK, "application/json", body)
}

struct Refused {
    error: &'static str,
    description: Option<&'static str>,
    /// Whether the content type is `text/html`, although the body is JSON.
    as_page: bool,
}

impl From<&'static str> for Refused {
    fn from(error: &'static str) -> Self {
        Self {
            error,
            description: None,
            as_page: false,
        }
    }
}

fn invalid_request(description: &'static str) -> Refused {
    Refused {
        error: "invalid_request",
        description: Some(description),
        as_page: false,
    }
}

type Form = HashMap<String, String>;

/// Returns the grant type and the result. The checks are in oauthlib's order.
fn grant(
    shared: &Shared,
    call: &Call,
    form: &Form,
) -> (&'static str, Result<IssuedTokens, Refused>) {
    if call
        .raw_query
        .as_deref()
        .is_some_and(|query| !query.is_empty())
    {
        let refused = Refused {
            as_page: true,
            ..invalid_request("URL query parameters are not allowed")
        };
        return ("none", Err(refused));
    }
    let name = match form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => "authorization_code",
        Some("refresh_token") => "refresh_token",
        Some("password" | "client_credentials") => "other",
        _ => return ("none", Err("unsupported_grant_type".into())),
    };
    if !authenticate_client(shared, call, form) {
        return (name, Err("invalid_client".into()));
    }
    let result = match name {
        "authorization_code" => exchange(shared, form),
        "refresh_token" => refresh(shared, form),
        _ => Err("unauthorized_client".into()),
    };
    (name, result)
}

fn exchange(shared: &Shared, form: &Form) -> Result<IssuedTokens, Refused> {
    let now = shared.clock.now();
    let mut db = shared.db();
    let code = given(form, "code").ok_or_else(|| invalid_request("Missing code parameter."))?;
    let grant = db.grants.code(code, now).ok_or("invalid_grant")?;
    if let Some(challenge) = &grant.challenge {
        let verifier = given(form, "code_verifier")
            .ok_or_else(|| invalid_request("Code verifier required."))?;
        if !challenge.accepts(verifier) {
            return Err("invalid_grant".into());
        }
    }
    if let Some(asked) = form.get("redirect_uri")
        && (grant.redirect_uri != *asked || registered(asked, &db.settings.redirect_uris).is_none())
    {
        return Err(invalid_request("Mismatching redirect URI."));
    }
    db.grants
        .exchange(code, now)
        .ok_or_else(|| "invalid_grant".into())
}

fn refresh(shared: &Shared, form: &Form) -> Result<IssuedTokens, Refused> {
    let now = shared.clock.now();
    let token = given(form, "refresh_token")
        .ok_or_else(|| invalid_request("Missing refresh token parameter."))?;
    let scope = given(form, "scope");
    shared
        .db()
        .grants
        .rotate(token, scope, now)
        .map_err(|refused| match refused {
            RefreshRefused::Unknown => "invalid_grant".into(),
            RefreshRefused::Scope => "invalid_scope".into(),
        })
}

fn given<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
}

fn granted(tokens: &IssuedTokens) -> Response {
    oauth_json(
        StatusCode::OK,
        &[
            ("access_token", tokens.access_token.as_str().into()),
            ("expires_in", tokens.expires_in.into()),
            ("token_type", "Bearer".into()),
            ("scope", tokens.scope.as_str().into()),
            ("refresh_token", tokens.refresh_token.as_str().into()),
        ],
    )
}

/// Checks the credentials in the header and in the body. One valid pair is sufficient.
fn authenticate_client(shared: &Shared, call: &Call, form: &Form) -> bool {
    if shared.db().settings.on_site {
        return false;
    }
    let in_header = call.header("authorization").and_then(basic);
    let in_body = given(form, "client_id").zip(given(form, "client_secret"));
    let in_body = in_body.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
    in_header.into_iter().chain(in_body).any(|(id, secret)| {
        constant_time_eq(&id, &shared.credentials.client_id)
            && constant_time_eq(&secret, &shared.credentials.client_secret)
    })
}

/// Parses HTTP Basic credentials. The server compares the scheme case-sensitively and form-decodes
/// both parts.
fn basic(header: &str) -> Option<(String, String)> {
    let decoded = STANDARD
        .decode(header.strip_prefix("Basic ")?.trim())
        .ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let unquote = |text: &str| {
        let text = text.replace('&', "%26").replace('=', "%3D");
        let pair = url::form_urlencoded::parse(text.as_bytes()).next();
        pair.map(|(key, _)| key.into_owned()).unwrap_or_default()
    };
    Some((unquote(id), unquote(secret)))
}

fn method_not_allowed() -> Response {
    let mut response = html(StatusCode::METHOD_NOT_ALLOWED, "");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_decodes_form_encoding_and_compares_scheme_case() {
        let header = format!("Basic {}", STANDARD.encode("a%3Ab:s+%2B=&c"));
        assert_eq!(basic(&header), Some(("a:b".into(), "s +=&c".into())));
        assert_eq!(basic(&header.replacen("Basic", "basic", 1)), None);
        assert_eq!(basic("Basic ???"), None);
    }
}
