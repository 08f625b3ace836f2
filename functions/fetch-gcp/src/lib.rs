//! Schedule -> `raw/gcp/...`: a month of Google Cloud's billing export, from BigQuery, each revision once.
//!
//! Without more in the event, the running month and the last that have ended; `{"month": "2026-10"}` by hand;
//! `"dry_run": true` has BigQuery check the queries and say what they would read, and writes nothing. One month that fails
//! does not stop the others; the invocation then fails, so that it is tried again. A month without any row is no error.
//!
//! | variable or secret | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the bucket and the ledger's table |
//! | `GCP_BILLING_TABLE` | the export, `project.dataset.table` |
//! | `GCP_LOCATION` | the location of its dataset, for example `EU` |
//! | `GCP_PROJECT` | the project that queries run in, default the table's |
//! | `GCP_BILLING_ACCOUNT` | the billing account, default that in the table's name |
//! | `GCP_SERVICE_ACCOUNT_KEY` | the JSON key file of a service account |
//! | `SECRETS`, `GCP_SECRET_ARN` or `GCP_VAULT_PATH` | where the key comes from, see [`cloud::secrets`] |
//! | `GCP_MONTHS` | ended months to fetch beside the running one, default 2 |
//! | `GCP_MAX_BYTES_BILLED` | a query that would read more is refused, default 107374182400 (100 GiB) |
//! | `GCP_QUERY_TIMEOUT_S` | how long a query may take, default 300 |
//! | `GCP_POLL_MS` | pause before a job is looked at again, default 1000 |
//! | `GCP_API_URL` | default `https://bigquery.googleapis.com` |
//! | `GCP_TOKEN_URL` | where tokens are asked for, default the key file's `token_uri` |
//! | `HTTP_*` | see [`cloud::http`] |

mod bigquery;
mod bill;
mod error;
mod key;
mod months;
mod page;
mod parts;
mod query;
mod table;

use std::time::Duration;

use billing::ids::BillingAccountId;
use cloud::aws::Aws;
use cloud::fetch::Fetch;
use cloud::http::{ClientError, InvalidBaseUrl, base_url};
use cloud::peer::{Peer, PeerError};
use cloud::secrets::{Secrets, SecretsError};
use cloud::vars::{VarError, Vars};

use crate::bigquery::BigQuery;
use crate::key::{InvalidKey, ServiceAccountKey};
use crate::query::Query;
use crate::table::{AccountError, BillingTable, account};

pub use bill::{BillDetail, MonthError};
pub use error::GcpError;

const API_URL: &str = "https://bigquery.googleapis.com";
const MAX_BYTES_BILLED: u64 = 100 << 30;

/// The function with its clients.
pub type App = Fetch<Fetcher>;

/// BigQuery and what is asked of it.
pub struct Fetcher {
    bigquery: BigQuery,
    query: Query,
    account: BillingAccountId,
    months: usize,
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
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl Fetcher {
    async fn from_vars(vars: &Vars, aws: &Aws) -> Result<Self, Error> {
        let query = query(vars)?;
        let account = account(vars.get("GCP_BILLING_ACCOUNT"), &query.table)?;
        let base = base_url("GCP_API_URL", vars.get("GCP_API_URL").unwrap_or(API_URL), vars)?;
        let secrets = Secrets::load(vars, aws, "GCP_SECRET_ARN").await?;
        let key = secrets.require("GCP_SERVICE_ACCOUNT_KEY", "the JSON key file of the service account")?;
        let key = ServiceAccountKey::parse(&key)?;
        let token_url = vars.get("GCP_TOKEN_URL").unwrap_or(key.token_uri.as_str());
        let token_url = base_url("GCP_TOKEN_URL", token_url, vars)?;
        let bigquery = BigQuery {
            peer: Peer::from_vars(vars)?,
            base,
            tokens: key::tokens(key, token_url),
            project: query.project.clone(),
            location: query.location.clone(),
            timeout: Duration::from_secs(vars.number("GCP_QUERY_TIMEOUT_S", 300)?),
            pause: Duration::from_millis(vars.number("GCP_POLL_MS", 1_000)?),
        };
        Ok(Self { bigquery, query, account, months: vars.number("GCP_MONTHS", 2usize)? })
    }
}

/// What is asked, of which table, where.
fn query(vars: &Vars) -> Result<Query, VarError> {
    let name = vars.require("GCP_BILLING_TABLE", "the billing export in BigQuery, project.dataset.table")?;
    let table: BillingTable = parsed("GCP_BILLING_TABLE", name)?;
    let location = vars.require("GCP_LOCATION", "the location of the export's dataset, for example EU")?;
    Ok(Query {
        project: vars.parsed("GCP_PROJECT", table.project())?,
        location: parsed("GCP_LOCATION", location)?,
        max_bytes_billed: vars.number("GCP_MAX_BYTES_BILLED", MAX_BYTES_BILLED)?,
        table,
    })
}

fn parsed<T: std::str::FromStr>(name: &'static str, value: &str) -> Result<T, VarError>
where
    T::Err: std::fmt::Display,
{
    let invalid =
        |error: T::Err| VarError::Invalid { name, value: value.to_owned(), expected: error.to_string() };
    value.parse().map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let message = |pairs: &[(&str, &str)]| {
            query(&Vars::from_iter(pairs.iter().copied())).err().map(|error| error.to_string())
        };
        let table = ("GCP_BILLING_TABLE", "p.d.t");
        assert_eq!(message(&[table, ("GCP_LOCATION", "EU")]), None);
        assert!(message(&[]).unwrap().contains("GCP_BILLING_TABLE is missing"));
        assert!(message(&[table]).unwrap().contains("GCP_LOCATION is missing: set it to the location"));
        let wrong = message(&[("GCP_BILLING_TABLE", "t")]).unwrap();
        assert!(wrong.starts_with("the variable GCP_BILLING_TABLE is 't', expected project.dataset.table"));
        let wrong = message(&[table, ("GCP_LOCATION", "EU"), ("GCP_PROJECT", "a b")]).unwrap();
        assert!(wrong.contains("expected the id of a Google Cloud project"), "{wrong}");
        let elsewhere = Vars::from_iter([
            table,
            ("GCP_LOCATION", "EU"),
            ("GCP_PROJECT", "jobs"),
            ("GCP_MAX_BYTES_BILLED", "5"),
        ]);
        let query = query(&elsewhere).unwrap();
        assert_eq!((query.project.as_str(), query.max_bytes_billed), ("jobs", 5));
    }
}
