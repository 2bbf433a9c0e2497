//! The file or stream that receives new tokens.
//!
//! Authorization codes and refresh tokens work once. The old pair is invalid as soon as the new one
//! is issued, so a new pair that is lost costs the member's authorization. The output is therefore
//! opened before the request is sent, and a pair that cannot be written there is written to another
//! file or to the terminal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oh_api::{Error, Tokens};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::error::CliError;
use crate::output;

/// An output for tokens, ready to be written to.
pub(crate) enum TokenOutput {
    Stdout,
    /// A temporary file beside the target, and the target.
    File(NamedTempFile, PathBuf),
}

impl TokenOutput {
    /// Prepares the file at `out`, or standard output without a path.
    pub(crate) fn prepare(out: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = out else {
            return match output::stdout_is_discarded() {
                true => Err(CliError::Usage(
                    "standard output is closed or discarded, so the tokens would be lost: pass \
                     --out"
                        .into(),
                )),
                false => Ok(Self::Stdout),
            };
        };
        // Replaces the target of a symbolic link, not the link.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if std::fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(CliError::Usage(format!(
                "{} exists and is not a file",
                path.display()
            )));
        }
        // Readable by the owner only.
        let file = NamedTempFile::new_in(parent(&target)).map_err(|e| Error::from(e).at(path))?;
        Ok(Self::File(file, target))
    }

    /// Writes the tokens.
    ///
    /// # Errors
    ///
    /// [`CliError::TokensRescued`] where they had to be written elsewhere.
    pub(crate) fn write(self, tokens: &Tokens) -> Result<(), CliError> {
        let text = json!({
            "access_token": tokens.access_token.expose(),
            "refresh_token": tokens.refresh_token.expose(),
            "expires_at": tokens.expires_at.to_string(),
        })
        .to_string();
        match self {
            Self::Stdout => match print(&text) {
                Ok(()) => Ok(()),
                Err(error) => Err(rescue(&text, error.into(), Path::new("."), false)),
            },
            Self::File(file, target) => write_file(file, &target, &text),
        }
    }
}

fn write_file(mut file: NamedTempFile, target: &Path, text: &str) -> Result<(), CliError> {
    let at_target = |error: io::Error| Error::from(error).at(target);
    let directory = parent(target);
    let written = writeln!(file, "{text}").and_then(|()| file.as_file().sync_all());
    if let Err(error) = written {
        return Err(rescue(text, at_target(error), directory, true));
    }
    if let Err(persist) = file.persist(target) {
        let error = at_target(persist.error);
        return Err(match persist.file.keep() {
            Ok((_, path)) => CliError::TokensRescued {
                error,
                location: path.display().to_string(),
            },
            Err(_) => rescue(text, error, directory, true),
        });
    }
    // Makes the new name survive a power failure; the content is synced already.
    #[cfg(unix)]
    if let Err(error) = std::fs::File::open(directory).and_then(|file| file.sync_all()) {
        output::warning(format!(
            "oh: the tokens are in {}, but its directory could not be synced: {error}",
            target.display()
        ));
    }
    Ok(())
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes tokens to standard output if `may_print`, else to a private file, else to standard error.
fn rescue(text: &str, error: Error, directory: &Path, may_print: bool) -> CliError {
    let rescued = |location: String| CliError::TokensRescued { error, location };
    if may_print && !output::stdout_is_discarded() && print(text).is_ok() {
        return rescued("the output above".into());
    }
    for directory in [directory, Path::new("."), &std::env::temp_dir()] {
        if let Ok(path) = write_private_file(text, directory) {
            return rescued(path.display().to_string());
        }
    }
    output::warning(text);
    rescued("the line above".into())
}

fn write_private_file(text: &str, directory: &Path) -> io::Result<PathBuf> {
    let mut file = tempfile::Builder::new()
        .prefix("oh-tokens-")
        .suffix(".json")
        .tempfile_in(directory)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    let (_, path) = file.keep().map_err(|error| error.error)?;
    Ok(path)
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|directory| !directory.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new("access", "refresh", std::time::SystemTime::now().into())
    }

    #[test]
    fn tokens_are_written_beside_target_that_cannot_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("tokens.json");
        let output = TokenOutput::prepare(Some(&target)).unwrap();
        // A directory that is not empty cannot be replaced by a file.
        std::fs::create_dir_all(target.join("full")).unwrap();
        let error = output.write(&tokens()).unwrap_err();
        assert_eq!(error.exit_code(), 13);
        let CliError::TokensRescued { location, .. } = error else {
            panic!("{error}");
        };
        let text = std::fs::read_to_string(&location).unwrap();
        assert!(text.contains("refresh") && Path::new(&location).starts_with(dir.path()));
    }

    #[cfg(unix)]
    #[test]
    fn tokens_replace_target_of_symbolic_link() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let output = TokenOutput::prepare(Some(&link)).unwrap();
        output.write(&tokens()).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let text = std::fs::read_to_string(&target).unwrap();
        assert!(text.contains("refresh"));
    }
}
