//! Keyed hashes that identify members and events in the ledger.
//!
//! The ledger outlives the data that it describes, so it must not contain member ids, and a plain
//! hash of eight digits is easily reversed. Pseudonyms and event ids are therefore HMAC-SHA256 under a
//! key of the application. Under another key the same member has another pseudonym.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::event::{DeauthEvent, Discovery, ErasureRequest, EventId, Pseudonym};
use crate::store::MemberRecord;
use crate::{ClientSecret, KeyMaterial, ProjectMemberId, Timestamp};

const ID_BYTES: usize = 16;

/// Computes pseudonyms and event ids under the application's ledger key.
#[derive(Clone)]
pub(crate) struct Pseudonymizer(Zeroizing<[u8; 32]>);

impl Pseudonymizer {
    /// Uses a separate key, which does not change with the client secret.
    pub(crate) fn new(key: &KeyMaterial) -> Self {
        Self::derive(key.expose(), b"openhumans ledger, from a key of its own")
    }

    /// Derives the key from the client secret by HKDF-SHA256 (RFC 5869).
    pub(crate) fn from_client_secret(secret: &ClientSecret) -> Self {
        Self::derive(
            secret.expose(),
            b"openhumans ledger, from the client secret",
        )
    }

    fn derive(material: &str, purpose: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, material.as_bytes())
            .expand(purpose, key.as_mut_slice())
            .expect("HKDF-SHA256 can output 32 bytes");
        Self(key)
    }

    /// Returns the member's pseudonym.
    pub(crate) fn pseudonym(&self, member: &ProjectMemberId) -> Pseudonym {
        Pseudonym::new(self.hash(&["member", member.as_str()]))
    }

    /// Creates the event of a signed webhook. Repeated webhooks get the same event id.
    pub(crate) fn webhook_event(
        &self,
        member: &ProjectMemberId,
        erasure: ErasureRequest,
        left_at: Timestamp,
        now: Timestamp,
    ) -> DeauthEvent {
        let discovery = Discovery::Webhook;
        let micros = left_at.as_micros().to_string();
        let parts = [
            discovery.as_str(),
            member.as_str(),
            &micros,
            erasure.as_str(),
        ];
        DeauthEvent {
            id: EventId::new(self.hash(&parts)),
            member: member.clone(),
            pseudonym: self.pseudonym(member),
            erasure,
            discovery,
            left_at,
            received_at: now,
        }
    }

    /// Creates the event of a deauthorization that this process observed or caused. The same record
    /// gives the same event id. The next authorization changes the record, and so the id.
    pub(crate) fn local_event(
        &self,
        record: &MemberRecord,
        erasure: ErasureRequest,
        discovery: Discovery,
        now: Timestamp,
    ) -> DeauthEvent {
        let member = &record.member;
        let epoch = record.epoch.get().to_string();
        let authorized_at = record.authorized_at.as_micros().to_string();
        let parts = [discovery.as_str(), member.as_str(), &epoch, &authorized_at];
        DeauthEvent {
            id: EventId::new(self.hash(&parts)),
            member: member.clone(),
            pseudonym: self.pseudonym(member),
            erasure,
            discovery,
            // The clock of Open Humans may be ahead. The event must not appear to be older than the
            // authorization that it ends.
            left_at: now.max(record.authorized_at),
            received_at: now,
        }
    }

    // No part contains a zero byte, so different parts never give the same input.
    fn hash(&self, parts: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice())
            .expect("HMAC accepts keys of any length");
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        hex::encode(&mac.finalize().into_bytes()[..ID_BYTES])
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

    use super::super::test_support::{at, member};
    use super::*;

    #[test]
    fn pseudonym_depends_on_key_and_origin_of_key() {
        let key = "k".repeat(32);
        let pseudonyms: HashSet<_> = [
            Pseudonymizer::new(&KeyMaterial::new(key.clone())),
            Pseudonymizer::new(&KeyMaterial::new("l".repeat(32))),
            Pseudonymizer::from_client_secret(&ClientSecret::new(key)),
        ]
        .map(|pseudonymizer| pseudonymizer.pseudonym(&member(1)))
        .into_iter()
        .collect();
        assert_eq!(pseudonyms.len(), 3);
        assert!(pseudonyms.iter().all(|p| p.as_str().len() == 32));
    }

    #[test]
    fn event_id_depends_on_all_that_distinguishes_events() {
        let pseudonymizer = Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)));
        let webhook = |member: &str, left_at, erasure| {
            let member = member.parse().unwrap();
            pseudonymizer.webhook_event(&member, erasure, Timestamp::from_micros(left_at), at(0))
        };
        let local = |record: &MemberRecord, discovery| {
            pseudonymizer.local_event(record, ErasureRequest::Unknown, discovery, at(0))
        };
        let record = MemberRecord::tombstone("1".parse().unwrap(), at(1));
        let events = [
            webhook("1", 11, ErasureRequest::Requested),
            webhook("11", 1, ErasureRequest::Requested),
            webhook("1", 1, ErasureRequest::Requested),
            webhook("1", 1, ErasureRequest::NotRequested),
            local(&record, Discovery::Reconciliation),
            local(&record.deauthorized(at(3)), Discovery::Reconciliation),
            local(&record, Discovery::Disconnected),
        ];
        let ids: HashSet<_> = events.iter().map(|event| event.id.clone()).collect();
        assert_eq!(ids.len(), events.len());
        assert_eq!(webhook("1", 1, ErasureRequest::Requested), events[2]);
    }

    #[test]
    fn debug_output_hides_key() {
        let pseudonymizer = Pseudonymizer::new(&KeyMaterial::new("topsecret".repeat(4)));
        assert_eq!(format!("{pseudonymizer:?}"), "Pseudonymizer(..)");
    }
}
