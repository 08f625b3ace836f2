//! Schedule -> `raw/azure/...`: the costs of an Azure billing account, month by month, each revision once.
//!
//! Without more in the event, the running month and those that have ended and are not final yet; `{"month": "2026-10"}` by hand;
//! `"dry_run": true` only says what would be fetched. A month comes as a cost details report, or where an export to storage is
//! named, from its newest run. The files are kept as they came and the manifest last, whose arrival starts the allocation. One
//! month that fails does not stop the others; the invocation then fails, so that it is tried again.
//!
//! | variable or secret | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the bucket and the ledger's table |
//! | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET` | an app registration |
//! | `SECRETS`, `AZURE_SECRET_ARN` or `AZURE_VAULT_PATH` | where these three come from, see [`cloud::secrets`] |
//! | `AZURE_SCOPE` | what is billed, for example `providers/Microsoft.Billing/billingAccounts/.../billingProfiles/...` |
//! | `AZURE_ACCOUNT` | under which name its bills are filed, default the last part of the scope |
//! | `AZURE_METRIC` | `both` (default): actual and amortized costs; or `ActualCost` |
//! | `AZURE_INVOICES` | `on` (default) or `off`: whether rows must come to the invoices, and a month waits for them |
//! | `AZURE_EXPORT_URL` | an export in storage, `https://{account}.blob.core.windows.net/{container}/{directory}/{export}` |
//! | `AZURE_MONTHS` | ended months to look at, default 2 |
//! | `AZURE_CONCURRENCY` | months fetched at once, default 3 |
//! | `AZURE_REPORT_TIMEOUT_S` | how long the reports of a month may take together, default 600 |
//! | `AZURE_API_URL` | default `https://management.azure.com` |
//! | `AZURE_LOGIN_URL` | default `https://login.microsoftonline.com` |
//! | `HTTP_*` | see [`cloud::http`] |

mod azure;
mod bill;
mod blob;
mod cost_details;
mod error;
mod export;
mod invoices;
mod months;
mod scope;

use std::time::Duration;

use billing::ids::{BillingAccountId, InvalidId};
use cloud::aws::Aws;
use cloud::fetch::Fetch;
use cloud::http::{ClientError, InvalidBaseUrl, base_url, shown};
use cloud::peer::{Peer, PeerError};
use cloud::secrets::{Secrets, SecretsError};
use cloud::vars::{VarError, Vars};
use url::Url;

use crate::azure::{Azure, Credentials};
use crate::cost_details::Metrics;
use crate::export::Export;
use crate::scope::{InvalidScope, Scope};

pub use bill::{BillDetail, MonthError};
pub use error::AzureError;

/// The function with its clients.
pub type App = Fetch<Fetcher>;

/// Where bills come from.
pub struct Fetcher {
    azure: Azure,
    /// The reports that make up a bill.
    metrics: Metrics,
    /// Taken instead of cost details reports, where there is one.
    export: Option<Export>,
    /// Where invoices are listed; nothing if they are not looked at.
    invoices: Option<Url>,
    account: BillingAccountId,
    months: usize,
    concurrency: usize,
}

/// Why nothing could be done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum Error {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    BaseUrl(#[from] InvalidBaseUrl),
    #[error(transparent)]
    Http(#[from] ClientError),
    #[error("AZURE_ACCOUNT, or the last part of AZURE_SCOPE, is not usable: {0}")]
    Account(#[from] InvalidId),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl Fetcher {
    async fn from_vars(vars: &Vars, aws: &Aws) -> Result<Self, Error> {
        let scope = scope(vars)?;
        let url = |name, default| base_url(name, vars.get(name).unwrap_or(default), vars);
        let base = url("AZURE_API_URL", "https://management.azure.com")?;
        let login = url("AZURE_LOGIN_URL", "https://login.microsoftonline.com")?;
        let secrets = Secrets::load(vars, aws, "AZURE_SECRET_ARN").await?;
        let tenant = secrets.require_text("AZURE_TENANT_ID", "the directory (tenant) id")?;
        let id = secrets.require("AZURE_CLIENT_ID", "the application (client) id of an app registration")?;
        let secret = secrets.require("AZURE_CLIENT_SECRET", "the value of a client secret of it")?;
        let credentials = Credentials::new(&login, &tenant, id, secret);
        let account = BillingAccountId::new(vars.get("AZURE_ACCOUNT").unwrap_or_else(|| scope.name()))?;
        let invoices = invoices(vars, &scope, &base)?;
        let export = export(vars, &credentials)?;
        let azure = Azure {
            peer: Peer::from_vars(vars)?,
            tokens: credentials.tokens(management_scope(&base)),
            report_timeout: Duration::from_secs(vars.number("AZURE_REPORT_TIMEOUT_S", 600)?),
            base,
            scope,
        };
        Ok(Self {
            azure,
            metrics: vars.parsed("AZURE_METRIC", Metrics::Both)?,
            export,
            invoices,
            account,
            months: vars.number("AZURE_MONTHS", 2)?,
            concurrency: vars.number("AZURE_CONCURRENCY", 3usize)?.max(1),
        })
    }
}

fn scope(vars: &Vars) -> Result<Scope, VarError> {
    let meaning = "what is billed, for example providers/Microsoft.Billing/billingAccounts/{account}";
    let text = vars.require("AZURE_SCOPE", meaning)?;
    text.parse().map_err(|error: InvalidScope| VarError::Invalid {
        name: "AZURE_SCOPE",
        value: text.to_owned(),
        expected: error.to_string(),
    })
}

/// Where invoices are listed, unless they are not to be looked at or the scope has none.
fn invoices(vars: &Vars, scope: &Scope, base: &Url) -> Result<Option<Url>, VarError> {
    let invalid = |value: &str, expected: &str| VarError::Invalid {
        name: "AZURE_INVOICES",
        value: value.to_owned(),
        expected: expected.to_owned(),
    };
    match vars.get("AZURE_INVOICES") {
        None => Ok(scope.invoices(base)),
        Some("off") => Ok(None),
        Some(on @ "on") => {
            let place = scope.invoices(base);
            place
                .map(Some)
                .ok_or_else(|| invalid(on, "off: this AZURE_SCOPE has no invoices that its rows name"))
        }
        Some(other) => Err(invalid(other, "on or off")),
    }
}

fn export(vars: &Vars, credentials: &Credentials) -> Result<Option<Export>, Error> {
    let Some(text) = vars.get("AZURE_EXPORT_URL") else { return Ok(None) };
    let url = base_url("AZURE_EXPORT_URL", text, vars)?;
    let tokens = credentials.tokens("https://storage.azure.com/.default".into());
    let invalid = |error: export::InvalidExport| VarError::Invalid {
        name: "AZURE_EXPORT_URL",
        value: shown(&url),
        expected: error.to_string(),
    };
    Ok(Some(Export::new(&url, tokens).map_err(invalid)?))
}

/// The resource that tokens are for: the API itself, also in clouds of other countries.
fn management_scope(base: &Url) -> String {
    match base.scheme() {
        "https" => format!("{}/.default", base.origin().ascii_serialization()),
        _ => "https://management.azure.com/.default".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invoices_are_looked_at_where_the_scope_has_them() {
        let base = Url::parse("https://management.azure.com").unwrap();
        let place = |scope: &str, value: &str| {
            let vars = Vars::from_iter([("AZURE_INVOICES", value)]);
            invoices(&vars, &scope.parse().unwrap(), &base).map(|place| place.is_some())
        };
        let account = "providers/Microsoft.Billing/billingAccounts/1:2";
        let customer = "providers/Microsoft.Billing/billingAccounts/1:2/customers/2";
        assert_eq!(
            (place(account, ""), place(account, "off"), place(account, "on")),
            (Ok(true), Ok(false), Ok(true))
        );
        assert_eq!((place(customer, ""), place(customer, "off")), (Ok(false), Ok(false)));
        let error = place(customer, "on").unwrap_err().to_string();
        assert!(error.contains("this AZURE_SCOPE has no invoices that its rows name"), "{error}");
        assert!(place(account, "yes").is_err());
    }

    #[test]
    fn tokens_are_for_the_cloud_that_is_called() {
        let scope = |url: &str| management_scope(&Url::parse(url).unwrap());
        assert_eq!(
            scope("https://management.chinacloudapi.cn"),
            "https://management.chinacloudapi.cn/.default"
        );
        assert_eq!(scope("http://127.0.0.1:1"), "https://management.azure.com/.default");
    }
}
