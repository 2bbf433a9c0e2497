//! What spans crates.

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

pub mod cluster;
pub mod place;
pub mod visitor;
pub mod wire;
