//! Lists that request their pages as they are read.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use crate::Error;
use crate::rest::call::Call;
use crate::rest::client::{Auth, Client};
use crate::rest::response::{ApiResponse, excerpt, shorten};
use crate::types::record::{bounded_list, lenient};

/// A list that requests its pages on demand.
///
/// It is a [`Stream`] of `Result<T, Error>`; [`try_next`](Self::try_next) reads it without a stream
/// library. A page that fails is requested again according to the
/// [`RetryPolicy`](crate::RetryPolicy). A final error is the last item.
///
/// The order of Open Humans' lists is not stable between pages. While members or files are added or
/// removed, an item can appear twice or be missing. If that matters, read the list again or request
/// the single item.
///
/// ```no_run
/// # async fn example(member: oh_api::MemberClient) -> Result<(), oh_api::Error> {
/// let mut files = member.files();
/// while let Some(file) = files.try_next().await? {
///     println!("{} {}", file.id, file.basename);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a list requests nothing until it is read"]
pub struct List<T> {
    /// `None` if all items are known.
    source: Option<PageSource>,
    fetching: Option<BoxFuture<'static, Result<Page, Error>>>,
    parse: Parse<T>,
    filter: Option<Filter<T>>,
    /// Items that were known without a request.
    known: std::vec::IntoIter<T>,
    page: std::vec::IntoIter<Bytes>,
    next: Option<Position>,
    total: Option<u64>,
}

type Parse<T> = fn(&[u8]) -> Result<T, serde_json::Error>;
type Filter<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// Where pages come from.
#[derive(Clone)]
struct PageSource {
    client: Client,
    auth: Auth,
    call: Call,
}

/// The position and length of a page. `None` leaves the choice to the server.
#[derive(Clone, Copy, Default)]
struct Position {
    limit: Option<u64>,
    offset: Option<u64>,
}

/// A page whose items are parsed one by one as they are read.
struct Page {
    items: Vec<Bytes>,
    total: Option<u64>,
    next: Option<Position>,
}

impl<T: DeserializeOwned> List<T> {
    pub(crate) fn new(client: &Client, auth: &Auth, call: Call) -> Self {
        Self::with_parser(client, auth, call, |item| serde_json::from_slice(item))
    }

    /// Creates a list of known items.
    pub(crate) fn of(items: Vec<T>) -> Self {
        Self {
            source: None,
            fetching: None,
            parse: |item| serde_json::from_slice(item),
            filter: None,
            total: u64::try_from(items.len()).ok(),
            known: items.into_iter(),
            page: Vec::new().into_iter(),
            next: None,
        }
    }
}

impl<T> List<T> {
    pub(crate) fn with_parser(client: &Client, auth: &Auth, call: Call, parse: Parse<T>) -> Self {
        Self {
            source: Some(PageSource {
                client: client.clone(),
                auth: auth.clone(),
                call,
            }),
            fetching: None,
            parse,
            filter: None,
            known: Vec::new().into_iter(),
            page: Vec::new().into_iter(),
            next: Some(Position::default()),
            total: None,
        }
    }

    /// Removes items that a server returns because it ignores a filter.
    pub(crate) fn only(mut self, filter: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// Starts at item number `items`, counted from 0. Call it before reading.
    pub fn offset(mut self, items: u64) -> Self {
        if let Some(next) = &mut self.next {
            next.offset = Some(items);
        }
        self
    }

    /// Sets the number of items per request; by default the server's choice, 100. Call it before
    /// reading.
    pub fn page_size(mut self, items: u32) -> Self {
        if let Some(next) = &mut self.next {
            next.limit = Some(u64::from(items.max(1)));
        }
        self
    }

    /// Returns the total number of items according to the last page; `None` before the first page,
    /// or if the server does not state it. Items that were filtered by this library are included.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

impl<T: Send + 'static> List<T> {
    /// Returns the next item, or `None` at the end.
    ///
    /// # Errors
    ///
    /// If a page cannot be read; [`Error::ForeignLink`] if the link to the next page names another
    /// host.
    pub async fn try_next(&mut self) -> Result<Option<T>, Error> {
        self.next().await.transpose()
    }

    /// Reads the list to its end.
    #[cfg(feature = "bulk")]
    pub(crate) async fn read_all(mut self) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        while let Some(item) = self.try_next().await? {
            items.push(item);
        }
        Ok(items)
    }
}

impl<T> Unpin for List<T> {}

impl<T: Send + 'static> Stream for List<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let list = &mut *self;
        loop {
            if let Some(item) = list.known.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            if let Some(item) = list.page.next() {
                let parsed = (list.parse)(&item)
                    .map_err(|_| Error::unexpected(StatusCode::OK, excerpt(&item)));
                match (&parsed, &list.filter) {
                    (Err(_), _) => {
                        list.page = Vec::new().into_iter();
                        list.next = None;
                    }
                    (Ok(item), Some(filter)) if !filter(item) => continue,
                    _ => {}
                }
                return Poll::Ready(Some(parsed));
            }
            // Frees the text of this page before the next request.
            list.page = Vec::new().into_iter();
            let (Some(position), Some(source)) = (list.next, &list.source) else {
                return Poll::Ready(None);
            };
            let fetching = list
                .fetching
                .get_or_insert_with(|| source.clone().fetch(position).boxed());
            let fetched = ready!(fetching.as_mut().poll(cx));
            list.fetching = None;
            match fetched {
                Ok(page) => {
                    list.page = page.items.into_iter();
                    list.next = page.next;
                    list.total = page.total.or(list.total);
                }
                Err(error) => {
                    list.next = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

/// The unparsed items of a page.
struct Items<'a>(Vec<&'a RawValue>);

/// The largest number of items of a page.
const MAX_ITEMS: usize = 100_000;

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded_list::<_, _, MAX_ITEMS>(deserializer).map(Self)
    }
}

/// A page. `exchange-member` names its items `data`, every other list `results`.
#[derive(Deserialize)]
struct PageBody<'a> {
    #[serde(default, deserialize_with = "lenient")]
    count: Option<u64>,
    next: Option<String>,
    #[serde(borrow, alias = "data")]
    results: Items<'a>,
}

impl PageSource {
    async fn fetch(self, position: Position) -> Result<Page, Error> {
        let mut call = self.call;
        if let Some(limit) = position.limit {
            call = call.query("limit", limit.to_string());
        }
        if let Some(offset) = position.offset {
            call = call.query("offset", offset.to_string());
        }
        let response = self.client.ask(&self.auth, &call).await;
        let response: ApiResponse = response.map_err(Error::or_deauthorized)?;
        let page: PageBody<'_> = response.json()?;
        let items = page.results.0.iter();
        let items = items.map(|item| response.body.slice_ref(item.get().as_bytes()));
        Ok(Page {
            items: items.collect(),
            total: page.count,
            next: match page.next {
                Some(link) => Some(follow(&self.client, &link, position)?),
                None => None,
            },
        })
    }
}

/// Returns the position that a `next` link names. Only its `limit` and `offset` are used; the next
/// request goes to the configured server with this call's own token.
fn follow(client: &Client, link: &str, from: Position) -> Result<Position, Error> {
    let unexpected = |excerpt: &str| Error::unexpected(StatusCode::OK, excerpt);
    let base = client.base();
    let url = base
        .join(link)
        .map_err(|_| unexpected("the link to the next page is not a URL"))?;
    if !same_host(base, &url) {
        return Err(Error::ForeignLink {
            host: shorten(url.host_str().unwrap_or_default()),
        });
    }
    let number = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs.find(|(key, _)| key == name)?.1.parse::<u64>().ok()
    };
    let offset = number("offset").filter(|offset| *offset > from.offset.unwrap_or(0));
    let offset = offset.ok_or_else(|| unexpected("the link to the next page does not advance"))?;
    Ok(Position {
        limit: number("limit").or(from.limit),
        offset: Some(offset),
    })
}

/// Compares host and port. A server behind a proxy may write http instead of https.
fn same_host(base: &Url, url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.host() == base.host()
        && (url.port() == base.port()
            || url.port_or_known_default() == base.port_or_known_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;
    use serde_json::Value;

    fn page(items: &[u32], next: Option<&str>) -> String {
        serde_json::json!({"count": 5, "next": next, "previous": null, "results": items})
            .to_string()
    }

    fn list(mock: &Arc<MockTransport>) -> List<u32> {
        let call = Call::get("numbers", "/numbers/").query("kind", "odd");
        List::new(&mock.client(), &Auth::Anonymous, call)
    }

    #[tokio::test]
    async fn list_requests_next_page_when_current_is_read() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            page(
                &[1, 2],
                Some("http://oh.example/numbers/?limit=2&offset=2&access_token=secret"),
            ),
        );
        let mut list = list(&mock).page_size(2);
        assert_eq!(list.try_next().await.unwrap(), Some(1));
        assert_eq!(list.total(), Some(5));
        assert_eq!(list.try_next().await.unwrap(), Some(2));
        assert_eq!(mock.requests().len(), 1);

        mock.respond(200, page(&[3, 4], Some("/numbers/?limit=2&offset=4")))
            .respond(200, page(&[5], None));
        let rest: Vec<u32> = list.map(|item| item.unwrap()).collect().await;
        assert_eq!(rest, [3, 4, 5]);
        let requests: Vec<_> = mock
            .requests()
            .iter()
            .map(|r| r.uri().to_string())
            .collect();
        assert_eq!(
            requests,
            [
                "https://oh.example/numbers/?kind=odd&limit=2&offset=2",
                "https://oh.example/numbers/?kind=odd&limit=2&offset=4"
            ]
        );
    }

    #[tokio::test]
    async fn list_rejects_link_to_another_host() {
        for link in [
            "https://evil.example/numbers/?offset=2",
            "//evil.example/?offset=2",
            "https://oh.example:8443/?offset=2",
            "file:///numbers?offset=2",
        ] {
            let mock = MockTransport::new();
            mock.respond(200, page(&[1], Some(link)));
            let error = list(&mock).try_next().await.unwrap_err();
            assert!(matches!(error, Error::ForeignLink { .. }), "{link}");
        }
    }

    #[tokio::test]
    async fn foreign_link_error_is_short_without_token() {
        let token = "aXBfKym8W1M4fjUMXoy38iHzMEZdWS";
        for host in [token.to_owned(), "x.".repeat(5_000)] {
            let mock = MockTransport::new();
            // The url crate does not normalize hosts of unknown schemes.
            let link = format!("ftpx://{host}/?offset=2");
            mock.respond(200, page(&[1], Some(&link)));
            let error = list(&mock).try_next().await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.len() < 1_000, "{} bytes", shown.len());
            assert!(!shown.contains(token), "{shown}");
        }
    }

    #[tokio::test]
    async fn list_rejects_link_that_does_not_advance() {
        let mock = MockTransport::new();
        mock.respond(200, page(&[1], Some("/numbers/?limit=1&offset=1")))
            .respond(200, page(&[1], Some("/numbers/?limit=1&offset=1")));
        let mut list = list(&mock);
        assert_eq!(list.try_next().await.unwrap(), Some(1));
        let error = list.try_next().await.unwrap_err();
        assert!(matches!(error, Error::UnexpectedResponse { .. }));
    }

    #[tokio::test]
    async fn list_ends_after_error() {
        let mock = MockTransport::new();
        mock.respond(404, "");
        let items: Vec<_> = list(&mock).collect().await;
        assert!(matches!(items.as_slice(), [Err(Error::NotFound)]));
    }

    #[tokio::test]
    async fn list_filters_items() {
        let mock = MockTransport::new();
        mock.respond(200, page(&[1, 2], Some("/numbers/?limit=2&offset=2")))
            .respond(200, page(&[4, 5], None));
        let mut list = list(&mock).only(|number| number % 2 == 1);
        assert_eq!(list.try_next().await.unwrap(), Some(1));
        let rest: Vec<u32> = list.map(|item| item.unwrap()).collect().await;
        assert_eq!(rest, [5]);
    }

    #[tokio::test]
    async fn list_ignores_absurd_count() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            r#"{"count": 18446744073709551615, "next": null, "results": [7]}"#,
        );
        let call = Call::get("numbers", "/numbers/");
        let list: List<Value> = List::new(&mock.client(), &Auth::Anonymous, call);
        let all: Vec<_> = list.collect().await;
        assert_eq!(all.len(), 1);
    }
}
