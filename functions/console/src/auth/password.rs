//! The admin's password: an Argon2 hash in a secret, with the key that sessions are signed with.

use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use chrono::{DateTime, TimeDelta, Utc};
use cloud::aws::Aws;
use cloud::secrets::{Secrets, SecretsError};
use cloud::vars::Vars;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;

use super::Refusal;
use super::session::random_token;

/// The user, unless the secret names another.
const USER: &str = "admin";
/// A changed password counts after this at the latest.
const FRESH_FOR: TimeDelta = TimeDelta::seconds(60);
/// What is longer is no password, and must not make us work.
const LONGEST_PASSWORD_BYTES: usize = 1024;
const SHORTEST_PASSWORD_CHARS: usize = 12;

/// Passwords verified at once, by this process: each takes 19 MiB, and as much of a processor as there is.
static VERIFICATIONS: Semaphore = Semaphore::const_new(4);
/// What they work in, kept for the next: once such a block has been freed, glibc takes every smaller one from its heaps,
/// which do not shrink (735 MB for 50 clients on a report of 18 MB).
static MEMORY: SyncMutex<Vec<Vec<Block>>> = SyncMutex::new(Vec::new());

/// The secret, read when it is needed and kept for a minute.
pub(crate) struct AdminPassword {
    vars: Vars,
    aws: Aws,
    known: Mutex<Option<(DateTime<Utc>, Arc<AdminSecret>)>>,
}

/// What the secret holds.
pub(crate) struct AdminSecret {
    user: String,
    hash: SecretString,
    session_key: SecretSlice<u8>,
}

/// A password that cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum PasswordHashError {
    /// Guessed too easily.
    #[error("the password must have at least {SHORTEST_PASSWORD_CHARS} characters")]
    TooShort,
    /// Nobody types that.
    #[error("the password must have at most {LONGEST_PASSWORD_BYTES} bytes")]
    TooLong,
    /// The hash function refused.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// The members of the secret for a new password: its hash (Argon2id) and a new key for sessions, which ends those that there are.
///
/// # Errors
/// [`PasswordHashError`] if it is too short or too long.
pub fn admin_secret(password: &SecretString) -> Result<Value, PasswordHashError> {
    let password = password.expose_secret();
    if password.chars().count() < SHORTEST_PASSWORD_CHARS {
        return Err(PasswordHashError::TooShort);
    }
    if password.len() > LONGEST_PASSWORD_BYTES {
        return Err(PasswordHashError::TooLong);
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    let hash = hash.map_err(|error| PasswordHashError::Hash(error.to_string()))?;
    Ok(json!({"ADMIN_USER": USER, "ADMIN_PASSWORD_HASH": hash.to_string(), "SESSION_KEY": random_token()}))
}

impl AdminPassword {
    pub(crate) fn new(vars: Vars, aws: Aws) -> Self {
        Self { vars, aws, known: Mutex::new(None) }
    }

    /// The secret.
    pub(crate) async fn secret(&self, now: DateTime<Utc>) -> Result<Arc<AdminSecret>, Refusal> {
        let mut known = self.known.lock().await;
        if let Some((since, secret)) = known.as_ref().filter(|(since, _)| (now - *since).abs() < FRESH_FOR) {
            tracing::trace!(%since, "the admin's secret is known");
            return Ok(secret.clone());
        }
        let secret = Arc::new(self.read().await?);
        *known = Some((now, secret.clone()));
        Ok(secret)
    }

    async fn read(&self) -> Result<AdminSecret, Refusal> {
        let unavailable = |error: SecretsError| {
            tracing::error!("the admin's secret cannot be read: {error}");
            Refusal::Unavailable
        };
        let secrets = Secrets::load(&self.vars, &self.aws, "ADMIN_SECRET_ARN").await.map_err(unavailable)?;
        let user = secrets.get("ADMIN_USER").map_or(USER.into(), |user| user.expose_secret().to_owned());
        let hash = secrets.get("ADMIN_PASSWORD_HASH").ok_or(Refusal::NoPassword)?.clone();
        let key = secrets.get("SESSION_KEY").ok_or(Refusal::NoPassword)?;
        let session_key = key.expose_secret().as_bytes().to_vec();
        if session_key.len() < 32 {
            tracing::error!(
                "SESSION_KEY has less than 32 bytes; set a password with: monthend admin set-password"
            );
            return Err(Refusal::Unavailable);
        }
        Ok(AdminSecret { user, hash, session_key: session_key.into() })
    }
}

impl AdminSecret {
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn session_key(&self) -> &SecretSlice<u8> {
        &self.session_key
    }

    /// Refuses a user or a password that is not right. Takes as long for a user that there is not.
    pub(crate) async fn verify(self: Arc<Self>, user: String, password: SecretString) -> Result<(), Refusal> {
        let same_user = bool::from(self.user.as_bytes().ct_eq(user.as_bytes()));
        let permit = VERIFICATIONS.acquire().await.map_err(|_| Refusal::Unavailable)?;
        let verified = spawn_blocking(move || self.is_password(&password)).await;
        drop(permit);
        let same_password = verified.map_err(|_| Refusal::Unavailable)??;
        if same_user & same_password { Ok(()) } else { Err(Refusal::Wrong) }
    }

    fn is_password(&self, password: &SecretString) -> Result<bool, Refusal> {
        let password = password.expose_secret().as_bytes();
        if password.len() > LONGEST_PASSWORD_BYTES {
            return Ok(false);
        }
        let hash = PasswordHash::new(self.hash.expose_secret()).map_err(|error| {
            tracing::error!("ADMIN_PASSWORD_HASH is no password hash: {error}; set a password with: monthend admin set-password");
            Refusal::Unavailable
        })?;
        Ok(is_password(password, &hash).unwrap_or(false))
    }
}

/// Whether a password has a hash: none with another algorithm, without salt or with a salt that is too short.
fn is_password(password: &[u8], hash: &PasswordHash) -> argon2::password_hash::Result<bool> {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return Ok(false) };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let argon2 = Argon2::new(algorithm, version, Params::try_from(hash)?);
    let mut bytes = [0; Output::MAX_LENGTH];
    let out = &mut bytes[..expected.len()];
    let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    let blocks = argon2.params().block_count();
    memory.try_reserve(blocks.saturating_sub(memory.len())).map_err(|_| argon2::Error::OutOfMemory)?;
    memory.resize(blocks, Block::new());
    let hashed = argon2.hash_password_into_with_memory(password, salt, out, &mut memory);
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    hashed?;
    Ok(*expected == Output::new(out)?) // takes as long wherever they differ
}
