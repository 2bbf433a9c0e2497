//! A member's files as Open Humans lists them, with what it does not say: sizes, and which are ours.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::context::Context;
use super::problem::Problem;
use crate::Error;
use crate::api::{DataFile, DataFileId, MemberClient};
use crate::pages::view::FileEntry;

/// The most files that are listed.
const MOST: usize = 10_000;

/// Files asked about at once for their sizes.
const AT_ONCE: usize = 8;

/// How long all of them together may take. A page without a size is better than no page.
const PATIENCE: Duration = Duration::from_secs(3);

/// All files of a member, the newest first.
pub(super) async fn all(client: &MemberClient) -> Result<Vec<DataFile>, Error> {
    let mut list = client.files();
    let mut files = Vec::new();
    while let Some(file) = list.try_next().await? {
        files.push(file);
        if files.len() == MOST {
            break;
        }
    }
    files.sort_by_key(|file| std::cmp::Reverse((file.created, file.id)));
    Ok(files)
}

/// The file a request's path names, freshly listed: its address works for an hour only.
pub(super) async fn named(client: &MemberClient, id: &str) -> Result<DataFile, Problem> {
    let id: DataFileId = id.parse().map_err(|_| Problem::no_such_file())?;
    let mut list = client.files();
    while let Some(file) = list.try_next().await? {
        if file.id == id {
            return Ok(file);
        }
    }
    Err(Problem::no_such_file())
}

/// The name that the project's own files have as a source. Asked once; where it cannot be, no file
/// counts as ours for now.
pub(super) async fn own_source<'a>(cx: &Context<'a>, client: &MemberClient) -> Option<&'a str> {
    let asked = cx.pages.source.get_or_try_init(|| async {
        let project = client.project().await?;
        Ok::<_, Error>(project.id_label)
    });
    match asked.await {
        Ok(label) => label.as_deref(),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "Open Humans could not be asked about the project");
            None
        }
    }
}

/// Whether the project put the file there.
pub(super) fn is_own(file: &DataFile, source: Option<&str>) -> bool {
    source.is_some() && file.source.as_deref() == source
}

/// What is shown of a file.
pub(super) fn entry(cx: &Context<'_>, file: &DataFile, source: Option<&str>) -> FileEntry {
    let said = file.metadata();
    FileEntry {
        id: file.id.get(),
        name: file.basename.clone(),
        size: cx.pages.sizes.get(&file.id.get()),
        kind: kind(&file.basename),
        description: said.description.unwrap_or_default(),
        tags: said.tags,
        created: file.created,
        own: is_own(file, source),
    }
}

/// The ending of a name, if it looks like one.
fn kind(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let plain =
        (1..=8).contains(&ending.len()) && ending.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain && !stem.is_empty()).then(|| ending.to_ascii_uppercase())
}

/// Finds out the sizes that are not known yet. The object store says them when a download begins,
/// which then goes no further.
pub(super) async fn learn_sizes(cx: &Context<'_>, client: &MemberClient, files: &[DataFile]) {
    let sizes = &cx.pages.sizes;
    let unknown: Vec<DataFile> = files
        .iter()
        .filter(|file| !sizes.contains_key(&file.id.get()))
        .cloned()
        .collect();
    let ask = |file: DataFile| async move {
        if let Ok(download) = client.download(&file).ignore_md5().stream().await
            && let Some(size) = download.size()
        {
            sizes.insert(file.id.get(), size);
        }
    };
    let asking = stream::iter(unknown).for_each_concurrent(AT_ONCE, ask);
    let _ = tokio::time::timeout(PATIENCE, asking).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_an_ending_is_one() {
        assert_eq!(kind("a.csv").as_deref(), Some("CSV"));
        assert_eq!(kind("a.tar.gz").as_deref(), Some("GZ"));
        for none in [
            "a",
            ".hidden",
            "a.",
            "a.b c",
            "a.<script>",
            "../../x",
            "a.123456789",
        ] {
            assert_eq!(kind(none), None, "{none}");
        }
    }
}
