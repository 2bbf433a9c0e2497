//! The public API, which requires no token. Every file of a joined member is public.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json as object};
use time::OffsetDateTime;

use super::datafiles::{datatypes, download_url, source_project, stamp};
use super::datatypes::{ALL, DataType};
use super::paging;
use super::project::Project;
use crate::secret::Key;
use crate::state::Shared;
use crate::state::database::{DataFile, Database, OTHER_PROJECT, PROJECT, source};
use crate::web::call::Call;
use crate::web::respond::{crash, detail, ok};

/// Handles a request for public data. Returns `None` for an unknown path. The paths are valid without
/// a trailing slash and with the extension `.json`. As on the newest server, most filters in the query
/// have no effect.
pub(crate) fn respond(shared: &Shared, call: &Call) -> Option<Response> {
    let api = PublicApi {
        db: &shared.db(),
        call,
        key: &shared.key,
        now: shared.clock.now(),
    };
    let path = call.path.trim_end_matches('/');
    let path = path.strip_suffix(".json").unwrap_or(path);
    if let Some(rest) = path.strip_prefix("/api/public-data") {
        return api.legacy(rest.trim_matches('/'));
    }
    let parts: Vec<&str> = path.strip_prefix("/api/public/")?.split('/').collect();
    api.current(&parts)
}

struct PublicApi<'a> {
    db: &'a Database,
    call: &'a Call,
    key: &'a Key,
    now: OffsetDateTime,
}

#[derive(Serialize)]
struct Person {
    name: String,
    profile_url: String,
    username: String,
}

#[derive(Serialize)]
struct File<'a> {
    id: u64,
    basename: &'a str,
    created: String,
    datatypes: Vec<String>,
    download_url: String,
    metadata: &'a Value,
    source_project: String,
    user: Value,
}

#[derive(Serialize)]
struct LegacyFile<'a> {
    id: u64,
    basename: &'a str,
    created: String,
    download_url: String,
    metadata: &'a Value,
    source: String,
    user: Value,
}

impl<'a> PublicApi<'a> {
    fn current(&self, parts: &[&str]) -> Option<Response> {
        let db = self.db;
        let number = |text: &str| text.parse::<u64>().ok();
        let own = || db.settings.approved.then(|| Project::own(db));
        Some(match parts {
            ["projects"] => self.list(own().into_iter().chain([Project::other(db)])),
            ["project", id] => match number(id)? {
                PROJECT if db.settings.approved => ok(&Project::own(db)),
                OTHER_PROJECT => ok(&Project::other(db)),
                _ => no_match("DataRequestProject"),
            },
            ["project", id, "datafiles"] => {
                let id = number(id)?;
                if !self.has_project(id) {
                    return Some(crash());
                }
                self.files(move |file| file.project == id)
            }
            ["project", id, "members"] => {
                let id = number(id)?;
                if !self.has_project(id) {
                    return Some(crash());
                }
                let members = db.joined().filter(|_| id == PROJECT);
                self.list(members.map(|index| self.person(index)))
            }
            ["members"] => self.list(db.joined().map(|index| self.person(index))),
            ["member", name] => match self.member_named(name) {
                Some(index) => ok(&self.person(index)),
                None => no_match("Member"),
            },
            ["member", name, "projects"] => match self.member_named(name) {
                Some(_) => self.list(own().into_iter()),
                None => crash(),
            },
            ["member", name, "datafiles"] => match self.member_named(name) {
                Some(index) => self.files(move |file| file.member == index),
                None => crash(),
            },
            ["datatypes"] => self.list(ALL.iter().map(DataType::shown)),
            ["datatype", id] => match DataType::find(number(id)?) {
                Some(datatype) => ok(&datatype.shown()),
                None => no_match("DataType"),
            },
            ["datatype", id, "datafiles"] => {
                let id = number(id)?;
                let flag = self.call.query.get("include_children");
                let include_children = flag.map_or(Some(false), strtobool);
                let (Some(include_children), Some(_)) = (include_children, DataType::find(id))
                else {
                    return Some(crash());
                };
                let is_child = move |datatype: u64| {
                    DataType::find(datatype).is_some_and(|datatype| datatype.parent == Some(id))
                };
                self.files(move |file| {
                    let mut datatypes = file.datatypes.iter().copied();
                    datatypes
                        .any(|datatype| datatype == id || include_children && is_child(datatype))
                })
            }
            ["datafiles"] => self.files(|_| true),
            ["datafile", id] => {
                let file = db.files.get(&number(id)?);
                match file.filter(|file| self.is_public(file)) {
                    Some(file) => ok(&self.file(file)),
                    None => no_match("ProjectDataFile"),
                }
            }
            _ => return None,
        })
    }

    fn legacy(&self, path: &str) -> Option<Response> {
        let db = self.db;
        let usernames = || {
            let members = db.joined().map(|index| db.members[index].account_name());
            members.collect::<Vec<_>>()
        };
        Some(match path {
            "" => self.list(self.public_files().map(|file| self.legacy_file(file))),
            "sources-by-member" => {
                self.list(usernames().into_iter().map(
                    |username| object!({ "username": username, "sources": [source(PROJECT)] }),
                ))
            }
            "members-by-source" => {
                let entry = |id: u64, project: Project, usernames: Vec<String>| object!({ "source": source(id), "name": project.name, "usernames": usernames });
                let approved = db.settings.approved;
                let own = approved.then(|| entry(PROJECT, Project::own(db), usernames()));
                let other = entry(OTHER_PROJECT, Project::other(db), Vec::new());
                let mut entries: Vec<Value> = own.into_iter().chain([other]).collect();
                // Measured: the filter is effective, and an unknown source is a server error.
                if let Some(expected) = self.call.query.get("source") {
                    entries.retain(|entry| entry["source"] == expected);
                    if entries.is_empty() {
                        return Some(crash());
                    }
                }
                self.list(entries.into_iter())
            }
            _ => return None,
        })
    }

    fn list<T: Serialize>(&self, items: impl Iterator<Item = T>) -> Response {
        let items: Vec<T> = items.collect();
        paging::list(self.call, items.len(), items.into_iter())
    }

    fn files(&self, matches: impl Fn(&DataFile) -> bool) -> Response {
        let files = self.public_files().filter(|file| matches(file));
        self.list(files.map(|file| self.listed_file(file)))
    }

    /// The public files, newest first.
    fn public_files(&self) -> impl Iterator<Item = &'a DataFile> {
        let files = self.db.files.values().rev();
        files.filter(|file| self.is_public(file))
    }

    fn is_public(&self, file: &DataFile) -> bool {
        file.complete && self.db.members[file.member].joined()
    }

    fn has_project(&self, id: u64) -> bool {
        id == OTHER_PROJECT || id == PROJECT && self.db.settings.approved
    }

    fn member_named(&self, name: &str) -> Option<usize> {
        let mut members = self.db.joined();
        members.find(|&index| self.db.members[index].account_name() == name)
    }

    fn person(&self, index: usize) -> Person {
        let username = self.db.members[index].account_name();
        let profile_url = format!("{}/member/{username}/", self.call.base);
        Person {
            name: full_name(&username),
            profile_url,
            username,
        }
    }

    /// One file of a list. Measured: the filter `username` does not restrict the list, but a file of
    /// a hidden member whose username contains the filter's value becomes `{}`.
    fn listed_file(&self, file: &'a DataFile) -> Value {
        let member = &self.db.members[file.member];
        let filter = self.call.query.get("username");
        if member.hidden && filter.is_some_and(|name| member.account_name().contains(name)) {
            return object!({});
        }
        object!(self.file(file))
    }

    fn file(&self, file: &'a DataFile) -> File<'a> {
        File {
            id: file.id,
            basename: &file.basename,
            created: stamp(file.created),
            datatypes: datatypes(file, &self.call.base),
            download_url: download_url(file, &self.call.base, self.key, self.now),
            metadata: &file.metadata,
            source_project: source_project(file, &self.call.base),
            user: self.user(file, &(file.member + 1).into()),
        }
    }

    fn legacy_file(&self, file: &'a DataFile) -> LegacyFile<'a> {
        // Measured: the user id is the member id as a string of 8 digits.
        let id = self.db.members[file.member].id.as_str().into();
        LegacyFile {
            id: file.id,
            basename: &file.basename,
            created: stamp(file.created),
            download_url: download_url(file, &self.call.base, self.key, self.now),
            metadata: &file.metadata,
            source: source(file.project),
            user: self.user(file, &id),
        }
    }

    /// The user of a file. Measured: a hidden member has only a username, which is null.
    fn user(&self, file: &DataFile, id: &Value) -> Value {
        let member = &self.db.members[file.member];
        if member.hidden {
            return object!({ "username": null });
        }
        let username = member.account_name();
        object!({ "id": id, "name": full_name(&username), "username": username })
    }
}

/// Parses a flag like Python's `strtobool`, which raises an exception for any other text.
fn strtobool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn no_match(model: &str) -> Response {
    let text = format!("No {model} matches the given query.");
    detail(StatusCode::NOT_FOUND, &text)
}

/// Returns `Alice Tester` for `alice`.
fn full_name(username: &str) -> String {
    let mut letters = username.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    format!("{}{} Tester", first.collect::<String>(), letters.as_str())
}
