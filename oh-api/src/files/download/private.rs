//! Files that only their owner may read, on systems that know owners: what is
//! downloaded is people's health data.

use std::fs::OpenOptions;

/// Options for a file that is not there yet.
pub(crate) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
