use std::sync::Arc;

use http::Request;
use serde_json::json;

use super::{Visit, app, json};
use crate::deauth::test_support::FaultyInbox;
use crate::routes::pages::probes;

#[tokio::test]
async fn one_store_that_does_not_answer_is_one_too_many() {
    let inbox = Arc::new(FaultyInbox::default());
    let visit = Visit::of(
        app().deauth_inbox(inbox.clone()),
        Request::get("/openhumans/ready"),
    );
    let ready = probes::ready(&visit.cx()).await;
    assert_eq!(ready.response.status(), 200);
    let all = json!({ "status": "ok", "token_store": "ok", "deauth_inbox": "ok" });
    assert_eq!(json(ready), all);

    inbox.set_down(true);
    let ready = probes::ready(&visit.cx()).await;
    assert_eq!(ready.response.status(), 503);
    let not_all =
        json!({ "status": "unavailable", "token_store": "ok", "deauth_inbox": "unavailable" });
    assert_eq!(json(ready), not_all);
}
