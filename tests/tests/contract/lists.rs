//! Lists over pages.

use std::collections::BTreeSet;

use futures_util::{Stream, StreamExt};
use oh_core::Error;
use oh_core::api::{RetryPolicy, Upload};
use oh_sandbox::{Endpoint, Fault};

use crate::world::{in_sandbox, promise};

#[tokio::test]
async fn the_members_list_has_the_member_on_pages_of_any_length() {
    promise(async |world| {
        for page_size in [1, 7, 1_000] {
            let mut members = world.project.members().page_size(page_size);
            let mut seen = 0;
            let mut found = false;
            while let Some(member) = members.try_next().await.unwrap() {
                seen += 1;
                found |= member.project_member_id == world.id;
                if found && world.is_real() {
                    // It may be long.
                    return;
                }
            }
            assert!(found);
            assert_eq!(members.total(), Some(seen));
        }
    })
    .await;
}

#[tokio::test]
async fn files_come_each_once_over_pages() {
    promise(async |world| {
        let mut sent = BTreeSet::new();
        for i in 0..5 {
            let upload = Upload::bytes(format!("contract-{i}.txt"), "x");
            sent.insert(world.member.upload(upload).await.unwrap().id);
        }
        for member in [&world.member, &world.by_master()] {
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
async fn a_list_knows_how_much_is_left() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(249);
        let mut members = world.project.members();
        members.try_next().await.unwrap();
        assert_eq!(members.total(), Some(250));
        assert_eq!(members.size_hint(), (99, Some(249)));
        assert_eq!(sandbox.count(Endpoint::Members), 1);
        assert_eq!(members.count().await, 249);
        assert_eq!(sandbox.count(Endpoint::Members), 3);
    })
    .await;
}

#[tokio::test]
async fn a_link_to_another_host_is_an_error_and_gets_nothing() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(249);
        let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", elsewhere.local_addr().unwrap());
        let host = host.parse().unwrap();
        sandbox.fault(Endpoint::Members, Fault::NextLinkToOtherHost { host });
        let items: Vec<_> = world.project.members().collect().await;
        assert!(matches!(
            items.last(),
            Some(Err(Error::ForeignLink { host })) if host == "127.0.0.1"
        ));
        let text = format!("{:?}", items.last());
        assert!(!text.contains(world.master().expose()), "{text}");
        let waiting = futures_util::FutureExt::now_or_never(elsewhere.accept());
        assert!(waiting.is_none(), "the other host was asked");
    })
    .await;
}

#[tokio::test]
async fn pages_that_shift_end_all_the_same() {
    for by in [-3, 3] {
        in_sandbox(async |world, sandbox| {
            sandbox.populate(249);
            sandbox.fault(Endpoint::Members, Fault::ShiftingPages { by });
            let members = world.project.members().page_size(50);
            let ids: Vec<_> = members
                .map(|member| member.unwrap().project_member_id)
                .collect()
                .await;
            let distinct: BTreeSet<_> = ids.iter().collect();
            // Some come twice, or some are missed: which is why absence from a list proves
            // nothing.
            match by {
                ..0 => assert!(ids.len() > distinct.len()),
                _ => assert!(distinct.len() < 250),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_page_that_breaks_off_is_asked_for_again() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(149);
        sandbox.fault_next(Endpoint::Members, 2, Fault::ResetMidBody);
        assert_eq!(world.project.members().count().await, 150);
        sandbox.fault(Endpoint::Members, Fault::ResetMidBody);
        let once = world.server.clone().retries(RetryPolicy::none());
        let mut members = once.project(world.master().clone()).members();
        let error = members.try_next().await.unwrap_err();
        assert!(matches!(error, Error::Network(_)), "{error}");
    })
    .await;
}
