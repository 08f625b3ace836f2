//! Whose charges are that no rule of the catalog names.

use super::facts::Facts;
use crate::identity::{Id, Rule};
use crate::keys::encode;

/// Whose charges are that no rule of the catalog names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// As in the keys of the data bucket.
    pub provider: String,
    /// FOCUS `BillingAccountId`.
    pub billing_account: String,
    /// FOCUS `SubAccountId`, else its name.
    pub account: Option<String>,
}

impl Origin {
    /// Whose a charge is.
    #[must_use]
    pub fn of(facts: &Facts<'_>) -> Self {
        Self {
            provider: facts.provider.to_owned(),
            billing_account: facts.billing_account.to_owned(),
            account: account_of(facts).map(str::to_owned),
        }
    }

    /// Whether a charge is of exactly this origin, in the same spelling.
    pub(super) fn is_of(&self, facts: &Facts<'_>) -> bool {
        self.account.as_deref() == account_of(facts)
            && self.billing_account == facts.billing_account
            && self.provider == facts.provider
    }

    /// How it is written: `aws/123456789012`, or `aws/(billing account)` where charges name no account.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.account {
            Some(account) => format!("{}/{account}", self.provider),
            None => format!("{}/({})", self.provider, self.billing_account),
        }
    }

    /// What is the same for all its spellings, by the provider's rule.
    #[must_use]
    pub fn key(&self) -> Self {
        let rule = Rule::named(&self.provider);
        let account = self.account.as_deref();
        Self {
            provider: self.provider.clone(),
            billing_account: rule.key(Id::BillingAccount, &self.billing_account).into_owned(),
            account: account.map(|account| rule.key(Id::SubAccount, account).into_owned()),
        }
    }

    /// The key of the line of what its cost centre claims, `cost-center/aws/{billing account}/{account}`: the same in every run.
    #[must_use]
    pub fn line_key(&self) -> String {
        let Self { provider, billing_account, account } = self.key();
        let account = account.map(|account| format!("/{}", encode(&account))).unwrap_or_default();
        format!("cost-center/{provider}/{}{account}", encode(&billing_account))
    }

    /// Of two spellings the last in order, so that it does not matter which came first.
    pub(super) fn respell(&mut self, other: Self) {
        let Self { billing_account, account, .. } = other;
        if billing_account > self.billing_account {
            self.billing_account = billing_account;
        }
        self.account = self.account.take().max(account);
    }
}

fn account_of<'f>(facts: &Facts<'f>) -> Option<&'f str> {
    let account = [facts.sub_account_id, facts.sub_account_name];
    account.into_iter().flatten().find(|text| !text.is_empty())
}
