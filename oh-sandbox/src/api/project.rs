//! The record of the project, one member, and the list of members.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::caller::Caller;
use super::datafiles::{FileView, stamp};
use super::datatypes::{self, DataType};
use super::paging::{self, Page};
use crate::state::Shared;
use crate::state::database::{Database, Membership, OTHER_PROJECT, PROJECT, source};
use crate::web::call::Call;
use crate::web::respond::{crash, json_error, ok};

/// The number of files per member in the list of members.
const MAX_LISTED_FILES: usize = 10;

/// The JSON representation of a project.
#[derive(Serialize)]
pub(crate) struct Project {
    active: bool,
    approved: bool,
    authorized_members: usize,
    badge_image: Option<String>,
    contact_email: &'static str,
    id: u64,
    id_label: String,
    info_url: String,
    is_academic_or_nonprofit: bool,
    is_study: bool,
    leader: &'static str,
    long_description: &'static str,
    pub(crate) name: &'static str,
    organization: &'static str,
    registered_datatypes: Vec<String>,
    requested_sources: Vec<String>,
    request_sources_access: Vec<String>,
    request_username_access: bool,
    returned_data_description: &'static str,
    short_description: &'static str,
    slug: &'static str,
    r#type: &'static str,
}

impl Project {
    /// Returns the project under test.
    pub(crate) fn own(db: &Database) -> Self {
        let registered = datatypes::ALL.iter().filter(|datatype| datatype.registered);
        Self {
            active: db.settings.active,
            approved: db.settings.approved,
            authorized_members: db.joined().count(),
            badge_image: None,
            contact_email: "project@example.org",
            id: PROJECT,
            id_label: source(PROJECT),
            info_url: "http://localhost:8000/".to_owned(),
            is_academic_or_nonprofit: true,
            is_study: false,
            leader: "Sandbox Leader",
            long_description: "The project that an app under development belongs to.",
            name: "Sandbox Project",
            organization: "Sandbox",
            registered_datatypes: registered
                .map(|datatype| DataType::path(datatype.id))
                .collect(),
            requested_sources: vec![format!("/api/public/project/{OTHER_PROJECT}/")],
            request_sources_access: vec![source(OTHER_PROJECT)],
            request_username_access: true,
            returned_data_description: "Whatever the app uploads.",
            short_description: "A project to try things out.",
            slug: "sandbox-project",
            r#type: if db.settings.on_site {
                "on-site"
            } else {
                "oauth2"
            },
        }
    }

    /// Returns the other project, which shares its data with the project under test.
    pub(crate) fn other(db: &Database) -> Self {
        Self {
            active: true,
            approved: true,
            r#type: "oauth2",
            id: OTHER_PROJECT,
            id_label: source(OTHER_PROJECT),
            name: "Other Source",
            slug: "other-source",
            registered_datatypes: Vec::new(),
            requested_sources: Vec::new(),
            request_sources_access: Vec::new(),
            request_username_access: false,
            long_description: "A project that members have data from.",
            returned_data_description: "Other data.",
            short_description: "Another project.",
            ..Self::own(db)
        }
    }
}

/// `GET project/`
pub(crate) fn project(shared: &Shared) -> Response {
    ok(&Project::own(&shared.db()))
}

#[derive(Serialize)]
struct Exchange<'a> {
    count: usize,
    next: Option<String>,
    previous: Option<String>,
    created: String,
    project_member_id: &'a str,
    sources_shared: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    data: Vec<FileView<'a>>,
}

/// `GET project/exchange-member/`
///
/// With the master token the response is 200, with files, even after the member has left.
pub(crate) fn exchange_member(shared: &Shared, call: &Call, caller: Caller) -> Response {
    let now = shared.clock.now();
    let db = shared.db();
    let index = match caller {
        Caller::Member(index) => Some(index),
        Caller::Project => {
            let Some(id) = call.query.get("project_member_id") else {
                return crash();
            };
            db.find(id)
                .filter(|&index| db.members[index].membership != Membership::NeverJoined)
        }
    };
    let Some(index) = index else {
        let text = "project_member_id is invalid";
        return json_error(StatusCode::BAD_REQUEST, "project_member_id", text);
    };
    let member = &db.members[index];
    let count = db.files_of(index).count();
    let page = Page::of(call, count);
    let data = db.files_of(index).skip(page.skip).take(page.take);
    ok(&Exchange {
        count,
        data: data
            .map(|file| FileView::of(file, &call.base, &shared.key, now))
            .collect(),
        next: page.next,
        previous: page.previous,
        created: stamp(member.created),
        project_member_id: &member.id,
        sources_shared: vec![source(OTHER_PROJECT)],
        username: member.username.as_deref(),
    })
}

#[derive(Serialize)]
struct MemberView<'a> {
    created: String,
    project_member_id: &'a str,
    file_count: usize,
    exchange_member: String,
    sources_shared: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    data: Vec<FileView<'a>>,
}

/// `GET project/members/`
///
/// Each entry contains a link with the token from the query. Without a token in the query the
/// server crashes when it creates the link.
pub(crate) fn members(shared: &Shared, call: &Call) -> Response {
    let Some(token) = call.query.get("access_token") else {
        return crash();
    };
    let now = shared.clock.now();
    let db = shared.db();
    let members = db.listed().map(|index| {
        let member = &db.members[index];
        let data = db.files_of(index).take(MAX_LISTED_FILES);
        MemberView {
            created: stamp(member.created),
            project_member_id: &member.id,
            file_count: db.files_of(index).count(),
            exchange_member: format!(
                "{}/api/direct-sharing/project/exchange-member/?project_member_id={}&access_token={token}",
                call.base, member.id
            ),
            sources_shared: vec![source(OTHER_PROJECT)],
            username: member.username.as_deref(),
            data: data.map(|file| FileView::of(file, &call.base, &shared.key, now)).collect(),
        }
    });
    paging::list(call, db.listed().count(), members)
}
