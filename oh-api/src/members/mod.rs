//! The clients for one member, for the project and for public data.

mod access_log;
pub(crate) mod file_filter;
pub(crate) mod member;
pub(crate) mod message;
pub(crate) mod project;
pub(crate) mod public;
pub(crate) mod removal;
mod template;

pub use access_log::{AccessKey, AccessLogFilter, AccessedFile, FileAccess, StoreAccess};
pub use file_filter::FileFilter;
pub use member::{ExchangeMember, MemberClient};
pub use message::Message;
pub use project::{Project, ProjectClient, ProjectMember};
pub use public::{DataType, MembersOfSource, PublicClient, PublicMember, SourcesOfMember};
pub use removal::Removal;
