//! The metadata CSV: what is said of each file of a directory.
//!
//! Two forms, those of `open-humans-api`. For one member the first column is `filename`; for
//! several, `project_member_id` and `filename`. A column `tags` must be there, its tags separated
//! by commas; any other column is a field of the metadata. A member without files has a row with
//! the name `None` and `NA` in the other columns.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::local::{self, stored};
use super::{csv_cell, plain_cell};
use crate::FileMetadata;
use crate::files::calls::check_name;
use crate::files::hashing::blocking;
use crate::{Error, Progress, ProjectMemberId, Timestamp};

/// The columns of a draft, after those that name the file.
const DRAFT: [&str; 4] = ["tags", "description", "md5", "creation_date"];
/// Fields that must be right or not there at all.
const KNOWN: [&str; 4] = ["md5", "creation_date", "start_date", "end_date"];

/// What is said of each file of a directory, by member where there are several.
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
    /// Reads a metadata CSV.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] saying in which row what is wrong.
    pub fn read(csv: impl Read) -> Result<Self, Error> {
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(csv);
        let mut rows = rows.records();
        let header = match rows.next() {
            Some(header) => header.map_err(|e| invalid(e.to_string()))?,
            None => return Err(invalid("it is empty")),
        };
        let header: Vec<&str> = header
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').trim())
            .collect();
        let with_members = match header.as_slice() {
            ["project_member_id", "filename", ..] => true,
            ["filename", ..] => false,
            header => return Err(invalid(not_one(header))),
        };
        if !header.contains(&"tags") {
            return Err(invalid("it has no column tags"));
        }
        let mut manifest = Self::default();
        for (row, number) in rows.zip(2..) {
            let row = row.map_err(|e| invalid(e.to_string()))?;
            let in_row = |reason: String| invalid(format!("row {number}: {reason}"));
            let cells: Vec<&str> = row.iter().map(plain_cell).collect();
            manifest
                .add_row(&header, &cells, with_members)
                .map_err(in_row)?;
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
        if cells.len() != header.len() {
            let (has, wants) = (cells.len(), header.len());
            return Err(format!("it has {has} cells, and the header {wants}"));
        }
        let (member, cells_left, header_left) = match with_members {
            true => {
                let id = local::member_id(cells[0])?;
                (Some(id), &cells[1..], &header[1..])
            }
            false => (None, cells, header),
        };
        let files = self.members.entry(member).or_default();
        let name = stored(cells_left[0]);
        if name == "None" && cells_left[1..].iter().all(|cell| *cell == "NA") {
            return Ok(());
        }
        check_name(name).map_err(|e| e.to_string())?;
        let mut metadata = FileMetadata::default();
        for (column, cell) in header_left.iter().zip(cells_left).skip(1) {
            metadata = match *column {
                "tags" => metadata.tags(cell.split(',').map(str::trim).filter(|t| !t.is_empty())),
                "description" => metadata.with_description(*cell),
                known if KNOWN.contains(&known) && cell.is_empty() => metadata,
                other => metadata.field(other, *cell),
            };
        }
        metadata.check().map_err(|e| format!("{name}: {e}"))?;
        match files.insert(name.to_owned(), metadata) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is there twice")),
        }
    }

    /// Says of a file what `metadata` say. `member` is whose it is where there are several, and the
    /// name counts without outer blanks, which Open Humans drops.
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
    /// [`Error::InvalidInput`] for a name or metadata that Open Humans cannot take, and where some
    /// files have a member and others none.
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
            return Err(invalid("some files have a member, and others none"));
        }
        let files = self.members.entry(member).or_default();
        files.insert(stored(name).to_owned(), metadata);
        Ok(())
    }

    /// How many files it describes.
    pub fn len(&self) -> usize {
        self.members.values().map(BTreeMap::len).sum()
    }

    /// Whether it describes no file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes it as CSV, in the form [`read`](Self::read) reads. No cell is one that a spreadsheet
    /// takes for a formula, see [`csv_cell`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it cannot be written.
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

    /// Drafts one for a directory: a folder for each member, or one member's files. MD5 and date
    /// are those of the files, tags are guessed from their endings, descriptions are empty. Files
    /// of more than `max_size` bytes and hidden files are left out.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when the directory is of another form; [`Error::Io`].
    pub async fn draft(
        directory: impl AsRef<Path>,
        max_size: u64,
        on_progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let directory = directory.as_ref().to_owned();
        blocking(move |cancellation| {
            let mut manifest = Self::default();
            let mut found = Vec::new();
            for (member, files) in local::look(&directory)? {
                manifest.members.entry(member.clone()).or_default();
                for (name, path) in files {
                    let file = std::fs::metadata(&path).map_err(|e| Error::from(e).at(&path))?;
                    if file.len() <= max_size {
                        found.push((member.clone(), name, path, file));
                    }
                }
            }
            let total = found.iter().map(|(_, _, _, file)| file.len()).sum();
            let watch = Watch::new(total, &on_progress);
            for (member, name, path, file) in found {
                let made = Timestamp::from(file.modified()?);
                let metadata = FileMetadata::new("")
                    .tags(guess_tags(&name))
                    .md5(local::md5_watched(&path, cancellation, &|read| {
                        watch.read(read)
                    })?)
                    .creation_date(made.to_string());
                let described = manifest.members.entry(member).or_default();
                described.insert(name, metadata);
            }
            Ok::<_, Error>(manifest)
        })
        .await
    }

    /// Holds it against a directory, and says all that does not fit: files on one side only, and
    /// MD5s that are not the files'. Nothing, if all is well.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when the directory is of another form; [`Error::Io`].
    pub async fn review(
        &self,
        directory: impl AsRef<Path>,
        on_progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Vec<String>, Error> {
        let directory = directory.as_ref().to_owned();
        let manifest = self.clone();
        blocking(move |cancellation| {
            let files = local::look(&directory)?;
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
            let watch = Watch::new(total, &on_progress);
            for (member, name, path, md5) in described {
                let found = local::md5_watched(path, cancellation, &|read| watch.read(read))?;
                if !found.eq_ignore_ascii_case(md5) {
                    problems.push(format!("{}: its MD5 is another", shown(member, name)));
                }
            }
            Ok::<_, Error>(problems)
        })
        .await
    }

    /// What is said of a file.
    pub fn get(&self, member: Option<&ProjectMemberId>, name: &str) -> Option<&FileMetadata> {
        self.members.get(&member.cloned())?.get(stored(name))
    }

    /// Whether it names members.
    pub fn has_members(&self) -> bool {
        self.members.keys().any(Option::is_some)
    }

    /// Files on one side only.
    pub(super) fn compare(&self, files: &local::Files) -> Vec<String> {
        let mut problems = Vec::new();
        for (member, described) in &self.members {
            let here = files.get(member);
            for name in described.keys() {
                if !here.is_some_and(|here| here.contains_key(name)) {
                    problems.push(format!(
                        "{} is in the metadata and not in the directory",
                        shown(member, name)
                    ));
                }
            }
        }
        for (member, here) in files {
            let described = self.members.get(member);
            if let (None, Some(member)) = (described, member) {
                problems.push(format!(
                    "{member} is in the directory and not in the metadata"
                ));
                continue;
            }
            for name in here.keys() {
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

/// How far the reading of several files has come.
struct Watch<'a> {
    done: AtomicU64,
    total: u64,
    told: &'a (dyn Fn(Progress) + Sync),
}

impl<'a> Watch<'a> {
    fn new(total: u64, told: &'a (dyn Fn(Progress) + Sync)) -> Self {
        Self {
            done: AtomicU64::new(0),
            total,
            told,
        }
    }

    fn read(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.told)(Progress {
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

/// What is wrong with a CSV that begins like this.
fn not_one(header: &[&str]) -> &'static str {
    match header {
        ["project_member_id", "data_source", ..] => {
            "it is a list of files that are at Open Humans, not metadata of files to upload: \
             `oh metadata draft` or Manifest::draft make that"
        }
        [only] if only.contains([';', '\t']) => {
            "its columns are not separated by commas: save it as CSV with commas"
        }
        _ => "it does not begin with the column filename, or with project_member_id and filename",
    }
}

/// Tags that follow from a name's ending, looking through compression.
fn guess_tags(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let name = name.strip_suffix(".bz2").unwrap_or(name);
    ["vcf", "json", "csv"].into_iter().find(|ending| {
        name.strip_suffix(ending)
            .is_some_and(|rest| rest.ends_with('.'))
    })
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidInput {
        argument: "metadata CSV",
        reason: reason.into(),
    }
}

fn io(error: csv::Error) -> Error {
    Error::from(std::io::Error::from(error))
}
