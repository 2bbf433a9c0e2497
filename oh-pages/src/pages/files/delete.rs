//! Deleting one file, or all files that the application uploaded.

use axum::Extension;
use axum::extract::{Path, State};
use maud::Markup;
use oh_core::Member;
use serde::Serialize;
use utoipa::ToSchema;

use super::{FileEntry, find_own, listing};
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::layout::View;
use crate::layout::{self, Frame, Section};
use crate::pages::Page;
use crate::response::{Confirmation, Done};

/// A deletion of one file that the member must confirm.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[non_exhaustive]
pub struct DeletePage {
    /// The file.
    pub file: FileEntry,
}

/// A deletion of all files that the member must confirm.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct DeleteAllPage {
    /// The number of files that would be deleted.
    pub count: usize,
}

/// Shows a file that can be deleted
#[utoipa::path(
    get,
    path = "/files/{id}/delete",
    params(("id" = u64, Path, minimum = 1, description = "The file")),
    responses((status = 200, description = "The file", body = FileEntry)),
)]
pub(crate) async fn delete_form(
    State(app): State<App>,
    Extension(member): Extension<Member>,
    Path(id): Path<String>,
) -> Result<Page, PageError> {
    let client = app.openhumans().member_client(member.id());
    let (_, file) = find_own(&app, &client, &id).await?;
    Ok(DeletePage { file }.into())
}

/// Deletes a file that the application uploaded
#[utoipa::path(
    post,
    path = "/files/{id}/delete",
    params(("id" = u64, Path, minimum = 1, description = "The file")),
    responses((status = 200, description = "The file is deleted", body = Confirmation)),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(member): Extension<Member>,
    Path(id): Path<String>,
) -> Result<Done, PageError> {
    let client = app.openhumans().member_client(member.id());
    let (file, _) = find_own(&app, &client, &id).await?;
    if client.delete_file(file.id).await?.is_empty() {
        return Err(PageError::no_such_file());
    }
    let mut done = Done::new("deleted", "/files");
    done.body.id = Some(file.id.get());
    Ok(done)
}

/// Counts the files that would be deleted
#[utoipa::path(get, path = "/files/delete-all", responses(
    (status = 200, description = "The number of files", body = DeleteAllPage),
))]
pub(crate) async fn delete_all_form(
    State(app): State<App>,
    Extension(member): Extension<Member>,
) -> Result<Page, PageError> {
    let client = app.openhumans().member_client(member.id());
    let (files, source) = tokio::join!(listing::all(&client), super::own_source(&app, &client));
    let files = files?;
    let own = files.iter().filter(|file| listing::is_own(file, source));
    Ok(DeleteAllPage { count: own.count() }.into())
}

/// Deletes all files that the application uploaded
#[utoipa::path(post, path = "/files/delete-all", responses(
    (status = 200, description = "The files are deleted", body = Confirmation),
))]
pub(crate) async fn delete_all(
    State(app): State<App>,
    Extension(member): Extension<Member>,
) -> Result<Done, PageError> {
    let client = app.openhumans().member_client(member.id());
    client.delete_all_files().await?;
    Ok(Done::new("deleted-all", "/files"))
}

impl View for DeletePage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        let title = cx.text_with("delete-title", &[("file", &self.file.name)]);
        Frame::new(title, Section::Member, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let title = cx.text_with("delete-title", &[("file", &self.file.name)]);
        let action = format!("/files/{}/delete", self.file.id);
        let texts = [cx.text("delete-text")];
        layout::confirmation(cx, &title, &texts, &action, ("delete", "/files"))
    }
}

impl View for DeleteAllPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("delete-all-title"), Section::Member, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let title = cx.text("delete-all-title");
        let texts = [cx.text_with("delete-all-text", &[("count", &self.count.to_string())])];
        let action = "/files/delete-all";
        layout::confirmation(cx, &title, &texts, action, ("delete-all", "/files"))
    }
}
