//! The files of a member: list, download, upload, edit, delete.

mod delete;
mod edit;
mod listing;
mod upload;

use std::num::NonZeroU16;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use oh_core::Member;
use oh_core::api::{DataFile, MemberClient};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

// `routes!` needs the items that utoipa generates beside each handler.
pub(crate) use self::delete::*;
pub use self::delete::{DeleteAllPage, DeletePage};
pub use self::edit::EditPage;
pub(crate) use self::edit::*;
pub use self::listing::FileEntry;
pub(crate) use self::listing::own_source;
pub(crate) use self::upload::*;

use super::Page;
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::layout::View;
use crate::layout::{Frame, Section};
use crate::response::redirect;

/// Files on a page.
const PAGE_SIZE: usize = 50;

/// One page of a member's files, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct FilesPage {
    /// The files on this page.
    pub files: Vec<FileEntry>,
    /// The number of files on all pages.
    pub total: usize,
    /// The number of files that the application uploaded.
    pub own: usize,
    /// The number of this page, from 1.
    pub page: usize,
    /// The number of pages, at least 1.
    pub pages: usize,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilesQuery {
    /// The number of the page. A number beyond the last page shows the last page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 65_535)]
    page: Option<NonZeroU16>,
}

/// Lists the files of the member, newest first
#[utoipa::path(get, path = "/files", params(FilesQuery), responses(
    (status = 200, description = "One page of the list", body = FilesPage),
))]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(member): Extension<Member>,
    Query(query): Query<FilesQuery>,
) -> Result<Page, PageError> {
    let client = app.openhumans().member_client(member.id());
    let (files, source) = tokio::join!(listing::all(&client), own_source(&app, &client));
    let files = files?;
    let pages = files.len().div_ceil(PAGE_SIZE).max(1);
    let page = query
        .page
        .map_or(1, |page| usize::from(page.get()))
        .min(pages);
    let own = files.iter().filter(|file| listing::is_own(file, source));
    let shown = files.iter().skip((page - 1) * PAGE_SIZE).take(PAGE_SIZE);
    Ok(FilesPage {
        files: shown.map(|file| FileEntry::new(file, source)).collect(),
        total: files.len(),
        own: own.count(),
        page,
        pages,
    }
    .into())
}

/// Redirects to a URL from which the file can be downloaded for an hour
#[utoipa::path(
    get,
    path = "/files/{id}/download",
    params(("id" = u64, Path, minimum = 1, description = "The file")),
    responses((status = 303, description = "The URL, in Location")),
)]
pub(crate) async fn download(
    State(app): State<App>,
    Extension(member): Extension<Member>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let client = app.openhumans().member_client(member.id());
    let file = listing::find(&client, &id).await?;
    Ok(redirect(file.download_url.expose()).map(Body::from))
}

/// Loads a file that the application may change.
async fn find_own(
    app: &App,
    client: &MemberClient,
    id: &str,
) -> Result<(DataFile, FileEntry), PageError> {
    let (file, source) = tokio::join!(listing::find(client, id), own_source(app, client));
    let file = file?;
    if !listing::is_own(&file, source) {
        return Err(PageError::new(http::StatusCode::FORBIDDEN, "not_own_file"));
    }
    let entry = FileEntry::new(&file, source);
    Ok((file, entry))
}

/// The tags in a comma-separated line, without duplicates.
fn parse_tags(line: &str) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in line.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

impl View for FilesPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("files-title"), Section::Member, "/files")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        html! {
            h1 { (cx.text("files-title")) }
            p.lead { (cx.text("files-text")) }
            section.card {
                div.spread {
                    h2 { (cx.text_with("file-count", &[("count", &self.total.to_string())])) }
                    @if self.own > 0 {
                        a #delete-all href=(cx.path("/files/delete-all")) { (cx.text("delete-all")) }
                    }
                }
                @if self.files.is_empty() {
                    p.soft #no-files { (cx.text("files-empty")) }
                } @else {
                    table.stack #files {
                        thead { tr {
                            th scope="col" { (cx.text("file-name")) }
                            th scope="col" { (cx.text("file-type")) }
                            th scope="col" { (cx.text("file-tags")) }
                            th scope="col" { (cx.text("file-date")) }
                            th.num scope="col" { (cx.text("file-actions")) }
                        } }
                        tbody { @for file in &self.files { (row(cx, file)) } }
                    }
                }
                (pager(cx, self.page, self.pages))
            }
            (upload::form(cx))
        }
    }
}

fn row(cx: &Context<'_>, file: &FileEntry) -> Markup {
    let link = |action: &'static str| {
        let text = cx.text(action);
        let path = cx.path(&format!("/files/{}/{action}", file.id));
        let arguments = [("action", text.as_str()), ("file", file.name.as_str())];
        let label = cx.text_with("action-on-file", &arguments);
        html! { a class=(action) href=(path) aria-label=(label) { (text) } }
    };
    html! {
        tr data-file=(file.id) {
            th.file-name scope="row" {
                (file.name)
                @if !file.description.is_empty() { p.soft { (file.description) } }
                @if !file.own { p.soft { (cx.text("file-other-source")) } }
            }
            td data-label=(cx.text("file-type")) {
                span.kind { @match &file.kind { Some(kind) => (kind), None => (cx.text("unknown")) } }
            }
            td data-label=(cx.text("file-tags")) {
                @for tag in &file.tags { span.tag { (tag) } " " }
            }
            td data-label=(cx.text("file-date")) {
                @match file.created { Some(at) => (cx.time(at)), None => (cx.text("unknown")) }
            }
            td {
                div.row {
                    (link("download"))
                    @if file.own { (link("edit")) (link("delete")) }
                }
            }
        }
    }
}

/// Links to the previous and the next page of the list.
fn pager(cx: &Context<'_>, page: usize, pages: usize) -> Markup {
    if pages < 2 {
        return html! {};
    }
    let (current, last) = (page.to_string(), pages.to_string());
    let target = |page: usize| format!("{}?page={page}", cx.path("/files"));
    html! {
        div.row {
            @if page > 1 { a.button.quiet rel="prev" href=(target(page - 1)) { (cx.text("previous-page")) } }
            span.soft { (cx.text_with("page-of", &[("page", &current), ("pages", &last)])) }
            @if page < pages { a.button.quiet rel="next" href=(target(page + 1)) { (cx.text("next-page")) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_tags_trims_and_removes_duplicates() {
        assert_eq!(parse_tags(" a, b c ,,a, "), ["a", "b c"]);
        assert!(parse_tags("  ").is_empty());
    }
}
