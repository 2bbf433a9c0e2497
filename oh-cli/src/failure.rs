//! How a command can fail, the exit code that says it to a script, and what one can do about it.

use std::fmt;
use std::io;

use oh_api::transport::TransportError;
use oh_api::{Error, TokenError};

use crate::plain::plain;

/// The exit codes, as `oh --help` explains them.
pub(crate) const EXPLAINED: &str = "\
Exit codes:
   0  done
   1  some files or members failed; the others are done. Of doctor: something is wrong
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
  12  the answer was not understood, or what arrived is not what was sent; a ledger is not what
      was sealed
  13  reading or writing on this machine failed
  14  not done, because the question was not answered with yes
 130  interrupted
 143  terminated

Tokens:
  Members' tokens come from --token-file or OPENHUMANS_ACCESS_TOKEN, the project's master token
  from --master-token-file or OPENHUMANS_MASTER_TOKEN. What a flag says counts before the
  environment. Flags that take a token itself are there, but other users of a machine can see
  them. No token is printed, except by the commands whose purpose is to get one, and where one
  would otherwise be lost.

Example:
  export OPENHUMANS_MASTER_TOKEN_FILE=master.txt
  oh members
  oh download --directory data --source direct-sharing-1

Whoever used open-humans-api finds its commands in `oh help migrate`.";

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
    /// A ledger, or a proof, is not what was sealed.
    Broken(String),
    /// Another failure, and what one can do about it.
    Advised(Box<Failure>, String),
    /// New tokens could not be put where they were wanted.
    KeptElsewhere { why: Error, place: String },
    /// Somebody was asked and did not say yes.
    NotDone,
    /// Standard output was closed.
    NobodyReads,
    /// Ctrl-C.
    Interrupted,
    /// The request to end that service managers send.
    Terminated,
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Error(error) => code_of(error),
            Self::Partly(_) => 1,
            Self::Usage(_) => 2,
            Self::Wrong(_) => 6,
            Self::Broken(_) => 12,
            Self::Advised(failure, _) => failure.code(),
            Self::KeptElsewhere { .. } => 13,
            Self::NotDone => 14,
            Self::NobodyReads => 0,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The same, with what one can do about it.
    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Self::Advised(Box::new(self), advice.into())
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
        Error::UnexpectedResponse { .. } | Error::ForeignLink { .. } | Error::Mismatch { .. } => 12,
        Error::Io(_) | Error::TokenSource(_) => 13,
        _ => 1,
    }
}

/// An error and what it came from, in one sentence.
pub(crate) fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let mut more = error.to_string();
        if let Some(message) = of_database(error) {
            // What is around it may have said it already, as it shows itself.
            said = said.replace(&more, &message);
            more = message;
        }
        // Some say their cause themselves.
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    said
}

/// What a database said, alone. sqlx shows the line of PostgreSQL's source with it, as if it were
/// one of the statement, and SQLite's number.
#[cfg(feature = "database")]
fn of_database(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let error = error.downcast_ref::<Box<dyn sqlx::error::DatabaseError>>()?;
    Some(error.message().to_owned())
}

#[cfg(not(feature = "database"))]
fn of_database(_: &(dyn std::error::Error + 'static)) -> Option<String> {
    None
}

/// An error of the library and all its causes, in a line.
pub(crate) fn told(error: &Error) -> String {
    let mut text = sentence(error);
    if let Error::RateLimited {
        retry_after: Some(wait),
    } = error
    {
        text.push_str(&format!(" for {} seconds", wait.as_secs()));
    }
    plain(&text)
}

/// What one can do about an error, whichever command it came from.
pub(crate) fn advice(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Expired => {
            "a member's token is renewed by `oh refresh`; a new master token is on the project's \
             page at Open Humans"
        }
        Error::Unauthorized { detail } if detail == "invalid_client" => {
            "the client id and secret are on the project's page at Open Humans; the secret is \
             shown only once, when it is made"
        }
        Error::Unauthorized { .. } => {
            "the token is mistyped, or no longer valid: a refresh or the member's leaving ends it. \
             A member's token goes to --token-file, the project's master token to \
             --master-token-file"
        }
        Error::Forbidden { .. } => "a file's address works for an hour: list the files again",
        Error::Mismatch {
            what: "md5",
            saved_as: Some(_),
            ..
        } => {
            "either the file or what its uploader said of it is wrong; --ignore-md5 takes the file \
             as it is"
        }
        Error::Mismatch {
            what: "md5",
            saved_as: None,
            ..
        } => {
            "the file has changed since its MD5 was written down: draft the metadata anew, or take \
             the file's own MD5 with --ignore-md5"
        }
        Error::Network(TransportError::Connect(_)) => {
            "is the address right (--base-url), and is there a connection?"
        }
        Error::UnexpectedResponse { .. } => {
            "something in between may have answered, or --base-url is not an Open Humans"
        }
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => {
                f.write_str(&told(error))?;
                match advice(error) {
                    Some(advice) => write!(f, "\n    {advice}"),
                    None => Ok(()),
                }
            }
            Self::Partly(1) => f.write_str("one failed"),
            Self::Partly(count) => write!(f, "{count} failed"),
            Self::Usage(why) | Self::Wrong(why) | Self::Broken(why) => f.write_str(why),
            Self::Advised(failure, advice) => match &**failure {
                Self::Error(error) => write!(f, "{}\n    {advice}", told(error)),
                failure => write!(f, "{failure}\n    {advice}"),
            },
            Self::KeptElsewhere { why, place } => write!(
                f,
                "the new tokens could not be written: {}\n    They are kept in {place}. The ones \
                 before are dead: do not lose these",
                told(why)
            ),
            Self::NotDone => f.write_str("nothing was done"),
            Self::NobodyReads => f.write_str("nobody reads the output"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Terminated => f.write_str("terminated"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error)
                if error.kind() == io::ErrorKind::BrokenPipe && error.path().is_none() =>
            {
                Self::NobodyReads
            }
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

#[cfg(all(test, feature = "database"))]
mod tests {
    use std::error::Error as StdError;
    use std::sync::Arc;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// As sqlx shows what PostgreSQL says.
    #[derive(Debug)]
    struct OfPostgres;

    impl fmt::Display for OfPostgres {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} at line 948", self.message())
        }
    }

    impl StdError for OfPostgres {}

    impl DatabaseError for OfPostgres {
        fn message(&self) -> &str {
            "permission denied for table oh_members"
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn what_a_database_said_is_told_without_the_line_of_its_source() {
        let error = || sqlx::Error::Database(Box::new(OfPostgres));
        let alone = "error returned from database: permission denied for table oh_members";
        assert_eq!(sentence(&error()), alone);
        // However the stores wrap it.
        let shared: Arc<sqlx::Error> = error().into();
        let wrapped = oh_core::store::StoreError::unavailable(shared);
        let told = sentence(&wrapped);
        assert!(told.ends_with(alone), "{told}");
    }
}
