//! What a shell and its manual know of the program.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use oh_api::Error;

use crate::args::Args;
use crate::failure::Failure;
use crate::output;

pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "oh", &mut script);
    output::write(None, &script)
}

/// Prints the man page, or writes one for each command into a directory.
pub(crate) fn man(directory: Option<&Path>) -> Result<(), Failure> {
    let command = Args::command();
    match directory {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            output::write(None, &page)
        }
        Some(directory) => {
            let written = clap_mangen::generate_to(command, directory);
            written.map_err(|e| Error::from(e).at(directory))?;
            output::say(format!("the man pages are in {}", directory.display()));
            Ok(())
        }
    }
}
