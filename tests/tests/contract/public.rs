//! What anyone may see.

use oh_core::Error;
use oh_core::api::{DataFileId, FileFilter, List, Upload};

use crate::world::{ALICE, BOB, in_sandbox, promise};

/// Reads a list's first items: that they are understood is the promise.
async fn some<T: Send + 'static>(mut list: List<T>) -> Vec<T> {
    let mut items = Vec::new();
    while items.len() < 5
        && let Some(item) = list.try_next().await.unwrap()
    {
        items.push(item);
    }
    items
}

#[tokio::test]
async fn projects_are_listed_and_found_by_number() {
    promise(async |world| {
        let listed = some(world.public.projects()).await;
        let id = listed[0].id.unwrap();
        let found = world.public.project(id).await.unwrap();
        assert_eq!(found.name, listed[0].name);
        some(world.public.project_files(id)).await;
        some(world.public.project_members(id)).await;
        let error = world.public.project(999_999_999).await.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{error}");
    })
    .await;
}

#[tokio::test]
async fn members_are_listed_and_found_by_name() {
    promise(async |world| {
        let listed = some(world.public.members()).await;
        let Some(name) = listed.first().and_then(|member| member.username.as_ref()) else {
            return;
        };
        let found = world.public.member(name).await.unwrap();
        assert_eq!(found.username.as_ref(), Some(name));
        some(world.public.member_projects(name).unwrap()).await;
        some(world.public.member_files(name).unwrap()).await;
        let error = world.public.member("nobody has this name").await;
        assert!(matches!(error, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn data_types_are_listed_and_found_by_number() {
    promise(async |world| {
        let listed = some(world.public.data_types()).await;
        let id = listed[0].id.unwrap();
        let found = world.public.data_type(id).await.unwrap();
        assert_eq!(found.name, listed[0].name);
        some(world.public.data_type_files(id)).await;
        let error = world.public.data_type(999_999_999).await.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{error}");
    })
    .await;
}

#[tokio::test]
async fn public_files_are_listed_and_found_by_id() {
    promise(async |world| {
        for file in some(world.public.files()).await {
            let found = world.public.file(file.id).await.unwrap();
            assert_eq!(found.basename, file.basename);
        }
        let nothing = world.public.file(DataFileId::new(999_999_999)).await;
        assert!(matches!(nothing, Err(Error::NotFound)));
    })
    .await;
}

#[tokio::test]
async fn the_older_forms_are_understood() {
    promise(async |world| {
        for file in some(world.public.public_data()).await {
            assert!(file.source.is_some());
        }
        for member in some(world.public.sources_by_member()).await {
            assert!(!member.username.is_empty());
        }
        for source in some(world.public.members_by_source()).await {
            assert!(!source.source.is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn a_public_file_can_be_downloaded_without_a_token() {
    in_sandbox(async |world, sandbox| {
        let id = world.id.as_str();
        sandbox
            .add_file(id, "p.txt", b"public", serde_json::json!({}))
            .unwrap();
        let file = world.public.files().try_next().await.unwrap().unwrap();
        let bytes = world.public.download(&file).bytes().await.unwrap();
        assert_eq!(bytes, "public");
        assert_eq!(file.user.unwrap().username.as_deref(), Some("alice"));
    })
    .await;
}

#[tokio::test]
async fn a_kept_address_is_enough_to_download() {
    in_sandbox(async |world, sandbox| {
        let added = sandbox.add_file(ALICE, "a.txt", b"kept", serde_json::json!({}));
        let file = world.member.files().try_next().await.unwrap().unwrap();
        assert_eq!(file.id.get(), added.unwrap());
        let url = file.download_url.expose().to_owned();
        let bytes = world.server.download(url, "a.txt").bytes().await.unwrap();
        assert_eq!(bytes, "kept");
    })
    .await;
}

#[tokio::test]
async fn filters_hold_although_this_server_ignores_them() {
    in_sandbox(async |world, sandbox| {
        sandbox.join(BOB);
        for member in [ALICE, BOB] {
            sandbox.add_file(member, "own.txt", b"x", serde_json::json!({}));
            sandbox.add_shared_file(member, "shared.txt", b"x", serde_json::json!({}));
        }
        let gps = Upload::bytes("gps.txt", "x").data_types(["2"]);
        world.member.upload(gps).await.unwrap();
        let names = async |filter: FileFilter| {
            let mut names: Vec<String> = some(world.public.files_matching(&filter))
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

        let projects = some(world.public.projects_named("OTHER")).await;
        assert_eq!(projects.len(), 1);
        let members = some(world.public.members_named("LIC")).await;
        assert_eq!(members[0].username.as_deref(), Some("alice"));
        assert_eq!(members.len(), 1);
        let types = some(world.public.data_types_of(2)).await;
        assert!(types.iter().all(|it| it.uploadable == Some(true)));
        assert_eq!((types.len(), types[0].details.as_deref()), (2, Some("")));
        assert!(some(world.public.data_types_of(99)).await.is_empty());
        let source = world.public.members_of_source("direct-sharing-2").await;
        assert_eq!(source.unwrap().unwrap().usernames, ["alice", "bob"]);
        let none = world.public.members_of_source("direct-sharing-99").await;
        assert!(none.unwrap().is_none());
    })
    .await;
}
