//! Parsing requests and creating responses.

pub(crate) mod call;
pub(crate) mod loopback;
pub(crate) mod params;
pub(crate) mod path;
pub(crate) mod respond;
