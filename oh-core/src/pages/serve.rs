//! The way in: what every page is asked through, in the same order.

use std::pin::pin;

use bytes::Buf;
use futures_util::future::{Either, select};
use http::request::Parts;
use http::{Method, Request, StatusCode};

use super::context::Context;
use super::form::{self, Input};
use super::problem::{Outcome, Problem};
use super::route::{PageRoute, Wants};
use super::settings::Pages;
use super::texts::Text;
use super::{assets, desk, disconnect, edit, files, home, openapi, probes, upload};
use crate::OpenHumans;
use crate::routes::{Answer, origin, private};
use crate::session::{Member, SessionMember};
use crate::transport::BoxError;

/// Answers a request to a page.
pub(crate) async fn respond<B>(
    openhumans: &OpenHumans,
    route: PageRoute,
    request: Request<B>,
    session: Option<SessionMember>,
) -> Answer
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let Some(pages) = &openhumans.inner.pages else {
        return Answer::keep(crate::routes::plain(StatusCode::NOT_FOUND, "not found\n"));
    };
    let cx = Context::new(openhumans, pages, &head);
    if head.method == Method::POST && !came_from_here(openhumans, &head) {
        // Not a byte of the body is looked at.
        let mut answer = cx.problem(&Problem::elsewhere());
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

fn came_from_here(openhumans: &OpenHumans, head: &Parts) -> bool {
    let app = openhumans.settings().app_base_url();
    origin::of(&head.headers, app) == origin::From::Here
}

async fn serve(
    cx: &Context<'_>,
    route: PageRoute,
    session: Option<SessionMember>,
    input: Input,
) -> Answer {
    match try_serve(cx, route, session, input).await {
        Ok(answer) => answer,
        Err(problem) => cx.problem(&problem),
    }
}

async fn try_serve(
    cx: &Context<'_>,
    route: PageRoute,
    session: Option<SessionMember>,
    input: Input,
) -> Outcome<Answer> {
    match route {
        PageRoute::Asset => return Ok(assets::answer(route.parameter(&cx.head.uri))),
        PageRoute::OpenApi => return Ok(openapi::answer(cx)),
        PageRoute::Health => return Ok(probes::health()),
        PageRoute::Ready => return Ok(probes::ready(cx).await),
        _ => {}
    }
    let found = cx.openhumans.member(session).await;
    if route.is_staff() {
        // Those who run things must get in also when the token store is down.
        let member = found.unwrap_or_default();
        admit(cx, cx.pages, member.as_ref()).await?;
        return desk::serve(cx, route, input).await;
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
            return Ok(Answer::keep(answer));
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
        (PageRoute::Disconnect, _) => disconnect::ask(cx, &member),
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
    let path = if path == "/" { "" } else { path };
    format!("{mount}{path}").parse().unwrap_or_default()
}

async fn admit(cx: &Context<'_>, pages: &Pages, member: Option<&Member>) -> Outcome<()> {
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
