//! Files of charges as bills read them: the columns that rules look at, batch after batch, whatever the size.

use std::fs::File;
use std::sync::Arc;

use arrow_array::{
    Array as _, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use super::adder::ChargeError;
use super::facts::{ChargePeriod, Facts, Tags};
use crate::charge::ChargeCategory;
use crate::charges::{FileReader, overlaid};
use crate::identity::Rule;
use crate::money::{Amount, Currency, MoneyError};

/// Rows of one batch: memory does not grow with the file.
const BATCH_ROWS: usize = 8_192;

const COSTS: [&str; 2] = ["BilledCost", "EffectiveCost"];
const TIMES: [&str; 2] = ["ChargePeriodStart", "ChargePeriodEnd"];
const TEXTS: [&str; 10] = [
    "BillingCurrency",
    "BillingAccountId",
    "SubAccountId",
    "SubAccountName",
    "ServiceName",
    "RegionId",
    "ResourceId",
    "ChargeCategory",
    "ChargeClass",
    "Tags",
];
/// Columns that older files do not have, or that say nothing in most.
const RARE: [&str; 4] = ["x_UnreadTags", "AllocatedTags", "AllocatedResourceId", COMMITMENT];
const COMMITMENT: &str = "CommitmentDiscountId";
const DETAILS: [&str; 5] = ["ChargeDescription", "ServiceCategory", "SkuId", "x_Document", "x_LineNumber"];

/// The metadata of a file that names the raw document its charges are from.
const RAW: &str = "monthend.raw";

/// Charges that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// It is no Parquet file, or it is damaged.
    #[error("the file of charges cannot be read: {0}")]
    Parquet(#[from] ParquetError),
    /// The same, half-way.
    #[error("the file of charges cannot be read: {0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// It was not written by this software.
    #[error("the file of charges does not say which document it is made from ({RAW})")]
    NoRaw,
    /// A column is missing, or of another type.
    #[error("the file of charges has no column {0} as this software writes it")]
    Column(&'static str),
    /// A cell that cannot be.
    #[error("row {row}: {column} is '{value}'")]
    Cell {
        /// From 1.
        row: u64,
        /// The FOCUS column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
    /// A charge that no rule can be asked about.
    #[error("row {row}: {error}")]
    Charge {
        /// From 1.
        row: u64,
        /// Why.
        error: ChargeError,
    },
}

/// One charge.
#[derive(Clone, Copy, Debug)]
pub struct ChargeRow<'r> {
    /// What rules look at.
    pub facts: Facts<'r>,
    /// Of the costs.
    pub currency: Currency,
    /// FOCUS `BilledCost`.
    pub billed: Amount,
    /// FOCUS `EffectiveCost`; nothing where the document does not say what it is.
    pub effective: Option<Amount>,
    /// What a person wants to know of it, if it was asked for.
    pub detail: Detail<'r>,
}

/// What a person wants to know of a charge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail<'r> {
    /// FOCUS `ChargeDescription`.
    pub description: Option<&'r str>,
    /// FOCUS `ServiceCategory`.
    pub service_category: Option<&'r str>,
    /// FOCUS `SkuId`.
    pub sku: Option<&'r str>,
    /// The name of the raw document that it stands in.
    pub document: Option<&'r str>,
    /// Its line or row there, from 1.
    pub line: Option<i64>,
}

/// What else is wanted of charges than what rules look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// See [`Detail`].
    pub details: bool,
    /// FOCUS `CommitmentDiscountId`.
    pub commitments: bool,
}

/// A file of charges.
pub struct ChargeRows {
    file: FileReader,
    raw: String,
}

impl ChargeRows {
    /// Opens a file.
    ///
    /// # Errors
    /// [`RowsError`] if it is none that this software wrote.
    pub fn open(file: Arc<File>) -> Result<Self, RowsError> {
        let file = FileReader::new(file);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone())?;
        let metadata = builder.metadata().file_metadata().key_value_metadata();
        let raw = metadata.into_iter().flatten().find(|entry| entry.key == RAW);
        let raw = raw.and_then(|entry| entry.value.clone()).ok_or(RowsError::NoRaw)?;
        Ok(Self { file, raw })
    }

    /// The key of the raw document that it is made from.
    #[must_use]
    pub fn raw_key(&self) -> &str {
        &self.raw
    }

    /// Hands on every charge of a provider, in the order of the file.
    ///
    /// # Errors
    /// [`RowsError`] names the row.
    pub fn each(
        &self,
        provider: &str,
        wanted: Wanted,
        mut take: impl FnMut(&ChargeRow<'_>) -> Result<(), ChargeError>,
    ) -> Result<(), RowsError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(self.file.clone())?;
        let rare = RARE.iter().filter(|name| wanted.commitments || **name != COMMITMENT);
        let rare = rare.filter(|name| says_something(builder.metadata(), name));
        let names = COSTS.iter().chain(&TIMES).chain(&TEXTS).chain(rare);
        let names = names.chain(DETAILS.iter().filter(|_| wanted.details)).copied();
        let columns = ProjectionMask::columns(builder.parquet_schema(), names);
        let reader = builder.with_projection(columns).with_batch_size(BATCH_ROWS).build()?;
        let mut first = 1;
        for batch in reader {
            let batch = batch?;
            Batch::new(&batch, first, provider, wanted.details)?.each(&mut take)?;
            first += batch.num_rows() as u64;
        }
        Ok(())
    }
}

/// The tags of parts of a shared resource: those of the resource, with the part's own over them. Neighbours mostly have the same.
#[derive(Default)]
struct Overlay {
    of: (Option<String>, String),
    together: Option<String>,
}

impl Overlay {
    /// Nothing if they cannot be read.
    fn of(&mut self, rule: Rule, tags: Option<&str>, allocated: &str) -> Option<&str> {
        if self.of.0.as_deref() != tags || self.of.1 != allocated {
            let pairs = overlaid(tags, Some(allocated), rule).ok();
            let pairs = pairs.map(|pairs| pairs.into_iter().map(|(key, value)| (key, value.into())));
            let object = pairs.map(|pairs| serde_json::Value::Object(pairs.collect()));
            self.together = object.map(|object| object.to_string());
            self.of = (tags.map(str::to_owned), allocated.to_owned());
        }
        self.together.as_deref()
    }
}

/// Whether some row has the column.
fn says_something(file: &ParquetMetaData, name: &str) -> bool {
    file.row_groups().iter().any(|group| {
        let mut columns = group.columns().iter();
        let column = columns.find(|column| column.column_path().string() == name);
        let rows = u64::try_from(group.num_rows()).ok();
        column.is_some_and(|column| column.statistics().and_then(Statistics::null_count_opt) != rows)
    })
}

struct Batch<'b> {
    first: u64,
    rows: usize,
    provider: &'b str,
    costs: [&'b Decimal128Array; 2],
    times: [&'b TimestampMillisecondArray; 2],
    texts: [&'b StringArray; TEXTS.len()],
    rare: [Option<&'b StringArray>; RARE.len()],
    details: Option<([&'b StringArray; 4], &'b Int64Array)>,
}

fn column<'b, A: 'static>(batch: &'b RecordBatch, name: &'static str) -> Result<&'b A, RowsError> {
    let column = batch.column_by_name(name);
    column.and_then(|column| column.as_any().downcast_ref()).ok_or(RowsError::Column(name))
}

impl<'b> Batch<'b> {
    fn new(batch: &'b RecordBatch, first: u64, provider: &'b str, details: bool) -> Result<Self, RowsError> {
        let [billed, effective] = COSTS.map(|name| column(batch, name));
        let [start, end] = TIMES.map(|name| column(batch, name));
        let [currency, payer, id, name, service, region, resource, category, class, tags] =
            TEXTS.map(|name| column(batch, name));
        let texts = [currency?, payer?, id?, name?, service?, region?, resource?, category?, class?, tags?];
        let [unread, allocated_tags, allocated, commitment] = RARE.map(|name| {
            let is_there = batch.schema_ref().index_of(name).is_ok();
            is_there.then(|| column(batch, name)).transpose()
        });
        let rare = [unread?, allocated_tags?, allocated?, commitment?];
        let [description, service_category, sku, document, line] = DETAILS;
        let details = match details {
            false => None,
            true => Some((
                [
                    column(batch, description)?,
                    column(batch, service_category)?,
                    column(batch, sku)?,
                    column(batch, document)?,
                ],
                column(batch, line)?,
            )),
        };
        let (rows, costs, times) = (batch.num_rows(), [billed?, effective?], [start?, end?]);
        Ok(Self { first, rows, provider, costs, times, texts, rare, details })
    }

    fn each(
        &self,
        take: &mut impl FnMut(&ChargeRow<'_>) -> Result<(), ChargeError>,
    ) -> Result<(), RowsError> {
        let mut known: Option<(&str, Currency)> = None;
        let (rule, mut overlay) = (Rule::named(self.provider), Overlay::default());
        for at in 0..self.rows {
            let row = self.first + at as u64;
            let [code, payer, id, name, service, region, resource, category, class, tags] =
                self.texts.map(|texts| texts.is_valid(at).then(|| texts.value(at)));
            let code = code.unwrap_or_default();
            let currency = match known {
                Some((text, currency)) if text == code => currency,
                _ => Currency::from_code(code).ok_or_else(|| cell(row, TEXTS[0], code))?,
            };
            known = Some((code, currency));
            let [unread_tags, allocated_tags, allocated_resource, commitment] = self.rare.map(|texts| {
                let text = texts.filter(|texts| texts.is_valid(at)).map(|texts| texts.value(at));
                text.filter(|text| !text.is_empty())
            });
            let tags = match (unread_tags, allocated_tags) {
                (Some(unread), _) => Tags::Unread(unread),
                (None, Some(allocated)) => {
                    overlay.of(rule, tags, allocated).map_or(Tags::Unread(allocated), Tags::Json)
                }
                (None, None) => tags.map_or(Tags::None, Tags::Json),
            };
            let word = category.unwrap_or_default();
            let facts = Facts {
                provider: self.provider,
                billing_account: payer.unwrap_or_default(),
                sub_account_id: id,
                sub_account_name: name,
                service: service.unwrap_or_default(),
                region,
                resource,
                allocated_resource,
                tags,
                category: ChargeCategory::parse(word).ok_or_else(|| cell(row, TEXTS[7], word))?,
                is_correction: class == Some("Correction"),
                commitment,
                period: Some(ChargePeriod { start: self.times[0].value(at), end: self.times[1].value(at) }),
            };
            let overflow = || RowsError::Charge { row, error: MoneyError::Overflow.into() };
            let [billed, effective] = self.costs.map(|costs| {
                let units = costs.is_valid(at).then(|| costs.value(at));
                units.map(|units| Amount::scaled(units, 18).ok_or_else(overflow)).transpose()
            });
            let charge = ChargeRow {
                facts,
                currency,
                billed: billed?.unwrap_or_default(),
                effective: effective?,
                detail: self.detail(at),
            };
            take(&charge).map_err(|error| RowsError::Charge { row, error })?;
        }
        Ok(())
    }

    fn detail(&self, at: usize) -> Detail<'b> {
        let Some((texts, lines)) = self.details else { return Detail::default() };
        let [description, service_category, sku, document] =
            texts.map(|texts| texts.is_valid(at).then(|| texts.value(at)));
        let line = lines.is_valid(at).then(|| lines.value(at));
        Detail { description, service_category, sku, document, line }
    }
}

fn cell(row: u64, column: &'static str, value: &str) -> RowsError {
    RowsError::Cell { row, column, value: value.chars().take(60).collect() }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;

    use super::*;
    use crate::bills::tests::{decimal, focus_charge};
    use crate::charge::{Charge, ChargesFile};

    fn file(charges: &[Charge<'_>], metadata: &[(&str, &str)]) -> Arc<File> {
        let mut out = ChargesFile::create(metadata).unwrap();
        charges.iter().for_each(|charge| out.push(charge).unwrap());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&out.finish().unwrap()).unwrap();
        file.rewind().unwrap();
        Arc::new(file)
    }

    #[test]
    fn charges_come_back_as_they_were_written() {
        let mut second = focus_charge("two", "-0.000000000000000001");
        (second.tags, second.x_line_number) = (None, None);
        let charges = [focus_charge("one", "12345678901.25"), second];
        let rows = ChargeRows::open(file(&charges, &[(RAW, "raw/aws/1/2026-10/x/y.json")])).unwrap();
        assert_eq!(rows.raw_key(), "raw/aws/1/2026-10/x/y.json");
        let mut seen = Vec::new();
        rows.each("aws", Wanted { details: true, commitments: true }, |row| {
            let tags = matches!(row.facts.tags, Tags::Json(_));
            let account = row.facts.sub_account_id.unwrap_or_default().to_owned();
            seen.push((account, row.billed.to_decimal(18)?.normalize(), tags, row.detail.line));
            Ok(())
        })
        .unwrap();
        let expected = [
            ("one".to_owned(), decimal("12345678901.25"), true, Some(7)),
            ("two".to_owned(), decimal("-0.000000000000000001"), false, None),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_part_of_a_shared_resource_has_its_own_tags_over_those_of_the_resource() {
        let of = |allocated: Option<&'static str>, tags: Option<&'static str>| {
            let mut charge = focus_charge("one", "1");
            charge.tags = tags.map(Into::into);
            charge.further.allocated_tags = allocated.map(Into::into);
            charge.further.allocated_resource_id = allocated.map(|_| "pod-a".into());
            charge.commitment_discount_id = Some("sp/1".into());
            charge
        };
        let charges = [
            of(Some(r#"{"team": "blue"}"#), Some(r#"{"team": "all", "env": "prod"}"#)),
            of(Some(r#"{"team": "red"}"#), None),
            of(None, Some(r#"{"team": "all"}"#)),
            of(Some("{"), None),
        ];
        let rows = ChargeRows::open(file(&charges, &[(RAW, "raw/aws/1/2026-10/x/y.json")])).unwrap();
        let told = |wanted: Wanted| {
            let mut told = Vec::new();
            rows.each("aws", wanted, |row| {
                let tags = match row.facts.tags {
                    Tags::Json(json) => json.to_owned(),
                    Tags::Unread(text) => format!("unread {text}"),
                    Tags::None | Tags::Pairs(_) => String::new(),
                };
                let [resource, commitment] = [row.facts.allocated_resource, row.facts.commitment];
                told.push(format!(
                    "{tags} {} {}",
                    resource.unwrap_or_default(),
                    commitment.unwrap_or_default()
                ));
                Ok(())
            })
            .unwrap();
            told
        };
        let expected = [
            r#"{"env":"prod","team":"blue"} pod-a "#,
            r#"{"team":"red"} pod-a "#,
            r#"{"team": "all"}  "#,
            "unread { pod-a ",
        ];
        assert_eq!(told(Wanted::default()), expected);
        let with_commitments = Wanted { commitments: true, ..Wanted::default() };
        assert_eq!(told(with_commitments), expected.map(|row| format!("{row}sp/1")));
    }

    /// The same file as older versions of this software wrote it.
    fn without_unread_tags(file: Arc<File>) -> Arc<File> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(FileReader::new(file)).unwrap();
        let mut batch = builder.build().unwrap().next().unwrap().unwrap();
        let at = batch.schema().index_of(RARE[0]).unwrap();
        batch.remove_column(at);
        let raw = KeyValue::new(RAW.to_owned(), "raw/aws/1/2026-10/x/y.json".to_owned());
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![raw])).build();
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file.rewind().unwrap();
        Arc::new(file)
    }

    #[test]
    fn tags_that_cannot_be_read_are_told_from_none() {
        let tags = |file: Arc<File>| {
            let rows = ChargeRows::open(file).unwrap();
            let mut seen = Vec::new();
            rows.each("aws", Wanted::default(), |row| {
                seen.push(format!("{:?}", row.facts.tags));
                Ok(())
            })
            .unwrap();
            seen
        };
        let unread = Charge { tags: None, unread_tags: Some("team:blue".into()), ..focus_charge("two", "2") };
        let charges = [focus_charge("one", "1"), unread];
        let json = r#"Json("{\"team\": \"blue\"}")"#;
        assert_eq!(
            tags(file(&charges, &[(RAW, "raw/aws/1/2026-10/x/y.json")])),
            [json, "Unread(\"team:blue\")"]
        );
        assert_eq!(
            tags(without_unread_tags(file(&charges, &[(RAW, "raw/aws/1/2026-10/x/y.json")]))),
            [json, "None"]
        );
    }

    #[test]
    fn other_files_are_refused() {
        let error = ChargeRows::open(file(&[], &[])).err().unwrap();
        assert!(matches!(error, RowsError::NoRaw), "{error}");
        let mut text = tempfile::tempfile().unwrap();
        text.write_all(b"BilledCost\n1\n").unwrap();
        assert!(matches!(ChargeRows::open(Arc::new(text)).err().unwrap(), RowsError::Parquet(_)));
    }
}
