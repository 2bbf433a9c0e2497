//! Encryption at rest for any store.

use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{Keyring, MemberRecord, PutOutcome, StoreError, TokenStore, Tokens, Version, keyring};
use crate::ProjectMemberId;

/// Marks an encrypted token.
const PREFIX: &str = "ohs1.";
/// How many records are loaded at a time.
const PAGE_SIZE: usize = 100;

/// A [`TokenStore`] that encrypts the tokens in another store.
///
/// [`OpenHumans`](crate::OpenHumans) wraps the application's store in one, so you need this type only
/// in tools that work on the store without a handle. Tokens are encrypted before the inner store
/// sees them. All other fields stay readable, because the store needs them and they give no access
/// to the member's data. An encrypted token is text:
///
/// ```text
/// ohs1.<key id>.<base64url of a 24-byte nonce and the XChaCha20-Poly1305 ciphertext>
/// ```
///
/// The key id, the field and the member id are authenticated with the token. A row that was copied to
/// another member, or an access token in the place of a refresh token, does not decrypt.
///
/// ```
/// use oh_core::Settings;
/// use oh_core::store::{EncryptedStore, MemoryStore};
///
/// let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
/// let store = EncryptedStore::new(MemoryStore::new(), settings.store_keys());
/// # let _ = store;
/// # Ok::<(), oh_core::SettingsError>(())
/// ```
///
/// # Tokens in plain text
///
/// They are an error, because an attacker with write access to the database could otherwise plant tokens.
/// To encrypt an existing store, call [`allow_plaintext`](Self::allow_plaintext) and then
/// [`reencrypt_all`](Self::reencrypt_all) once.
///
/// # Lost keys
///
/// While the key of a record is missing, every operation that needs the record fails, and the record is
/// unchanged. Add the key to the keyring again. If it is lost for good, `reencrypt_all` reports
/// the members; [remove](TokenStore::remove) their records from the inner store so that they can log
/// in again.
#[derive(Clone)]
pub struct EncryptedStore<S> {
    inner: S,
    keys: Keyring,
    plaintext: bool,
}

/// Why a stored token does not decrypt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecryptError {
    #[error("the stored {field} is not encrypted; call allow_plaintext() to migrate")]
    Plaintext { field: &'static str },
    #[error("the stored {field} is encrypted with the key {id}, which is not in the keyring")]
    UnknownKey { field: &'static str, id: String },
    #[error(
        "the stored {field} does not decrypt: it was modified or moved, or another key has the same id"
    )]
    Damaged { field: &'static str },
}

/// The outcome of [`EncryptedStore::reencrypt_all`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReencryptReport {
    /// How many records were read.
    pub records: u64,
    /// How many records had another key or plain text, and are encrypted with the first key now.
    pub reencrypted: u64,
    /// The members whose tokens no key in the keyring decrypts. Their records are unchanged.
    pub unreadable: Vec<ProjectMemberId>,
}

const ACCESS_TOKEN: &str = "access token";
const REFRESH_TOKEN: &str = "refresh token";

impl<S: TokenStore> EncryptedStore<S> {
    /// Wraps `inner`.
    pub fn new(inner: S, keys: Keyring) -> Self {
        Self {
            inner,
            keys,
            plaintext: false,
        }
    }

    /// Accepts stored tokens in plain text.
    #[must_use]
    pub fn allow_plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// The wrapped store.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Decrypts the first 100 records, to find a wrong or missing key before a member does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`] when a token does not decrypt, and any error of the inner store.
    pub async fn check(&self) -> Result<(), StoreError> {
        for record in self.inner.page(None, PAGE_SIZE).await? {
            self.decrypt(record)?;
        }
        Ok(())
    }

    /// Encrypts every record with the first key, page by page, while the application runs. It is safe
    /// to run again.
    ///
    /// Before you run it, deploy the new first key to every process: a process with the old keyring
    /// writes with the old key.
    ///
    /// # Errors
    ///
    /// When the inner store fails. Records that were already encrypted remain encrypted.
    pub async fn reencrypt_all(&self) -> Result<ReencryptReport, StoreError> {
        let mut report = ReencryptReport::default();
        let mut after = None;
        loop {
            let page = self.inner.page(after.as_ref(), PAGE_SIZE).await?;
            let Some(last) = page.last() else {
                return Ok(report);
            };
            after = Some(last.member.clone());
            for record in page {
                report.records += 1;
                let member = record.member.clone();
                match self.reencrypt(record).await {
                    Ok(true) => report.reencrypted += 1,
                    Ok(false) => {}
                    Err(StoreError::Unreadable(_)) => report.unreadable.push(member),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Returns whether the record had to be written.
    async fn reencrypt(&self, mut stored: MemberRecord) -> Result<bool, StoreError> {
        loop {
            let tokens = stored.tokens.as_ref();
            if tokens.is_none_or(|tokens| self.is_current(tokens)) {
                return Ok(false);
            }
            let expected = stored.version;
            let member = stored.member.clone();
            let mut record = self.decrypt(stored)?;
            record.version = Version::fresh();
            if self.put(&record, Some(expected)).await? == PutOutcome::Stored {
                return Ok(true);
            }
            match self.inner.load(&member).await? {
                None => return Ok(false),
                Some(changed) => stored = changed,
            }
        }
    }

    fn is_current(&self, tokens: &Tokens) -> bool {
        let first = &self.keys.first().id;
        [tokens.access_token.expose(), tokens.refresh_token.expose()]
            .iter()
            .all(|text| parse(text).is_some_and(|(id, _)| id == first))
    }

    fn encrypt(&self, record: &MemberRecord) -> MemberRecord {
        let key = self.keys.first();
        let encrypt = |field, token: &str| {
            let context = context(&key.id, field, &record.member);
            let encrypted = key.cipher.encrypt(&context, token.as_bytes());
            format!("{PREFIX}{}.{encrypted}", key.id)
        };
        MemberRecord {
            tokens: record.tokens.as_ref().map(|tokens| {
                Tokens::new(
                    encrypt(ACCESS_TOKEN, tokens.access_token.expose()),
                    encrypt(REFRESH_TOKEN, tokens.refresh_token.expose()),
                    tokens.expires_at,
                )
            }),
            ..record.clone()
        }
    }

    fn decrypt(&self, stored: MemberRecord) -> Result<MemberRecord, StoreError> {
        let Some(tokens) = &stored.tokens else {
            return Ok(stored);
        };
        let decrypt = |field, text| {
            self.decrypt_token(field, &stored.member, text)
                .map_err(|error| StoreError::Unreadable(error.into()))
        };
        let access = decrypt(ACCESS_TOKEN, tokens.access_token.expose())?;
        let refresh = decrypt(REFRESH_TOKEN, tokens.refresh_token.expose())?;
        let tokens = Tokens::new(access.as_str(), refresh.as_str(), tokens.expires_at);
        Ok(MemberRecord {
            tokens: Some(tokens),
            ..stored
        })
    }

    fn decrypt_token(
        &self,
        field: &'static str,
        member: &ProjectMemberId,
        text: &str,
    ) -> Result<Zeroizing<String>, DecryptError> {
        let Some((id, encrypted)) = parse(text) else {
            return if text.starts_with(PREFIX) {
                Err(DecryptError::Damaged { field })
            } else if self.plaintext {
                Ok(Zeroizing::new(text.to_owned()))
            } else {
                Err(DecryptError::Plaintext { field })
            };
        };
        let Some(key) = self.keys.get(id) else {
            let id = id.to_owned();
            return Err(DecryptError::UnknownKey { field, id });
        };
        key.cipher
            .decrypt(&context(id, field, member), encrypted)
            .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
            .map(Zeroizing::new)
            .ok_or(DecryptError::Damaged { field })
    }
}

/// Splits an encrypted token into key id and ciphertext. Error messages contain the id, so it must have
/// the form of one; an attacker could have written anything.
fn parse(text: &str) -> Option<(&str, &str)> {
    let parts = text.strip_prefix(PREFIX)?.split_once('.')?;
    keyring::is_key_id(parts.0).then_some(parts)
}

/// The context of a token's encryption. Neither key ids nor member ids contain a `/`.
fn context(key: &str, field: &str, member: &ProjectMemberId) -> String {
    format!("{PREFIX}/{key}/{field}/{member}")
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
        stored.map(|stored| self.decrypt(stored)).transpose()
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        self.inner.put(&self.encrypt(record), expected).await
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        self.inner.remove(member, expected).await
    }

    /// Leaves out records that do not decrypt and logs their number, so that one lost key does not
    /// block work on all other members.
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
            let mut unreadable = 0;
            let mut page = Vec::with_capacity(stored.len());
            for record in stored {
                match self.decrypt(record) {
                    Ok(record) => page.push(record),
                    Err(_) => unreadable += 1,
                }
            }
            if unreadable > 0 {
                tracing::error!(unreadable, "skipped records whose tokens do not decrypt");
            }
            // An empty page would mean the end.
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }
}

#[cfg(test)]
mod tests;
