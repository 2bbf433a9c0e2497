//! What lies in a directory that is to be uploaded.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use crate::{Error, ProjectMemberId};

/// Files by name, by member; without a member where the directory is one member's.
pub(super) type Files = BTreeMap<Option<ProjectMemberId>, BTreeMap<String, PathBuf>>;

pub(super) fn invalid(why: impl Into<String>) -> Error {
    Error::InvalidInput {
        argument: "directory",
        why: why.into(),
    }
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
        let member: ProjectMemberId = name
            .parse()
            .map_err(|_| invalid(format!("the folder {name} is not a project member id")))?;
        let (below, files) = entries(&path)?;
        if let Some(folder) = below.keys().next() {
            return Err(invalid(format!("{name} has a folder in it, {folder}")));
        }
        members.insert(Some(member), files);
    }
    Ok(members)
}

type Named = BTreeMap<String, PathBuf>;

/// Folders and files.
fn entries(directory: &Path) -> Result<(Named, Named), Error> {
    let (mut folders, mut files) = (Named::new(), Named::new());
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| {
            invalid(format!(
                "the name {} is not Unicode",
                name.to_string_lossy()
            ))
        })?;
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        match std::fs::metadata(&path)? {
            found if found.is_dir() => folders.insert(name, path),
            found if found.is_file() => files.insert(name, path),
            _ => return Err(invalid(format!("{name} is neither file nor folder"))),
        };
    }
    Ok((folders, files))
}

pub(super) fn md5_of(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut md5 = Md5::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(md5.finalize())),
            read => md5.update(&buffer[..read]),
        }
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(Error::from(io::Error::other(stopped))),
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
}
