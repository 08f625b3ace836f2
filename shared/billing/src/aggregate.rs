//! Sums of charges as tables, in CSV and in Parquet.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::charges::Figures;
use crate::money::{Amount, MoneyError};
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

/// Checks that rows come to all charges.
///
/// # Errors
/// [`AggregateError::Lost`].
pub(crate) fn check(table: &str, rows: &[Figures], all: &Figures) -> Result<(), AggregateError> {
    let sum =
        |at: usize| rows.iter().try_fold(Amount::ZERO, |sum, figures| sum.checked_add(figures.costs()[at]));
    for at in [0, 1] {
        let (found, expected) = (sum(at)?, all.costs()[at]);
        if !found.checked_add(-expected)?.is_zero() {
            return Err(AggregateError::Lost { table: table.to_owned(), found, expected });
        }
    }
    Ok(())
}

/// A table of figures, with its keys.
pub(crate) struct Table {
    name: &'static str,
    keys: &'static [&'static str],
    rows: Vec<Vec<Option<String>>>,
    figures: Vec<Figures>,
}

impl Table {
    pub(crate) fn new(name: &'static str, keys: &'static [&'static str]) -> Self {
        Self { name, keys, rows: Vec::new(), figures: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<Option<String>>, figures: Figures) {
        self.rows.push(row);
        self.figures.push(figures);
    }

    pub(crate) fn figures(&self) -> &[Figures] {
        &self.figures
    }

    /// The table; every row begins with the columns of `head`.
    pub(crate) fn finish(self, head: &[(&str, String)]) -> Result<Aggregate, AggregateError> {
        Ok(Aggregate { name: self.name, csv: self.csv(head)?, parquet: self.parquet(head)? })
    }

    fn csv(&self, head: &[(&str, String)]) -> Result<Vec<u8>, AggregateError> {
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let figures = ["billed_cost", "effective_cost", "charges"];
        csv.write_record(head.iter().map(|(name, _)| name).chain(self.keys).chain(&figures))?;
        for (row, figures) in self.rows.iter().zip(&self.figures) {
            let texts = head
                .iter()
                .map(|(_, text)| text.as_str())
                .chain(row.iter().map(|text| text.as_deref().unwrap_or("")));
            for text in texts {
                csv.write_field(neutralise(text).as_bytes())?;
            }
            csv.write_record([
                figures.billed.to_string(),
                figures.effective().map(|cost| cost.to_string()).unwrap_or_default(),
                figures.charges.to_string(),
            ])?;
        }
        csv.into_inner().map_err(|error| csv::Error::from(error.into_error()).into())
    }

    fn parquet(&self, head: &[(&str, String)]) -> Result<Vec<u8>, AggregateError> {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let is_stated = self.figures.iter().all(|figures| figures.effective().is_some());
        let cost = |name: &str, nullable| Field::new(name, DataType::Decimal128(38, 18), nullable);
        let mut fields: Vec<Field> = head.iter().map(|(name, _)| text(name, false)).collect();
        fields.extend(self.keys.iter().map(|name| text(name, true)));
        fields.extend([
            cost("billed_cost", false),
            cost("effective_cost", !is_stated),
            Field::new("charges", DataType::UInt64, false),
        ]);
        let rows = self.rows.len();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
        for (_, value) in head {
            columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows))));
        }
        for at in 0..self.keys.len() {
            columns.push(Arc::new(self.rows.iter().map(|row| row[at].as_deref()).collect::<StringArray>()));
        }
        for of in [(|figures| Some(figures.billed)) as fn(&Figures) -> Option<Amount>, Figures::effective] {
            let units = self.figures.iter().map(|figures| Some(of(figures)?.units(18)));
            let costs = units.collect::<Decimal128Array>().with_precision_and_scale(38, 18)?;
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
