//! Pagination with `limit` and `offset`. Links to other pages repeat the query, including the
//! token.

use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use url::Url;

use crate::fault::Fault;
use crate::web::call::Call;
use crate::web::respond::json;

const DEFAULT_LIMIT: u64 = 100;

#[derive(Serialize)]
struct List<T> {
    count: usize,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<T>,
}

/// Responds with the requested page of a list of `count` items.
pub(crate) fn list<T: Serialize>(
    call: &Call,
    count: usize,
    items: impl Iterator<Item = T>,
) -> Response {
    let page = Page::of(call, count);
    let list = List {
        count,
        next: page.next,
        previous: page.previous,
        results: items.skip(page.skip).take(page.take).collect(),
    };
    json(StatusCode::OK, &list)
}

/// The requested part of a list, and the links to the parts around it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) next: Option<String>,
    pub(crate) previous: Option<String>,
    pub(crate) skip: usize,
    pub(crate) take: usize,
}

impl Page {
    /// Returns the page that a query requests from a list of `count` items. Invalid values are
    /// ignored.
    pub(crate) fn of(call: &Call, count: usize) -> Self {
        let number = |name| {
            call.query
                .get(name)
                .and_then(|text| text.trim().parse::<u64>().ok())
        };
        let limit = number("limit")
            .filter(|&limit| limit > 0)
            .unwrap_or(DEFAULT_LIMIT);
        let offset = number("offset").unwrap_or(0);
        let more = offset.saturating_add(limit) < count as u64;
        let next = more.then(|| elsewhere(call, link(call, limit, offset + limit)));
        let previous = (offset > 0).then(|| link(call, limit, offset.saturating_sub(limit)));
        let skip = usize::try_from(shifted(call, offset)).unwrap_or(usize::MAX);
        Self {
            next,
            previous,
            skip,
            take: usize::try_from(limit).unwrap_or(usize::MAX),
        }
    }
}

/// Returns the URL of the same list with another offset. Parameters are sorted by name.
fn link(call: &Call, limit: u64, offset: u64) -> String {
    let mut query: BTreeMap<&str, String> = BTreeMap::new();
    for (key, value) in &call.query.0 {
        query.insert(key, value.clone());
    }
    query.insert("limit", limit.to_string());
    if offset > 0 {
        query.insert("offset", offset.to_string());
    } else {
        query.remove("offset");
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    format!("{}{}?{query}", call.base, call.path)
}

/// Changes the host of the link if a fault requires it.
fn elsewhere(call: &Call, link: String) -> String {
    match &call.fault {
        Some(Fault::NextLinkToOtherHost { host }) => match Url::parse(&link) {
            Ok(url) => {
                let rest = &url[url::Position::BeforePath..];
                format!("{}{rest}", host.as_str().trim_end_matches('/'))
            }
            Err(_) => link,
        },
        _ => link,
    }
}

/// Shifts the offset if a fault simulates a list that changes between pages.
fn shifted(call: &Call, offset: u64) -> u64 {
    match call.fault {
        Some(Fault::ShiftingPages { by }) if offset > 0 => offset.saturating_add_signed(by),
        _ => offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn call(query: &str) -> Call {
        let request = http::Request::get(format!("/list/?{query}"))
            .body(Body::empty())
            .unwrap();
        Call::read(request, "oh.test").await.unwrap()
    }

    #[tokio::test]
    async fn page_links_repeat_query_sorted_by_name() {
        let page = Page::of(
            &call("limit=5&project_member_id=01026778&access_token=t&offset=5").await,
            127,
        );
        let next =
            "http://oh.test/list/?access_token=t&limit=5&offset=10&project_member_id=01026778";
        let previous = "http://oh.test/list/?access_token=t&limit=5&project_member_id=01026778";
        assert_eq!(page.next.as_deref(), Some(next));
        assert_eq!(page.previous.as_deref(), Some(previous));
    }

    #[tokio::test]
    async fn page_ignores_invalid_values() {
        for query in [
            "limit=0",
            "limit=abc",
            "limit=-1",
            "offset=-3",
            "offset=abc",
            "",
        ] {
            let page = Page::of(&call(query).await, 127);
            assert_eq!((page.skip, page.take), (0, 100), "{query}");
            assert!(
                page.next
                    .is_some_and(|next| next.ends_with("limit=100&offset=100")),
                "{query}"
            );
        }
    }

    #[tokio::test]
    async fn page_beyond_end_has_previous_link_only() {
        let page = Page::of(&call("offset=9999").await, 127);
        assert_eq!(page.next, None);
        assert!(
            page.previous
                .is_some_and(|previous| previous.ends_with("?limit=100&offset=9899"))
        );
    }

    #[tokio::test]
    async fn page_applies_list_faults() {
        let mut call = call("limit=5&offset=5").await;
        call.fault = Some(Fault::ShiftingPages { by: -2 });
        assert_eq!(Page::of(&call, 127).skip, 3);
        call.fault = Some(Fault::NextLinkToOtherHost {
            host: Url::parse("http://evil.test:1").unwrap(),
        });
        let next = Page::of(&call, 127).next.unwrap();
        assert_eq!(next, "http://evil.test:1/list/?limit=5&offset=10");
    }
}
