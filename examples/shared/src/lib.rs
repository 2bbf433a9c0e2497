//! What the example applications have in common.
//!
//! [`users`] shows the handlers that every application writes: what a login and a departure mean to
//! its own data. [`layout`] is the first page, and [`start`] reads the environment or starts a
//! sandbox.

pub mod layout;
pub mod start;
pub mod users;
