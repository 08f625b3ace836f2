//! Billing periods: `PERIOD#{provider}#{account}#{YYYY-MM}` / `STATUS`.

use std::collections::BTreeMap;

use billing::keys::{InvoiceKey, encode};
use billing::period::{PeriodInvoice, PeriodState, period_state};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::fields::{json, millis};
use super::{Condition, Ledger, LedgerError, LedgerReader, Record};
use crate::bucket::Written;

/// The state of one provider account's month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodRecord {
    /// Open, closed or reopened.
    pub state: PeriodState,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Who set the state: a function's name, later also a person's.
    #[serde(default)]
    pub by: String,
    /// Since when it is in this state.
    #[serde(with = "millis")]
    pub since: DateTime<Utc>,
    /// The invoices of the month by id, each as its newest published revision.
    #[serde(with = "json")]
    pub invoices: BTreeMap<String, PeriodInvoice>,
    /// The invoices as the record had them when it was read; nothing for a new record.
    #[serde(skip)]
    seen: Option<String>,
}

impl PeriodRecord {
    /// This period with one invoice as it is now, or without it if nothing of it is left; `None` if that changes nothing.
    /// `before` is the record as it was read, or nothing for the first invoice.
    #[must_use]
    pub fn with_invoice(
        before: Option<&Self>,
        id: &str,
        invoice: Option<PeriodInvoice>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let mut invoices = before.map(|record| record.invoices.clone()).unwrap_or_default();
        let same = match &invoice {
            Some(invoice) => invoices.insert(id.to_owned(), invoice.clone()).as_ref() == Some(invoice),
            None => invoices.remove(id).is_none(),
        };
        if same {
            return None;
        }
        let (state, reason) = period_state(&invoices);
        let same = before.filter(|record| record.state == state);
        Some(Self {
            state,
            reason,
            by: by.to_owned(),
            since: same.map_or(now, |record| record.since),
            invoices,
            seen: before.and_then(|record| record.seen.clone()),
        })
    }
}

fn partition(invoice: &InvoiceKey) -> String {
    let (provider, account) = (encode(invoice.provider.as_str()), encode(invoice.billing_account.as_str()));
    format!("PERIOD#{provider}#{account}#{}", invoice.period)
}

impl LedgerReader {
    /// The period of an invoice, or nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn period(&self, invoice: &InvoiceKey) -> Result<Option<PeriodRecord>, LedgerError> {
        let Some(mut record) = self.get(&partition(invoice), "STATUS").await? else { return Ok(None) };
        let period: PeriodRecord = record.read()?;
        Ok(Some(PeriodRecord { seen: record.fields.remove("invoices"), ..period }))
    }
}

impl Ledger {
    /// Writes a period if nobody wrote it since it was read.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn put_period(
        &self,
        invoice: &InvoiceKey,
        period: &PeriodRecord,
    ) -> Result<Written, LedgerError> {
        let record = Record::of(partition(invoice), "STATUS", period)?;
        // the state follows from the invoices alone, so they are what must not have changed meanwhile
        let condition = Condition::Unchanged { field: "invoices", seen: period.seen.as_deref() };
        self.put(&record, condition).await
    }
}
