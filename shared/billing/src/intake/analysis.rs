//! The bills in files that a person brings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use chrono::NaiveDate;

use super::provider::{Undecided, provider_of};
use crate::atlas::{CURRENCY, Invoice, document_of_table, is_table};
use crate::bill::{detect, mapping};
use crate::charges::{
    AccountDays, Claims, DateOrder, Document, Figures, FileReader, HeldRow, OtherBill, Packing, ReadError,
    Totals, bills, headers, seen,
};
use crate::identity::{Id, Rule};
use crate::ids::{BillingAccountId, InvalidId, InvoiceId, Provider};
use crate::manifest::Format;
use crate::money::{Amount, MoneyError};
use crate::month::BillingMonth;
use crate::text::{clean, shown};

/// A file as a person brings it.
#[derive(Clone, Debug)]
pub struct BroughtFile {
    /// Its name.
    pub name: String,
    /// The folder that it stands in: files of one folder are taken for parts of one export.
    pub folder: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Its bytes.
    pub file: Arc<File>,
}

/// What a person said of the files.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Whose all bills are.
    pub provider: Option<Provider>,
    /// In which order days are written.
    pub dates: Option<DateOrder>,
}

/// What a bill in the files is.
#[derive(Clone, Debug)]
pub struct FoundBill {
    /// Whose.
    pub provider: Provider,
    /// What says so.
    pub provider_from: String,
    /// Who is billed: as it was written, without a path before it.
    pub billing_account: BillingAccountId,
    /// The month.
    pub month: BillingMonth,
    /// Its number, where the provider numbers its invoices.
    pub number: Option<InvoiceId>,
    /// How its documents are read.
    pub format: Format,
    /// Which of the files have rows of it.
    pub files: Vec<usize>,
    /// What they come to by currency: one bill has one.
    pub figures: BTreeMap<&'static str, Figures>,
    /// Sub accounts (what their spellings have in common) and days of its charges.
    pub days: AccountDays,
}

impl FoundBill {
    /// How many charges it has, in all currencies.
    #[must_use]
    pub fn charges(&self) -> u64 {
        self.figures.values().map(|figures| figures.charges).sum()
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    /// Bills by provider, account and month.
    pub bills: Vec<FoundBill>,
    /// Rows read.
    pub rows: u64,
    /// The first rows that cannot be charges.
    pub held: Vec<HeldRow>,
    /// How many there are.
    pub held_rows: u64,
}

/// Files that cannot be taken as they are.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// Of no format.
    #[error(
        "{file} is no bill that is known. Seen: {seen}. A FOCUS export has a column BilledCost, a cost and usage report of AWS \
         line_item_unblended_cost, Azure's cost details MeterId"
    )]
    Unknown {
        /// The file.
        file: String,
        /// What was seen of it.
        seen: String,
    },
    /// It cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        error: ReadError,
    },
    /// No row of it is a charge.
    #[error("{file}: none of its {rows} rows is a charge{}", first(held))]
    NoCharge {
        /// The file.
        file: String,
        /// Rows read.
        rows: u64,
        /// Why not.
        held: Vec<HeldRow>,
    },
    /// Rows that do not say who is billed.
    #[error("{file}: its rows name no billing account: export it with that column")]
    NoAccount {
        /// The file.
        file: String,
    },
    /// Rows that do not say which month they are of.
    #[error("{file}: its rows do not say which month they are of")]
    NoMonth {
        /// The file.
        file: String,
    },
    /// An identifier that is none.
    #[error("{file}: {error}")]
    Id {
        /// The file.
        file: String,
        /// Why.
        error: InvalidId,
    },
    /// One bill in two formats.
    #[error(
        "{account} of {provider} stands in {one} and in {other}, which are of different formats: bring the month in one format"
    )]
    Formats {
        /// The provider.
        provider: Provider,
        /// The account.
        account: String,
        /// A file.
        one: String,
        /// Another.
        other: String,
    },
    /// Nobody can tell whose the bill is.
    #[error("{account}, {month}: {why}. Say whose it is: --provider NAME, for example --provider aws")]
    Whose {
        /// The account.
        account: String,
        /// The month.
        month: BillingMonth,
        /// Why.
        why: String,
    },
    /// The same rows may stand in two files.
    #[error(
        "{one} and {other} both have charges of {account} on {day} (bill {month} of {billing_account}): they may be the same costs, \
         exported twice. Bring only one of them, or, if they are parts of one export, put them unpacked into one folder"
    )]
    Overlap {
        /// A file.
        one: String,
        /// Another.
        other: String,
        /// A sub account that both have.
        account: String,
        /// A day that both have.
        day: NaiveDate,
        /// The billing account.
        billing_account: BillingAccountId,
        /// The month.
        month: BillingMonth,
    },
    /// One invoice in two documents that are not the same.
    #[error("{one} and {other} are the same invoice: bring only one of them")]
    InvoiceTwice {
        /// A file.
        one: String,
        /// Another.
        other: String,
    },
    /// The sums overflow.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl AnalysisError {
    /// Whether a person can answer it.
    #[must_use]
    pub fn is_question(&self) -> bool {
        let dates = matches!(self, Self::Read { error: ReadError::Dates(_), .. });
        dates || matches!(self, Self::Whose { .. } | Self::Overlap { .. })
    }
}

fn first(held: &[HeldRow]) -> String {
    held.first().map(|row| format!(", the first: {row}")).unwrap_or_default()
}

/// A file with what its rows are of.
struct Analysed<'f> {
    file: &'f BroughtFile,
    format: Format,
    /// How it is packed; nothing of Parquet.
    packing: Option<Packing>,
    totals: Totals,
}

/// The bills in files. Files with the same bytes count once.
///
/// # Errors
/// [`AnalysisError`]; some of them are questions ([`AnalysisError::is_question`]).
pub fn analyse(files: &[BroughtFile], choices: &Choices, threads: usize) -> Result<Analysis, AnalysisError> {
    let mut analysed = Vec::with_capacity(files.len());
    let mut seen = BTreeSet::new();
    let mut analysis = Analysis::default();
    for (at, file) in files.iter().enumerate().filter(|(_, file)| seen.insert(&file.sha256)) {
        match invoice_of(at, file)? {
            Some(invoice) => {
                let same =
                    |bill: &&FoundBill| bill.provider == invoice.provider && bill.number == invoice.number;
                if let Some(first) = analysis.bills.iter().find(same) {
                    let first = first.files.first().and_then(|at| files.get(*at));
                    return Err(AnalysisError::InvoiceTwice {
                        one: first.map(|file| file.name.clone()).unwrap_or_default(),
                        other: file.name.clone(),
                    });
                }
                analysis.rows += invoice.charges();
                analysis.bills.push(invoice);
            }
            None => analysed.push((at, look(file, choices, threads)?)),
        }
    }
    analysis.bills.extend(found(&analysed, choices)?);
    for (_, document) in &analysed {
        analysis.rows += document.totals.rows;
        analysis.held_rows += document.totals.held_rows;
        analysis.held.extend(document.totals.held.iter().cloned());
    }
    Ok(analysis)
}

/// The invoice of MongoDB Atlas in a file; nothing if it is something else.
fn invoice_of(at: usize, file: &BroughtFile) -> Result<Option<FoundBill>, AnalysisError> {
    let failed = |why: String| AnalysisError::Read {
        file: file.name.clone(),
        error: ReadError::Broken { after: 0, why },
    };
    let Some(document) = atlas_document(&file.file).map_err(&failed)? else { return Ok(None) };
    let invoice = Invoice::parse(&document).map_err(|error| failed(error.to_string()))?;
    let mut figures = Figures::default();
    for line in &invoice.line_items {
        let cents = i128::from(line.total_price_cents.unwrap_or_default());
        let billed = Amount::scaled(cents, 2).unwrap_or_default();
        figures.add(&Figures::of(billed, Some(billed), 1))?;
    }
    Ok(Some(FoundBill {
        provider: Provider::atlas(),
        provider_from: "the invoice".to_owned(),
        billing_account: invoice.head.org_id.clone(),
        month: invoice.head.month(),
        number: Some(invoice.head.id.clone()),
        format: Format::AtlasInvoice,
        files: vec![at],
        figures: BTreeMap::from([(CURRENCY.code(), figures)]),
        days: AccountDays::new(),
    }))
}

/// The document of an invoice of MongoDB Atlas, from JSON or CSV; nothing if a file is something else.
///
/// # Errors
/// Says what is wrong with the file.
pub fn atlas_document(file: &Arc<File>) -> Result<Option<Vec<u8>>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut start = Vec::new();
    FileReader::new(file.clone()).take(200).read_to_end(&mut start).map_err(|error| text(&error))?;
    let begins = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start).trim_ascii_start().first().copied();
    let is_json = matches!(begins, Some(b'{' | b'['));
    if !is_json && !is_table(&start) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    FileReader::new(file.clone()).read_to_end(&mut bytes).map_err(|error| text(&error))?;
    match is_json {
        true => Ok(Some(bytes.strip_prefix(b"\xef\xbb\xbf").map_or_else(|| bytes.clone(), <[u8]>::to_vec))),
        false => document_of_table(&bytes).map(Some).map_err(|error| text(&error)),
    }
}

/// Whether a file is an invoice or a table of costs that is known.
#[must_use]
pub fn is_known(file: &Arc<File>) -> bool {
    if let Ok(Some(document)) = atlas_document(file) {
        return Invoice::parse(&document).is_ok();
    }
    let tables = headers(&Document { key: "", file: file.clone() });
    tables.is_ok_and(|tables| tables.iter().any(|header| detect(header).is_some()))
}

fn look<'f>(file: &'f BroughtFile, choices: &Choices, threads: usize) -> Result<Analysed<'f>, AnalysisError> {
    let document = Document { key: &file.name, file: file.file.clone() };
    let failed = |error| AnalysisError::Read { file: file.name.clone(), error };
    let unknown = || {
        let seen = seen(&document).map_err(failed)?;
        Err(AnalysisError::Unknown { file: file.name.clone(), seen })
    };
    let tables = headers(&document).map_err(failed)?;
    let formats: Option<Vec<Format>> = tables.iter().map(|header| detect(header)).collect();
    let Some(formats) = formats else { return unknown() };
    let Some((format, others)) = formats.split_first() else { return unknown() };
    if others.iter().any(|other| other != format) {
        return unknown();
    }
    let Some(mapping) = mapping(*format, None) else { return unknown() };
    let order = match choices.dates {
        Some(order) => Some(order),
        None => document.date_order(mapping).map_err(failed)?,
    };
    let mapping = order.and_then(|order| mapping.in_order(order)).unwrap_or(mapping);
    let totals = bills(&document, mapping, threads).map_err(failed)?;
    if totals.elsewhere.is_empty() {
        return Err(AnalysisError::NoCharge {
            file: file.name.clone(),
            rows: totals.rows,
            held: totals.held,
        });
    }
    let packing = document.packing().map_err(failed)?;
    Ok(Analysed { file, format: *format, packing, totals })
}

/// Rows of one account and month, as far as that can be told without their provider.
#[derive(Default)]
struct Group<'t> {
    claims: BTreeSet<&'t Claims>,
    rows: Vec<(usize, usize, &'t OtherBill, &'t Figures)>,
}

fn found(analysed: &[(usize, Analysed<'_>)], choices: &Choices) -> Result<Vec<FoundBill>, AnalysisError> {
    let mut groups: BTreeMap<(String, BillingMonth), Group<'_>> = BTreeMap::new();
    for (at, (file, document)) in analysed.iter().enumerate() {
        let name = || document.file.name.clone();
        for (bill, figures) in &document.totals.elsewhere {
            let account = bill.billing_account.as_deref().map(clean).filter(|account| !account.is_empty());
            let account = account.ok_or_else(|| AnalysisError::NoAccount { file: name() })?;
            let month = bill.month.ok_or_else(|| AnalysisError::NoMonth { file: name() })?;
            let group = groups.entry((account.into_owned(), month)).or_default();
            group.claims.insert(&bill.claims);
            group.rows.push((at, *file, bill, figures));
        }
    }
    let mut bills: BTreeMap<(Provider, String, BillingMonth), Building> = BTreeMap::new();
    for ((account, month), group) in groups {
        let (provider, from) = whose(&account, month, &group, choices)?;
        let key = Rule::of(provider.as_str()).key(Id::BillingAccount, &account).into_owned();
        let building = bills.entry((provider, key, month)).or_default();
        building.spellings.insert(account);
        building.from.insert(from);
        for (at, file, bill, figures) in group.rows {
            building.files.insert((at, file));
            building.figures.entry(bill.currency).or_default().add(figures)?;
            building.rows.push((at, bill.clone()));
        }
    }
    bills
        .into_iter()
        .map(|((provider, _, month), building)| building.finish(provider, month, analysed))
        .collect()
}

fn whose(
    account: &str,
    month: BillingMonth,
    group: &Group<'_>,
    choices: &Choices,
) -> Result<(Provider, String), AnalysisError> {
    if let Some(provider) = &choices.provider {
        return Ok((provider.clone(), "the person who brought it".to_owned()));
    }
    let unclear = |why: String| AnalysisError::Whose { account: shown(account), month, why };
    match provider_of(group.claims.iter().copied()) {
        Ok(Some(decided)) => Ok((decided.provider, decided.from.to_owned())),
        Ok(None) => Err(unclear("its rows name no provider".to_owned())),
        Err(error @ (Undecided::Several { .. } | Undecided::Name(_))) => Err(unclear(error.to_string())),
    }
}

/// A bill, file by file.
#[derive(Default)]
struct Building {
    spellings: BTreeSet<String>,
    from: BTreeSet<String>,
    files: BTreeSet<(usize, usize)>,
    figures: BTreeMap<&'static str, Figures>,
    rows: Vec<(usize, OtherBill)>,
}

impl Building {
    fn finish(
        self,
        provider: Provider,
        month: BillingMonth,
        analysed: &[(usize, Analysed<'_>)],
    ) -> Result<FoundBill, AnalysisError> {
        let rule = Rule::of(provider.as_str());
        let name =
            |at: usize| analysed.get(at).map_or_else(String::new, |(_, document)| document.file.name.clone());
        let account = self.spellings.first().map(String::as_str).unwrap_or_default();
        let first = self.files.first().map(|(at, _)| *at).unwrap_or_default();
        let billing_account = BillingAccountId::new(rule.name(Id::BillingAccount, account))
            .map_err(|error| AnalysisError::Id { file: name(first), error })?;
        let mut format = None;
        for (at, _) in &self.files {
            let of = analysed.get(*at).map(|(_, document)| document.format);
            if format.is_some() && format != of {
                let (account, one, other) = (billing_account.to_string(), name(first), name(*at));
                return Err(AnalysisError::Formats { provider, account, one, other });
            }
            format = of;
        }
        let days = self.days(rule, &billing_account, month, analysed)?;
        Ok(FoundBill {
            provider,
            provider_from: self.from.into_iter().collect::<Vec<_>>().join(", "),
            billing_account,
            month,
            number: None,
            format: format.unwrap_or(Format::Focus),
            files: self.files.into_iter().map(|(_, file)| file).collect(),
            figures: self.figures,
            days,
        })
    }

    /// The days of the bill; files that are no parts of one export have none in common: parts are packed alike and stand in one
    /// folder, or in one archive.
    fn days(
        &self,
        rule: Rule,
        billing_account: &BillingAccountId,
        month: BillingMonth,
        analysed: &[(usize, Analysed<'_>)],
    ) -> Result<AccountDays, AnalysisError> {
        let mut of_files: BTreeMap<usize, AccountDays> = BTreeMap::new();
        for (at, bill) in &self.rows {
            let Some((_, document)) = analysed.get(*at) else { continue };
            let days = document.totals.days.get(bill).into_iter().flatten();
            let keyed = |(account, day): &(Option<String>, NaiveDate)| {
                (account.as_deref().map(|account| rule.key(Id::SubAccount, account).into_owned()), *day)
            };
            of_files.entry(*at).or_default().extend(days.map(keyed));
        }
        let mut all = AccountDays::new();
        for (at, days) in &of_files {
            for (other, others) in of_files.range(..*at) {
                let (Some((_, one)), Some((_, two))) = (analysed.get(*at), analysed.get(*other)) else {
                    continue;
                };
                let are_parts = one.file.folder == two.file.folder
                    && one.packing == two.packing
                    && one.packing != Some(Packing::Zip);
                let common = days.intersection(others).next().filter(|_| !are_parts);
                if let Some((account, day)) = common {
                    return Err(AnalysisError::Overlap {
                        one: format!("{}/{}", two.file.folder, two.file.name),
                        other: format!("{}/{}", one.file.folder, one.file.name),
                        account: account.clone().unwrap_or_else(|| "no sub account".to_owned()),
                        day: *day,
                        billing_account: billing_account.clone(),
                        month,
                    });
                }
            }
        }
        of_files.into_values().for_each(|days| all.extend(days));
        Ok(all)
    }
}
