//! Where new tokens go.
//!
//! A code and a refresh token work once: when the new pair arrives the old one is dead, and what is
//! lost then is the member. So the place is made ready before anything is sent, and a pair that
//! cannot be put there is put anywhere else that is left: a file beside, the terminal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oh_api::{Error, Tokens};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::output;

/// A place for tokens that is ready.
pub(crate) enum Place {
    Printed,
    /// The file beside the one that is wanted, and that.
    File(NamedTempFile, PathBuf),
}

impl Place {
    /// Makes the place ready: standard output without a path.
    pub(crate) fn ready(out: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = out else {
            return match output::goes_nowhere() {
                true => Err(Failure::Usage(
                    "the tokens would be printed, and standard output is closed or goes nowhere: \
                     give --out"
                        .into(),
                )),
                false => Ok(Self::Printed),
            };
        };
        // What a link leads to is replaced, not the link.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let at = |error: io::Error| Failure::from(Error::from(error).at(path));
        if let Ok(found) = std::fs::metadata(&target)
            && !found.is_file()
        {
            return Err(Failure::Usage(format!(
                "{} is there and is no file",
                path.display()
            )));
        }
        // Readable by the owner alone, and whole or not there at all.
        let file = NamedTempFile::new_in(folder_of(&target)).map_err(at)?;
        Ok(Self::File(file, target))
    }

    /// Puts the tokens there, or wherever else it can.
    pub(crate) fn keep(self, tokens: &Tokens) -> Result<(), Failure> {
        let text = json!({
            "access_token": tokens.access_token.expose(),
            "refresh_token": tokens.refresh_token.expose(),
            "expires_at": tokens.expires_at.to_string(),
        })
        .to_string();
        match self {
            Self::Printed => match print(&text) {
                Ok(()) => Ok(()),
                Err(error) => Err(rescue(&text, error.into(), Path::new("."), false)),
            },
            Self::File(file, target) => write(file, &target, &text),
        }
    }
}

fn write(mut file: NamedTempFile, target: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Error::from(error).at(target);
    let folder = folder_of(target);
    let written = writeln!(file, "{text}").and_then(|()| file.as_file().sync_all());
    if let Err(error) = written {
        return Err(rescue(text, failed(error), folder, true));
    }
    match file.persist(target) {
        Ok(_) => {}
        Err(refused) => {
            let error = failed(refused.error);
            return Err(match refused.file.keep() {
                Ok((_, kept)) => Failure::KeptElsewhere {
                    why: error,
                    place: kept.display().to_string(),
                },
                Err(lost) => {
                    // Its file is removed when this is dropped: the text is what is left.
                    drop(lost);
                    rescue(text, error, folder, true)
                }
            });
        }
    }
    // Without this the name may be lost with the power; the tokens are there already.
    #[cfg(unix)]
    if let Err(error) = std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        output::note(format!(
            "oh: the tokens are in {}, and the folder could not be synced: {error}",
            target.display()
        ));
    }
    Ok(())
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Puts tokens anywhere they are not lost: standard output, where that is not what failed; a
/// private file; and in the end standard error.
fn rescue(text: &str, why: Error, folder: &Path, may_print: bool) -> Failure {
    if may_print && !output::goes_nowhere() && print(text).is_ok() {
        return Failure::KeptElsewhere {
            why,
            place: "the output above".into(),
        };
    }
    for folder in [folder, Path::new("."), &std::env::temp_dir()] {
        if let Ok(path) = in_file(text, folder) {
            return Failure::KeptElsewhere {
                why,
                place: path.display().to_string(),
            };
        }
    }
    output::note(text);
    Failure::KeptElsewhere {
        why,
        place: "the line above".into(),
    }
}

fn in_file(text: &str, folder: &Path) -> io::Result<PathBuf> {
    let mut file = tempfile::Builder::new()
        .prefix("oh-tokens-")
        .suffix(".json")
        .tempfile_in(folder)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    let (_, path) = file.keep().map_err(|error| error.error)?;
    Ok(path)
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_cannot_take_its_name_stays_beside() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("tokens.json");
        let place = Place::ready(Some(&target)).unwrap();
        // Something has taken the name meanwhile that no file can replace.
        std::fs::create_dir_all(target.join("full")).unwrap();
        let tokens = Tokens::new("access", "refresh", std::time::SystemTime::now().into());
        let failure = place.keep(&tokens).unwrap_err();
        assert_eq!(failure.code(), 13);
        let Failure::KeptElsewhere { place, .. } = failure else {
            panic!("{failure}");
        };
        let kept = std::fs::read_to_string(&place).unwrap();
        assert!(kept.contains("refresh") && Path::new(&place).starts_with(dir.path()));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let tokens = Tokens::new("access", "refresh", std::time::SystemTime::now().into());
        Place::ready(Some(&link)).unwrap().keep(&tokens).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(
            std::fs::read_to_string(&target)
                .unwrap()
                .contains("refresh")
        );
    }
}
