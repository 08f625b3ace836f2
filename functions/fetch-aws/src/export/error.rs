//! What is wrong with a delivery.

use cloud::bucket::BucketError;

/// Why a month of an export cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DeliveryError {
    #[error(
        "there is no export under {place}: check AWS_EXPORT_BUCKET and AWS_EXPORT_PREFIX, or wait for its first delivery"
    )]
    NoExport { place: String },
    #[error(
        "there is no export {name} under {place}: check AWS_EXPORT_NAME and AWS_EXPORT_PREFIX, or wait for its first delivery"
    )]
    NoSuchExport { place: String, name: String },
    #[error(
        "there are several exports under {place} ({names}), and each is the whole bill: name the one that counts in AWS_EXPORT_NAME"
    )]
    Several { place: String, names: String },
    #[error(
        "the month stands in two folders, {first} and {second}: remove the one that AWS no longer writes"
    )]
    TwoPartitions { first: String, second: String },
    #[error(
        "{execution} is there, and {key} is not: the delivery has not ended; it is looked for again by the next run"
    )]
    Unfinished { key: String, execution: String },
    #[error("{key} is no manifest of an export: {reason}")]
    Malformed { key: String, reason: String },
    #[error(
        "the columns in {key} are neither those of CUR 2.0 (line_item_unblended_cost) nor of FOCUS (BilledCost): name an export \
         of costs in AWS_EXPORT_NAME, with these columns"
    )]
    NotCosts { key: String },
    #[error("{key} is of {found}, not of {expected}")]
    OtherMonth { key: String, found: String, expected: String },
    #[error(
        "{key} describes a legacy report in {found}, which is not read: have it delivered as CSV, or set up an export of CUR 2.0"
    )]
    LegacyFormat { key: String, found: String },
    #[error("{manifest} names {file}, which {why}")]
    File { manifest: String, file: String, why: &'static str },
    #[error(transparent)]
    Bucket(#[from] BucketError),
}
