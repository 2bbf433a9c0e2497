//! How records are printed: as columns, as JSON, or as Open Humans sent them.

use oh_api::{
    AccessedFile, DataFile, DataType, ExchangeMember, FileAccess, List, MembersOfSource, Project,
    ProjectMember, PublicMember, SourcesOfMember, StoreAccess,
};
use serde_json::{Value, json};

use crate::args::Listing;
use crate::error::CliError;
use crate::output;

/// The forms in which a type of record is printed.
pub(super) struct Format<T> {
    raw: fn(&T) -> &str,
    json: fn(&T) -> Value,
    rows: fn(&T) -> Vec<Vec<String>>,
}

impl<T: Send + 'static> Format<T> {
    /// Prints the records of a list.
    pub(super) async fn print_list(
        &self,
        list: List<T>,
        listing: &Listing,
    ) -> Result<(), CliError> {
        self.print_matching(list, listing, |_| true).await
    }

    /// Prints the records of a list for which `filter` returns true.
    pub(super) async fn print_matching(
        &self,
        list: List<T>,
        listing: &Listing,
        filter: impl Fn(&T) -> bool,
    ) -> Result<(), CliError> {
        let mut list = match listing.limit.and_then(|limit| u32::try_from(limit).ok()) {
            Some(limit @ ..100) => list.page_size(limit),
            _ => list,
        };
        let mut skip = listing.offset.unwrap_or(0);
        let mut remaining = listing.limit.unwrap_or(u64::MAX);
        while remaining > 0
            && let Some(record) = list.try_next().await?
        {
            if !filter(&record) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            remaining -= 1;
            if listing.raw {
                output::record((self.raw)(&record))?;
            } else if listing.json {
                output::json(&(self.json)(&record))?;
            } else {
                (self.rows)(&record).into_iter().try_for_each(output::row)?;
            }
        }
        Ok(())
    }

    /// Prints one record as JSON.
    pub(super) fn print(&self, record: &T, raw: bool) -> Result<(), CliError> {
        match raw {
            true => output::record((self.raw)(record)),
            false => output::json(&(self.json)(record)),
        }
    }
}

/// Builds a JSON object from fields of a record, and from other values after the semicolon.
macro_rules! fields {
    ($record:ident: $($field:ident),*; $($name:literal: $value:expr),*) => {
        json!({ $((stringify!($field)): $record.$field,)* $($name: $value),* })
    };
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map(T::to_string).unwrap_or_default()
}

pub(super) const PROJECT: Format<Project> = Format {
    raw: Project::raw,
    json: |project| {
        fields!(project: id, id_label, name, slug, active, approved, authorized_members, leader,
            organization, info_url, short_description, registered_datatypes,
            request_sources_access, request_username_access; "type": project.kind)
    },
    rows: |project| vec![vec![text(project.id.as_ref()), text(project.name.as_ref())]],
};

pub(super) const EXCHANGE_MEMBER: Format<ExchangeMember> = Format {
    raw: ExchangeMember::raw,
    json: |member| {
        fields!(member: project_member_id, username, created, sources_shared;
            "file_count": member.count)
    },
    rows: |member| vec![vec![member.project_member_id.to_string()]],
};

pub(super) const PROJECT_MEMBER: Format<ProjectMember> = Format {
    raw: ProjectMember::raw,
    json: |member| fields!(member: project_member_id, username, created, sources_shared, file_count;),
    rows: |member| {
        vec![vec![
            member.project_member_id.to_string(),
            text(member.username.as_ref()),
            member.file_count.unwrap_or_default().to_string(),
        ]]
    },
};

pub(super) const PUBLIC_MEMBER: Format<PublicMember> = Format {
    raw: PublicMember::raw,
    json: |member| fields!(member: username, name, profile_url;),
    rows: |member| {
        vec![vec![
            text(member.username.as_ref()),
            text(member.name.as_ref()),
        ]]
    },
};

pub(super) const DATA_TYPE: Format<DataType> = Format {
    raw: DataType::raw,
    json: |data_type| fields!(data_type: id, name, parent, children, description, uploadable;),
    rows: |data_type| {
        vec![vec![
            text(data_type.id.as_ref()),
            text(data_type.name.as_ref()),
        ]]
    },
};

/// A file's record without its download URL, which is a secret.
pub(super) const FILE: Format<DataFile> = Format {
    raw: DataFile::raw,
    json: |file| {
        fields!(file: id, basename, created, source, source_project, datatypes;
            "username": file.user.as_ref().and_then(|user| user.username.as_ref()),
            "metadata": file.metadata_map())
    },
    rows: |file| {
        let source = file.source.as_ref().or(file.source_project.as_ref());
        vec![vec![
            file.id.to_string(),
            text(source),
            file.basename.clone(),
        ]]
    },
};

pub(super) const MEMBERS_OF_SOURCE: Format<MembersOfSource> = Format {
    raw: MembersOfSource::raw,
    json: |source| fields!(source: source, name, usernames;),
    rows: |source| {
        let row = |username: &String| vec![source.source.clone(), username.clone()];
        source.usernames.iter().map(row).collect()
    },
};

pub(super) const SOURCES_OF_MEMBER: Format<SourcesOfMember> = Format {
    raw: SourcesOfMember::raw,
    json: |member| fields!(member: username, sources;),
    rows: |member| {
        let row = |source: &String| vec![member.username.clone(), source.clone()];
        member.sources.iter().map(row).collect()
    },
};

fn accessed_file(file: Option<&AccessedFile>) -> Value {
    file.map_or(Value::Null, |file| fields!(file: id, basename, source;))
}

fn accessed_name(file: Option<&AccessedFile>) -> String {
    text(file.and_then(|file| file.basename.as_ref()))
}

pub(super) const FILE_ACCESS: Format<FileAccess> = Format {
    raw: FileAccess::raw,
    json: |access| {
        fields!(access: date, ip_address, user;
            "file": accessed_file(access.datafile.as_ref()),
            "project": access.key.as_ref().and_then(|key| key.project_id))
    },
    rows: |access| {
        let (date, address) = (text(access.date.as_ref()), text(access.ip_address.as_ref()));
        vec![vec![date, address, accessed_name(access.datafile.as_ref())]]
    },
};

pub(super) const STORE_ACCESS: Format<StoreAccess> = Format {
    raw: StoreAccess::raw,
    json: |access| {
        fields!(access: time, remote_ip, operation, status, bytes_sent, object_size, user_agent;
            "file": accessed_file(access.datafile.as_ref()))
    },
    rows: |access| {
        let (time, address) = (text(access.time.as_ref()), text(access.remote_ip.as_ref()));
        vec![vec![time, address, accessed_name(access.datafile.as_ref())]]
    },
};
