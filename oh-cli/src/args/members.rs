//! Commands for members.

use clap::Args;
use oh_api::{DataFileId, ProjectMemberId, Timestamp};

use super::{Confirmation, Listing, MemberArg, member_id};

#[derive(Args)]
pub(crate) struct Message {
    /// The text, or - for standard input
    pub(crate) text: String,
    /// The subject
    #[arg(short, long)]
    pub(crate) subject: Option<String>,
    /// A receiver; requires the master token; repeatable
    #[arg(short, long = "member", value_name = "ID", value_parser = member_id)]
    pub(crate) members: Vec<ProjectMemberId>,
    /// Send to all members; requires the master token; asks for confirmation
    #[arg(long, conflicts_with = "members")]
    pub(crate) all: bool,
    /// Send a text that is a Django template without checking it
    #[arg(long)]
    pub(crate) template: bool,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// A member to remove; requires the master token; asks for confirmation; repeatable
    #[arg(
        short,
        long = "member",
        required = true,
        value_name = "ID",
        value_parser = member_id
    )]
    pub(crate) members: Vec<ProjectMemberId>,
    #[command(flatten)]
    pub(crate) confirmation: Confirmation,
}

#[derive(Args)]
pub(crate) struct AccessLog {
    #[command(flatten)]
    pub(crate) member: MemberArg,
    /// List downloads from the object store instead of requests to Open Humans
    #[arg(long)]
    pub(crate) object_store: bool,
    /// List accesses at or after this time
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<Timestamp>,
    /// List accesses at or before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<Timestamp>,
    /// List accesses to the file with this id
    #[arg(short = 'i', long, value_name = "ID")]
    pub(crate) file_id: Option<DataFileId>,
    #[command(flatten)]
    pub(crate) listing: Listing,
}
