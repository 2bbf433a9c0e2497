//! Compares the sandbox with recorded exchanges with the real server.
//!
//! Each recorded request is sent to the sandbox with the tokens, codes and file ids of the sandbox.
//! The status, the relevant headers and the body are compared: error bodies exactly, other bodies by
//! their structure.

#![allow(clippy::print_stderr, reason = "reports skipped exchanges")]

#[path = "support/replay.rs"]
mod replay;
mod support;

use replay::{Exchange, Replay, field, recording};
use serde_json::Value;
use support::{ALICE, BOB, metadata};

/// Returns why an exchange cannot be replayed.
fn not_replayable(replay: &Replay, exchange: &Exchange) -> Option<&'static str> {
    let request = &exchange.request;
    let bearer = request
        .headers
        .get("Authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let query = field(&request.query, "access_token");
    let other_master = bearer
        .into_iter()
        .chain(query.as_deref())
        .any(|token| token.len() == 64 && token != replay.master);
    let name = exchange.name.to_lowercase();
    let other_client = request
        .headers
        .get("Authorization")
        .and_then(|value| value.strip_prefix("Basic "));
    let other_client = other_client.is_some_and(|_| name.contains("other client"));
    if other_master
        || other_client
        || name.contains("other project")
        || name.contains("another project")
    {
        return Some("requires several projects");
    }
    if name.contains("without username access") {
        return Some("requires several projects");
    }
    if request.body.starts_with('(') || request.body.contains("...[truncated") {
        return Some("the body was not recorded");
    }
    if request.path.starts_with("/open-humans-testing") {
        return Some("the links of the object store differ");
    }
    None
}

#[tokio::test]
async fn authorize() {
    let (Some(mut replay), Some(exchanges)) = (Replay::new().await, recording("01_authorize.json"))
    else {
        return;
    };
    for exchange in &exchanges {
        let name = &exchange.name;
        if let Some(why) = not_replayable(&replay, exchange) {
            replay.skip(exchange, why);
        } else if name.contains("not logged in") {
            replay.skip(
                exchange,
                "login and authorization are one page in the sandbox",
            );
        } else if exchange.request.path.starts_with("/oauth2/") {
            replay.skip(exchange, "belongs to another view");
        } else if exchange.request.method == "POST" && !name.contains("CSRF") {
            replay.skip(exchange, "the form of the sandbox has other fields");
        } else {
            let inactive = name.contains("inactive");
            replay.sandbox.set_active(!inactive);
            if name.contains("live token") {
                let _ = replay.sandbox.issue_tokens(ALICE);
            }
            let mut exchange = exchange.clone();
            exchange
                .request
                .headers
                .insert("Cookie".into(), format!("oh_sandbox_member={ALICE}"));
            replay.check(&exchange).await;
        }
    }
    replay.done(20);
}

#[tokio::test]
async fn tokens() {
    let (Some(mut replay), Some(exchanges)) = (Replay::new().await, recording("02_token.json"))
    else {
        return;
    };
    let right = exchanges
        .iter()
        .find(|exchange| exchange.name.contains("right verifier"));
    let verifier = right
        .and_then(|exchange| field(&exchange.request.body, "code_verifier"))
        .expect("a verifier");
    for exchange in &exchanges {
        if let Some(why) = not_replayable(&replay, exchange) {
            replay.skip(exchange, why);
            continue;
        }
        let multipart = exchange.request.body.split("name=\"code\"\r\n\r\n").nth(1);
        let recorded = field(&exchange.request.body, "code")
            .or_else(|| field(&exchange.request.query, "code"))
            .or_else(|| multipart.map(|rest| rest.chars().take(30).collect()));
        if let Some(recorded) =
            recorded.filter(|code| code.len() == 30 && !replay.substitutes.contains_key(code))
        {
            let code = replay.new_code(exchange, &verifier).await;
            replay.substitutes.insert(recorded, code);
        }
        if exchange.name.contains("expired code") {
            replay.sandbox.expire_codes();
        }
        replay.check(exchange).await;
    }
    replay.done(30);
}

#[tokio::test]
async fn refreshes() {
    let (Some(mut replay), Some(exchanges)) = (Replay::new().await, recording("03_refresh.json"))
    else {
        return;
    };
    for exchange in &exchanges {
        let name = &exchange.name;
        if let Some(why) = not_replayable(&replay, exchange) {
            replay.skip(exchange, why);
            continue;
        }
        if name.contains("parallel") {
            replay.skip(exchange, "the result of a race is random");
            continue;
        }
        let revoking = exchange.request.path.contains("revoke");
        let revoked =
            field(&exchange.request.body, "token").filter(|token| revoking && token.len() == 30);
        if let Some(recorded) = revoked {
            let tokens = replay.sandbox.issue_tokens(ALICE);
            let refresh = exchange.request.body.contains("token_type_hint=refresh");
            let bearer = exchanges
                .iter()
                .skip_while(|other| other.name != *name)
                .nth(1);
            let bearer = bearer.and_then(|next| next.request.headers.get("Authorization"));
            let access = bearer
                .and_then(|value| value.strip_prefix("Bearer "))
                .unwrap_or_default()
                .to_owned();
            let next = exchanges
                .iter()
                .skip_while(|other| other.name != *name)
                .find_map(|other| {
                    (other.name.contains("its access token was revoked"))
                        .then(|| field(&other.request.body, "refresh_token"))
                });
            replay
                .substitutes
                .insert(access, tokens.access_token.clone());
            if refresh {
                replay.substitutes.insert(recorded, tokens.refresh_token);
            } else {
                replay.substitutes.insert(recorded, tokens.access_token);
                if let Some(Some(next)) = next {
                    replay.substitutes.insert(next, tokens.refresh_token);
                }
            }
        }
        if name.starts_with("expired") {
            let recorded = &exchange.request.headers["Authorization"]["Bearer ".len()..];
            replay.token(recorded, false);
            replay.sandbox.expire_tokens(ALICE);
        }
        if name.contains("old access token") || name.contains("old refresh token") {
            // The tokens that the first refresh replaced.
            let recorded = field(&exchange.request.body, "refresh_token");
            let bearer = exchange
                .request
                .headers
                .get("Authorization")
                .and_then(|value| value.strip_prefix("Bearer "));
            let recorded = recorded
                .or_else(|| bearer.map(str::to_owned))
                .expect("a token");
            replay
                .substitutes
                .entry(recorded)
                .or_insert_with(|| "replacedreplacedreplacedreplac".into());
        }
        if name.contains("using an access token") {
            let recorded = field(&exchange.request.body, "refresh_token").expect("a token");
            replay.token(&recorded, false);
        }
        replay.check(exchange).await;
    }
    replay.done(20);
}

/// Replays a topic of the project API.
async fn api(topic: &str, at_least: usize, skip: impl Fn(&Exchange) -> Option<&'static str>) {
    let (Some(mut replay), Some(exchanges)) = (Replay::new().await, recording(topic)) else {
        return;
    };
    for exchange in &exchanges {
        let why = not_replayable(&replay, exchange).or_else(|| skip(exchange));
        if let Some(why) = why {
            replay.skip(exchange, why);
            continue;
        }
        let name = &exchange.name;
        let bob = name.split_whitespace().next() == Some("bob") || name.contains("inactive user");
        if let Some(token) = exchange
            .request
            .headers
            .get("Authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            && bob
        {
            let tokens = replay.sandbox.issue_tokens(BOB);
            replay
                .substitutes
                .insert(token.to_owned(), tokens.access_token);
        }
        if name.contains("expired master") {
            replay.sandbox.expire_master_token();
        } else if name.contains("master token is expired") {
            // The member's token remains valid.
        } else {
            replay.sandbox.renew_master_token();
        }
        if name.contains("expired member token") {
            replay
                .substitutes
                .retain(|recorded, _| recorded.len() != 30);
            let bearer = exchange
                .request
                .headers
                .get("Authorization")
                .and_then(|value| value.strip_prefix("Bearer "));
            let token = bearer
                .map(str::to_owned)
                .or_else(|| field(&exchange.request.query, "access_token"));
            replay.token(&token.expect("a token"), false);
            replay.sandbox.expire_tokens(ALICE);
        } else if name.starts_with("project/ inactive") {
            replay
                .substitutes
                .retain(|recorded, _| recorded.len() != 30);
        }
        if topic.starts_with("09") {
            seed(&mut replay, exchange);
        }
        replay.check(exchange).await;
    }
    replay.done(at_least);
}

/// Adds the file that a request is about.
fn seed(replay: &mut Replay, exchange: &Exchange) {
    let request: Value = serde_json::from_str(&exchange.request.body).unwrap_or(Value::Null);
    let form = field(&exchange.request.body, "file_id");
    let id = form.or_else(|| match &request["file_id"] {
        Value::Number(id) => Some(id.to_string()),
        Value::String(id) => Some(id.clone()),
        _ => None,
    });
    let Some(id) = id.filter(|id| id.len() == 3 && id.parse::<u64>().is_ok()) else {
        return;
    };
    if replay.substitutes.contains_key(&id) {
        return;
    }
    let name = &exchange.name;
    let file = if name.contains("other member") || name.starts_with("master") {
        replay.sandbox.add_file(BOB, "x.txt", b"x", metadata())
    } else {
        replay.sandbox.add_file(ALICE, "x.txt", b"x", metadata())
    };
    let file = file.expect("a file").to_string();
    if name.contains("incomplete") {
        replay.sandbox.delete_account("nobody");
        replay.substitutes.insert(id, "99999998".into());
    } else {
        replay.substitutes.insert(id, file);
    }
}

#[tokio::test]
async fn project_and_authentication() {
    api("04_project_and_auth_errors.json", 28, |exchange| {
        let name = exchange.name.to_lowercase();
        if name.contains("preflight") {
            return Some("the headers of the preflight request were not recorded");
        }
        if name.contains("gptbot") {
            return Some("the sandbox does not block user agents");
        }
        if name.contains("post form body") {
            return Some("the cause of its challenge does not exist in the sandbox");
        }
        name.contains("inactive project")
            .then_some("only one flag differs")
    })
    .await;
}

#[tokio::test]
async fn exchange_member() {
    api("05_exchange_member.json", 7, |_| None).await;
}

#[tokio::test]
async fn simple_uploads() {
    api("06_files_upload.json", 55, |_| None).await;
}

#[tokio::test]
async fn direct_uploads() {
    api("07_files_direct.json", 25, |exchange| {
        let name = exchange.name.to_lowercase();
        let put = exchange.request.path.ends_with("/complete/") && exchange.response.status == 200;
        (put || name.contains("(count)"))
            .then_some("the upload to the object store is not replayed")
    })
    .await;
}

#[tokio::test]
async fn deleting() {
    api("09_files_delete.json", 24, |_| None).await;
}

#[tokio::test]
async fn paging() {
    api("10_pagination.json", 14, |_| None).await;
}

#[tokio::test]
async fn members() {
    api("11_members.json", 6, |_| None).await;
}

#[tokio::test]
async fn messages() {
    api("12_message.json", 34, |_| None).await;
}

#[tokio::test]
async fn public_data() {
    api("15_public_api.json", 25, |exchange| {
        let named = exchange.request.path.contains("/datafile/");
        (named && exchange.response.status == 200).then_some("the sandbox has no such file")
    })
    .await;
}

#[tokio::test]
async fn replay_uses_recorded_credentials() {
    let Some(replay) = Replay::new().await else {
        return;
    };
    assert_eq!(replay.sandbox.client_id(), replay.credentials.0);
    assert_eq!(replay.sandbox.client_secret(), replay.credentials.1);
}
