//! The certificate: one document that says, to the cent, how the provider's total became the allocated
//! totals. Its JSON Schema stands in `docs/certificate.schema.json`.
//!
//! The laws (see [`Certified::verify`]) are checked where a certificate is made and again wherever one is
//! read. The document is canonical: the same inputs and rules give the same bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::identity::{Id, Rule};
use crate::ids::{BillingAccountId, InvoiceId, Provider};
use crate::keys::InvoiceKey;
use crate::money::{self, MoneyError};
use crate::month::BillingMonth;
use crate::period::Finality;
use crate::revision::Revision;

/// Verdict on one invoice revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The provider's total equals the rows, with nothing to add.
    Matched,
    /// Every difference is a named adjustment within its bound, or the invoice was paid in a way that is named.
    Explained,
    /// Anything else: the outputs are held.
    Mismatch,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What the certificate is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Always `invoice` here.
    pub kind: String,
    /// Who sent the invoice.
    pub provider: Provider,
    /// Who is invoiced.
    pub billing_account: BillingAccountId,
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Which version of it.
    pub revision: Revision,
    /// The month.
    pub period: BillingMonth,
    /// First day, `YYYY-MM-DD`.
    pub start_date: String,
    /// First day after, `YYYY-MM-DD`.
    pub end_date: String,
    /// Whether the invoice may still grow.
    pub finality: Finality,
    /// The provider's own word for its state, as it came.
    pub provider_status: Option<String>,
    /// The provider's own time of the last change, as it came.
    pub provider_updated: Option<String>,
}

/// A named difference between the provider's total and the charges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// `rounding` or `credit-lines`.
    pub kind: String,
    /// Signed: provider total = charges total + adjustments.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
    /// The sub account whose row carries it; nothing if no row does.
    pub target: Option<String>,
    /// Why it is there and why it is within its bound.
    pub reason: String,
}

/// One row of the allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedTarget {
    /// FOCUS `SubAccountId`.
    pub id: String,
    /// FOCUS `SubAccountName`.
    pub name: String,
    /// Its own charges.
    #[serde(with = "decimal_text")]
    pub own: Decimal,
    /// Its share of the charges without a sub account.
    #[serde(with = "decimal_text")]
    pub shared: Decimal,
    /// Adjustments that its row carries.
    #[serde(with = "decimal_text")]
    pub adjustment: Decimal,
    /// What its row says: the sum of the three.
    #[serde(with = "decimal_text")]
    pub total: Decimal,
}

/// An amount that no row carries, or the one row `(unallocated)` does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedRest {
    /// `tax` or `pool`.
    pub kind: String,
    /// How much.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
    /// Why.
    pub reason: String,
}

/// What changed against the revision before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supersedes {
    /// The revision before this one.
    pub revision: Revision,
    /// Whether that one was final.
    pub finality: Finality,
    /// New rows and rest less the old ones.
    #[serde(with = "decimal_text")]
    pub difference: Decimal,
    /// The same for each target whose total differs, by id. Bills post these, never the full amount again.
    pub targets: BTreeMap<String, TargetDifference>,
}

/// A target's change against the revision before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetDifference {
    /// Its name in the newer of the two revisions that has it.
    pub name: String,
    /// New total less the old one.
    #[serde(with = "decimal_text")]
    pub difference: Decimal,
}

/// A document that went in or came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRef {
    /// Its key in the data bucket.
    pub key: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// The certificate of one invoice revision. Amounts are decimal texts in `currency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Version of this document's format.
    pub certificate: u32,
    /// What it is about.
    pub subject: Subject,
    /// ISO 4217 code of all amounts.
    pub currency: String,
    /// What the provider says the invoice comes to.
    #[serde(with = "decimal_text")]
    pub provider_total: Decimal,
    /// Which of its fields say it.
    pub provider_total_source: String,
    /// Sum of the normalised charges, taxes included.
    #[serde(with = "decimal_text")]
    pub charges_total: Decimal,
    /// Sum of the rows, before adjustments.
    #[serde(with = "decimal_text")]
    pub allocated_total: Decimal,
    /// Charges that no sub account carries.
    #[serde(with = "decimal_text")]
    pub unallocated_total: Decimal,
    /// Provider total less charges and adjustments: zero unless the status is `mismatch`.
    #[serde(with = "decimal_text")]
    pub unexplained: Decimal,
    /// The verdict.
    pub status: Status,
    /// The verdict in words.
    pub explanation: String,
    /// Named differences.
    pub adjustments: Vec<Adjustment>,
    /// The rows, in the order of the CSV.
    pub targets: Vec<CertifiedTarget>,
    /// What no sub account carries, by kind.
    pub unallocated: Vec<CertifiedRest>,
    /// The invoice's own figures, as the provider wrote them.
    pub provider_figures: serde_json::Value,
    /// The published revision before this one, and the differences.
    pub supersedes: Option<Supersedes>,
    /// Raw documents.
    pub inputs: Vec<DocumentRef>,
    /// The rules in force, each with its value or hash.
    pub rules: BTreeMap<String, String>,
    /// What was written for this revision.
    pub outputs: Vec<DocumentRef>,
    /// Name and version of the software.
    pub software: String,
}

/// One document that says how figures came about, and the laws that hold of them. They are checked where it is made, and again wherever it
/// is read.
pub trait Certified: Serialize + DeserializeOwned {
    /// What it is a certificate of, for messages.
    const OF: &'static str;

    /// Checks its laws.
    ///
    /// # Errors
    /// [`CertificateError::Broken`] names the law and both sides.
    fn verify(&self) -> Result<(), CertificateError>;

    /// One law.
    ///
    /// # Errors
    /// [`CertificateError::Broken`] if one side is not the other.
    fn law<T: PartialEq + fmt::Display>(
        law: impl Into<Cow<'static, str>>,
        left: T,
        right: T,
    ) -> Result<(), CertificateError> {
        if left == right {
            return Ok(());
        }
        let (law, left, right) = (law.into(), left.to_string(), right.to_string());
        Err(CertificateError::Broken { of: Self::OF, law, left, right })
    }

    /// The document: two spaces of indentation, keys sorted, a newline at the end.
    ///
    /// # Errors
    /// [`CertificateError`] if a law does not hold: such a certificate is never written.
    fn to_json(&self) -> Result<Vec<u8>, CertificateError> {
        self.verify()?;
        Ok(canonical::to_json(self)?)
    }

    /// Reads a document and checks its laws again.
    ///
    /// # Errors
    /// [`CertificateError`].
    fn from_json(bytes: &[u8]) -> Result<Self, CertificateError> {
        let read = serde_json::from_slice(bytes);
        let certificate: Self = read.map_err(|error| CertificateError::Malformed { of: Self::OF, error })?;
        certificate.verify()?;
        Ok(certificate)
    }
}

/// The certificate of a revision, which names the revision before it.
pub trait Superseding: Certified {
    /// This certificate with its differences to the one before; `None` for the first.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    fn superseding(&self, before: Option<&Self>) -> Result<Self, MoneyError>;
}

/// A certificate that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One of the laws does not hold.
    #[error("the certificate of {of} contradicts itself: {law}: {left} is not {right}")]
    Broken {
        /// What it is a certificate of.
        of: &'static str,
        /// The law.
        law: Cow<'static, str>,
        /// Its left side.
        left: String,
        /// Its right side.
        right: String,
    },
    /// The sums overflow.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// It, or what goes into it, cannot be written.
    #[error("the certificate cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// The bytes are no certificate.
    #[error("the document is no certificate of {of}: {error}")]
    Malformed {
        /// What it was to be a certificate of.
        of: &'static str,
        /// Why.
        error: serde_json::Error,
    },
}

impl Certificate {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;

    /// The invoice it is about.
    #[must_use]
    pub fn invoice(&self) -> InvoiceKey {
        InvoiceKey {
            provider: self.subject.provider.clone(),
            billing_account: self.subject.billing_account.clone(),
            period: self.subject.period,
            invoice_id: self.subject.invoice_id.clone(),
        }
    }

    /// What bills are made of: the rows after adjustments, and the rest.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn published_total(&self) -> Result<Decimal, MoneyError> {
        money::sum(self.targets.iter().map(|target| target.total).chain([self.unallocated_total]))
    }

    fn difference_to(&self, before: &Self) -> Result<Supersedes, MoneyError> {
        // one sub account may be spelled in several ways, and stand in more than one row of an earlier certificate
        let rule = Rule::of(self.subject.provider.as_str());
        let mut changes: BTreeMap<String, (String, TargetDifference)> = BTreeMap::new();
        let signed = before.targets.iter().map(|target| (target, -target.total));
        for (target, amount) in signed.chain(self.targets.iter().map(|target| (target, target.total))) {
            let key = rule.key(Id::SubAccount, &target.id).into_owned();
            let old = changes.get(&key).map_or(Decimal::ZERO, |(_, change)| change.difference);
            let change = TargetDifference { name: target.name.clone(), difference: money::add(old, amount)? };
            changes.insert(key, (target.id.clone(), change));
        }
        let mut targets: BTreeMap<String, TargetDifference> = changes.into_values().collect();
        targets.retain(|_, change| !change.difference.is_zero());
        Ok(Supersedes {
            revision: before.subject.revision.clone(),
            finality: before.subject.finality,
            difference: money::sub(self.published_total()?, before.published_total()?)?,
            targets,
        })
    }
}

impl Certified for Certificate {
    const OF: &'static str = "an invoice";

    /// Checks the laws:
    /// charges = allocated + unallocated; allocated = rows before adjustments; each row is the sum of its
    /// parts; adjustments with a target are those in the rows; provider total = charges + adjustments +
    /// unexplained; `matched` has no adjustments, and only a `mismatch` has anything unexplained.
    fn verify(&self) -> Result<(), CertificateError> {
        let rows = money::sum(self.targets.iter().flat_map(|target| [target.own, target.shared]))?;
        let rest = money::sum(self.unallocated.iter().map(|rest| rest.amount))?;
        let adjustments = money::sum(self.adjustments.iter().map(|adjustment| adjustment.amount))?;
        let targeted = self.adjustments.iter().filter(|a| a.target.is_some()).map(|a| a.amount);
        Self::law(
            "charges_total = allocated_total + unallocated_total",
            self.charges_total,
            money::add(self.allocated_total, self.unallocated_total)?,
        )?;
        Self::law("allocated_total = own + shared of all targets", self.allocated_total, rows)?;
        Self::law("unallocated_total = sum of unallocated", self.unallocated_total, rest)?;
        for target in &self.targets {
            let sum = money::sum([target.own, target.shared, target.adjustment])?;
            Self::law("total of a target = own + shared + adjustment", target.total, sum)?;
        }
        Self::law(
            "adjustments of the targets = adjustments with a target",
            money::sum(self.targets.iter().map(|target| target.adjustment))?,
            money::sum(targeted)?,
        )?;
        Self::law(
            "provider_total = charges_total + adjustments + unexplained",
            self.provider_total,
            money::sum([self.charges_total, adjustments, self.unexplained])?,
        )?;
        if self.status == Status::Matched {
            Self::law("adjustments of a matched invoice = 0", self.adjustments.len(), 0)?;
        }
        match self.status {
            Status::Matched | Status::Explained => {
                Self::law("unexplained = 0 unless it is a mismatch", self.unexplained, Decimal::ZERO)
            }
            Status::Mismatch => Ok(()),
        }
    }
}

impl Superseding for Certificate {
    fn superseding(&self, before: Option<&Self>) -> Result<Self, MoneyError> {
        let supersedes = before.map(|before| self.difference_to(before)).transpose()?;
        Ok(Self { supersedes, ..self.clone() })
    }
}

/// Serialises decimals as JSON strings, exactly, and reads them back.
pub mod decimal_text {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::money::parse_decimal;

    /// As text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// From text.
    ///
    /// # Errors
    /// A text that is no exact decimal.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        parse_decimal(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// The same of a decimal that need not be there.
    pub mod optional {
        use super::{Decimal, Deserialize, Deserializer, Error, Serializer, parse_decimal};

        /// As text.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(value: &Option<Decimal>, serializer: S) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => serializer.collect_str(value),
                None => serializer.serialize_none(),
            }
        }

        /// From text.
        ///
        /// # Errors
        /// A text that is no exact decimal.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| parse_decimal(&text)).transpose().map_err(D::Error::custom)
        }
    }
}
