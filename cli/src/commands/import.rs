//! `monthend import`: files with costs into the bucket, as the bills that they hold.
//!
//! What they hold, and what becomes of it, is decided in [`billing::intake`] and [`cloud::intake`], as for uploads; here are the files,
//! the questions and what is shown.

mod files;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use billing::certificate::{DocumentRef, Status};
use billing::ids::{InvoiceId, Provider};
use billing::intake::{
    Analysis, BillInput, BroughtFile, Choices, FoundBill, Import, JudgedBill, analyse, judge,
};
use billing::keys::InvoiceKey;
use billing::manifest::{Manifest, Part};
use billing::revision::{Revision, RevisionOrder};
use billing::shell::{command, quoted};
use chrono::Utc;
use cloud::intake::{
    IntakeError, Plan, Planned, Question, Wish, atlas_rules, keep, keep_document, part_of, plan,
};
use cloud::ledger::{RevisionRecord, RevisionState};

use crate::Ended;
use crate::args;
use crate::commands::invoices::{RECORD_COLUMNS, record_cells, report_dead_letters};
use crate::output::{Listing, Output};
use crate::session::Session;

pub(crate) async fn import(
    import: &args::Import,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let files = files::take_in(&import.files, output).await?;
    let Some(analysis) = look(import, &files, output).await? else { return Ok(Ended::Held) };
    let bringing = Bringing { import, session, output, files: &files };
    let found: Vec<(FoundBill, Vec<Part>)> =
        analysis.bills.iter().map(|bill| (bill.clone(), bringing.parts(bill))).collect();
    let wish = Wish {
        answers: import.answers()?,
        invoice: import.invoice.as_deref().map(InvoiceId::new).transpose()?,
        name: None,
        dates: import.dates.map(Into::into),
    };
    let plan =
        match Box::pin(plan(session.bucket.reader(), session.ledger.reader(), &found, &wish, Utc::now()))
            .await
        {
            Ok(plan) => plan,
            Err(IntakeError::Question(question)) => {
                bringing.ask(&question, found.len());
                return Ok(Ended::Held);
            }
            Err(IntakeError::Answer(why)) => {
                output.note(&format!("error: {why}"));
                return Ok(Ended::Held);
            }
            Err(error) => return Err(error.into()),
        };
    let shown = match import.dry_run {
        true => Box::pin(bringing.preview(&plan)).await?,
        false => Box::pin(bringing.bring(&plan)).await?,
    };
    let ended = bringing.show(&analysis, &plan, &shown)?;
    let charges: u64 = analysis.bills.iter().map(FoundBill::charges).sum();
    output.note(&format!(
        "{} rows read: {charges} charges in {} bills, {} rows that cannot be read",
        analysis.rows,
        analysis.bills.len(),
        analysis.held_rows
    ));
    let ended = ended.max(report_dead_letters(session, output)?);
    Ok(if analysis.held_rows > 0 { ended.max(Ended::Held) } else { ended })
}

/// What the files hold; nothing if a person must say something first.
async fn look(
    import: &args::Import,
    files: &[BroughtFile],
    output: &Output,
) -> anyhow::Result<Option<Analysis>> {
    let choices = Choices {
        provider: import.provider.as_deref().map(Provider::named).transpose()?,
        dates: import.dates.map(Into::into),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let looked = files.to_vec();
    let analysis = tokio::task::spawn_blocking(move || analyse(&looked, &choices, threads)).await?;
    let analysis = match analysis {
        Ok(analysis) => analysis,
        Err(error) => {
            output.note(&format!("not imported: {error}"));
            return Ok(None);
        }
    };
    for row in &analysis.held {
        output.note(&row.to_string());
    }
    for bill in &analysis.bills {
        bill.month.begun(Utc::now())?;
    }
    Ok(Some(analysis))
}

struct Bringing<'i> {
    import: &'i args::Import,
    session: &'i Session,
    output: &'i Output,
    files: &'i [BroughtFile],
}

/// What is shown of a bill: the record, or what it would be.
type Shown = Vec<Option<RevisionRecord>>;

impl Bringing<'_> {
    /// The parts of a bill.
    fn parts(&self, bill: &FoundBill) -> Vec<Part> {
        let part = |at: &usize| {
            let file = self.files.get(*at)?;
            Some(part_of(&file.name, &file.sha256, file.bytes, &format!("import of {}", file.name)))
        };
        bill.files.iter().filter_map(part).collect()
    }

    /// The question, with its answers as commands.
    fn ask(&self, question: &Question, bills: usize) {
        for said in &question.said {
            self.output.note(&format!("not imported: {said}"));
        }
        let typed: Vec<String> = std::env::args().skip(1).collect();
        if !question.names.is_empty() {
            for name in &question.names {
                let command = typed_again(&without_name(&typed));
                self.output.note(&format!("  {command} --invoice {}", quoted(name)));
            }
            return;
        }
        let is = if self.files.len() == 1 { "the file is" } else { "the files are" };
        self.output.note(&format!("Say what {is}:"));
        // an answer for all bills that did not decide of these
        let is_answered = self.import.answers().is_ok_and(|answers| answers.all.is_some());
        let typed = typed_again(&if is_answered { typed } else { without_answers(&typed) });
        let of_accounts = |option: &str| {
            let accounts = question.accounts.iter().map(|account| quoted(&format!("{option}={account}")));
            accounts.collect::<Vec<_>>().join(" ")
        };
        for (what, option) in [
            ("in the place of that bill", "--replace"),
            ("a part of that bill", "--add"),
            ("another bill", "--additional"),
        ] {
            if option != "--add" || question.can_add {
                let option = if is_answered { of_accounts(option) } else { option.to_owned() };
                self.output.note(&format!("  {what:<25}  {typed} {option}"));
            }
        }
        if bills > 1 {
            self.output.note(
                "There are several bills: an answer can name the account that it is of, for example --replace=ACCOUNT",
            );
        }
    }

    /// Keeps the documents, then what they are, and waits for what becomes of it.
    async fn bring(&self, plan: &Plan) -> anyhow::Result<Shown> {
        let manifests = plan.manifests();
        if !manifests.is_empty() {
            for part in Import::of(manifests.clone()).parts() {
                if let Some(file) = self.files.iter().find(|file| file.sha256 == part.sha256) {
                    keep_document(&self.session.bucket, part, &file.file).await?;
                }
            }
            keep(&self.session.bucket, manifests, Utc::now()).await?;
            self.session.follow(self.output, "allocating").await?;
        }
        let mut shown = Vec::with_capacity(plan.bills.len());
        for planned in &plan.bills {
            let (invoice, revision) = identity(planned)?;
            shown.push(self.record(&invoice, &revision).await?);
        }
        Ok(shown)
    }

    /// The record of a revision. In the cloud its function works elsewhere, so it is waited for.
    async fn record(
        &self,
        invoice: &InvoiceKey,
        revision: &Revision,
    ) -> anyhow::Result<Option<RevisionRecord>> {
        let is_settled = |record: &RevisionRecord| record.state != RevisionState::Registered;
        for _ in 0..if self.session.embedded.is_some() { 1 } else { LOOKS } {
            let record = self.session.ledger.revision(invoice, revision).await?;
            if self.session.embedded.is_some() || record.as_ref().is_some_and(is_settled) {
                return Ok(record);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(self.session.ledger.revision(invoice, revision).await?)
    }

    /// What would become of the bills: they are judged as they would be, and nothing is written.
    async fn preview(&self, plan: &Plan) -> anyhow::Result<Shown> {
        let mut files: BTreeMap<String, Arc<File>> = BTreeMap::new();
        let (mut inputs, mut shown) = (Vec::new(), Vec::new());
        for planned in &plan.bills {
            let Planned::New(manifest) = planned else { continue };
            let (_, revision) = identity(planned)?;
            for part in &manifest.parts {
                let brought = self.files.iter().find(|file| file.sha256 == part.sha256);
                let file = match brought {
                    Some(file) => file.file.clone(),
                    None => {
                        let taken = self.session.bucket.take_in(&part.key, None).await?;
                        let taken = taken.with_context(|| format!("{} is not there", part.key))?;
                        ensure!(
                            taken.sha256 == part.sha256,
                            "{} is not what it was when the bill was made of it: bring all parts and say --replace",
                            part.key
                        );
                        Arc::new(taken.file)
                    }
                };
                files.insert(part.key.clone(), file);
            }
            let inputs_of = |part: &Part| DocumentRef { key: part.key.clone(), sha256: part.sha256.clone() };
            inputs.push(BillInput {
                revision,
                raw: String::new(),
                inputs: manifest.parts.iter().map(inputs_of).collect(),
                manifest: manifest.clone(),
                currency: None,
                rules: atlas_rules(&self.session.vars)?,
            });
        }
        let judged = tokio::task::spawn_blocking(move || judge(&inputs, &files, &tempfile::tempfile)).await?;
        let mut judged = judged.into_iter();
        for planned in &plan.bills {
            shown.push(match planned {
                Planned::Already(invoice, revision) => self.record(invoice, revision).await?,
                Planned::New(manifest) => match judged.next() {
                    Some(Ok(judged)) => Some(would_be(manifest, &judged)),
                    Some(Err(error)) => Some(would_be_held(manifest, &error.to_string())?),
                    None => None,
                },
            });
        }
        Ok(shown)
    }

    /// The bills of the files, and what became of them, or would.
    fn show(&self, analysis: &Analysis, plan: &Plan, shown: &Shown) -> anyhow::Result<Ended> {
        let columns = ["month", "provider", "account", "invoice", "rows>", "BilledCost>"];
        let mut listing = Listing::new(&[columns.as_slice(), RECORD_COLUMNS.as_slice()].concat());
        let mut ended = Ended::Done;
        for ((bill, planned), record) in analysis.bills.iter().zip(&plan.bills).zip(shown) {
            let (invoice, _) = identity(planned)?;
            let mut row = vec![invoice.period.to_string()];
            row.extend(
                [invoice.provider.as_str(), invoice.billing_account.as_str(), invoice.invoice_id.as_str()]
                    .map(str::to_owned),
            );
            let amount = match bill.figures.iter().next() {
                Some((_, figures)) if bill.figures.len() == 1 => figures.billed.to_string(),
                // amounts of different currencies are never added
                _ => {
                    let amounts =
                        bill.figures.iter().map(|(code, figures)| format!("{} {code}", figures.billed));
                    amounts.collect::<Vec<_>>().join(" + ")
                }
            };
            row.extend([bill.charges().to_string(), amount]);
            let mut cells = record_cells(record.as_ref());
            match (planned, record) {
                (Planned::Already(..), _) => {
                    self.output.note(&format!("{invoice}: it is there already, with the same documents"))
                }
                (Planned::New(_), None) => {
                    ended = ended.max(Ended::Failed);
                    self.output.note(&format!("{invoice}: it is not allocated yet; see `monthend status`"));
                }
                (Planned::New(_), Some(record)) if record.state == RevisionState::Held => {
                    ended = ended.max(Ended::Held);
                    // a hold of the real import is told by its function
                    if self.import.dry_run || self.session.embedded.is_none() {
                        self.output.note(&format!("{invoice}: {}", record.reason));
                    }
                }
                (Planned::New(_), Some(_)) if self.import.dry_run => "preview".clone_into(&mut cells[1]),
                (Planned::New(_), Some(_)) => {}
            }
            row.extend(cells);
            listing.row(row);
        }
        for manifest in &plan.withdrawn {
            let what = if self.import.dry_run { "would be withdrawn" } else { "is withdrawn" };
            self.output.note(&format!("{}: it {what}", manifest.invoice()));
        }
        self.output.listing(&listing)?;
        Ok(ended)
    }
}

/// How often, and how far apart, it is looked what became of an import in the cloud: five minutes.
const LOOKS: u32 = 150;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

fn identity(planned: &Planned) -> anyhow::Result<(InvoiceKey, Revision)> {
    Ok(match planned {
        Planned::Already(invoice, revision) => (invoice.clone(), revision.clone()),
        Planned::New(manifest) => (manifest.invoice(), Revision::of(&manifest.to_json()?)),
    })
}

/// The record of a bill as it would be.
fn would_be(manifest: &Manifest, judged: &JudgedBill) -> RevisionRecord {
    let certificate = &judged.certificate;
    let order = RevisionOrder::new(None, Utc::now(), &certificate.subject.revision);
    let state = match certificate.status {
        Status::Mismatch => RevisionState::Held,
        Status::Matched | Status::Explained => RevisionState::Allocated,
    };
    debug_assert_eq!(manifest.invoice(), certificate.invoice());
    RevisionRecord::certified(certificate, String::new(), order, state, Utc::now())
}

fn would_be_held(manifest: &Manifest, reason: &str) -> anyhow::Result<RevisionRecord> {
    let (revision, now) = (Revision::of(&manifest.to_json()?), Utc::now());
    let order = RevisionOrder::new(None, now, &revision);
    Ok(RevisionRecord::held(revision, order, String::new(), reason, now))
}

/// A command as it can be typed again, without what it only rehearses.
fn typed_again(words: &[String]) -> String {
    command(words.iter().filter(|word| *word != "--dry-run"))
}

/// Without answers for all bills: another one takes their place.
fn without_answers(words: &[String]) -> Vec<String> {
    let is_answer = |word: &String| matches!(word.as_str(), "--replace" | "--add" | "--additional");
    words.iter().filter(|word| !is_answer(word)).cloned().collect()
}

/// Without the name of a bill: another one takes its place.
fn without_name(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--invoice" => drop(words.next()),
            word if word.starts_with("--invoice=") => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}
