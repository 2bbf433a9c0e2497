//! Confirmation before an action that cannot be undone.

use std::io::{IsTerminal, Write};

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::error::CliError;

/// Asks `question` at the terminal, unless `yes` answers it.
///
/// # Errors
///
/// [`CliError::Declined`] unless the reply is yes; [`CliError::Unconfirmed`] without a terminal.
pub(crate) async fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CliError::Unconfirmed(question.to_owned()));
    }
    {
        let mut terminal = std::io::stderr().lock();
        write!(terminal, "{question}? [y/N] ")?;
        terminal.flush()?;
    }
    let mut reply = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut reply)
        .await?;
    match reply.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Declined),
    }
}
