//! API calls: how they are described, sent and repeated, and how responses are converted.

pub(crate) mod base_url;
pub(crate) mod call;
pub(crate) mod client;
pub(crate) mod list;
pub(crate) mod response;
pub(crate) mod retry;
pub(crate) mod token_source;

pub use base_url::{InvalidBaseUrl, check_base_url};
pub use client::Client;
pub use list::List;
pub use retry::RetryPolicy;
pub use token_source::TokenSource;
