//! Uploading a file unless it is there: what a job does that may be run again.

use super::{Upload, UploadMethod, Uploaded};
use crate::Error;
use crate::members::member::MemberClient;
use crate::types::data_file::DataFile;

/// What makes a file at Open Humans the same as the one to upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatchBy {
    /// It has the same name.
    Name,
    /// It has the same name and, in its metadata, the same MD5. Files without an MD5 are not the
    /// same.
    NameAndMd5,
}

/// What came of an upload that is only done where it is needed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum UploadOutcome {
    /// It was uploaded.
    Uploaded(Uploaded),
    /// This file was there.
    AlreadyExists(Box<DataFile>),
}

impl MemberClient {
    /// The project's own files of this member with this name.
    ///
    /// # Errors
    ///
    /// When the files cannot be listed to the end; [`Error::Deauthorized`] when the member has left.
    pub async fn own_files_named(&self, basename: &str) -> Result<Vec<DataFile>, Error> {
        let first = self.exchange_member().await?;
        let own = |file: &DataFile| is_own(file, &first.sources_shared, basename);
        let mut found: Vec<DataFile> = first.data.iter().filter(|f| own(f)).cloned().collect();
        let read = first.data.len() as u64;
        if first.count.is_none_or(|count| count > read) {
            let mut rest = self.files().offset(read);
            while let Some(file) = rest.try_next().await? {
                if own(&file) {
                    found.push(file);
                }
            }
        }
        Ok(found)
    }

    /// Uploads a file unless the project has stored the same one with the member already. So it may
    /// be called again after a failure that leaves open whether the file arrived, or in a job that is
    /// run again. Other files of the name stay.
    ///
    /// Two callers at once may both find nothing, and both upload.
    ///
    /// ```no_run
    /// use oh_api::{MatchBy, UploadOutcome, Upload};
    ///
    /// # async fn example(member: oh_api::MemberClient) -> Result<(), oh_api::Error> {
    /// let report = Upload::bytes("report-2026-11.txt", "all is well");
    /// match member.upload_if_absent(report, MatchBy::Name).await? {
    ///     UploadOutcome::Uploaded(file) => println!("uploaded as {}", file.id),
    ///     UploadOutcome::AlreadyExists(file) => println!("there since {:?}", file.created),
    ///     _ => {}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`upload`](Self::upload) and [`own_files_named`](Self::own_files_named).
    pub async fn upload_if_absent(
        &self,
        upload: Upload,
        same: MatchBy,
    ) -> Result<UploadOutcome, Error> {
        self.upload_if_absent_among(None, upload, same).await
    }

    /// As [`upload_if_absent`](Self::upload_if_absent), with all the member's files and the
    /// sources shared, where they are known.
    pub(crate) async fn upload_if_absent_among(
        &self,
        known: Option<(&[DataFile], &[String])>,
        upload: Upload,
        same: MatchBy,
    ) -> Result<UploadOutcome, Error> {
        let stored = stored_name(&upload);
        let named = match known {
            Some((files, shared)) => {
                let own = files.iter().filter(|file| is_own(file, shared, &stored));
                own.cloned().collect()
            }
            None => self.own_files_named(&stored).await?,
        };
        let upload = match same {
            MatchBy::Name => {
                if let Some(file) = newest(named) {
                    return Ok(UploadOutcome::AlreadyExists(Box::new(file)));
                }
                upload.ready(false).await?
            }
            MatchBy::NameAndMd5 => {
                let upload = upload.ready(true).await?;
                let same = named.into_iter().filter(|file| file.md5() == upload.md5);
                if let Some(file) = newest(same) {
                    return Ok(UploadOutcome::AlreadyExists(Box::new(file)));
                }
                upload
            }
        };
        self.send(upload).await.map(UploadOutcome::Uploaded)
    }
}

fn newest(files: impl IntoIterator<Item = DataFile>) -> Option<DataFile> {
    files.into_iter().max_by_key(|file| file.id)
}

/// Whether a file has this name and is not from a source the member shares.
fn is_own(file: &DataFile, shared: &[String], basename: &str) -> bool {
    let source = file.source.as_ref();
    file.basename == basename && !source.is_some_and(|source| shared.contains(source))
}

/// The name the file will have at Open Humans, which changes it where it comes the simple way.
fn stored_name(upload: &Upload) -> String {
    let name = upload.name.as_deref().unwrap_or_default().trim();
    if upload.via != UploadMethod::Simple {
        return name.to_owned();
    }
    let kept = |c: &char| c.is_alphanumeric() || "-_.".contains(*c);
    name.replace(' ', "_").chars().filter(kept).collect()
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
    async fn what_is_there_is_not_sent() {
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
        assert!(body.contains(A), "the next run knows it by its MD5: {body}");

        // The one that is the same comes on a later page.
        let later = page(3, &[file(6, "a.txt", "direct-sharing-2", A)]);
        mock.respond(200, page(3, &files)).respond(200, later);
        let there = member.upload_if_absent(upload(), MatchBy::NameAndMd5).await;
        assert!(matches!(there.unwrap(), UploadOutcome::AlreadyExists(file) if file.id.get() == 6));
        let requests = mock.requests();
        assert_eq!(requests[1].uri().query(), Some("offset=2"));
    }

    #[tokio::test]
    async fn a_name_is_compared_as_the_server_keeps_it() {
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
