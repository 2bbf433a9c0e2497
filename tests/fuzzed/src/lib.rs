//! Fuzz targets: properties of all code that parses input from outside.
//!
//! Each target takes bytes and panics if they violate a property. `fuzz/` runs the targets with
//! cargo-fuzz; the test `corpus` runs them on stable Rust, with the corpus and random mutations of
//! it.
//!
//! The targets use only the public API. Encrypted texts that the library would not create are
//! encrypted here, following the description of the format.

mod csv;
mod encrypted;
mod encryption;
mod input;
mod login;
mod names;
mod responses;
mod transport;
mod webhook;

pub use csv::csv_metadata;
pub use encrypted::encrypted_record;
pub use login::{login_cookie, return_path};
pub use names::file_names;
pub use responses::{page_link, responses};
pub use webhook::{signature_header, webhook_body};

/// A property of any bytes. Panics if it is violated.
pub type Target = fn(&[u8]);

/// All targets, with their names in `fuzz/`.
pub const TARGETS: [(&str, Target); 9] = [
    ("signature_header", signature_header),
    ("webhook_body", webhook_body),
    ("login_cookie", login_cookie),
    ("return_path", return_path),
    ("page_link", page_link),
    ("responses", responses),
    ("csv_metadata", csv_metadata),
    ("encrypted_record", encrypted_record),
    ("file_names", file_names),
];

/// Runs a future to completion on this thread. Sleeps take no time.
fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Asserts that a text is safe in one line of a log or page.
#[track_caller]
fn assert_printable(text: &str, max_len: usize) {
    assert!(text.len() <= max_len, "{} bytes: {text:.300}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// The message of an error and its sources, as in a log.
fn message(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
