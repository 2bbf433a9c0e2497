//! The OpenAPI document of the routes, generated from the handlers and their types.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use oh_core::Settings;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::Paths;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{OpenApi, PartialSchema};

use crate::access::Access;
use crate::app::App;
use crate::context;
use crate::pages::ErrorPage;
use crate::response::json_response;

const JSON: &str = "application/json";

/// A route with its access, its schemas and its operations.
pub(crate) type Described = (Access, Vec<(String, RefOr<Schema>)>, Paths);

/// Returns this document
#[utoipa::path(get, path = "/openapi.json", responses(
    (status = 200, description = "The document", body = Object),
))]
pub(crate) async fn document(State(app): State<App>) -> Response {
    json_response(StatusCode::OK, app.document()).map(Body::from)
}

/// The routes of `oh-core`, which have no handlers here.
#[derive(OpenApi)]
#[openapi(paths(login, start_login, complete, logout_form, logout, deauth))]
struct CoreRoutes;

/// Redirects to Open Humans
#[utoipa::path(
    get,
    path = "/login",
    params(("next" = Option<String>, Query, description = "The path to return to")),
    responses((status = 303, description = "The authorization URL, in Location")),
)]
#[expect(dead_code, reason = "describes a route of oh-core")]
fn login() {}

/// Redirects to Open Humans
#[utoipa::path(
    post,
    path = "/login",
    params(("next" = Option<String>, Query, description = "The path to return to")),
    responses((status = 303, description = "The authorization URL, in Location")),
)]
#[expect(dead_code, reason = "describes a route of oh-core")]
fn start_login() {}

/// Completes a login. Open Humans redirects the browser here
#[utoipa::path(
    get,
    path = "/complete",
    params(
        ("state" = String, Query, min_length = 1, description = "The login"),
        ("code" = Option<String>, Query, min_length = 1, description = "The authorization code"),
        ("error" = Option<String>, Query, min_length = 1, description = "The OAuth2 error code"),
    ),
    responses((status = 303, description = "The page after a login, in Location")),
)]
#[expect(dead_code, reason = "describes a route of oh-core")]
fn complete() {}

/// Shows where to log out
#[utoipa::path(get, path = "/logout", responses(
    (status = 200, description = "The page", body = crate::pages::LogoutPage),
))]
#[expect(dead_code, reason = "describes a route of oh-core")]
fn logout_form() {}

/// Logs out, on every device
#[utoipa::path(post, path = "/logout", responses(
    (status = 303, description = "The page after a logout, in Location"),
))]
#[expect(dead_code, reason = "describes a route of oh-core")]
fn logout() {}

/// Receives the deauthorization webhook of Open Humans
#[utoipa::path(post, path = "/deauth", responses(
    (status = 204, description = "The event is stored"),
    (status = "default", description = "The event is not stored", body = String, content_type = "text/plain"),
))]
#[expect(dead_code, reason = "describes a route of oh-core")]
fn deauth() {}

/// Builds the document.
pub(crate) fn describe(settings: &Settings, app_name: &str, routes: Vec<Described>) -> Value {
    let base = context::base(settings);
    let mut core = serde_json::to_value(CoreRoutes::openapi()).expect("a document is JSON");
    let mut schemas: Map<String, Value> = take_object(&mut core["components"]["schemas"]);
    schemas.insert("ErrorPage".to_owned(), to_json(&ErrorPage::schema()));
    let mut paths = Map::new();
    for (path, mut operations) in take_object(&mut core["paths"]) {
        for operation in operations
            .as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
        {
            complete_operation(operation, Access::Anyone, &schemas);
        }
        paths.insert(format!("{base}{path}"), operations);
    }
    for (access, described, operations) in routes {
        schemas.extend(
            described
                .iter()
                .map(|(name, schema)| (name.clone(), to_json(schema))),
        );
        for (path, mut operations) in take_object(&mut to_json(&operations)) {
            for operation in operations
                .as_object_mut()
                .into_iter()
                .flat_map(Map::values_mut)
            {
                complete_operation(operation, access, &schemas);
            }
            paths.insert(format!("{base}{}", path.trim_end_matches('/')), operations);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{app_name}: Open Humans routes"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Clients that prefer application/json receive JSON, all others HTML. \
                            POST requests must come from the application's origin. The \
                            application's session cookie identifies the member.",
        },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// Adds what all operations have in common: errors, and HTML beside JSON. A body without required
/// fields becomes optional.
fn complete_operation(operation: &mut Value, access: Access, schemas: &Map<String, Value>) {
    let schema = operation.pointer("/requestBody/content/application~1json/schema/$ref");
    let name = schema
        .and_then(Value::as_str)
        .and_then(|name| name.rsplit('/').next());
    if let Some(schema) = name.and_then(|name| schemas.get(name))
        && schema.get("required").is_none()
    {
        operation["requestBody"]["required"] = json!(false);
    }
    let responses = operation.get_mut("responses");
    let Some(responses) = responses.and_then(Value::as_object_mut) else {
        return;
    };
    let is_negotiated = access != Access::Public;
    let mut is_action = false;
    for response in responses.values_mut().filter(|_| is_negotiated) {
        let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else {
            continue;
        };
        if let Some(schema) = content.get(JSON) {
            is_action |= schema["schema"]["$ref"] == "#/components/schemas/Confirmation";
            content.insert(
                "text/html".to_owned(),
                json!({ "schema": { "type": "string" } }),
            );
        }
    }
    if is_action {
        let description = "For browsers: the page that confirms the action, in Location";
        responses.insert("303".to_owned(), json!({ "description": description }));
    }
    responses.entry("default").or_insert_with(|| {
        json!({
            "description": "The request failed",
            "content": {
                JSON: { "schema": { "$ref": "#/components/schemas/ErrorPage" } },
                "text/html": { "schema": { "type": "string" } },
            },
        })
    });
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("a part of a document is JSON")
}

fn take_object(value: &mut Value) -> Map<String, Value> {
    match value.take() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
