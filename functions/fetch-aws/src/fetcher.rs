//! Where bills come from, and how they are called. Nothing here can write.

use billing::ids::{InvalidId, InvoiceId, Provider};
use billing::keys::InvoiceKey;
use billing::month::BillingMonth;
use cloud::billing_apis::BillingApis;
use cloud::http::RetryPolicy;

use crate::config::Config;
use crate::export::{Export, Exports};

/// The bill that answers of Cost Explorer make up.
const COST_EXPLORER: &str = "cost-explorer";

/// AWS, to read.
pub struct Fetcher {
    pub(crate) config: Config,
    /// Nothing if the costs come from Cost Explorer.
    pub(crate) exports: Option<Exports>,
    pub(crate) apis: BillingApis,
    pub(crate) retry: RetryPolicy,
}

/// Where bills come from.
#[expect(missing_docs, reason = "the names say it")]
pub enum Source {
    Export(Export),
    CostExplorer,
}

impl Source {
    /// The name of the bill.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Export(export) => &export.name,
            Self::CostExplorer => COST_EXPLORER,
        }
    }
}

impl Fetcher {
    /// The bill of a month under this name.
    pub(crate) fn name(&self, period: BillingMonth, name: &str) -> Result<InvoiceKey, InvalidId> {
        let (provider, billing_account) = (Provider::aws(), self.config.account.clone());
        Ok(InvoiceKey { provider, billing_account, period, invoice_id: InvoiceId::new(name)? })
    }
}
