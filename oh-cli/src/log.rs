//! What the program and its libraries say of their work, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::output;

/// Says as much as `verbose` asks for; `RUST_LOG` decides where it is set.
pub(crate) fn start(verbose: u8) {
    let chosen = match verbose {
        0 => "warn",
        1 => "warn,oh=info,oh_api=info",
        // Other crates than ours might show a header, and a token in it.
        _ => "warn,oh=debug,oh_api=debug",
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(wanted) if !wanted.is_empty() => EnvFilter::new(wanted),
        _ => EnvFilter::new(chosen),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines)
        .with_ansi(false)
        .with_target(verbose > 1)
        .init();
}

/// Writes whole lines, beside whatever bar is drawn.
struct Lines;

struct Line(Vec<u8>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        for line in text.lines() {
            output::note(output::plain(line));
        }
    }
}
