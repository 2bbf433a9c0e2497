//! A custom token store and an application that uses it.
//!
//! `store.rs` contains the store: one JSON file per member, safe for several processes. Use it as a
//! pattern for your own database. `tests.rs` runs the public acceptance suite on it, as you should
//! on your store.
//!
//! `cargo run -p custom-store` uses the store with a sandbox in place of Open Humans: a member logs
//! in, the token is refreshed, the application restarts, and the member is still logged in. The
//! files are in a temporary directory or in the one that you name:
//! `cargo run -p custom-store -- ./members`.

mod store;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Request};
use oh_core::routes::Route;
use oh_core::{OpenHumans, SessionChange, SessionMember, Settings};
use oh_sandbox::Sandbox;
use url::{Position, Url};

use crate::store::FileStore;

const BASE_URL: &str = "https://app.example";
const ALICE: &str = "01026778";

#[tokio::main]
async fn main() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = std::env::args_os().nth(1).map(PathBuf::from);
    run(&dir.unwrap_or_else(|| temporary.path().join("members"))).await
}

#[expect(clippy::print_stdout, reason = "the program prints its progress")]
async fn run(dir: &Path) -> Result<()> {
    let sandbox = Sandbox::builder()
        .redirect_uri(format!("{BASE_URL}/openhumans/complete"))
        .member(ALICE, Some("alice"))
        .start()
        .await?;
    println!("The sandbox runs at {}", sandbox.url());

    let openhumans = connect(&sandbox, dir)?;
    println!("The members are stored in {}", dir.display());

    let session = log_in(&openhumans, &sandbox).await?;
    let alice = session.member.clone();
    println!("Member {alice} logged in.");

    let first = openhumans.access_token(&alice).await?;
    sandbox.expire_tokens(ALICE);
    let second = openhumans.refreshed_access_token(&alice, &first).await?;
    if first.expose() == second.expose() {
        bail!("the token was not refreshed");
    }
    println!("The expired access token was refreshed.");

    drop(openhumans);
    let openhumans = connect(&sandbox, dir)?;
    println!("The application restarted.");

    let member = openhumans.member(Some(session)).await?;
    let member = member.context("the session has ended")?;
    println!("Member {} is still logged in.", member.id());

    let profile = openhumans.member_client(&alice).exchange_member().await?;
    let id = profile.project_member_id;
    println!("Open Humans accepts the stored token for member {id}.");
    Ok(())
}

/// Creates the handle, as each process of the application does at startup.
fn connect(sandbox: &Sandbox, dir: &Path) -> Result<OpenHumans> {
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), BASE_URL)
        .oh_base_url(sandbox.url().as_str())
        .build()?;
    let openhumans = OpenHumans::builder(settings)
        .token_store(FileStore::open(dir)?)
        .build()?;
    Ok(openhumans)
}

/// Performs a login as a browser does: to Open Humans, and back with the code and the cookies.
async fn log_in(openhumans: &OpenHumans, sandbox: &Sandbox) -> Result<SessionMember> {
    let login = Request::get("/openhumans/login").body(String::new())?;
    let redirect = openhumans.respond(Route::Login, login, None).await.response;
    let location = redirect.headers().get(LOCATION);
    let location = location.context("the login response has no Location header")?;
    let callback_url: Url = sandbox.authorize(ALICE, location.to_str()?).await?;
    let callback = Request::get(&callback_url[Position::BeforePath..])
        .header(COOKIE, cookies(redirect.headers())?)
        .body(String::new())?;
    match openhumans
        .respond(Route::Complete, callback, None)
        .await
        .session
    {
        SessionChange::LogIn(member) => Ok(member),
        _ => bail!("the login was rejected"),
    }
}

/// Returns the cookies that a response sets, as a `Cookie` header.
fn cookies(headers: &HeaderMap) -> Result<String> {
    let mut cookies = Vec::new();
    for cookie in headers.get_all(SET_COOKIE) {
        cookies.extend(cookie.to_str()?.split(';').next());
    }
    Ok(cookies.join("; "))
}
