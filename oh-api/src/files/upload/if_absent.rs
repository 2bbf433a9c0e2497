//! Uploads that are skipped if the file already exists, for jobs that may run again.

use super::{Upload, UploadMethod, Uploaded};
use crate::Error;
use crate::members::member::MemberClient;
use crate::types::data_file::DataFile;

/// How an existing file is recognized as the one to upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatchBy {
    /// The names are equal.
    Name,
    /// The names and the MD5s in the metadata are equal. A file without an MD5 never matches.
    NameAndMd5,
}

/// The result of [`MemberClient::upload_if_absent`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum UploadOutcome {
    /// The file was uploaded.
    Uploaded(Uploaded),
    /// This file already exists, so nothing was uploaded.
    AlreadyExists(Box<DataFile>),
}

impl MemberClient {
    /// Lists the project's own files of this member that pass `filter`.
    pub(crate) async fn own_files<T>(
        &self,
        filter: impl Fn(&DataFile) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let first = self.exchange_member().await?;
        // Files of sources that the member shares belong to other projects.
        let own = |file: &DataFile| match is_shared(file, &first.sources_shared) {
            true => None,
            false => filter(file),
        };
        let mut own_files: Vec<T> = first.data.iter().filter_map(own).collect();
        let read = first.data.len() as u64;
        if first.count.is_none_or(|count| count > read) {
            let mut rest = self.files().offset(read);
            while let Some(file) = rest.try_next().await? {
                own_files.extend(own(&file));
            }
        }
        Ok(own_files)
    }

    /// Uploads a file unless the project has already stored the same file with this member.
    ///
    /// Safe to call again after an error that leaves open whether the file was stored, and in a job
    /// that runs again. Other files of the same name remain. Two concurrent calls may both upload.
    ///
    /// ```no_run
    /// use oh_api::{MatchBy, Upload, UploadOutcome};
    ///
    /// # async fn example(member: oh_api::MemberClient) -> Result<(), oh_api::Error> {
    /// let report = Upload::bytes("report-2026-11.txt", "all is well");
    /// match member.upload_if_absent(report, MatchBy::Name).await? {
    ///     UploadOutcome::Uploaded(file) => println!("uploaded as {}", file.id),
    ///     UploadOutcome::AlreadyExists(file) => println!("exists since {:?}", file.created),
    ///     _ => {}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`upload`](Self::upload), and if the member's files cannot be listed.
    pub async fn upload_if_absent(
        &self,
        upload: Upload,
        match_by: MatchBy,
    ) -> Result<UploadOutcome, Error> {
        self.upload_if_absent_among(None, upload, match_by).await
    }

    /// As [`upload_if_absent`](Self::upload_if_absent), with the member's files and shared sources
    /// if they are already known.
    pub(crate) async fn upload_if_absent_among(
        &self,
        known: Option<(&[DataFile], &[String])>,
        upload: Upload,
        match_by: MatchBy,
    ) -> Result<UploadOutcome, Error> {
        let name = stored_name(&upload);
        let same_name = |file: &DataFile| (file.basename == name).then(|| file.clone());
        let existing = match known {
            Some((files, shared)) => {
                let own = files.iter().filter(|file| !is_shared(file, shared));
                own.filter_map(same_name).collect()
            }
            None => self.own_files(same_name).await?,
        };
        let by_md5 = match_by == MatchBy::NameAndMd5;
        if !by_md5 && let Some(file) = newest(existing.iter().cloned()) {
            return Ok(UploadOutcome::AlreadyExists(Box::new(file)));
        }
        let prepared = upload.prepare(by_md5).await?;
        let same_md5 = existing
            .into_iter()
            .filter(|file| file.md5() == prepared.md5);
        if by_md5 && let Some(file) = newest(same_md5) {
            return Ok(UploadOutcome::AlreadyExists(Box::new(file)));
        }
        self.send(prepared).await.map(UploadOutcome::Uploaded)
    }
}

fn newest(files: impl IntoIterator<Item = DataFile>) -> Option<DataFile> {
    files.into_iter().max_by_key(|file| file.id)
}

/// Whether a file comes from a source that the member shares with the project.
fn is_shared(file: &DataFile, sources: &[String]) -> bool {
    let source = file.source.as_ref();
    source.is_some_and(|source| sources.contains(source))
}

/// The name that the file will have at Open Humans. The simple endpoint changes names.
fn stored_name(upload: &Upload) -> String {
    let name = upload.name.as_deref().unwrap_or_default().trim();
    if upload.method != UploadMethod::Simple {
        return name.to_owned();
    }
    let allowed = |c: &char| c.is_alphanumeric() || "-_.".contains(*c);
    name.replace(' ', "_").chars().filter(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;

    fn file(id: u32, name: &str, source: &str, md5: &str) -> String {
        format!(
            r#"{{"id":{id},"basename":"{name}","source":"{source}","download_url":"",
                "metadata":{{"md5":"{md5}"}}}}"#
        )
    }

    fn page(count: usize, files: &[String]) -> String {
        format!(
            r#"{{"project_member_id":"00000001","sources_shared":["direct-sharing-1"],
                "count":{count},"data":[{}]}}"#,
            files.join(",")
        )
    }

    const A: &str = "0cc175b9c0f1b6a831c399e269772661";

    #[tokio::test]
    async fn upload_if_absent_skips_matching_file() {
        let mock = MockTransport::new();
        let member = mock.client().member("t");
        let files = [
            file(3, "a.txt", "direct-sharing-1", A),
            file(
                4,
                "a.txt",
                "direct-sharing-2",
                "00000000000000000000000000000000",
            ),
        ];
        let upload = || Upload::bytes("a.txt", "a");
        mock.respond(200, page(2, &files));
        let there = member.upload_if_absent(upload(), MatchBy::Name).await;
        assert!(matches!(there.unwrap(), UploadOutcome::AlreadyExists(file) if file.id.get() == 4));
        assert_eq!(mock.requests().len(), 1);

        mock.respond(200, page(2, &files))
            .respond(201, r#"{"id":5}"#);
        let sent = member.upload_if_absent(upload(), MatchBy::NameAndMd5).await;
        assert!(matches!(sent.unwrap(), UploadOutcome::Uploaded(file) if file.id.get() == 5));
        let body = mock.requests().remove(1).into_body();
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(body.contains(A), "{body}");

        // The matching file is on the second page.
        let later = page(3, &[file(6, "a.txt", "direct-sharing-2", A)]);
        mock.respond(200, page(3, &files)).respond(200, later);
        let there = member.upload_if_absent(upload(), MatchBy::NameAndMd5).await;
        assert!(matches!(there.unwrap(), UploadOutcome::AlreadyExists(file) if file.id.get() == 6));
        let requests = mock.requests();
        assert_eq!(requests[1].uri().query(), Some("offset=2"));
    }

    #[tokio::test]
    async fn upload_if_absent_compares_stored_names() {
        let mock = MockTransport::new();
        let member = mock.client().member("t");
        let there = page(1, &[file(3, "a_bc.txt", "direct-sharing-2", A)]);
        mock.respond(200, there);
        let upload = Upload::bytes(" a b+c.txt ", "a").via(UploadMethod::Simple);
        let there = member.upload_if_absent(upload, MatchBy::Name).await;
        assert!(matches!(there.unwrap(), UploadOutcome::AlreadyExists(_)));
        mock.respond(200, page(1, &[file(3, "a b.txt", "direct-sharing-2", A)]));
        let upload = Upload::bytes(" a b.txt", "a");
        let there = member.upload_if_absent(upload, MatchBy::Name).await;
        assert!(matches!(there.unwrap(), UploadOutcome::AlreadyExists(_)));
    }
}
