//! Billing periods: open while an invoice may still grow, closed when all are final, reopened when a final
//! invoice was restated with other amounts.

use std::collections::BTreeMap;
use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::certificate::decimal_text;
use crate::revision::Revision;

/// Whether an invoice may still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finality {
    /// The month is still running at the provider.
    Open,
    /// The provider has closed the invoice (it may still restate it, as a new revision).
    Final,
}

impl fmt::Display for Finality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What one invoice contributes to the state of its period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodInvoice {
    /// The newest published revision.
    pub revision: Revision,
    /// Whether that one is final.
    pub finality: Finality,
    /// Set when a final revision replaced another final one with different amounts.
    pub restatement: Option<Restatement>,
    /// Why something newer of this invoice is held; nothing if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Whether it is withdrawn: then nothing of it counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// A final invoice that came again with other amounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restatement {
    /// The final revision before.
    pub from: Revision,
    /// New total less the old one, in the invoice's currency.
    #[serde(with = "decimal_text")]
    pub difference: Decimal,
}

/// The state of one provider account's month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeriodState {
    /// An invoice may still grow, or one is held.
    Open,
    /// All invoices known are final.
    Closed,
    /// All are final, and one was restated after it had been final.
    Reopened,
}

impl fmt::Display for PeriodState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The state of a period and why, from its invoices by id. It depends on nothing else, above all not on the
/// order in which the invoices and their revisions arrived.
#[must_use]
pub fn period_state(invoices: &BTreeMap<String, PeriodInvoice>) -> (PeriodState, String) {
    if let Some((id, reason)) = invoices.iter().find_map(|(id, invoice)| Some((id, invoice.held.as_ref()?))) {
        return (PeriodState::Open, format!("invoice {id} is held: {reason}"));
    }
    if let Some((id, _)) = invoices.iter().find(|(_, invoice)| invoice.finality == Finality::Open) {
        return (PeriodState::Open, format!("invoice {id} is still open at the provider"));
    }
    if !invoices.is_empty() && invoices.values().all(|invoice| invoice.withdrawn) {
        let names = invoices.keys().cloned().collect::<Vec<_>>().join(", ");
        return (PeriodState::Open, format!("its bills are withdrawn ({names}): bring the month again"));
    }
    let restated: Vec<String> = invoices
        .iter()
        .filter_map(|(id, invoice)| {
            let restatement = invoice.restatement.as_ref()?;
            Some(format!(
                "invoice {id} was restated by {} (revision {} after {})",
                restatement.difference, invoice.revision, restatement.from
            ))
        })
        .collect();
    if restated.is_empty() {
        (PeriodState::Closed, "every invoice is final".into())
    } else {
        (PeriodState::Reopened, restated.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoice(finality: Finality, difference: Option<i64>) -> PeriodInvoice {
        PeriodInvoice {
            revision: Revision::of(b"new"),
            finality,
            held: None,
            withdrawn: false,
            restatement: difference
                .map(|cents| Restatement { from: Revision::of(b"old"), difference: Decimal::new(cents, 2) }),
        }
    }

    #[test]
    fn open_wins_over_reopened_wins_over_closed() {
        let state = |invoices: &[PeriodInvoice]| {
            let named = invoices.iter().enumerate().map(|(i, invoice)| (format!("i{i}"), invoice.clone()));
            period_state(&named.collect())
        };
        let (open, closed) = (invoice(Finality::Open, None), invoice(Finality::Final, None));
        let restated = invoice(Finality::Final, Some(-1250));
        assert_eq!(state(std::slice::from_ref(&closed)).0, PeriodState::Closed);
        assert_eq!(state(&[closed.clone(), restated.clone()]).0, PeriodState::Reopened);
        assert_eq!(
            state(&[closed, restated.clone(), open]),
            (PeriodState::Open, "invoice i2 is still open at the provider".into())
        );
        let held = PeriodInvoice { held: Some("it is cut short".into()), ..invoice(Finality::Final, None) };
        assert_eq!(state(&[held]), (PeriodState::Open, "invoice i0 is held: it is cut short".into()));
        let withdrawn = PeriodInvoice { withdrawn: true, ..restated.clone() };
        assert_eq!(state(std::slice::from_ref(&withdrawn)).0, PeriodState::Open);
        let beside_another = state(&[withdrawn, invoice(Finality::Final, None)]);
        assert_eq!(beside_another.0, PeriodState::Reopened, "its amount is gone");
        assert_eq!(
            state(&[restated]).1,
            format!(
                "invoice i0 was restated by -12.50 (revision {} after {})",
                Revision::of(b"new"),
                Revision::of(b"old")
            )
        );
    }
}
