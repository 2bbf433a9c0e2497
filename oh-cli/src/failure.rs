//! How a command can fail, and the exit code that says it to a script.

use std::fmt;
use std::io;

use oh_api::{Error, TokenError};

/// The exit codes, as `oh --help` explains them.
pub(crate) const EXPLAINED: &str = "\
Exit codes:
   0  done
   1  some files or members failed; the others are done
   2  the command line is wrong
   3  Open Humans does not accept the token, or the client id and secret, or allow the request
   4  the token has expired
   5  the member has not authorized the project, or has left
   6  an argument cannot be sent, or Open Humans refused it
   7  not found
   8  too large
   9  too many requests: try again later
  10  Open Humans or its file store failed
  11  no connection, or no answer in time
  12  the answer was not understood, or what arrived is not what was sent
  13  reading or writing on this machine failed
 130  interrupted

Tokens:
  Members' tokens come from --token-file or OPENHUMANS_ACCESS_TOKEN, the project's master token
  from --master-token-file or OPENHUMANS_MASTER_TOKEN. Flags that take a token itself are there,
  but other users of a machine can see them. No token is printed, except by the commands whose
  purpose is to get one.

Example:
  export OPENHUMANS_MASTER_TOKEN_FILE=master.txt
  oh members
  oh download --directory data --source direct-sharing-1";

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library says why.
    Error(Error),
    /// Some of it failed; each was reported as it happened.
    Partly(usize),
    /// Arguments that do not go together.
    Usage(String),
    /// Something that was asked about is not as it should be.
    Wrong(String),
    /// Standard output was closed.
    NobodyReads,
    /// Ctrl-C.
    Interrupted,
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Error(error) => code_of(error),
            Self::Partly(_) => 1,
            Self::Usage(_) => 2,
            Self::Wrong(_) => 6,
            Self::NobodyReads => 0,
            Self::Interrupted => 130,
        }
    }
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::Unauthorized { .. } | Error::Forbidden { .. } => 3,
        Error::Expired => 4,
        Error::Deauthorized => 5,
        Error::InvalidInput { .. } | Error::BadRequest { .. } | Error::NotConfigured { .. } => 6,
        Error::NotFound => 7,
        Error::TooLarge { .. } => 8,
        Error::RateLimited { .. } => 9,
        Error::Server { .. } | Error::ObjectStore { .. } => 10,
        Error::Network(_) | Error::Timeout => 11,
        Error::NotUnderstood { .. } | Error::ForeignLink { .. } | Error::Mismatch { .. } => 12,
        Error::Io(_) | Error::TokenSource(_) => 13,
        _ => 1,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => {
                error.fmt(f)?;
                let mut cause = std::error::Error::source(error);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                match error {
                    Error::RateLimited {
                        retry_after: Some(wait),
                    } => write!(f, " for {} seconds", wait.as_secs()),
                    _ => Ok(()),
                }
            }
            Self::Partly(1) => f.write_str("one failed"),
            Self::Partly(count) => write!(f, "{count} failed"),
            Self::Usage(why) | Self::Wrong(why) => f.write_str(why),
            Self::NobodyReads => f.write_str("nobody reads the output"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => Self::NobodyReads,
            error => Self::Error(error),
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Error::from(error).into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Error::from(error).into()
    }
}
