//! An app without a framework, and a browser without a window.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response};
use http_body_util::Full;
use oh_core::routes::Route;
use oh_core::transport::BoxError;
use oh_core::{
    Clock, OpenHumans, OpenHumansBuilder, ProjectMemberId, SessionChange, SessionMember, Settings,
};
use oh_sandbox::Sandbox;
use url::Url;

pub(crate) const APP: &str = "https://app.example";
pub(crate) const ALICE: &str = "01026778";
pub(crate) const WEBHOOK_SECRET: &str = "abcdefghijklmnop";

pub(crate) fn alice() -> ProjectMemberId {
    ALICE.parse().unwrap()
}

pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::builder()
        .redirect_uri(format!("{APP}/openhumans/complete"))
        .webhook_secret(WEBHOOK_SECRET)
        .member(ALICE, Some("alice"))
        .start()
        .await
        .unwrap()
}

pub(crate) fn settings(sandbox: &Sandbox) -> oh_core::SettingsBuilder {
    Settings::builder(sandbox.client_id(), sandbox.client_secret(), APP)
        .oh_base_url(sandbox.url().as_str())
        .master_token(sandbox.master_token())
        .webhook_secret(WEBHOOK_SECRET)
}

pub(crate) fn app(sandbox: &Sandbox) -> OpenHumansBuilder {
    OpenHumans::builder(settings(sandbox).build().unwrap())
}

pub(crate) fn clock() -> Clock {
    Clock::manual(oh_core::Timestamp::now())
}

/// Keeps cookies and one session, as a browser and a host would.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) session: Option<SessionMember>,
    /// How often the session's id was renewed.
    pub(crate) renewals: u32,
}

impl Browser {
    pub(crate) async fn send(
        &mut self,
        oh: &OpenHumans,
        route: Route,
        request: http::request::Builder,
    ) -> Response<Bytes> {
        let request = request.body(Full::new(Bytes::new())).unwrap();
        self.send_body(oh, route, request).await
    }

    pub(crate) async fn send_body<B>(
        &mut self,
        oh: &OpenHumans,
        route: Route,
        mut request: Request<B>,
    ) -> Response<Bytes>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        if !cookies.is_empty() {
            request
                .headers_mut()
                .insert(COOKIE, cookies.join("; ").parse().unwrap());
        }
        let answer = oh.respond(route, request, self.session.clone()).await;
        match answer.session {
            SessionChange::Keep => {}
            SessionChange::LogIn(member) => {
                self.session = Some(member);
                self.renewals += 1;
            }
            SessionChange::LogOut => {
                self.session = None;
                self.renewals += 1;
            }
        }
        for set in answer.response.headers().get_all(SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
            .response
            .map(|body| body.into_bytes().expect("an answer in memory"))
    }

    pub(crate) async fn get(
        &mut self,
        oh: &OpenHumans,
        route: Route,
        path: &str,
    ) -> Response<Bytes> {
        self.send(oh, route, Request::get(path)).await
    }

    /// Follows the login route; gives Open Humans' authorization URL.
    pub(crate) async fn begin(&mut self, oh: &OpenHumans, path: &str) -> Url {
        let response = self.get(oh, Route::Login, path).await;
        assert_eq!(response.status(), 303);
        location(&response).parse().unwrap()
    }

    /// Comes back from Open Humans by this URL.
    pub(crate) async fn come_back(&mut self, oh: &OpenHumans, url: &Url) -> Response<Bytes> {
        self.get(
            oh,
            Route::Complete,
            &format!("{}?{}", url.path(), url.query().unwrap()),
        )
        .await
    }

    pub(crate) async fn log_in(
        &mut self,
        oh: &OpenHumans,
        sandbox: &Sandbox,
        member: &str,
    ) -> Response<Bytes> {
        let url = self.begin(oh, "/openhumans/login").await;
        let back = sandbox.authorize(member, url).await.unwrap();
        self.come_back(oh, &back).await
    }
}

pub(crate) fn location(response: &Response<Bytes>) -> &str {
    response.headers()[LOCATION].to_str().unwrap()
}

pub(crate) fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}
