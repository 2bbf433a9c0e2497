//! OAuth2 as Open Humans implements it.

pub(crate) mod authorize;
pub(crate) mod pkce;
pub(crate) mod redirect;
pub(crate) mod token;
