//! A member's files: the list, the way to download one, and deleting.

use maud::{Markup, html};

use super::context::Context;
use super::layout;
use super::listing;
use super::problem::Problem;
use super::reply::{self, Outcome, Reply};
use super::upload;
use crate::api::{DataFile, MemberClient};
use crate::pages::route::PageRoute;
use crate::pages::texts::Text;
use crate::pages::view::{DeleteAllPage, DonePage, FileEntry, FilesPage, Page};
use crate::routes::{RouteOutcome, see_other};
use crate::session::Member;

/// Files on a page.
const PAGE: usize = 50;

pub(super) async fn list(cx: &Context<'_>, member: &Member) -> Outcome {
    let client = cx.openhumans.member_client(member.id());
    let (files, source) = tokio::join!(listing::all(&client), listing::own_source(cx, &client));
    let files = files?;
    let pages = files.len().div_ceil(PAGE).max(1);
    let page = cx
        .query("page")
        .and_then(|page| page.parse().ok())
        .unwrap_or(1)
        .clamp(1, pages);
    let own = files.iter().filter(|file| listing::is_own(file, source));
    let own = own.count();
    let shown: Vec<DataFile> = files
        .iter()
        .skip((page - 1) * PAGE)
        .take(PAGE)
        .cloned()
        .collect();
    listing::learn_sizes(cx, &client, &shown).await;
    let shown = shown.iter().map(|file| listing::entry(cx, file, source));
    reply::page(Page::Files(FilesPage {
        files: shown.collect(),
        total: files.len(),
        own,
        page,
        pages,
    }))
}

/// Sends the browser to where the file is; not a byte of it goes through the app.
pub(super) async fn download(cx: &Context<'_>, member: &Member) -> Outcome {
    let client = cx.openhumans.member_client(member.id());
    let file = listing::named(&client, id(cx)).await?;
    Ok(RouteOutcome::keep(see_other(file.download_url.expose())).into())
}

pub(super) async fn ask_to_delete(cx: &Context<'_>, member: &Member) -> Outcome {
    let client = cx.openhumans.member_client(member.id());
    let (file, source) = own(cx, &client).await?;
    reply::page(Page::Delete(listing::entry(cx, &file, source)))
}

pub(super) async fn delete(cx: &Context<'_>, member: &Member) -> Outcome {
    let client = cx.openhumans.member_client(member.id());
    let (file, _) = own(cx, &client).await?;
    let deleted = client.delete_file(file.id).await?;
    if deleted.is_empty() {
        return Err(Problem::no_such_file());
    }
    let done = DonePage {
        done: "deleted",
        id: Some(file.id.get()),
        ..DonePage::default()
    };
    Ok(Reply::done("/files", done))
}

pub(super) async fn ask_to_delete_all(cx: &Context<'_>, member: &Member) -> Outcome {
    let client = cx.openhumans.member_client(member.id());
    let (files, source) = tokio::join!(listing::all(&client), listing::own_source(cx, &client));
    let own = files?.into_iter();
    let count = own.filter(|file| listing::is_own(file, source)).count();
    reply::page(Page::DeleteAll(DeleteAllPage { count }))
}

pub(super) async fn delete_all(cx: &Context<'_>, member: &Member) -> Outcome {
    let client = cx.openhumans.member_client(member.id());
    client.delete_all_files().await?;
    let done = DonePage {
        done: "deleted-all",
        ..DonePage::default()
    };
    Ok(Reply::done("/files", done))
}

/// The id in the request's path.
pub(super) fn id<'a>(cx: &Context<'a>) -> &'a str {
    // Download, edit and delete have it in the same place.
    PageRoute::Edit.parameter(&cx.head.uri)
}

/// The file in the request's path, if it is the app's own to change.
pub(super) async fn own<'a>(
    cx: &Context<'a>,
    client: &MemberClient,
) -> Result<(DataFile, Option<&'a str>), Problem> {
    let (file, source) = tokio::join!(
        listing::named(client, id(cx)),
        listing::own_source(cx, client)
    );
    let file = file?;
    if !listing::is_own(&file, source) {
        return Err(Problem::not_own_file());
    }
    Ok((file, source))
}

pub(super) fn html(cx: &Context<'_>, view: &FilesPage) -> Markup {
    html! {
        h1 { (cx.say(Text::YourFiles)) }
        p.lead { (cx.say(Text::FilesText)) }
        section.card {
            div.spread {
                h2 { (count(cx, view.total)) }
                @if view.own > 0 {
                    a #delete-all href=(cx.path("/files/delete-all")) { (cx.say(Text::DeleteAll)) }
                }
            }
            @if view.files.is_empty() {
                p.soft #no-files { (cx.say(Text::NoFiles)) }
            } @else {
                table.stack #files {
                    thead { tr {
                        th scope="col" { (cx.say(Text::FileName)) }
                        th.num scope="col" { (cx.say(Text::FileSize)) }
                        th scope="col" { (cx.say(Text::FileType)) }
                        th scope="col" { (cx.say(Text::FileTags)) }
                        th scope="col" { (cx.say(Text::FileDate)) }
                        th.num scope="col" { (cx.say(Text::FileActions)) }
                    } }
                    tbody { @for file in &view.files { (row(cx, file)) } }
                }
            }
            (layout::pager(cx, view.page, view.pages))
        }
        (upload::html(cx))
    }
}

fn row(cx: &Context<'_>, file: &FileEntry) -> Markup {
    let path = |action: &str| cx.path(&format!("/files/{}/{action}", file.id));
    let of_file = |action: &str| {
        let values = [("action", action), ("file", file.name.as_str())];
        cx.fill(Text::OfFile, &values)
    };
    let link = |action: &'static str, text: Text| {
        let text = cx.say(text);
        html! { a class=(action) href=(path(action)) aria-label=(of_file(&text)) { (text) } }
    };
    html! {
        tr data-file=(file.id) {
            th.file-name scope="row" {
                (file.name)
                @if !file.description.is_empty() { p.soft { (file.description) } }
                @if !file.own { p.soft { (cx.say(Text::FromAnotherSource)) } }
            }
            td.num data-label=(cx.say(Text::FileSize)) {
                @match file.size { Some(size) => (cx.size(size)), None => (cx.say(Text::Unknown)) }
            }
            td data-label=(cx.say(Text::FileType)) {
                span.kind { @match &file.kind { Some(kind) => (kind), None => (cx.say(Text::Unknown)) } }
            }
            td data-label=(cx.say(Text::FileTags)) {
                @for tag in &file.tags { span.tag { (tag) } " " }
            }
            td data-label=(cx.say(Text::FileDate)) {
                @match file.created { Some(at) => (cx.time(at)), None => (cx.say(Text::Unknown)) }
            }
            td {
                div.row {
                    (link("download", Text::Download))
                    @if file.own { (link("edit", Text::Edit)) (link("delete", Text::Delete)) }
                }
            }
        }
    }
}

fn count(cx: &Context<'_>, count: usize) -> String {
    match count {
        1 => cx.say(Text::OneFile),
        count => cx.fill(Text::FileCount, &[("count", &count.to_string())]),
    }
}

pub(super) fn delete_html(cx: &Context<'_>, file: &FileEntry) -> Markup {
    let action = cx.path(&format!("/files/{}/delete", file.id));
    let title = cx.fill(Text::DeleteTitle, &[("file", &file.name)]);
    question(cx, &title, &cx.say(Text::DeleteText), &action, Text::Delete)
}

pub(super) fn delete_all_html(cx: &Context<'_>, view: &DeleteAllPage) -> Markup {
    let text = cx.fill(Text::DeleteAllText, &[("count", &count(cx, view.count))]);
    let action = cx.path("/files/delete-all");
    question(
        cx,
        &cx.say(Text::DeleteAllTitle),
        &text,
        &action,
        Text::DeleteAll,
    )
}

fn question(cx: &Context<'_>, title: &str, text: &str, action: &str, yes: Text) -> Markup {
    html! {
        div.narrow {
            h1 { (title) }
            section.card {
                p { (text) }
                form method="post" action=(action) {
                    div.row {
                        button.danger #confirm { (cx.say(yes)) }
                        a.button.quiet href=(cx.path("/files")) { (cx.say(Text::Cancel)) }
                    }
                }
            }
        }
    }
}
