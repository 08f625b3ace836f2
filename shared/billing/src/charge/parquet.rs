//! FOCUS rows as a Parquet file, for Athena, DuckDB and Spark.
//!
//! Costs are `DECIMAL(38, 18)`, times are UTC milliseconds. The same rows give the same bytes. Memory is
//! bounded by one row group, whatever the number of rows.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use rust_decimal::Decimal;

use super::Charge;

const ROWS_PER_GROUP: usize = 16_384;
const ROWS_AT_ONCE: usize = 1_024;
const DECIMAL_SCALE: u32 = 18;

/// Why charges could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ChargesFileError {
    /// `DECIMAL(38, 18)` cannot hold the amount exactly.
    #[error("{column} {value} has more than 18 decimals or 20 digits before them")]
    DecimalRange {
        /// The FOCUS column.
        column: &'static str,
        /// The amount.
        value: Decimal,
    },
    /// The Parquet library refused.
    #[error("the Parquet file cannot be written: {0}")]
    Parquet(#[from] ParquetError),
}

enum Cell<'c> {
    Text(Option<&'c str>),
    Decimal(Option<Decimal>),
    Time(DateTime<Utc>),
    Integer(Option<i64>),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Decimal,
    Time,
    Integer,
}

struct Column {
    name: &'static str,
    kind: Kind,
    required: bool,
    cell: for<'c> fn(&'c Charge<'_>) -> Cell<'c>,
}

macro_rules! columns {
    ($($name:literal $kind:ident $required:ident |$charge:ident| $value:expr;)*) => {
        const COLUMNS: &[Column] = &[$(Column {
            name: $name,
            kind: Kind::$kind,
            required: columns!(@ $required),
            cell: |$charge| Cell::$kind($value),
        }),*];
        /// The columns in the order of the file.
        pub const COLUMN_NAMES: &[&str] = &[$($name),*];
    };
    (@ required) => { true };
    (@ nullable) => { false };
}

columns! {
    "BilledCost" Decimal required |c| Some(c.billed_cost);
    "EffectiveCost" Decimal nullable |c| c.effective_cost;
    "ListCost" Decimal required |c| Some(c.list_cost);
    "ContractedCost" Decimal required |c| Some(c.contracted_cost);
    "BillingCurrency" Text required |c| Some(c.billing_currency.code());
    "BillingAccountId" Text required |c| Some(&c.billing_account_id);
    "BillingAccountName" Text nullable |c| c.billing_account_name.as_deref();
    "BillingPeriodStart" Time required |c| c.billing_period.start;
    "BillingPeriodEnd" Time required |c| c.billing_period.end;
    "ChargePeriodStart" Time required |c| c.charge_period.start;
    "ChargePeriodEnd" Time required |c| c.charge_period.end;
    "ChargeCategory" Text required |c| Some(c.charge_category.as_str());
    "ChargeClass" Text nullable |c| c.correction.then_some("Correction");
    "ChargeDescription" Text nullable |c| c.charge_description.as_deref();
    "ChargeFrequency" Text required |c| Some(c.charge_frequency.as_str());
    "InvoiceId" Text nullable |c| c.invoice_id.as_deref();
    "InvoiceIssuerName" Text required |c| Some(&c.invoice_issuer_name);
    "ProviderName" Text required |c| Some(&c.provider_name);
    "PublisherName" Text required |c| Some(&c.publisher_name);
    "ServiceCategory" Text required |c| Some(c.service_category);
    "ServiceName" Text required |c| Some(&c.service_name);
    "SkuId" Text nullable |c| c.sku_id.as_deref();
    "SkuPriceId" Text nullable |c| c.sku_price_id.as_deref();
    "ResourceId" Text nullable |c| c.resource_id.as_deref();
    "ResourceName" Text nullable |c| c.resource_name.as_deref();
    "ResourceType" Text nullable |c| c.resource_type.as_deref();
    "RegionId" Text nullable |c| c.region_id.as_deref();
    "RegionName" Text nullable |c| c.region_name.as_deref();
    "AvailabilityZone" Text nullable |c| c.availability_zone.as_deref();
    "SubAccountId" Text nullable |c| c.sub_account_id.as_deref();
    "SubAccountName" Text nullable |c| c.sub_account_name.as_deref();
    "ConsumedQuantity" Decimal nullable |c| c.consumed_quantity;
    "ConsumedUnit" Text nullable |c| c.consumed_unit.as_deref();
    "PricingQuantity" Decimal nullable |c| c.pricing_quantity;
    "PricingUnit" Text nullable |c| c.pricing_unit.as_deref();
    "ContractedUnitPrice" Decimal nullable |c| c.contracted_unit_price;
    "ListUnitPrice" Decimal nullable |c| c.list_unit_price;
    "PricingCategory" Text nullable |c| c.pricing_category.as_deref();
    "CommitmentDiscountId" Text nullable |c| c.commitment_discount_id.as_deref();
    "CommitmentDiscountName" Text nullable |c| c.commitment_discount_name.as_deref();
    "CommitmentDiscountCategory" Text nullable |c| c.commitment_discount_category.as_deref();
    "CommitmentDiscountType" Text nullable |c| c.commitment_discount_type.as_deref();
    "CommitmentDiscountStatus" Text nullable |c| c.commitment_discount_status.as_deref();
    "Tags" Text nullable |c| c.tags.as_deref();
    "SkuMeter" Text nullable |c| c.further.sku_meter.as_deref();
    "SkuPriceDetails" Text nullable |c| c.further.sku_price_details.as_deref();
    "PricingCurrency" Text nullable |c| c.further.pricing_currency.as_deref();
    "PricingCurrencyContractedUnitPrice" Decimal nullable |c| c.further.pricing_currency_contracted_unit_price;
    "PricingCurrencyEffectiveCost" Decimal nullable |c| c.further.pricing_currency_effective_cost;
    "PricingCurrencyListUnitPrice" Decimal nullable |c| c.further.pricing_currency_list_unit_price;
    "CommitmentDiscountQuantity" Decimal nullable |c| c.further.commitment_discount_quantity;
    "CommitmentDiscountUnit" Text nullable |c| c.further.commitment_discount_unit.as_deref();
    "CapacityReservationId" Text nullable |c| c.further.capacity_reservation_id.as_deref();
    "CapacityReservationStatus" Text nullable |c| c.further.capacity_reservation_status.as_deref();
    "ServiceSubcategory" Text nullable |c| c.further.service_subcategory.as_deref();
    "SubAccountType" Text nullable |c| c.further.sub_account_type.as_deref();
    "BillingAccountType" Text nullable |c| c.further.billing_account_type.as_deref();
    "HostProviderName" Text nullable |c| c.further.host_provider_name.as_deref();
    "ServiceProviderName" Text nullable |c| c.further.service_provider_name.as_deref();
    "ContractApplied" Text nullable |c| c.further.contract_applied.as_deref();
    "CommitmentProgramEligibilityDetails" Text nullable |c| c.further.commitment_program_eligibility_details.as_deref();
    "InvoiceDetailId" Text nullable |c| c.further.invoice_detail_id.as_deref();
    "AllocatedMethodId" Text nullable |c| c.further.allocated_method_id.as_deref();
    "AllocatedMethodDetails" Text nullable |c| c.further.allocated_method_details.as_deref();
    "AllocatedResourceId" Text nullable |c| c.further.allocated_resource_id.as_deref();
    "AllocatedResourceName" Text nullable |c| c.further.allocated_resource_name.as_deref();
    "AllocatedTags" Text nullable |c| c.further.allocated_tags.as_deref();
    "x_DiscountCents" Decimal nullable |c| c.x_discount_cents;
    "x_Document" Text nullable |c| c.x_document.as_deref();
    "x_LineNumber" Integer nullable |c| c.x_line_number.and_then(|n| i64::try_from(n).ok());
    "x_UnreadTags" Text nullable |c| c.unread_tags.as_deref();
}

/// Values of one column of the row group being filled.
enum Buffer {
    /// Texts that differ from the one before, and for each value which of them it is.
    Text {
        runs: Vec<ByteArray>,
        values: Vec<u32>,
    },
    /// Units of `10^-18`.
    Decimal(Vec<i128>),
    Integer(Vec<i64>),
}

struct ColumnBuffer {
    values: Buffer,
    /// 1 where the row has a value; unused for required columns.
    levels: Vec<i16>,
}

/// A Parquet file of charges being written, into memory if nothing else is given.
pub struct ChargesFile<W: Write + Send = Vec<u8>> {
    writer: SerializedFileWriter<W>,
    buffers: Vec<ColumnBuffer>,
    rows: usize,
}

impl ChargesFile {
    /// An empty file in memory. `metadata` (key, value) stands in the file's footer: which revision the rows are of,
    /// so that files of different revisions always differ.
    ///
    /// # Errors
    /// [`ChargesFileError::Parquet`].
    pub fn create(metadata: &[(&str, &str)]) -> Result<Self, ChargesFileError> {
        Self::create_in(Vec::new(), metadata)
    }
}

impl<W: Write + Send> ChargesFile<W> {
    /// The same, into a writer.
    ///
    /// # Errors
    /// [`ChargesFileError::Parquet`].
    pub fn create_in(into: W, metadata: &[(&str, &str)]) -> Result<Self, ChargesFileError> {
        let entries =
            metadata.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), (*value).to_owned()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(crate::SOFTWARE.to_owned())
            .set_key_value_metadata(Some(entries.collect()))
            .build();
        let writer = SerializedFileWriter::new(into, schema()?, Arc::new(properties))?;
        Ok(Self { writer, buffers: COLUMNS.iter().map(ColumnBuffer::new).collect(), rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`ChargesFileError`] if an amount does not fit or a full row group cannot be written.
    pub fn push(&mut self, charge: &Charge<'_>) -> Result<(), ChargesFileError> {
        for (column, buffer) in COLUMNS.iter().zip(&mut self.buffers) {
            buffer.push(column, (column.cell)(charge))?;
        }
        self.rows += 1;
        if self.rows == ROWS_PER_GROUP { self.write_group() } else { Ok(()) }
    }

    /// Writes the rows that wait, so that they take no memory.
    ///
    /// # Errors
    /// [`ChargesFileError::Parquet`].
    pub fn write_waiting(&mut self) -> Result<(), ChargesFileError> {
        if self.rows > 0 { self.write_group() } else { Ok(()) }
    }

    /// What it was written into, with the whole file in it.
    ///
    /// # Errors
    /// [`ChargesFileError::Parquet`].
    pub fn finish(mut self) -> Result<W, ChargesFileError> {
        self.write_waiting()?;
        Ok(self.writer.into_inner()?)
    }

    fn write_group(&mut self) -> Result<(), ChargesFileError> {
        let mut group = self.writer.next_row_group()?;
        for (column, buffer) in COLUMNS.iter().zip(&mut self.buffers) {
            let Some(mut writer) = group.next_column()? else { break };
            let mut written = 0;
            for first in (0..self.rows).step_by(ROWS_AT_ONCE) {
                let rows = first..self.rows.min(first + ROWS_AT_ONCE);
                let levels = (!column.required).then(|| &buffer.levels[rows.clone()]);
                let present =
                    levels.map_or(rows.len(), |levels| levels.iter().filter(|level| **level == 1).count());
                let range = written..written + present;
                written += present;
                match &buffer.values {
                    Buffer::Text { runs, values } => {
                        let values = values[range].iter().map(|run| runs[*run as usize].clone());
                        let values: Vec<ByteArray> = values.collect();
                        writer.typed::<ByteArrayType>().write_batch(&values, levels, None)?
                    }
                    Buffer::Decimal(values) => {
                        let bytes: Vec<u8> =
                            values[range].iter().flat_map(|units| units.to_be_bytes()).collect();
                        let bytes = Bytes::from(bytes);
                        let values: Vec<FixedLenByteArray> = (0..present)
                            .map(|value| ByteArray::from(bytes.slice(value * 16..value * 16 + 16)).into())
                            .collect();
                        writer.typed::<FixedLenByteArrayType>().write_batch(&values, levels, None)?
                    }
                    Buffer::Integer(values) => {
                        writer.typed::<Int64Type>().write_batch(&values[range], levels, None)?
                    }
                };
            }
            writer.close()?;
            buffer.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl ColumnBuffer {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Text => Buffer::Text { runs: Vec::new(), values: Vec::new() },
            Kind::Decimal => Buffer::Decimal(Vec::new()),
            Kind::Time | Kind::Integer => Buffer::Integer(Vec::new()),
        };
        Self { values, levels: Vec::new() }
    }

    fn push(&mut self, column: &Column, cell: Cell<'_>) -> Result<(), ChargesFileError> {
        let present = match (&mut self.values, cell) {
            (Buffer::Text { runs, values }, Cell::Text(Some(text))) => {
                // neighbours are mostly alike: share the bytes instead of copying them
                if runs.last().is_none_or(|last| last.data() != text.as_bytes()) {
                    runs.push(ByteArray::from(text.as_bytes().to_vec()));
                }
                values.push(u32::try_from(runs.len() - 1).unwrap_or_default());
                true
            }
            (Buffer::Decimal(values), Cell::Decimal(Some(value))) => {
                let out_of_range = || ChargesFileError::DecimalRange { column: column.name, value };
                values.push(units(value).ok_or_else(out_of_range)?);
                true
            }
            (Buffer::Integer(values), Cell::Time(time)) => {
                values.push(time.timestamp_millis());
                true
            }
            (Buffer::Integer(values), Cell::Integer(Some(value))) => {
                values.push(value);
                true
            }
            _ => false,
        };
        if !column.required {
            self.levels.push(i16::from(present));
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.levels.clear();
        match &mut self.values {
            Buffer::Text { runs, values } => {
                runs.clear();
                values.clear();
            }
            Buffer::Decimal(values) => values.clear(),
            Buffer::Integer(values) => values.clear(),
        }
    }
}

/// Units of `10^-18`; nothing if it would not be exact.
fn units(value: Decimal) -> Option<i128> {
    let value = value.normalize();
    let shift = 10i128.checked_pow(DECIMAL_SCALE.checked_sub(value.scale())?)?;
    let units = value.mantissa().checked_mul(shift)?;
    (units.unsigned_abs() < 10u128.pow(38)).then_some(units)
}

fn schema() -> Result<Arc<Type>, ParquetError> {
    let fields = COLUMNS.iter().map(|column| {
        let repetition = if column.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let (physical, logical) = match column.kind {
            Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Decimal => (
                PhysicalType::FIXED_LEN_BYTE_ARRAY,
                Some(LogicalType::decimal(DECIMAL_SCALE.cast_signed(), 38)),
            ),
            Kind::Time => (PhysicalType::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
            Kind::Integer => (PhysicalType::INT64, None),
        };
        let mut builder = Type::primitive_type_builder(column.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical);
        if column.kind == Kind::Decimal {
            builder = builder.with_length(16).with_precision(38).with_scale(DECIMAL_SCALE.cast_signed());
        }
        builder.build().map(Arc::new)
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("focus").with_fields(fields).build().map(Arc::new)
}
