//! What functions that fetch bills answer.

use std::fmt::{self, Display};

use billing::keys::InvoiceKey;
use billing::month::BillingMonth;
use billing::period::Finality;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bucket::Written;
use crate::invocation::{Report, Tally};

/// What became of the months asked for; `D` is what a provider tells of a bill besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchReport<D> {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Bills that are new in the bucket.
    pub fetched: usize,
    /// Bills that the bucket had already.
    pub unchanged: usize,
    /// Months without costs.
    pub empty: Vec<BillingMonth>,
    /// Months whose final bill is kept, which are not asked for again.
    pub settled: Vec<BillingMonth>,
    /// What could not be done.
    pub failed: Vec<Failed>,
    /// The bills, by month.
    pub documents: Vec<FetchedBill<D>>,
}

/// Something that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Which.
    #[serde(flatten)]
    pub asked: Asked,
    /// Why, in one line.
    pub error: String,
}

/// What is asked for at once. `Display` is how messages name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// All of a month.
    Month(BillingMonth),
    /// One invoice, by its id.
    InvoiceId(String),
    /// A document that is stored, by its key.
    Key(String),
}

impl Failed {
    /// Tells the log, too.
    #[must_use]
    pub fn new(asked: Asked, error: &dyn Display) -> Self {
        match &asked {
            Asked::Month(month) => tracing::warn!(bill.month = %month, "{month} failed: {error}"),
            Asked::InvoiceId(id) => tracing::warn!(invoice.id = id, "invoice {id} failed: {error}"),
            Asked::Key(key) => tracing::warn!(document.key = key, "{key} failed: {error}"),
        }
        Self { asked, error: error.to_string() }
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.asked, self.error)
    }
}

impl Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Month(month) => write!(f, "{month}"),
            Self::InvoiceId(id) => write!(f, "invoice {id}"),
            Self::Key(key) => f.write_str(key),
        }
    }
}

/// What became of one bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchState {
    /// New in the bucket.
    Fetched,
    /// The bucket had it already.
    Unchanged,
    /// Would be fetched, in a dry run.
    WouldFetch,
}

impl From<Written> for FetchState {
    fn from(written: Written) -> Self {
        if written == Written::Now { Self::Fetched } else { Self::Unchanged }
    }
}

/// One bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchedBill<D> {
    /// Its name.
    pub invoice_id: String,
    /// Who is billed.
    pub billing_account: String,
    /// Its month.
    pub period: BillingMonth,
    /// What became of it.
    pub state: FetchState,
    /// Whether it may still change; nothing where that is not known before it is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finality: Option<Finality>,
    /// What the provider tells besides.
    #[serde(flatten)]
    pub detail: D,
    /// Where its manifest stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl<D> FetchedBill<D> {
    /// A bill that would be fetched.
    #[must_use]
    pub fn preview(bill: &InvoiceKey, finality: Option<Finality>, detail: D) -> Self {
        let state = FetchState::WouldFetch;
        Self { finality, key: None, ..Self::of(bill, state, detail) }
    }

    /// A bill whose manifest stands there now.
    #[must_use]
    pub fn kept(bill: &InvoiceKey, state: FetchState, finality: Finality, key: String, detail: D) -> Self {
        Self { finality: Some(finality), key: Some(key), ..Self::of(bill, state, detail) }
    }

    fn of(bill: &InvoiceKey, state: FetchState, detail: D) -> Self {
        Self {
            invoice_id: bill.invoice_id.to_string(),
            billing_account: bill.billing_account.to_string(),
            period: bill.period,
            state,
            finality: None,
            detail,
            key: None,
        }
    }
}

impl<D> FetchReport<D> {
    /// Of nothing yet.
    #[must_use]
    pub fn new(dry_run: bool) -> Self {
        let (empty, settled, failed, documents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { dry_run, fetched: 0, unchanged: 0, empty, settled, failed, documents }
    }

    /// Notes what became of a bill.
    pub fn add(&mut self, bill: FetchedBill<D>) {
        match bill.state {
            FetchState::Fetched => self.fetched += 1,
            FetchState::Unchanged => self.unchanged += 1,
            FetchState::WouldFetch => {}
        }
        self.documents.push(bill);
    }

    /// Notes what could not be done.
    pub fn fail(&mut self, asked: Asked, error: &dyn Display) {
        self.failed.push(Failed::new(asked, error));
    }

    /// By month, account and name, in whatever order answers came.
    pub fn sort(&mut self) {
        let name =
            |bill: &FetchedBill<D>| (bill.period, bill.billing_account.clone(), bill.invoice_id.clone());
        self.documents.sort_by_cached_key(name);
        self.failed.sort_by(|one, other| one.asked.cmp(&other.asked));
        self.empty.sort_unstable();
    }
}

impl<D: Serialize + DeserializeOwned> Report for FetchReport<D> {
    fn tally(&self) -> Tally {
        Tally { success: self.documents.len() + self.empty.len(), held: 0, failed: self.failed.len() }
    }

    fn message(&self) -> String {
        let mut message = format!("{} fetched, {} unchanged", self.fetched, self.unchanged);
        for month in &self.empty {
            message.push_str(&format!("; {month} has no costs"));
        }
        for failed in &self.failed {
            message.push_str(&format!("; {failed}"));
        }
        message
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }
}

#[cfg(test)]
mod tests {
    use billing::keys::RawDocumentKey;
    use serde_json::{Value, from_value, json, to_value};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Detail {
        bytes: Option<u64>,
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let bill =
            RawDocumentKey::parse("raw/aws/1/2026-10/cur/0123456789abcdef.manifest.json").unwrap().invoice;
        let mut report = FetchReport::new(false);
        report.add(FetchedBill::preview(&bill, None, Detail { bytes: None }));
        let (key, detail) = ("raw/x".to_owned(), Detail { bytes: Some(u64::MAX) });
        report.add(FetchedBill::kept(&bill, FetchState::Fetched, Finality::Open, key.clone(), detail));
        for asked in [Asked::Month(bill.period), Asked::InvoiceId("i".into()), Asked::Key(key)] {
            report.fail(asked, &"why");
        }
        let written = to_value(&report).unwrap();
        let failed = [("month", "2026-10"), ("invoice_id", "i"), ("key", "raw/x")];
        let failed = failed.map(|(name, asked)| json!({name: asked, "error": "why"}));
        assert_eq!(written["failed"], Value::from(failed.to_vec()));
        assert_eq!(from_value::<FetchReport<Detail>>(written).unwrap(), report);
    }
}
