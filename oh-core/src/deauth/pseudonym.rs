//! Keyed names: for a member in the ledger, and for an event.
//!
//! A ledger that must outlive the data it speaks of cannot name members, and a plain hash of eight
//! digits is undone in a second. So both names are HMAC-SHA256 under a key of the app's: the
//! `OPENHUMANS_LEDGER_KEY`, or one derived from the client secret. A name made under another key
//! is another name, so whoever expects to change the client secret sets a ledger key first.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::event::{Discovery, ErasureRequest, EventId, Pseudonym};
use crate::store::MemberRecord;
use crate::{ClientSecret, KeyMaterial, ProjectMemberId, Timestamp};

const NAME_BYTES: usize = 16;

/// Gives members and events their keyed names: HMAC-SHA256 under `OPENHUMANS_LEDGER_KEY`, or a key
/// derived from the client secret. Under another key they are other names.
///
/// ```
/// use oh_core::KeyMaterial;
/// use oh_core::deauth::Pseudonymizer;
///
/// let names = Pseudonymizer::new(&KeyMaterial::new("0123456789abcdef0123456789abcdef"));
/// let member = "01026778".parse()?;
/// assert_eq!(names.pseudonym(&member), names.pseudonym(&member));
/// assert_eq!(names.pseudonym(&member).as_str().len(), 32);
/// # Ok::<(), oh_core::InvalidProjectMemberId>(())
/// ```
#[derive(Clone)]
pub struct Pseudonymizer(Zeroizing<[u8; 32]>);

impl Pseudonymizer {
    /// Under a key of its own, which does not change when the client secret does.
    pub fn new(key: &KeyMaterial) -> Self {
        Self::derive(key.expose(), b"openhumans ledger, from a key of its own")
    }

    /// Under a key derived from the client secret by HKDF-SHA256 (RFC 5869).
    pub fn from_client_secret(secret: &ClientSecret) -> Self {
        Self::derive(
            secret.expose(),
            b"openhumans ledger, from the client secret",
        )
    }

    fn derive(material: &str, purpose: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, material.as_bytes())
            .expand(purpose, key.as_mut_slice())
            .expect("HKDF-SHA256 gives 32 bytes");
        Self(key)
    }

    /// What the ledger calls this member.
    pub fn pseudonym(&self, member: &ProjectMemberId) -> Pseudonym {
        Pseudonym::new(self.name(&["member", member.as_str()]))
    }

    /// The name of the event a webhook tells of. The same wish of the same member at the same time
    /// is the same event, however often it is sent.
    pub fn webhook_event_id(
        &self,
        member: &ProjectMemberId,
        left_at: Timestamp,
        erasure: ErasureRequest,
    ) -> EventId {
        let left_at = left_at.as_micros().to_string();
        EventId::new(self.name(&[
            Discovery::Webhook.as_str(),
            member.as_str(),
            &left_at,
            erasure.as_str(),
        ]))
    }

    /// The name of the event of a member whom this side found or made to have left, by the record
    /// as it stood then. The same finding twice is one event; the next authorization brings
    /// another record, and so another event.
    pub fn own_event(&self, record: &MemberRecord, discovery: Discovery) -> EventId {
        let epoch = record.epoch.get().to_string();
        let authorized_at = record.authorized_at.as_micros().to_string();
        EventId::new(self.name(&[
            discovery.as_str(),
            record.member.as_str(),
            &epoch,
            &authorized_at,
        ]))
    }

    // No part holds a zero byte, so the parts cannot run into each other.
    fn name(&self, parts: &[&str]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes any key length");
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        hex::encode(&mac.finalize().into_bytes()[..NAME_BYTES])
    }
}

impl fmt::Debug for Pseudonymizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonymizer(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn member(id: &str) -> ProjectMemberId {
        id.parse().unwrap()
    }

    #[test]
    fn another_key_another_name() {
        let one = Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)));
        let other = Pseudonymizer::new(&KeyMaterial::new("l".repeat(32)));
        let derived = Pseudonymizer::from_client_secret(&ClientSecret::new("k".repeat(32)));
        let id = member("01026778");
        let names: HashSet<_> = [&one, &other, &derived]
            .map(|p| p.pseudonym(&id))
            .into_iter()
            .collect();
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn all_that_differs_is_another_event() {
        let names = Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)));
        let (a, b) = (member("1"), member("11"));
        let at = Timestamp::from_micros;
        let record = MemberRecord::tombstone(a.clone(), at(1));
        let ids = HashSet::from([
            names.webhook_event_id(&a, at(11), ErasureRequest::Requested),
            names.webhook_event_id(&b, at(1), ErasureRequest::Requested),
            names.webhook_event_id(&a, at(1), ErasureRequest::Requested),
            names.webhook_event_id(&a, at(1), ErasureRequest::NotRequested),
            names.own_event(&record, Discovery::Reconciliation),
            names.own_event(&record.deauthorized(at(3)), Discovery::Reconciliation),
            names.own_event(&record, Discovery::Disconnected),
        ]);
        assert_eq!(ids.len(), 7);
        assert_eq!(
            names.webhook_event_id(&a, at(1), ErasureRequest::Requested),
            names.webhook_event_id(&a, at(1), ErasureRequest::Requested)
        );
    }

    #[test]
    fn the_key_does_not_print() {
        let names = Pseudonymizer::new(&KeyMaterial::new("topsecret".repeat(4)));
        assert_eq!(format!("{names:?}"), "Pseudonymizer(..)");
    }
}
