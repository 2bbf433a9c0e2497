//! Shell completions, man pages, and the guide for users of open-humans-api.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use oh_api::Error;

use crate::args::{Args, MIGRATION_GUIDE};
use crate::error::CliError;
use crate::output;

pub(crate) fn migrate() -> Result<(), CliError> {
    output::document(None, MIGRATION_GUIDE.as_bytes())
}

pub(crate) fn completions(shell: Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "oh", &mut script);
    output::document(None, &script)
}

/// Prints the man page, or writes one for each command into a directory.
pub(crate) fn man(directory: Option<&Path>) -> Result<(), CliError> {
    let command = Args::command();
    match directory {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            output::document(None, &page)
        }
        Some(directory) => {
            let written = clap_mangen::generate_to(command, directory);
            written.map_err(|e| Error::from(e).at(directory))?;
            output::status(format!("wrote the man pages to {}", directory.display()));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn command(path: &str) -> Command {
        let mut command = Args::command();
        command.build();
        for name in path.split_whitespace().skip(1) {
            let found = command.find_subcommand(name);
            command = found.unwrap_or_else(|| panic!("no command {path}")).clone();
        }
        command
    }

    fn has(command: &Command, option: &str) -> bool {
        if !option.starts_with('-') {
            let mut positionals = command.get_positionals();
            return positionals.any(|arg| arg.get_id().as_str().eq_ignore_ascii_case(option));
        }
        command
            .get_arguments()
            .any(|arg| match option.strip_prefix("--") {
                Some(long) => arg.get_long() == Some(long),
                // -vv is -v twice.
                None => arg.get_short() == option.chars().nth(1),
            })
    }

    #[test]
    fn migration_guide_names_existing_options() {
        let mut commands: Vec<&str> = Vec::new();
        let mut options = 0;
        for line in MIGRATION_GUIDE.lines() {
            if line.starts_with("Use `oh ") {
                let sentence = line.split('.').next().unwrap_or_default();
                let code = sentence.split('`').skip(1).step_by(2);
                commands = code.filter_map(|code| code.strip_prefix("oh ")).collect();
            }
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, theirs, ours, _, _] = cells[..] else {
                continue;
            };
            let Some(ours) = ours
                .strip_prefix('`')
                .and_then(|ours| ours.strip_suffix('`'))
            else {
                continue;
            };
            let (paths, ours) = match ours.strip_prefix("oh ") {
                Some(ours) => {
                    let at = ours.find(" -").or(ours.find(" CSV")).unwrap_or(ours.len());
                    (vec![&ours[..at]], &ours[at..])
                }
                None => (commands.clone(), ours),
            };
            for path in paths {
                let command = command(&format!("oh {path}"));
                for option in ours.split([' ', ',']).filter(|text| !text.is_empty()) {
                    assert!(has(&command, option), "{theirs}: oh {path} has no {option}");
                    options += 1;
                }
            }
        }
        assert!(options > 50, "{options}");
    }

    #[test]
    fn guide_in_docs_is_a_copy() {
        let docs = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/migrating-from-ohapi.md"
        );
        let docs = std::fs::read_to_string(docs).unwrap_or_default();
        assert!(
            docs == MIGRATION_GUIDE,
            "run: cp oh-cli/migrating-from-ohapi.md docs/"
        );
    }
}
