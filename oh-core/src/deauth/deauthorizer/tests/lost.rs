//! Members whose tokens were lost, and records that others write at the same time.

use super::*;

#[tokio::test]
async fn whoever_was_lost_and_is_not_any_more_is_not_found_gone() {
    let record = authorized(at(0));
    let setting = Setting::with(&record).await;
    let lost = setting
        .deauthorizer
        .report_token_loss(&record)
        .await
        .unwrap();
    assert!(lost.is_some());
    let observed = setting.record().await.unwrap();
    assert!(observed.has_lost_tokens());
    setting
        .change(|record| record.refresh_unanswered = false)
        .await;
    let found = setting
        .deauthorizer
        .report_missing(&observed)
        .await
        .unwrap();
    assert_eq!(found, None);
}

/// As where the tokens went with the acceptance.
#[tokio::test]
async fn nobody_undoes_unawares_that_a_member_is_lost() {
    let record = authorized(at(0));
    let setting = Setting::with(&record).await;
    let deauthorizer = &setting.deauthorizer;
    let event = deauthorizer.own_event(&record, ErasureRequest::Unknown, Discovery::TokenLoss);
    setting
        .change(|record| *record = record.deauthorized(at(100)))
        .await;
    let before = setting.record().await.unwrap();
    let ready = deauthorizer.ready(&event, TokenProgress::Destroyed);
    assert_eq!(ready.await.unwrap(), Ready::Yes);
    assert!(setting.record().await.unwrap().has_lost_tokens());
    let late = MemberRecord {
        version: Version::fresh(),
        ..before.clone()
    };
    let put = setting.store.put(&late, Some(before.version)).await;
    assert_eq!(put.unwrap(), PutOutcome::Conflict);
}

/// A store where someone else comes first with every other write of a record.
#[derive(Default)]
struct Contended {
    inner: MemoryStore,
    puts: AtomicUsize,
}

#[async_trait]
impl TokenStore for Contended {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        self.inner.load(member).await
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        let second = self.puts.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        if let Some(stored) = self.inner.load(&record.member).await?
            && second
        {
            let theirs = MemberRecord {
                version: Version::fresh(),
                ..stored.clone()
            };
            let put = self.inner.put(&theirs, Some(stored.version)).await?;
            assert_eq!(put, PutOutcome::Stored);
        }
        self.inner.put(record, expected).await
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        self.inner.remove(member, expected).await
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        self.inner.page(after, limit).await
    }
}

#[tokio::test]
async fn whoever_writes_at_the_same_time_keeps_no_tokens_and_no_mark_away() {
    let record = authorized(at(0));
    let store = Contended::default();
    let put = store.inner.put(&record, None).await;
    assert_eq!(put.unwrap(), PutOutcome::Stored);
    let setting = Setting::new(store);
    let lost = setting
        .deauthorizer
        .report_token_loss(&record)
        .await
        .unwrap();
    assert!(lost.is_some());
    let left = setting.record().await.unwrap();
    assert!(!left.is_authorized(), "the tokens are destroyed");
    assert!(left.has_lost_tokens(), "and the member may be there still");
}
