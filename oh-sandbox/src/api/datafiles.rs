//! The JSON representation of data files, and the keys in their download links.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::datatypes::DataType;
use crate::clock::iso;
use crate::secret::{Key, constant_time_eq, uuid};
use crate::state::database::{DataFile, source};

/// The lifetime of a download link, in seconds.
const KEY_LIFETIME: i64 = 3600;

/// A file in the list of a member's files.
#[derive(Serialize)]
pub(crate) struct FileView<'a> {
    id: u64,
    basename: &'a str,
    created: String,
    datatypes: Vec<String>,
    download_url: String,
    metadata: &'a Value,
    source: String,
    source_project: String,
}

impl<'a> FileView<'a> {
    pub(crate) fn of(file: &'a DataFile, base: &str, key: &Key, now: OffsetDateTime) -> Self {
        Self {
            id: file.id,
            basename: &file.basename,
            created: stamp(file.created),
            datatypes: datatypes(file, base),
            download_url: download_url(file, base, key, now),
            metadata: &file.metadata,
            source: source(file.project),
            source_project: source_project(file, base),
        }
    }
}

/// Formats a time for the API.
pub(crate) fn stamp(at: OffsetDateTime) -> String {
    format!("{}Z", iso(at))
}

pub(crate) fn datatypes(file: &DataFile, base: &str) -> Vec<String> {
    file.datatypes
        .iter()
        .map(|&id| format!("{base}{}", DataType::path(id)))
        .collect()
}

pub(crate) fn source_project(file: &DataFile, base: &str) -> String {
    format!("{base}/api/public/project/{}/", file.project)
}

pub(crate) fn download_url(file: &DataFile, base: &str, key: &Key, now: OffsetDateTime) -> String {
    format!(
        "{base}/data-management/datafile-download/{}/?key={}",
        file.id,
        download_key(key, file.id, now)
    )
}

/// Creates a key for one file. The key contains its creation time, so the sandbox stores no keys.
fn download_key(key: &Key, id: u64, now: OffsetDateTime) -> String {
    let made = u32::try_from(now.unix_timestamp()).unwrap_or(u32::MAX);
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&made.to_be_bytes());
    bytes[4..].copy_from_slice(&key.mac(&format!("download {id} {made}"))[..12]);
    uuid(bytes)
}

/// Returns the creation time of a key if it is valid for the file.
pub(crate) fn opens(
    key: &Key,
    id: u64,
    presented: &str,
    now: OffsetDateTime,
) -> Option<OffsetDateTime> {
    let made = i64::from(u32::from_str_radix(presented.get(..8)?, 16).ok()?);
    let at = OffsetDateTime::from_unix_timestamp(made).ok()?;
    let opens = now.unix_timestamp() - made <= KEY_LIFETIME
        && constant_time_eq(presented, &download_key(key, id, at));
    opens.then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn download_key_opens_one_file_for_one_hour() {
        let key = Key::generate();
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(10_000);
        let presented = download_key(&key, 7, now);
        let made = opens(&key, 7, &presented, now + time::Duration::minutes(59));
        assert_eq!(made, Some(now));
        assert!(opens(&key, 7, &presented, now + time::Duration::minutes(61)).is_none());
        assert!(opens(&key, 8, &presented, now).is_none());
        assert!(opens(&key, 7, "eabc4c2f-6628-4937-957b-6e7543764ezz", now).is_none());
        assert!(opens(&key, 7, "", now).is_none());
    }
}
