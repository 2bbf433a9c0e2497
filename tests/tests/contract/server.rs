//! The server under test, and the cleanup after each test.

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

/// Serializes tests against a real server, because they share one member.
static REAL_SERVER: Mutex<()> = Mutex::const_new(());

pub(crate) const ALICE: &str = "01026778";
pub(crate) const BOB: &str = "00169953";

/// The server under test with its clients.
pub(crate) struct TestServer {
    sandbox: Option<Sandbox>,
    pub(crate) client: Client,
    pub(crate) oauth: OAuthClient,
    pub(crate) project: ProjectClient,
    pub(crate) public: PublicClient,
    pub(crate) member: MemberClient,
    pub(crate) id: ProjectMemberId,
    pub(crate) tokens: Tokens,
    master: MasterToken,
    authorize: Option<String>,
}

/// Runs a test against the sandbox or the configured server, and cleans up afterwards.
pub(crate) async fn on_server(test: impl AsyncFnOnce(&TestServer)) {
    let _guard = match std::env::var_os("OH_CONTRACT_BASE_URL") {
        Some(_) => Some(REAL_SERVER.lock().await),
        None => None,
    };
    let server = TestServer::from_env(Arc::new(HttpClient::new().unwrap())).await;
    let before = server.own_files().await;
    let outcome = AssertUnwindSafe(test(&server)).catch_unwind().await;
    server.restore(&before).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a test that needs the sandbox.
pub(crate) async fn in_sandbox(test: impl AsyncFnOnce(&TestServer, &Sandbox)) {
    let server = TestServer::sandbox(Arc::new(HttpClient::new().unwrap())).await;
    test(&server, server.own_sandbox()).await;
}

impl TestServer {
    pub(crate) async fn from_env(transport: Arc<dyn Transport>) -> Self {
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
        let client = Client::with_transport(sandbox.url().as_str(), transport).unwrap();
        let oauth = client
            .oauth(sandbox.client_id(), sandbox.client_secret(), redirect_uri)
            .unwrap();
        let master = MasterToken::new(sandbox.master_token());
        Self::open(Some(sandbox), client, oauth, master, None).await
    }

    async fn real(base_url: &str, transport: Arc<dyn Transport>) -> Self {
        let variable = |name: &str| {
            let name = format!("OH_CONTRACT_{name}");
            std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set"))
        };
        let client = Client::with_transport(base_url, transport).unwrap();
        let oauth = client
            .oauth(
                variable("CLIENT_ID"),
                variable("CLIENT_SECRET"),
                &variable("REDIRECT_URI"),
            )
            .unwrap();
        let master = MasterToken::new(variable("MASTER_TOKEN"));
        let authorize = Some(variable("AUTHORIZE"));
        Self::open(None, client, oauth, master, authorize).await
    }

    async fn open(
        sandbox: Option<Sandbox>,
        client: Client,
        oauth: OAuthClient,
        master: MasterToken,
        authorize: Option<String>,
    ) -> Self {
        let tokens = authorized(sandbox.as_ref(), authorize.as_deref(), &oauth).await;
        let member = client.member(tokens.access_token.clone());
        let id = member.exchange_member().await.unwrap().project_member_id;
        Self {
            project: client.project(master.clone()),
            public: client.public(),
            sandbox,
            client,
            oauth,
            member,
            id,
            tokens,
            master,
            authorize,
        }
    }

    /// Authorizes the project as the member, possibly again.
    pub(crate) async fn authorize(&self) -> Tokens {
        authorized(
            self.sandbox.as_ref(),
            self.authorize.as_deref(),
            &self.oauth,
        )
        .await
    }

    /// The member's client with the master token.
    pub(crate) fn by_master(&self) -> MemberClient {
        self.project.member(&self.id)
    }

    pub(crate) fn master(&self) -> &MasterToken {
        &self.master
    }

    /// The sandbox; panics for a real server.
    pub(crate) fn own_sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("the test needs the sandbox")
    }

    /// Whether other people also use this server.
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
            return;
        }
        let member = self.by_master();
        for id in self.own_files().await.difference(before) {
            member.delete_file(*id).await.unwrap();
        }
        // Fails if the test has already used the refresh token.
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
        (None, None) => unreachable!("a real server needs OH_CONTRACT_AUTHORIZE"),
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

/// Runs the command with the URL as its last argument, and returns the URL that it prints.
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
