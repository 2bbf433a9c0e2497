//! Authentication: a member's access token or the project's master token.

use http::{HeaderValue, StatusCode, header};

use crate::secret::constant_time_eq;
use crate::state::Shared;
use crate::state::database::Database;
use crate::state::grants::Bearer;
use crate::web::call::Call;
use crate::web::params::Params;
use crate::web::respond::{ErrorResponse, detail, field_error, json_error};

/// The authenticated caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Project,
    /// The member with this index.
    Member(usize),
}

/// Creates an authentication error. The challenge may report an invalid token.
fn unauthorized(text: &str, invalid_token: bool) -> ErrorResponse {
    let mut response = detail(StatusCode::UNAUTHORIZED, text);
    let challenge = if invalid_token {
        "Bearer realm=\"api\",error=\"invalid_token\",error_description=\"The access token is invalid.\""
    } else {
        "Bearer realm=\"api\""
    };
    let challenge = HeaderValue::from_static(challenge);
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response.into()
}

impl Caller {
    /// Accepts either kind of token.
    pub(crate) fn anyone(shared: &Shared, call: &Call) -> Result<Self, ErrorResponse> {
        let token = token(call)?;
        let now = shared.clock.now();
        let db = shared.db();
        if constant_time_eq(&token, &shared.credentials.master_token) {
            return match db.settings.master_token_expires {
                Some(at) if now >= at => Err(unauthorized("Expired token.", true)),
                _ => Ok(Self::Project),
            };
        }
        match db.grants.bearer(&token, now) {
            Bearer::Member(index) => Ok(Self::Member(index)),
            Bearer::Expired => Err(unauthorized("Expired token.", false)),
            Bearer::Unknown => Err(unauthorized("Invalid token.", true)),
        }
    }

    /// Accepts the master token only.
    pub(crate) fn project(shared: &Shared, call: &Call) -> Result<Self, ErrorResponse> {
        match Self::anyone(shared, call)? {
            Self::Project => Ok(Self::Project),
            Self::Member(_) => Err(unauthorized("Invalid token.", false)),
        }
    }

    /// Accepts a member's token only.
    pub(crate) fn own(shared: &Shared, call: &Call) -> Result<Self, ErrorResponse> {
        match Self::anyone(shared, call)? {
            Self::Project => Err(unauthorized("Invalid token.", true)),
            member => Ok(member),
        }
    }

    /// Returns the member whom a request is about: the caller, or the member whom the project
    /// specifies.
    pub(crate) fn member(self, db: &Database, params: &Params) -> Result<usize, ErrorResponse> {
        let invalid = || {
            json_error(
                StatusCode::BAD_REQUEST,
                "project_member_id",
                "project_member_id is invalid",
            )
        };
        match self {
            Self::Member(index) if db.members[index].joined() => Ok(index),
            Self::Member(_) => Err(invalid().into()),
            Self::Project => {
                let id = params.text("project_member_id");
                let id =
                    id.ok_or_else(|| field_error("project_member_id", "This field is required."))?;
                Ok(db.find_joined(&id).ok_or_else(invalid)?)
            }
        }
    }
}

/// Returns the token of the request. A token in the query overrides the header, even if it is
/// empty.
fn token(call: &Call) -> Result<String, ErrorResponse> {
    let credentials = match call.query.get("access_token") {
        Some(token) => format!("Bearer {token}"),
        None => {
            let value = call.headers.get(header::AUTHORIZATION);
            // The server decodes headers as Latin-1.
            value
                .map(|value| {
                    value
                        .as_bytes()
                        .iter()
                        .map(|&byte| char::from(byte))
                        .collect()
                })
                .unwrap_or_default()
        }
    };
    let mut words = credentials.split_whitespace();
    if !words
        .next()
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
    {
        return Err(unauthorized(
            "Authentication credentials were not provided.",
            false,
        ));
    }
    match (words.next(), words.next()) {
        (None, _) => Err(unauthorized(
            "Invalid token header. No credentials provided.",
            false,
        )),
        (_, Some(_)) => Err(unauthorized(
            "Invalid token header. Token string should not contain spaces.",
            false,
        )),
        (Some(token), None) if !token.is_ascii() => Err(unauthorized(
            "Invalid token header. Token string should not contain invalid characters.",
            true,
        )),
        (Some(token), None) => Ok(token.to_owned()),
    }
}
