//! Errors of API calls.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::transport::{BoxError, TransportError};

/// An error of an API call.
///
/// No variant contains a secret. Clones are cheap, so several callers that share one call can each
/// receive its error. The `Debug` output is the message with its causes, so that
/// `main -> Result<(), Box<dyn Error>>` prints a readable line.
///
/// ```
/// # fn act(error: oh_api::Error) {
/// match error {
///     oh_api::Error::Deauthorized => println!("the member has left"),
///     error if error.is_retryable() => println!("try again later: {error}"),
///     error => println!("{error}"),
/// }
/// # }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Open Humans rejected the token or the client credentials (401).
    #[error("Open Humans refused the credentials: {detail}")]
    Unauthorized {
        /// The server's explanation, shortened.
        detail: String,
    },
    /// The request is not allowed for any token (403): the download URL has expired, or a server in
    /// front of Open Humans blocks the request. Says nothing about the member.
    #[error("Open Humans does not allow this: {detail}")]
    Forbidden {
        /// The server's explanation, shortened.
        detail: String,
    },
    /// The access token has expired and could not be refreshed.
    #[error("the access token has expired")]
    Expired,
    /// The member has left the project or never joined it. A retry does not help; a new login does.
    #[error("the member has not authorized this project, or no longer does")]
    Deauthorized,
    /// An argument is invalid; nothing was sent.
    #[error("{argument} cannot be used: {reason}")]
    InvalidInput {
        /// The name of the argument.
        argument: &'static str,
        /// Why it is invalid.
        reason: String,
    },
    /// Open Humans rejected the request's fields (400).
    #[error("Open Humans did not accept the request: {}", join(.problems))]
    BadRequest {
        /// The problems, one for each field if the server names fields.
        problems: Vec<Problem>,
    },
    /// The resource does not exist (404).
    #[error("not found")]
    NotFound,
    /// The request or response exceeds a limit of the server (413) or of this library.
    #[error("too large: {what}")]
    TooLarge {
        /// What is too large, with the limit.
        what: String,
    },
    /// The server limits the request rate (429, or 503 with `Retry-After`).
    #[error("Open Humans asks to wait")]
    RateLimited {
        /// How long to wait, if the server says so.
        retry_after: Option<Duration>,
    },
    /// The server failed (5xx). It may have processed the request.
    #[error("Open Humans failed with status {status}")]
    Server {
        /// The status code.
        status: http::StatusCode,
    },
    /// The server did not respond in time. It may have processed the request.
    #[error("Open Humans did not answer in time")]
    Timeout,
    /// The connection failed.
    #[error("the connection to Open Humans failed")]
    Network(#[source] TransportError),
    /// The response does not follow the protocol.
    #[error("unexpected response (status {status}): {excerpt}")]
    UnexpectedResponse {
        /// The status code.
        status: http::StatusCode,
        /// A short description or quotation without secrets.
        excerpt: String,
    },
    /// A response links to another host than the configured one; the link was not followed.
    #[error("the response links to another host ({host}), which was not followed")]
    ForeignLink {
        /// The host that the link names.
        host: String,
    },
    /// The size or the MD5 of a file is not the expected one.
    #[error("the {what} should be {expected} and is {actual}{}", saved_as_suffix(.saved_as.as_deref()))]
    Mismatch {
        /// `size` or `md5`.
        what: &'static str,
        /// The expected value.
        expected: String,
        /// The actual value.
        actual: String,
        /// Where the downloaded file was saved instead of its target, if it was.
        saved_as: Option<PathBuf>,
    },
    /// The object store that contains the files returned an error.
    #[error("the object store answered with status {status} ({code})")]
    ObjectStore {
        /// The status code.
        status: http::StatusCode,
        /// The store's error code, such as `SignatureDoesNotMatch`; empty if it sent none.
        code: String,
    },
    /// The [`TokenSource`](crate::TokenSource) failed.
    #[error("no access token is available")]
    TokenSource(#[source] AppError),
    /// The call needs configuration that the application did not provide, such as a master token.
    #[error("not configured: {what}")]
    NotConfigured {
        /// The missing setting.
        what: &'static str,
    },
    /// A local file or stream failed.
    #[error(transparent)]
    Io(IoError),
}

impl Error {
    /// Returns whether the same call may succeed later without any change.
    ///
    /// Before you repeat a call that changes data at Open Humans, check whether the change was made.
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

    /// Returns the server's message about `field`, if it rejected the request and named that field.
    pub fn field(&self, field: &str) -> Option<&str> {
        let Self::BadRequest { problems } = self else {
            return None;
        };
        let problem = problems
            .iter()
            .find(|p| p.field.as_deref() == Some(field))?;
        Some(problem.message.as_str())
    }

    /// Adds the path of the affected file to an [`Error::Io`] that has none yet.
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

    pub(crate) fn invalid_input(argument: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidInput {
            argument,
            reason: reason.into(),
        }
    }

    pub(crate) fn unexpected(status: http::StatusCode, excerpt: impl Into<String>) -> Self {
        Self::UnexpectedResponse {
            status,
            excerpt: excerpt.into(),
        }
    }

    /// Returns whether the server certainly did not process the request, so that even a request that
    /// must not be processed twice can be repeated.
    pub(crate) fn was_not_processed(&self) -> bool {
        match self {
            Self::RateLimited { .. } => true,
            Self::Network(error) => error.was_not_processed(),
            _ => false,
        }
    }

    /// Returns whether the server closed the connection or refused the stream before it processed
    /// the request. Other requests on that connection succeeded, so a retry is promising.
    pub(crate) fn was_refused_by_connection(&self) -> bool {
        matches!(self, Self::Network(TransportError::Unprocessed(_)))
    }

    /// Converts the server's message for a project member id that is not an active member's.
    pub(crate) fn or_deauthorized(self) -> Self {
        match self.field("project_member_id") {
            Some("project_member_id is invalid") => Self::Deauthorized,
            _ => self,
        }
    }

    /// How long the server asked to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_causes(self))
    }
}

/// Returns an error's message followed by the messages of its causes.
fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        // Some errors repeat their cause in their own message.
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = cause.source();
    }
    text
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

impl From<AppError> for Error {
    fn from(error: AppError) -> Self {
        Self::TokenSource(error)
    }
}

/// An I/O error of a local file or stream, with the file's path.
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
    /// Returns the path of the file; `None` for a stream.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the kind of the I/O error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            // The name of a downloaded file is chosen by its uploader.
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

fn saved_as_suffix(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!("; the downloaded file is saved as {}", path.display())
    })
}

/// One problem that Open Humans reports about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The field that the problem is about; `None` if the server names none.
    pub field: Option<String>,
    /// The server's message, shortened.
    pub message: String,
}

impl Problem {
    /// Creates a problem that is not about a single field.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            field: None,
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

/// An error of application code that this library calls: a [`TokenSource`](crate::TokenSource) or
/// the function of a [`job`](crate::job).
///
/// It records whether a retry can help. `?` converts an [`Error`] of this crate.
///
/// ```
/// use oh_api::AppError;
///
/// let error = AppError::temporary("the database is restarting");
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "the database is restarting");
/// ```
#[derive(Clone, Debug)]
pub struct AppError {
    source: Arc<dyn StdError + Send + Sync>,
    retryable: bool,
}

impl AppError {
    /// Creates an error that a retry may resolve.
    pub fn temporary(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into().into(),
            retryable: true,
        }
    }

    /// Creates an error that a retry cannot resolve.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into().into(),
            retryable: false,
        }
    }

    /// Returns whether a retry can help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Returns the error of this crate, if it is one.
    pub fn api(&self) -> Option<&Error> {
        self.source.downcast_ref()
    }
}

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        Self {
            retryable: error.is_retryable(),
            source: Arc::new(error),
        }
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl StdError for AppError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_debug_is_its_message_with_causes() {
        let io = io::Error::other("no route to host");
        let error = Error::from(TransportError::connect(io));
        assert_eq!(
            format!("{error:?}"),
            "the connection to Open Humans failed: could not connect: no route to host"
        );
    }
}
