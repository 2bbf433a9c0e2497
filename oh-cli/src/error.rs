//! Errors of commands, their exit codes, and hints about what to do.

use std::fmt;
use std::io;

use oh_api::transport::TransportError;
use oh_api::{Error, TokenError};

use crate::text::one_line;

/// The part of `oh --help` after the options. The only place that documents the exit codes.
pub(crate) const AFTER_HELP: &str = include_str!("help.txt");

/// The reason why a command failed.
#[derive(Debug)]
pub(crate) enum CliError {
    Api(Error),
    /// The number of files or members that failed. Each was reported when it failed.
    Partial(usize),
    /// The options do not fit together.
    Usage(String),
    /// An argument or a file has invalid content.
    Invalid(String),
    /// A ledger or a proof does not match its checkpoints.
    LedgerMismatch(String),
    /// Another error with a hint about what to do.
    WithHint(Box<Self>, String),
    /// New tokens could not be written to the requested output and were written to `location`.
    TokensRescued {
        error: Error,
        location: String,
    },
    /// The reply to a question was not yes.
    Declined,
    /// A question could not be asked, because there is no terminal.
    Unconfirmed(String),
    /// The reader of standard output closed it.
    StdoutClosed,
    /// SIGINT, or Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl CliError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Api(error) => exit_code(error),
            Self::Partial(_) => 1,
            Self::Usage(_) => 2,
            Self::Invalid(_) => 6,
            Self::LedgerMismatch(_) => 12,
            Self::WithHint(error, _) => error.exit_code(),
            Self::TokensRescued { .. } => 13,
            Self::Declined | Self::Unconfirmed(_) => 14,
            Self::StdoutClosed => 0,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self::WithHint(Box::new(self), hint.into())
    }
}

fn exit_code(error: &Error) -> u8 {
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

/// Returns the error and its sources as one sentence.
pub(crate) fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let mut message = error.to_string();
        if let Some(short) = database_message(error) {
            // An outer error may quote the long form.
            text = text.replace(&message, &short);
            message = short;
        }
        // Some errors include the message of their source.
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        source = error.source();
    }
    text
}

/// Returns the message of a database. sqlx appends the line of PostgreSQL's own source code, which
/// reads like a line of the statement.
#[cfg(feature = "database")]
fn database_message(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let error = error.downcast_ref::<Box<dyn sqlx::error::DatabaseError>>()?;
    Some(error.message().to_owned())
}

#[cfg(not(feature = "database"))]
fn database_message(_: &(dyn std::error::Error + 'static)) -> Option<String> {
    None
}

/// Returns an API error and its sources in one line.
pub(crate) fn describe(error: &Error) -> String {
    let mut text = with_sources(error);
    if let Error::RateLimited {
        retry_after: Some(delay),
    } = error
    {
        text.push_str(&format!(": retry after {} seconds", delay.as_secs()));
    }
    one_line(&text)
}

/// Returns what to do about an error, where that does not depend on the command.
pub(crate) fn hint(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Expired => {
            "renew a member's token with `oh refresh`; create a new master token on the project's \
             page at Open Humans"
        }
        Error::Unauthorized { detail } if detail == "invalid_client" => {
            "compare the client id and secret with the project's page at Open Humans, which shows \
             the secret only once, when it is created"
        }
        Error::Unauthorized { .. } => {
            "the token is mistyped or no longer valid: it ends with a refresh and when the member \
             leaves. Pass a member's token with --token-file, the master token with \
             --master-token-file"
        }
        Error::Forbidden { .. } => {
            "the token does not permit this request, or the URL of a file has expired: they are \
             valid for one hour"
        }
        Error::Mismatch {
            what: "md5",
            saved_as: Some(_),
            ..
        } => "the file is damaged, or its uploader gave another MD5: --ignore-md5 accepts the file",
        Error::Mismatch {
            what: "md5",
            saved_as: None,
            ..
        } => {
            "the file changed after its MD5 was written to the CSV: draft the CSV again, or upload \
             with --ignore-md5"
        }
        Error::Network(TransportError::Connect(_)) => {
            "check the URL (--base-url) and the network connection"
        }
        Error::UnexpectedResponse { .. } => {
            "the response may come from a proxy, or --base-url is not an Open Humans server"
        }
        _ => return None,
    })
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => {
                f.write_str(&describe(error))?;
                hint(error).map_or(Ok(()), |hint| write!(f, "\n    {hint}"))
            }
            Self::Partial(count) => write!(f, "{count} failed"),
            Self::Usage(message) | Self::Invalid(message) | Self::LedgerMismatch(message) => {
                f.write_str(&one_line(message))
            }
            Self::WithHint(error, hint) => {
                let hint = one_line(hint);
                match &**error {
                    Self::Api(error) => write!(f, "{}\n    {hint}", describe(error)),
                    error => write!(f, "{error}\n    {hint}"),
                }
            }
            Self::TokensRescued { error, location } => write!(
                f,
                "could not write the new tokens: {}\n    They were written to {}. Store them: the \
                 previous tokens are no longer valid",
                describe(error),
                one_line(location)
            ),
            Self::Declined => f.write_str("not confirmed, nothing was changed"),
            Self::Unconfirmed(question) => write!(
                f,
                "{}? No terminal to ask at: pass --yes to confirm, or --dry-run to preview",
                one_line(question)
            ),
            Self::StdoutClosed => f.write_str("standard output was closed"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Terminated => f.write_str("terminated"),
        }
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error)
                if error.kind() == io::ErrorKind::BrokenPipe && error.path().is_none() =>
            {
                Self::StdoutClosed
            }
            error => Self::Api(error),
        }
    }
}

impl From<TokenError> for CliError {
    fn from(error: TokenError) -> Self {
        Error::from(error).into()
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Error::from(error).into()
    }
}
