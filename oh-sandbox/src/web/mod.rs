//! Requests and answers, as the site reads and writes them.

pub(crate) mod call;
pub(crate) mod loopback;
pub(crate) mod params;
pub(crate) mod path;
pub(crate) mod respond;
