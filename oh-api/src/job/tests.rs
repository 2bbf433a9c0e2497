//! Jobs against a script; the sandbox plays the rest in the contract suite.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::test_support::MockTransport;

fn member(id: u32) -> String {
    format!(r#"{{"project_member_id":"{id:08}","file_count":0,"data":[]}}"#)
}

fn page(count: u32, ids: &[u32], next: Option<u32>) -> String {
    let next =
        next.map(|offset| format!("\"/api/direct-sharing/project/members/?offset={offset}\""));
    let members: Vec<String> = ids.iter().map(|id| member(*id)).collect();
    format!(
        r#"{{"count":{count},"next":{},"results":[{}]}}"#,
        next.as_deref().unwrap_or("null"),
        members.join(",")
    )
}

#[tokio::test]
async fn a_list_that_shifts_is_read_until_everyone_was_met() {
    let mock = MockTransport::new();
    // Someone moves to the first page while the second is fetched: one is met twice, one is missed.
    mock.respond(200, page(4, &[1, 2], Some(2)))
        .respond(200, page(4, &[2, 4], None))
        .respond(200, page(4, &[3, 1, 2, 4], None));
    let visited = Mutex::new(Vec::new());
    let project = mock.client().project("m");
    let report = project
        .for_each_member(&MemberJob::new(), async |visit| {
            visited.lock().unwrap().push(visit.id().to_string());
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((report.done, report.members()), (4, 4));
    let visited = visited.into_inner().unwrap();
    assert_eq!(visited, ["00000001", "00000002", "00000004", "00000003"]);
    assert_eq!(mock.requests().len(), 3);
}

#[tokio::test]
async fn a_count_that_is_never_reached_ends_all_the_same() {
    let mock = MockTransport::new();
    for _ in 0..MAX_PASSES {
        mock.respond(200, page(9, &[1], None));
    }
    let project = mock.client().project("m");
    let report = project
        .for_each_member(&MemberJob::new(), async |_| Ok(()))
        .await;
    assert_eq!(report.unwrap().done, 1);
}

#[tokio::test]
async fn a_list_that_breaks_off_ends_the_run_and_keeps_who_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("done");
    let job = MemberJob::new().resume(&path);
    let mock = MockTransport::new();
    let project = mock.client().project("m");
    mock.respond(200, page(2, &[1], Some(1)))
        .respond(401, r#"{"detail":"Expired token."}"#);
    let broken = project.for_each_member(&job, async |_| Ok(())).await;
    assert!(matches!(broken, Err(Error::Expired)));

    mock.respond(200, page(2, &[1, 2], None));
    let report = project
        .for_each_member(&job, async |visit| {
            assert_eq!(visit.id().as_str(), "00000002");
            Ok(())
        })
        .await;
    let report = report.unwrap();
    assert_eq!((report.done, report.already_done), (1, 1));
    assert!(!path.exists(), "everyone is done");
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let mock = MockTransport::new();
    mock.respond(200, page(3, &[1, 2, 3], None));
    let attempts = AtomicU64::new(0);
    let job = MemberJob::new().retries(RetryPolicy::default().attempts(3));
    let project = mock.client().project("m");
    let report = project
        .for_each_member(&job, async |visit| {
            attempts.fetch_add(1, Ordering::Relaxed);
            match (visit.id().as_str(), visit.attempt()) {
                ("00000001", 1 | 2) => Err(AppError::temporary("locked")),
                ("00000001", 3) => Ok(()),
                ("00000002", 1) => Err(AppError::permanent("no such column")),
                ("00000003", 1) => Err(Error::Deauthorized.into()),
                other => panic!("{other:?}"),
            }
        })
        .await
        .unwrap();
    assert_eq!((report.done, report.left), (1, 1));
    assert_eq!(report.failed[0].error.to_string(), "no such column");
    assert_eq!(attempts.into_inner(), 5);
    assert!(!report.is_complete());
}

#[tokio::test]
async fn a_token_of_one_member_ends_nothing_and_the_projects_ends_all() {
    let refused = || Error::Unauthorized {
        detail: "Invalid token.".into(),
    };
    let mock = MockTransport::new();
    let project = mock.client().project("m");
    let job = MemberJob::new().concurrency(1);
    mock.respond(200, page(2, &[1, 2], None)).respond(200, "{}");
    let report = project
        .for_each_member(&job, async |visit| match visit.id().as_str() {
            "00000001" => Err(refused().into()),
            _ => Ok(()),
        })
        .await
        .unwrap();
    assert_eq!((report.done, report.failed.len()), (1, 1));

    mock.respond(200, page(2, &[1, 2], None))
        .respond(401, r#"{"detail":"Expired token."}"#);
    let visits = AtomicU64::new(0);
    let ended = project
        .for_each_member(&job, async |_| {
            visits.fetch_add(1, Ordering::Relaxed);
            Err(refused().into())
        })
        .await;
    assert!(matches!(ended, Err(Error::Expired)));
    assert_eq!(visits.into_inner(), 1);
}

#[tokio::test]
async fn a_run_can_be_a_task_of_its_own() {
    let mock = MockTransport::new();
    mock.respond(200, page(1, &[1], None));
    let project = mock.client().project("m");
    let told = Arc::new(Mutex::new(Vec::new()));
    let job = MemberJob::new().on_progress({
        let told = Arc::clone(&told);
        move |progress| {
            let what = (progress.members, progress.of_members);
            told.lock().unwrap().push(what);
        }
    });
    let note = String::from("in the task");
    let run = tokio::spawn(async move {
        let visit = async |visit: JobMember| {
            assert_eq!(note, "in the task");
            visit.files().try_next().await?;
            Ok(())
        };
        project.for_each_member(&job, visit).await
    });
    assert_eq!(run.await.unwrap().unwrap().done, 1);
    assert_eq!(*told.lock().unwrap(), [(1, Some(1))]);
}
