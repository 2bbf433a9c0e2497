//! Encryption at rest, around any store.

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{Keyring, MemberRecord, PutOutcome, StoreError, TokenStore, Tokens, Version, keyring};
use crate::ProjectMemberId;

const PREFIX: &str = "ohs1.";
const PAGE: usize = 100;

/// A [`TokenStore`] that keeps the tokens of another one sealed.
///
/// The tokens of a record are sealed before the store sees them and opened after. Everything else
/// stays readable: the store needs it, and it opens no door. A sealed token is text:
///
/// ```text
/// ohs1.<key id>.<base64url of a 24-byte nonce and the XChaCha20-Poly1305 ciphertext>
/// ```
///
/// What it belongs to (the key's id, the field, the member's id) is authenticated with it, so
/// that a row copied to another member, or an access token put where a refresh token belongs, does
/// not open.
///
/// ```
/// use oh_core::store::{Keyring, MemoryStore, EncryptedStore};
///
/// let keys = Keyring::parse("2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=")?;
/// let store = EncryptedStore::new(MemoryStore::new(), keys);
/// # let _ = store;
/// # Ok::<(), oh_core::store::KeyringError>(())
/// ```
///
/// # Tokens that are there already, in plain text
///
/// They are refused, because whoever can write into the database could otherwise plant them.
/// For the time of moving over, say [`allow_plaintext`](EncryptedStore::allow_plaintext): they are
/// then read, and sealed with the next write or by [`reencrypt_all`](EncryptedStore::reencrypt_all), while
/// the app runs. After that take it off again.
///
/// # Tokens whose key is lost
///
/// Their members cannot be let in, nor asked about, until the key is back in the keyring. If it
/// will not be, [`reencrypt_all`](EncryptedStore::reencrypt_all) names these members;
/// [remove](TokenStore::remove) their records from the [inner](EncryptedStore::inner) store, and they
/// can log in again.
pub struct EncryptedStore<S> {
    inner: S,
    keys: Keyring,
    plaintext: bool,
}

/// Why a stored token cannot be opened: the source of [`StoreError::Unreadable`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not sealed, and that is not allowed.
    #[error("the stored {field} is not sealed: say allow_plaintext() while moving over")]
    Plaintext {
        /// `access token` or `refresh token`.
        field: &'static str,
    },
    /// It is sealed with a key that is not in the keyring.
    #[error("the stored {field} is sealed with the key {id}, which is not in the keyring")]
    UnknownKey {
        /// `access token` or `refresh token`.
        field: &'static str,
        /// The key's id.
        id: String,
    },
    /// It was changed, belongs to another member or field, or the key of this id is another one.
    #[error("the stored {field} does not open: changed, moved, or sealed with another key")]
    Damaged {
        /// `access token` or `refresh token`.
        field: &'static str,
    },
}

/// What [`EncryptedStore::reencrypt_all`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReencryptReport {
    /// Records that were looked at.
    pub seen: u64,
    /// Records whose tokens were sealed with another key, or not at all, and now are with the
    /// first.
    pub reencrypted: u64,
    /// Members whose tokens do not open with any key at hand; left as they are.
    pub unreadable: Vec<ProjectMemberId>,
}

/// Access token or refresh token.
#[derive(Clone, Copy)]
struct Field(&'static str);

const ACCESS: Field = Field("access token");
const REFRESH: Field = Field("refresh token");

impl<S: TokenStore> EncryptedStore<S> {
    /// Around `inner`.
    pub fn new(inner: S, keys: Keyring) -> Self {
        Self {
            inner,
            keys,
            plaintext: false,
        }
    }

    /// Also reads tokens that are not sealed.
    #[must_use]
    pub fn allow_plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// The store around which this is.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Seals with the first key whatever is not. Safe while the app runs; may be run again.
    ///
    /// Takes a page of 100 records at a time. Run it when every process has the key in front:
    /// one that has not goes on sealing with the old.
    ///
    /// # Errors
    ///
    /// When the store does not answer. What was done up to there stays done.
    pub async fn reencrypt_all(&self) -> Result<ReencryptReport, StoreError> {
        let mut done = ReencryptReport::default();
        let mut after = None;
        loop {
            let page = self.inner.page(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(done);
            };
            after = Some(last.member.clone());
            for record in page {
                done.seen += 1;
                let member = record.member.clone();
                match self.reencrypt(record).await {
                    Ok(true) => done.reencrypted += 1,
                    Ok(false) => {}
                    Err(StoreError::Unreadable(_)) => done.unreadable.push(member),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Whether there was something to do.
    async fn reencrypt(&self, mut stored: MemberRecord) -> Result<bool, StoreError> {
        loop {
            if stored
                .tokens
                .as_ref()
                .is_none_or(|tokens| self.is_current(tokens))
            {
                return Ok(false);
            }
            let expected = stored.version;
            let member = stored.member.clone();
            let mut record = self.open(stored)?;
            record.version = Version::fresh();
            if self.put(&record, Some(expected)).await? == PutOutcome::Stored {
                return Ok(true);
            }
            // Someone else wrote; perhaps with the first key already.
            match self.inner.load(&member).await? {
                None => return Ok(false),
                Some(now) => stored = now,
            }
        }
    }

    fn is_current(&self, tokens: &Tokens) -> bool {
        let first = &self.keys.first().id;
        [tokens.access_token.expose(), tokens.refresh_token.expose()]
            .iter()
            .all(|text| parse(text).is_some_and(|(id, _)| id == first))
    }

    fn seal(&self, record: &MemberRecord) -> MemberRecord {
        let key = self.keys.first();
        let seal = |field, text: &str| {
            let sealed = key
                .sealer
                .seal(&place(&key.id, field, &record.member), text.as_bytes());
            format!("{PREFIX}{}.{sealed}", key.id)
        };
        MemberRecord {
            tokens: record.tokens.as_ref().map(|tokens| {
                Tokens::new(
                    seal(ACCESS, tokens.access_token.expose()),
                    seal(REFRESH, tokens.refresh_token.expose()),
                    tokens.expires_at,
                )
            }),
            ..record.clone()
        }
    }

    fn open(&self, stored: MemberRecord) -> Result<MemberRecord, StoreError> {
        let tokens = match &stored.tokens {
            None => None,
            Some(sealed) => {
                let open = |field, text| {
                    self.open_one(field, &stored.member, text)
                        .map_err(StoreError::unreadable)
                };
                let access = open(ACCESS, sealed.access_token.expose())?;
                let refresh = open(REFRESH, sealed.refresh_token.expose())?;
                Some(Tokens::new(
                    access.as_str(),
                    refresh.as_str(),
                    sealed.expires_at,
                ))
            }
        };
        Ok(MemberRecord { tokens, ..stored })
    }

    fn open_one(
        &self,
        field: Field,
        member: &ProjectMemberId,
        text: &str,
    ) -> Result<Zeroizing<String>, OpenError> {
        let name = field.0;
        let Some((id, sealed)) = parse(text) else {
            return if text.starts_with(PREFIX) {
                Err(OpenError::Damaged { field: name })
            } else if self.plaintext {
                Ok(Zeroizing::new(text.to_owned()))
            } else {
                Err(OpenError::Plaintext { field: name })
            };
        };
        let key = self.keys.get(id).ok_or_else(|| OpenError::UnknownKey {
            field: name,
            id: id.to_owned(),
        })?;
        key.sealer
            .open(&place(id, field, member), sealed)
            .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
            .map(Zeroizing::new)
            .ok_or(OpenError::Damaged { field: name })
    }
}

/// Key id and ciphertext, if the text is a sealed one. What is no id of a key is not taken for one:
/// an id is shown, and whoever can write into the store could have put anything there.
fn parse(text: &str) -> Option<(&str, &str)> {
    let parts = text.strip_prefix(PREFIX)?.split_once('.')?;
    keyring::is_id(parts.0).then_some(parts)
}

/// What a sealed token is bound to. Neither an id of a key nor one of a member holds a `/`.
fn place(key: &str, field: Field, member: &ProjectMemberId) -> String {
    format!("{PREFIX}/{key}/{}/{member}", field.0)
}

impl<S> fmt::Debug for EncryptedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedStore({:?})", self.keys)
    }
}

#[async_trait]
impl<S: TokenStore> TokenStore for EncryptedStore<S> {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        let stored = self.inner.load(member).await?;
        stored.map(|stored| self.open(stored)).transpose()
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        self.inner.put(&self.seal(record), expected).await
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        self.inner.remove(member, expected).await
    }

    /// Records that do not open are left out, and counted in the log, so that a lost key does not
    /// keep those who walk over the members from all others. [`EncryptedStore::reencrypt_all`] names
    /// them.
    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        let mut after = after.cloned();
        loop {
            let stored = self.inner.page(after.as_ref(), limit).await?;
            let Some(last) = stored.last() else {
                return Ok(stored);
            };
            after = Some(last.member.clone());
            let all = stored.len();
            let page: Vec<_> = stored
                .into_iter()
                .filter_map(|stored| self.open(stored).ok())
                .collect();
            if page.len() < all {
                let unreadable = all - page.len();
                tracing::error!(unreadable, "tokens do not open: their records are left out");
            }
            // An empty page would be the end.
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }
}

#[cfg(test)]
mod tests;
