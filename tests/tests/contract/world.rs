//! The server the contract is held against, and leaving it as it was found.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::process::Stdio;
use std::sync::Arc;

use futures_util::FutureExt;
use oh_core::api::{Client, DataFileId, MemberClient, OAuthClient, ProjectClient, PublicClient};
use oh_core::store::Tokens;
use oh_core::transport::{HttpClient, Transport};
use oh_core::{AuthorizationCode, MasterToken, ProjectMemberId};
use oh_sandbox::Sandbox;
use tokio::sync::Mutex;
use url::Url;

/// One test at a time against a real server: it has one member for all of them.
static REAL: Mutex<()> = Mutex::const_new(());

pub(crate) const ALICE: &str = "01026778";
pub(crate) const BOB: &str = "00169953";

/// The server, and the project and member the tests are.
pub(crate) struct World {
    sandbox: Option<Sandbox>,
    pub(crate) server: Client,
    pub(crate) oauth: OAuthClient,
    pub(crate) project: ProjectClient,
    pub(crate) public: PublicClient,
    pub(crate) member: MemberClient,
    pub(crate) id: ProjectMemberId,
    pub(crate) tokens: Tokens,
    master: MasterToken,
    authorize: Option<String>,
}

/// Runs a promise against the server, and cleans up whatever comes of it.
pub(crate) async fn promise(test: impl AsyncFnOnce(&World)) {
    let _alone = match std::env::var_os("OH_CONTRACT_BASE_URL") {
        Some(_) => Some(REAL.lock().await),
        None => None,
    };
    let world = World::find(Arc::new(HttpClient::new().unwrap())).await;
    let before = world.own_files().await;
    let outcome = AssertUnwindSafe(test(&world)).catch_unwind().await;
    world.restore(&before).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a test that only the sandbox can play.
pub(crate) async fn in_sandbox(test: impl AsyncFnOnce(&World, &Sandbox)) {
    let world = World::sandbox(Arc::new(HttpClient::new().unwrap())).await;
    test(&world, world.own_sandbox()).await;
}

impl World {
    pub(crate) async fn find(transport: Arc<dyn Transport>) -> Self {
        match std::env::var("OH_CONTRACT_BASE_URL") {
            Ok(base_url) => Self::real(&base_url, transport).await,
            Err(_) => Self::sandbox(transport).await,
        }
    }

    pub(crate) async fn sandbox(transport: Arc<dyn Transport>) -> Self {
        let redirect_uri = "http://localhost:8000/openhumans/complete";
        let sandbox = Sandbox::builder()
            .redirect_uri(redirect_uri)
            .member(ALICE, Some("alice"))
            .member(BOB, Some("bob"))
            .start()
            .await
            .unwrap();
        let server = Client::with_transport(sandbox.url().as_str(), transport).unwrap();
        let oauth = server
            .oauth(sandbox.client_id(), sandbox.client_secret(), redirect_uri)
            .unwrap();
        let master = MasterToken::new(sandbox.master_token());
        Self::open(Some(sandbox), server, oauth, master, None).await
    }

    async fn real(base_url: &str, transport: Arc<dyn Transport>) -> Self {
        let variable = |name: &str| {
            let name = format!("OH_CONTRACT_{name}");
            std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set"))
        };
        let server = Client::with_transport(base_url, transport).unwrap();
        let oauth = server
            .oauth(
                variable("CLIENT_ID"),
                variable("CLIENT_SECRET"),
                &variable("REDIRECT_URI"),
            )
            .unwrap();
        let master = MasterToken::new(variable("MASTER_TOKEN"));
        let authorize = Some(variable("AUTHORIZE"));
        Self::open(None, server, oauth, master, authorize).await
    }

    async fn open(
        sandbox: Option<Sandbox>,
        server: Client,
        oauth: OAuthClient,
        master: MasterToken,
        authorize: Option<String>,
    ) -> Self {
        let tokens = authorized(sandbox.as_ref(), authorize.as_deref(), &oauth).await;
        let member = server.member(tokens.access_token.clone());
        let id = member.exchange_member().await.unwrap().project_member_id;
        Self {
            project: server.project(master.clone()),
            public: server.public(),
            sandbox,
            server,
            oauth,
            member,
            id,
            tokens,
            master,
            authorize,
        }
    }

    /// Has the member authorize the project (again).
    pub(crate) async fn authorize(&self) -> Tokens {
        authorized(
            self.sandbox.as_ref(),
            self.authorize.as_deref(),
            &self.oauth,
        )
        .await
    }

    /// The member, with the master token acting for them.
    pub(crate) fn by_master(&self) -> MemberClient {
        self.project.member(&self.id)
    }

    pub(crate) fn master(&self) -> &MasterToken {
        &self.master
    }

    /// The sandbox, where that is what the world is.
    pub(crate) fn own_sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("this is a real server")
    }

    /// Whether this is a server that other people use, too.
    pub(crate) fn is_real(&self) -> bool {
        self.sandbox.is_none()
    }

    /// The ids of the project's own files of the member.
    pub(crate) async fn own_files(&self) -> BTreeSet<DataFileId> {
        let member = self.by_master();
        let shared = member.exchange_member().await.unwrap().sources_shared;
        let mut files = member.files();
        let mut own = BTreeSet::new();
        while let Some(file) = files.try_next().await.unwrap() {
            if !file.source.is_some_and(|source| shared.contains(&source)) {
                own.insert(file.id);
            }
        }
        own
    }

    async fn restore(&self, before: &BTreeSet<DataFileId>) {
        if self.sandbox.is_some() {
            // It ends with the test.
            return;
        }
        let member = self.by_master();
        for id in self.own_files().await.difference(before) {
            member.delete_file(*id).await.unwrap();
        }
        // Refused where the test has used it up; then there is nothing to revoke.
        let _ = self.oauth.revoke(&self.tokens.refresh_token).await;
    }
}

async fn authorized(
    sandbox: Option<&Sandbox>,
    command: Option<&str>,
    oauth: &OAuthClient,
) -> Tokens {
    let authorization = oauth.authorization();
    let back = match (sandbox, command) {
        (Some(sandbox), _) => sandbox.authorize(ALICE, authorization.url()).await.unwrap(),
        (None, Some(command)) => by_command(command, authorization.url()).await,
        (None, None) => unreachable!("a real server comes with a command"),
    };
    let in_query = |name: &str| {
        let mut pairs = back.query_pairs();
        let value = pairs.find(|(key, _)| key == name);
        value.map(|(_, value)| value.into_owned())
    };
    assert_eq!(in_query("state").as_deref(), Some(authorization.state()));
    let code = in_query("code").expect("the authorization came back without a code");
    let code = AuthorizationCode::new(code);
    oauth
        .exchange(&code, authorization.verifier())
        .await
        .unwrap()
        .tokens
}

/// Runs the command with the address as its last argument, and reads the address it prints.
async fn by_command(command: &str, url: &Url) -> Url {
    let output = tokio::process::Command::new("sh")
        .args([
            "-c",
            &format!("{command} \"$1\""),
            "authorize",
            url.as_str(),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "OH_CONTRACT_AUTHORIZE failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let address = text.lines().rev().find(|line| !line.trim().is_empty());
    Url::parse(
        address
            .expect("OH_CONTRACT_AUTHORIZE printed nothing")
            .trim(),
    )
    .unwrap()
}
