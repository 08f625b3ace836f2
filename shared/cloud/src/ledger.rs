//! The ledger: one DynamoDB table that says what was processed. Keys `pk` and `sk`, all other attributes text
//! (amounts are exact decimal texts), so that a person can read it in the console.
//!
//! Every write that matters is conditional; [`Ledger::put`] says whether the condition held. Reads are consistent.

mod attempts;
mod bills;
mod fields;
mod files;
mod metering;
mod periods;
mod revisions;
mod runs;
mod seals;

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::aws::{Aws, explain};
use crate::bucket::Written;
use crate::publication::Contention;

pub use attempts::Attempt;
pub use bills::{Sending, SendingState, StoredChain};
pub use files::FileState;
pub use metering::{Cursor, MonthRecord, MonthState, Stored, UsageRecord};
pub use periods::PeriodRecord;
pub use revisions::{Place, RevisionRecord, RevisionState, Subject, Totals, rules_text};
pub use runs::{RunOutcome, RunRecord, RunShown};
pub use seals::{Seal, SealKey};

/// The state table, to read: holds nothing that could write.
#[derive(Clone, Debug)]
pub struct LedgerReader {
    client: Client,
    table: String,
}

/// The state table, to read and to write.
#[derive(Clone, Debug)]
pub struct Ledger {
    reader: LedgerReader,
}

/// What can write can read.
impl Deref for Ledger {
    type Target = LedgerReader;

    fn deref(&self) -> &LedgerReader {
        &self.reader
    }
}

/// A failed call or a record that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// DynamoDB refused or could not be reached.
    #[error("failed to {action} {pk} in table {table}: {reason}{advice}")]
    Call {
        /// What was tried.
        action: &'static str,
        /// Partition key of the record.
        pk: String,
        /// The table.
        table: String,
        /// What the service said.
        reason: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// A record that this software did not write like that.
    #[error(
        "the record {pk} / {sk} in the ledger is damaged: its {field}: {reason}; restore the ledger from a backup (on AWS by point-in-time \
         recovery; invented data alone may go: `monthend reset`)"
    )]
    Record {
        /// Partition key.
        pk: String,
        /// Sort key.
        sk: String,
        /// The attribute.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Others were quicker each time.
    #[error(transparent)]
    Contention(#[from] Contention),
}

/// One item: its keys and its attributes as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
    /// All other attributes.
    pub fields: BTreeMap<String, String>,
}

/// What must hold for a write.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'c> {
    /// Nothing: for records that nobody else writes.
    Always,
    /// There is none yet, or its text in `field` sorts before the new one's.
    Newer {
        /// The attribute compared.
        field: &'c str,
    },
    /// There is none yet, or its `field` is still what was seen.
    Unchanged {
        /// The attribute compared.
        field: &'c str,
        /// Its value when it was read; nothing if there was no record.
        seen: Option<&'c str>,
    },
    /// There is none yet, or one of its fields differs from the new one's.
    AnyDiffers {
        /// The attributes compared with the values given.
        fields: [(&'c str, &'c str); 2],
    },
    /// There is none yet, or its `until` is over, or its `owner` is this one.
    Free {
        /// Who wants it.
        owner: &'c str,
        /// The moment, as sortable text.
        now: &'c str,
    },
}

impl LedgerReader {
    /// The table of that name.
    #[must_use]
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { client: aws.dynamodb(), table: table.into() }
    }

    /// One record, or nothing.
    ///
    /// # Errors
    /// [`LedgerError::Call`].
    pub async fn get(&self, pk: &str, sk: &str) -> Result<Option<Record>, LedgerError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let request = request.key("pk", text(pk)).key("sk", text(sk));
        let response = request.send().await.map_err(|error| self.failed("read", pk, &error))?;
        Ok(response.item.map(Record::from_item))
    }

    /// All records of a partition whose sort key starts so, in the order of the sort key; pages are followed.
    /// An empty prefix means all.
    ///
    /// # Errors
    /// [`LedgerError::Call`].
    pub async fn query(&self, pk: &str, sk_prefix: &str) -> Result<Vec<Record>, LedgerError> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .expression_attribute_values(":pk", text(pk));
        let request = if sk_prefix.is_empty() {
            request.key_condition_expression("pk = :pk")
        } else {
            request
                .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                .expression_attribute_values(":sk", text(sk_prefix))
        };
        let mut pages = request.into_paginator().items().send();
        let mut records = Vec::new();
        while let Some(item) = pages.next().await {
            records.push(Record::from_item(item.map_err(|error| self.failed("query", pk, &error))?));
        }
        Ok(records)
    }

    fn failed<E, R>(&self, action: &'static str, pk: &str, error: &SdkError<E, R>) -> LedgerError
    where
        SdkError<E, R>: ProvideErrorMetadata + std::error::Error,
    {
        let advice = match error.code() {
            Some("AccessDeniedException") => "; the function's policy must allow it",
            Some("ResourceNotFoundException") => "; STATE_TABLE must name a table of this account and region",
            // how the embedded ledger says that it cannot read what it holds
            Some(_) if error.message().is_some_and(|message| message.contains("JSON in storage")) => DAMAGED,
            Some(_) => "",
            None => "; is the endpoint right and reachable?",
        };
        let (pk, table) = (pk.to_owned(), self.table.clone());
        LedgerError::Call { action, pk, table, reason: explain(error), advice }
    }
}

impl Ledger {
    /// The table of that name.
    #[must_use]
    pub fn new(aws: &Aws, table: impl Into<String>) -> Self {
        Self { reader: LedgerReader::new(aws, table) }
    }

    /// The same table, to read only.
    #[must_use]
    pub fn reader(&self) -> &LedgerReader {
        &self.reader
    }

    /// Writes a record if the condition holds.
    ///
    /// # Errors
    /// [`LedgerError::Call`]; a condition that does not hold is [`Written::Refused`], not an error.
    pub async fn put(&self, record: &Record, condition: Condition<'_>) -> Result<Written, LedgerError> {
        let mut request = self.client.put_item().table_name(&self.table).set_item(Some(record.to_item()));
        let new = |field: &str| text(record.fields.get(field).map(String::as_str).unwrap_or_default());
        match condition {
            Condition::Always => {}
            Condition::Newer { field } => {
                request = request
                    .expression_attribute_names("#f", field)
                    .condition_expression("attribute_not_exists(pk) OR #f < :new")
                    .expression_attribute_values(":new", new(field));
            }
            Condition::Unchanged { field, seen: Some(seen) } => {
                request = request
                    .expression_attribute_names("#f", field)
                    .condition_expression("#f = :seen")
                    .expression_attribute_values(":seen", text(seen));
            }
            Condition::Unchanged { seen: None, .. } => {
                request = request.condition_expression("attribute_not_exists(pk)");
            }
            Condition::AnyDiffers { fields: [(first, first_value), (second, second_value)] } => {
                request = request
                    .expression_attribute_names("#f", first)
                    .expression_attribute_names("#g", second)
                    .condition_expression("attribute_not_exists(pk) OR #f <> :f OR #g <> :g")
                    .expression_attribute_values(":f", text(first_value))
                    .expression_attribute_values(":g", text(second_value));
            }
            Condition::Free { owner, now } => {
                request = request
                    .expression_attribute_names("#until", "until")
                    .expression_attribute_names("#owner", "owner")
                    .condition_expression("attribute_not_exists(pk) OR #until < :now OR #owner = :owner")
                    .expression_attribute_values(":now", text(now))
                    .expression_attribute_values(":owner", text(owner));
            }
        }
        match request.send().await {
            Ok(_) => Ok(Written::Now),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                Ok(Written::Refused)
            }
            Err(error) => Err(self.failed("write", &record.pk, &error)),
        }
    }
}

/// The attribute by which DynamoDB removes records that are not about money.
const EXPIRES_AT: &str = "expires_at";

impl Record {
    fn from_item(mut item: HashMap<String, AttributeValue>) -> Self {
        let mut take = |name: &str| match item.remove(name) {
            Some(AttributeValue::S(text)) => text,
            _ => String::new(),
        };
        let (pk, sk) = (take("pk"), take("sk"));
        let fields = item.into_iter().filter_map(|(name, value)| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => Some((name, text)),
            _ => None,
        });
        Self { pk, sk, fields: fields.collect() }
    }

    fn to_item(&self) -> HashMap<String, AttributeValue> {
        let attribute = |(name, value): (&String, &String)| {
            let value = if name == EXPIRES_AT { AttributeValue::N(value.clone()) } else { text(value) };
            (name.clone(), value)
        };
        let keys = [("pk".to_owned(), text(&self.pk)), ("sk".to_owned(), text(&self.sk))];
        self.fields.iter().map(attribute).chain(keys).collect()
    }

    fn unusable(&self, field: &str, reason: &dyn std::fmt::Display) -> LedgerError {
        let (pk, sk, field) = (self.pk.clone(), self.sk.clone(), field.to_owned());
        LedgerError::Record { pk, sk, field, reason: reason.to_string() }
    }
}

/// What to do about a ledger that is damaged.
const DAMAGED: &str = "; a record of the ledger is damaged: restore dynamodb.sqlite from a backup (invented data alone may go: `monthend reset`)";

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
