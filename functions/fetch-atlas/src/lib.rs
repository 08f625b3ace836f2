//! Schedule -> `raw/atlas/...`: MongoDB Atlas invoices as they come, each revision once.
//!
//! Without more in the event, the newest ended invoices (`INVOICE_LIMIT`) and the open one; `{"month": "2026-10"}`
//! or `{"invoice_id": "..."}` by hand; `"dry_run": true` only says which. Linked invoices are fetched too.
//! One invoice that fails does not stop the others; the invocation then fails, so that it is tried again.
//!
//! | variable or secret | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the bucket and the ledger's table |
//! | `ORG_ID` | the organisation |
//! | `PUBLIC_KEY`, `PRIVATE_KEY` | an API key pair, or |
//! | `CLIENT_ID`, `CLIENT_SECRET` | a service account |
//! | `SECRETS`, `ATLAS_SECRET_ARN` or `ATLAS_VAULT_PATH` | where the five above come from, see [`cloud::secrets`] |
//! | `ATLAS_API_URL` | default `https://cloud.mongodb.com/api/atlas/v2` |
//! | `INVOICE_LIMIT` | ended invoices to fetch, default 3 |
//! | `ATLAS_CONCURRENCY` | details fetched at once, default 4 |
//! | `HTTP_*` | see [`cloud::http`] |

mod atlas;
mod auth;
mod event;
mod select;
mod store;

use billing::month::NotBegun;
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::Bucket;
use cloud::events::InvalidWish;
use cloud::fetch::{Asked, FetchReport, FetchedBill};
use cloud::http::{ClientError, InvalidBaseUrl};
use cloud::invocation::Function;
use cloud::ledger::Ledger;
use cloud::peer::{Peer, PeerError};
use cloud::secrets::{Secrets, SecretsError};
use cloud::vars::{VarError, Vars};
use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::atlas::{AtlasApi, AtlasClient, Entry};
use crate::event::{Wanted, read_event};
use crate::select::{newest, of_month};

pub use atlas::AtlasError;
pub use store::InvoiceDetail;

/// The function with its clients.
pub struct App {
    reader: Reader,
    bucket: Bucket,
    ledger: Ledger,
}

/// Atlas, to read: all that a dry run has.
pub(crate) struct Reader {
    atlas: AtlasClient,
    organisation: String,
    limit: usize,
    concurrency: usize,
}

type Report = FetchReport<InvoiceDetail>;

/// Why nothing could be fetched; what goes wrong with one invoice is in the report.
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
    Event(#[from] InvalidWish),
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    #[error(transparent)]
    Atlas(#[from] AtlasError),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl Function for App {
    const NAME: &'static str = "fetch-atlas";
    type Report = Report;
    type Error = Error;

    async fn connect(vars: &Vars) -> Result<Self, Error> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let base = vars.get("ATLAS_API_URL").unwrap_or("https://cloud.mongodb.com/api/atlas/v2");
        let base = cloud::http::base_url("ATLAS_API_URL", base, vars)?;
        let aws = Aws::connect(vars).await?;
        let secrets = Secrets::load(vars, &aws, "ATLAS_SECRET_ARN").await?;
        let organisation = match vars.get("ORG_ID") {
            Some(id) => id.to_owned(),
            None => {
                secrets.require_text("ORG_ID", "the id of the Atlas organisation, 24 hexadecimal digits")?
            }
        };
        let (login, credentials) = auth::login(&secrets, &base)?;
        let (peer, api) = (Peer::from_vars(vars)?, AtlasApi { credentials });
        let reader = Reader {
            atlas: AtlasClient { peer, base, login, api },
            organisation,
            limit: vars.number("INVOICE_LIMIT", 3)?,
            concurrency: vars.number("ATLAS_CONCURRENCY", 4usize)?.max(1),
        };
        Ok(Self { reader, bucket: Bucket::new(&aws, bucket), ledger: Ledger::new(&aws, table) })
    }

    async fn handle(&self, event: &Value, now: DateTime<Utc>) -> Result<Report, Error> {
        let (wanted, dry_run) = read_event(event)?;
        if let Wanted::Month(month) = &wanted {
            month.begun(now)?;
        }
        let mut report = FetchReport::new(dry_run);
        let invoices = self.reader.wanted(&wanted, &mut report).await?;
        if dry_run {
            for entry in invoices {
                match self.reader.preview(&entry).await {
                    Ok(bill) => report.add(bill),
                    Err(error) => report.fail(Asked::InvoiceId(entry.id), &error),
                }
            }
        } else {
            let linked = self.fetch_all(invoices, now, &mut report).await;
            self.fetch_all(linked, now, &mut report).await;
        }
        report.sort();
        Ok(report)
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Reader {
    async fn wanted(&self, wanted: &Wanted, report: &mut Report) -> Result<Vec<Entry>, Error> {
        if let Wanted::Invoice(id) = wanted {
            return Ok(vec![Entry::by_id(&self.organisation, id)]);
        }
        let listed = self.atlas.invoices(&self.organisation).await?;
        let mut entries = match wanted {
            Wanted::Month(month) => of_month(listed, *month),
            Wanted::Newest | Wanted::Invoice(_) => newest(listed, self.limit),
        };
        if !entries.iter().any(Entry::is_open) {
            self.add_open_invoice(wanted, &mut entries, report).await;
        }
        if let (Wanted::Month(month), true, true) = (wanted, entries.is_empty(), report.failed.is_empty()) {
            return Err(
                AtlasError::NoInvoice { organisation: self.organisation.clone(), month: *month }.into()
            );
        }
        Ok(entries)
    }

    /// Some servers do not list the invoice of the running month: ask for it. Months that have an ended invoice
    /// and nothing open need no asking, but asking costs one call and tells the same.
    async fn add_open_invoice(&self, wanted: &Wanted, entries: &mut Vec<Entry>, report: &mut Report) {
        match self.atlas.pending(&self.organisation).await {
            Ok(open) => {
                let other_month =
                    |open: &Entry| matches!(wanted, Wanted::Month(month) if open.month() != Some(*month));
                for open in open.into_iter().filter(|open| !other_month(open)) {
                    if !entries.iter().any(|entry| entry.id == open.id) {
                        entries.push(open);
                    }
                }
            }
            Err(error) => report.fail(Asked::InvoiceId("pending".into()), &error),
        }
    }
}

impl App {
    /// Fetches and stores; answers the linked invoices found that are not among them.
    async fn fetch_all(&self, invoices: Vec<Entry>, now: DateTime<Utc>, report: &mut Report) -> Vec<Entry> {
        let asked: Vec<String> = invoices.iter().map(|entry| entry.id.clone()).collect();
        let fetches = invoices.into_iter().map(|entry| self.fetch_entry(entry, now));
        let mut done = stream::iter(fetches).buffer_unordered(self.reader.concurrency);
        let mut linked: Vec<Entry> = Vec::new();
        while let Some((entry, fetched)) = done.next().await {
            match fetched {
                Ok((document, links)) => {
                    report.add(document);
                    for link in links {
                        let is_known = report.documents.iter().any(|bill| bill.invoice_id == link.id);
                        if !linked.contains(&link) && !is_known {
                            linked.push(link);
                        }
                    }
                }
                Err(error) => report.fail(Asked::InvoiceId(entry.id), &error),
            }
        }
        linked.retain(|link| !asked.contains(&link.id));
        linked
    }

    async fn fetch_entry(
        &self,
        entry: Entry,
        now: DateTime<Utc>,
    ) -> (Entry, Result<(FetchedBill<InvoiceDetail>, Vec<Entry>), AtlasError>) {
        let fetched = self.fetch_one(&entry, now).await;
        (entry, fetched)
    }
}
