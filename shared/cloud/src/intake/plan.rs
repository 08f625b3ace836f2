//! What becomes of bills that were found in files: new, or in the place of one that counts, or beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use billing::charges::DateOrder;
use billing::identity::{Id, Rule};
use billing::ids::{BillingAccountId, InvalidId, InvoiceId, Provider};
use billing::intake::{Answer, Conflict, FoundBill, Standing, Why, charged_days, conflicts};
use billing::keys::InvoiceKey;
use billing::manifest::{Brought, Format, Manifest, Part};
use billing::period::Finality;
use billing::revision::Revision;
use chrono::{DateTime, Utc};

use super::standing::{free_name, held, manifest_of, newest, standing};
use super::{IntakeError, withdrawing};
use crate::bucket::BucketReader;
use crate::ledger::{LedgerReader, RevisionState};

/// What bills are that are there already: all of them, or those of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Of those that no account is named of.
    pub all: Option<Answer>,
    /// By billing account.
    pub of: BTreeMap<String, Answer>,
}

impl Answers {
    /// The same for all bills.
    #[must_use]
    pub fn all(answer: Answer) -> Self {
        Self { all: Some(answer), of: BTreeMap::new() }
    }

    /// What a bill is, and whether that was said of its account.
    fn of(&self, bill: &FoundBill) -> (Option<Answer>, bool) {
        match self.of.iter().find(|(account, _)| is_of(bill, account)) {
            Some((_, answer)) => (Some(*answer), true),
            None => (self.all, false),
        }
    }
}

/// Whether a bill is of an account, however that is spelt.
fn is_of(bill: &FoundBill, account: &str) -> bool {
    Rule::of(bill.provider.as_str()).same(Id::BillingAccount, account, bill.billing_account.as_str())
}

/// What whoever brings bills says of them.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Of those that are there already.
    pub answers: Answers,
    /// The name of the bill, said by a person.
    pub invoice: Option<InvoiceId>,
    /// What a new bill is called otherwise; `import` if nothing says so.
    pub name: Option<InvoiceId>,
    /// In which order days are written, if it was said.
    pub dates: Option<DateOrder>,
}

/// What becomes of one bill.
#[derive(Clone, Debug)]
pub enum Planned {
    /// It is made of these parts.
    New(Manifest),
    /// It counts already, with the same documents.
    Already(InvoiceKey, Revision),
}

/// What becomes of all bills, in their order, and of others that they take the place of.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// One for each bill found.
    pub bills: Vec<Planned>,
    /// Bills that are withdrawn because others take their place.
    pub withdrawn: Vec<Manifest>,
}

impl Plan {
    /// All that is to be brought.
    #[must_use]
    pub fn manifests(&self) -> Vec<Manifest> {
        let new = self.bills.iter().filter_map(|planned| match planned {
            Planned::New(manifest) => Some(manifest.clone()),
            Planned::Already(..) => None,
        });
        self.withdrawn.iter().cloned().chain(new).collect()
    }
}

/// Bills that are there already: whoever brings them must say what the new ones are.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Question {
    /// Each bill that may be the same, in words.
    pub said: Vec<String>,
    /// Names to choose from, where one account has several bills of the month.
    pub names: Vec<String>,
    /// Whether some of them can have further parts: those of the account itself.
    pub can_add: bool,
    /// The accounts of the bills that are brought, as an answer can name them.
    pub accounts: Vec<BillingAccountId>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said.join("; "))
    }
}

/// What a bill is brought with.
struct Bringing<'b> {
    bucket: &'b BucketReader,
    ledger: &'b LedgerReader,
    wish: &'b Wish,
    /// Whether it is the only bill.
    alone: bool,
    now: DateTime<Utc>,
}

/// The name of a bill that was brought without one, or what it begins with.
pub(super) const NAME: &str = "import";

/// The name of a bill that nobody named: the same every month, but of a provider that has each name once.
fn own_name(bill: &FoundBill) -> Result<InvoiceId, InvalidId> {
    match bill.provider == Provider::atlas() {
        true => InvoiceId::new(format!("{NAME}-{}-{}", bill.billing_account, bill.month)),
        false => InvoiceId::new(NAME),
    }
}

/// What becomes of bills; `parts` are those of each, in their order.
///
/// # Errors
/// [`IntakeError::Question`] if some of them may be there already, and it was not said what they are.
pub async fn plan(
    bucket: &BucketReader,
    ledger: &LedgerReader,
    found: &[(FoundBill, Vec<Part>)],
    wish: &Wish,
    now: DateTime<Utc>,
) -> Result<Plan, IntakeError> {
    let bringing = Bringing { bucket, ledger, wish, alone: found.len() == 1, now };
    let no_account = |account: &&String| !found.iter().any(|(bill, _)| is_of(bill, account));
    if let Some(account) = wish.answers.of.keys().find(no_account) {
        return Err(IntakeError::Answer(format!("no bill that is brought is of the account '{account}'")));
    }
    let (mut plan, mut question) = (Plan::default(), Question::default());
    for (bill, parts) in found {
        match Box::pin(bringing.bill(bill, parts, &mut plan.withdrawn)).await {
            Ok(planned) => plan.bills.push(planned),
            Err(IntakeError::Question(asked)) => {
                question.said.extend(asked.said);
                question.names.extend(asked.names);
                question.can_add |= asked.can_add;
                question.accounts.push(bill.billing_account.clone());
            }
            Err(error) => return Err(error),
        }
    }
    if question.said.is_empty() { Ok(plan) } else { Err(Box::new(question).into()) }
}

impl Bringing<'_> {
    async fn bill(
        &self,
        bill: &FoundBill,
        parts: &[Part],
        withdrawn: &mut Vec<Manifest>,
    ) -> Result<Planned, IntakeError> {
        let one = bill.figures.iter().next().filter(|_| bill.figures.len() == 1);
        let all = standing(self.bucket, self.ledger, bill.month, one.map(|(_, figures)| figures)).await?;
        let named = self.wish.invoice.clone().or(bill.number.clone()).or(self.wish.name.clone());
        let named = named.map_or_else(|| own_name(bill), Ok)?;
        let own = InvoiceKey {
            provider: bill.provider.clone(),
            billing_account: bill.billing_account.clone(),
            period: bill.month,
            invoice_id: named,
        };
        let figures = one.map(|(currency, figures)| (*currency, figures));
        let conflicts = conflicts(&own, bill.number.is_some(), figures, &all);
        let (answer, is_of_account) = self.wish.answers.of(bill);
        for Conflict { standing, .. } in conflicts.iter().filter(|conflict| conflict.why == Why::SameAccount)
        {
            let Some(manifest) = self.is_made_of(standing, parts, answer).await? else { continue };
            return match held(self.ledger, &standing.invoice).await? {
                // the person decided for what counts, against the documents that are held
                Some(held) => {
                    let (invoice, dates) = (standing.invoice.clone(), dates_of(&manifest));
                    Ok(self.made(bill, invoice, manifest.parts, Some(held.revision), dates))
                }
                None => Ok(Planned::Already(standing.invoice.clone(), standing.revision.clone())),
            };
        }
        let of_account: Vec<&Standing> = conflicts
            .iter()
            .filter(|conflict| conflict.why == Why::SameAccount)
            .map(|conflict| conflict.standing)
            .collect();
        match answer {
            None if conflicts.is_empty() => self.new_bill(bill, own, parts).await,
            None => Err(ask(&conflicts)),
            // it is said of the others
            Some(Answer::Add) if conflicts.is_empty() && !self.alone && !is_of_account => {
                self.new_bill(bill, own, parts).await
            }
            // whether it is the bill of another account must be said of it
            Some(Answer::Replace)
                if of_account.is_empty() && !conflicts.is_empty() && !self.alone && !is_of_account =>
            {
                Err(ask(&conflicts))
            }
            Some(Answer::Additional) => {
                for standing in &of_account {
                    self.has_no_part_of(standing, parts).await?;
                }
                let is_free = !all.iter().any(|standing| standing.invoice == own);
                let invoice = match (&self.wish.invoice, is_free) {
                    (Some(name), false) => {
                        return Err(IntakeError::Answer(format!(
                            "there is a bill '{name}' already: give the further one another name"
                        )));
                    }
                    (_, true) => own,
                    (None, false) => free_name(self.ledger, &own).await?,
                };
                self.new_bill(bill, invoice, parts).await
            }
            Some(Answer::Replace) => match self.target(&of_account)? {
                Some(target) => {
                    let (invoice, before) = (target.invoice.clone(), target.revision.clone());
                    Ok(self.made(bill, invoice, parts.to_vec(), Some(before), self.wish.dates))
                }
                None => {
                    for Conflict { standing, .. } in &conflicts {
                        let reason = format!(
                            "replaced by the bill of {} that was brought as {}",
                            bill.billing_account, bill.provider
                        );
                        let (manifest, _) =
                            withdrawing(self.bucket, self.ledger, &standing.invoice, &reason).await?;
                        if !withdrawn.iter().any(|known| known.invoice() == manifest.invoice()) {
                            withdrawn.push(manifest);
                        }
                    }
                    self.new_bill(bill, own, parts).await
                }
            },
            Some(Answer::Add) => {
                let target = self.target(&of_account)?.ok_or_else(|| {
                    let InvoiceKey { provider, billing_account, period, .. } = &own;
                    IntakeError::Answer(format!("{billing_account} of {provider} has no bill of {period} that a part could be added to"))
                })?;
                self.add(bill, target, parts).await
            }
        }
    }

    /// The bill that is meant, of those of the account and month.
    fn target<'s>(&self, of_account: &[&'s Standing]) -> Result<Option<&'s Standing>, IntakeError> {
        let named =
            |name: &InvoiceId| of_account.iter().find(|standing| standing.invoice.invoice_id == *name);
        match (&self.wish.invoice, of_account) {
            (_, []) => Ok(None),
            (None, [one]) => Ok(Some(one)),
            (Some(name), _) => named(name).map(|standing| Some(*standing)).ok_or_else(|| {
                IntakeError::Answer(format!("there is no bill '{name}' of this account and month"))
            }),
            (None, several) => {
                let names: Vec<String> =
                    several.iter().map(|standing| standing.invoice.invoice_id.to_string()).collect();
                let said = format!(
                    "there are several bills of this account and month: {}; say which one with its name",
                    names.join(", ")
                );
                Err(Box::new(Question { said: vec![said], names, can_add: true, ..Question::default() })
                    .into())
            }
        }
    }

    /// What a bill is made of; nothing if it has no parts.
    async fn made_of(&self, standing: &Standing) -> Result<Option<Manifest>, IntakeError> {
        match newest(self.ledger, &standing.invoice).await? {
            Some(record) => manifest_of(self.bucket, self.ledger, &standing.invoice, &record).await,
            None => Ok(None),
        }
    }

    /// That no document counts already that would make a further bill.
    async fn has_no_part_of(&self, standing: &Standing, parts: &[Part]) -> Result<(), IntakeError> {
        let Some(manifest) = self.made_of(standing).await? else { return Ok(()) };
        let counts = |part: &&Part| manifest.parts.iter().any(|known| known.sha256 == part.sha256);
        match parts.iter().find(counts) {
            Some(part) => Err(IntakeError::Answer(format!(
                "{} is a part of {} already: a document counts once",
                part.key.rsplit('/').next().unwrap_or(&part.key),
                standing.invoice
            ))),
            None => Ok(()),
        }
    }

    /// What a bill is made of if it is of just these documents; or, if they are to be added, of these among others.
    async fn is_made_of(
        &self,
        standing: &Standing,
        parts: &[Part],
        answer: Option<Answer>,
    ) -> Result<Option<Manifest>, IntakeError> {
        let Some(manifest) = self.made_of(standing).await? else { return Ok(None) };
        let (has, brought) = (hashes(&manifest.parts), hashes(parts));
        let same = has == brought || (answer == Some(Answer::Add) && brought.is_subset(&has));
        let same = same && (self.wish.dates.is_none() || self.wish.dates == dates_of(&manifest));
        Ok(Some(manifest).filter(|_| same))
    }

    /// A bill that takes the place of none that counts. After a withdrawal, or an upload that is held, it counts after that.
    async fn new_bill(
        &self,
        bill: &FoundBill,
        invoice: InvoiceKey,
        parts: &[Part],
    ) -> Result<Planned, IntakeError> {
        let mut revisions = self.ledger.revisions(&invoice).await?;
        if let Some(last) = revisions.last().filter(|record| record.state == RevisionState::Registered)
            && self.ledger.latest(&invoice).await?.as_ref() != Some(&last.revision)
            && let Some(manifest) = manifest_of(self.bucket, self.ledger, &invoice, last).await?
            && hashes(&manifest.parts) == hashes(parts)
        {
            // the same was begun and not finished: it is no revision that another one could follow
            revisions.pop();
        }
        let before = revisions.pop().map(|record| record.revision);
        Ok(self.made(bill, invoice, parts.to_vec(), before, self.wish.dates))
    }

    /// A bill with further parts.
    async fn add(&self, bill: &FoundBill, target: &Standing, parts: &[Part]) -> Result<Planned, IntakeError> {
        let invoice = target.invoice.clone();
        let manifest = self.made_of(target).await?;
        if bill.format == Format::AtlasInvoice {
            return Err(IntakeError::Answer(format!(
                "{invoice} is one document: bring all of it and say replace"
            )));
        }
        let manifest = manifest.filter(|manifest| manifest.shared).ok_or_else(|| {
            IntakeError::Answer(format!("{invoice} was fetched: nothing can be added to it; bring all parts and say replace, or withdraw it first"))
        })?;
        if manifest.format != bill.format {
            return Err(IntakeError::Answer(format!(
                "{invoice} is of another format: bring the month in one format and say replace"
            )));
        }
        // all parts are read in one order: another one would put rows of the parts that are there into other months
        let dates = dates_of(&manifest);
        if dates != self.wish.dates {
            let said =
                dates.map_or_else(|| "without --dates".to_owned(), |order| format!("with --dates {order}"));
            return Err(IntakeError::Answer(format!(
                "{invoice} was brought {said}: add the part so, or bring all parts and say replace"
            )));
        }
        let taken = self.bucket.take_in(&invoice.charges(), None).await?;
        let rule = Rule::of(invoice.provider.as_str());
        let days = taken
            .map(|taken| charged_days(Arc::new(taken.file), rule))
            .transpose()
            .map_err(IntakeError::Answer)?;
        if let Some((account, day)) = days.unwrap_or_default().intersection(&bill.days).next() {
            let account = account.as_deref().unwrap_or("no sub account");
            return Err(IntakeError::Answer(format!(
                "{invoice} has charges of {account} on {day} already, and so has what is to be added: they may be the same costs; \
                 to correct a part, bring all parts and say replace"
            )));
        }
        let mut all = manifest.parts;
        all.extend(parts.iter().cloned());
        Ok(self.made(bill, invoice, all, Some(target.revision.clone()), dates))
    }

    /// A bill that is made of these parts.
    fn made(
        &self,
        bill: &FoundBill,
        invoice: InvoiceKey,
        parts: Vec<Part>,
        replaces: Option<Revision>,
        dates: Option<DateOrder>,
    ) -> Planned {
        let is_over = invoice.period.end() <= self.now;
        // whoever exports a month that has ended exports the whole of it; a corrected one is a new revision
        let finality = if is_over { Finality::Final } else { Finality::Open };
        let provider_from = bill.provider_from.clone();
        let brought = Brought { replaces, provider_from, dates, withdrawn: None };
        let manifest = Manifest::of_parts(&invoice, bill.format, finality, parts);
        Planned::New(Manifest { brought: Some(brought), ..manifest })
    }
}

/// The content of parts, whatever their order.
fn hashes(parts: &[Part]) -> BTreeSet<&str> {
    parts.iter().map(|part| part.sha256.as_str()).collect()
}

/// In which order the days of a bill are read, if a person said it.
fn dates_of(manifest: &Manifest) -> Option<DateOrder> {
    manifest.brought.as_ref().and_then(|brought| brought.dates)
}

fn ask(conflicts: &[Conflict<'_>]) -> IntakeError {
    let said = conflicts.iter().map(ToString::to_string).collect();
    let can_add = conflicts.iter().any(|conflict| conflict.why == Why::SameAccount);
    Box::new(Question { said, can_add, ..Question::default() }).into()
}
