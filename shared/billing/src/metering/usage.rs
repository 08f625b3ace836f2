//! From the files of an export to exact sums by contract and dimension.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::snapshot::{ContractUsage, Unattributed, UsageSnapshot};
use super::{Plan, Source};
use crate::ids::{ContractId, Dimension, InvalidId};
use crate::money::{Exact, MoneyError, parse_decimal};
use crate::month::BillingMonth;
use crate::strict;

/// A file that cannot be counted: its month is not either.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum UsageError {
    #[error("{key}: it is no JSON array of usage records: {source}")]
    Json { key: String, source: serde_json::Error },
    #[error("{key}: record {index}: {field} {why}")]
    Record { key: String, index: usize, field: &'static str, why: String },
    #[error("{key}: {source}")]
    Sum { key: String, source: MoneyError },
}

/// A record of the export as far as it counts; the other members are kept out.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default, rename = "externalPayerId")]
    contract: Option<&'a RawValue>,
    #[serde(borrow, default)]
    dimension: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

#[derive(Default)]
struct Sum {
    quantity: Exact,
    records: u64,
}

struct Lost {
    sum: Sum,
    first_key: String,
}

/// The sums of one month of one plan, file by file in any order.
pub struct UsageTotals {
    plan: Plan,
    month: BillingMonth,
    prefix: String,
    sums: BTreeMap<String, BTreeMap<String, Sum>>,
    unattributed: BTreeMap<(Option<String>, Option<String>), Lost>,
    files: u64,
    records: u64,
    outside_period: u64,
}

/// A digest over the key and the ETag of every file, in the order of their keys: equal for equal months.
#[derive(Clone, Default)]
pub struct FileDigest(Sha256);

impl FileDigest {
    /// Adds a file.
    pub fn add(&mut self, key: &str, etag: &str) {
        // neither a key nor an ETag holds a line feed, so that two lists never look the same
        self.0.update(format!("{key}\n{}\n", etag.trim_matches('"')));
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl UsageTotals {
    /// Nothing yet.
    #[must_use]
    pub fn new(plan: Plan, month: BillingMonth) -> Self {
        Self {
            plan,
            month,
            prefix: month.to_string(),
            sums: BTreeMap::new(),
            unattributed: BTreeMap::new(),
            files: 0,
            records: 0,
            outside_period: 0,
        }
    }

    /// Counts one file: a JSON array of records.
    ///
    /// # Errors
    /// [`UsageError`] names the file and the record; the month must then be given up.
    pub fn add_file(&mut self, key: &str, bytes: &[u8]) -> Result<(), UsageError> {
        let records: Vec<Wire<'_>> =
            strict::from_slice(bytes).map_err(|source| UsageError::Json { key: key.to_owned(), source })?;
        for (index, record) in (1..).zip(&records) {
            let wrong = |field, why: String| UsageError::Record { key: key.to_owned(), index, field, why };
            let contract = name(record.contract).map_err(|why| wrong("externalPayerId", why))?;
            let dimension = name(record.dimension).map_err(|why| wrong("dimension", why))?;
            let value = value(record.value).map_err(|why| wrong("value", why))?;
            let timestamp = text(record.timestamp).unwrap_or_default();
            self.outside_period += u64::from(!timestamp.is_some_and(|time| time.starts_with(&self.prefix)));
            let added = match (contract, dimension) {
                (Some(contract), Some(dimension)) => self.attribute(&contract, &dimension, value),
                (contract, dimension) => self.set_aside(contract, dimension, value, key),
            };
            added.map_err(|source| UsageError::Sum { key: key.to_owned(), source })?;
        }
        self.files += 1;
        Ok(())
    }

    fn attribute(&mut self, contract: &str, dimension: &str, value: Exact) -> Result<(), MoneyError> {
        // looked up by reference first: nearly every record is of a pair that is known
        if !self.sums.contains_key(contract) {
            self.sums.insert(contract.to_owned(), BTreeMap::new());
        }
        let Some(dimensions) = self.sums.get_mut(contract) else { return Ok(()) }; // inserted above
        match dimensions.get_mut(dimension) {
            Some(sum) => sum.add(value)?,
            None => {
                dimensions.insert(dimension.to_owned(), Sum { quantity: value, records: 1 });
            }
        }
        self.records += 1;
        Ok(())
    }

    fn set_aside(
        &mut self,
        contract: Option<Cow<'_, str>>,
        dimension: Option<Cow<'_, str>>,
        value: Exact,
        key: &str,
    ) -> Result<(), MoneyError> {
        let of = (contract.map(Cow::into_owned), dimension.map(Cow::into_owned));
        self.records += 1;
        let lost = self
            .unattributed
            .entry(of)
            .or_insert_with(|| Lost { sum: Sum::default(), first_key: key.to_owned() });
        if *key < *lost.first_key {
            key.clone_into(&mut lost.first_key);
        }
        lost.sum.add(value)
    }

    /// How many files were counted.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files
    }

    /// The snapshot of all files counted, whose digest this is.
    ///
    /// # Errors
    /// [`InvalidId`] if a contract or a dimension has a name that none can have.
    pub fn finish(self, digest: FileDigest) -> Result<UsageSnapshot, InvalidId> {
        let mut usage = Vec::new();
        for (contract, dimensions) in self.sums {
            let contract = ContractId::new(contract)?;
            for (dimension, sum) in dimensions {
                let dimension = Dimension::new(dimension)?;
                let (quantity, records) = (sum.quantity, sum.records);
                usage.push(ContractUsage { contract: contract.clone(), dimension, quantity, records });
            }
        }
        let lost = self.unattributed.into_iter().map(|((contract, dimension), lost)| Unattributed {
            contract,
            dimension,
            quantity: lost.sum.quantity,
            records: lost.sum.records,
            first_key: lost.first_key,
        });
        Ok(UsageSnapshot {
            snapshot: UsageSnapshot::VERSION,
            source: Source::Omnistrate,
            plan: self.plan,
            period: self.month,
            files: self.files,
            records: self.records,
            outside_period: self.outside_period,
            digest: digest.finish(),
            usage,
            unattributed: lost.collect(),
        })
    }
}

impl Sum {
    fn add(&mut self, value: Exact) -> Result<(), MoneyError> {
        self.quantity = self.quantity.plus(value)?;
        self.records += 1;
        Ok(())
    }
}

/// A text member that can be the name of something.
fn name(raw: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, String> {
    let name = text(raw)?;
    match &name {
        Some(name) if name.len() > 200 || name.chars().any(char::is_control) => {
            Err("must have at most 200 bytes and no control characters".into())
        }
        _ => Ok(name),
    }
}

/// A text member; absent, null and blank are all nothing.
fn text(raw: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, String> {
    let Some(raw) = raw.map(RawValue::get).filter(|raw| *raw != "null") else { return Ok(None) };
    let plain = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = match plain {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => serde_json::from_str::<String>(raw)
            .map(Cow::Owned)
            .map_err(|_| format!("must be a text, not {}", shorten(raw)))?,
    };
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// A number, or a text that holds one.
fn value(raw: Option<&RawValue>) -> Result<Exact, String> {
    let raw = raw.map(RawValue::get).ok_or("is missing")?;
    let number = raw.trim_matches('"').trim();
    let parsed = parse_decimal(number);
    parsed.map(Exact::from).map_err(|error: MoneyError| format!("cannot be counted: {error}"))
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        "Postgres:PROD:pt-1".parse().unwrap()
    }

    fn totals(files: &[&str]) -> Result<UsageSnapshot, UsageError> {
        let mut totals = UsageTotals::new(plan(), "2025-01".parse().unwrap());
        for (number, file) in files.iter().enumerate() {
            totals.add_file(&format!("f{number}.json"), file.as_bytes())?;
        }
        Ok(totals.finish(FileDigest::default()).unwrap())
    }

    #[test]
    fn numbers_and_numeric_strings_add_up_exactly_past_2_to_the_53() {
        let snapshot = totals(&[
            r#"[{"externalPayerId":"c","dimension":"memory_byte_hours","value":9007199254740993,"timestamp":"2025-01-01T00:00:00Z","pricePerUnit":1e-12}]"#,
            r#"[{"externalPayerId":"c","dimension":"memory_byte_hours","value":"9007199254740993.1","timestamp":"2025-01-01T01:00:00Z"},
                {"externalPayerId":"c","dimension":"memory_byte_hours","value":1.5e3,"timestamp":"2025-01-31T23:00:00Z"}]"#,
            "[]",
        ])
        .unwrap();
        assert_eq!(snapshot.usage[0].quantity.to_string(), "18014398509483486.1");
        assert_eq!((snapshot.usage[0].records, snapshot.files, snapshot.records), (3, 3, 3));
        assert_eq!(snapshot.outside_period, 0);
    }

    #[test]
    fn records_without_contract_or_dimension_are_kept_apart_and_listed() {
        let snapshot = totals(&[
            r#"[{"dimension":"d","value":1},{"externalPayerId":"","dimension":"d","value":"2"},
                {"externalPayerId":"c","dimension":null,"value":3},{"externalPayerId":"c","dimension":"d","value":4}]"#,
        ])
        .unwrap();
        assert_eq!(snapshot.records, 4);
        assert_eq!(snapshot.usage.len(), 1);
        let lost: Vec<_> = snapshot
            .unattributed
            .iter()
            .map(|lost| {
                (lost.contract.as_deref(), lost.dimension.as_deref(), lost.quantity.to_string(), lost.records)
            })
            .collect();
        assert_eq!(lost, [(None, Some("d"), "3".into(), 2), (Some("c"), None, "3".into(), 1)]);
        assert_eq!(snapshot.unattributed[0].first_key, "f0.json");
    }

    #[test]
    fn what_cannot_be_counted_names_the_file_and_the_record() {
        for (file, part) in [
            ("", "f0.json: it is no JSON array"),
            ("{}", "f0.json: it is no JSON array"),
            (r#"[{"externalPayerId":"c","dimension":"d","value":1}"#, "f0.json: it is no JSON array"),
            (r#"[{"externalPayerId":"c","dimension":"d"}]"#, "f0.json: record 1: value is missing"),
            (r#"[{"value":1},{"value":"NaN"}]"#, "f0.json: record 2: value cannot be counted: 'NaN'"),
            (r#"[{"value":1e30}]"#, "record 1: value cannot be counted"),
            (r#"[{"value":null}]"#, "record 1: value is missing"),
            (r#"[{"value":true}]"#, "record 1: value cannot be counted"),
            (
                r#"[{"externalPayerId":"a\u0007","value":1}]"#,
                "record 1: externalPayerId must have at most 200 bytes",
            ),
            (r#"[{"externalPayerId":7,"value":1}]"#, "record 1: externalPayerId must be a text, not 7"),
            (r#"[{"value":1,"value":2}]"#, "'value' stands twice in [0]"),
        ] {
            let error = totals(&[file]).err().unwrap().to_string();
            assert!(error.contains(part), "{file}: {error}");
        }
    }

    #[test]
    fn counted_in_any_order_it_comes_to_the_same() {
        let file = |n: usize| {
            let contract = if n % 7 == 3 { "null".to_owned() } else { format!("\"c{}\"", n % 3) };
            format!(r#"[{{"externalPayerId":{contract},"dimension":"d","value":{n}.{n}}}]"#)
        };
        let counted = |numbers: &mut dyn Iterator<Item = usize>| {
            let mut totals = UsageTotals::new(plan(), "2025-01".parse().unwrap());
            numbers.for_each(|n| totals.add_file(&format!("f{n:02}.json"), file(n).as_bytes()).unwrap());
            totals.finish(FileDigest::default()).unwrap()
        };
        let whole = counted(&mut (0..20));
        assert_eq!(counted(&mut (0..20).rev()), whole);
        assert_eq!(whole.unattributed[0].first_key, "f03.json");
    }

    #[test]
    fn the_digest_names_the_files() {
        let digest = |files: &[(&str, &str)]| {
            let mut digest = FileDigest::default();
            files.iter().for_each(|(key, etag)| digest.add(key, etag));
            digest.finish()
        };
        assert_eq!(digest(&[("a", "\"1\"")]), digest(&[("a", "1")]));
        assert_ne!(digest(&[("a", "1")]), digest(&[("a", "2")]));
        assert_ne!(digest(&[("a", "1"), ("b", "1")]), digest(&[("a", "1")]));
    }
}
