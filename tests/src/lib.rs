//! Support for the tests and programs that span crates.

pub mod cluster;
#[cfg(doctest)]
mod guides;
pub mod place;
pub mod visitor;
pub mod webhook;
pub mod wire;
