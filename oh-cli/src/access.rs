//! The server to call and the token to call it with.

use std::path::{Path, PathBuf};

use clap::Args;
use oh_api::{Client, Error, MemberClient, ProjectClient, ProjectMemberId};

use crate::error::CliError;
use crate::secret::{Credential, Source};

/// The options that select the server and the token.
#[derive(Args)]
pub(crate) struct Access {
    /// The URL of the Open Humans server
    #[arg(
        long,
        global = true,
        env = "OPENHUMANS_OH_BASE_URL",
        default_value = "https://www.openhumans.org",
        value_name = "URL"
    )]
    pub(crate) base_url: String,
    /// A member's access token. Prefer --token-file or OPENHUMANS_ACCESS_TOKEN
    #[arg(short = 't', long, global = true)]
    token: Option<String>,
    /// A file with a member's access token, for example one that --out wrote. Also
    /// OPENHUMANS_ACCESS_TOKEN_FILE
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The project's master token. Prefer --master-token-file or OPENHUMANS_MASTER_TOKEN
    #[arg(short = 'T', long, global = true)]
    master_token: Option<String>,
    /// A file with the project's master token. Also OPENHUMANS_MASTER_TOKEN_FILE
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "master_token"
    )]
    master_token_file: Option<PathBuf>,
}

/// The identity that a command acts as.
pub(crate) enum Caller {
    /// One member, with their own token or with the master token.
    Member(MemberClient),
    /// The project.
    Project(ProjectClient),
}

impl Access {
    pub(crate) fn server(&self) -> Result<Client, CliError> {
        Client::new(&self.base_url).map_err(|error| match error {
            Error::InvalidInput { reason, .. } => CliError::Usage(format!(
                "{:?} is not a usable URL for Open Humans (--base-url or \
                 OPENHUMANS_OH_BASE_URL): {reason}",
                self.base_url
            )),
            error => error.into(),
        })
    }

    /// Returns a client for the project; requires the master token.
    pub(crate) fn project(&self) -> Result<ProjectClient, CliError> {
        let path = self.master_token_file.as_deref();
        let token = Credential::MasterToken.require(self.master_token.as_ref(), path)?;
        Ok(self.server()?.project(token))
    }

    /// Returns the member's access token.
    pub(crate) fn member_token(&self) -> Result<String, CliError> {
        Credential::AccessToken.require(self.token.as_ref(), self.token_file.as_deref())
    }

    pub(crate) fn token_file(&self) -> Option<&Path> {
        self.token_file.as_deref()
    }

    /// Returns a client for one member: the owner of the token, or `member` with the master token.
    pub(crate) fn member(
        &self,
        member: Option<&ProjectMemberId>,
    ) -> Result<MemberClient, CliError> {
        match self.caller(member)? {
            Caller::Member(member) => Ok(member),
            Caller::Project(_) => Err(CliError::Usage(
                "with the master token, this command requires --member".into(),
            )),
        }
    }

    /// Returns the identity that the tokens and `member` select. A token from an option takes
    /// precedence over one from the environment.
    pub(crate) fn caller(&self, member: Option<&ProjectMemberId>) -> Result<Caller, CliError> {
        let own = Credential::AccessToken.find(self.token.as_ref(), self.token_file.as_deref())?;
        let path = self.master_token_file.as_deref();
        let master = Credential::MasterToken.find(self.master_token.as_ref(), path)?;
        let (own, master) = match (own, master) {
            (Some((own, Source::Option)), Some((_, Source::Environment))) => (Some(own), None),
            (Some((_, Source::Environment)), Some((master, Source::Option))) => {
                (None, Some(master))
            }
            (own, master) => (own.map(|(own, _)| own), master.map(|(master, _)| master)),
        };
        match (own, master, member) {
            (Some(_), Some(_), None) => Err(CliError::Usage(
                "both a member's token and the master token are set: pass one of them, or add \
                 --member"
                    .into(),
            )),
            (_, Some(master), Some(member)) => Ok(Caller::Member(
                self.server()?.project(master).member(member),
            )),
            (Some(token), None, None) => Ok(Caller::Member(self.server()?.member(token))),
            (None, Some(master), None) => Ok(Caller::Project(self.server()?.project(master))),
            (_, None, Some(_)) => Err(CliError::Usage(
                "--member requires the master token: a member's own token identifies the member"
                    .into(),
            )),
            (None, None, None) => Err(CliError::Usage(
                "no token: pass --token-file or --master-token-file, or set \
                 OPENHUMANS_ACCESS_TOKEN or OPENHUMANS_MASTER_TOKEN"
                    .into(),
            )),
        }
    }
}
