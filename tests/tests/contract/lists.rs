//! Paginated lists.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use oh_core::Error;
use oh_core::api::{RetryPolicy, Upload};
use oh_sandbox::{Endpoint, Fault};

use crate::server::{in_sandbox, on_server};

#[tokio::test]
async fn member_list_contains_member_for_any_page_size() {
    on_server(async |server| {
        for page_size in [1, 7, 1_000] {
            let mut members = server.project.members().page_size(page_size);
            let mut seen = 0;
            let mut is_listed = false;
            while let Some(member) = members.try_next().await.unwrap() {
                seen += 1;
                is_listed |= member.project_member_id == server.id;
                if is_listed && server.is_real() {
                    // The list of a real project can be long.
                    return;
                }
            }
            assert!(is_listed);
            assert_eq!(members.total(), Some(seen));
        }
    })
    .await;
}

#[tokio::test]
async fn file_list_has_no_duplicates_across_pages() {
    on_server(async |server| {
        let mut sent = BTreeSet::new();
        for i in 0..5 {
            let upload = Upload::bytes(format!("contract-{i}.txt"), "x");
            sent.insert(server.member.upload(upload).await.unwrap().id);
        }
        for member in [&server.member, &server.by_master()] {
            let files: Vec<_> = member
                .files()
                .page_size(2)
                .map(|file| file.unwrap().id)
                .collect()
                .await;
            let distinct: BTreeSet<_> = files.iter().copied().collect();
            assert_eq!(files.len(), distinct.len());
            assert!(distinct.is_superset(&sent));
        }
    })
    .await;
}

#[tokio::test]
async fn list_requests_pages_on_demand() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(249);
        let mut members = server.project.members();
        members.try_next().await.unwrap();
        assert_eq!(members.total(), Some(250));
        assert_eq!(sandbox.count(Endpoint::Members), 1);
        assert_eq!(members.count().await, 249);
        assert_eq!(sandbox.count(Endpoint::Members), 3);
    })
    .await;
}

#[tokio::test]
async fn link_to_other_host_is_not_followed() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(249);
        let other_host = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", other_host.local_addr().unwrap());
        let host = host.parse().unwrap();
        sandbox.fault(Endpoint::Members, Fault::NextLinkToOtherHost { host });
        let items: Vec<_> = server.project.members().collect().await;
        assert!(matches!(
            items.last(),
            Some(Err(Error::ForeignLink { host })) if host == "127.0.0.1"
        ));
        let text = format!("{:?}", items.last());
        assert!(!text.contains(server.master().expose()), "{text}");
        let connection = futures_util::FutureExt::now_or_never(other_host.accept());
        assert!(connection.is_none(), "the other host received a request");
    })
    .await;
}

#[tokio::test]
async fn list_ends_if_pages_shift() {
    for by in [-3, 3] {
        in_sandbox(async |server, sandbox| {
            sandbox.populate(249);
            sandbox.fault(Endpoint::Members, Fault::ShiftingPages { by });
            let members = server.project.members().page_size(50);
            let ids: Vec<_> = members
                .map(|member| member.unwrap().project_member_id)
                .collect()
                .await;
            let distinct: BTreeSet<_> = ids.iter().collect();
            // Items are duplicated or missing, so absence from a list proves nothing.
            match by {
                ..0 => assert!(ids.len() > distinct.len()),
                _ => assert!(distinct.len() < 250),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn interrupted_page_is_requested_again() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(149);
        sandbox.fault_next(Endpoint::Members, 2, Fault::ResetMidBody);
        assert_eq!(server.project.members().count().await, 150);
        sandbox.fault(Endpoint::Members, Fault::ResetMidBody);
        let without_retries = server.client.clone().retries(RetryPolicy::none());
        let mut members = without_retries.project(server.master().clone()).members();
        let error = members.try_next().await.unwrap_err();
        assert!(matches!(error, Error::Network(_)), "{error}");
    })
    .await;
}
