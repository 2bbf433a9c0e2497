//! A token store of one's own, and an app that uses it.
//!
//! The store is in `store.rs`: one JSON file for each member, for several processes at once. Copy it,
//! or read it as the pattern for a store over whatever you have. `tests.rs` runs the public
//! acceptance suite on it, which is how you know that yours is right.
//!
//! `cargo run -p custom-store` shows it with a sandbox that stands in for Open Humans: a member logs
//! in, the token is refreshed, the app is started again, and the member is still there. The store
//! is in a temporary directory, or in the one that is named:
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

const APP: &str = "https://app.example";
const ALICE: &str = "01026778";

#[tokio::main]
async fn main() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let named = std::env::args_os().nth(1).map(PathBuf::from);
    show(&named.unwrap_or_else(|| temporary.path().join("members"))).await
}

#[expect(clippy::print_stdout, reason = "a program says what it does")]
async fn show(dir: &Path) -> Result<()> {
    let sandbox = Sandbox::builder()
        .redirect_uri(format!("{APP}/openhumans/complete"))
        .member(ALICE, Some("alice"))
        .start()
        .await?;
    println!("A sandbox stands in for Open Humans at {}", sandbox.url());

    let app = start(&sandbox, dir)?;
    println!("The app keeps its members in {}", dir.display());

    let session = log_in(&app, &sandbox).await?;
    let alice = session.member.clone();
    println!("Member {alice} has logged in.");

    let first = app.access_token(&alice).await?;
    sandbox.expire_tokens(ALICE);
    let second = app.refreshed_access_token(&alice, &first).await?;
    if first.expose() == second.expose() {
        bail!("the token was not refreshed");
    }
    println!("The access token has expired, and was refreshed.");

    drop(app);
    let app = start(&sandbox, dir)?;
    println!("The app was started again.");

    let member = app.member(Some(session)).await?;
    let member = member.context("the session has ended")?;
    let name = member.username().unwrap_or("without a name");
    println!("Member {} ({name}) is still logged in.", member.id());

    let answer = app.member_client(&alice).exchange_member().await?;
    let known = answer.project_member_id;
    println!("Open Humans takes the stored token as that of {known}.");
    Ok(())
}

/// What each process of the app does when it starts.
fn start(sandbox: &Sandbox, dir: &Path) -> Result<OpenHumans> {
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), APP)
        .oh_base_url(sandbox.url().as_str())
        .build()?;
    let app = OpenHumans::builder(settings)
        .token_store(FileStore::open(dir)?)
        .build()?;
    Ok(app)
}

/// Does what a browser would: from the app to Open Humans, and back with the code and the cookies.
async fn log_in(app: &OpenHumans, sandbox: &Sandbox) -> Result<SessionMember> {
    let begin = Request::get("/openhumans/login").body(String::new())?;
    let away = app.respond(Route::Login, begin, None).await.response;
    let to = away.headers().get(LOCATION);
    let to = to.context("the login leads nowhere")?;
    let back: Url = sandbox.authorize(ALICE, to.to_str()?).await?;
    let complete = Request::get(&back[Position::BeforePath..])
        .header(COOKIE, cookies(away.headers())?)
        .body(String::new())?;
    match app.respond(Route::Complete, complete, None).await.session {
        SessionChange::LogIn(member) => Ok(member),
        _ => bail!("the login was refused"),
    }
}

/// The cookies of an answer, as the next request sends them.
fn cookies(answer: &HeaderMap) -> Result<String> {
    let mut cookies = Vec::new();
    for cookie in answer.get_all(SET_COOKIE) {
        cookies.extend(cookie.to_str()?.split(';').next());
    }
    Ok(cookies.join("; "))
}
