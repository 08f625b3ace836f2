//! What `bill` answers.

use std::collections::BTreeMap;

use billing::bills::{CurrencyProof, RecoveryProof, RunDocument, StatedBill, StatedLine, UnallocatedProof};
use billing::money::{Currency, format_amount};
use billing::month::BillingMonth;
use cloud::invocation::{Report, Tally};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::explain::Explained;

/// An answer of Lambda has 6 MB at the most: of more lines, only those of one customer are shown.
const MOST_LINES: usize = 5_000;

/// What became of one event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BillReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One entry a month.
    pub months: Vec<MonthReport>,
    /// How a figure came about, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<Explained>,
}

/// What became of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BillState {
    /// A run was posted.
    Billed,
    /// It was billed before, from the same.
    Unchanged,
    /// What would be posted, in a dry run.
    Preview,
    /// It is not billed, or a bill or mail of it is held; the reason stands under `held/`.
    Held,
    /// Not done; nothing is lost, trying again may help.
    Failed,
    /// No catalog has customers.
    Nothing,
    /// What was asked for names what there is not; nothing was done.
    Refused,
}

/// One month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonthReport {
    /// The month.
    pub month: BillingMonth,
    /// What became of it.
    pub state: BillState,
    /// The newest run, `2026-10#1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The catalog's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
    /// ISO 4217 code of the bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Bills that were asked for, by customer.
    pub bills: Vec<BillShown>,
    /// Charges, billed costs, and costs that are not recovered or unallocated, by currency, as in the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charges: Option<BTreeMap<String, CurrencyProof>>,
    /// What nobody is billed, with reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unallocated: Option<Vec<UnallocatedProof>>,
    /// What of costs that have a place was billed, and every difference by name, as in the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryProof>,
    /// What keeps the month from being billed, or what was missing when a person released it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What is worth a look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Keys of the exports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<String>,
    /// Key of the newest run's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Mails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mails: Vec<MailReport>,
    /// Uploads to the invoicing system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploads: Vec<UploadReport>,
    /// Why, in one line; empty where all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A bill, in short. Amounts are decimal texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BillShown {
    /// Whose.
    pub customer: String,
    /// What it comes to.
    pub total: String,
    /// What was posted of it now; nothing where the run is not new.
    pub difference: String,
    /// Whether that goes out with this bill; else the next one has it as a correction.
    pub is_first: bool,
    /// What the next bill takes.
    pub carried_out: String,
    /// How many lines.
    pub line_count: usize,
    /// Why it must not go out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Its lines with all that made them: in a dry run, or where one customer was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<StatedLine>,
}

/// How far a mail or an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailState {
    /// It went out now.
    New,
    /// It went out before.
    Sent,
    /// It was refused; the next run tries again.
    Refused,
    /// Nobody here knows whether it went out.
    Unsure,
    /// Its run was published while nothing was sent; it goes out if a person asks for it.
    Skipped,
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailReport {
    /// Whose bill.
    pub customer: String,
    /// To whom.
    pub to: String,
    /// How far it has come.
    pub state: MailState,
    /// Why it did not go out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip)]
    is_new_doubt: bool,
}

impl MailReport {
    pub(crate) fn new(
        customer: &str,
        to: &str,
        state: MailState,
        reason: String,
        is_new_doubt: bool,
    ) -> Self {
        Self { customer: customer.to_owned(), to: to.to_owned(), state, reason, is_new_doubt }
    }

    /// Whether nobody knows what became of it since this very run, or SES was not even reached: others would fare no better.
    pub(crate) fn is_new_doubt(&self) -> bool {
        self.is_new_doubt
    }
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadReport {
    /// The key of the export.
    pub key: String,
    /// How far it has come.
    pub state: MailState,
    /// Why it did not go out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl BillShown {
    fn of(bill: &StatedBill, currency: Currency, is_new: bool, with_lines: bool) -> Self {
        let money = |amount| format_amount(amount, currency);
        Self {
            customer: bill.customer.clone(),
            total: money(bill.total),
            difference: money(if is_new { bill.difference } else { Decimal::ZERO }),
            is_first: bill.is_first,
            carried_out: money(bill.carried_out),
            line_count: bill.lines.len(),
            held: bill.held.clone(),
            lines: if with_lines { bill.lines.clone() } else { Vec::new() },
        }
    }
}

impl MonthReport {
    pub(crate) fn new(month: BillingMonth, state: BillState, reason: impl Into<String>) -> Self {
        Self {
            month,
            state,
            run: None,
            catalog: None,
            currency: None,
            bills: Vec::new(),
            charges: None,
            unallocated: None,
            recovery: None,
            missing: Vec::new(),
            remarks: Vec::new(),
            exports: Vec::new(),
            certificate: None,
            mails: Vec::new(),
            uploads: Vec::new(),
            reason: reason.into(),
        }
    }

    /// What a run says; with the lines of all bills, or of one customer's alone.
    pub(crate) fn of(
        document: &RunDocument,
        state: BillState,
        customer: Option<&str>,
        with_lines: bool,
    ) -> Self {
        let asked_for = |bill: &&StatedBill| customer.is_none_or(|customer| customer == bill.customer);
        let bills = document.bills.iter().filter(asked_for);
        let is_new = matches!(state, BillState::Billed | BillState::Preview);
        let lines: usize = document.bills.iter().map(|bill| bill.lines.len()).sum();
        let with_lines = with_lines && lines <= MOST_LINES;
        let currency = Currency::from_code(&document.currency).unwrap_or(Currency::XXX);
        Self {
            run: Some(document.run.to_string()),
            catalog: Some(document.catalog.clone()),
            currency: Some(document.currency.clone()),
            bills: bills
                .map(|bill| BillShown::of(bill, currency, is_new, with_lines || customer.is_some()))
                .collect(),
            charges: Some(document.certificate.charges.clone()),
            unallocated: Some(document.certificate.unallocated.clone()),
            recovery: document.certificate.recovery.clone(),
            missing: document.released.iter().flat_map(|release| release.missing.clone()).collect(),
            ..Self::new(document.month(), state, String::new())
        }
    }

    /// What is held of the month.
    pub(crate) fn problems(&self) -> Vec<String> {
        let unsent = |state: MailState| matches!(state, MailState::Unsure | MailState::Refused);
        let bills = self.bills.iter().filter_map(|bill| bill.held.clone());
        let mails = self.mails.iter().filter(|mail| unsent(mail.state));
        let mails =
            mails.map(|mail| format!("the mail to {} for {}: {}", mail.to, mail.customer, mail.reason));
        let uploads = self.uploads.iter().filter(|upload| unsent(upload.state));
        let uploads = uploads.map(|upload| format!("the upload of {}: {}", upload.key, upload.reason));
        bills.chain(mails).chain(uploads).collect()
    }
}

impl BillReport {
    fn count(&self, states: &[BillState]) -> usize {
        self.months.iter().filter(|month| states.contains(&month.state)).count()
    }
}

impl Report for BillReport {
    fn tally(&self) -> Tally {
        let done = [BillState::Billed, BillState::Unchanged, BillState::Preview, BillState::Nothing];
        Tally {
            success: self.count(&done) + usize::from(self.explained.is_some()),
            held: self.count(&[BillState::Held]),
            failed: self.count(&[BillState::Failed, BillState::Refused]),
        }
    }

    fn message(&self) -> String {
        let told = self.months.iter().map(|month| {
            let (bills, of) = (month.bills.len(), month.month);
            match month.state {
                BillState::Held => format!("{of} held: {}", month.reason),
                BillState::Failed => format!("{of} failed: {}", month.reason),
                BillState::Nothing | BillState::Refused => format!("{of}: {}", month.reason),
                BillState::Unchanged => format!("{of} unchanged"),
                BillState::Billed | BillState::Preview => {
                    let currency = month.currency.as_deref().unwrap_or_default();
                    let posted = billing::money::sum(
                        month
                            .bills
                            .iter()
                            .filter(|bill| bill.held.is_none())
                            .filter_map(|bill| bill.difference.parse().ok()),
                    );
                    let posted = posted.map(|posted| posted.to_string()).unwrap_or_default();
                    format!("{of}: {bills} bills, {posted} {currency} posted")
                }
            }
        });
        let told: Vec<String> = told.collect();
        match (&self.explained, told.is_empty()) {
            (Some(explained), _) => {
                format!("the bill of {} for {} explained", explained.customer, explained.month)
            }
            (None, true) => "no month to bill".into(),
            (None, false) => format!("bills of {}", told.join("; ")),
        }
    }

    fn dry_run(&self) -> bool {
        self.dry_run || self.explained.is_some()
    }
}
