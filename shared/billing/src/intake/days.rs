//! Which sub accounts have charges on which days, of charges that were written.

use std::fs::File;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array as _, StringArray};
use chrono::DateTime;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::charges::{AccountDays, FileReader};
use crate::identity::{Id, Rule};

/// The days of a file of charges; sub accounts as what their spellings have in common.
///
/// # Errors
/// Says what is wrong with the file.
pub fn charged_days(file: Arc<File>, rule: Rule) -> Result<AccountDays, String> {
    let text = |error: &dyn std::fmt::Display| format!("the file of charges cannot be read: {error}");
    let builder = ParquetRecordBatchReaderBuilder::try_new(FileReader::new(file)).map_err(|e| text(&e))?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), ["SubAccountId", "ChargePeriodStart"]);
    let mut days = AccountDays::new();
    for batch in builder.with_projection(columns).build().map_err(|e| text(&e))? {
        let batch = batch.map_err(|e| text(&e))?;
        let accounts = batch
            .column_by_name("SubAccountId")
            .and_then(|column| column.as_any().downcast_ref::<StringArray>());
        let starts = batch.column_by_name("ChargePeriodStart");
        let starts = starts.and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        let (Some(accounts), Some(starts)) = (accounts, starts) else {
            return Err(text(&"it has not the columns that this software writes"));
        };
        let mut last = None;
        for row in 0..batch.num_rows() {
            let account = accounts.is_valid(row).then(|| accounts.value(row));
            let Some(start) = DateTime::from_timestamp_millis(starts.value(row)) else { continue };
            let seen = (account, start.date_naive());
            if last != Some(seen) {
                days.insert((account.map(|account| rule.key(Id::SubAccount, account).into_owned()), seen.1));
                last = Some(seen);
            }
        }
    }
    Ok(days)
}
