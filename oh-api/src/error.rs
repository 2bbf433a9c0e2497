//! What a call to Open Humans can end in, other than well.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::transport::{BoxError, TransportError};

/// Why a call did not succeed. No variant holds a secret. Cheap to clone, so that several who
/// waited for one call can each have it.
///
/// ```
/// # fn act(error: oh_api::Error) {
/// match error {
///     oh_api::Error::Deauthorized => println!("the member has left"),
///     error if error.is_retryable() => println!("later, then: {error}"),
///     error => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token, or the client id and secret, are not accepted (401).
    #[error("Open Humans refused the credentials: {detail}")]
    Unauthorized {
        /// What the server said, shortened.
        detail: String,
    },
    /// The request is not allowed (403), whatever the token: a download address that is too old, or
    /// something in front of Open Humans. Says nothing about the member.
    #[error("Open Humans does not allow this: {detail}")]
    Forbidden {
        /// What the server said, shortened.
        detail: String,
    },
    /// The access token has expired, and there was no way to renew it.
    #[error("the access token has expired")]
    Expired,
    /// The member has left the project, or was never in it. Trying again cannot help; logging in
    /// again can.
    #[error("the member has not authorized this project, or no longer does")]
    Deauthorized,
    /// An argument Open Humans would choke on; nothing was sent.
    #[error("{argument} cannot be used: {why}")]
    InvalidInput {
        /// Which argument.
        argument: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Open Humans did not accept the input (400), by field where it says so.
    #[error("Open Humans did not accept the request: {}", join(.problems))]
    BadRequest {
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// There is no such thing (404).
    #[error("not found")]
    NotFound,
    /// More than the server takes (413), or than a limit of ours allows.
    #[error("too large: {what}")]
    TooLarge {
        /// What is, and what the limit is.
        what: String,
    },
    /// Too many requests (429), or a server that asks for patience (503 with `Retry-After`).
    #[error("Open Humans asks to wait")]
    RateLimited {
        /// How long, if it said so.
        retry_after: Option<Duration>,
    },
    /// The server failed (5xx). A request that changes something may have done so.
    #[error("Open Humans failed with status {status}")]
    Server {
        /// The status.
        status: http::StatusCode,
    },
    /// No answer in time.
    #[error("Open Humans did not answer in time")]
    Timeout,
    /// The connection failed.
    #[error("the connection to Open Humans failed")]
    Network(#[source] TransportError),
    /// The answer is not what the protocol promises.
    #[error("the answer was not understood (status {status}): {excerpt}")]
    NotUnderstood {
        /// The status it came with.
        status: http::StatusCode,
        /// A short part of it, free of secrets.
        excerpt: String,
    },
    /// A link in an answer points to another host than the configured one; it was not followed.
    #[error("the answer links to another host ({host}), which was not followed")]
    ForeignLink {
        /// The host it points to.
        host: String,
    },
    /// What arrived is not what was sent: its size or its MD5 is another.
    #[error("the {what} should be {expected} and is {found}{}", kept_at(.kept.as_deref()))]
    Mismatch {
        /// What was compared: `size` or `md5`.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
        /// Where what arrived is kept aside, if it is.
        kept: Option<PathBuf>,
    },
    /// The object store that holds the files refused or failed.
    #[error("the object store answered with status {status} ({code})")]
    ObjectStore {
        /// The status.
        status: http::StatusCode,
        /// The store's own word for it, such as `SignatureDoesNotMatch`; empty where it gave none.
        code: String,
    },
    /// Whoever keeps the tokens could not give one.
    #[error("no access token could be had")]
    TokenSource(#[source] TokenSourceError),
    /// The app did not give what this call needs, such as a master token.
    #[error("not configured: {what}")]
    NotConfigured {
        /// What is missing.
        what: &'static str,
    },
    /// A file or a stream on this side failed.
    #[error(transparent)]
    Io(IoError),
}

impl Error {
    /// Whether the same call may succeed later without anyone changing anything.
    ///
    /// For a call that changes something at Open Humans, look first whether it has happened.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Server { .. } | Self::Timeout | Self::Network(_) => {
                true
            }
            Self::ObjectStore { status, .. } => status.is_server_error(),
            Self::TokenSource(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// What Open Humans said is wrong with `field`, if it refused the input and named that field.
    pub fn field(&self, field: &str) -> Option<&str> {
        let Self::BadRequest { problems } = self else {
            return None;
        };
        let named = problems.iter().find(|p| p.field.as_deref() == Some(field));
        named.map(|problem| problem.message.as_str())
    }

    /// The same error, naming the file it is about where it is [`Error::Io`] and names none yet.
    #[must_use]
    pub fn at(self, path: impl AsRef<Path>) -> Self {
        match self {
            Self::Io(IoError { path: None, source }) => Self::Io(IoError {
                path: Some(path.as_ref().to_owned()),
                source,
            }),
            other => other,
        }
    }

    /// Whether the failed call certainly did nothing: it never left, or it was turned away.
    pub(crate) fn did_nothing(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Network(TransportError::Connect(_))
        )
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Timeout(_) => Self::Timeout,
            other => Self::Network(other),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(IoError {
            path: None,
            source: Arc::new(error),
        })
    }
}

impl From<TokenSourceError> for Error {
    fn from(error: TokenSourceError) -> Self {
        Self::TokenSource(error)
    }
}

/// A file or a stream on this side that failed, and which file it was.
///
/// ```
/// use oh_api::Error;
///
/// let error = Error::from(std::io::Error::from(std::io::ErrorKind::NotFound)).at("survey.csv");
/// assert_eq!(error.to_string(), "reading or writing survey.csv failed");
/// ```
#[derive(Clone, Debug)]
pub struct IoError {
    path: Option<PathBuf>,
    source: Arc<io::Error>,
}

impl IoError {
    /// The file, where it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The kind of failure.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            // Names come from outside, too.
            Some(path) => write!(
                f,
                "reading or writing {} failed",
                path.to_string_lossy().replace(char::is_control, "\u{fffd}")
            ),
            None => f.write_str("reading or writing on this side failed"),
        }
    }
}

impl StdError for IoError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

fn kept_at(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!("; what arrived is kept as {}", path.display())
    })
}

/// One thing that Open Humans found wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The field it is about; `None` where none was named.
    pub field: Option<String>,
    /// What is wrong, shortened.
    pub message: String,
}

impl Problem {
    /// A problem with the request as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            field: None,
            message: message.into(),
        }
    }

    /// A problem with one field.
    pub fn with_field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

fn join(problems: &[Problem]) -> String {
    let all: Vec<String> = problems.iter().map(Problem::to_string).collect();
    all.join("; ")
}

/// Why a [`TokenSource`](crate::TokenSource) could not give a token: whatever failed there, and
/// whether trying again can help.
///
/// ```
/// use oh_api::TokenSourceError;
///
/// let error = TokenSourceError::temporary("the database is restarting");
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "the database is restarting");
/// ```
#[derive(Clone, Debug)]
pub struct TokenSourceError {
    source: Arc<dyn StdError + Send + Sync>,
    retryable: bool,
}

impl TokenSourceError {
    /// A failure that may pass.
    pub fn temporary(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into().into(),
            retryable: true,
        }
    }

    /// A failure that stays until someone changes something.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into().into(),
            retryable: false,
        }
    }

    /// Whether trying again can help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// What failed.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }
}

impl fmt::Display for TokenSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl StdError for TokenSourceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}
