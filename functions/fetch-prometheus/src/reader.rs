//! What a dry run does, and every run first: look what stands there, ask, and make the driver. Nothing here can write.

use billing::ids::{BillingAccountId, InvalidId, InvoiceId, Provider};
use billing::keys::{self, InvoiceKey, RawDocumentKey};
use billing::month::BillingMonth;
use billing::revision::Revision;
use cloud::bucket::{BucketError, BucketReader, Object};
use cloud::peer::PeerError;

use crate::answer::Unusable;
use crate::driver::{Made, make};
use crate::prometheus::{Answer, PrometheusClient};
use crate::rules::{DriverQuery, Rules};
use crate::window::{Span, Window};

/// Member of a driver's metadata that names the raw document that it was made of. A driver without it is a person's.
pub(crate) const SOURCE: &str = "source";

/// The server and the bucket, to read.
pub(crate) struct Reader {
    pub(crate) prometheus: PrometheusClient,
    pub(crate) rules: Rules,
    /// Under which name its answers are filed.
    pub(crate) account: BillingAccountId,
    pub(crate) bucket: BucketReader,
}

/// One driver of one month.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'q> {
    pub(crate) query: &'q DriverQuery,
    pub(crate) window: Window,
    /// Whether what there is counts, though it is not the whole month.
    pub(crate) partial: bool,
}

/// What came of asking.
pub(crate) enum Looked {
    /// An answer for the whole time, and what can be made of it.
    Answered(Answer, Result<Made, Unusable>),
    /// The data does not cover the month, and so it was not asked for.
    NotCovered(Unusable),
}

/// Why a driver is not done, other than by its data's own fault: then it is held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    #[error("there are two documents of this driver, {csv} and {json}: remove one of them")]
    TwoDocuments { csv: String, json: String },
    #[error(
        "{csv} was put there by hand, and {json} would be a second document of this driver: remove the first, or the \
         driver's query"
    )]
    ByHandCsv { csv: String, json: String },
    #[error("{json} was put there by hand and is not replaced: remove it, or the driver's query")]
    ByHand { json: String },
    #[error(transparent)]
    Prometheus(#[from] PeerError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("the note cannot be written: {0}")]
    Note(#[from] serde_json::Error),
    #[error(transparent)]
    Contention(#[from] cloud::publication::Contention),
}

impl Subject<'_> {
    pub(crate) fn month(&self) -> BillingMonth {
        self.window.month
    }

    /// Where the driver's document stands.
    pub(crate) fn key(&self) -> String {
        keys::driver(&self.query.driver, self.month(), "json")
    }
}

impl Reader {
    /// The document of ours that stands there, if there is one.
    pub(crate) async fn standing(&self, subject: &Subject<'_>) -> Result<Option<Object>, NotDone> {
        let (csv, json) = (keys::driver(&subject.query.driver, subject.month(), "csv"), subject.key());
        let by_hand = self.bucket.etag(&csv).await?.is_some();
        let standing = self.bucket.get(&json, None).await?;
        match (by_hand, standing) {
            (true, Some(_)) => Err(NotDone::TwoDocuments { csv, json }),
            (true, None) => Err(NotDone::ByHandCsv { csv, json }),
            (false, Some(object)) if !object.metadata.contains_key(SOURCE) => Err(NotDone::ByHand { json }),
            (false, standing) => Ok(standing),
        }
    }

    /// Asks for the driver, and before that whether there is data on the first and on the last day: a server that has
    /// forgotten the beginning answers as if nothing had been there.
    pub(crate) async fn look(&self, subject: &Subject<'_>) -> Result<Looked, NotDone> {
        let (window, partial) = (&subject.window, subject.partial);
        if !partial && !window.is_open() {
            let mut empty = Vec::new();
            for (day, span) in window.edges() {
                // one that cannot be used says so for the whole month, too, and then it is kept
                if let Ok(true) = self.ask(subject, &span).await?.said.is_empty() {
                    empty.push(day);
                }
            }
            if !empty.is_empty() {
                return Ok(Looked::NotCovered(Unusable::NoData(empty)));
            }
        }
        let answer = self.ask(subject, &window.whole()).await?;
        tell(&subject.query.driver, &answer);
        let made = match answer.said.warnings.as_slice() {
            [_, ..] if !partial => Err(Unusable::Partial(answer.said.warnings.clone())),
            _ => {
                let values = answer.said.values(&self.rules.label);
                values.and_then(|values| make(&subject.query.driver, values, self.rules.measure))
            }
        };
        Ok(Looked::Answered(answer, made))
    }

    async fn ask(&self, subject: &Subject<'_>, span: &Span) -> Result<Answer, PeerError> {
        self.prometheus.query(&self.rules.promql(subject.query, span), &span.time()).await
    }

    /// Where an answer is kept.
    pub(crate) fn raw_key(&self, subject: &Subject<'_>, answer: &Answer) -> Result<String, NotDone> {
        let invoice = InvoiceKey {
            provider: Provider::prometheus(),
            billing_account: self.account.clone(),
            period: subject.month(),
            invoice_id: InvoiceId::new(subject.query.driver.as_str())?,
        };
        let revision = Revision::of(&answer.document);
        Ok(RawDocumentKey { invoice, revision, extension: "json".into() }.to_string())
    }
}

/// Logs what the server remarks.
fn tell(driver: &str, answer: &Answer) {
    for warning in &answer.said.warnings {
        tracing::warn!(driver.name = driver, "Prometheus warns at {driver}: {warning}");
    }
    for info in &answer.said.infos {
        tracing::info!(driver.name = driver, "Prometheus remarks at {driver}: {info}");
    }
}
