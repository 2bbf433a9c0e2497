//! Lists that fetch their pages as they are read.

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
use crate::types::record::{at_most, lenient};

/// Items from as many pages as it takes, each page fetched when the one before is used up.
///
/// A [`Stream`] of `Result<T, Error>`; [`try_next`](Self::try_next) reads it without a stream
/// library. A page that fails is asked for again as [`RetryPolicy`](crate::RetryPolicy) says; after that the
/// error is the last item.
///
/// Open Humans' lists have no order that holds between pages. While members or files come and go
/// an item can appear twice or be missed; whoever must be sure reads again, or asks for the one
/// item.
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
#[must_use = "a list fetches nothing until it is read"]
pub struct List<T> {
    fetch: Arc<dyn Fn(Position) -> Transfer + Send + Sync>,
    fetching: Option<Transfer>,
    parse: fn(&[u8]) -> Result<T, serde_json::Error>,
    keep: Option<Keep<T>>,
    /// Items that need no page.
    ready: std::vec::IntoIter<T>,
    page: std::vec::IntoIter<Bytes>,
    next: Option<Position>,
    total: Option<u64>,
    read: u64,
}

type Transfer = BoxFuture<'static, Result<Page, Error>>;

/// Whether an item is one that was asked for.
type Keep<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// Where a page begins, and how long it is. The server's own choice where it is `None`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Position {
    limit: Option<u64>,
    offset: Option<u64>,
}

/// A page whose items are still text, each parsed when its turn comes.
struct Page {
    items: Vec<Bytes>,
    total: Option<u64>,
    next: Option<Position>,
}

impl<T: Send + 'static> List<T> {
    fn new<Fetch>(parse: fn(&[u8]) -> Result<T, serde_json::Error>, fetch: Fetch) -> Self
    where
        Fetch: Fn(Position) -> Transfer + Send + Sync + 'static,
    {
        Self {
            fetch: Arc::new(fetch),
            fetching: None,
            parse,
            keep: None,
            ready: Vec::new().into_iter(),
            page: Vec::new().into_iter(),
            next: Some(Position::default()),
            total: None,
            read: 0,
        }
    }

    /// A list of what is here already.
    pub(crate) fn of(items: Vec<T>) -> Self
    where
        T: DeserializeOwned,
    {
        let total = u64::try_from(items.len()).ok();
        let nothing = |_| async { unreachable!("there is no page to fetch") }.boxed();
        Self {
            ready: items.into_iter(),
            next: None,
            total,
            ..Self::new(|item| serde_json::from_slice(item), nothing)
        }
    }

    /// Leaves out what a server that ignores filters gives all the same.
    pub(crate) fn only(mut self, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.keep = Some(Arc::new(keep));
        self
    }

    /// Begins with item number `items`, counted from 0. Set before reading.
    pub fn offset(mut self, items: u64) -> Self {
        if let Some(next) = &mut self.next {
            next.offset = Some(items);
        }
        self
    }

    /// How many items to ask for at a time; the server's choice, 100, unless set before reading.
    pub fn page_size(mut self, items: u32) -> Self {
        if let Some(next) = &mut self.next {
            next.limit = Some(u64::from(items.max(1)));
        }
        self
    }

    /// How many items there are, as of the last page; `None` before the first, or where the
    /// server does not say. Where a filter was asked for that the server ignores, it counts more than
    /// the list gives.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next item, or `None` after the last.
    ///
    /// # Errors
    ///
    /// When a page cannot be fetched; [`Error::ForeignLink`] when the next page would be on
    /// another host.
    pub async fn try_next(&mut self) -> Result<Option<T>, Error> {
        self.next().await.transpose()
    }
}

impl<T> Unpin for List<T> {}

impl<T: Send + 'static> Stream for List<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let list = &mut *self;
        loop {
            if let Some(item) = list.ready.next() {
                list.read += 1;
                return Poll::Ready(Some(Ok(item)));
            }
            if let Some(item) = list.page.next() {
                list.read += 1;
                let parsed = (list.parse)(&item).map_err(|_| Error::UnexpectedResponse {
                    status: StatusCode::OK,
                    excerpt: excerpt(&item),
                });
                match (&parsed, &list.keep) {
                    (Err(_), _) => {
                        list.page = Vec::new().into_iter();
                        list.next = None;
                    }
                    (Ok(item), Some(keep)) if !keep(item) => continue,
                    _ => {}
                }
                return Poll::Ready(Some(parsed));
            }
            // The page is used up: its text can go before the next one comes.
            list.page = Vec::new().into_iter();
            let Some(position) = list.next else {
                return Poll::Ready(None);
            };
            let fetch = &list.fetch;
            let fetching = list.fetching.get_or_insert_with(|| fetch(position));
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

    /// At least what is here; at most what the server's count leaves, once there is a count.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let here = self.ready.len() + self.page.len();
        let sure = if self.keep.is_some() { 0 } else { here };
        if self.next.is_none() {
            return (sure, Some(here));
        }
        let left = self.total.map(|total| total.saturating_sub(self.read));
        let upper = left.and_then(|left| usize::try_from(left).ok());
        (sure, upper.map(|upper| upper.max(here)))
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("read", &self.read)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

/// The items of a page as they are in its text.
struct Items<'a>(Vec<&'a RawValue>);

/// So many items of a page are taken.
const MAX_ITEMS: usize = 100_000;

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        at_most::<_, _, MAX_ITEMS>(deserializer).map(Self)
    }
}

impl Items<'_> {
    fn of(&self, answer: &ApiResponse) -> Vec<Bytes> {
        let items = self.0.iter();
        items
            .map(|item| answer.body.slice_ref(item.get().as_bytes()))
            .collect()
    }
}

/// A page of the form most lists have.
pub(crate) fn results_page(answer: &ApiResponse) -> Result<Parsed, Error> {
    #[derive(Deserialize)]
    struct Results<'a> {
        #[serde(default, deserialize_with = "lenient")]
        count: Option<u64>,
        #[serde(default)]
        next: Option<String>,
        #[serde(borrow)]
        results: Items<'a>,
    }
    let page: Results<'_> = answer.json()?;
    Ok((page.results.of(answer), page.count, page.next))
}

/// A page of the form that `exchange-member` has.
pub(crate) fn data_page(answer: &ApiResponse) -> Result<Parsed, Error> {
    #[derive(Deserialize)]
    struct Exchanged<'a> {
        #[serde(default, deserialize_with = "lenient")]
        count: Option<u64>,
        #[serde(default)]
        next: Option<String>,
        #[serde(borrow)]
        data: Items<'a>,
    }
    let page: Exchanged<'_> = answer.json()?;
    Ok((page.data.of(answer), page.count, page.next))
}

/// A list whose pages hold `results`.
pub(crate) fn results<T>(server: &Client, auth: &Auth, call: Call) -> List<T>
where
    T: DeserializeOwned + Send + 'static,
{
    pages(
        server,
        auth,
        call,
        |error| error,
        results_page,
        |item| serde_json::from_slice(item),
    )
}

/// The items of a page, how many there are in all, and the address of the next page.
pub(crate) type Parsed = (Vec<Bytes>, Option<u64>, Option<String>);

/// A list whose pages `split` takes apart, whose items `parse` reads, and whose errors `explain`
/// may put better.
pub(crate) fn pages<T: Send + 'static>(
    server: &Client,
    auth: &Auth,
    call: Call,
    explain: fn(Error) -> Error,
    split: fn(&ApiResponse) -> Result<Parsed, Error>,
    parse: fn(&[u8]) -> Result<T, serde_json::Error>,
) -> List<T> {
    let (server, auth) = (server.clone(), auth.clone());
    List::new(parse, move |position| {
        let (server, auth, mut call) = (server.clone(), auth.clone(), call.clone());
        if let Some(limit) = position.limit {
            call = call.query("limit", limit.to_string());
        }
        if let Some(offset) = position.offset {
            call = call.query("offset", offset.to_string());
        }
        Box::pin(async move {
            let answer = server.ask(&auth, &call).await.map_err(explain)?;
            let (items, total, next) = split(&answer)?;
            let next = match next {
                Some(link) => Some(follow(&server, &link, position)?),
                None => None,
            };
            Ok(Page { items, total, next })
        })
    })
}

/// Where a `next` link leads. Only its `limit` and `offset` are taken: the request is built anew,
/// on the configured server and with this call's own token.
fn follow(server: &Client, link: &str, from: Position) -> Result<Position, Error> {
    let unexpected = |excerpt: &str| Error::UnexpectedResponse {
        status: StatusCode::OK,
        excerpt: excerpt.into(),
    };
    let base = server.base();
    let url = base
        .join(link)
        .map_err(|_| unexpected("the link to the next page is not an address"))?;
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
    let offset =
        offset.ok_or_else(|| unexpected("the link to the next page does not lead onwards"))?;
    Ok(Position {
        limit: number("limit").or(from.limit),
        offset: Some(offset),
    })
}

/// The same host and port. A server behind a proxy may write http for https.
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
        results(&mock.client(), &Auth::Anonymous, call)
    }

    #[tokio::test]
    async fn fetches_page_after_page_as_it_is_read() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            page(
                &[1, 2],
                Some("http://oh.example/numbers/?limit=2&offset=2&access_token=secret"),
            ),
        );
        let mut list = list(&mock).page_size(2);
        assert_eq!(list.size_hint(), (0, None));
        assert_eq!(list.try_next().await.unwrap(), Some(1));
        assert_eq!(list.total(), Some(5));
        assert_eq!(list.size_hint(), (1, Some(4)));
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
    async fn follows_no_link_to_another_host() {
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
    async fn what_is_said_of_another_host_is_short_and_holds_no_token() {
        let token = "aXBfKym8W1M4fjUMXoy38iHzMEZdWS";
        for host in [token.to_owned(), "x.".repeat(5_000)] {
            let mock = MockTransport::new();
            // A scheme that is no web address: its host is kept letter for letter.
            let link = format!("ftpx://{host}/?offset=2");
            mock.respond(200, page(&[1], Some(&link)));
            let error = list(&mock).try_next().await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.len() < 1_000, "{} bytes", shown.len());
            assert!(!shown.contains(token), "{shown}");
        }
    }

    #[tokio::test]
    async fn runs_in_no_circle() {
        let mock = MockTransport::new();
        mock.respond(200, page(&[1], Some("/numbers/?limit=1&offset=1")))
            .respond(200, page(&[1], Some("/numbers/?limit=1&offset=1")));
        let mut list = list(&mock);
        assert_eq!(list.try_next().await.unwrap(), Some(1));
        let error = list.try_next().await.unwrap_err();
        assert!(matches!(error, Error::UnexpectedResponse { .. }));
    }

    #[tokio::test]
    async fn an_error_is_the_last_item() {
        let mock = MockTransport::new();
        mock.respond(404, "");
        let items: Vec<_> = list(&mock).collect().await;
        assert!(matches!(items.as_slice(), [Err(Error::NotFound)]));
    }

    #[tokio::test]
    async fn what_is_left_out_is_not_promised() {
        let mock = MockTransport::new();
        mock.respond(200, page(&[1, 2], Some("/numbers/?limit=2&offset=2")))
            .respond(200, page(&[4, 5], None));
        let mut list = list(&mock).only(|number| number % 2 == 1);
        assert_eq!(list.try_next().await.unwrap(), Some(1));
        assert_eq!(list.size_hint(), (0, Some(4)));
        let rest: Vec<u32> = list.map(|item| item.unwrap()).collect().await;
        assert_eq!(rest, [5]);
    }

    #[tokio::test]
    async fn a_count_beyond_reason_reserves_nothing() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            r#"{"count": 18446744073709551615, "next": null, "results": [7]}"#,
        );
        let call = Call::get("numbers", "/numbers/");
        let list: List<Value> = results(&mock.client(), &Auth::Anonymous, call);
        let all: Vec<_> = list.collect().await;
        assert_eq!(all.len(), 1);
    }
}
