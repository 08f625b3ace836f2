//! Schedule -> `raw/aws/...`: a month of an AWS account, from an export or from Cost Explorer, its manifest last.
//!
//! Without more in the event, the running month and the last ended ones that are not final yet; `{"month": "2026-10"}` by hand;
//! `"dry_run": true` only says what would be fetched. One month that fails does not stop the others; the invocation then fails,
//! so that it is tried again. A bill that has not changed writes nothing.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the bucket and the ledger's table |
//! | `AWS_BILLING_ACCOUNT` | the account that is billed (the payer), 12 digits; bills are filed under it |
//! | `AWS_EXPORT_BUCKET` | where AWS delivers a cost export; without it the costs come from Cost Explorer |
//! | `AWS_EXPORT_REGION` | the region of that bucket, default the function's own |
//! | `AWS_EXPORT_PREFIX` | the prefix of the export, default none |
//! | `AWS_EXPORT_NAME` | the name of the export; needed where there are several under the prefix |
//! | `AWS_INVOICING` | `on` (default) or `off`: whether invoices are asked for, to reconcile against |
//! | `AWS_ACCOUNT_NAMES` | `on` (default) or `off`: whether names of accounts are asked for where the rows have none |
//! | `AWS_MONTHS` | ended months to look at, default 2 |
//! | `HTTP_ATTEMPTS`, `HTTP_BACKOFF_MS` | see [`cloud::http`], here for the billing APIs |

mod account_names;
mod bill;
mod config;
mod copy;
mod cost_explorer;
mod error;
mod export;
mod fetcher;
mod integrity;
mod invoices;
mod months;
mod pages;

use cloud::fetch::Fetch;

pub use bill::BillDetail;
pub use error::{AnswerError, CopyError, Error, MonthError};
pub use export::DeliveryError;
pub use fetcher::{Fetcher, Source};

/// The function with its clients.
pub type App = Fetch<Fetcher>;
