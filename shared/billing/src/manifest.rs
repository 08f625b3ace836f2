//! The manifest of a bill: which raw documents make up one month of a billing account, and what the provider says they come to.
//!
//! A bill of AWS, Azure or Google Cloud comes as many files or pages. Each is kept as it came; the manifest is written last, so
//! a bill without one is not complete, and its arrival starts the allocation. It says nothing of when it was fetched: the same
//! bill fetched again has the same bytes, hence the same name, and starts nothing.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::certificate::decimal_text;
use crate::charges::DateOrder;
use crate::ids::{BillingAccountId, InvoiceId, Provider};
use crate::keys::{InvoiceKey, RawDocumentKey};
use crate::month::BillingMonth;
use crate::period::Finality;
use crate::revision::Revision;
use crate::strict;

/// How the data of a bill is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A FOCUS export, CSV or Parquet.
    Focus,
    /// AWS Data Exports, table `COST_AND_USAGE_REPORT` (CUR 2.0), CSV or Parquet.
    Cur2,
    /// The legacy AWS Cost and Usage Report, CSV.
    Cur1,
    /// Answers of AWS Cost Explorer, JSON.
    CostExplorer,
    /// A cost details report of Azure, columns of EA or MCA, CSV.
    AzureCostDetails,
    /// Answers of `BigQuery` to the query of fetch-gcp, JSON.
    BigQuery,
    /// An invoice of MongoDB Atlas, JSON or CSV, that a person brought.
    AtlasInvoice,
}

/// Which of its costs the rows of a part state, where a provider states them in two reports that share most rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Costs {
    /// As invoiced: what was prepaid counts when it was bought.
    Billed,
    /// What was prepaid is spread over what it was used for.
    Amortized,
}

/// One raw document of a bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its key in the data bucket; the extension says how it is read: `csv`, `csv.gz`, `csv.zip`, `parquet`, `json`.
    pub key: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Where it came from, without secrets: `s3://...`, or path and query of an endpoint.
    pub source: String,
    /// Which costs its rows state; nothing if all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
}

/// An invoice that the provider issued for rows of the bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceTotal {
    /// Its number, as rows name it.
    pub invoice_id: String,
    /// What is payable (negative: a credit memo), taxes included.
    #[serde(with = "decimal_text")]
    pub total: Decimal,
    /// Taxes within `total` that no row of the bill states; zero where the rows have them.
    #[serde(with = "decimal_text")]
    pub tax_not_in_rows: Decimal,
    /// ISO 4217 code.
    pub currency: String,
    /// Which field of the provider says so.
    pub source: String,
    /// When it was issued.
    pub issued: Option<NaiveDate>,
}

/// One month of a billing account, complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this document's format.
    pub manifest: u32,
    /// Who sent the bill.
    pub provider: Provider,
    /// Who is billed.
    pub billing_account: BillingAccountId,
    /// The month.
    pub period: BillingMonth,
    /// The bill: the name of the export, the number of the invoice.
    pub invoice_id: InvoiceId,
    /// Whether the bill may still change by the provider's rule.
    pub finality: Finality,
    /// The provider's own time of the last change, if it says so.
    pub provider_updated: Option<DateTime<Utc>>,
    /// How the parts are read.
    pub format: Format,
    /// The data, in the order in which its rows count.
    pub parts: Vec<Part>,
    /// Other documents that were kept: answers with the invoices, the names of accounts, the provider's own manifest.
    pub documents: Vec<Part>,
    /// The invoices to reconcile against; empty while there are none.
    pub invoices: Vec<InvoiceTotal>,
    /// Whether rows of other bills (another provider or billing account) may stand in its parts: they are not of this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Names of sub accounts that the rows do not have, by id.
    pub sub_account_names: BTreeMap<String, String>,
    /// What was decided when a person brought it; nothing of bills that a function fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought: Option<Brought>,
}

/// What was decided when a person brought a bill, or withdrew one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brought {
    /// The newest revision then: this one counts after it, whatever clocks say.
    pub replaces: Option<Revision>,
    /// What says whose the bill is: a column, or the person.
    pub provider_from: String,
    /// In which order days are written, if the person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateOrder>,
    /// Why the bill is withdrawn: it has no parts then, and no charges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// A manifest that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the document.
    #[error("the document is no manifest of a bill: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A later version of the format.
    #[error("the manifest has version {0}, this software reads version {expected}", expected = Manifest::VERSION)]
    Version(u32),
    /// The bytes are not those that the key names.
    #[error("the bytes hash to {found}, the key says {expected}: the document was cut short or renamed")]
    OtherContent {
        /// Their hash.
        found: Revision,
        /// What the key says.
        expected: Revision,
    },
    /// It stands under the key of another bill.
    #[error("the manifest stands under {expected} but is of {found}: put it under its own key")]
    WrongPlace {
        /// What the key says.
        expected: String,
        /// What it says itself.
        found: String,
    },
}

impl Manifest {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;
    /// What its key ends with.
    pub const EXTENSION: &str = "manifest.json";

    /// A bill that a function fetched, still without its parts.
    #[must_use]
    pub fn of(bill: &InvoiceKey, format: Format, finality: Finality) -> Self {
        Self {
            manifest: Self::VERSION,
            provider: bill.provider.clone(),
            billing_account: bill.billing_account.clone(),
            period: bill.period,
            invoice_id: bill.invoice_id.clone(),
            finality,
            provider_updated: None,
            format,
            parts: Vec::new(),
            documents: Vec::new(),
            invoices: Vec::new(),
            shared: false,
            sub_account_names: BTreeMap::new(),
            brought: None,
        }
    }

    /// Its bytes, canonical: the same bill has the same bytes.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`] if it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(canonical::to_json(self)?)
    }

    /// Reads the bytes that stand under `key`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(key: &RawDocumentKey, bytes: &[u8]) -> Result<Self, ManifestError> {
        let found = Revision::of(bytes);
        if found != key.revision {
            return Err(ManifestError::OtherContent { found, expected: key.revision.clone() });
        }
        let manifest: Self = strict::from_slice(bytes)?;
        if manifest.manifest != Self::VERSION {
            return Err(ManifestError::Version(manifest.manifest));
        }
        let (expected, found) = (key.invoice.to_string(), manifest.invoice().to_string());
        if expected == found { Ok(manifest) } else { Err(ManifestError::WrongPlace { expected, found }) }
    }

    /// The next revision of a bill, without charges.
    #[must_use]
    pub fn withdrawing(invoice: &InvoiceKey, format: Format, replaces: Revision, reason: String) -> Self {
        Self {
            brought: Some(Brought {
                replaces: Some(replaces),
                withdrawn: Some(reason),
                ..Brought::default()
            }),
            ..Self::of_parts(invoice, format, Finality::Final, Vec::new())
        }
    }

    /// A bill that is made of these parts; rows of other bills may stand in them.
    #[must_use]
    pub fn of_parts(invoice: &InvoiceKey, format: Format, finality: Finality, parts: Vec<Part>) -> Self {
        let InvoiceKey { provider, billing_account, period, invoice_id } = invoice.clone();
        Self {
            manifest: Self::VERSION,
            provider,
            billing_account,
            period,
            invoice_id,
            finality,
            provider_updated: None,
            format,
            parts,
            documents: Vec::new(),
            invoices: Vec::new(),
            shared: true,
            sub_account_names: BTreeMap::new(),
            brought: None,
        }
    }

    /// Why the bill is withdrawn, if it is.
    #[must_use]
    pub fn withdrawn(&self) -> Option<&str> {
        self.brought.as_ref()?.withdrawn.as_deref()
    }

    /// The bill it is of.
    #[must_use]
    pub fn invoice(&self) -> InvoiceKey {
        InvoiceKey {
            provider: self.provider.clone(),
            billing_account: self.billing_account.clone(),
            period: self.period,
            invoice_id: self.invoice_id.clone(),
        }
    }

    /// The key of these bytes, which [`Self::to_json`] gave.
    #[must_use]
    pub fn key(&self, bytes: &[u8]) -> RawDocumentKey {
        RawDocumentKey {
            invoice: self.invoice(),
            revision: Revision::of(bytes),
            extension: Self::EXTENSION.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            manifest: Manifest::VERSION,
            provider: Provider::aws(),
            billing_account: BillingAccountId::new("111122223333").unwrap(),
            period: "2025-06".parse().unwrap(),
            invoice_id: InvoiceId::new("cur2-hourly").unwrap(),
            finality: Finality::Final,
            provider_updated: None,
            format: Format::Cur2,
            parts: vec![Part {
                key: "raw/aws/111122223333/2025-06/cur2-hourly/44136fa355b3678a.csv.gz".into(),
                sha256: "44136fa355b3678a".into(),
                bytes: 2,
                source: "s3://exports/cur2-00001.csv.gz".into(),
                costs: None,
            }],
            documents: vec![],
            invoices: vec![InvoiceTotal {
                invoice_id: "2180000003".into(),
                total: "-12.50".parse().unwrap(),
                tax_not_in_rows: Decimal::ZERO,
                currency: "USD".into(),
                source: "ListInvoiceSummaries BaseCurrencyAmount.TotalAmount".into(),
                issued: None,
            }],
            shared: false,
            sub_account_names: BTreeMap::from([("111122223333".to_owned(), "payer".to_owned())]),
            brought: None,
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_only_under_its_own_key() {
        let bytes = manifest().to_json().unwrap();
        let key = manifest().key(&bytes);
        assert!(key.to_string().starts_with("raw/aws/111122223333/2025-06/cur2-hourly/"));
        assert!(key.to_string().ends_with(".manifest.json"));
        assert_eq!(RawDocumentKey::parse(&key.to_string()).unwrap(), key);
        assert_eq!(Manifest::read(&key, &bytes).unwrap(), manifest());

        let mut elsewhere = key.clone();
        elsewhere.invoice.invoice_id = InvoiceId::new("other").unwrap();
        let error = Manifest::read(&elsewhere, &bytes).unwrap_err().to_string();
        assert!(error.contains("stands under aws invoice other of 111122223333"), "{error}");
        let error = Manifest::read(&key, &bytes[1..]).unwrap_err();
        assert!(matches!(error, ManifestError::OtherContent { .. }));
    }

    #[test]
    fn later_versions_and_unknown_members_are_refused() {
        let later = Manifest { manifest: 2, ..manifest() }.to_json().unwrap();
        let error = Manifest::read(&manifest().key(&later), &later).unwrap_err();
        assert_eq!(error.to_string(), "the manifest has version 2, this software reads version 1");
        let other = br#"{"manifest": 1, "surprise": true}"#;
        assert!(matches!(Manifest::read(&manifest().key(other), other), Err(ManifestError::Malformed(_))));
    }
}
