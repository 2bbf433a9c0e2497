//! The files of a local directory.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use crate::files::hashing::{self, Cancellation};
use crate::{Error, ProjectMemberId};

/// Paths by member and by [comparable] name. The member is `None` for a directory
/// of a single member.
pub(super) type Files = BTreeMap<Option<ProjectMemberId>, BTreeMap<String, PathBuf>>;

pub(super) fn invalid(reason: impl Into<String>) -> Error {
    Error::invalid_input("directory", reason)
}

/// The structure of a directory that can be uploaded.
const EXPECTED: &str = "expected either the files of one member without subdirectories, or one \
                        subdirectory per member, named by project member id";

/// Returns a file name in the form in which names are compared: without outer blanks, which Open
/// Humans removes, and in Unicode normalization form C. File systems of macOS return form D.
pub(super) fn comparable(name: &str) -> String {
    name.trim().nfc().collect()
}

/// Whether a file is hidden. Hidden files are ignored, both locally and at Open Humans.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Lists a directory with a folder for each member, or with the files of a single member.
pub(super) fn list(directory: &Path) -> Result<Files, Error> {
    let (folders, files) = entries(directory)?;
    if folders.is_empty() {
        return Ok(Files::from([(None, files)]));
    }
    if let (Some(file), Some(folder)) = (files.keys().next(), folders.keys().next()) {
        return Err(invalid(format!(
            "it contains files such as {file} beside subdirectories such as {folder}: {EXPECTED}"
        )));
    }
    let mut members = Files::new();
    for (name, path) in folders {
        let member = member_id(&name).map_err(|reason| {
            invalid(format!(
                "it contains the subdirectory {name}: {reason}; {EXPECTED}"
            ))
        })?;
        let (subfolders, files) = entries(&path)?;
        if let Some(folder) = subfolders.keys().next() {
            return Err(invalid(format!(
                "{name} contains a subdirectory, {folder}: {EXPECTED}"
            )));
        }
        members.insert(Some(member), files);
    }
    Ok(members)
}

/// Parses an id that a person or a spreadsheet wrote. Spreadsheets drop leading zeros.
pub(super) fn member_id(text: &str) -> Result<ProjectMemberId, String> {
    let text = text.trim();
    let id: ProjectMemberId = text.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        format!("{shown:?} is not a project member id, which has 8 digits")
    })?;
    match text.len() {
        ..8 => Err(format!(
            "{text} does not have 8 digits: spreadsheets drop leading zeros, and it may be \
             {text:0>8}"
        )),
        _ => Ok(id),
    }
}

type PathsByName = BTreeMap<String, PathBuf>;

/// Lists the folders and files of a directory.
fn entries(directory: &Path) -> Result<(PathsByName, PathsByName), Error> {
    let (mut folders, mut files) = (PathsByName::new(), PathsByName::new());
    let listed = std::fs::read_dir(directory).map_err(|e| Error::from(e).at(directory))?;
    for entry in listed {
        let entry = entry.map_err(|e| Error::from(e).at(directory))?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| {
            invalid(format!(
                "the name {} is not Unicode",
                name.to_string_lossy()
            ))
        })?;
        if is_hidden(&name) {
            continue;
        }
        let path = entry.path();
        let metadata = std::fs::metadata(&path).map_err(|e| Error::from(e).at(&path))?;
        let before = match metadata {
            metadata if metadata.is_dir() => folders.insert(name, path),
            metadata if metadata.is_file() => files.insert(comparable(&name), path),
            _ => return Err(invalid(format!("{name} is neither a file nor a folder"))),
        };
        if let Some(other) = before {
            return Err(invalid(format!(
                "the name of {} differs from another file's only in outer blanks or in its Unicode \
                 normalization: rename one of them",
                other.display()
            )));
        }
    }
    Ok((folders, files))
}

/// Computes the MD5 of a file, and calls `on_read` with the length of each chunk.
pub(super) fn md5_of(
    path: &Path,
    cancellation: &Cancellation,
    on_read: &(dyn Fn(u64) + Sync),
) -> Result<String, Error> {
    tracing::debug!(path = %path.display(), "computing the MD5");
    let file = std::fs::File::open(path).map_err(|e| Error::from(e).at(path))?;
    let reader = CountingReader { file, on_read };
    let md5 = hashing::md5_of(reader, cancellation).map_err(|e| Error::from(e).at(path))?;
    Ok(hashing::md5_hex(md5))
}

/// A file that reports how much of it is read.
struct CountingReader<'a> {
    file: std::fs::File,
    on_read: &'a (dyn Fn(u64) + Sync),
}

impl Read for CountingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read > 0 {
            (self.on_read)(read as u64);
        }
        Ok(read)
    }
}

/// Creates a directory and its parents with mode 0700. Existing directories are not changed.
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
    fn create_dir_all_restricts_access_to_owner() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        create_dir_all(&folder).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("a")), 0o700);
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    fn member_id_suggests_dropped_zeros() {
        let reason = |text: &str| member_id(text).unwrap_err();
        assert!(reason("1026778").contains("it may be 01026778"));
        assert!(reason("alice").contains("is not a project member id"));
        assert_eq!(member_id(" 01026778 ").unwrap().as_str(), "01026778");
    }

    #[test]
    fn list_rejects_names_that_differ_in_outer_blanks() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.txt", "a.txt "] {
            std::fs::write(dir.path().join(name), "a").unwrap();
        }
        let error = list(dir.path()).unwrap_err().to_string();
        assert!(error.contains("outer blanks"), "{error}");
    }
}
