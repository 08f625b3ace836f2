//! From a run to what others see. A run is posted by one conditional write to the ledger; before it nothing is visible that counts, and
//! everything after it follows from the run's document, so whoever comes next completes what was begun.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use billing::bills::{Chain, ChainRun, RunDocument, StatedBill};
use billing::canonical;
use billing::keys::BillsKey;
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::bucket::Written;
use cloud::ledger::{Sending, SendingState};
use cloud::posted::mark;
use serde_json::json;

use crate::App;
use crate::Reader;
use crate::chart::History;
use crate::error::MonthError;
use crate::event::MonthWish;
use crate::mail::Letter;
use crate::report::MonthReport;
use crate::run::NewRun;
use crate::statement::statement;
use billing::certificate::Certified;

const CSV: &str = "text/csv";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const PARQUET: &str = "application/vnd.apache.parquet";

/// Months that a statement shows beside its own.
const HISTORY: usize = 5;

/// What holds while a month's runs are sent out.
pub(crate) struct Round<'r> {
    pub(crate) wish: &'r MonthWish,
    /// What went out before, as it stood at the beginning: every step is conditional, so it need not be looked up again.
    pub(crate) known: &'r BTreeMap<String, Sending>,
    pub(crate) now: DateTime<Utc>,
}

/// What went out with a run when it was published: what is configured later is for later runs, unless a person asks for it.
#[derive(Clone, Copy)]
struct Ways {
    mails: bool,
    uploads: bool,
}

const MAILS: &str = "mails";
const UPLOADS: &str = "uploads";

fn marker(document: &RunDocument) -> String {
    format!("run#{:06}", document.run.number)
}

impl App {
    /// Posts a run; `Refused` if another run was posted since it was worked out.
    pub(crate) async fn post(&self, run: &NewRun) -> Result<Written, MonthError> {
        let key = BillsKey { month: run.document.month() };
        let bytes = run.document.to_json()?;
        let document = key.run(run.document.run.number, &bytes);
        self.bucket.keep_catalog(&run.catalog).await?;
        self.bucket.put_new(&document, bytes, JSON, HashMap::new()).await?;
        for (waiting, bytes) in &run.tables {
            let content_type = if waiting.ends_with(".csv") { CSV } else { PARQUET };
            self.bucket.put_new(waiting, bytes.clone(), content_type, HashMap::new()).await?;
        }
        let gives = !(run.document.corrections.is_empty() && run.document.carried.is_empty());
        let entry = ChainRun {
            run: run.document.run,
            document,
            fingerprint: run.document.fingerprint.clone(),
            took: run.document.took.clone(),
            gives,
        };
        Ok(self.ledger.extend_chain(&run.stored, &entry).await?)
    }

    /// Publishes, uploads and mails whatever of a month's runs is not out yet.
    pub(crate) async fn send_out(
        &self,
        wish: &MonthWish,
        report: &mut MonthReport,
        now: DateTime<Utc>,
    ) -> Result<(), MonthError> {
        let month = wish.month;
        let stored = self.ledger.chain().await?;
        // before anything of a run can be seen
        Box::pin(mark(&self.bucket, &stored)).await?;
        let chain = stored.chain;
        let mut documents = Vec::new();
        for run in chain.of(month) {
            documents.push(self.reader.document(&run.document).await?);
        }
        if documents.is_empty() {
            return Ok(());
        }
        let history = self.reader.history(&chain, month).await?;
        let known = self.ledger.sendings(month).await?;
        let round = Round { wish, known: &known, now };
        for document in &documents {
            let ways = self.publish(document, &history, &round).await?;
            report.certificate = Some(BillsKey { month }.certificate(document.run.number));
            report.exports.extend(document.exports.iter().map(|export| export.key.clone()));
            if let Some(invoicing) = &self.invoicing {
                report.uploads.extend(self.upload(invoicing, document, ways.uploads, &round).await?);
            }
        }
        let Some(post) = &self.mails else { return Ok(()) };
        // an address that was corrected since counts
        let bills = documents.iter().flat_map(|document| &document.bills);
        let addresses: BTreeMap<&str, Option<&str>> =
            bills.map(|bill| (bill.customer.as_str(), bill.email.as_deref())).collect();
        let due: Vec<_> =
            documents.iter().flat_map(|document| document.due().map(move |bill| (document, bill))).collect();
        for (at, (document, bill)) in due.iter().enumerate() {
            let Some(address) = addresses.get(bill.customer.as_str()).copied().flatten() else { continue };
            let letter = Letter { document, bill, address, history: &history.of(bill, &document.currency) };
            let mail = self.mail(post, &letter, self.ways(document, &round).mails, &round).await?;
            let is_lost = mail.is_new_doubt();
            report.mails.push(mail);
            let rest = due.len() - at - 1;
            if is_lost && rest > 0 {
                // they would fare no better
                report.remarks.push(format!("{rest} more mails were not tried; the next run sends them"));
                return Ok(());
            }
        }
        Ok(())
    }

    /// What a run was published with, or is now.
    fn ways(&self, document: &RunDocument, round: &Round<'_>) -> Ways {
        match round.known.get(&marker(document)) {
            Some(known) => Ways { mails: known.note.contains(MAILS), uploads: known.note.contains(UPLOADS) },
            None => Ways { mails: self.mails.is_some(), uploads: self.invoicing.is_some() },
        }
    }

    /// The documents of a run, once.
    async fn publish(
        &self,
        document: &RunDocument,
        history: &Histories,
        round: &Round<'_>,
    ) -> Result<Ways, MonthError> {
        let (month, what) = (document.month(), marker(document));
        let ways = self.ways(document, round);
        if round.known.contains_key(&what) {
            return Ok(ways);
        }
        let key = BillsKey { month };
        for table in &document.tables {
            let bytes = self.bucket.get(&table.waiting, None).await?;
            let gone =
                || MonthError::Held(format!("there is no {}, which {} names", table.waiting, document.run));
            let content_type = if table.key.ends_with(".csv") { CSV } else { PARQUET };
            self.bucket.overwrite(&table.key, bytes.ok_or_else(gone)?.bytes, content_type).await?;
        }
        for export in &document.exports {
            let bytes = STANDARD.decode(&export.base64);
            let bytes = bytes.map_err(|error| MonthError::Held(format!("{}: {error}", export.key)))?;
            self.bucket.overwrite(&export.key, bytes, CSV).await?;
        }
        for bill in document.due() {
            let page = statement(document, bill, &history.of(bill, &document.currency))?;
            self.bucket.overwrite(&key.statement(&bill.customer), page, HTML).await?;
        }
        let certificate = document.certificate.to_json().map_err(MonthError::held)?;
        self.bucket.overwrite(&key.certificate(document.run.number), certificate, JSON).await?;
        let on = |is_on: bool, name: &'static str| is_on.then_some(name);
        let note: Vec<&str> = on(ways.mails, MAILS).into_iter().chain(on(ways.uploads, UPLOADS)).collect();
        let (state, note) = (SendingState::Sent, note.join(" "));
        let done = Sending { what, state, attempt: 1, note, since: round.now };
        self.ledger.note_sending(month, &done, None).await?;
        Ok(ways)
    }

    /// Notes why a month, or a part of it, is held, or that it is so no longer.
    pub(crate) async fn note(&self, month: BillingMonth, problems: &[String]) -> Result<(), MonthError> {
        let key = BillsKey { month }.held();
        let standing = self.bucket.get(&key, None).await?;
        if standing.is_none() && problems.is_empty() {
            return Ok(());
        }
        let status = if problems.is_empty() { "released" } else { "held" };
        let note = json!({
            "document": format!("bills/{month}"), "status": status, "problems": problems, "software": billing::SOFTWARE,
        });
        let bytes = canonical::to_json(&note)?;
        if standing.as_ref().is_some_and(|standing| standing.bytes == bytes) {
            return Ok(());
        }
        Ok(self.bucket.overwrite(&key, bytes, JSON).await?)
    }
}

/// The months before, of all customers.
pub(crate) struct Histories(Vec<RunDocument>);

impl Histories {
    /// Those in a currency, the newest last.
    pub(crate) fn of(&self, bill: &StatedBill, currency: &str) -> History {
        let same = self.0.iter().filter(|document| document.currency == currency);
        let total = |document: &RunDocument| {
            let mut names = [&bill.customer].into_iter().chain(&bill.formerly);
            let total = names.find_map(|name| document.posted_total(name).ok().flatten())?;
            Some((document.month(), total))
        };
        same.filter_map(total).collect()
    }
}

impl Reader {
    async fn history(&self, chain: &Chain, month: BillingMonth) -> Result<Histories, MonthError> {
        let months = chain.months();
        let months: Vec<BillingMonth> = months.range(..month).rev().take(HISTORY).copied().collect();
        let mut documents = Vec::new();
        for run in months.into_iter().rev().filter_map(|month| chain.newest(month)) {
            documents.push(self.document(&run.document).await?);
        }
        Ok(Histories(documents))
    }
}
