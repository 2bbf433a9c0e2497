//! Uploading a file by a form, sent on to Open Humans as it arrives.
//!
//! The script on the page tells the size first; then nothing is put down on the way. Without it
//! Open Humans, which wants to know the size beforehand, has to wait for the whole: what is large
//! goes to a temporary file. Memory stays flat either way.

use std::io;

use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use maud::{Markup, html};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio_util::io::StreamReader;

use super::context::Context;
use super::form::Input;
use super::problem::Problem;
use super::reply::{Outcome, Reply};
use crate::api::{FileMetadata, Upload, safe_file_name};
use crate::pages::texts::Text;
use crate::pages::view::DonePage;
use crate::session::{Member, SessionChange};

/// The longest text in the form, in bytes.
const MAX_TEXT: u64 = 16 * 1024;

/// What a form has beside the file, in bytes, at most.
const AROUND: u64 = 64 * 1024;

/// What comes before the file.
#[derive(Default)]
struct Said {
    description: String,
    tags: Vec<String>,
    size: Option<u64>,
}

pub(super) async fn upload(cx: &Context<'_>, member: &Member, input: Input) -> Outcome {
    let Input::Upload(arriving) = input else {
        return Err(Problem::form());
    };
    let headers = &cx.head.headers;
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let most = cx.pages.max_upload;
    if length
        .and_then(|length| length.parse::<u64>().ok())
        .is_some_and(|length| length > most.saturating_add(AROUND))
    {
        return Err(Problem::too_large());
    }
    let boundary = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| multer::parse_boundary(kind.to_str().ok()?).ok())
        .ok_or_else(Problem::form)?;
    let limits = SizeLimit::new()
        .whole_stream(most.saturating_add(AROUND))
        .per_field(MAX_TEXT)
        .for_field("file", most);
    let constraints = Constraints::new().size_limit(limits);
    let mut form = Multipart::with_constraints(arriving, boundary, constraints);
    let mut said = Said::default();
    while let Some(field) = form.next_field().await.map_err(|e| unreadable(&e))? {
        match field.name().unwrap_or_default() {
            "file" => return send(cx, member, said, field).await,
            "description" => said.description = text(field).await?,
            "tags" => said.tags = tags(&text(field).await?),
            "size" => said.size = text(field).await?.trim().parse().ok(),
            _ => {}
        }
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "no_file",
        Text::NoFileProblem,
    ))
}

async fn send(cx: &Context<'_>, member: &Member, said: Said, mut file: Field<'static>) -> Outcome {
    let name = file.file_name().unwrap_or_default();
    if name.trim().is_empty() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "no_file",
            Text::NoFileProblem,
        ));
    }
    if said.size.is_some_and(|size| size > cx.pages.max_upload) {
        return Err(Problem::too_large());
    }
    let name = safe_file_name(name);
    let first = loop {
        match file.chunk().await.map_err(|error| unreadable(&error))? {
            Some(part) if part.is_empty() => {}
            Some(part) => break part,
            None => return Err(empty()),
        }
    };
    let parts = stream::iter([Ok(first)]).chain(file);
    let reader = StreamReader::new(parts.map_err(io::Error::other));
    let upload = match said.size {
        Some(size) => Upload::sized_reader(name, reader, size),
        None => Upload::reader(name, reader),
    };
    let metadata = FileMetadata::new(said.description.trim()).tags(said.tags);
    let client = cx.openhumans.member_client(member.id());
    let uploaded = match client.upload(upload.metadata(metadata)).await {
        Ok(uploaded) => uploaded,
        Err(error) => return Err(broken(error)),
    };
    cx.pages.sizes.insert(uploaded.id.get(), uploaded.size);
    let done = DonePage {
        done: "uploaded",
        id: Some(uploaded.id.get()),
        size: Some(uploaded.size),
    };
    Ok(Reply::Done {
        status: StatusCode::CREATED,
        to: "/files".into(),
        done,
        change: SessionChange::Keep,
    })
}

async fn text(field: Field<'_>) -> Result<String, Problem> {
    field.text().await.map_err(|error| unreadable(&error))
}

/// The tags in a line, each once.
pub(super) fn tags(line: &str) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in line.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

fn empty() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "empty_file",
        Text::EmptyFileProblem,
    )
}

fn unreadable(error: &multer::Error) -> Problem {
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            Problem::too_large()
        }
        _ => Problem::form(),
    }
}

/// The form itself may have broken off, or been too long: then it is not Open Humans' fault.
fn broken(error: crate::Error) -> Problem {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(source) = next {
        if let Some(error) = source.downcast_ref::<multer::Error>() {
            return unreadable(error);
        }
        next = match source
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => match source.downcast_ref::<std::sync::Arc<io::Error>>() {
                Some(shared) => Some(&**shared),
                None => source.source(),
            },
        };
    }
    error.into()
}

pub(super) fn html(cx: &Context<'_>) -> Markup {
    html! {
        section.card {
            h2 #upload-title { (cx.say(Text::UploadTitle)) }
            p.soft { (cx.say(Text::UploadText)) }
            form #upload method="post" action=(cx.path("/files/upload")) enctype="multipart/form-data"
                aria-labelledby="upload-title" data-upload
                data-done=(cx.path("/files") + "?done=uploaded")
                data-uploading=(cx.say(Text::Uploading)) data-storing=(cx.say(Text::UploadStoring))
                data-broken=(cx.say(Text::UploadBroken)) {
                // What is said of the file stands before it, and is known when it begins to arrive.
                input type="hidden" name="size" value="";
                div.grid {
                    div {
                        label for="description" { (cx.say(Text::FileDescription)) }
                        input #description type="text" name="description" aria-describedby="description-hint";
                        p.hint #description-hint { (cx.say(Text::DescriptionHint)) }
                    }
                    div {
                        label for="tags" { (cx.say(Text::FileTags)) }
                        input #tags type="text" name="tags" aria-describedby="tags-hint";
                        p.hint #tags-hint { (cx.say(Text::TagsHint)) }
                    }
                }
                div.field {
                    label for="file" { (cx.say(Text::ChooseFile)) }
                    input #file type="file" name="file" required;
                }
                div.field {
                    progress max="100" value="0" hidden aria-labelledby="upload-title" {}
                    p.hint data-status role="status" tabindex="-1" hidden {}
                }
                button { (cx.say(Text::Upload)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_apart_once_each() {
        assert_eq!(tags(" a, b c ,,a, "), ["a", "b c"]);
        assert!(tags("  ").is_empty());
    }
}
