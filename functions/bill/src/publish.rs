//! From a run to what others see. A run is posted by one conditional write to the ledger; before it nothing is visible that counts, and
//! everything after it follows from the run's document, so whoever comes next completes what was begun.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use billing::bills::{Chain, ChainRun, RunDocument};
use billing::canonical;
use billing::keys::BillsKey;
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::bucket::Written;
use cloud::ledger::{Sending, SendingState};
use serde_json::json;

use crate::App;
use crate::Looker;
use crate::chart::History;
use crate::error::MonthError;
use crate::event::MonthWish;
use crate::report::{MailState, MonthReport};
use crate::run::NewRun;
use crate::statement::statement;

const CSV: &str = "text/csv";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const PARQUET: &str = "application/vnd.apache.parquet";

/// Months that a statement shows beside its own.
const HISTORY: usize = 5;

impl App {
    /// Posts a run; `Refused` if another run was posted since it was worked out.
    pub(crate) async fn post(&self, run: &NewRun) -> Result<Written, MonthError> {
        let key = BillsKey { month: run.document.month() };
        let bytes = run.document.to_json()?;
        let document = key.run(run.document.run.number, &bytes);
        self.bucket.keep_catalog(&run.catalog).await?;
        self.bucket.put_new(&document, bytes, JSON, HashMap::new()).await?;
        for table in &run.tables {
            self.bucket.overwrite(&key.table(table.name, "csv"), table.csv.clone(), CSV).await?;
            self.bucket.overwrite(&key.table(table.name, "parquet"), table.parquet.clone(), PARQUET).await?;
        }
        self.bucket.overwrite(&key.shares(), run.shares.clone(), CSV).await?;
        let gives = !(run.document.corrections.is_empty() && run.document.carried.is_empty());
        let entry = ChainRun {
            run: run.document.run,
            document,
            fingerprint: run.document.fingerprint.clone(),
            took: run.document.took.clone(),
            gives,
        };
        Ok(self.ledger.extend_chain(&run.stored, entry).await?)
    }

    /// Publishes, uploads and mails whatever of a month's runs is not out yet.
    pub(crate) async fn send_out(
        &self,
        wish: &MonthWish,
        report: &mut MonthReport,
        now: DateTime<Utc>,
    ) -> Result<(), MonthError> {
        let month = wish.month;
        let chain = self.ledger.chain().await?.chain;
        let mut history = None;
        for run in chain.of(month) {
            let document = self.looker.document(&run.document).await?;
            let history = match &history {
                Some(history) => history,
                None => history.insert(self.looker.history(&chain, month).await?),
            };
            self.publish(&document, history, now).await?;
            report.certificate = Some(BillsKey { month }.certificate(document.run.number));
            report.exports.extend(document.exports.iter().map(|export| export.key.clone()));
            if let Some(invoicing) = &self.invoicing {
                report.uploads.extend(self.upload(invoicing, &document, &wish.mails, now).await?);
            }
            let Some(post) = &self.mails else { continue };
            for bill in document.due() {
                let answer = wish.mails.get(&bill.customer).copied();
                let history = history.of(&bill.customer);
                let mail = self.mail(post, &document, bill, &history, answer, now).await?;
                let is_lost =
                    mail.as_ref().is_some_and(|mail| mail.state == MailState::Unsure && !mail.is_known());
                report.mails.extend(mail);
                if is_lost {
                    return Ok(()); // the others would fare no better; the next run sends them
                }
            }
        }
        Ok(())
    }

    /// The documents of a run, once.
    async fn publish(
        &self,
        document: &RunDocument,
        history: &Histories,
        now: DateTime<Utc>,
    ) -> Result<(), MonthError> {
        let (month, number) = (document.month(), document.run.number);
        let what = format!("run#{number:06}");
        if self.ledger.sendings(month).await?.contains_key(&what) {
            return Ok(());
        }
        let key = BillsKey { month };
        for export in &document.exports {
            let bytes = STANDARD.decode(&export.base64);
            let bytes = bytes.map_err(|error| MonthError::Held(format!("{}: {error}", export.key)))?;
            self.bucket.overwrite(&export.key, bytes, CSV).await?;
        }
        for bill in document.due() {
            let page = statement(document, bill, &history.of(&bill.customer))?;
            self.bucket.overwrite(&key.statement(&bill.customer), page, HTML).await?;
        }
        let certificate = document.certificate.to_json()?;
        self.bucket.overwrite(&key.certificate(number), certificate, JSON).await?;
        let done = Sending { what, state: SendingState::Sent, note: document.run.to_string(), since: now };
        self.ledger.note_sending(month, &done, None).await?;
        Ok(())
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
    /// The newest last.
    pub(crate) fn of(&self, customer: &str) -> History {
        let total = |document: &RunDocument| {
            let total = document.posted_total(customer).ok().flatten()?;
            Some((document.month(), total))
        };
        self.0.iter().filter_map(total).collect()
    }
}

impl Looker {
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
