//! What lies in a directory that is to be uploaded.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::files::hashing::{self, Cancellation};
use crate::{Error, ProjectMemberId};

/// Files by the name Open Humans would store, by member; without a member where the directory is
/// one member's.
pub(super) type Files = BTreeMap<Option<ProjectMemberId>, BTreeMap<String, PathBuf>>;

pub(super) fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidInput {
        argument: "directory",
        reason: reason.into(),
    }
}

/// A file name as Open Humans stores it: without outer blanks.
pub(super) fn stored(name: &str) -> &str {
    name.trim()
}

/// Whether a file is hidden. Such files count for nothing, here and at Open Humans.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Looks through a directory: a folder for each member, or one member's files. Hidden files count
/// for nothing.
pub(super) fn look(directory: &Path) -> Result<Files, Error> {
    let (folders, files) = entries(directory)?;
    if folders.is_empty() {
        return Ok(Files::from([(None, files)]));
    }
    if let Some(name) = files.keys().next() {
        return Err(invalid(format!("{name} lies beside the members' folders")));
    }
    let mut members = Files::new();
    for (name, path) in folders {
        let member =
            member_id(&name).map_err(|reason| invalid(format!("the folder {name}: {reason}")))?;
        let (below, files) = entries(&path)?;
        if let Some(folder) = below.keys().next() {
            return Err(invalid(format!("{name} has a folder in it, {folder}")));
        }
        members.insert(Some(member), files);
    }
    Ok(members)
}

/// An id from somewhere people write: one that is too short has mostly been taken for a number.
pub(super) fn member_id(text: &str) -> Result<ProjectMemberId, String> {
    let text = text.trim();
    let id: ProjectMemberId = text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        format!("{shown:?} is not a project member id, which has 8 digits")
    })?;
    match text.len() {
        ..8 => Err(format!(
            "{text} has not 8 digits: spreadsheets drop leading zeros, and it may be {text:0>8}"
        )),
        _ => Ok(id),
    }
}

type Named = BTreeMap<String, PathBuf>;

/// Folders and files.
fn entries(directory: &Path) -> Result<(Named, Named), Error> {
    let (mut folders, mut files) = (Named::new(), Named::new());
    let listed = std::fs::read_dir(directory).map_err(|e| Error::from(e).at(directory))?;
    for entry in listed {
        let entry = entry.map_err(|e| Error::from(e).at(directory))?;
        let name = entry.file_name().into_string().map_err(|name| {
            invalid(format!(
                "the name {} is not Unicode",
                name.to_string_lossy()
            ))
        })?;
        if is_hidden(&name) {
            continue;
        }
        let path = entry.path();
        let found = std::fs::metadata(&path).map_err(|e| Error::from(e).at(&path))?;
        let before = match found {
            found if found.is_dir() => folders.insert(name, path),
            found if found.is_file() => files.insert(stored(&name).to_owned(), path),
            _ => return Err(invalid(format!("{name} is neither file nor folder"))),
        };
        if let Some(other) = before {
            return Err(invalid(format!(
                "{} differs from another file's name in outer blanks alone, and Open Humans would \
                 store both under one name",
                other.display()
            )));
        }
    }
    Ok((folders, files))
}

pub(super) fn md5_of(path: &Path, cancellation: &Cancellation) -> Result<String, Error> {
    md5_watched(path, cancellation, &|_| {})
}

/// Tells of each piece that is read how long it is.
pub(super) fn md5_watched(
    path: &Path,
    cancellation: &Cancellation,
    read: &(dyn Fn(u64) + Sync),
) -> Result<String, Error> {
    tracing::debug!(path = %path.display(), "reading it for its MD5");
    let file = std::fs::File::open(path).map_err(|e| Error::from(e).at(path))?;
    let file = Watched { file, read };
    let md5 = hashing::md5_of(file, cancellation).map_err(|e| Error::from(e).at(path))?;
    Ok(hashing::shown(md5))
}

/// A file that tells how much of it is read.
struct Watched<'a> {
    file: std::fs::File,
    read: &'a (dyn Fn(u64) + Sync),
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read > 0 {
            (self.read)(read as u64);
        }
        Ok(read)
    }
}

/// Makes a folder and those above it, for their owner alone. Those that are there stay as they are.
pub(super) fn create_dir_all(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_owner_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        create_dir_all(&folder).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("a")), 0o700);
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    fn an_id_that_lost_its_zeros_is_told_from_one_that_is_none() {
        let reason = |text: &str| member_id(text).unwrap_err();
        assert!(reason("1026778").contains("it may be 01026778"));
        assert!(reason("alice").contains("is not a project member id"));
        assert_eq!(member_id(" 01026778 ").unwrap().as_str(), "01026778");
    }

    #[test]
    fn names_that_would_be_one_at_open_humans_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.txt", "a.txt "] {
            std::fs::write(dir.path().join(name), "a").unwrap();
        }
        let error = look(dir.path()).unwrap_err().to_string();
        assert!(error.contains("outer blanks"), "{error}");
    }
}
