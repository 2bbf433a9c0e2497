//! Editing what is said of a file.
//!
//! Open Humans cannot change it, so the file is sent through to a new one and the old one deleted,
//! in that order: whatever fails, the file is there.

use std::io;

use futures_util::TryStreamExt;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::io::StreamReader;

use super::context::Context;
use super::files;
use super::form::Input;
use super::listing;
use super::reply::{self, Outcome, Reply};
use super::upload::tags;
use crate::api::{DataFile, FileMetadata, Upload, UploadMethod};
use crate::pages::texts::Text;
use crate::pages::view::{DonePage, FileEntry, Page};
use crate::session::Member;

#[derive(Deserialize)]
struct Edited {
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: Tags,
}

/// As a form has them, or as JSON would.
#[derive(Deserialize)]
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

pub(super) async fn ask(cx: &Context<'_>, member: &Member) -> Outcome {
    let client = cx.openhumans.member_client(member.id());
    let (file, source) = files::own(cx, &client).await?;
    reply::page(Page::Edit(listing::entry(cx, &file, source)))
}

pub(super) async fn edit(cx: &Context<'_>, member: &Member, input: Input) -> Outcome {
    let edited: Edited = input.parse(&cx.head.headers)?;
    let client = cx.openhumans.member_client(member.id());
    let (file, _) = files::own(cx, &client).await?;
    let metadata = metadata(&file, edited);
    metadata.check()?;
    // What the uploader said of the MD5 is checked on the way; should it be wrong, that is seen
    // before the old file goes.
    let download = client.download(&file).stream().await?;
    let size = download.size();
    let reader = StreamReader::new(download.map_err(io::Error::other));
    let upload = match size {
        Some(size) => Upload::sized_reader(&file.basename, reader, size),
        None => Upload::reader(&file.basename, reader),
    };
    // The simple way would change the name.
    let upload = upload.metadata(metadata).via(UploadMethod::Direct);
    let uploaded = client.upload(upload).await?;
    cx.pages.sizes.insert(uploaded.id.get(), uploaded.size);
    let done = match client.delete_file(file.id).await {
        Ok(_) => "edited",
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the old version of an edited file could not be deleted"
            );
            "edited-twice"
        }
    };
    let done = DonePage {
        done,
        id: Some(uploaded.id.get()),
        size: Some(uploaded.size),
    };
    Ok(Reply::done("/files", done))
}

/// What was said of the file, with another description and other tags.
fn metadata(file: &DataFile, edited: Edited) -> FileMetadata {
    let list = match edited.tags {
        Tags::Line(line) => tags(&line),
        Tags::List(list) => list,
    };
    let known = ["description", "tags"];
    let rest = file
        .metadata_map()
        .into_iter()
        .filter(|(name, value)| !known.contains(&name.as_str()) && *value != Value::Null);
    rest.fold(
        FileMetadata::new(edited.description.trim()).tags(list),
        |metadata, (name, value)| metadata.field(name, value),
    )
}

pub(super) fn html(cx: &Context<'_>, file: &FileEntry) -> Markup {
    html! {
        div.narrow {
            h1 { (cx.fill(Text::EditTitle, &[("file", &file.name)])) }
            section.card {
                form method="post" action=(cx.path(&format!("/files/{}/edit", file.id))) {
                    div.field {
                        label for="description" { (cx.say(Text::FileDescription)) }
                        textarea #description name="description" aria-describedby="description-hint" {
                            (file.description)
                        }
                        p.hint #description-hint { (cx.say(Text::DescriptionHint)) }
                    }
                    div.field {
                        label for="tags" { (cx.say(Text::FileTags)) }
                        input #tags type="text" name="tags" value=(file.tags.join(", ")) aria-describedby="tags-hint";
                        p.hint #tags-hint { (cx.say(Text::TagsHint)) }
                    }
                    p.soft { (cx.say(Text::EditText)) }
                    div.row {
                        button #confirm { (cx.say(Text::Save)) }
                        a.button.quiet href=(cx.path("/files")) { (cx.say(Text::Cancel)) }
                    }
                }
            }
        }
    }
}
