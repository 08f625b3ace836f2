//! What others read: objects and records that follow from other records or documents, whoever writes them and in whichever order.
//!
//! Each is written by the same step: note what stands there, read (consistently) what it follows from, write if what stood there still does,
//! else begin again. Whoever writes has therefore read after everyone who wrote before, and what is older never replaces what is newer.

mod certificates;

use bytes::Bytes;

use crate::bucket::{Bucket, BucketError, Written};

pub use certificates::{Register, Revisions};

/// How often somebody else may be quicker. The reports of a window are up to a dozen objects, and each of them may be lost once to somebody
/// who writes the same.
const ROUNDS: usize = 20;

/// Somebody else was quicker each time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0} changed under our hands {ROUNDS} times in a row; the retry will settle it")]
pub struct Contention(String);

/// The rounds of one such step: each begins with [`Rounds::begin`], and the one that comes through ends them.
#[derive(Debug)]
pub struct Rounds {
    what: String,
    begun: usize,
}

impl Rounds {
    /// Those in which this is written: a key, or in words what it is.
    #[must_use]
    pub fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), begun: 0 }
    }

    /// Begins the next one.
    ///
    /// # Errors
    /// [`Contention`] if somebody else was quicker too often.
    pub fn begin(&mut self) -> Result<(), Contention> {
        if self.begun == ROUNDS {
            return Err(Contention(std::mem::take(&mut self.what)));
        }
        self.begun += 1;
        Ok(())
    }
}

/// Publishes an object. `make` says by what stands there, which was noted before, what is to stand there; nothing if it may stay.
///
/// # Errors
/// Those of `make`, [`BucketError`] or [`Contention`].
pub async fn publish<F, E>(
    bucket: &Bucket,
    key: &str,
    content_type: &str,
    make: impl Fn(Option<Bytes>) -> F,
) -> Result<(), E>
where
    F: Future<Output = Result<Option<Vec<u8>>, E>>,
    E: From<BucketError> + From<Contention>,
{
    let mut rounds = Rounds::of(key);
    loop {
        rounds.begin()?;
        let (bytes, etag) = bucket.get(key, None).await?.map(|object| (object.bytes, object.etag)).unzip();
        let Some(wanted) =
            make(bytes.clone()).await?.filter(|wanted| bytes.is_none_or(|bytes| bytes != *wanted))
        else {
            return Ok(());
        };
        if bucket.replace(key, wanted, content_type, etag).await? == Written::Now {
            return Ok(());
        }
    }
}
