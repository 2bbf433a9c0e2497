//! Metadata CSVs in the two formats of `open-humans-api`.
//!
//! The first column is `filename`; for several members the first two are `project_member_id` and
//! `filename`. The column `tags` is required and contains tags separated by commas. Every other column
//! is a metadata field. A member without files has a row with the name `None` and `NA` in the other
//! columns.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::local::{self, comparable};
use super::{csv_cell, decode_text, plain_cell};
use crate::FileMetadata;
use crate::files::delete::check_name;
use crate::files::hashing::blocking;
use crate::{Error, Progress, ProjectMemberId, Timestamp};

/// The columns of a draft after the file name.
const DRAFT: [&str; 4] = ["tags", "description", "md5", "creation_date"];
/// Fields that Open Humans validates: an empty cell means that the field is absent.
const VALIDATED: [&str; 4] = ["md5", "creation_date", "start_date", "end_date"];

/// The metadata of the files of a directory, by member if there are several.
///
/// ```
/// use oh_api::bulk::Manifest;
///
/// let csv = "filename,tags,description\nsteps.csv,\"steps, csv\",Steps in 2020\n";
/// let manifest = Manifest::read(csv.as_bytes())?;
/// let metadata = manifest.get(None, "steps.csv").unwrap();
/// assert_eq!(metadata.description(), "Steps in 2020");
/// # Ok::<(), oh_api::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    members: BTreeMap<Option<ProjectMemberId>, BTreeMap<String, FileMetadata>>,
}

impl Manifest {
    /// Reads a metadata CSV in UTF-8 or UTF-16, with commas, semicolons or tabs between its columns.
    /// Empty rows are skipped, and columns without a name and content are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the row and the problem; [`Error::Io`].
    pub fn read(mut csv: impl Read) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        csv.read_to_end(&mut bytes)?;
        let text = decode_text(&bytes)
            .ok_or_else(|| invalid("it is not UTF-8 or UTF-16 text: save it as UTF-8"))?;
        // The name of the first column contains no delimiter.
        let delimiter = text.bytes().find(|byte| b",;\t\n".contains(byte));
        let mut rows = csv::ReaderBuilder::new()
            .delimiter(delimiter.filter(|byte| *byte != b'\n').unwrap_or(b','))
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut rows = rows.records();
        let header = match rows.next() {
            Some(header) => header.map_err(|e| invalid(e.to_string()))?,
            None => return Err(invalid("it is empty")),
        };
        let header: Vec<&str> = header.iter().map(str::trim).collect();
        let with_members = match header.as_slice() {
            ["project_member_id", "filename", ..] => true,
            ["filename", ..] => false,
            header => return Err(invalid(header_problem(header))),
        };
        if !header.contains(&"tags") {
            return Err(invalid("it has no column tags"));
        }
        let mut columns = BTreeSet::new();
        let mut named = header.iter().filter(|name| !name.is_empty());
        if let Some(name) = named.find(|name| !columns.insert(**name)) {
            return Err(invalid(format!("two columns are named {name:?}")));
        }
        let mut manifest = Self::default();
        for (row, number) in rows.zip(2..) {
            let row = row.map_err(|e| invalid(e.to_string()))?;
            let cells: Vec<&str> = row.iter().map(plain_cell).collect();
            if cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            named_cells(&header, &cells)
                .and_then(|(header, cells)| manifest.add_row(&header, &cells, with_members))
                .map_err(|reason| invalid(format!("row {number}: {reason}")))?;
        }
        if !with_members {
            manifest.members.entry(None).or_default();
        }
        Ok(manifest)
    }

    fn add_row(
        &mut self,
        header: &[&str],
        cells: &[&str],
        with_members: bool,
    ) -> Result<(), String> {
        let (member, cells, header) = match with_members {
            true => {
                let id = local::member_id(cells[0])?;
                (Some(id), &cells[1..], &header[1..])
            }
            false => (None, cells, header),
        };
        let files = self.members.entry(member).or_default();
        let name = comparable(cells[0]);
        if name == "None" && cells[1..].iter().all(|cell| *cell == "NA") {
            return Ok(());
        }
        check_name(&name).map_err(|e| e.to_string())?;
        let mut metadata = FileMetadata::default();
        for (column, cell) in header.iter().zip(cells).skip(1) {
            metadata = match *column {
                "tags" => metadata.tags(cell.split(',').map(str::trim).filter(|t| !t.is_empty())),
                "description" => metadata.with_description(*cell),
                field if VALIDATED.contains(&field) && cell.is_empty() => metadata,
                other => metadata.field(other, *cell),
            };
        }
        metadata.check().map_err(|e| format!("{name}: {e}"))?;
        if files.contains_key(&name) {
            return Err(format!("{name} is a duplicate"));
        }
        files.insert(name, metadata);
        Ok(())
    }

    /// Sets the metadata of a file. `member` is its owner if the manifest covers several members. Outer
    /// blanks of the name are removed, as Open Humans does.
    ///
    /// ```
    /// use oh_api::FileMetadata;
    /// use oh_api::bulk::Manifest;
    ///
    /// let mut manifest = Manifest::default();
    /// manifest.insert(None, "steps.csv", FileMetadata::new("Steps in 2020").tags(["steps"]))?;
    /// assert!(manifest.get(None, "steps.csv").is_some());
    /// # Ok::<(), oh_api::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name or metadata that Open Humans cannot store, and if some files
    /// have a member and others do not.
    pub fn insert(
        &mut self,
        member: Option<ProjectMemberId>,
        name: &str,
        metadata: FileMetadata,
    ) -> Result<(), Error> {
        check_name(name)?;
        metadata.check()?;
        let others = self.members.keys().next();
        if others.is_some_and(|other| other.is_some() != member.is_some()) {
            return Err(invalid("some files have a member and others do not"));
        }
        let files = self.members.entry(member).or_default();
        files.insert(comparable(name), metadata);
        Ok(())
    }

    /// Returns the number of files.
    pub fn len(&self) -> usize {
        self.members.values().map(BTreeMap::len).sum()
    }

    /// Returns whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes a CSV that [`read`](Self::read) can parse. Cells are escaped so that no spreadsheet
    /// interprets them as formulas, see [`csv_cell`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the writer fails.
    pub fn write(&self, out: impl Write) -> Result<(), Error> {
        let with_members = !self.members.contains_key(&None);
        let all = self.members.values().flat_map(BTreeMap::values);
        let mut columns: Vec<&str> = DRAFT.to_vec();
        let others: BTreeSet<&str> = all
            .flat_map(|metadata| metadata.fields().keys().map(String::as_str))
            .filter(|name| !DRAFT.contains(name))
            .collect();
        columns.extend(others);
        let mut rows = csv::Writer::from_writer(out);
        let mut header = vec!["filename"];
        if with_members {
            header.insert(0, "project_member_id");
        }
        header.extend(&columns);
        rows.write_record(&header).map_err(io)?;
        for (member, files) in &self.members {
            let first = member.as_ref().map(ProjectMemberId::as_str);
            if files.is_empty() && with_members {
                let rest = columns.iter().map(|_| "NA");
                let row = first.into_iter().chain(["None"]).chain(rest);
                rows.write_record(row).map_err(io)?;
            }
            for (name, metadata) in files {
                let cells = columns.iter().map(|column| cell(metadata, column));
                let first = first.map(str::to_owned);
                let row = first.into_iter().chain([name.clone()]).chain(cells);
                let row = row.map(|text| csv_cell(&text).into_owned());
                rows.write_record(row).map_err(io)?;
            }
        }
        rows.flush()?;
        Ok(())
    }

    /// Drafts a manifest for a directory with a folder for each member, or with one member's files.
    ///
    /// MD5s and dates are taken from the files, tags are guessed from the names, and descriptions are
    /// empty. Hidden files and files of more than `max_size` bytes are omitted. `on_progress` is called
    /// as the files are read.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if the directory has another form; [`Error::Io`].
    pub async fn draft(
        directory: impl AsRef<Path>,
        max_size: u64,
        on_progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let directory = directory.as_ref().to_owned();
        blocking(move |cancellation| {
            let mut manifest = Self::default();
            let mut selected = Vec::new();
            for (member, files) in local::list(&directory)? {
                manifest.members.entry(member.clone()).or_default();
                for (name, path) in files {
                    // `read` would reject it.
                    check_name(&name).map_err(|e| local::invalid(format!("{name}: {e}")))?;
                    let file = std::fs::metadata(&path).map_err(|e| Error::from(e).at(&path))?;
                    if file.len() <= max_size {
                        selected.push((member.clone(), name, path, file));
                    }
                }
            }
            let total = selected.iter().map(|(_, _, _, file)| file.len()).sum();
            let progress = TotalProgress::new(total, &on_progress);
            for (member, name, path, file) in selected {
                let modified = Timestamp::from(file.modified()?);
                let metadata = FileMetadata::new("")
                    .tags(guess_tags(&name))
                    .md5(local::md5_of(&path, cancellation, &|read| {
                        progress.add(read)
                    })?)
                    .creation_date(modified.to_string());
                let described = manifest.members.entry(member).or_default();
                described.insert(name, metadata);
            }
            Ok::<_, Error>(manifest)
        })
        .await
    }

    /// Compares the manifest with a directory and returns the differences: files that are missing on
    /// one side, and files with other MD5s. `on_progress` is called as the files are read.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if the directory has another form; [`Error::Io`].
    pub async fn review(
        &self,
        directory: impl AsRef<Path>,
        on_progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Vec<String>, Error> {
        let directory = directory.as_ref().to_owned();
        let manifest = self.clone();
        blocking(move |cancellation| {
            let files = local::list(&directory)?;
            let mut problems = manifest.compare(&files);
            let mut described = Vec::new();
            let mut total = 0;
            for (member, of_member) in &manifest.members {
                for (name, metadata) in of_member {
                    let path = files.get(member).and_then(|files| files.get(name));
                    let (Some(path), Some(Value::String(md5))) = (path, metadata.get("md5")) else {
                        continue;
                    };
                    let file = std::fs::metadata(path).map_err(|e| Error::from(e).at(path))?;
                    total += file.len();
                    described.push((member, name, path, md5));
                }
            }
            let progress = TotalProgress::new(total, &on_progress);
            for (member, name, path, md5) in described {
                let actual = local::md5_of(path, cancellation, &|read| progress.add(read))?;
                if !actual.eq_ignore_ascii_case(md5) {
                    problems.push(format!("{}: the MD5 differs", shown(member, name)));
                }
            }
            Ok::<_, Error>(problems)
        })
        .await
    }

    /// Returns the metadata of a file.
    pub fn get(&self, member: Option<&ProjectMemberId>, name: &str) -> Option<&FileMetadata> {
        self.members.get(&member.cloned())?.get(&comparable(name))
    }

    /// Whether the manifest names members.
    pub(super) fn has_members(&self) -> bool {
        self.members.keys().any(Option::is_some)
    }

    /// Returns the files that are missing on one side.
    pub(super) fn compare(&self, files: &local::Files) -> Vec<String> {
        let mut problems = Vec::new();
        for (member, described) in &self.members {
            let local = files.get(member);
            for name in described.keys() {
                if !local.is_some_and(|local| local.contains_key(name)) {
                    problems.push(format!(
                        "{} is in the metadata and not in the directory",
                        shown(member, name)
                    ));
                }
            }
        }
        for (member, local) in files {
            let described = self.members.get(member);
            if let (None, Some(member)) = (described, member) {
                problems.push(format!(
                    "{member} is in the directory and not in the metadata"
                ));
                continue;
            }
            for name in local.keys() {
                if !described.is_some_and(|described| described.contains_key(name)) {
                    problems.push(format!(
                        "{} is in the directory and not in the metadata",
                        shown(member, name)
                    ));
                }
            }
        }
        problems
    }

    pub(super) fn members(
        &self,
    ) -> &BTreeMap<Option<ProjectMemberId>, BTreeMap<String, FileMetadata>> {
        &self.members
    }
}

/// The progress of reading several files.
struct TotalProgress<'a> {
    done: AtomicU64,
    total: u64,
    on_progress: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> TotalProgress<'a> {
    fn new(total: u64, on_progress: &'a (dyn Fn(Progress) + Sync)) -> Self {
        Self {
            done: AtomicU64::new(0),
            total,
            on_progress,
        }
    }

    fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.on_progress)(Progress {
            done,
            total: Some(self.total),
        });
    }
}

fn shown(member: &Option<ProjectMemberId>, name: &str) -> String {
    match member {
        Some(member) => format!("{member}/{name}"),
        None => name.to_owned(),
    }
}

fn cell(metadata: &FileMetadata, column: &str) -> String {
    match column {
        "tags" => metadata.tag_list().join(", "),
        "description" => metadata.description().to_owned(),
        other => match metadata.get(other) {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        },
    }
}

/// Returns the problem of a CSV with this header.
fn header_problem(header: &[&str]) -> &'static str {
    match header {
        ["project_member_id", "data_source", ..] => {
            "it is a list of files at Open Humans, not metadata of files to upload, which \
             `oh metadata draft` or Manifest::draft creates"
        }
        _ => "it must start with the column filename, or with project_member_id and filename",
    }
}

/// Returns the columns that have a name.
fn named_cells<'a>(
    header: &[&'a str],
    cells: &[&'a str],
) -> Result<(Vec<&'a str>, Vec<&'a str>), String> {
    if cells.len() != header.len() {
        let (actual, expected) = (cells.len(), header.len());
        return Err(format!(
            "it has {actual} cells, and the header has {expected}"
        ));
    }
    let mut named = (Vec::new(), Vec::new());
    for (number, (name, cell)) in (1..).zip(header.iter().zip(cells)) {
        match (name.is_empty(), cell.trim().is_empty()) {
            (true, true) => {}
            (true, false) => return Err(format!("column {number} has no name, but content")),
            (false, _) => {
                named.0.push(*name);
                named.1.push(*cell);
            }
        }
    }
    Ok(named)
}

/// Guesses tags from a name's extension. Compression extensions are ignored.
fn guess_tags(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let name = name.strip_suffix(".bz2").unwrap_or(name);
    ["vcf", "json", "csv"].into_iter().find(|ending| {
        name.strip_suffix(ending)
            .is_some_and(|rest| rest.ends_with('.'))
    })
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::invalid_input("metadata CSV", reason)
}

fn io(error: csv::Error) -> Error {
    Error::from(std::io::Error::from(error))
}
