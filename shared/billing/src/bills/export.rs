//! Bills as the invoicing system takes them: CSV by the catalog's template, one document for each provider and one for the rest.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::lines::{Bill, Carried, Correction, Line, Posted};
use super::make::BillRun;
use super::problems::BillsError;
use crate::catalog::billing::{Catalog, Content, Encoding, ExportField, ExportTemplate};
use crate::money::{self, Currency, format_amount, parse_decimal};
use crate::month::BillingMonth;
use crate::spreadsheet::neutralise;

/// Which lines an export holds. Bills that are held are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All lines: the month as it stands. The same run again gives the same bytes.
    All,
    /// Lines of bills of which nothing was posted yet. What a revision changed goes on the next bill instead: see
    /// [`BillRun::corrections`].
    Due,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The provider of its accounts, or `services` for everything else.
    pub name: String,
    /// CSV with CRLF after each line.
    pub bytes: Vec<u8>,
    /// How many lines, the header not counted.
    pub lines: u64,
    /// What its amounts add up to, read back from their texts.
    pub total: Decimal,
}

/// The name of the document of everything that is no account.
const SERVICES: &str = "services";

impl BillRun {
    /// The exports, by name; none without lines.
    ///
    /// # Errors
    /// [`BillsError::Export`] names the line that cannot be written; [`BillsError::Certificate`] if the amounts are not those of the
    /// bills.
    pub fn exports(&self, catalog: &Catalog, rows: Rows) -> Result<Vec<Export>, BillsError> {
        let mut documents: BTreeMap<&str, Document> = BTreeMap::new();
        let bills =
            self.bills.iter().filter(|bill| bill.held.is_none() && (rows == Rows::All || bill.is_first));
        for bill in bills {
            for line in &bill.lines {
                let name = line.provider.as_deref().unwrap_or(SERVICES);
                let document = match documents.get_mut(name) {
                    Some(document) => document,
                    None => documents.entry(name).or_insert(Document::new(&catalog.export, name)?),
                };
                document.line(&Row { bill, line, month: self.month, currency: catalog.currency })?;
            }
        }
        let exports: Vec<Export> = documents.into_values().map(Document::finish).collect::<Result<_, _>>()?;
        if rows == Rows::All {
            self.certificate.verify_exports(&exports)?;
        }
        Ok(exports)
    }
}

struct Row<'r> {
    bill: &'r Bill,
    line: &'r Line,
    month: BillingMonth,
    currency: Currency,
}

struct Document<'t> {
    template: &'t ExportTemplate,
    name: String,
    writer: csv::Writer<Vec<u8>>,
    lines: u64,
    total: Decimal,
}

impl<'t> Document<'t> {
    fn new(template: &'t ExportTemplate, name: &str) -> Result<Self, BillsError> {
        let mut builder = csv::WriterBuilder::new();
        builder.delimiter(template.delimiter).terminator(csv::Terminator::CRLF);
        let bytes = match template.encoding {
            Encoding::Utf8Bom => "\u{feff}".as_bytes().to_vec(),
            Encoding::Utf8 | Encoding::Latin1 => Vec::new(),
        };
        let writer = builder.from_writer(bytes);
        let mut document = Self { template, name: name.to_owned(), writer, lines: 0, total: Decimal::ZERO };
        if template.header {
            let titles: Vec<String> =
                template.columns.iter().map(|column| neutralise(&column.title).into_owned()).collect();
            document.record(&titles, "the header")?;
        }
        Ok(document)
    }

    fn line(&mut self, row: &Row<'_>) -> Result<(), BillsError> {
        let template = self.template;
        let mut cells = Vec::with_capacity(template.columns.len());
        let mut read_back = None;
        for column in &template.columns {
            cells.push(match &column.content {
                Content::Field(ExportField::Amount) => {
                    let text = format_amount(row.line.amount, row.currency);
                    read_back = Some(parse_decimal(&text)?);
                    if template.decimal_point == '.' { text } else { text.replace('.', ",") }
                }
                Content::Field(field) => neutralise(&row.text(*field)).into_owned(),
                Content::Text(text) => neutralise(text).into_owned(),
            });
        }
        let of = format!("'{}' of '{}'", row.line.key, row.bill.customer);
        self.record(&cells, &of)?;
        let Some(amount) = read_back else { return Err(self.failed("no column holds the amount".into())) };
        self.total = money::add(self.total, amount)?.normalize();
        self.lines += 1;
        Ok(())
    }

    fn failed(&self, why: String) -> BillsError {
        BillsError::Export { export: self.name.clone(), why }
    }

    fn record(&mut self, cells: &[String], of: &str) -> Result<(), BillsError> {
        for cell in cells {
            let written = match self.template.encoding {
                Encoding::Utf8 | Encoding::Utf8Bom => self.writer.write_field(cell.as_bytes()),
                Encoding::Latin1 => {
                    let bytes: Result<Vec<u8>, char> =
                        cell.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| c)).collect();
                    match bytes {
                        Ok(bytes) => self.writer.write_field(bytes),
                        Err(c) => {
                            let why =
                                format!("{of}: '{c}' of '{cell}' is not in ISO 8859-1, export in utf-8");
                            return Err(self.failed(why));
                        }
                    }
                }
            };
            written.map_err(|error| self.failed(format!("{of}: {error}")))?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(|error| self.failed(format!("{of}: {error}")))
    }

    fn finish(self) -> Result<Export, BillsError> {
        let Self { name, writer, lines, total, .. } = self;
        let bytes = writer.into_inner();
        let bytes =
            bytes.map_err(|error| BillsError::Export { export: name.clone(), why: error.to_string() })?;
        Ok(Export { name, bytes, lines, total })
    }
}

impl Row<'_> {
    fn text(&self, field: ExportField) -> String {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        match field {
            ExportField::Name => self.line.name.clone(),
            ExportField::CostCenter => optional(&self.bill.cost_center),
            ExportField::User => self.bill.email.clone().unwrap_or_else(|| self.bill.customer.clone()),
            ExportField::Customer => self.bill.customer.clone(),
            ExportField::Email => optional(&self.bill.email),
            ExportField::Product => optional(&self.line.product),
            ExportField::Amount => format_amount(self.line.amount, self.currency),
            ExportField::Comment => self.line.comment.clone(),
            ExportField::Currency => self.currency.code().to_owned(),
            ExportField::Month => self.month.to_string(),
            ExportField::Provider => optional(&self.line.provider),
            ExportField::Kind => self.line.kind.as_str().to_owned(),
        }
    }
}

impl BillRun {
    /// What this run changed on bills that were posted before: to be put on the next bill. Held bills wait.
    #[must_use]
    pub fn corrections(&self) -> Vec<Correction> {
        let posted = self.bills.iter().filter(|bill| bill.held.is_none() && !bill.is_first);
        let changed = posted.flat_map(|bill| bill.lines.iter().map(move |line| (bill, line)));
        let changed = changed.filter(|(_, line)| !line.difference.is_zero());
        let correction = |(bill, line): (&Bill, &Line)| Correction {
            customer: bill.customer.clone(),
            month: self.month,
            key: line.key.clone(),
            name: line.name.clone(),
            product: line.product.clone(),
            amount: line.difference,
        };
        changed.map(correction).collect()
    }

    /// What the next bills take of discounts that are larger than these. Only first bills carry; held ones wait.
    #[must_use]
    pub fn carried(&self) -> Vec<Carried> {
        let first = self.bills.iter().filter(|bill| bill.held.is_none() && bill.is_first);
        let carrying = first.filter(|bill| !bill.carried_out.is_zero());
        let carried = |bill: &Bill| Carried {
            customer: bill.customer.clone(),
            month: self.month,
            amount: bill.carried_out,
        };
        carrying.map(carried).collect()
    }

    /// What is posted of the month once this run's exports and corrections went out: give it to the next run of the same month. A
    /// line that is no longer due stays with 0, so that the month is never taken for one that was not billed.
    #[must_use]
    pub fn posted(&self, before: &Posted) -> Posted {
        let mut posted = before.clone();
        for bill in self.bills.iter().filter(|bill| bill.held.is_none()) {
            let lines = posted.entry(bill.customer.clone()).or_default();
            lines.values_mut().for_each(|amount| *amount = Decimal::ZERO);
            lines.extend(bill.lines.iter().map(|line| (line.key.clone(), line.amount)));
        }
        posted
    }

    /// The line of a customer with this key: every figure that made it is in there.
    #[must_use]
    pub fn explain(&self, customer: &str, key: &str) -> Option<&Line> {
        let bill = self.bills.iter().find(|bill| bill.customer == customer)?;
        bill.lines.iter().find(|line| line.key == key)
    }
}
