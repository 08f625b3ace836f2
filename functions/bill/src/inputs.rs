//! What a month is billed from: the certified charges of every provider's account, and whether they are complete.
//!
//! Complete means: the month is over; every provider that the catalog names, every account that is configured (`BILL_INPUTS`), has an
//! invoice of this month, or was billed for the month before, has invoices of this month; their periods are closed (or reopened by a
//! restatement); and the charges of each invoice stand where its certificate says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use billing::bills::{BilledAccount, Release, RunDocument};
use billing::catalog::billing::InForce;
use billing::identity::{Id, Rule};
use billing::ids::Provider;
use billing::keys::{BillsKey, CHARGES, InvoiceKey, encode, invoice_of_certificate};
use billing::month::BillingMonth;
use billing::period::PeriodState;
use billing::revision::Revision;
use billing::text::clean;
use chrono::{DateTime, Utc};

use crate::Reader;
use crate::error::MonthError;

/// A provider, or one account of it, whose months must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expected {
    /// The word that it is filed under.
    provider: String,
    billing_account: Option<String>,
}

/// `aws` or `aws/123456789012`, with any name of the provider.
impl FromStr for Expected {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (provider, account) = match text.split_once('/') {
            Some((provider, account)) => (provider, Some(clean(account).into_owned())),
            None => (text, None),
        };
        let is_empty = clean(provider).is_empty() || account.as_ref().is_some_and(String::is_empty);
        if is_empty {
            return Err("providers, or provider/account, with commas between them".to_owned());
        }
        Ok(Self { billing_account: account, ..Self::provider(provider) })
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.billing_account {
            Some(account) => write!(f, "{}/{account}", self.provider),
            None => f.write_str(&self.provider),
        }
    }
}

impl Expected {
    fn provider(name: &str) -> Self {
        Self { provider: word(name), billing_account: None }
    }

    fn of(account: &BilledAccount) -> Self {
        Self { billing_account: Some(account.billing_account.clone()), ..Self::provider(&account.provider) }
    }

    fn is(&self, invoice: &InvoiceKey) -> bool {
        let account = self.billing_account.as_deref();
        let is_same = |one: &str| {
            Rule::of(&self.provider).same(Id::BillingAccount, one, invoice.billing_account.as_str())
        };
        self.provider == word(invoice.provider.as_str()) && account.is_none_or(is_same)
    }

    /// What all spellings of one account have in common.
    fn key(&self) -> (String, Option<String>) {
        let account = self.billing_account.as_deref();
        let key = |account: &str| Rule::of(&self.provider).key(Id::BillingAccount, account).into_owned();
        (self.provider.clone(), account.map(key))
    }
}

/// The word that a provider is filed under. A bucket may hold it under another of its names.
fn word(provider: &str) -> String {
    Provider::named(provider).map_or_else(|_| provider.to_owned(), |named| named.to_string())
}

/// Each account once, under the last of its spellings in order.
fn each_once(expected: impl IntoIterator<Item = Expected>) -> BTreeSet<Expected> {
    let mut by_key: BTreeMap<_, Expected> = BTreeMap::new();
    for one in expected {
        let last = by_key.entry(one.key()).or_insert_with(|| one.clone());
        if *last < one {
            *last = one;
        }
    }
    by_key.into_values().collect()
}

/// The newest published charges of one invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) invoice: InvoiceKey,
    pub(crate) revision: Revision,
    /// Names the content of the file of charges.
    pub(crate) etag: String,
}

/// What stands there of a month.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// By invoice.
    pub(crate) sources: Vec<Source>,
    /// What is not there, each with what to do.
    pub(crate) missing: Vec<String>,
}

impl Sources {
    pub(crate) fn accounts(&self) -> Vec<BilledAccount> {
        let account = |source: &Source| BilledAccount {
            provider: source.invoice.provider.to_string(),
            billing_account: source.invoice.billing_account.to_string(),
        };
        self.sources.iter().map(account).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Whose entry of a list of what is missing it is: the text before the first colon and space.
fn whose(missing: &str) -> &str {
    missing.split(": ").next().unwrap_or(missing)
}

/// Whether a release covers what is missing now: nobody released what was not missing then.
pub(crate) fn covers(release: &Release, missing: &[String]) -> bool {
    missing.iter().all(|now| release.missing.iter().any(|then| whose(then) == whose(now)))
}

impl Reader {
    /// The charges of a month; `before` are the bills of the month before.
    pub(crate) async fn sources(
        &self,
        in_force: &InForce<'_>,
        before: Option<&RunDocument>,
        now: DateTime<Utc>,
    ) -> Result<Sources, MonthError> {
        let month = in_force.month;
        let billed_before = before.into_iter().flat_map(|document| &document.accounts);
        let expected = self.expected.iter().cloned();
        let expected = expected.chain(in_force.providers().into_iter().map(Expected::provider));
        let expected = each_once(expected.chain(billed_before.map(Expected::of)));
        let stands = self.charges_of(month).await?;
        let mut providers: BTreeSet<String> = stands.keys().cloned().collect();
        providers.extend(expected.iter().map(|expected| encode(&expected.provider)));
        let mut found = Sources::default();
        if now < month.end() {
            found.missing.push(format!("{month}: the month is not over"));
        }
        let mut invoices = Vec::new();
        for provider in &providers {
            invoices.extend(self.invoices(provider, month).await?);
        }
        for expected in &expected {
            if !invoices.iter().any(|invoice| expected.is(invoice)) {
                found.missing.push(format!(
                    "{expected}: no invoice of {month} is certified; fetch it, or see under held/ why it is not"
                ));
            }
        }
        let mut charges: BTreeMap<String, String> = stands.into_values().flatten().collect();
        let mut looked_at = BTreeSet::new();
        for invoice in invoices {
            let account = (invoice.provider.clone(), invoice.billing_account.clone());
            if looked_at.insert(account) {
                found.missing.extend(self.open_period(&invoice).await?);
            }
            let latest = self.ledger.latest(&invoice).await?;
            match (charges.remove(&invoice.charges()), latest) {
                (Some(etag), Some(revision)) => found.sources.push(Source { invoice, revision, etag }),
                // held and never published: the period says so
                (_, None) => {}
                (None, Some(_)) => {
                    let key = invoice.charges();
                    found.missing.push(format!(
                        "{invoice}: {key} is not there yet; allocation is under way, or failed"
                    ));
                }
            }
        }
        let strays = charges.into_keys();
        found.missing.extend(strays.map(|key| {
            format!("{key} belongs to no certified invoice; remove it, or allocate its document again")
        }));
        Ok(found)
    }

    /// Files of charges with their `ETag`s, by provider as it stands in keys.
    async fn charges_of(
        &self,
        month: BillingMonth,
    ) -> Result<BTreeMap<String, Vec<(String, String)>>, MonthError> {
        let mut stands = BTreeMap::new();
        for folder in self.bucket.folders(CHARGES).await? {
            let name = folder.strip_prefix(CHARGES).and_then(|rest| rest.strip_prefix("provider="));
            let Some(provider) = name.map(|name| name.trim_end_matches('/')) else { continue };
            let files = self.bucket.list(&BillsKey { month }.charges_of(provider)).await?;
            let files: Vec<_> = files.into_iter().map(|file| (file.key, file.etag)).collect();
            if !files.is_empty() {
                stands.insert(provider.to_owned(), files);
            }
        }
        Ok(stands)
    }

    /// The invoices of a provider that have certificates, by account and number.
    async fn invoices(
        &self,
        provider: &str,
        month: BillingMonth,
    ) -> Result<BTreeSet<InvoiceKey>, MonthError> {
        let mut invoices = BTreeSet::new();
        for folder in self.bucket.folders(&format!("certificates/{provider}/")).await? {
            let listed = self.bucket.list(&format!("{folder}{month}-")).await?;
            invoices.extend(
                listed
                    .iter()
                    .filter_map(|listed| invoice_of_certificate(&listed.key))
                    .map(|(invoice, _)| invoice),
            );
        }
        Ok(invoices)
    }

    /// Why the month of an account is not closed.
    async fn open_period(&self, invoice: &InvoiceKey) -> Result<Option<String>, MonthError> {
        let of = format!("{}/{}", invoice.provider, invoice.billing_account);
        Ok(match self.ledger.period(invoice).await? {
            Some(period) if period.state != PeriodState::Open => None,
            Some(period) => Some(format!("{of}: {} is open: {}", invoice.period, period.reason)),
            None => Some(format!("{of}: {} is being allocated", invoice.period)),
        })
    }
}

#[cfg(test)]
mod tests {
    use billing::ids::{BillingAccountId, InvoiceId};

    use super::*;

    #[test]
    fn what_is_expected_is_a_provider_or_an_account() {
        let parse = |text: &str| text.parse::<Expected>();
        assert_eq!(parse("aws/123").unwrap().to_string(), "aws/123");
        assert_eq!(parse(" gcp ").unwrap().to_string(), "gcp");
        assert!(parse("").is_err() && parse("aws/").is_err() && parse("azure/\u{feff}").is_err());
    }

    #[test]
    fn an_account_is_there_under_any_of_its_spellings() {
        let invoice = |provider: &str, account: &str| InvoiceKey {
            provider: Provider::new(provider).unwrap(),
            billing_account: BillingAccountId::new(account).unwrap(),
            period: "2026-10".parse().unwrap(),
            invoice_id: InvoiceId::new("i").unwrap(),
        };
        let is = |expected: &str, provider: &str, account: &str| {
            expected.parse::<Expected>().unwrap().is(&invoice(provider, account))
        };
        let path = "/providers/Microsoft.Billing/billingAccounts/Payer-1";
        assert!(is("Microsoft/payer-1", "azure", path) && is(&format!("azure/{path}"), "azure", "PAYER-1"));
        assert!(is("Amazon Web Services", "aws", "1") && is("Azure/PAYER-1", "microsoft", "payer-1"));
        assert!(!is("aws/A", "aws", "a") && is("aws/A", "aws", "A") && !is("azure/a", "aws", "a"));
    }

    #[test]
    fn an_account_that_is_expected_twice_is_named_once() {
        let texts = ["azure/A", "Microsoft/a", "aws/A", "aws/a", "azure"];
        let shown = |texts: &[&str]| -> Vec<String> {
            let expected = each_once(texts.iter().map(|text| text.parse().unwrap()));
            expected.iter().map(ToString::to_string).collect()
        };
        assert_eq!(shown(&texts), ["aws/A", "aws/a", "azure", "azure/a"]);
        let mut backward = texts;
        backward.reverse();
        assert_eq!(shown(&backward), shown(&texts));
    }
}
