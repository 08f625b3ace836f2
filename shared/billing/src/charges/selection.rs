//! Which rows of a document are of which bill.

use super::mapping::{Claims, Class, Twin};
use crate::identity::{Id, Rule};
use crate::keys::InvoiceKey;
use crate::month::BillingMonth;

/// Which rows of a document are of which bill: one or several, each a month of a billing account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    bills: Vec<Selected>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Selected {
    rule: Rule,
    /// What the spellings of the billing account have in common, where documents may hold several.
    billing_account: Option<String>,
    /// Rows that do not name theirs are of the bill.
    month: BillingMonth,
}

/// A bill that rows belong to, in their own words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtherBill {
    /// Whom they are from.
    pub claims: Claims,
    /// Its billing account.
    pub billing_account: Option<String>,
    /// Its month.
    pub month: Option<BillingMonth>,
    /// ISO 4217 code.
    pub currency: &'static str,
}

impl OtherBill {
    pub(super) fn of(class: &Class) -> Self {
        Self {
            claims: class.claims.clone(),
            billing_account: class.billing_account_id.clone(),
            month: class.month,
            currency: class.currency.code(),
        }
    }
}

/// Whose rows of a class are; of ours, the place of the bill in the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Ours(usize),
    /// Of the bill, and counted in another document.
    Compared(usize),
    Other,
}

impl Whose {
    /// The place of the bill in the selection.
    pub(super) fn bill(self) -> Option<usize> {
        match self {
            Self::Ours(bill) | Self::Compared(bill) => Some(bill),
            Self::Other => None,
        }
    }
}

impl Selection {
    /// All rows of a month: of documents that hold one bill only.
    #[must_use]
    pub fn all_of(month: BillingMonth) -> Self {
        Self { bills: vec![Selected { rule: Rule::Exact, billing_account: None, month }] }
    }

    /// The same of a provider.
    #[must_use]
    pub fn all_of_bill(invoice: &InvoiceKey) -> Self {
        let rule = Rule::of(invoice.provider.as_str());
        Self { bills: vec![Selected { rule, billing_account: None, month: invoice.period }] }
    }

    /// The rows of some bills: of documents that may hold others.
    #[must_use]
    pub fn only<'i>(invoices: impl IntoIterator<Item = &'i InvoiceKey>) -> Self {
        let selected = |invoice: &InvoiceKey| {
            let rule = Rule::of(invoice.provider.as_str());
            let account = rule.key(Id::BillingAccount, invoice.billing_account.as_str()).into_owned();
            Selected { rule, billing_account: Some(account), month: invoice.period }
        };
        Self { bills: invoices.into_iter().map(selected).collect() }
    }

    /// No rows: all are of other bills.
    #[must_use]
    pub fn nothing() -> Self {
        Self { bills: Vec::new() }
    }

    /// How many bills.
    #[must_use]
    pub fn bills(&self) -> usize {
        self.bills.len()
    }

    /// How identifiers of a bill are compared.
    pub(super) fn rule(&self, bill: usize) -> Rule {
        self.bills.get(bill).map(|selected| selected.rule).unwrap_or_default()
    }

    pub(super) fn whose(&self, class: &Class) -> Whose {
        let account = class.billing_account_id.as_deref();
        let is_of = |selected: &Selected| {
            let same = |key: &String| {
                account.is_some_and(|account| selected.rule.key(Id::BillingAccount, account) == *key)
            };
            class.month.is_none_or(|month| month == selected.month)
                && selected.billing_account.as_ref().is_none_or(same)
        };
        match self.bills.iter().position(is_of) {
            Some(bill) if class.twin == Some(Twin::Compared) => Whose::Compared(bill),
            Some(bill) => Whose::Ours(bill),
            None => Whose::Other,
        }
    }
}
