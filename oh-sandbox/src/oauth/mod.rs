//! OAuth2 as Open Humans speaks it: asking the member, and everything about tokens.

pub(crate) mod authorize;
pub(crate) mod pkce;
pub(crate) mod redirect;
pub(crate) mod token;
