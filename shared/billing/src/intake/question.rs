//! Whether a bill is there already: then it is asked about before it is counted.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::charges::Figures;
use crate::identity::{Id, Rule};
use crate::keys::InvoiceKey;
use crate::revision::Revision;

/// A bill that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub invoice: InvoiceKey,
    /// Its newest revision.
    pub revision: Revision,
    /// ISO 4217 code.
    pub currency: String,
    /// Sum of its charges, exactly, as decimal text.
    pub charges_total: String,
    /// How many charges; nothing where its certificate does not say.
    pub charges: Option<u64>,
    /// Whether its provider numbers its invoices, each number once: several of a month are no question then.
    pub is_numbered: bool,
}

/// What a person says of a bill that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The new documents take its place.
    Replace,
    /// The new documents are parts of it, beside those that it has.
    Add,
    /// It is a further bill of the same account and month.
    Additional,
}

/// Why a bill may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The same account, by the provider's rule.
    SameAccount,
    /// The same account id under another provider's name.
    OtherProvider,
    /// Another account with the same total and as many charges.
    SameTotal,
}

/// A bill that may be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<'s> {
    /// The one that counts.
    pub standing: &'s Standing,
    /// What they have in common.
    pub why: Why,
}

/// The bills that count and may be the same as a bill that is brought: of its month, with the same account, or the same account id
/// under another provider's name, or the same total and as many charges.
#[must_use]
pub fn conflicts<'s>(
    bill: &InvoiceKey,
    is_numbered: bool,
    figures: Option<(&str, &Figures)>,
    standing: &'s [Standing],
) -> Vec<Conflict<'s>> {
    let others = standing.iter().filter(|other| other.invoice.period == bill.period);
    let conflict = |standing: &'s Standing| {
        let why = why(bill, figures, standing)?;
        let both_numbered = is_numbered && standing.is_numbered && standing.invoice.provider == bill.provider;
        let is_another = both_numbered && standing.invoice.invoice_id != bill.invoice_id;
        (!is_another).then_some(Conflict { standing, why })
    };
    others.filter_map(conflict).collect()
}

fn why(bill: &InvoiceKey, figures: Option<(&str, &Figures)>, standing: &Standing) -> Option<Why> {
    let other = &standing.invoice;
    let rules = [Rule::of(bill.provider.as_str()), Rule::of(other.provider.as_str())];
    let same_account = rules.iter().any(|rule| {
        rule.same(Id::BillingAccount, bill.billing_account.as_str(), other.billing_account.as_str())
    });
    if same_account {
        return Some(if bill.provider == other.provider { Why::SameAccount } else { Why::OtherProvider });
    }
    let (currency, figures) = figures?;
    let same = !figures.billed.is_zero()
        && currency == standing.currency
        && is_total(figures, &standing.charges_total)
        && Some(figures.charges) == standing.charges;
    same.then_some(Why::SameTotal)
}

/// Whether a bill comes to a total, which may have zeros at its end.
#[must_use]
pub fn is_total(figures: &Figures, total: &str) -> bool {
    let is_whole = !total.contains('.');
    figures.billed.to_string()
        == if is_whole { total } else { total.trim_end_matches('0').trim_end_matches('.') }
}

impl fmt::Display for Conflict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Standing { invoice, currency, charges_total, .. } = self.standing;
        let InvoiceKey { provider, billing_account, period, invoice_id } = invoice;
        let bill = format!("the bill '{invoice_id}' ({charges_total} {currency})");
        match self.why {
            Why::SameAccount => write!(f, "{billing_account} of {provider} has {bill} of {period} already"),
            Why::OtherProvider => write!(
                f,
                "an account {billing_account} has {bill} of {period} already, under the provider {provider}"
            ),
            Why::SameTotal => write!(
                f,
                "{billing_account} of {provider} has {bill} of {period} already, with the same total and as many charges"
            ),
        }
    }
}

/// Whether a restatement has all sub accounts that the bill had: else it may be another part of it, and is asked about.
#[must_use]
pub fn covers<'i>(
    rule: Rule,
    before: impl IntoIterator<Item = &'i str>,
    now: impl IntoIterator<Item = &'i str>,
) -> bool {
    let keys = |id: &'i str| rule.key(Id::SubAccount, id).into_owned();
    let now: BTreeSet<String> = now.into_iter().map(keys).collect();
    before.into_iter().all(|id| now.contains(&keys(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BillingAccountId, InvoiceId, Provider};
    use crate::money::Amount;

    fn bill(provider: &str, account: &str, name: &str) -> InvoiceKey {
        InvoiceKey {
            provider: Provider::new(provider).unwrap(),
            billing_account: BillingAccountId::new(account).unwrap(),
            period: "2026-10".parse().unwrap(),
            invoice_id: InvoiceId::new(name).unwrap(),
        }
    }

    fn standing(provider: &str, account: &str, is_numbered: bool) -> Standing {
        Standing {
            invoice: bill(provider, account, "import"),
            revision: Revision::of(b"x"),
            currency: "EUR".to_owned(),
            charges_total: "60.00".to_owned(),
            charges: Some(1),
            is_numbered,
        }
    }

    fn figures(billed: &str, charges: u64) -> Figures {
        let billed = Amount::parse(billed.as_bytes()).unwrap();
        Figures::of(billed, Some(billed), charges)
    }

    fn asked(bill: &InvoiceKey, figures: Option<(&str, &Figures)>, standing: &Standing) -> Option<Why> {
        conflicts(bill, false, figures, std::slice::from_ref(standing)).first().map(|conflict| conflict.why)
    }

    #[test]
    fn the_same_account_is_asked_about_however_it_is_spelled() {
        let known = standing("azure", "8611537", false);
        let path = "/providers/Microsoft.Billing/billingAccounts/8611537";
        assert_eq!(asked(&bill("azure", path, "focus"), None, &known), Some(Why::SameAccount));
        assert_eq!(asked(&bill("unknown", "8611537", "x"), None, &known), Some(Why::OtherProvider));
        assert_eq!(asked(&bill("azure", "1", "x"), None, &known), None);
        let said = conflicts(&bill("azure", path, "focus"), false, None, std::slice::from_ref(&known))[0]
            .to_string();
        assert_eq!(said, "8611537 of azure has the bill 'import' (60.00 EUR) of 2026-10 already");
    }

    #[test]
    fn the_same_costs_under_another_name_are_asked_about() {
        let known = standing("acme", "1", false);
        let other = bill("acme", "2", "x");
        let ask = |billed: &str, charges, currency: &str| {
            asked(&other, Some((currency, &figures(billed, charges))), &known)
        };
        assert_eq!(ask("60", 1, "EUR"), Some(Why::SameTotal));
        for (billed, charges, currency) in
            [("60", 2, "EUR"), ("60.01", 1, "EUR"), ("60", 1, "USD"), ("0", 1, "EUR")]
        {
            assert_eq!(ask(billed, charges, currency), None);
        }
    }

    #[test]
    fn numbered_invoices_of_one_month_are_several_invoices() {
        let known = standing("atlas", "org", true);
        let next = bill("atlas", "org", "6840");
        assert!(conflicts(&next, true, None, std::slice::from_ref(&known)).is_empty());
        assert_eq!(
            conflicts(&next, false, None, std::slice::from_ref(&known)).len(),
            1,
            "the same month as a FOCUS export"
        );
        let again = bill("atlas", "org", known.invoice.invoice_id.as_str());
        assert_eq!(conflicts(&again, true, None, std::slice::from_ref(&known)).len(), 1, "the same number");
    }

    #[test]
    fn a_restatement_has_all_accounts_that_there_were() {
        assert!(covers(Rule::Exact, ["a", "b"], ["b", "a", "c"]));
        assert!(!covers(Rule::Exact, ["s-A"], ["s-B"]));
        assert!(covers(Rule::Azure, ["/subscriptions/A"], ["a"]));
    }
}
