//! One member, as the project sees it.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::rest::call::Call;
use crate::rest::client::{Auth, Client};
use crate::rest::list::{self, List};
use crate::rest::response::ApiResponse;
use crate::rest::token_source::{FixedToken, TokenSource};
use crate::types::data_file::DataFile;
use crate::types::member_id::OnlyId;
use crate::types::record::{Raw, at_most, deserialize_with_raw, lenient};
use crate::{AccessToken, Error, ProjectMemberId, Timestamp};

/// One member's data and account in this project.
///
/// From [`Client::member`] with an access token, from `OpenHumans::member_client` with one that is
/// kept alive, or from `ProjectClient::member` with the project's master token.
#[derive(Clone)]
pub struct MemberClient {
    pub(crate) server: Client,
    pub(crate) auth: Auth,
    /// Whom a master token acts for.
    pub(crate) on_behalf_of: Option<ProjectMemberId>,
}

/// So many sources of a member are read.
const MAX_LIST: usize = 1_000;

/// So many files in one page are read.
const MAX_FILES: usize = 10_000;

/// What `exchange-member` answers: who the member is, and a first page of files.
///
/// Source: "OAuth2 Project API", section "Exchange member".
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct ExchangeMember {
    /// The member's id in this project.
    pub project_member_id: ProjectMemberId,
    /// The username, if the member shares it.
    #[serde(default)]
    pub username: Option<String>,
    /// When the member joined the project.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// The sources the member shares with the project, such as `direct-sharing-1`.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    pub sources_shared: Vec<String>,
    /// How many files there are in all, the project's own included.
    #[serde(default, deserialize_with = "lenient")]
    pub count: Option<u64>,
    /// The first page of them.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_FILES>")]
    pub data: Vec<DataFile>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(ExchangeMember);

impl Client {
    /// The member this access token belongs to, for as long as the token lives.
    pub fn member(&self, token: impl Into<AccessToken>) -> MemberClient {
        self.member_with(Arc::new(FixedToken(token.into())))
    }

    /// A member whose token someone keeps alive.
    pub fn member_with(&self, source: Arc<dyn TokenSource>) -> MemberClient {
        MemberClient::new(self.clone(), Auth::Member(source), None)
    }
}

impl MemberClient {
    pub(crate) fn new(server: Client, auth: Auth, on_behalf_of: Option<ProjectMemberId>) -> Self {
        Self {
            server,
            auth,
            on_behalf_of,
        }
    }

    /// Asks who the member is, what is shared, and for the first page of files.
    ///
    /// With a master token Open Humans answers for members who have left, too, files included:
    /// only the member's own token proves that the member is still there.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] when the token is not known, as after the member has left;
    /// [`Error::Deauthorized`] when a master token asks for someone who was never a member.
    pub async fn exchange_member(&self) -> Result<ExchangeMember, Error> {
        let answer = self.ask(&self.exchange_call()).await?;
        answer.json()
    }

    /// As [`exchange_member`](Self::exchange_member), with `limit` files from number `offset` on,
    /// counted from 0. Open Humans answers 100 files where it is not told, and has no upper limit.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn exchange_member_page(
        &self,
        limit: u32,
        offset: u64,
    ) -> Result<ExchangeMember, Error> {
        let call = self
            .exchange_call()
            .query("limit", limit.max(1).to_string());
        let call = call.query("offset", offset.to_string());
        self.ask(&call).await?.json()
    }

    /// Asks only who the member is, with as little of the files as Open Humans can be asked for.
    ///
    /// # Errors
    ///
    /// As [`exchange_member`](Self::exchange_member).
    pub async fn project_member_id(&self) -> Result<ProjectMemberId, Error> {
        let call = self.exchange_call().query("limit", "1");
        let only: OnlyId = self.ask(&call).await?.json()?;
        Ok(only.project_member_id)
    }

    /// All files the project can see: those the member shares, and the project's own.
    pub fn files(&self) -> List<DataFile> {
        let call = self.exchange_call();
        list::pages(
            &self.server,
            &self.auth,
            call,
            not_a_member,
            list::data_page,
            |item| serde_json::from_slice(item),
        )
    }

    fn exchange_call(&self) -> Call {
        let call = Call::page(
            "exchange-member",
            "/api/direct-sharing/project/exchange-member/",
        );
        match &self.on_behalf_of {
            Some(member) => call.query("project_member_id", member.as_str()),
            None => call,
        }
    }

    /// Asks as this member. The refusals that mean "not a member" become one error.
    pub(crate) async fn ask(&self, call: &Call) -> Result<ApiResponse, Error> {
        self.server
            .ask(&self.auth, call)
            .await
            .map_err(not_a_member)
    }
}

/// Open Humans says of someone who is not an active member that the id is not valid.
pub(crate) fn not_a_member(error: Error) -> Error {
    let named = error
        .field("project_member_id")
        .is_some_and(|problem| problem == "project_member_id is invalid");
    if named { Error::Deauthorized } else { error }
}

impl fmt::Debug for MemberClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberClient")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use http::header;

    use super::*;
    use crate::AccessToken;
    use crate::test_support::MockTransport;
    use crate::{RetryPolicy, TokenSource};

    const ALICE: &str = r#"{"count":0,"next":null,"previous":null,
        "created":"2026-11-22T16:08:31.833883Z","project_member_id":"01026778",
        "sources_shared":["direct-sharing-1"],"username":"alice","data":[]}"#;

    #[tokio::test]
    async fn asks_with_the_token_in_the_header() {
        let mock = MockTransport::new();
        mock.respond(200, ALICE);
        let who = mock
            .client()
            .member("token")
            .exchange_member()
            .await
            .unwrap();
        assert_eq!(who.project_member_id.as_str(), "01026778");
        assert_eq!(who.username.as_deref(), Some("alice"));
        let requests = mock.requests().remove(0);
        assert_eq!(requests.headers()[header::AUTHORIZATION], "Bearer token");
        assert_eq!(requests.headers()[header::ACCEPT], "application/json");
        assert_eq!(
            requests.uri(),
            "https://oh.example/api/direct-sharing/project/exchange-member/"
        );
    }

    #[tokio::test]
    async fn a_fixed_token_that_is_refused_stays_refused() {
        let mock = MockTransport::new();
        mock.respond(401, r#"{"detail":"Invalid token."}"#)
            .respond(401, r#"{"detail":"Expired token."}"#);
        let member = mock.client().member("token");
        let invalid = member.exchange_member().await.unwrap_err();
        assert!(matches!(invalid, Error::Unauthorized { .. }));
        let expired = member.exchange_member().await.unwrap_err();
        assert!(matches!(expired, Error::Expired));
    }

    struct Renewing;

    #[async_trait]
    impl TokenSource for Renewing {
        async fn access_token(&self) -> Result<AccessToken, Error> {
            Ok("old".into())
        }

        async fn refreshed(&self, stale: &AccessToken) -> Result<Option<AccessToken>, Error> {
            assert_eq!(stale.expose(), "old");
            Ok(Some("new".into()))
        }
    }

    #[tokio::test]
    async fn a_live_token_is_renewed_once() {
        let mock = MockTransport::new();
        let expired = r#"{"detail":"Expired token."}"#;
        mock.respond(401, expired).respond(200, ALICE);
        let member = mock.client().member_with(Arc::new(Renewing));
        member.exchange_member().await.unwrap();
        let tokens: Vec<_> = mock
            .requests()
            .iter()
            .map(|r| r.headers()[header::AUTHORIZATION].clone())
            .collect();
        assert_eq!(tokens, ["Bearer old", "Bearer new"]);

        mock.respond(401, expired).respond(401, expired);
        let error = member.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_is_asked_again() {
        let mock = MockTransport::new();
        mock.respond(500, "<html>")
            .respond(502, "")
            .respond(200, ALICE);
        mock.client().member("t").exchange_member().await.unwrap();
        mock.respond(500, "<html>");
        let once = mock.client().retries(RetryPolicy::none()).member("t");
        assert!(matches!(
            once.exchange_member().await,
            Err(Error::Server { .. })
        ));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_one_is_quoted_without_secrets() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            r#"{"next":"/?access_token=aXBfKym8W1M4fjUMXoy38iHzMEZdWS","#,
        );
        let error = mock
            .client()
            .member("t")
            .exchange_member()
            .await
            .unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(matches!(error, Error::UnexpectedResponse { .. }), "{text}");
        assert!(!text.contains("aXBfKym8W1M4"), "{text}");
    }
}
