//! Uploading a file with a form. The file is sent to Open Humans while it arrives.
//!
//! Open Humans needs the size in advance. The script of the page sends it in a field before the file.
//! Without the script, a large file is buffered in a temporary file first. Memory use is bounded
//! either way.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use maud::{Markup, html};
use multer::{Constraints, Field, Multipart, SizeLimit};
use oh_core::api::{FileMetadata, Upload, safe_file_name};
use oh_core::{Error, Member};
use serde::Deserialize;
use tokio_util::io::StreamReader;
use tower_http::timeout::TimeoutBody;
use utoipa::ToSchema;

use super::parse_tags;
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::response::{Confirmation, Done};

/// The size limit of a text field in bytes.
const MAX_FIELD: u64 = 16 * 1024;

/// The size limit of everything except the file, in bytes.
const MAX_OVERHEAD: u64 = 64 * 1024;

/// How long to wait for more of the body.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// An upload. The file is the last field. A field `size` before it, with the size of the file in
/// bytes, avoids that the file is buffered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the fields of a multipart form")]
pub(crate) struct UploadForm {
    description: Option<String>,
    /// Separated by commas.
    tags: Option<String>,
    #[schema(value_type = String, format = Binary, min_length = 1)]
    file: Vec<u8>,
}

/// The fields before the file.
#[derive(Default)]
struct Fields {
    description: String,
    tags: Vec<String>,
    size: Option<u64>,
}

/// Stores a file in the member's account
#[utoipa::path(
    post,
    path = "/files/upload",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, description = "The file is stored", body = Confirmation)),
)]
pub(crate) async fn upload(
    State(app): State<App>,
    Extension(member): Extension<Member>,
    request: Request,
) -> Result<Done, PageError> {
    let max_upload = app.max_upload();
    let max_body = max_upload.saturating_add(MAX_OVERHEAD);
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > max_body) {
        return Err(PageError::too_large());
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let boundary = content_type
        .and_then(|value| multer::parse_boundary(value).ok())
        .ok_or_else(PageError::bad_form)?;
    let limits = SizeLimit::new()
        .whole_stream(max_body)
        .per_field(MAX_FIELD)
        .for_field("file", max_upload);
    let constraints = Constraints::new().size_limit(limits);
    let body = TimeoutBody::new(READ_TIMEOUT, request.into_body());
    let body = Box::pin(body).into_data_stream();
    let mut form = Multipart::with_constraints(body, boundary, constraints);
    let mut fields = Fields::default();
    while let Some(field) = form.next_field().await.map_err(|e| form_error(&e))? {
        match field.name().unwrap_or_default() {
            "file" => return send(&app, &member, fields, field).await,
            "description" => fields.description = text(field).await?,
            "tags" => fields.tags = parse_tags(&text(field).await?),
            "size" => {
                let size = text(field).await?.trim().parse();
                fields.size = Some(size.map_err(|_| PageError::bad_form())?);
            }
            _ => return Err(PageError::bad_form()),
        }
    }
    Err(PageError::new(StatusCode::BAD_REQUEST, "no_file"))
}

async fn send(
    app: &App,
    member: &Member,
    fields: Fields,
    mut file: Field<'static>,
) -> Result<Done, PageError> {
    let name = file.file_name().unwrap_or_default();
    if name.trim().is_empty() {
        return Err(PageError::new(StatusCode::BAD_REQUEST, "no_file"));
    }
    if fields.size.is_some_and(|size| size > app.max_upload()) {
        return Err(PageError::too_large());
    }
    let name = safe_file_name(name);
    let first = loop {
        match file.chunk().await.map_err(|error| form_error(&error))? {
            Some(chunk) if chunk.is_empty() => {}
            Some(chunk) => break chunk,
            None => return Err(PageError::new(StatusCode::BAD_REQUEST, "empty_file")),
        }
    };
    let chunks = stream::iter([Ok(first)]).chain(file);
    let reader = StreamReader::new(chunks.map_err(io::Error::other));
    let upload = match fields.size {
        Some(size) => Upload::sized_reader(name, reader, size),
        None => Upload::reader(name, reader),
    };
    let metadata = FileMetadata::new(fields.description.trim()).tags(fields.tags);
    let client = app.openhumans().member_client(member.id());
    let uploaded = client.upload(upload.metadata(metadata)).await;
    let uploaded = uploaded.map_err(upload_error)?;
    let mut done = Done::new("uploaded", "/files");
    done.status = StatusCode::CREATED;
    done.body.id = Some(uploaded.id.get());
    done.body.size = Some(uploaded.size);
    Ok(done)
}

async fn text(field: Field<'_>) -> Result<String, PageError> {
    field.text().await.map_err(|error| form_error(&error))
}

fn form_error(error: &multer::Error) -> PageError {
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            PageError::too_large()
        }
        _ => PageError::bad_form(),
    }
}

/// Tells an error of the form from an error of Open Humans.
fn upload_error(error: Error) -> PageError {
    let mut next: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(source) = next {
        if let Some(error) = source.downcast_ref::<multer::Error>() {
            return form_error(error);
        }
        next = match source
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => match source.downcast_ref::<Arc<io::Error>>() {
                Some(shared) => Some(&**shared),
                None => source.source(),
            },
        };
    }
    error.into()
}

pub(super) fn form(cx: &Context<'_>) -> Markup {
    html! {
        section.card {
            h2 #upload-title { (cx.text("upload-title")) }
            p.soft { (cx.text("upload-text")) }
            form #upload method="post" action=(cx.path("/files/upload")) enctype="multipart/form-data"
                aria-labelledby="upload-title" data-upload
                data-done=(cx.path("/files") + "?done=uploaded")
                data-uploading=(cx.text_with("uploading", &[("percent", "{percent}")]))
                data-storing=(cx.text("upload-storing"))
                data-interrupted=(cx.text("upload-interrupted")) {
                // The script enables this field. It precedes the file.
                input type="hidden" name="size" value="" disabled;
                div.grid {
                    div {
                        label for="description" { (cx.text("file-description")) }
                        input #description type="text" name="description" aria-describedby="description-hint";
                        p.hint #description-hint { (cx.text("description-hint")) }
                    }
                    div {
                        label for="tags" { (cx.text("file-tags")) }
                        input #tags type="text" name="tags" aria-describedby="tags-hint";
                        p.hint #tags-hint { (cx.text("tags-hint")) }
                    }
                }
                div.field {
                    label for="file" { (cx.text("upload-file")) }
                    input #file type="file" name="file" required;
                }
                div.field {
                    progress max="100" value="0" hidden aria-labelledby="upload-title" {}
                    p.hint data-status role="status" tabindex="-1" hidden {}
                }
                button { (cx.text("upload")) }
            }
        }
    }
}
