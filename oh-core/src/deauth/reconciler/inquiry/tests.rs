use super::*;
use crate::Timestamp;
use crate::deauth::test_support::{Setting, at};
use crate::store::{MemoryStore, TokenStore};

/// An Open Humans that knows everyone. The member's record changes while it answers.
struct Meanwhile {
    store: Arc<MemoryStore>,
    change: fn(&MemberRecord) -> MemberRecord,
}

#[async_trait]
impl Membership for Meanwhile {
    async fn status(&self, member: &ProjectMemberId) -> Result<MembershipStatus, Error> {
        let before = self.store.load(member).await.unwrap().unwrap();
        let next = (self.change)(&before);
        let put = self.store.put(&next, Some(before.version)).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
        Ok(MembershipStatus::Authorized)
    }

    async fn listed(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        Ok(None)
    }
}

const LATER: Timestamp = Timestamp::from_micros(1_600_000_100_000_000);

/// Asks about a member of whom nothing was heard since second 0, at second 100. Gives the record as
/// it was before, and as it is afterwards.
async fn asked_while(change: fn(&MemberRecord) -> MemberRecord) -> (MemberRecord, MemberRecord) {
    let setting = Setting::new();
    setting.authorize(1, at(0)).await;
    let observed = setting.record(1).await.unwrap();
    let inquiry = Inquiry {
        deauthorizer: setting.deauthorizer.clone(),
        membership: Arc::new(Meanwhile {
            store: setting.store.clone(),
            change,
        }),
    };
    let standing = inquiry.about(&observed).await.unwrap();
    assert_eq!(standing, MembershipStatus::Authorized);
    (observed, setting.record(1).await.unwrap())
}

#[tokio::test]
async fn whoever_read_the_record_before_the_answer_cannot_write_over_it() {
    let (observed, stored) = asked_while(MemberRecord::clone).await;
    assert_eq!(stored.confirmed_at, at(100));
    assert_ne!(stored.version, observed.version);
}

#[tokio::test]
async fn a_refresh_for_the_question_does_not_hide_the_answer() {
    let (_, stored) = asked_while(|record| MemberRecord {
        username: Some("new".into()),
        version: Version::fresh(),
        ..record.clone()
    })
    .await;
    assert_eq!(stored.confirmed_at, at(100));
    assert_eq!(stored.username.as_deref(), Some("new"), "and is kept");
}

#[tokio::test]
async fn an_answer_about_a_member_who_left_meanwhile_is_not_kept() {
    let (_, stored) = asked_while(|record| record.deauthorized(LATER)).await;
    assert_eq!(stored.confirmed_at, at(0));
    assert_eq!(stored.deauthorized_at, Some(LATER));
    // Whatever became of the epoch.
    let (_, stored) = asked_while(|record| MemberRecord {
        epoch: record.epoch,
        ..record.deauthorized(LATER)
    })
    .await;
    assert_eq!(stored.confirmed_at, at(0));
}

#[tokio::test]
async fn an_answer_about_an_earlier_epoch_is_not_kept() {
    let (observed, stored) = asked_while(|record| MemberRecord {
        epoch: record.epoch.advance(LATER),
        version: Version::fresh(),
        ..record.clone()
    })
    .await;
    assert_eq!(stored.confirmed_at, at(0));
    assert!(stored.epoch > observed.epoch);
}
