//! The sums of a bill as tables: by account, by service, by tag. Each adds up to the charges of the bill, exactly.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::certificate::Certificate;
use crate::charges::{Amount, Figures, Totals};
use crate::money::MoneyError;
use crate::spreadsheet::neutralise;

/// One table, in both spellings.
#[derive(Debug)]
pub struct Aggregate {
    /// `by-account`, `by-service` or `by-tag`.
    pub name: &'static str,
    /// RFC 4180, UTF-8.
    pub csv: Vec<u8>,
    /// The same columns; costs are `DECIMAL(38, 18)`.
    pub parquet: Vec<u8>,
}

/// Why aggregates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// A table does not add up to the bill: a fault of this software.
    #[error("the sums {table} come to {found}, the charges to {expected}")]
    Lost {
        /// The table.
        table: String,
        /// What it adds up to.
        found: Amount,
        /// What the charges add up to.
        expected: Amount,
    },
    /// The sums overflow.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// CSV could not be written.
    #[error("the table cannot be written: {0}")]
    Csv(#[from] csv::Error),
    /// Parquet could not be written.
    #[error("the table cannot be written: {0}")]
    Parquet(#[from] ParquetError),
    /// Columns do not fit together: a fault of this software.
    #[error("the table cannot be written: {0}")]
    Arrow(#[from] ArrowError),
}

/// The tables of a bill whose charges are `totals`. They name their revision, so tables of two revisions always differ.
///
/// # Errors
/// [`AggregateError`], above all if a table does not add up to the bill.
pub fn aggregates(certificate: &Certificate, totals: &Totals) -> Result<Vec<Aggregate>, AggregateError> {
    Ok(vec![
        by_account(certificate, totals)?.finish(certificate)?,
        by_service(totals)?.finish(certificate)?,
        by_tag(totals)?.finish(certificate)?,
    ])
}

fn by_account(certificate: &Certificate, totals: &Totals) -> Result<Table, AggregateError> {
    let mut table = Table::new("by-account", &["sub_account_id", "sub_account_name"]);
    let mut accounts: Vec<_> = totals.sub_accounts.iter().collect();
    accounts.sort_by_key(|(id, _)| *id);
    for (id, (_, figures)) in accounts {
        let target = certificate.targets.iter().find(|target| Some(&target.id) == id.as_ref());
        table.push(vec![id.clone(), target.map(|target| target.name.clone())], *figures);
    }
    check("by account", &table.figures, &totals.all)?;
    Ok(table)
}

fn by_service(totals: &Totals) -> Result<Table, AggregateError> {
    let mut table = Table::new("by-service", &["service_category", "service_name"]);
    let mut services: Vec<_> = totals.services.iter().collect();
    services.sort_by_key(|(service, _)| *service);
    for ((category, service), figures) in services {
        table.push(vec![Some((*category).to_owned()), Some(service.clone())], *figures);
    }
    check("by service", &table.figures, &totals.all)?;
    Ok(table)
}

/// For each key its values, and what has no such tag: each key adds up to the bill.
fn by_tag(totals: &Totals) -> Result<Table, AggregateError> {
    let mut table = Table::new("by-tag", &["tag_key", "tag_value", "tagged"]);
    let mut keys: Vec<_> = totals.tags.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    for (key, values) in keys {
        let mut values: Vec<_> = values.iter().collect();
        values.sort_by_key(|(value, _)| *value);
        let first = table.figures.len();
        let mut untagged = totals.all;
        for (value, figures) in values {
            table.push(vec![Some(key.clone()), Some(value.clone()), Some("true".to_owned())], *figures);
            untagged.billed = untagged.billed.checked_add(-figures.billed)?;
            untagged.effective = untagged.effective.checked_add(-figures.effective)?;
            untagged.charges = untagged.charges.saturating_sub(figures.charges);
        }
        if untagged.charges > 0 {
            table.push(vec![Some(key.clone()), None, Some("false".to_owned())], untagged);
        }
        check(&format!("by tag {key}"), &table.figures[first..], &totals.all)?;
    }
    Ok(table)
}

fn check(table: &str, rows: &[Figures], all: &Figures) -> Result<(), AggregateError> {
    let sum = |of: fn(&Figures) -> Amount| {
        rows.iter().try_fold(Amount::ZERO, |sum, figures| sum.checked_add(of(figures)))
    };
    for of in [(|figures| figures.billed) as fn(&Figures) -> Amount, |figures| figures.effective] {
        let (found, expected) = (sum(of)?, of(all));
        if !found.checked_add(-expected)?.is_zero() {
            return Err(AggregateError::Lost { table: table.to_owned(), found, expected });
        }
    }
    Ok(())
}

/// Columns of the bill that every row repeats.
const HEAD: [&str; 6] =
    ["provider", "billing_account", "billing_period", "invoice_id", "revision", "billing_currency"];

struct Table {
    name: &'static str,
    keys: &'static [&'static str],
    rows: Vec<Vec<Option<String>>>,
    figures: Vec<Figures>,
}

impl Table {
    fn new(name: &'static str, keys: &'static [&'static str]) -> Self {
        Self { name, keys, rows: Vec::new(), figures: Vec::new() }
    }

    fn push(&mut self, row: Vec<Option<String>>, figures: Figures) {
        self.rows.push(row);
        self.figures.push(figures);
    }

    fn finish(self, certificate: &Certificate) -> Result<Aggregate, AggregateError> {
        let subject = &certificate.subject;
        let head = [
            subject.provider.as_str().to_owned(),
            subject.billing_account.as_str().to_owned(),
            subject.period.to_string(),
            subject.invoice_id.as_str().to_owned(),
            subject.revision.to_string(),
            certificate.currency.clone(),
        ];
        Ok(Aggregate { name: self.name, csv: self.csv(&head)?, parquet: self.parquet(&head)? })
    }

    fn csv(&self, head: &[String; 6]) -> Result<Vec<u8>, AggregateError> {
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let figures = ["billed_cost", "effective_cost", "charges"];
        csv.write_record(HEAD.iter().chain(self.keys).chain(&figures))?;
        for (row, figures) in self.rows.iter().zip(&self.figures) {
            let texts =
                head.iter().map(String::as_str).chain(row.iter().map(|text| text.as_deref().unwrap_or("")));
            for text in texts {
                csv.write_field(neutralise(text).as_bytes())?;
            }
            csv.write_record([
                figures.billed.to_string(),
                figures.effective.to_string(),
                figures.charges.to_string(),
            ])?;
        }
        csv.into_inner().map_err(|error| csv::Error::from(error.into_error()).into())
    }

    fn parquet(&self, head: &[String; 6]) -> Result<Vec<u8>, AggregateError> {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let cost = |name: &str| Field::new(name, DataType::Decimal128(38, 18), false);
        let mut fields: Vec<Field> = HEAD.iter().map(|name| text(name, false)).collect();
        fields.extend(self.keys.iter().map(|name| text(name, true)));
        fields.extend([
            cost("billed_cost"),
            cost("effective_cost"),
            Field::new("charges", DataType::UInt64, false),
        ]);
        let rows = self.rows.len();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
        for value in head {
            columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows))));
        }
        for at in 0..self.keys.len() {
            columns.push(Arc::new(self.rows.iter().map(|row| row[at].as_deref()).collect::<StringArray>()));
        }
        for of in [(|figures| figures.billed) as fn(&Figures) -> Amount, |figures| figures.effective] {
            let units = self.figures.iter().map(|figures| of(figures).units(18));
            let costs = Decimal128Array::from_iter_values(units).with_precision_and_scale(38, 18)?;
            columns.push(Arc::new(costs));
        }
        columns.push(Arc::new(UInt64Array::from_iter_values(
            self.figures.iter().map(|figures| figures.charges),
        )));
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(crate::SOFTWARE.to_owned())
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
        writer.write(&RecordBatch::try_new(schema, columns)?)?;
        Ok(writer.into_inner()?)
    }
}
