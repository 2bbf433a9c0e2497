//! The project, its members, messages and removals.

use oh_core::Error;
use oh_core::api::{Message, Removal, TokenError};
use oh_sandbox::Endpoint;
use serde_json::{Value, json};

use crate::server::{in_sandbox, on_server};

#[tokio::test]
async fn project_is_equal_with_either_token() {
    on_server(async |server| {
        let by_master = server.project.project().await.unwrap();
        let by_member = server.member.project().await.unwrap();
        assert!(by_master.id.is_some() && by_master.id_label.is_some());
        assert_eq!(by_master.id, by_member.id);
    })
    .await;
}

#[tokio::test]
async fn exchange_member_is_equal_with_either_token() {
    on_server(async |server| {
        let by_member = server.member.exchange_member().await.unwrap();
        let by_master = server.by_master().exchange_member().await.unwrap();
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
async fn unknown_token_is_unauthorized() {
    on_server(async |server| {
        let member = server.client.member("bogus");
        let error = member.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { detail } if detail == "Invalid token."));
        let project = server.client.project("bogus");
        let error = project.members().try_next().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        let error = member.message(&Message::new("never sent")).await;
        assert!(matches!(error, Err(Error::Unauthorized { .. })));
    })
    .await;
}

#[tokio::test]
async fn unknown_member_id_is_deauthorized() {
    on_server(async |server| {
        let nobody = server.project.member(&"00000000".parse().unwrap());
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
async fn message_is_accepted_with_either_token() {
    on_server(async |server| {
        let message = Message::new("From the contract suite.").subject("Contract");
        server.member.message(&message).await.unwrap();
        server.by_master().message(&message).await.unwrap();
        let ids = [server.id.clone()];
        server.project.message(&ids, &message).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn message_to_unknown_member_names_id() {
    on_server(async |server| {
        let ids = [server.id.clone(), "00000000".parse().unwrap()];
        let message = Message::new("never sent");
        let error = server.project.message(&ids, &message).await.unwrap_err();
        let problem = error.field("project_member_ids").unwrap();
        assert!(problem.contains("00000000"), "{problem}");
    })
    .await;
}

#[tokio::test]
async fn message_all_reaches_every_member() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(3);
        let message = Message::new("to all").subject("all");
        server.project.message_all(&message).await.unwrap();
        let sent = sandbox.messages().pop().unwrap();
        assert_eq!((sent.to.len(), sent.subject.as_str()), (4, "all"));
    })
    .await;
}

#[tokio::test]
async fn removed_member_loses_access_and_rejoins_with_same_id() {
    on_server(async |server| {
        assert_eq!(server.by_master().remove().await.unwrap(), Removal::Removed);
        let error = server.member.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        let refused = server.oauth.refresh(&server.tokens.refresh_token).await;
        assert!(matches!(refused, Err(TokenError::InvalidGrant)));
        // A master token can still read former members, but not change their data.
        server.by_master().exchange_member().await.unwrap();
        let error = server.by_master().delete_all_files().await.unwrap_err();
        assert!(matches!(error, Error::Deauthorized), "{error}");
        let mut members = server.project.members();
        while let Some(member) = members.try_next().await.unwrap() {
            assert_ne!(member.project_member_id, server.id);
        }
        let again = server.by_master().remove().await.unwrap();
        assert_eq!(again, Removal::NotAMember);

        let tokens = server.authorize().await;
        let member = server.client.member(tokens.access_token);
        let who = member.exchange_member().await.unwrap();
        assert_eq!(who.project_member_id, server.id);
        server.oauth.revoke(&tokens.refresh_token).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn removal_that_responds_500_is_confirmed() {
    in_sandbox(async |server, sandbox| {
        sandbox.set_remove_members_fails(true);
        assert_eq!(server.member.remove().await.unwrap(), Removal::Removed);
        let bob = crate::server::BOB;
        sandbox.join(bob);
        let ids = [bob.parse().unwrap(), server.id.clone()];
        let outcomes = server.project.remove_members(&ids).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(|(_, o)| o.unwrap()).collect();
        assert_eq!(outcomes, [Removal::Removed, Removal::NotAMember]);
        assert!(!sandbox.is_joined(bob));
    })
    .await;
}

#[tokio::test]
async fn file_page_starts_at_offset() {
    in_sandbox(async |server, sandbox| {
        for i in 0..5 {
            sandbox.add_file(server.id.as_str(), &format!("{i}.txt"), b"x", json!({}));
        }
        let page = server.member.exchange_member_page(2, 3).await.unwrap();
        let names: Vec<_> = page.data.iter().map(|file| &*file.basename).collect();
        assert_eq!(
            (names.as_slice(), page.count),
            (&["3.txt", "4.txt"][..], Some(5))
        );
        let raw: Value = serde_json::from_str(page.raw()).unwrap();
        assert_eq!(raw["data"][0]["basename"], "3.txt");
        assert!(raw["previous"].as_str().unwrap().contains("offset=1"));
        let mut from = server.member.files().offset(4);
        assert_eq!(from.try_next().await.unwrap().unwrap().basename, "4.txt");
    })
    .await;
}

#[tokio::test]
async fn files_of_members_need_no_request_for_short_lists() {
    in_sandbox(async |server, sandbox| {
        for id in sandbox.populate(250) {
            sandbox.add_file(&id, "a.txt", b"x", json!({}));
        }
        for i in 0..11 {
            sandbox.add_file(server.id.as_str(), &format!("{i}.txt"), b"x", json!({}));
        }
        sandbox.reset_stats();
        let mut members = server.project.members();
        let mut files = 0;
        while let Some(member) = members.try_next().await.unwrap() {
            let mut list = server.project.files_of(&member);
            while list.try_next().await.unwrap().is_some() {
                files += 1;
            }
        }
        assert_eq!(files, 250 + 11);
        assert_eq!(sandbox.count(Endpoint::Members), 3);
        // One member has more files than the member list contains.
        assert_eq!(sandbox.count(Endpoint::ExchangeMember), 1);
    })
    .await;
}
