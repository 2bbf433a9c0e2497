//! What spans crates.

pub mod cluster;
#[cfg(doctest)]
mod guides;
pub mod place;
pub mod visitor;
pub mod webhook;
pub mod wire;
