//! What anyone may see.

use oh_core::Error;
use oh_core::api::{DataFileId, List};

use crate::world::{in_sandbox, promise};

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
