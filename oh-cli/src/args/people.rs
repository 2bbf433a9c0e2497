//! Commands about members.

use clap::Args;
use oh_api::ProjectMemberId;

use super::{Sure, member_id};

#[derive(Args)]
pub(crate) struct Message {
    /// The text; - reads it from standard input
    pub(crate) text: String,
    /// The subject
    #[arg(short, long)]
    pub(crate) subject: Option<String>,
    /// A member it goes to, with the master token; can be given several times
    #[arg(short, long = "member", value_name = "ID", value_parser = member_id)]
    pub(crate) members: Vec<ProjectMemberId>,
    /// To all members, with the master token; asks first
    #[arg(long, conflicts_with = "members")]
    pub(crate) all: bool,
    /// The text is a Django template that you know to work: send it unchecked
    #[arg(long)]
    pub(crate) template: bool,
    #[command(flatten)]
    pub(crate) sure: Sure,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// The members, with the master token; asks first
    #[arg(required = true, value_name = "ID", value_parser = member_id)]
    pub(crate) members: Vec<ProjectMemberId>,
    #[command(flatten)]
    pub(crate) sure: Sure,
}
