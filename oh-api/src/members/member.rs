//! The client for one member.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::rest::call::Call;
use crate::rest::client::{Auth, Client};
use crate::rest::list::List;
use crate::rest::response::ApiResponse;
use crate::rest::token_source::{FixedToken, TokenSource};
use crate::types::data_file::DataFile;
use crate::types::member_id::OnlyId;
use crate::types::record::{Raw, bounded_list, deserialize_with_raw, lenient};
use crate::{AccessToken, Error, ProjectMemberId, Timestamp};

/// A client for one member's data and membership.
///
/// [`Client::member`] creates one with an access token, `oh-core`'s `OpenHumans::member_client` with a
/// token that is refreshed, and [`ProjectClient::member`](crate::ProjectClient::member) with the
/// project's master token.
#[derive(Clone)]
pub struct MemberClient {
    pub(crate) server: Client,
    pub(crate) auth: Auth,
    /// The member that a master token acts for.
    pub(crate) on_behalf_of: Option<ProjectMemberId>,
}

/// The largest number of sources of a member.
const MAX_LIST: usize = 1_000;

/// The largest number of files in one page.
const MAX_FILES: usize = 10_000;

/// The response of `exchange-member`: the member, and one page of files.
///
/// Source: "OAuth2 Project API", section "Exchange member".
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct ExchangeMember {
    /// The member's id in this project.
    pub project_member_id: ProjectMemberId,
    /// The username, if the member shares it with the project.
    pub username: Option<String>,
    /// When the member joined the project.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// The sources the member shares with the project, such as `direct-sharing-1`.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_LIST>")]
    pub sources_shared: Vec<String>,
    /// The total number of files, including the project's own.
    #[serde(default, deserialize_with = "lenient")]
    pub count: Option<u64>,
    /// One page of the files.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_FILES>")]
    pub data: Vec<DataFile>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(ExchangeMember);

impl Client {
    /// Creates a client for the member that an access token belongs to. The token is not refreshed.
    pub fn member(&self, token: impl Into<AccessToken>) -> MemberClient {
        self.member_with(Arc::new(FixedToken(token.into())))
    }

    /// Creates a client for a member whose token comes from a [`TokenSource`].
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

    /// Returns the member's id, shared sources and the first page of files.
    ///
    /// With a master token, Open Humans also returns members who have left, including their files.
    /// Only the member's own token proves that the member is still in the project.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] if the token is unknown, for example because the member has left;
    /// [`Error::Deauthorized`] if a master token asks for someone who was never a member.
    pub async fn exchange_member(&self) -> Result<ExchangeMember, Error> {
        self.ask(&self.exchange_call()).await?.json()
    }

    /// Returns the member with a page of up to `limit` files, starting at number `offset`, counted
    /// from 0. The server's default page has 100 files; there is no upper limit.
    ///
    /// # Errors
    ///
    /// As for [`exchange_member`](Self::exchange_member).
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

    /// Returns only the member's id, with the smallest possible response.
    ///
    /// # Errors
    ///
    /// As for [`exchange_member`](Self::exchange_member).
    pub async fn project_member_id(&self) -> Result<ProjectMemberId, Error> {
        let call = self.exchange_call().query("limit", "1");
        let only: OnlyId = self.ask(&call).await?.json()?;
        Ok(only.project_member_id)
    }

    /// Lists all files that the project can see: the shared ones and the project's own.
    pub fn files(&self) -> List<DataFile> {
        List::new(&self.server, &self.auth, self.exchange_call())
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

    /// Makes a call as this member.
    pub(crate) async fn ask(&self, call: &Call) -> Result<ApiResponse, Error> {
        let response = self.server.ask(&self.auth, call).await;
        response.map_err(Error::or_deauthorized)
    }

    /// Returns the member with all files instead of a page.
    #[cfg(feature = "bulk")]
    pub(crate) async fn with_all_files(&self) -> Result<ExchangeMember, Error> {
        let mut member = self.exchange_member().await?;
        let read = member.data.len() as u64;
        if member.count.is_none_or(|count| count > read) {
            member
                .data
                .extend(self.files().offset(read).read_all().await?);
        }
        Ok(member)
    }
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
    async fn member_client_sends_token_in_header() {
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
        let request = mock.requests().remove(0);
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer token");
        assert_eq!(request.headers()[header::ACCEPT], "application/json");
        assert_eq!(
            request.uri(),
            "https://oh.example/api/direct-sharing/project/exchange-member/"
        );
    }

    #[tokio::test]
    async fn fixed_token_is_not_refreshed() {
        let mock = MockTransport::new();
        mock.respond(401, r#"{"detail":"Invalid token."}"#)
            .respond(401, r#"{"detail":"Expired token."}"#);
        let member = mock.client().member("token");
        let invalid = member.exchange_member().await.unwrap_err();
        assert!(matches!(invalid, Error::Unauthorized { .. }));
        let expired = member.exchange_member().await.unwrap_err();
        assert!(matches!(expired, Error::Expired));
    }

    struct RefreshingSource;

    #[async_trait]
    impl TokenSource for RefreshingSource {
        async fn access_token(&self) -> Result<AccessToken, Error> {
            Ok("old".into())
        }

        async fn refreshed(&self, stale: &AccessToken) -> Result<Option<AccessToken>, Error> {
            assert_eq!(stale.expose(), "old");
            Ok(Some("new".into()))
        }
    }

    #[tokio::test]
    async fn rejected_token_is_refreshed_once() {
        let mock = MockTransport::new();
        let expired = r#"{"detail":"Expired token."}"#;
        mock.respond(401, expired).respond(200, ALICE);
        let member = mock.client().member_with(Arc::new(RefreshingSource));
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
    async fn failed_call_is_retried() {
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
    async fn unexpected_response_is_quoted_without_secrets() {
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
