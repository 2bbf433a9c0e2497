//! Everything the stand-in knows: its project, the members, their files.
//!
//! One lock guards it all, held only for as long as a request's effect takes, so that each
//! request happens at one moment. What tokens do is in [`tokens`](crate::state::grants).

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use super::grants::Grants;

/// The project under test.
pub(crate) const PROJECT: u64 = 2;

/// Another project, whose data members share with ours.
pub(crate) const OTHER_PROJECT: u64 = 1;

/// How a project is named as a source of data.
pub(crate) fn source(project: u64) -> String {
    format!("direct-sharing-{project}")
}

/// What can be changed while the sandbox runs.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) redirect_uris: Vec<Url>,
    pub(crate) webhook_url: Option<Url>,
    pub(crate) webhook_secret: Option<String>,
    /// Leaving without erasure is not announced.
    pub(crate) silent_leave: bool,
    /// Removing members by API answers 500 after the first one is gone.
    pub(crate) remove_members_fails: bool,
    /// Deleting an account that takes part in the project responds 500 and has no effect.
    pub(crate) account_deletion_fails: bool,
    /// Whether the project takes part at all.
    pub(crate) active: bool,
    /// Whether Open Humans has approved it. Without that it is in no public list and has few members.
    pub(crate) approved: bool,
    /// Whether members join it at Open Humans itself, so that it has no OAuth2 client.
    pub(crate) on_site: bool,
    /// Whether it is the one project that may see who has fetched its members' files.
    pub(crate) access_logs: bool,
    /// When the master token stops working, if it does.
    pub(crate) master_token_expires: Option<OffsetDateTime>,
}

/// How many members a project may have that is not approved.
pub(crate) const MAX_UNAPPROVED_MEMBERS: usize = 20;

/// How long a master token works where it expires.
pub(crate) const MASTER_TOKEN_LIFETIME: time::Duration = time::Duration::hours(24);

/// A member of Open Humans, and what they are to the project.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// What the project is told; a member may keep it to themselves.
    pub(crate) username: Option<String>,
    pub(crate) membership: Membership,
    /// Whether the account is active. The tokens of an inactive account remain valid.
    pub(crate) active: bool,
    /// Whether the member hides the membership from the public.
    pub(crate) hidden: bool,
    /// When the member first joined the project.
    pub(crate) created: OffsetDateTime,
    /// All files, complete or not, in the order of their ids.
    pub(crate) files: Vec<u64>,
}

/// What a member is to the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Membership {
    /// Has never authorized it.
    NeverJoined,
    /// Takes part.
    Joined,
    /// Took part once.
    Left,
    /// Has no account any more.
    Deleted,
}

impl Member {
    /// The name of the account, which exists even if the project is not told.
    pub(crate) fn account_name(&self) -> String {
        self.username
            .clone()
            .unwrap_or_else(|| format!("member-{}", self.id))
    }

    pub(crate) fn joined(&self) -> bool {
        self.membership == Membership::Joined
    }
}

/// A data file, uploaded or in the middle of it.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    pub(crate) id: u64,
    pub(crate) member: usize,
    pub(crate) project: u64,
    pub(crate) basename: String,
    pub(crate) created: OffsetDateTime,
    pub(crate) datatypes: Vec<u64>,
    pub(crate) metadata: Value,
    /// Where its content is in the object store.
    pub(crate) object: String,
    /// A direct upload is listed only once it has been completed.
    pub(crate) complete: bool,
}

/// A message that the project sent to members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// Its subject, empty if none was given.
    pub subject: String,
    /// Its text.
    pub message: String,
    /// Who it goes to, by project member id.
    pub to: Vec<String>,
}

/// The state.
pub(crate) struct Database {
    pub(crate) settings: Settings,
    /// Never shrinks, so that an index stays good.
    pub(crate) members: Vec<Member>,
    by_id: HashMap<String, usize>,
    pub(crate) grants: Grants,
    pub(crate) files: BTreeMap<u64, DataFile>,
    last_file: u64,
    pub(crate) messages: Vec<Message>,
    /// Files that were asked for at the site, and files fetched from the store.
    pub(crate) accesses: Vec<Access>,
}

/// One access to a file, with the file as it was then.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) at: OffsetDateTime,
    pub(crate) file: DataFile,
    pub(crate) what: AccessKind,
}

/// How a file was accessed.
#[derive(Debug, Clone)]
pub(crate) enum AccessKind {
    /// At the site, which led to the object store.
    Site {
        key: String,
        /// When the key was made.
        key_made: OffsetDateTime,
        link: String,
    },
    /// At the object store.
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

    /// Adds a member, or gives an existing one another name.
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

    /// The member with an id, whatever their standing, unless the account is gone.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// A member who takes part in the project.
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

    /// The members that `members/` lists. It omits inactive accounts (measured).
    pub(crate) fn listed(&self) -> impl Iterator<Item = usize> + '_ {
        self.joined().filter(|&index| self.members[index].active)
    }

    /// Whether somebody new may join.
    pub(crate) fn accepts_members(&self) -> bool {
        self.settings.approved || self.joined().count() < MAX_UNAPPROVED_MEMBERS
    }

    /// Lets a member take part; the id stays what it was if they did before.
    pub(crate) fn join(&mut self, index: usize, now: OffsetDateTime) {
        let member = &mut self.members[index];
        if member.membership == Membership::NeverJoined {
            member.created = now;
        }
        member.membership = Membership::Joined;
    }

    /// Ends a member's part in the project. Their tokens are gone before this returns.
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

    /// Adds a file and gives it its id.
    pub(crate) fn add_file(&mut self, file: impl FnOnce(u64) -> DataFile) -> u64 {
        self.last_file += 1;
        let file = file(self.last_file);
        self.members[file.member].files.push(file.id);
        self.files.insert(file.id, file);
        self.last_file
    }

    /// Removes a member's file. Returns its object.
    pub(crate) fn remove_file(&mut self, id: u64) -> Option<String> {
        let file = self.files.remove(&id)?;
        self.members[file.member].files.retain(|&other| other != id);
        Some(file.object)
    }

    /// A member's complete files, those of other sources included.
    pub(crate) fn files_of(&self, index: usize) -> impl DoubleEndedIterator<Item = &DataFile> {
        self.members[index]
            .files
            .iter()
            .filter_map(|id| self.files.get(id))
            .filter(|file| file.complete)
    }
}
