//! The state of the sandbox: the project, the members and their files.
//!
//! One lock protects it and is held for the duration of one request's effect, so requests are
//! atomic. The rules for tokens are in [`grants`](crate::state::grants).

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use super::grants::Grants;

/// The project under test.
pub(crate) const PROJECT: u64 = 2;

/// The other project, which members share data from.
pub(crate) const OTHER_PROJECT: u64 = 1;

/// Returns the name of a project as a data source.
pub(crate) fn source(project: u64) -> String {
    format!("direct-sharing-{project}")
}

/// The settings that can change while the sandbox runs.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) redirect_uris: Vec<Url>,
    pub(crate) webhook_url: Option<Url>,
    pub(crate) webhook_secret: Option<String>,
    /// No webhook is sent when a member leaves without an erasure request.
    pub(crate) silent_leave: bool,
    /// Removal by API responds 500 after the first member was removed.
    pub(crate) remove_members_fails: bool,
    /// Deleting an account that takes part in the project responds 500 and has no effect.
    pub(crate) account_deletion_fails: bool,
    /// Whether the project is active.
    pub(crate) active: bool,
    /// Whether Open Humans has approved the project.
    pub(crate) approved: bool,
    /// Whether it is an on-site project, which has no OAuth2 client.
    pub(crate) on_site: bool,
    /// Whether the project may read access logs.
    pub(crate) access_logs: bool,
    /// When the master token expires.
    pub(crate) master_token_expires: Option<OffsetDateTime>,
}

/// The maximum number of members of an unapproved project.
pub(crate) const MAX_UNAPPROVED_MEMBERS: usize = 20;

/// The lifetime of an expiring master token.
pub(crate) const MASTER_TOKEN_LIFETIME: time::Duration = time::Duration::hours(24);

/// A member of Open Humans and the membership in the project.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// The username, if the member shares it with the project.
    pub(crate) username: Option<String>,
    pub(crate) membership: Membership,
    /// Whether the account is active. The tokens of an inactive account remain valid.
    pub(crate) active: bool,
    /// Whether the member hides the membership from the public.
    pub(crate) hidden: bool,
    /// When the member first joined the project.
    pub(crate) created: OffsetDateTime,
    /// All files, including incomplete ones, by id.
    pub(crate) files: Vec<u64>,
}

/// The membership in the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Membership {
    /// Has never authorized the project.
    NeverJoined,
    /// Takes part in the project.
    Joined,
    /// Has left the project.
    Left,
    /// Has deleted the account.
    Deleted,
}

impl Member {
    /// Returns the username, even if the member does not share it with the project.
    pub(crate) fn account_name(&self) -> String {
        self.username
            .clone()
            .unwrap_or_else(|| format!("member-{}", self.id))
    }

    pub(crate) fn joined(&self) -> bool {
        self.membership == Membership::Joined
    }
}

/// A data file.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    pub(crate) id: u64,
    pub(crate) member: usize,
    pub(crate) project: u64,
    pub(crate) basename: String,
    pub(crate) created: OffsetDateTime,
    pub(crate) datatypes: Vec<u64>,
    pub(crate) metadata: Value,
    /// The path in the object store.
    pub(crate) object: String,
    /// Whether the upload is complete. Incomplete files are not listed.
    pub(crate) complete: bool,
}

/// A message that the project sent to members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// The subject, or an empty string.
    pub subject: String,
    /// The text.
    pub message: String,
    /// The project member ids of the recipients.
    pub to: Vec<String>,
}

/// The state of the sandbox.
pub(crate) struct Database {
    pub(crate) settings: Settings,
    /// Members are never removed, so indices remain valid.
    pub(crate) members: Vec<Member>,
    by_id: HashMap<String, usize>,
    pub(crate) grants: Grants,
    pub(crate) files: BTreeMap<u64, DataFile>,
    last_file: u64,
    pub(crate) messages: Vec<Message>,
    /// Accesses to files, at the site and at the object store.
    pub(crate) accesses: Vec<Access>,
}

/// One access to a file, with a copy of the file's record.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) at: OffsetDateTime,
    pub(crate) file: DataFile,
    pub(crate) what: AccessKind,
}

/// The kind of access.
#[derive(Debug, Clone)]
pub(crate) enum AccessKind {
    /// A download request at the site, which redirects to the object store.
    Site {
        key: String,
        /// The creation time of the key.
        key_made: OffsetDateTime,
        link: String,
    },
    /// A request at the object store.
    Store {
        status: u16,
        size: u64,
        agent: String,
    },
}

impl Database {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            members: Vec::new(),
            by_id: HashMap::new(),
            grants: Grants::default(),
            files: BTreeMap::new(),
            last_file: 0,
            messages: Vec::new(),
            accesses: Vec::new(),
        }
    }

    /// Adds a member, or changes the username of an existing member.
    pub(crate) fn add_member(
        &mut self,
        id: &str,
        username: Option<&str>,
        now: OffsetDateTime,
    ) -> usize {
        let username = username.map(str::to_owned);
        if let Some(&index) = self.by_id.get(id) {
            self.members[index].username = username;
            return index;
        }
        let index = self.members.len();
        let membership = Membership::NeverJoined;
        self.members.push(Member {
            id: id.to_owned(),
            username,
            membership,
            active: true,
            hidden: false,
            created: now,
            files: Vec::new(),
        });
        self.by_id.insert(id.to_owned(), index);
        index
    }

    /// Finds a member by id. The member may not have joined the project.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Finds a joined member by id.
    pub(crate) fn find_joined(&self, id: &str) -> Option<usize> {
        self.find(id).filter(|&index| self.members[index].joined())
    }

    /// Finds a member whom `members/` lists.
    pub(crate) fn find_listed(&self, id: &str) -> Option<usize> {
        self.find_joined(id)
            .filter(|&index| self.members[index].active)
    }

    pub(crate) fn joined(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.members.len()).filter(|&index| self.members[index].joined())
    }

    /// Returns the members that `members/` lists. Measured: it omits inactive accounts.
    pub(crate) fn listed(&self) -> impl Iterator<Item = usize> + '_ {
        self.joined().filter(|&index| self.members[index].active)
    }

    /// Returns whether another member may join.
    pub(crate) fn accepts_members(&self) -> bool {
        self.settings.approved || self.joined().count() < MAX_UNAPPROVED_MEMBERS
    }

    /// Adds a member to the project. The id does not change when a member rejoins.
    pub(crate) fn join(&mut self, index: usize, now: OffsetDateTime) {
        let member = &mut self.members[index];
        if member.membership == Membership::NeverJoined {
            member.created = now;
        }
        member.membership = Membership::Joined;
    }

    /// Removes a member from the project and revokes the member's tokens.
    pub(crate) fn leave(&mut self, index: usize) {
        self.members[index].membership = Membership::Left;
        self.grants.revoke_all(index);
    }

    /// Deletes a member's account. Returns the objects that are no longer referenced, or `None` if
    /// the deletion fails: the newest server cannot delete an account that takes part in a project
    /// (measured: 500, and the membership stays).
    pub(crate) fn delete_account(&mut self, index: usize) -> Option<Vec<String>> {
        if self.settings.account_deletion_fails && self.members[index].joined() {
            return None;
        }
        self.grants.revoke_all(index);
        self.grants.forget_codes(index);
        let member = &mut self.members[index];
        member.membership = Membership::Deleted;
        self.by_id.remove(&member.id);
        let files = std::mem::take(&mut member.files);
        let files = files.iter().filter_map(|id| self.files.remove(id));
        Some(files.map(|file| file.object).collect())
    }

    /// Adds a file and returns its id.
    pub(crate) fn add_file(&mut self, file: impl FnOnce(u64) -> DataFile) -> u64 {
        self.last_file += 1;
        let file = file(self.last_file);
        self.members[file.member].files.push(file.id);
        self.files.insert(file.id, file);
        self.last_file
    }

    /// Removes a file and returns its object.
    pub(crate) fn remove_file(&mut self, id: u64) -> Option<String> {
        let file = self.files.remove(&id)?;
        self.members[file.member].files.retain(|&other| other != id);
        Some(file.object)
    }

    /// Returns a member's complete files, including files of the other project.
    pub(crate) fn files_of(&self, index: usize) -> impl DoubleEndedIterator<Item = &DataFile> {
        self.members[index]
            .files
            .iter()
            .filter_map(|id| self.files.get(id))
            .filter(|file| file.complete)
    }
}
