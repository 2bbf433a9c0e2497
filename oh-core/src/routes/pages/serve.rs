//! The way in: what every page is asked through, in the same order.

use std::pin::pin;

use bytes::{Buf, Bytes};
use futures_util::future::{Either, select};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};

use super::context::Context;
use super::form::{self, Input};
use super::problem::Problem;
use super::reply::Outcome;
use super::{assets, desk, disconnect, edit, files, home, login, openapi, probes, show, upload};
use crate::OpenHumans;
use crate::login::LoginFailure;
use crate::pages::route::{PageRoute, Wants};
use crate::pages::settings::Pages;
use crate::pages::texts::Text;
use crate::pages::view::{LogoutPage, Page};
use crate::routes::{RouteOutcome, origin, private};
use crate::session::{Member, SessionMember};
use crate::transport::BoxError;

/// Answers a request to a page.
pub(in crate::routes) async fn respond<B>(
    openhumans: &OpenHumans,
    route: PageRoute,
    request: Request<B>,
    session: Option<SessionMember>,
) -> RouteOutcome
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let Some(pages) = &openhumans.inner.pages else {
        return RouteOutcome::keep(crate::routes::plain(StatusCode::NOT_FOUND, "not found\n"));
    };
    let cx = Context::new(openhumans, pages, &head);
    if head.method == Method::POST && !came_from_here(openhumans, &head) {
        // Not a byte of the body is looked at.
        let mut answer = show::problem(&cx, &Problem::elsewhere());
        private(&mut answer.response);
        return answer;
    }
    let mut answer = match route.wants(&head.method) {
        Wants::Nothing => serve(&cx, route, session, Input::Nothing).await,
        Wants::Form => serve(&cx, route, session, form::read(body).await).await,
        Wants::Upload => {
            let (carrying, input) = form::carry(body);
            let serving = serve(&cx, route, session, input);
            match select(pin!(serving), pin!(carrying)).await {
                Either::Left((answer, _)) => answer,
                Either::Right((never, _)) => match never {},
            }
        }
    };
    if route != PageRoute::Asset {
        private(&mut answer.response);
    }
    answer
}

/// The page for a login that failed, if the app has pages.
pub(in crate::routes) fn login_failed(
    openhumans: &OpenHumans,
    head: &Parts,
    failure: &LoginFailure,
    login_url: String,
) -> Option<Response<Bytes>> {
    let cx = Context::new(openhumans, openhumans.inner.pages.as_ref()?, head);
    let page = Page::Login(login::failed(&cx, failure, login_url));
    Some(show::rendered(&cx, failure.status(), &page))
}

/// The page for someone whom another site has led to the login, if the app has pages.
pub(in crate::routes) fn ask_first(
    openhumans: &OpenHumans,
    head: &Parts,
    status: StatusCode,
    login_url: String,
) -> Option<Response<Bytes>> {
    let cx = Context::new(openhumans, openhumans.inner.pages.as_ref()?, head);
    let page = Page::Login(login::asked(&cx, login_url));
    Some(show::rendered(&cx, status, &page))
}

/// The page for someone whom a link has led to the logout, if the app has pages.
pub(in crate::routes) fn ask_to_log_out(
    openhumans: &OpenHumans,
    head: &Parts,
    logout_url: String,
) -> Option<Response<Bytes>> {
    let cx = Context::new(openhumans, openhumans.inner.pages.as_ref()?, head);
    let page = Page::Logout(LogoutPage { logout_url });
    Some(show::rendered(&cx, StatusCode::OK, &page))
}

fn came_from_here(openhumans: &OpenHumans, head: &Parts) -> bool {
    let app = openhumans.settings().app_base_url();
    origin::of(&head.headers, app) == origin::RequestOrigin::SameOrigin
}

async fn serve(
    cx: &Context<'_>,
    route: PageRoute,
    session: Option<SessionMember>,
    input: Input,
) -> RouteOutcome {
    match try_serve(cx, route, session, input).await {
        Ok(reply) => show::answer(cx, reply),
        Err(problem) => show::problem(cx, &problem),
    }
}

async fn try_serve(
    cx: &Context<'_>,
    route: PageRoute,
    session: Option<SessionMember>,
    input: Input,
) -> Outcome {
    match route {
        PageRoute::Asset => return Ok(assets::answer(route.parameter(&cx.head.uri)).into()),
        PageRoute::OpenApi => return Ok(openapi::answer(cx).into()),
        PageRoute::Health => return Ok(probes::health().into()),
        PageRoute::Ready => return Ok(probes::ready(cx).await.into()),
        _ => {}
    }
    let found = cx.openhumans.member(session).await;
    if route.is_staff() {
        // Those who run things must get in also when the token store is down.
        let member = found.unwrap_or_default();
        admit(cx, cx.pages, member.as_ref()).await?;
        return desk::serve(cx, route).await;
    }
    let member = match found {
        Ok(Some(member)) => member,
        Ok(None) if route == PageRoute::Home => return home::nobody(cx),
        missing => {
            let Parts {
                method,
                uri,
                headers,
                ..
            } = cx.head;
            let error = missing.as_ref().err();
            let uri = whole(cx, uri);
            let answer = cx
                .openhumans
                .unauthenticated_response(method, &uri, headers, error);
            return Ok(RouteOutcome::keep(answer).into());
        }
    };
    match (route, &cx.head.method) {
        (PageRoute::Home, _) => home::member(cx, &member).await,
        (PageRoute::Files, _) => files::list(cx, &member).await,
        (PageRoute::Upload, _) => upload::upload(cx, &member, input).await,
        (PageRoute::Download, _) => files::download(cx, &member).await,
        (PageRoute::Edit, &Method::POST) => edit::edit(cx, &member, input).await,
        (PageRoute::Edit, _) => edit::ask(cx, &member).await,
        (PageRoute::Delete, &Method::POST) => files::delete(cx, &member).await,
        (PageRoute::Delete, _) => files::ask_to_delete(cx, &member).await,
        (PageRoute::DeleteAll, &Method::POST) => files::delete_all(cx, &member).await,
        (PageRoute::DeleteAll, _) => files::ask_to_delete_all(cx, &member).await,
        (PageRoute::Disconnect, &Method::POST) => disconnect::disconnect(cx, &member, input).await,
        (PageRoute::Disconnect, _) => disconnect::ask(&member),
        _ => Err(Problem::not_found()),
    }
}

/// The address that was asked for, from the app's root on: routers take the mount path off.
fn whole(cx: &Context<'_>, uri: &http::Uri) -> http::Uri {
    let mount = cx.openhumans.settings().mount_path();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let prefix = cx.openhumans.settings().app_base_url().path();
    let prefix = prefix.trim_end_matches('/');
    let rest = path.strip_prefix(prefix).unwrap_or(path);
    if rest
        .strip_prefix(mount)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    {
        return uri.clone();
    }
    format!("{mount}{path}").parse().unwrap_or_default()
}

async fn admit(cx: &Context<'_>, pages: &Pages, member: Option<&Member>) -> Result<(), Problem> {
    let Some(guard) = &pages.staff else {
        return Err(Problem::not_found());
    };
    if guard.admits(cx.head, member).await {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "staff_only",
        Text::StaffOnlyProblem,
    ))
}
