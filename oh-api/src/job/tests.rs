//! Jobs with a mock transport. The contract suite tests them with the sandbox.

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
async fn job_reads_changed_list_until_all_members_are_processed() {
    let mock = MockTransport::new();
    // A member moves to the first page between the requests: one is a duplicate, one is missing.
    mock.respond(200, page(4, &[1, 2], Some(2)))
        .respond(200, page(4, &[2, 4], None))
        .respond(200, page(4, &[3, 1, 2, 4], None));
    let processed = Mutex::new(Vec::new());
    let project = mock.client().project("m");
    let report = project
        .for_each_member(&MemberJob::new(), async |member| {
            processed.lock().unwrap().push(member.id().to_string());
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((report.done, report.members()), (4, 4));
    let processed = processed.into_inner().unwrap();
    assert_eq!(processed, ["00000001", "00000002", "00000004", "00000003"]);
    assert_eq!(mock.requests().len(), 3);
}

#[tokio::test]
async fn job_ends_if_member_count_is_never_reached() {
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
async fn failed_member_list_ends_job_and_keeps_journal() {
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
        .for_each_member(&job, async |member| {
            assert_eq!(member.id().as_str(), "00000002");
            Ok(())
        })
        .await;
    let report = report.unwrap();
    assert_eq!((report.done, report.already_done), (1, 1));
    assert!(!path.exists(), "all members are finished");
}

#[tokio::test(start_paused = true)]
async fn job_retries_only_temporary_errors() {
    let mock = MockTransport::new();
    mock.respond(200, page(3, &[1, 2, 3], None));
    let attempts = AtomicU64::new(0);
    let job = MemberJob::new().retries(RetryPolicy::default().attempts(3));
    let project = mock.client().project("m");
    let report = project
        .for_each_member(&job, async |member| {
            attempts.fetch_add(1, Ordering::Relaxed);
            match (member.id().as_str(), member.attempt()) {
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
async fn job_ends_only_if_master_token_is_rejected() {
    let refused = || Error::Unauthorized {
        detail: "Invalid token.".into(),
    };
    let mock = MockTransport::new();
    let project = mock.client().project("m");
    let job = MemberJob::new().concurrency(1);
    mock.respond(200, page(2, &[1, 2], None)).respond(200, "{}");
    let report = project
        .for_each_member(&job, async |member| match member.id().as_str() {
            "00000001" => Err(refused().into()),
            _ => Ok(()),
        })
        .await
        .unwrap();
    assert_eq!((report.done, report.failed.len()), (1, 1));

    mock.respond(200, page(2, &[1, 2], None))
        .respond(401, r#"{"detail":"Expired token."}"#);
    let calls = AtomicU64::new(0);
    let ended = project
        .for_each_member(&job, async |_| {
            calls.fetch_add(1, Ordering::Relaxed);
            Err(refused().into())
        })
        .await;
    assert!(matches!(ended, Err(Error::Expired)));
    assert_eq!(calls.into_inner(), 1);
}

#[tokio::test]
async fn job_can_run_in_spawned_task() {
    let mock = MockTransport::new();
    mock.respond(200, page(1, &[1], None));
    let project = mock.client().project("m");
    let reports = Arc::new(Mutex::new(Vec::new()));
    let job = MemberJob::new().on_progress({
        let reports = Arc::clone(&reports);
        move |progress| {
            let counts = (progress.members, progress.of_members);
            reports.lock().unwrap().push(counts);
        }
    });
    let note = String::from("in the task");
    let run = tokio::spawn(async move {
        let process = async |member: JobMember| {
            assert_eq!(note, "in the task");
            member.files().try_next().await?;
            Ok(())
        };
        project.for_each_member(&job, process).await
    });
    assert_eq!(run.await.unwrap().unwrap().done, 1);
    assert_eq!(*reports.lock().unwrap(), [(1, Some(1))]);
}
