//! Deletion of files, and the file names that Open Humans accepts.
//!
//! Source: "Data File Management API" (`/direct-sharing/oauth2-data-upload/`).

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::members::member::MemberClient;
use crate::rest::call::{Call, Repeat};
use crate::types::data_file::DataFileId;

#[derive(Deserialize)]
struct Deleted {
    ids: Vec<DataFileId>,
}

impl MemberClient {
    /// Deletes one of the project's own files. Returns the ids of the deleted files: none if the
    /// member has no such file, for example because it was already deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Deauthorized`] if the member has left.
    pub async fn delete_file(&self, file: DataFileId) -> Result<Vec<DataFileId>, Error> {
        if file.get() == 0 {
            return Err(Error::invalid_input("file_id", "no file has the id 0"));
        }
        self.delete("file_id", file.get().into()).await
    }

    /// Deletes the project's own files with this name. Returns their ids.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty name; otherwise as for
    /// [`delete_file`](Self::delete_file).
    pub async fn delete_files_named(&self, basename: &str) -> Result<Vec<DataFileId>, Error> {
        if basename.trim().is_empty() || basename.contains('\0') {
            let reason = "no file has such a name";
            return Err(Error::invalid_input("file_basename", reason));
        }
        self.delete("file_basename", basename.into()).await
    }

    /// Deletes all of the project's own files of this member. Returns their ids.
    ///
    /// # Errors
    ///
    /// As for [`delete_file`](Self::delete_file).
    pub async fn delete_all_files(&self) -> Result<Vec<DataFileId>, Error> {
        self.delete("all_files", true.into()).await
    }

    async fn delete(&self, field: &str, value: Value) -> Result<Vec<DataFileId>, Error> {
        let mut body = Map::new();
        body.insert(field.into(), value);
        if let Some(member) = &self.on_behalf_of {
            body.insert("project_member_id".into(), member.as_str().into());
        }
        let path = "/api/direct-sharing/project/files/delete/";
        let call = Call::post("files/delete", path, Repeat::Safe).json(&body)?;
        let deleted: Deleted = self.ask(&call).await?.json()?;
        Ok(deleted.ids)
    }
}

/// The longest file name. The server's column also contains a prefix.
const MAX_NAME: usize = 900;

/// Rejects names that make the server fail, or that it stores and cannot serve.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let reason = if name.trim().is_empty() {
        "it is empty"
    } else if name.chars().any(char::is_control) {
        "it contains a control character"
    } else if name.contains(['/', '\\']) || matches!(name, "." | "..") {
        "it is a path, not a name"
    } else if name.chars().count() > MAX_NAME {
        "it is longer than 900 characters"
    } else {
        return Ok(());
    };
    Err(Error::invalid_input("file name", reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;

    #[tokio::test]
    async fn delete_sends_one_criterion_and_the_member() {
        let mock = MockTransport::new();
        let member = mock.client().member("t");
        for _ in 0..4 {
            mock.respond(200, r#"{"ids":[7]}"#);
        }
        let ids = member.delete_file(DataFileId::new(7)).await.unwrap();
        assert_eq!(ids, [DataFileId::new(7)]);
        member.delete_files_named("a.txt").await.unwrap();
        member.delete_all_files().await.unwrap();
        let id = "00000001".parse().unwrap();
        let project = mock.client().project("m");
        project.member(&id).delete_all_files().await.unwrap();
        let bodies: Vec<_> = mock.requests().into_iter().map(|r| r.into_body()).collect();
        assert_eq!(
            bodies,
            [
                r#"{"file_id":7}"#,
                r#"{"file_basename":"a.txt"}"#,
                r#"{"all_files":true}"#,
                r#"{"all_files":true,"project_member_id":"00000001"}"#
            ]
        );
        assert!(member.delete_file(DataFileId::new(0)).await.is_err());
        assert!(member.delete_files_named(" ").await.is_err());
    }

    #[test]
    fn check_name_rejects_paths_and_control_characters() {
        for bad in [
            "",
            " ",
            "a/b",
            "a\\b",
            "..",
            ".",
            "a\0",
            "a\nb",
            &"x".repeat(901),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for good in ["a b+c&d.txt", "日本.txt", ".hidden", &"x".repeat(900)] {
            check_name(good).unwrap();
        }
    }
}
