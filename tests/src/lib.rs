//! What spans crates.

pub mod visitor;
pub mod wire;
