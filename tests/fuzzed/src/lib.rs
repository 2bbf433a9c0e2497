//! What everything that reads bytes from outside must hold to, for any bytes.
//!
//! Each function takes bytes and panics where a promise is broken. `fuzz/` has cargo-fuzz look for
//! such bytes; the test `briefly` runs the same functions on stable, over what fuzzing has found
//! worth keeping and random changes of it.
//!
//! They use what the crates offer to everyone, and nothing else: where a sealed text is needed that
//! the library would not make, it is sealed here, from the description of its form.

mod answers;
mod csv;
mod encrypted;
mod input;
mod login;
mod names;
mod seal;
mod transport;
mod webhook;

pub use answers::{answers, page_link};
pub use csv::csv_metadata;
pub use encrypted::sealed_record;
pub use login::{login_cookie, return_path};
pub use names::file_names;
pub use webhook::{signature_header, webhook_body};

/// A promise about any bytes: panics where it is broken.
pub type Target = fn(&[u8]);

/// All of them, with the names they have in `fuzz/`.
pub const TARGETS: [(&str, Target); 9] = [
    ("signature_header", signature_header),
    ("webhook_body", webhook_body),
    ("login_cookie", login_cookie),
    ("return_path", return_path),
    ("page_link", page_link),
    ("answers", answers),
    ("csv_metadata", csv_metadata),
    ("sealed_record", sealed_record),
    ("file_names", file_names),
];

/// Runs something asynchronous to its end, on this thread. Waits take no time.
fn run<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O can be made");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// Whether a text can be shown as one line of a log or a page.
#[track_caller]
fn assert_fit_to_show(text: &str, longest: usize) {
    assert!(text.len() <= longest, "{} bytes: {text:.300}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// An error as it is logged: its own text and those of its sources.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
