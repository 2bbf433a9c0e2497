//! Which server, and with which token.

use std::path::{Path, PathBuf};

use clap::Args;
use oh_api::ProjectMemberId;
use oh_api::{Client, MemberClient, ProjectClient};

use crate::failure::Failure;

/// Where tokens come from.
#[derive(Args)]
pub(crate) struct Access {
    /// The Open Humans to speak to
    #[arg(
        long,
        global = true,
        env = "OPENHUMANS_OH_BASE_URL",
        default_value = "https://www.openhumans.org",
        value_name = "URL"
    )]
    pub(crate) base_url: String,
    /// A member's access token; better in a file or OPENHUMANS_ACCESS_TOKEN
    #[arg(
        long,
        global = true,
        env = "OPENHUMANS_ACCESS_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// A file that holds a member's access token
    #[arg(
        long,
        global = true,
        env = "OPENHUMANS_ACCESS_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "token"
    )]
    token_file: Option<PathBuf>,
    /// The project's master token; better in a file or OPENHUMANS_MASTER_TOKEN
    #[arg(
        short = 'T',
        long,
        global = true,
        env = "OPENHUMANS_MASTER_TOKEN",
        hide_env_values = true
    )]
    master_token: Option<String>,
    /// A file that holds the project's master token
    #[arg(
        long,
        global = true,
        env = "OPENHUMANS_MASTER_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "master_token"
    )]
    master_token_file: Option<PathBuf>,
}

/// Whom a command acts for.
pub(crate) enum Who {
    /// One member, by their own token or the master token.
    Member(MemberClient),
    /// The project.
    Project(ProjectClient),
}

impl Access {
    pub(crate) fn server(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.base_url)?)
    }

    /// The project, which wants the master token.
    pub(crate) fn project(&self) -> Result<ProjectClient, Failure> {
        match self.master()? {
            Some(token) => Ok(self.server()?.project(token)),
            None => Err(Failure::Usage(
                "this wants the master token: give --master-token-file or set \
                 OPENHUMANS_MASTER_TOKEN"
                    .into(),
            )),
        }
    }

    /// One member: the one with the token, or `member` by the master token.
    pub(crate) fn member(&self, member: Option<&ProjectMemberId>) -> Result<MemberClient, Failure> {
        match self.who(member)? {
            Who::Member(member) => Ok(member),
            Who::Project(_) => Err(Failure::Usage(
                "with the master token this wants a --member to act for".into(),
            )),
        }
    }

    /// Whoever the tokens and `member` make.
    pub(crate) fn who(&self, member: Option<&ProjectMemberId>) -> Result<Who, Failure> {
        let own = self.own()?;
        match (own, self.master()?, member) {
            (Some(_), Some(_), None) => Err(Failure::Usage(
                "there are a member's token and the master token: give one, or a --member".into(),
            )),
            (_, Some(_), Some(member)) => Ok(Who::Member(self.project()?.member(member))),
            (Some(token), None, None) => Ok(Who::Member(self.server()?.member(token))),
            (None, Some(_), None) => Ok(Who::Project(self.project()?)),
            (_, None, Some(_)) => Err(Failure::Usage(
                "--member wants the master token: a member's own token says who it is".into(),
            )),
            (None, None, None) => Err(Failure::Usage(
                "there is no token: give --token-file or --master-token-file, or set \
                 OPENHUMANS_ACCESS_TOKEN or OPENHUMANS_MASTER_TOKEN"
                    .into(),
            )),
        }
    }

    fn own(&self) -> Result<Option<String>, Failure> {
        given(self.token.as_ref(), self.token_file.as_deref())
    }

    fn master(&self) -> Result<Option<String>, Failure> {
        given(
            self.master_token.as_ref(),
            self.master_token_file.as_deref(),
        )
    }
}

/// A secret from its own argument or from a file.
pub(crate) fn given(
    secret: Option<&String>,
    file: Option<&Path>,
) -> Result<Option<String>, Failure> {
    let text = match (secret, file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => std::fs::read_to_string(path)?,
        (None, None) => return Ok(None),
    };
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
