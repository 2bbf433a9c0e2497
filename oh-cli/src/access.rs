//! Which server, and with which token.

use std::path::{Path, PathBuf};

use clap::Args;
use oh_api::{Client, Error, MemberClient, ProjectClient, ProjectMemberId};

use crate::failure::Failure;
use crate::secret::{From, Kind};

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
    #[arg(short = 't', long, global = true)]
    token: Option<String>,
    /// A file that holds a member's access token, such as one that --out wrote; or
    /// OPENHUMANS_ACCESS_TOKEN_FILE
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The project's master token; better in a file or OPENHUMANS_MASTER_TOKEN
    #[arg(short = 'T', long, global = true)]
    master_token: Option<String>,
    /// A file that holds the project's master token; or OPENHUMANS_MASTER_TOKEN_FILE
    #[arg(
        long,
        global = true,
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
        Client::new(&self.base_url).map_err(|error| match error {
            Error::InvalidInput { reason, .. } => Failure::Usage(format!(
                "{:?} cannot be the address of Open Humans (--base-url or \
                 OPENHUMANS_OH_BASE_URL): {reason}",
                self.base_url
            )),
            error => error.into(),
        })
    }

    /// The project, which wants the master token.
    pub(crate) fn project(&self) -> Result<ProjectClient, Failure> {
        let path = self.master_token_file.as_deref();
        let token = Kind::Master.wanted(self.master_token.as_ref(), path)?;
        Ok(self.server()?.project(token))
    }

    /// The member's access token itself.
    pub(crate) fn member_token(&self) -> Result<String, Failure> {
        Kind::Access.wanted(self.token.as_ref(), self.token_file.as_deref())
    }

    /// The file that the member's access token is to come from, where a flag names one.
    pub(crate) fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref()
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

    /// Whoever the tokens and `member` make. A token that a flag gives counts before one from the
    /// environment.
    pub(crate) fn who(&self, member: Option<&ProjectMemberId>) -> Result<Who, Failure> {
        let own = Kind::Access.given(self.token.as_ref(), self.token_file.as_deref())?;
        let path = self.master_token_file.as_deref();
        let master = Kind::Master.given(self.master_token.as_ref(), path)?;
        let (own, master) = match (own, master) {
            (Some((own, From::Flag)), Some((_, From::Environment))) => (Some(own), None),
            (Some((_, From::Environment)), Some((master, From::Flag))) => (None, Some(master)),
            (own, master) => (own.map(|(own, _)| own), master.map(|(master, _)| master)),
        };
        match (own, master, member) {
            (Some(_), Some(_), None) => Err(Failure::Usage(
                "there are a member's token and the master token: give one, or a --member".into(),
            )),
            (_, Some(master), Some(member)) => {
                Ok(Who::Member(self.server()?.project(master).member(member)))
            }
            (Some(token), None, None) => Ok(Who::Member(self.server()?.member(token))),
            (None, Some(master), None) => Ok(Who::Project(self.server()?.project(master))),
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
}
