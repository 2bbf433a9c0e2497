//! Asking before something is done that cannot be undone.

use std::io::{IsTerminal, Write};

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::failure::Failure;

/// Goes on if somebody at a terminal says so, or if `yes` did already.
pub(crate) async fn whether(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::Usage(format!(
            "{question}? There is nobody to ask: give --yes to do it, or --dry-run to see what \
             would be done"
        )));
    }
    {
        let mut terminal = std::io::stderr().lock();
        write!(terminal, "{question}? [y/N] ")?;
        terminal.flush()?;
    }
    let mut answer = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut answer)
        .await?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::NotDone),
    }
}
