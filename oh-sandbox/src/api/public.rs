//! Public data, which needs no token. Here everything that members have is public.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::datafiles::{datatypes, download_url, source_project, stamp};
use super::datatypes::{ALL, DataType};
use super::paging::Page;
use super::project::Project;
use crate::secret::Key;
use crate::state::Shared;
use crate::state::world::{DataFile, OTHER_PROJECT, PROJECT, World, source};
use crate::web::call::Call;
use crate::web::respond::{crash, detail, json};

/// Answers a request for public data, `None` if there is no such place. These places are found
/// without a trailing slash too, and with `.json` at the end. Filters in the query are ignored.
pub(crate) fn answer(shared: &Shared, call: &Call) -> Option<Response> {
    let here = Here {
        world: &shared.world(),
        call,
        key: &shared.key,
        now: shared.clock.now(),
    };
    let path = call.path.trim_end_matches('/');
    let path = path.strip_suffix(".json").unwrap_or(path);
    if let Some(rest) = path.strip_prefix("/api/public-data") {
        return here.older(rest.trim_matches('/'));
    }
    let parts: Vec<&str> = path.strip_prefix("/api/public/")?.split('/').collect();
    here.current(&parts)
}

struct Here<'a> {
    world: &'a World,
    call: &'a Call,
    key: &'a Key,
    now: OffsetDateTime,
}

#[derive(Serialize)]
struct List<T> {
    count: usize,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<T>,
}

#[derive(Serialize)]
struct Person {
    name: String,
    profile_url: String,
    username: String,
}

#[derive(Serialize)]
struct User<I> {
    id: I,
    name: String,
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
    user: User<usize>,
}

#[derive(Serialize)]
struct OlderFile<'a> {
    id: u64,
    basename: &'a str,
    created: String,
    download_url: String,
    metadata: &'a Value,
    source: String,
    user: User<&'a str>,
}

impl<'a> Here<'a> {
    fn current(&self, parts: &[&str]) -> Option<Response> {
        let world = self.world;
        let number = |text: &str| text.parse::<u64>().ok();
        Some(match parts {
            ["projects"] => {
                let ours = world.settings.approved.then(|| Project::ours(world));
                self.list(ours.into_iter().chain([Project::other(world)]))
            }
            ["project", id] => match number(id) {
                Some(PROJECT) if world.settings.approved => {
                    json(StatusCode::OK, &Project::ours(world))
                }
                Some(OTHER_PROJECT) => json(StatusCode::OK, &Project::other(world)),
                Some(_) => none("DataRequestProject"),
                None => return None,
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
                let there = id == PROJECT;
                self.list(
                    self.joined()
                        .filter(|_| there)
                        .map(|index| self.person(index)),
                )
            }
            ["members"] => self.list(self.joined().map(|index| self.person(index))),
            ["member", name] => match self.named(name) {
                Some(index) => json(StatusCode::OK, &self.person(index)),
                None => none("Member"),
            },
            ["member", name, "projects"] => match self.named(name) {
                Some(_) => {
                    let ours = world.settings.approved.then(|| Project::ours(world));
                    self.list(ours.into_iter())
                }
                None => crash(),
            },
            ["member", name, "datafiles"] => match self.named(name) {
                Some(index) => self.files(move |file| file.member == index),
                None => crash(),
            },
            ["datatypes"] => self.list(ALL.iter().map(DataType::shown)),
            ["datatype", id] => match DataType::find(number(id)?) {
                Some(datatype) => json(StatusCode::OK, &datatype.shown()),
                None => none("DataType"),
            },
            ["datatype", id, "datafiles"] => {
                let id = number(id)?;
                let flag = self.call.query.get("include_children");
                let Some(children) = flag.map_or(Some(false), truth) else {
                    return Some(crash());
                };
                if DataType::find(id).is_none() {
                    return Some(crash());
                }
                self.files(move |file| {
                    let mut of = file.datatypes.iter();
                    of.any(|&it| {
                        it == id
                            || children
                                && DataType::find(it).is_some_and(|it| it.parent == Some(id))
                    })
                })
            }
            ["datafiles"] => self.files(|_| true),
            ["datafile", id] => match world
                .files
                .get(&number(id)?)
                .filter(|file| self.is_public(file))
            {
                Some(file) => json(StatusCode::OK, &self.file(file)),
                None => none("ProjectDataFile"),
            },
            _ => return None,
        })
    }

    fn older(&self, rest: &str) -> Option<Response> {
        let world = self.world;
        let names = || {
            self.joined()
                .map(|index| world.members[index].account_name())
        };
        Some(match rest {
            "" => self.list(self.public().map(|file| self.older_file(file))),
            "sources-by-member" => self.list(self.joined().map(|index| {
                let username = world.members[index].account_name();
                serde_json::json!({ "username": username, "sources": [source(PROJECT)] })
            })),
            "members-by-source" => {
                let ours: Vec<String> = names().collect();
                let other: Vec<String> = Vec::new();
                let of = |project: u64, name: &str, usernames: Vec<String>| serde_json::json!({ "source": source(project), "name": name, "usernames": usernames });
                let name = Project::ours(world).name;
                let approved = world.settings.approved;
                let ours = approved.then(|| of(PROJECT, name, ours));
                let other = of(OTHER_PROJECT, Project::other(world).name, other);
                self.list(ours.into_iter().chain([other]))
            }
            _ => return None,
        })
    }

    fn list<T: Serialize>(&self, items: impl Iterator<Item = T>) -> Response {
        let mut items: Vec<T> = items.collect();
        let count = items.len();
        let page = Page::of(self.call, count);
        let results = items
            .drain(page.skip.min(count)..)
            .take(page.take)
            .collect();
        json(
            StatusCode::OK,
            &List {
                count,
                next: page.next,
                previous: page.previous,
                results,
            },
        )
    }

    fn files(&self, wanted: impl Fn(&DataFile) -> bool) -> Response {
        self.list(
            self.public()
                .filter(|file| wanted(file))
                .map(|file| self.file(file)),
        )
    }

    /// The newest first.
    fn public(&self) -> impl Iterator<Item = &'a DataFile> {
        self.world
            .files
            .values()
            .rev()
            .filter(|file| self.is_public(file))
    }

    fn is_public(&self, file: &DataFile) -> bool {
        file.complete && self.world.members[file.member].joined()
    }

    /// Whether a project is shown to the public.
    fn has_project(&self, id: u64) -> bool {
        id == OTHER_PROJECT || id == PROJECT && self.world.settings.approved
    }

    fn joined(&self) -> impl Iterator<Item = usize> + 'a {
        self.world.joined()
    }

    fn named(&self, name: &str) -> Option<usize> {
        self.joined()
            .find(|&index| self.world.members[index].account_name() == name)
    }

    fn person(&self, index: usize) -> Person {
        let username = self.world.members[index].account_name();
        let profile_url = format!("{}/member/{username}/", self.call.base);
        Person {
            name: full_name(&username),
            profile_url,
            username,
        }
    }

    fn file(&self, file: &'a DataFile) -> File<'a> {
        let username = self.world.members[file.member].account_name();
        File {
            id: file.id,
            basename: &file.basename,
            created: stamp(file.created),
            datatypes: datatypes(file, &self.call.base),
            download_url: download_url(file, &self.call.base, self.key, self.now),
            metadata: &file.metadata,
            source_project: source_project(file, &self.call.base),
            user: User {
                id: file.member + 1,
                name: full_name(&username),
                username,
            },
        }
    }

    fn older_file(&self, file: &'a DataFile) -> OlderFile<'a> {
        let member = &self.world.members[file.member];
        let username = member.account_name();
        OlderFile {
            id: file.id,
            basename: &file.basename,
            created: stamp(file.created),
            download_url: download_url(file, &self.call.base, self.key, self.now),
            metadata: &file.metadata,
            source: source(file.project),
            user: User {
                id: &member.id,
                name: full_name(&username),
                username,
            },
        }
    }
}

/// What Python's `strtobool` makes of a text; it stumbles over any other.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn none(what: &str) -> Response {
    detail(
        StatusCode::NOT_FOUND,
        &format!("No {what} matches the given query."),
    )
}

/// `alice` is Alice Tester.
fn full_name(username: &str) -> String {
    let mut letters = username.chars();
    let first: String = letters
        .next()
        .map(|letter| letter.to_uppercase().collect())
        .unwrap_or_default();
    format!("{first}{} Tester", letters.as_str())
}
