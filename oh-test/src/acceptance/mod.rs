//! Acceptance suites for the traits that an application can implement.
//!
//! A suite checks one guarantee of a trait at a time, and panics with the guarantee that is broken. Use
//! it in the tests of your store or inbox.

pub mod deauth_inbox;
pub mod token_store;
