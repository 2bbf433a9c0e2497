//! Serving the [pages](crate::pages): members' pages, their files, and the erasure desk.
//!
//! A request comes in by [`serve`], which does what is the same for every page: where it comes from,
//! who is there, what of the body is wanted. Each page gives a [`reply`], which [`show`] renders.

mod assets;
mod context;
mod desk;
mod disconnect;
mod edit;
mod files;
mod form;
mod home;
mod json;
mod layout;
mod listing;
mod login;
mod openapi;
mod probes;
mod problem;
mod reply;
mod serve;
mod show;
#[cfg(test)]
mod tests;
mod upload;

pub(super) use serve::{ask_first, ask_to_log_out, login_failed, respond};
