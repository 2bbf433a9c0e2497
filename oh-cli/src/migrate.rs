//! What each command and option of the Python package `open-humans-api` 0.2.9 is here.
//!
//! One table for `oh help migrate` and for `docs/migrating-from-ohapi.md`, which
//! `oh migrate --markdown` prints.

use std::fmt::Write;

/// One of the package's commands.
struct Tool {
    name: &'static str,
    /// Ours; several where theirs does several things.
    ours: &'static [&'static str],
    /// What differs.
    notes: &'static [&'static str],
    options: &'static [Row],
}

/// One option: theirs, ours, and what differs.
struct Row(&'static str, &'static str, &'static str);

const TOKEN: Row = Row(
    "-t, --access-token",
    "-t, --token",
    "better --token-file or OPENHUMANS_ACCESS_TOKEN, which other users of the machine cannot see",
);
const MASTER: Row = Row(
    "-T, --master-token",
    "-T, --master-token",
    "better --master-token-file or OPENHUMANS_MASTER_TOKEN",
);
const VERBOSE: Row = Row("-v, --verbose", "-v, --verbose", "");
const DEBUG: Row = Row("--debug", "-vv", "RUST_LOG chooses more finely");
const BASE_URL: Row = Row("--base_url", "--base-url", "or OPENHUMANS_OH_BASE_URL");

const TOOLS: &[Tool] = &[
    Tool {
        name: "ohproj-download",
        ours: &["oh download"],
        notes: &[
            "Files go to the same places. Several move at a time (--jobs), what broke off is \
             resumed, and the MD5 is checked where it is known: a file with another one is kept \
             aside, and --ignore-md5 takes it.",
            "As before, a file that is here and has the right size is left alone; --verify reads it, \
             too, and --force fetches it in any case.",
            "Names that would hide a file or act in a shell get a _ before them.",
        ],
        options: &[
            Row(
                "-d, --directory",
                "-d, --directory",
                "it is made if it is not there",
            ),
            MASTER,
            Row("-m, --member", "-m, --member", "with the master token"),
            TOKEN,
            Row("-s, --source", "-s, --source", "can be given several times"),
            Row("--project-data", "--project-data", ""),
            Row(
                "--max-size",
                "--max-size",
                "no limit unless given; it was 128m",
            ),
            VERBOSE,
            DEBUG,
            Row("--memberlist", "--memberlist", ""),
            Row("--excludelist", "--excludelist", ""),
            Row("--id-filename", "--id-filename", ""),
        ],
    },
    Tool {
        name: "ohproj-download-metadata",
        ours: &["oh metadata list"],
        notes: &[
            "The columns are the same. Names are text: the package writes b'name'. A cell that a \
             spreadsheet would take for a formula begins with a '.",
        ],
        options: &[
            MASTER,
            VERBOSE,
            DEBUG,
            Row("--output-csv", "-o, --out", "standard output without it"),
        ],
    },
    Tool {
        name: "ohproj-upload-metadata",
        ours: &["oh metadata draft", "oh metadata review"],
        notes: &[
            "The CSV has the same form either way. creation_date is the time of the last change; it \
             was that of the last change of the file's entry. Hidden files are left out.",
        ],
        options: &[
            Row("-d, --directory", "-d, --directory", ""),
            Row(
                "--create-csv",
                "oh metadata draft --out",
                "standard output without it",
            ),
            Row(
                "--review",
                "oh metadata review CSV",
                "compares each file with its MD5, too, and ends with code 6 where something does \
                 not fit",
            ),
            Row(
                "--max-size",
                "oh metadata draft --max-size",
                "no limit unless given; it was 128m",
            ),
            VERBOSE,
            DEBUG,
        ],
    },
    Tool {
        name: "ohproj-upload",
        ours: &["oh upload"],
        notes: &[
            "A file of the same name is replaced, unless it has the same MD5; the package puts a \
             changed file beside the older one.",
            "--sync deletes only after that member's uploads have succeeded, says what it deletes, \
             and asks where that is much (--yes, --dry-run). Hidden files count for nothing on \
             either side.",
            "Where only the CSV's metadata have changed that is said; --update-metadata sends them, \
             with the file. A file whose MD5 is not the CSV's is not sent; --ignore-md5 sends it \
             with its own.",
        ],
        options: &[
            Row("-d, --directory", "-d, --directory", ""),
            Row("--metadata-csv", "--metadata-csv", ""),
            MASTER,
            Row("-m, --member", "-m, --member", "with the master token"),
            TOKEN,
            Row("--safe", "--safe", ""),
            Row("--sync", "--sync", ""),
            Row(
                "--max-size",
                "--max-size",
                "no limit unless given; the package takes the option and does not use it",
            ),
            VERBOSE,
            DEBUG,
        ],
    },
    Tool {
        name: "ohproj-oauth2-url",
        ours: &["oh authorize-url"],
        notes: &[
            "Prints JSON: the address, the state that must come back, and the PKCE verifier that \
             `oh exchange` wants. `oh login` does the whole authorization where the redirect URI \
             leads to this machine.",
        ],
        options: &[
            Row("-r, --redirect_uri", "--redirect-uri", "must be given"),
            Row("-c, --client_id", "--client-id", "or OPENHUMANS_CLIENT_ID"),
            BASE_URL,
        ],
    },
    Tool {
        name: "ohproj-oauth2-token-exchange",
        ours: &["oh exchange", "oh refresh"],
        notes: &[
            "Prints JSON, with the time the access token expires at; the package prints a Python \
             dictionary with the seconds. --out writes it to a file that you alone can read, and \
             that --token-file and --refresh-token-file take.",
        ],
        options: &[
            Row(
                "-cid, --client_id",
                "--client-id",
                "or OPENHUMANS_CLIENT_ID",
            ),
            Row(
                "-cs, --client_secret",
                "--client-secret",
                "better --client-secret-file or OPENHUMANS_CLIENT_SECRET",
            ),
            Row(
                "-re_uri, --redirect_uri",
                "oh exchange --redirect-uri",
                "not for a refresh",
            ),
            BASE_URL,
            Row("--code", "oh exchange --code", ""),
            Row(
                "-rt, --refresh_token",
                "oh refresh --refresh-token",
                "better --refresh-token-file or OPENHUMANS_REFRESH_TOKEN",
            ),
        ],
    },
    Tool {
        name: "ohproj-message",
        ours: &["oh message"],
        notes: &[
            "-m names a member here, and the text is an argument: `oh message \"Hello\" -m \
             01234567`. A - reads it from standard input.",
            "Text in {{ }} or {% %} that would keep the message from arriving is refused.",
        ],
        options: &[
            Row("-s, --subject", "-s, --subject", "need not be given"),
            Row(
                "-m, --message_body",
                "TEXT",
                "an argument without an option",
            ),
            Row(
                "-at, --access_token",
                "-t, --token",
                "the master token goes to -T, --master-token; better either in a file",
            ),
            Row("--all_members", "--all", "asks first, or wants --yes"),
            Row(
                "--project_member_ids",
                "-m, --member",
                "once for each; of several, the package reaches the last alone",
            ),
            VERBOSE,
            DEBUG,
        ],
    },
    Tool {
        name: "ohproj-delete",
        ours: &["oh delete"],
        notes: &[
            "Prints the ids of the files that were deleted, and ends with code 7 where there was \
             none.",
        ],
        options: &[
            Row(
                "-T, --access_token",
                "-T, --master-token",
                "or a member's own, with -t, --token; better either in a file",
            ),
            Row(
                "-m, --project_member_id",
                "-m, --member",
                "with the master token",
            ),
            Row("-b, --file_basename", "-b, --name", ""),
            Row("-i, --file_id", "-i, --file-id", ""),
            Row("--all_files", "--all", "asks first, or wants --yes"),
        ],
    },
    Tool {
        name: "ohpub-download",
        ours: &["oh public download"],
        notes: &[
            "-m is not the size here. Files are named by their own id and name; the package puts \
             the member's id before the name, and files of one name replace each other.",
            "The newest server no longer filters by source; here the list is filtered, so it is read \
             to its end.",
        ],
        options: &[
            Row("-s, --source", "-s, --source", ""),
            Row("-u, --username", "-u, --username", ""),
            Row(
                "-d, --directory",
                "-d, --directory",
                "made if it is not there",
            ),
            Row("-m, --max-size", "--max-size", "128m, as before"),
            Row("-q, --quiet", "-q, --quiet", ""),
            DEBUG,
        ],
    },
];

const FIRST: &str = "\
Tokens are better given in a file or in the environment than as options, which other users of a
machine can see. `oh help COMMAND` explains a command and its options, `oh --help` the exit codes.
";

/// For a terminal.
pub(crate) fn text() -> String {
    let mut text = String::from(FIRST);
    for tool in TOOLS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}  is  {}", tool.name, tool.ours.join(" and "));
        for note in tool.notes {
            wrapped(&mut text, note, 4, 96);
        }
        for Row(theirs, ours, note) in tool.options {
            let _ = write!(text, "    {theirs:25} {ours:29}");
            match *note {
                "" => text.push('\n'),
                note if theirs.len() <= 25 && ours.len() <= 29 && note.len() <= 40 => {
                    let _ = writeln!(text, " {note}");
                }
                note => {
                    text.push('\n');
                    wrapped(&mut text, note, 30, 96);
                }
            }
        }
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// Breaks a text into lines that begin with blanks.
fn wrapped(out: &mut String, text: &str, indent: usize, width: usize) {
    let mut line = " ".repeat(indent);
    for word in text.split_whitespace() {
        if line.len() + word.len() >= width && line.len() > indent {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// For the documentation.
pub(crate) fn markdown() -> String {
    let mut page = format!(
        "# From open-humans-api to oh\n\n<!-- Printed by `oh migrate --markdown`. -->\n\n\
         What each command and option of the Python package `open-humans-api` (0.2.9) is in `oh`.\n\
         {FIRST}"
    );
    for Tool {
        name,
        ours,
        notes,
        options,
    } in TOOLS
    {
        let ours: Vec<String> = ours.iter().map(|ours| format!("`{ours}`")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(page, "\n## {name}\n\n{}.", ours.join(" and "));
        for note in *notes {
            let _ = writeln!(
                page,
                "{}",
                note.replace("{{ }} or {% %}", "`{{ }}` or `{% %}`")
            );
        }
        let _ = writeln!(page, "\n| {name} | oh | |\n|---|---|---|");
        for Row(theirs, ours, note) in *options {
            let _ = writeln!(page, "| `{theirs}` | `{ours}` | {note} |");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;
    use crate::args::Args;

    fn command(path: &str) -> Command {
        let mut command = Args::command();
        command.build();
        for name in path.split_whitespace().skip(1) {
            let found = command.find_subcommand(name);
            command = found
                .unwrap_or_else(|| panic!("there is no {path}"))
                .clone();
        }
        command
    }

    fn has(command: &Command, option: &str) -> bool {
        command.get_arguments().any(|argument| {
            match option.strip_prefix("--") {
                Some(long) => argument.get_long() == Some(long),
                // -vv is -v twice.
                None => argument.get_short() == option.chars().nth(1),
            }
        })
    }

    #[test]
    fn every_option_of_ours_that_is_named_is_there() {
        for tool in TOOLS {
            for Row(theirs, ours, _) in tool.options {
                let (commands, options) = match ours.starts_with("oh ") {
                    true => {
                        let at = ours.find(" -").or(ours.find(" CSV")).unwrap_or(ours.len());
                        (vec![&ours[..at]], &ours[at..])
                    }
                    false => (tool.ours.to_vec(), *ours),
                };
                for path in commands {
                    let command = command(path);
                    for option in options.split([' ', ',']).filter(|text| !text.is_empty()) {
                        let there = match option.starts_with('-') {
                            true => has(&command, option),
                            false => command.get_positionals().any(|argument| {
                                argument.get_id().as_str().eq_ignore_ascii_case(option)
                            }),
                        };
                        assert!(there, "{}: {theirs}: {path} has no {option}", tool.name);
                    }
                }
            }
        }
    }

    #[test]
    fn the_page_in_the_documentation_is_this_table() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/migrating-from-ohapi.md"
        );
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == markdown(),
            "write it anew: oh migrate --markdown > docs/migrating-from-ohapi.md"
        );
    }
}
