//! Public data.

use oh_core::Error;
use oh_core::api::{DataFileId, FileFilter, List, Upload};

use crate::server::{ALICE, BOB, in_sandbox, on_server};

/// Reads the first items of a list, which checks that they can be parsed.
async fn first_items<T: Send + 'static>(mut list: List<T>) -> Vec<T> {
    let mut items = Vec::new();
    while items.len() < 5
        && let Some(item) = list.try_next().await.unwrap()
    {
        items.push(item);
    }
    items
}

#[tokio::test]
async fn public_projects_are_listed_and_returned_by_number() {
    on_server(async |server| {
        let listed = first_items(server.public.projects()).await;
        let id = listed[0].id.unwrap();
        let found = server.public.project(id).await.unwrap();
        assert_eq!(found.name, listed[0].name);
        first_items(server.public.project_files(id)).await;
        first_items(server.public.project_members(id)).await;
        let error = server.public.project(999_999_999).await.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{error}");
    })
    .await;
}

#[tokio::test]
async fn public_members_are_listed_and_returned_by_name() {
    on_server(async |server| {
        let listed = first_items(server.public.members()).await;
        let Some(name) = listed.first().and_then(|member| member.username.as_ref()) else {
            return;
        };
        let found = server.public.member(name).await.unwrap();
        assert_eq!(found.username.as_ref(), Some(name));
        first_items(server.public.member_projects(name).unwrap()).await;
        first_items(server.public.member_files(name).unwrap()).await;
        let error = server.public.member("nobody has this name").await;
        assert!(matches!(error, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn data_types_are_listed_and_returned_by_number() {
    on_server(async |server| {
        let listed = first_items(server.public.data_types()).await;
        let id = listed[0].id.unwrap();
        let found = server.public.data_type(id).await.unwrap();
        assert_eq!(found.name, listed[0].name);
        first_items(server.public.data_type_files(id)).await;
        let error = server.public.data_type(999_999_999).await.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{error}");
    })
    .await;
}

#[tokio::test]
async fn public_files_are_listed_and_returned_by_id() {
    on_server(async |server| {
        for file in first_items(server.public.files()).await {
            let found = server.public.file(file.id).await.unwrap();
            assert_eq!(found.basename, file.basename);
        }
        let nothing = server.public.file(DataFileId::new(999_999_999)).await;
        assert!(matches!(nothing, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn older_public_lists_are_parsed() {
    on_server(async |server| {
        for file in first_items(server.public.public_data()).await {
            assert!(file.source.is_some());
        }
        for member in first_items(server.public.sources_by_member()).await {
            assert!(!member.username.is_empty());
        }
        for source in first_items(server.public.members_by_source()).await {
            assert!(!source.source.is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn public_file_is_downloaded_without_token() {
    in_sandbox(async |server, sandbox| {
        let id = server.id.as_str();
        sandbox
            .add_file(id, "p.txt", b"public", serde_json::json!({}))
            .unwrap();
        let file = server.public.files().try_next().await.unwrap().unwrap();
        let bytes = server.public.download(&file).bytes().await.unwrap();
        assert_eq!(bytes, "public");
        assert_eq!(file.user.unwrap().username.as_deref(), Some("alice"));
    })
    .await;
}

#[tokio::test]
async fn stored_url_is_enough_to_download() {
    in_sandbox(async |server, sandbox| {
        let added = sandbox.add_file(ALICE, "a.txt", b"stored", serde_json::json!({}));
        let file = server.member.files().try_next().await.unwrap().unwrap();
        assert_eq!(file.id.get(), added.unwrap());
        let url = file.download_url.expose().to_owned();
        let bytes = server.client.download(url, "a.txt").bytes().await.unwrap();
        assert_eq!(bytes, "stored");
    })
    .await;
}

#[tokio::test]
async fn public_filters_apply_if_server_ignores_them() {
    in_sandbox(async |server, sandbox| {
        sandbox.join(BOB);
        for member in [ALICE, BOB] {
            sandbox.add_file(member, "own.txt", b"x", serde_json::json!({}));
            sandbox.add_shared_file(member, "shared.txt", b"x", serde_json::json!({}));
        }
        let gps = Upload::bytes("gps.txt", "x").data_types(["2"]);
        server.member.upload(gps).await.unwrap();
        let names = async |filter: FileFilter| {
            let mut names: Vec<String> = first_items(server.public.files_matching(&filter))
                .await
                .into_iter()
                .map(|file| format!("{}/{}", file.user.unwrap().username.unwrap(), file.basename))
                .collect();
            names.sort();
            names
        };
        let all = FileFilter::new;
        assert_eq!(names(all()).await.len(), 5);
        assert_eq!(
            names(all().username("bob")).await,
            ["bob/own.txt", "bob/shared.txt"]
        );
        let alices = all().source_project(2).username("alice");
        assert_eq!(names(alices).await, ["alice/gps.txt", "alice/own.txt"]);
        assert_eq!(names(all().data_type(1)).await, [""; 0]);
        let below = all().data_type(1).include_children();
        assert_eq!(names(below).await, ["alice/gps.txt"]);
        let others = all().data_type(1).include_children().username("bob");
        assert_eq!(names(others).await, [""; 0]);

        let projects = first_items(server.public.projects_named("OTHER")).await;
        assert_eq!(projects.len(), 1);
        let members = first_items(server.public.members_named("LIC")).await;
        assert_eq!(members[0].username.as_deref(), Some("alice"));
        assert_eq!(members.len(), 1);
        let types = first_items(server.public.data_types_of(2)).await;
        assert!(types.iter().all(|it| it.uploadable == Some(true)));
        assert_eq!((types.len(), types[0].details.as_deref()), (2, Some("")));
        assert!(
            first_items(server.public.data_types_of(99))
                .await
                .is_empty()
        );
        let source = server.public.members_of_source("direct-sharing-2").await;
        assert_eq!(source.unwrap().unwrap().usernames, ["alice", "bob"]);
        let none = server.public.members_of_source("direct-sharing-99").await;
        assert!(none.unwrap().is_none());
    })
    .await;
}
