//! Certificates of revisions, each with its differences to the one before it.
//!
//! Each follows from the ledger's records and from other certificates, so the order in which revisions arrive does not matter.

use std::fmt::Display;

use billing::certificate::Superseding;
use billing::revision::{Revision, RevisionOrder};

use super::Rounds;
use crate::bucket::{Bucket, BucketReader, Written};
use crate::ledger::{Ledger, LedgerError, LedgerReader, RevisionRecord, Subject};
use crate::seals::{SealError, Sealed};

fn broken(error: impl Display) -> SealError {
    SealError::Broken(error.to_string())
}

/// The revisions of an invoice or a report, with their certificates, to read.
#[derive(Clone, Copy, Debug)]
pub struct Revisions<'a> {
    /// Where certificates stand.
    pub bucket: &'a BucketReader,
    /// What knows the revisions.
    pub ledger: &'a LedgerReader,
    /// Whose they are.
    pub subject: Subject<'a>,
}

/// The revisions of an invoice or a report, to add one.
#[derive(Clone, Copy, Debug)]
pub struct Register<'a> {
    /// Where certificates stand.
    pub bucket: &'a Bucket,
    /// What knows the revisions.
    pub ledger: &'a Ledger,
    /// Whose they are.
    pub subject: Subject<'a>,
}

impl Revisions<'_> {
    /// Those that were published, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn published(&self) -> Result<Vec<RevisionRecord>, LedgerError> {
        let mut revisions = self.ledger.revisions(self.subject).await?;
        revisions.retain(RevisionRecord::is_published);
        Ok(revisions)
    }

    /// The certificate of a published revision, as it was certified.
    ///
    /// # Errors
    /// [`SealError`].
    pub async fn certificate<C: Superseding>(&self, revision: &Revision) -> Result<C, SealError> {
        let sealed = Sealed::of(self.subject, revision);
        match Box::pin(sealed.read(self.bucket, self.ledger)).await? {
            Some(bytes) => C::from_json(&bytes).map_err(broken),
            None => Err(sealed.gone(self.ledger).await?),
        }
    }
}

impl<'a> Register<'a> {
    /// Those that are there.
    #[must_use]
    pub fn revisions(&self) -> Revisions<'a> {
        Revisions { bucket: self.bucket, ledger: self.ledger, subject: self.subject }
    }

    /// Writes the certificate of a revision, then its record, and then what others say of it: which is the newest, and the differences of this
    /// certificate and of the one after it.
    ///
    /// # Errors
    /// [`SealError`].
    pub async fn add<C: Superseding>(
        &self,
        record: &RevisionRecord,
        certificate: &C,
        place: &RevisionOrder,
    ) -> Result<(), SealError> {
        self.settle(record, Some(certificate)).await?;
        // refused if somebody else has finished in the meantime; going on repeats the writes, which changes nothing
        self.ledger.record_revision(self.subject, record).await?;
        self.ledger.advance_latest(self.subject, &record.revision, place).await?;
        self.settle::<C>(record, None).await?;
        // one that arrives late stands before another one, whose differences are then to this one
        match self.revisions().published().await?.into_iter().find(|other| other.order > record.order) {
            Some(successor) => self.settle::<C>(&successor, None).await,
            None => Ok(()),
        }
    }

    /// Writes the certificate of a revision as the ledger now wants it: naming the revision before it and the
    /// differences. `new` is the certificate just made; without it the one that stands there is taken up.
    async fn settle<C: Superseding>(
        &self,
        record: &RevisionRecord,
        new: Option<&C>,
    ) -> Result<(), SealError> {
        let sealed = Sealed::of(self.subject, &record.revision);
        let mut rounds = Rounds::of(&sealed.key);
        loop {
            rounds.begin()?;
            let standing = sealed.standing(self.bucket, new.is_some()).await?;
            let taken_up;
            let (certificate, seal) = match (new, &standing) {
                (Some(new), _) => (new, None),
                (None, Some((bytes, _))) => {
                    let seal = Box::pin(sealed.stands(self.bucket, self.ledger, bytes)).await?;
                    // else somebody has written another since
                    let Some(seal) = seal else { continue };
                    taken_up = C::from_json(bytes).map_err(broken)?;
                    (&taken_up, Some(seal))
                }
                (None, None) => return Err(sealed.gone(self.ledger).await?),
            };
            let revisions = self.revisions();
            let published = revisions.published().await?;
            let before = published
                .into_iter()
                .rfind(|other| other.order < record.order && other.revision != record.revision);
            let before: Option<C> = match &before {
                Some(before) => Some(revisions.certificate(&before.revision).await?),
                None => None,
            };
            let wanted =
                certificate.superseding(before.as_ref()).map_err(broken)?.to_json().map_err(broken)?;
            let written =
                Box::pin(sealed.replace(self.bucket, self.ledger, standing, seal, wanted, JSON)).await?;
            if written == Written::Now {
                return Ok(());
            }
        }
    }
}

const JSON: &str = "application/json";
