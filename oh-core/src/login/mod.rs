//! Logging in with Open Humans.
mod return_path;
pub use return_path::{InvalidReturnPath, ReturnPath};
