//! An application with users, passwords and SQL sessions, whose users connect Open Humans accounts.
//!
//! `main` is its test: a user signs in, connects, stays signed in after a restart, and leaves.

mod users;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use axum::extract::Form;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::Router;
use axum_login::{AuthManagerLayerBuilder, login_required};
use oh_axum::{Handle, HostSession, Member};
use oh_core::OpenHumans;
use oh_core::deauth::{DeauthHandler, Departure};
use oh_core::login::{AuthorizedMember, LoginHandler, LoginRequest, LoginRejected, LoginAccepted};
use oh_core::transport::BoxError;
use oh_test::{ALICE, BOB, Kit, MemberLedger};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tower_sessions::{Session, SessionManagerLayer};
use tower_sessions_sqlx_store::SqliteStore as SessionStore;

use users::{Credentials, User, Users};

type AuthSession = axum_login::AuthSession<Users>;

/// Returns all routes: public ones, routes for signed-in users, and the Open Humans routes.
fn app(openhumans: &OpenHumans, users: Users, sessions: SessionStore) -> Router {
    let sessions = SessionManagerLayer::new(sessions);
    Router::new()
        .route("/connect", post(connect))
        .route("/nights", get(nights))
        .route_layer(login_required!(Users, login_url = "/sign-in"))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        // The session type of tower-sessions 0.14
        .nest(
            "/openhumans",
            oh_axum::router_with_session::<Session, ()>(openhumans),
        )
        .layer(oh_axum::layer_with_session::<Session>(openhumans))
        .layer(AuthManagerLayerBuilder::new(users, sessions).build())
}

async fn sign_in(
    mut auth: AuthSession,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Response, AppError> {
    let Some(user) = auth.authenticate(form).await.map_err(anyhow::Error::from)? else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    // The previous user of this browser may have an Open Humans login in the session.
    session.log_out().await.map_err(anyhow::Error::from)?;
    auth.login(&user).await.map_err(anyhow::Error::from)?;
    Ok(Redirect::to("/nights").into_response())
}

async fn sign_out(mut auth: AuthSession) -> Result<StatusCode, AppError> {
    auth.logout().await.map_err(anyhow::Error::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Redirects a user to Open Humans. The encrypted context identifies the user at the callback.
async fn connect(
    auth: AuthSession,
    handle: Handle,
    headers: HeaderMap,
) -> Result<Response, AppError> {
    let user: User = auth.user.context("login_required lets nobody else in")?;
    let login = LoginRequest::new().context(user.id.to_string()).map_err(anyhow::Error::from)?;
    Ok(handle.start_login(login, &headers))
}

async fn nights(auth: AuthSession, member: Option<Member>) -> Result<String, AppError> {
    let user: User = auth.user.context("login_required lets nobody else in")?;
    let member = member.map(|member| member.id().to_string());
    Ok(format!("{} {:?} {member:?}", user.name, user.member))
}

struct AppError(anyhow::Error);

impl From<anyhow::Error> for AppError {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}

#[async_trait]
impl LoginHandler for Users {
    async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        let user = login.context.as_deref().and_then(|user| user.parse().ok());
        let user = user.ok_or_else(|| LoginRejected::new("Sign in first, then connect."))?;
        match self.connect(user, login.member.as_str()).await {
            Ok(true) if login.return_to.is_some() => Ok(LoginAccepted::new()),
            Ok(true) => Ok(LoginAccepted::redirect_to("/nights")),
            Ok(false) => Err(LoginRejected::new("Someone is connected already.")),
            Err(_) => Err(LoginRejected::new("Please try again later.")),
        }
    }

    /// Returns the context for logins that start at `/openhumans/login`.
    async fn context(&self, head: &Parts) -> Option<String> {
        let auth = head.extensions.get::<AuthSession>()?;
        Some(auth.user.as_ref()?.id.to_string())
    }
}

#[async_trait]
impl DeauthHandler for Users {
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
        self.disconnect(departure.event.member.as_str()).await?;
        Ok(())
    }
}

/// Starts the application. One file contains its tables and the tables of oh-sqlx, with separate pools, for
/// sqlx 0.8 and 0.9.
async fn start(kit: &Kit, database: &Path) -> Result<(OpenHumans, Router, Users)> {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await?;
    let users = Users::new(pool.clone()).await?;
    let sessions = SessionStore::new(pool);
    sessions.migrate().await?;

    let store = oh_sqlx::SqliteStore::connect(database).await?;
    let openhumans = kit
        .openhumans()
        .token_store(store.clone())
        .deauth_inbox(store)
        .login_handler(users.clone())
        .deauth_handler(users.clone())
        .build()?;
    let app = app(&openhumans, users.clone(), sessions);
    Ok((openhumans, app, users))
}

#[tokio::main]
async fn main() -> Result<()> {
    let kit = Kit::start().await?;
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("app.sqlite");
    let (_, first, users) = start(&kit, &database).await?;
    users.add("anna", "correct horse").await?;
    users.add("otto", "battery staple").await?;

    // Routes require the application's own login.
    let mut anna = kit.axum(&first);
    ensure!(anna.get("/nights").await.location().starts_with("/sign-in"));
    let response = anna.post("/sign-in", [("name", "anna"), ("password", "guess")]).await;
    ensure!(response.status() == 401, "{response}");
    let right = [("name", "anna"), ("password", "correct horse")];
    ensure!(anna.post("/sign-in", right).await.location() == "/nights");
    let page = anna.get("/nights").await.text();
    ensure!(page == "anna None None", "{page}");

    // Anna connects an Open Humans account and stays signed in.
    let empty: [(&str, &str); 0] = [];
    let redirect = anna.post("/connect", empty).await;
    let response = anna.authorize(ALICE, &redirect).await;
    ensure!(response.location() == "/nights", "{response}");
    let connected = format!("anna Some({ALICE:?}) Some({ALICE:?})");
    let page = anna.get("/nights").await.text();
    ensure!(page == connected, "{page}");

    // After signing in again, `Member` requires another Open Humans login.
    anna.post("/sign-out", empty).await;
    anna.post("/sign-in", right).await;
    let page = anna.get("/nights").await.text();
    ensure!(page == format!("anna Some({ALICE:?}) None"), "{page}");
    let redirect = anna.get("/openhumans/login?next=/nights?of=may").await;
    let response = anna.authorize(ALICE, &redirect).await;
    ensure!(response.location() == "/nights?of=may", "{response}");
    let page = anna.get("/nights").await.text();
    ensure!(page == connected, "{page}");

    // Another user of the same browser is not logged in as the member.
    let battery = [("name", "otto"), ("password", "battery staple")];
    let mut shared = kit.axum(&first);
    shared.post("/sign-in", right).await;
    let redirect = shared.get("/openhumans/login").await;
    shared.authorize(ALICE, &redirect).await;
    shared.post("/sign-in", battery).await;
    let page = shared.get("/nights").await.text();
    ensure!(page == "otto None None", "{page}");

    // The login page of Open Humans alone is no way in, and a member is not connected twice.
    let mut stranger = kit.axum(&first);
    let redirect = stranger.get("/openhumans/login").await;
    let response = stranger.authorize(BOB, &redirect).await;
    ensure!(response.text().contains("Sign in first"), "{response}");
    let mut otto = kit.axum(&first);
    otto.post("/sign-in", battery).await;
    let redirect = otto.post("/connect", empty).await;
    let response = otto.authorize(ALICE, &redirect).await;
    ensure!(response.text().contains("connected already"), "{response}");

    // After a restart, sessions and tokens are still in the database.
    let cookie = anna.cookie("id").context("a session has a cookie")?.to_owned();
    drop(first);
    let (openhumans, second, _) = start(&kit, &database).await?;
    let request = axum::http::Request::get("/nights").header("cookie", format!("id={cookie}"));
    let page = kit.axum(&second).send(request.body(Default::default())?).await.text();
    ensure!(page == connected, "after a restart: {page}");
    let client = openhumans.member_client(&ALICE.parse()?);
    ensure!(client.project_member_id().await?.as_str() == ALICE);

    // Anna leaves the project. She is still a user, but no longer a member.
    let statuses = kit.axum(&second).leave(ALICE, true).await;
    ensure!(statuses == [204], "{statuses:?}");
    kit.run_worker(&openhumans).await;
    MemberLedger::of(&openhumans, ALICE).await.assert_done();
    let request = axum::http::Request::get("/nights").header("cookie", format!("id={cookie}"));
    let page = kit.axum(&second).send(request.body(Default::default())?).await.text();
    ensure!(page == "anna None None", "after leaving: {page}");

    println!("axum-login, sessions in SQL and sqlx 0.8 work beside Open Humans");
    Ok(())
}
