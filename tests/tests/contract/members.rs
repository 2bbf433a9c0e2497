//! Who is there: the project, its members, messages to them, and removing them.

use oh_core::Error;
use oh_core::api::{Message, Removal, TokenError};
use oh_sandbox::Endpoint;
use serde_json::{Value, json};

use crate::world::{in_sandbox, promise};

#[tokio::test]
async fn the_project_knows_itself_by_either_token() {
    promise(async |world| {
        let by_master = world.project.project().await.unwrap();
        let by_member = world.member.project().await.unwrap();
        assert!(by_master.id.is_some() && by_master.id_label.is_some());
        assert_eq!(by_master.id, by_member.id);
    })
    .await;
}

#[tokio::test]
async fn exchange_member_says_the_same_to_either_token() {
    promise(async |world| {
        let by_member = world.member.exchange_member().await.unwrap();
        let by_master = world.by_master().exchange_member().await.unwrap();
        assert_eq!(by_member.project_member_id, by_master.project_member_id);
        assert_eq!(by_member.username, by_master.username);
        assert_eq!(by_member.created, by_master.created);
        assert!(by_member.created.is_some());
        assert_eq!(by_member.sources_shared, by_master.sources_shared);
        assert_eq!(by_member.count, by_master.count);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_token_is_unauthorized() {
    promise(async |world| {
        let member = world.server.member("bogus");
        let error = member.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { detail } if detail == "Invalid token."));
        let project = world.server.project("bogus");
        let error = project.members().try_next().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        let error = member.message(&Message::new("never sent")).await;
        assert!(matches!(error, Err(Error::Unauthorized { .. })));
    })
    .await;
}

#[tokio::test]
async fn nobodys_id_is_not_a_member() {
    promise(async |world| {
        let nobody = world.project.member(&"00000000".parse().unwrap());
        let error = nobody.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Deauthorized), "{error}");
        let error = nobody.delete_all_files().await.unwrap_err();
        assert!(matches!(error, Error::Deauthorized), "{error}");
        let error = nobody.message(&Message::new("never sent")).await;
        assert!(matches!(error, Err(Error::Deauthorized)));
        assert_eq!(nobody.remove().await.unwrap(), Removal::NotAMember);
    })
    .await;
}

#[tokio::test]
async fn a_message_is_taken_from_either_token() {
    promise(async |world| {
        let message = Message::new("From the contract suite.").subject("Contract");
        world.member.message(&message).await.unwrap();
        world.by_master().message(&message).await.unwrap();
        let ids = [world.id.clone()];
        world.project.message(&ids, &message).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_message_to_someone_unknown_is_refused_and_says_who() {
    promise(async |world| {
        let ids = [world.id.clone(), "00000000".parse().unwrap()];
        let message = Message::new("never sent");
        let error = world.project.message(&ids, &message).await.unwrap_err();
        let problem = error.field("project_member_ids").unwrap();
        assert!(problem.contains("00000000"), "{problem}");
    })
    .await;
}

#[tokio::test]
async fn a_message_to_all_reaches_all() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(3);
        let message = Message::new("to all").subject("all");
        world.project.message_all(&message).await.unwrap();
        let sent = sandbox.messages().pop().unwrap();
        assert_eq!((sent.to.len(), sent.subject.as_str()), (4, "all"));
    })
    .await;
}

#[tokio::test]
async fn whoever_is_removed_is_gone_and_can_come_back_as_the_same() {
    promise(async |world| {
        assert_eq!(world.by_master().remove().await.unwrap(), Removal::Removed);
        let error = world.member.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        let refused = world.oauth.refresh(&world.tokens.refresh_token).await;
        assert!(matches!(refused, Err(TokenError::InvalidGrant)));
        // A master token is still told of those who have left, but can do nothing for them.
        world.by_master().exchange_member().await.unwrap();
        let error = world.by_master().delete_all_files().await.unwrap_err();
        assert!(matches!(error, Error::Deauthorized), "{error}");
        let mut members = world.project.members();
        while let Some(member) = members.try_next().await.unwrap() {
            assert_ne!(member.project_member_id, world.id);
        }
        let again = world.by_master().remove().await.unwrap();
        assert_eq!(again, Removal::NotAMember);

        let tokens = world.authorize().await;
        let member = world.server.member(tokens.access_token);
        let who = member.exchange_member().await.unwrap();
        assert_eq!(who.project_member_id, world.id);
        world.oauth.revoke(&tokens.refresh_token).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_removal_that_is_answered_500_is_found_to_have_happened() {
    in_sandbox(async |world, sandbox| {
        sandbox.set_remove_members_fails(true);
        assert_eq!(world.member.remove().await.unwrap(), Removal::Removed);
        let bob = crate::world::BOB;
        sandbox.join(bob);
        let ids = [bob.parse().unwrap(), world.id.clone()];
        let outcomes = world.project.remove_members(&ids).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(|(_, o)| o.unwrap()).collect();
        assert_eq!(outcomes, [Removal::Removed, Removal::NotAMember]);
        assert!(!sandbox.is_joined(bob));
    })
    .await;
}

#[tokio::test]
async fn a_page_of_files_begins_where_it_is_told_to() {
    in_sandbox(async |world, sandbox| {
        for i in 0..5 {
            sandbox.add_file(world.id.as_str(), &format!("{i}.txt"), b"x", json!({}));
        }
        let page = world.member.exchange_member_page(2, 3).await.unwrap();
        let names: Vec<_> = page.data.iter().map(|file| &*file.basename).collect();
        assert_eq!(
            (names.as_slice(), page.count),
            (&["3.txt", "4.txt"][..], Some(5))
        );
        let raw: Value = serde_json::from_str(page.raw()).unwrap();
        assert_eq!(raw["data"][0]["basename"], "3.txt");
        assert!(raw["previous"].as_str().unwrap().contains("offset=1"));
        let mut from = world.member.files().offset(4);
        assert_eq!(from.try_next().await.unwrap().unwrap().basename, "4.txt");
    })
    .await;
}

#[tokio::test]
async fn the_files_of_all_members_cost_no_request_each() {
    in_sandbox(async |world, sandbox| {
        for id in sandbox.populate(250) {
            sandbox.add_file(&id, "a.txt", b"x", json!({}));
        }
        for i in 0..11 {
            sandbox.add_file(world.id.as_str(), &format!("{i}.txt"), b"x", json!({}));
        }
        sandbox.reset_stats();
        let mut members = world.project.members();
        let mut files = 0;
        while let Some(member) = members.try_next().await.unwrap() {
            let mut list = world.project.files_of(&member);
            while list.try_next().await.unwrap().is_some() {
                files += 1;
            }
        }
        assert_eq!(files, 250 + 11);
        assert_eq!(sandbox.count(Endpoint::Members), 3);
        // The one with more files than the list of members brings along.
        assert_eq!(sandbox.count(Endpoint::ExchangeMember), 1);
    })
    .await;
}
