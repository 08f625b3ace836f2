//! Usage reports, as `run` and `status` show them: which months are in, which are held, which are missing.

use std::collections::{BTreeMap, BTreeSet};

use billing::ids::Provider;
use billing::keys::InvoiceKey;
use billing::month::BillingMonth;
use billing::revision::Revision;
use chrono::Utc;
use cloud::ledger::{RevisionRecord, RevisionState, Subject};
use cloud::seals::Sealed;
use fetch_ccx::ReportedMonth;

use crate::commands::status::{DAMAGED, damage};
use crate::output::{Listing, text};
use crate::session::Session;

/// The reports of one account, by month.
type Months = BTreeMap<BillingMonth, MonthReport>;

/// The report of one month: what came in, and what the ledger knows of it.
struct MonthReport {
    raw: Vec<Revision>,
    records: Vec<RevisionRecord>,
    latest: Option<Revision>,
    /// Why the newest certificate is not believed.
    damaged: Option<String>,
}

impl MonthReport {
    /// Whether a report came since that is not held.
    fn has_newer_than(&self, held: &RevisionRecord) -> bool {
        let newest = self.records.iter().rfind(|record| record.state != RevisionState::Held);
        newest.is_some_and(|newest| newest.order >= held.order)
    }
}

/// What is known of usage reports, and what needs a person.
pub(crate) struct ReportsStatus {
    /// One row a month, by account.
    pub(crate) listing: Listing,
    /// What is held or not completed, and why.
    pub(crate) remarks: Vec<String>,
    /// Whether something is held.
    pub(crate) held: bool,
}

/// Whether a document is the report of a month, and no invoice.
pub(crate) fn is_report(key: &InvoiceKey) -> bool {
    key.provider == Provider::ccx()
}

/// Looks up the reports whose documents are in the bucket.
pub(crate) async fn status(
    session: &Session,
    documents: BTreeMap<InvoiceKey, Vec<Revision>>,
    only: Option<BillingMonth>,
) -> anyhow::Result<ReportsStatus> {
    let mut accounts: BTreeMap<String, Months> = BTreeMap::new();
    for (key, raw) in documents {
        let subject = Subject::Report(&key);
        let records = session.ledger.revisions(subject).await?;
        let latest = session.ledger.latest(subject).await?;
        let damaged = match &latest {
            Some(latest) => damage(session, &Sealed::of(subject, latest)).await?,
            None => None,
        };
        let months = accounts.entry(key.billing_account.to_string()).or_default();
        months.insert(key.period, MonthReport { raw, records, latest, damaged });
    }
    let configured = account(session);
    if let Some(account) = &configured {
        accounts.entry(account.clone()).or_default();
    }
    let columns =
        ["month", "provider", "account", "revisions>", "finality", "state", "certificate", "datastores>"];
    let mut status = ReportsStatus { listing: Listing::new(&columns), remarks: Vec::new(), held: false };
    for (account, months) in &accounts {
        let is_configured = configured.as_ref() == Some(account);
        let expected = expected(session, months, only.filter(|_| is_configured), is_configured)?;
        let all: BTreeSet<BillingMonth> = months.keys().copied().chain(expected).collect();
        for month in all.into_iter().filter(|month| only.is_none_or(|only| only == *month)) {
            match months.get(&month) {
                Some(report) => status.add(account, month, report),
                None => status.row(account, month, 0, ["", "missing", "", ""].map(str::to_owned)),
            }
        }
    }
    Ok(status)
}

/// The name of the server's reports, as `fetch-ccx` files them.
fn account(session: &Session) -> Option<String> {
    let base = session.vars.get("CCX_API_URL")?;
    let host =
        || cloud::http::base_url("CCX_API_URL", base, &session.vars).ok()?.host_str().map(str::to_owned);
    session.vars.get("CCX_ACCOUNT").map(str::to_owned).or_else(host)
}

/// Months that have ended and should be there: those since the first that is, and of a configured server those that a run
/// fetches, and the one that was asked about.
fn expected(
    session: &Session,
    months: &Months,
    asked: Option<BillingMonth>,
    is_configured: bool,
) -> anyhow::Result<Vec<BillingMonth>> {
    let last = BillingMonth::containing(Utc::now()).previous();
    let fetched = if is_configured { session.vars.number("CCX_MONTHS", 2usize)?.max(1) } else { 0 };
    let back = |month: &BillingMonth| Some(month.previous());
    let fetched = std::iter::successors(Some(last), back).take(fetched).last();
    let first = [fetched, months.keys().next().copied(), asked].into_iter().flatten().min();
    let next = |month: &BillingMonth| Some(month.next());
    Ok(std::iter::successors(first, next).take_while(|month| *month <= last).collect())
}

impl ReportsStatus {
    fn row(&mut self, account: &str, month: BillingMonth, revisions: usize, cells: [String; 4]) {
        let mut row = vec![month.to_string(), Provider::ccx().to_string(), account.to_owned()];
        row.push(revisions.to_string());
        row.extend(cells);
        self.listing.row(row);
    }

    fn add(&mut self, account: &str, month: BillingMonth, report: &MonthReport) {
        let name = format!("usage report of {account} ({month})");
        for revision in &report.raw {
            match report.records.iter().find(|record| record.revision == *revision) {
                None => self.remarks.push(format!("{name}: revision {revision} is not certified yet")),
                Some(record) if record.state == RevisionState::Held && report.has_newer_than(record) => {}
                Some(record) if record.state == RevisionState::Held => {
                    self.held = true;
                    self.remarks.push(format!("{name}: revision {revision} is held: {}", record.reason));
                }
                Some(record) if record.state == RevisionState::Registered => {
                    self.remarks.push(format!("{name}: revision {revision} is not completed yet"));
                }
                Some(_) => {}
            }
        }
        if let Some(damaged) = &report.damaged {
            self.held = true;
            self.remarks.push(damaged.clone());
        }
        let newest = report.records.iter().find(|record| Some(&record.revision) == report.latest.as_ref());
        let cells = match newest.or(report.records.last()) {
            None => ["", "waiting", "", ""].map(str::to_owned),
            Some(record) => [
                record.finality.map(|finality| finality.to_string()).unwrap_or_default(),
                record.state.to_string(),
                match (&report.damaged, record.status) {
                    (Some(_), _) => DAMAGED.to_owned(),
                    (None, status) => status.map(|status| status.to_string()).unwrap_or_default(),
                },
                record.datastores.map(|datastores| datastores.to_string()).unwrap_or_default(),
            ],
        };
        self.row(account, month, report.raw.len(), cells);
    }
}

/// What became of the reports that a run fetched.
pub(crate) fn fetched(reports: &[ReportedMonth]) -> Listing {
    let mut listing =
        Listing::new(&["month", "usage report", "certificate", "datastores>", "alive>", "deleted>", "key"]);
    for report in reports {
        let counts = report.datastores.as_ref();
        listing.row(vec![
            report.month.to_string(),
            text(&report.state),
            text(&report.status),
            text(&counts.map(|counts| counts.listed)),
            text(&counts.map(|counts| counts.alive)),
            text(&counts.map(|counts| counts.deleted)),
            report.key.clone(),
        ]);
    }
    listing
}
