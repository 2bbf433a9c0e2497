//! Jobs over all members, through the sandbox.

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

use crate::world::{ALICE, BOB, in_sandbox};

#[path = "../../../oh-api/examples/background-job.rs"]
#[allow(dead_code, reason = "its main is for the command line")]
mod background_job;

fn report() -> Upload {
    Upload::bytes("report.txt", "all is well")
}

async fn store(visit: JobMember) -> Result<(), AppError> {
    visit.upload_if_absent(report(), MatchBy::Name).await?;
    Ok(())
}

#[tokio::test]
async fn everyone_is_visited_once_with_no_request_to_look_and_a_second_run_does_nothing() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(249);
        for i in 0..11 {
            sandbox.add_file(ALICE, &format!("{i}.txt"), b"x", json!({}));
        }
        sandbox.reset_stats();
        let job = MemberJob::new().concurrency(8);
        let run = world.project.for_each_member(&job, store).await.unwrap();
        assert_eq!((run.done, run.members()), (250, 250));
        assert_eq!(sandbox.count(Endpoint::Upload), 250);
        assert_eq!(sandbox.count(Endpoint::Members), 3);
        // Alice has more files than the list brings along.
        assert_eq!(sandbox.count(Endpoint::ExchangeMember), 1);

        let run = world.project.for_each_member(&job, store).await.unwrap();
        assert_eq!(run.done, 250);
        assert_eq!(sandbox.count(Endpoint::Upload), 250);
        assert_eq!(
            sandbox.files(BOB).len(),
            0,
            "who has not joined gets nothing"
        );
    })
    .await;
}

#[tokio::test]
async fn so_many_are_visited_at_a_time_and_no_more() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(29);
        let (here, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let crowd = Semaphore::new(0);
        let job = MemberJob::new().concurrency(5);
        let run = world.project.for_each_member(&job, async |_| {
            let now = here.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            if now == 5 {
                crowd.add_permits(30);
            }
            // Nobody goes on before five are here at once.
            crowd.acquire().await.unwrap().forget();
            here.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        });
        let run = tokio::time::timeout(Duration::from_secs(60), run).await;
        assert_eq!(run.expect("five come at once").unwrap().done, 30);
        assert_eq!(most.into_inner(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_run_that_broke_off_goes_on_where_it_was() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(40);
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("job.done");
        let visited = Mutex::new(BTreeSet::new());
        let job = MemberJob::new().concurrency(3).resume(&journal);
        let stop = Semaphore::new(0);
        let first = world.project.for_each_member(&job, async |visit| {
            if visited.lock().unwrap().len() == 20 {
                stop.add_permits(1);
                std::future::pending::<()>().await;
            }
            visited.lock().unwrap().insert(visit.id().clone());
            Ok(())
        });
        // The process ends while some are being visited.
        tokio::select! {
            _ = first => panic!("it should hang"),
            _ = stop.acquire_many(3) => {}
        }
        let before = visited.lock().unwrap().clone();
        let told = Mutex::new(0);
        let second = world
            .project
            .for_each_member(&job, async |visit| {
                assert!(!before.contains(visit.id()), "visited twice");
                *told.lock().unwrap() += 1;
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!((second.done, second.already_done), (21, 20));
        assert!(!journal.exists(), "the next run begins anew");
    })
    .await;
}

#[tokio::test]
async fn who_fails_is_visited_again_by_this_run_and_by_the_next() {
    in_sandbox(async |world, sandbox| {
        sandbox.join(BOB);
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("job.done");
        let quickly = RetryPolicy::default()
            .attempts(2)
            .first_delay(Duration::from_millis(1));
        let client = world.server.clone().retries(RetryPolicy::none());
        let project = client.project(world.master().clone());
        let job = MemberJob::new()
            .concurrency(1)
            .retries(quickly)
            .resume(&journal);
        // The upload arrives and its answer does not: trying again must not store it twice.
        sandbox.fault_next(Endpoint::Upload, 1, Fault::Html500After);
        let run = project.for_each_member(&job, store).await.unwrap();
        assert_eq!((run.done, run.failed.len()), (2, 0));
        for member in [ALICE, BOB] {
            assert_eq!(sandbox.files(member).len(), 1, "{member}");
        }

        sandbox.fault_next(Endpoint::Message, 2, Fault::page(500));
        let write = async |visit: JobMember| {
            visit.client().message(&Message::new("hello")).await?;
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
async fn who_leaves_meanwhile_is_no_failure() {
    in_sandbox(async |world, sandbox| {
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
        let run = world.project.for_each_member(&job, async |visit| {
            if visit.id().as_str() == BOB {
                sandbox.leave(BOB, false).await;
            }
            store(visit).await
        });
        let run = run.await.unwrap();
        assert_eq!((run.done, run.left, run.failed.len()), (1, 1, 0));
        let told = outcomes.lock().unwrap();
        let left: Vec<_> = told.iter().filter(|(_, left)| *left).collect();
        assert_eq!((told.len(), left.len(), left[0].0.as_str()), (2, 1, BOB));
    })
    .await;
}

#[tokio::test]
async fn what_a_visit_has_stored_is_seen_by_its_next_look() {
    in_sandbox(async |world, sandbox| {
        let job = MemberJob::new();
        let run = world.project.for_each_member(&job, async |visit| {
            for round in 0..2 {
                let upload = report().with_md5();
                let came = visit.upload_if_absent(upload, MatchBy::NameAndMd5).await?;
                assert_eq!(matches!(came, UploadOutcome::Uploaded(_)), round == 0);
            }
            let mut files = visit.files();
            assert_eq!(files.try_next().await?.unwrap().basename, "report.txt");
            Ok(())
        });
        assert_eq!(run.await.unwrap().done, 1);
        assert_eq!(sandbox.files(ALICE).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_example_gives_everyone_one_report() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(12);
        sandbox.add_shared_file(ALICE, "shared.txt", b"x", json!({}));
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("report.done");
        let journal = journal.to_str().unwrap();
        for _ in 0..2 {
            let run = background_job::report(&world.project, "2026-11", journal).await;
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
async fn a_master_token_that_expires_ends_the_run_and_the_next_goes_on() {
    in_sandbox(async |world, sandbox| {
        sandbox.populate(9);
        let dir = tempfile::tempdir().unwrap();
        let job = MemberJob::new()
            .concurrency(1)
            .resume(dir.path().join("done"));
        let visits = AtomicUsize::new(0);
        let run = world.project.for_each_member(&job, async |visit| {
            if visits.fetch_add(1, Ordering::SeqCst) == 4 {
                sandbox.expire_master_token();
            }
            store(visit).await
        });
        assert!(matches!(run.await, Err(Error::Expired)));
        assert_eq!(visits.into_inner(), 5);
        sandbox.renew_master_token();
        let run = world.project.for_each_member(&job, store).await.unwrap();
        assert_eq!((run.done, run.already_done), (6, 4));
        assert_eq!(sandbox.count(Endpoint::Upload), 5 + 6, "one was refused");
    })
    .await;
}
