use super::*;
use crate::Timestamp;
use crate::deauth::test_support::{Setting, at, change};
use crate::store::MemoryStore;

/// Knows every member, whose record changes before the response.
struct ChangesRecord {
    store: Arc<MemoryStore>,
    change: fn(&mut MemberRecord),
}

#[async_trait]
impl Membership for ChangesRecord {
    async fn status(&self, member: &ProjectMemberId) -> Result<MembershipStatus, Error> {
        let number = member.as_str().parse().unwrap();
        change(&*self.store, number, self.change).await;
        Ok(MembershipStatus::Authorized)
    }

    async fn status_unrefreshed(&self, _: &MemberRecord) -> Result<MembershipStatus, Error> {
        Ok(MembershipStatus::Unknown)
    }

    async fn list(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        Ok(None)
    }
}

const LATER: Timestamp = Timestamp::from_micros(1_600_000_100_000_000);

#[tokio::test]
async fn confirmation_is_stored_unless_authorization_has_ended() {
    type Change = fn(&mut MemberRecord);
    let rename: Change = |record| record.username = Some("new".into());
    let deauthorize: Change = |record| *record = record.deauthorized(LATER);
    let deauthorize_in_same_epoch: Change = |record| {
        *record = MemberRecord {
            epoch: record.epoch,
            ..record.deauthorized(LATER)
        };
    };
    let advance_epoch: Change = |record| record.epoch = record.epoch.advance(LATER);
    for (change, confirmed_at) in [
        ((|_| {}) as Change, at(100)),
        (rename, at(100)),
        (deauthorize, at(0)),
        (deauthorize_in_same_epoch, at(0)),
        (advance_epoch, at(0)),
    ] {
        let setting = Setting::new();
        setting.authorize(1, at(0)).await;
        let observed = setting.record(1).await.unwrap();
        let inquirer = Inquirer {
            deauthorizer: setting.deauthorizer.clone(),
            membership: Arc::new(ChangesRecord {
                store: setting.store.clone(),
                change,
            }),
        };
        let status = inquirer.ask(&observed).await.unwrap();
        assert_eq!(status, MembershipStatus::Authorized);
        let mut expected = observed.clone();
        change(&mut expected);
        let stored = setting.record(1).await.unwrap();
        assert_eq!(stored.confirmed_at, confirmed_at);
        // The concurrent change is kept, and a write based on the observed record would fail.
        assert_eq!(stored.username, expected.username);
        assert_eq!(stored.epoch, expected.epoch);
        assert_eq!(stored.deauthorized_at, expected.deauthorized_at);
        assert_ne!(stored.version, observed.version);
    }
}
