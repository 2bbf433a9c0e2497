//! Log lines of the program and its libraries, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::output;

/// Starts logging at the level that `verbose` selects, or as `RUST_LOG` says where it is set.
pub(crate) fn start(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "warn,oh=info,oh_api=info",
        // Not every crate at this level: some log headers, which can hold a token.
        _ => "warn,oh=debug,oh_api=debug",
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::new(filter),
        _ => EnvFilter::new(default),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LogLine(Vec::new()))
        .with_ansi(false)
        .with_target(verbose > 1)
        .init();
}

/// One event, written as one line when it is complete.
struct LogLine(Vec<u8>);

impl io::Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        output::warning(crate::text::one_line(text.trim_end()));
    }
}
