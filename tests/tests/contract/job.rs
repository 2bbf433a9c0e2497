//! Jobs over all members.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oh_core::Error;
use oh_core::api::job::{JobMember, MemberJob, MemberOutcome};
use oh_core::api::{AppError, MatchBy, Message, RetryPolicy, Upload, UploadOutcome};
use oh_sandbox::{Endpoint, Fault};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::server::{ALICE, BOB, in_sandbox};

#[path = "../../../oh-api/examples/background-job.rs"]
#[allow(dead_code, reason = "the example has a main function")]
mod background_job;

fn report() -> Upload {
    Upload::bytes("report.txt", "all is well")
}

async fn store(member: JobMember) -> Result<(), AppError> {
    member.upload_if_absent(report(), MatchBy::Name).await?;
    Ok(())
}

#[tokio::test]
async fn job_uploads_once_per_member_across_runs() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(249);
        for i in 0..11 {
            sandbox.add_file(ALICE, &format!("{i}.txt"), b"x", json!({}));
        }
        sandbox.reset_stats();
        let job = MemberJob::new().concurrency(8);
        let run = server.project.for_each_member(&job, store).await.unwrap();
        assert_eq!((run.done, run.members()), (250, 250));
        assert_eq!(sandbox.count(Endpoint::Upload), 250);
        assert_eq!(sandbox.count(Endpoint::Members), 3);
        // Alice has more files than the member list contains.
        assert_eq!(sandbox.count(Endpoint::ExchangeMember), 1);

        let run = server.project.for_each_member(&job, store).await.unwrap();
        assert_eq!(run.done, 250);
        assert_eq!(sandbox.count(Endpoint::Upload), 250);
        assert_eq!(sandbox.files(BOB).len(), 0, "Bob has not joined");
    })
    .await;
}

#[tokio::test]
async fn job_respects_concurrency() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(29);
        let (active, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all_active = Semaphore::new(0);
        let job = MemberJob::new().concurrency(5);
        let run = server.project.for_each_member(&job, async |_| {
            let now = active.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            if now == 5 {
                all_active.add_permits(30);
            }
            all_active.acquire().await.unwrap().forget();
            active.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        });
        let run = tokio::time::timeout(Duration::from_secs(60), run).await;
        assert_eq!(
            run.expect("five members are processed at a time")
                .unwrap()
                .done,
            30
        );
        assert_eq!(peak.into_inner(), 5);
    })
    .await;
}

#[tokio::test]
async fn job_resumes_after_interruption() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(40);
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("job.done");
        let processed = Mutex::new(BTreeSet::new());
        let job = MemberJob::new().concurrency(3).resume(&journal);
        let stop = Semaphore::new(0);
        let first = server.project.for_each_member(&job, async |member| {
            if processed.lock().unwrap().len() == 20 {
                stop.add_permits(1);
                std::future::pending::<()>().await;
            }
            processed.lock().unwrap().insert(member.id().clone());
            Ok(())
        });
        // The job is dropped while members are being processed.
        tokio::select! {
            _ = first => panic!("the job must not end"),
            _ = stop.acquire_many(3) => {}
        }
        let before = processed.lock().unwrap().clone();
        let second = server
            .project
            .for_each_member(&job, async |member| {
                assert!(
                    !before.contains(member.id()),
                    "a member was processed twice"
                );
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!((second.done, second.already_done), (21, 20));
        assert!(!journal.exists(), "the journal is removed");
    })
    .await;
}

#[tokio::test]
async fn failed_member_is_retried_in_this_and_next_run() {
    in_sandbox(async |server, sandbox| {
        sandbox.join(BOB);
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("job.done");
        let quickly = RetryPolicy::default()
            .attempts(2)
            .first_delay(Duration::from_millis(1));
        let client = server.client.clone().retries(RetryPolicy::none());
        let project = client.project(server.master().clone());
        let job = MemberJob::new()
            .concurrency(1)
            .retries(quickly)
            .resume(&journal);
        // The server stores the upload and responds 500.
        sandbox.fault_next(Endpoint::Upload, 1, Fault::Html500After);
        let run = project.for_each_member(&job, store).await.unwrap();
        assert_eq!((run.done, run.failed.len()), (2, 0));
        for member in [ALICE, BOB] {
            assert_eq!(sandbox.files(member).len(), 1, "{member}");
        }

        sandbox.fault_next(Endpoint::Message, 2, Fault::page(500));
        let write = async |member: JobMember| {
            member.client().message(&Message::new("hello")).await?;
            Ok(())
        };
        let run = project.for_each_member(&job, write).await.unwrap();
        assert_eq!((run.done, run.failed.len()), (1, 1));
        assert!(matches!(
            run.failed[0].error.api(),
            Some(Error::Server { .. })
        ));
        assert!(!run.is_complete() && journal.exists());
        let run = project.for_each_member(&job, write).await.unwrap();
        assert_eq!((run.done, run.already_done), (1, 1));
        assert!(run.is_complete() && !journal.exists());
        assert_eq!(sandbox.messages().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn member_who_leaves_during_job_is_not_failed() {
    in_sandbox(async |server, sandbox| {
        sandbox.join(BOB);
        let outcomes = std::sync::Arc::new(Mutex::new(Vec::new()));
        let job = MemberJob::new().concurrency(1).on_progress({
            let outcomes = outcomes.clone();
            move |progress| {
                let left = matches!(progress.outcome, MemberOutcome::Left);
                outcomes
                    .lock()
                    .unwrap()
                    .push((progress.member.clone(), left));
            }
        });
        let run = server.project.for_each_member(&job, async |member| {
            if member.id().as_str() == BOB {
                sandbox.leave(BOB, false).await;
            }
            store(member).await
        });
        let run = run.await.unwrap();
        assert_eq!((run.done, run.left, run.failed.len()), (1, 1, 0));
        let outcomes = outcomes.lock().unwrap();
        let left: Vec<_> = outcomes.iter().filter(|(_, left)| *left).collect();
        assert_eq!(
            (outcomes.len(), left.len(), left[0].0.as_str()),
            (2, 1, BOB)
        );
    })
    .await;
}

#[tokio::test]
async fn job_member_sees_its_own_uploads() {
    in_sandbox(async |server, sandbox| {
        let job = MemberJob::new();
        let run = server.project.for_each_member(&job, async |member| {
            for attempt in 0..2 {
                let upload = report().with_md5();
                let outcome = member.upload_if_absent(upload, MatchBy::NameAndMd5).await?;
                assert_eq!(matches!(outcome, UploadOutcome::Uploaded(_)), attempt == 0);
            }
            let mut files = member.files();
            assert_eq!(files.try_next().await?.unwrap().basename, "report.txt");
            Ok(())
        });
        assert_eq!(run.await.unwrap().done, 1);
        assert_eq!(sandbox.files(ALICE).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn example_job_uploads_one_report_per_member() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(12);
        sandbox.add_shared_file(ALICE, "shared.txt", b"x", json!({}));
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("report.done");
        let journal = journal.to_str().unwrap();
        for _ in 0..2 {
            let run = background_job::report(&server.project, "2026-11", journal).await;
            assert_eq!(run.unwrap().done, 13);
        }
        let report = sandbox.files(ALICE).pop().unwrap();
        assert_eq!(report.basename, "report-2026-11.txt");
        let text = String::from_utf8(sandbox.file_content(report.id).unwrap()).unwrap();
        assert!(text.contains("could see 1 of your files"), "{text}");
        assert_eq!(sandbox.count(Endpoint::Upload), 13);
    })
    .await;
}

#[tokio::test]
async fn expired_master_token_ends_job_and_next_run_resumes() {
    in_sandbox(async |server, sandbox| {
        sandbox.populate(9);
        let dir = tempfile::tempdir().unwrap();
        let job = MemberJob::new()
            .concurrency(1)
            .resume(dir.path().join("done"));
        let processed = AtomicUsize::new(0);
        let run = server.project.for_each_member(&job, async |member| {
            if processed.fetch_add(1, Ordering::SeqCst) == 4 {
                sandbox.expire_master_token();
            }
            store(member).await
        });
        assert!(matches!(run.await, Err(Error::Expired)));
        assert_eq!(processed.into_inner(), 5);
        sandbox.renew_master_token();
        let run = server.project.for_each_member(&job, store).await.unwrap();
        assert_eq!((run.done, run.already_done), (6, 4));
        assert_eq!(
            sandbox.count(Endpoint::Upload),
            5 + 6,
            "one upload was rejected"
        );
    })
    .await;
}
