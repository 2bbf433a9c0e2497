//! Editing the description and the tags of a file.
//!
//! Open Humans cannot change them, so the file is stored again with the new ones, and then the old
//! copy is deleted. Whatever fails, one copy exists.

use std::error::Error as StdError;
use std::io;

use axum::Extension;
use axum::extract::{Path, State};
use futures_util::TryStreamExt;
use maud::{Markup, html};
use oh_core::Member;
use oh_core::api::{DataFile, FileMetadata, Upload, UploadMethod};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::io::StreamReader;
use utoipa::ToSchema;

use super::{FileEntry, find_own, parse_tags};
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::input::Input;
use crate::layout::View;
use crate::layout::{Frame, Section};
use crate::pages::Page;
use crate::response::{Confirmation, Done};

/// A file that the member can edit.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[non_exhaustive]
pub struct EditPage {
    /// The file.
    pub file: FileEntry,
}

/// The new details. A missing field is emptied.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Details {
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: Tags,
}

/// A list, or a comma-separated line.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum Tags {
    Line(String),
    List(Vec<String>),
}

impl Default for Tags {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// The new details as a form. A missing field is emptied.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes `Details` as browsers send it")]
pub(crate) struct DetailsForm {
    description: Option<String>,
    /// Separated by commas.
    tags: Option<String>,
}

/// Shows a file that can be edited
#[utoipa::path(
    get,
    path = "/files/{id}/edit",
    params(("id" = u64, Path, minimum = 1, description = "The file")),
    responses((status = 200, description = "The file", body = FileEntry)),
)]
pub(crate) async fn edit_form(
    State(app): State<App>,
    Extension(member): Extension<Member>,
    Path(id): Path<String>,
) -> Result<Page, PageError> {
    let client = app.openhumans().member_client(member.id());
    let (_, file) = find_own(&app, &client, &id).await?;
    Ok(EditPage { file }.into())
}

/// Changes the description and the tags of a file, which receives a new id
#[utoipa::path(
    post,
    path = "/files/{id}/edit",
    params(("id" = u64, Path, minimum = 1, description = "The file")),
    request_body(content((Details = "application/json"), (DetailsForm = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "The file is changed", body = Confirmation)),
)]
pub(crate) async fn edit(
    State(app): State<App>,
    Extension(member): Extension<Member>,
    Path(id): Path<String>,
    Input(details): Input<Details>,
) -> Result<Done, PageError> {
    let client = app.openhumans().member_client(member.id());
    let (file, _) = find_own(&app, &client, &id).await?;
    let metadata = metadata(&file, details);
    metadata.check()?;
    // The download verifies the MD5 of the file before the old copy is deleted.
    let download = client.download(&file).stream().await?;
    let size = download.size();
    let reader = StreamReader::new(download.map_err(io::Error::other));
    let upload = match size {
        Some(size) => Upload::sized_reader(&file.basename, reader, size),
        None => Upload::reader(&file.basename, reader),
    };
    // The multipart endpoint would change the name.
    let upload = upload.metadata(metadata).via(UploadMethod::Direct);
    let uploaded = client.upload(upload).await?;
    let code = match client.delete_file(file.id).await {
        Ok(_) => "edited",
        Err(error) => {
            let error = &error as &dyn StdError;
            tracing::warn!(error, "failed to delete the old copy of an edited file");
            "edited-duplicate"
        }
    };
    let mut done = Done::new(code, "/files");
    done.body.id = Some(uploaded.id.get());
    done.body.size = Some(uploaded.size);
    Ok(done)
}

/// The metadata of the file with the new details.
fn metadata(file: &DataFile, details: Details) -> FileMetadata {
    let tags = match details.tags {
        Tags::Line(line) => parse_tags(&line),
        Tags::List(list) => list,
    };
    let others = file.metadata_map().into_iter().filter(|(name, value)| {
        !["description", "tags"].contains(&name.as_str()) && *value != Value::Null
    });
    others.fold(
        FileMetadata::new(details.description.trim()).tags(tags),
        |metadata, (name, value)| metadata.field(name, value),
    )
}

impl View for EditPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        let title = cx.text_with("edit-title", &[("file", &self.file.name)]);
        Frame::new(title, Section::Member, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let file = &self.file;
        html! {
            div.narrow {
                h1 { (cx.text_with("edit-title", &[("file", &file.name)])) }
                section.card {
                    form method="post" action=(cx.path(&format!("/files/{}/edit", file.id))) {
                        div.field {
                            label for="description" { (cx.text("file-description")) }
                            textarea #description name="description" aria-describedby="description-hint" {
                                (file.description)
                            }
                            p.hint #description-hint { (cx.text("description-hint")) }
                        }
                        div.field {
                            label for="tags" { (cx.text("file-tags")) }
                            input #tags type="text" name="tags" value=(file.tags.join(", ")) aria-describedby="tags-hint";
                            p.hint #tags-hint { (cx.text("tags-hint")) }
                        }
                        p.soft { (cx.text("edit-text")) }
                        div.row {
                            button #confirm { (cx.text("save")) }
                            a.button.quiet href=(cx.path("/files")) { (cx.text("cancel")) }
                        }
                    }
                }
            }
        }
    }
}
