//! Files that only their owner can read, because downloads are health data.

use std::fs::OpenOptions;

/// Returns the options to create a new file with mode 0600.
pub(crate) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
