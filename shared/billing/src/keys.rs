//! Names of objects in the data bucket. Every key is built and read here.
//!
//! What providers send becomes part of a key only through [`encode`], so `../`, `/`, spaces or any other
//! byte in an identifier cannot reach outside its place.

mod bills;
mod drivers;
mod journal;

use std::fmt;

use crate::ids::{BillingAccountId, InvoiceId, Provider};
use crate::metering::{Plan, Source};
use crate::month::BillingMonth;
use crate::revision::Revision;

pub use bills::{BillsKey, CHARGES, POSTED, posted_document, posted_mark};
pub use drivers::{DRIVERS, driver};
pub use journal::{InvalidJournalKey, JOURNAL, JournalKey, RevenueKey, journal_folder};

/// Where raw documents stand: `raw/{provider}/{billing_account}/{YYYY-MM}/{invoice_id}/{revision}.{extension}`.
pub const RAW: &str = "raw/";

/// One invoice of one billing account in one month.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvoiceKey {
    /// Who sent it.
    pub provider: Provider,
    /// Who is invoiced.
    pub billing_account: BillingAccountId,
    /// The month it is for.
    pub period: BillingMonth,
    /// Its number.
    pub invoice_id: InvoiceId,
}

/// One raw document: an invoice as it came, in one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDocumentKey {
    /// The invoice.
    pub invoice: InvoiceKey,
    /// Which version of it: the hash of the bytes.
    pub revision: Revision,
    /// Format of the bytes: `json`, `csv.gz`, `parquet`.
    pub extension: String,
}

/// A key that is not the key of a raw document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{key}' is not the key of a raw document ({why}): \
     expected raw/{{provider}}/{{billing_account}}/{{YYYY-MM}}/{{invoice_id}}/{{sha256[..16]}}.{{extension}}"
)]
pub struct InvalidKey {
    key: String,
    why: String,
}

impl InvoiceKey {
    /// `{provider}/{billing_account}`, encoded.
    fn account_path(&self) -> String {
        format!("{}/{}", encode(self.provider.as_str()), encode(self.billing_account.as_str()))
    }

    /// The allocation by project of the newest revision, as CSV.
    #[must_use]
    pub fn allocations(&self) -> String {
        format!(
            "allocations/{}/{}-{}.csv",
            self.account_path(),
            self.period,
            encode(self.invoice_id.as_str())
        )
    }

    /// The FOCUS charges of the newest revision, as Parquet, partitioned for Athena. No two bills have the same: an account with a
    /// dash is followed by `!-`, which stands nowhere else.
    #[must_use]
    pub fn charges(&self) -> String {
        let account = encode(self.billing_account.as_str());
        let account = match (self.is_numbered(), account.contains('-')) {
            (true, _) => String::new(),
            (false, false) => format!("{account}-"),
            (false, true) => format!("{account}!-"),
        };
        format!(
            "charges/provider={}/month={}/{account}{}.parquet",
            encode(self.provider.as_str()),
            self.period,
            encode(self.invoice_id.as_str())
        )
    }

    /// A table of sums of the newest revision: `by-account`, ... as `csv` or `parquet`.
    #[must_use]
    pub fn aggregate(&self, table: &str, extension: &str) -> String {
        let invoice = encode(self.invoice_id.as_str());
        format!("aggregates/{}/{}-{invoice}/{table}.{extension}", self.account_path(), self.period)
    }

    /// Whether the provider numbers its invoices, each number once. Bills of the others are named after what they come from,
    /// with the same name every month.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.provider == Provider::atlas()
    }

    /// Its name among all of the billing account: the ledger's records are under it.
    #[must_use]
    pub fn unique_id(&self) -> String {
        match self.is_numbered() {
            true => self.invoice_id.as_str().to_owned(),
            false => format!("{}#{}", self.period, self.invoice_id),
        }
    }

    /// The certificate of one revision.
    #[must_use]
    pub fn certificate(&self, revision: &Revision) -> String {
        format!(
            "certificates/{}/{}-{}-{revision}.json",
            self.account_path(),
            self.period,
            encode(self.invoice_id.as_str())
        )
    }

    /// How it is named: `{provider}/{billing_account}/{YYYY-MM}/{invoice_id}`, encoded.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.account_path(), self.period, encode(self.invoice_id.as_str()))
    }

    /// The folder of its raw documents, with the slash.
    #[must_use]
    pub fn raw_folder(&self) -> String {
        format!("{RAW}{}/", self.path())
    }
}

impl fmt::Display for InvoiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} invoice {} of {} ({})",
            self.provider, self.invoice_id, self.billing_account, self.period
        )
    }
}

impl RawDocumentKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`InvalidKey`] says which part is wrong.
    pub fn parse(key: &str) -> Result<Self, InvalidKey> {
        let invalid = |why: String| InvalidKey { key: key.chars().take(300).collect(), why };
        let path = key.strip_prefix(RAW).ok_or_else(|| invalid("it does not start with raw/".into()))?;
        let parts: Vec<&str> = path.split('/').collect();
        let [provider, account, month, invoice, file] = parts[..] else {
            return Err(invalid(format!("it has {} parts after raw/, not 5", parts.len())));
        };
        let text =
            |part: &str| decode(part).ok_or_else(|| invalid(format!("'{part}' is not encoded as a key")));
        let why = |error: &dyn fmt::Display| invalid(error.to_string());
        let (revision, extension) =
            file.split_once('.').ok_or_else(|| invalid(format!("'{file}' has no extension")))?;
        Ok(Self {
            invoice: InvoiceKey {
                provider: Provider::new(text(provider)?).map_err(|e| why(&e))?,
                billing_account: BillingAccountId::new(text(account)?).map_err(|e| why(&e))?,
                period: month.parse::<BillingMonth>().map_err(|e| why(&e))?,
                invoice_id: InvoiceId::new(text(invoice)?).map_err(|e| why(&e))?,
            },
            revision: Revision::parse(revision).map_err(|e| why(&e))?,
            extension: extension.to_owned(),
        })
    }
}

/// The key itself.
impl fmt::Display for RawDocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}.{}", self.invoice.raw_folder(), self.revision, self.extension)
    }
}

/// Where anybody may put FOCUS exports: `raw/focus/{provider}/{billing_account}/{YYYY-MM}/{invoice_id}/{file}`.
pub const FOCUS: &str = "raw/focus/";

/// One FOCUS export that somebody put into the bucket, under a name of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FocusKey {
    /// The bill that it is taken for.
    pub invoice: InvoiceKey,
    /// The name of the file: `csv`, `csv.gz`, `csv.zip` or `parquet` at its end.
    pub file: String,
}

/// A key that is not the key of a FOCUS export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{key}' is not the key of a FOCUS export ({why}): \
     expected raw/focus/{{provider}}/{{billing_account}}/{{YYYY-MM}}/{{invoice_id}}/{{file}}"
)]
pub struct InvalidFocusKey {
    key: String,
    why: String,
}

impl FocusKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`InvalidFocusKey`] says which part is wrong.
    pub fn parse(key: &str) -> Result<Self, InvalidFocusKey> {
        let invalid = |why: String| InvalidFocusKey { key: key.chars().take(300).collect(), why };
        let why = |error: &dyn fmt::Display| invalid(error.to_string());
        let path =
            key.strip_prefix(FOCUS).ok_or_else(|| invalid("it does not start with raw/focus/".into()))?;
        let parts: Vec<&str> = path.split('/').collect();
        let [provider, account, month, invoice, file] = parts[..] else {
            return Err(invalid(format!("it has {} parts after raw/focus/, not 5", parts.len())));
        };
        // people write these keys: what is no encoding stands for itself
        let text = |part: &str| decode(part).unwrap_or_else(|| part.to_owned());
        if file.is_empty() {
            return Err(invalid("it names no file".into()));
        }
        Ok(Self {
            invoice: InvoiceKey {
                provider: Provider::new(text(provider)).map_err(|e| why(&e))?,
                billing_account: BillingAccountId::new(text(account)).map_err(|e| why(&e))?,
                period: month.parse::<BillingMonth>().map_err(|e| why(&e))?,
                invoice_id: InvoiceId::new(text(invoice)).map_err(|e| why(&e))?,
            },
            file: file.to_owned(),
        })
    }
}

/// The key itself, encoded.
impl fmt::Display for FocusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let invoice = &self.invoice;
        write!(
            f,
            "{FOCUS}{}/{}/{}/{}",
            invoice.account_path(),
            invoice.period,
            encode(invoice.invoice_id.as_str()),
            self.file
        )
    }
}

/// Where documents stand that people bring: `raw/imports/{sha256[..16]}/{file}`, and beside them what they brought at once:
/// `raw/imports/{sha256[..16]}.import.json`.
pub const IMPORTS: &str = "raw/imports/";

/// Characters of a file's name that are kept in a key.
const LONGEST_FILE: usize = 60;

/// The key of a document that a person brings: its content, and its name as far as it fits.
#[must_use]
pub fn imported(sha256: &str, file: &str) -> String {
    let name = encode(file);
    // the end tells what it is
    let start = name.len().saturating_sub(LONGEST_FILE);
    format!("{IMPORTS}{}/{}", Revision::of_sha256(sha256), name[start..].trim_start_matches(['.', '!']))
}

/// Where usage snapshots stand: `usage/{source}/{service}/{environment}/{plan}/{YYYY-MM}/{revision}.json`.
pub const USAGE: &str = "usage/";

/// Where the metering state stands in the earlier exporter's schema.
pub const METERING_STATE: &str = "state/metering_state.json";

/// One usage snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageKey {
    /// Who measured.
    pub source: Source,
    /// What was metered.
    pub plan: Plan,
    /// The month.
    pub month: BillingMonth,
    /// The hash of the bytes.
    pub revision: Revision,
}

/// A key that is not the key of a usage snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{key}' is not the key of a usage snapshot ({why}): \
     expected usage/{{source}}/{{service}}/{{environment}}/{{plan}}/{{YYYY-MM}}/{{sha256[..16]}}.json"
)]
pub struct InvalidUsageKey {
    key: String,
    why: String,
}

impl UsageKey {
    fn plan_path(&self) -> String {
        let [service, environment, plan] = self.plan.names().map(encode);
        format!("{}/{service}/{environment}/{plan}", self.source.as_str())
    }

    /// The certificate of the month by this snapshot.
    #[must_use]
    pub fn certificate(&self) -> String {
        format!("certificates/{}/{}-{}.json", self.plan_path(), self.month, self.revision)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`InvalidUsageKey`] says which part is wrong.
    pub fn parse(key: &str) -> Result<Self, InvalidUsageKey> {
        let invalid = |why: String| InvalidUsageKey { key: key.chars().take(300).collect(), why };
        let why = |error: &dyn fmt::Display| invalid(error.to_string());
        let path = key.strip_prefix(USAGE).ok_or_else(|| invalid("it does not start with usage/".into()))?;
        let parts: Vec<&str> = path.split('/').collect();
        let [source, service, environment, plan, month, file] = parts[..] else {
            return Err(invalid(format!("it has {} parts after usage/, not 6", parts.len())));
        };
        let text =
            |part: &str| decode(part).ok_or_else(|| invalid(format!("'{part}' is not encoded as a key")));
        let revision =
            file.strip_suffix(".json").ok_or_else(|| invalid(format!("'{file}' does not end with .json")))?;
        Ok(Self {
            source: source.parse().map_err(|e: String| invalid(e))?,
            plan: Plan::new(&text(service)?, &text(environment)?, &text(plan)?).map_err(|e| why(&e))?,
            month: month.parse::<BillingMonth>().map_err(|e| why(&e))?,
            revision: Revision::parse(revision).map_err(|e| why(&e))?,
        })
    }
}

/// The key itself.
impl fmt::Display for UsageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{USAGE}{}/{}/{}.json", self.plan_path(), self.month, self.revision)
    }
}

/// Where a revision's object goes when its certificate does not match: `held/{key}`, with the revision in its name.
#[must_use]
pub fn held(key: &str, revision: &Revision) -> String {
    match key.rsplit_once('.') {
        Some((stem, extension)) if !stem.ends_with(revision.as_str()) => {
            format!("held/{stem}-{revision}.{extension}")
        }
        _ => format!("held/{key}"),
    }
}

/// Where the reason stands why a document is held: `held/{key}.reason.json`.
#[must_use]
pub fn held_reason(key: &str) -> String {
    format!("held/{key}.reason.json")
}

/// The bill of a file of charges, by its key: provider, month, account (nothing where invoices are numbered) and name.
#[must_use]
pub fn bill_of_charges(key: &str) -> Option<(Provider, BillingMonth, Option<BillingAccountId>, InvoiceId)> {
    let parts: Vec<&str> = key.strip_prefix(CHARGES)?.split('/').collect();
    let [provider, month, file] = parts[..] else { return None };
    let provider = Provider::new(decode(provider.strip_prefix("provider=")?)?).ok()?;
    let month = month.strip_prefix("month=")?.parse().ok()?;
    let name = file.strip_suffix(".parquet")?;
    if provider == Provider::atlas() {
        return Some((provider, month, None, InvoiceId::new(decode(name)?).ok()?));
    }
    let (account, invoice) = name.split_once("!-").or_else(|| name.split_once('-'))?;
    let account = BillingAccountId::new(decode(account)?).ok()?;
    Some((provider, month, Some(account), InvoiceId::new(decode(invoice)?).ok()?))
}

/// The invoice of a certificate, by its key, and the revision.
#[must_use]
pub fn invoice_of_certificate(key: &str) -> Option<(InvoiceKey, Revision)> {
    let parts: Vec<&str> = key.strip_prefix("certificates/")?.split('/').collect();
    let [provider, account, file] = parts[..] else { return None };
    let (month, name) = file.strip_suffix(".json")?.split_at_checked("YYYY-MM".len())?;
    let (invoice, revision) = name.strip_prefix('-')?.rsplit_once('-')?;
    let invoice = InvoiceKey {
        provider: Provider::new(decode(provider)?).ok()?,
        billing_account: BillingAccountId::new(decode(account)?).ok()?,
        period: month.parse().ok()?,
        invoice_id: InvoiceId::new(decode(invoice)?).ok()?,
    };
    Some((invoice, Revision::parse(revision).ok()?))
}

/// One segment of a key: letters, digits, `.`, `_` and `-` stay; every other byte, and a dot at the start,
/// becomes `!` and two hexadecimal digits (`!` needs no quoting anywhere in S3).
#[must_use]
pub fn encode(text: &str) -> String {
    use fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for (position, byte) in text.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && position > 0);
        if plain {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "!{byte:02X}"); // writing to a string cannot fail
        }
    }
    encoded
}

/// The text that [`encode`] made this of; nothing if it did not.
#[must_use]
pub fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'!' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (encode(&text) == segment).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str =
        "raw/atlas/5f1a2b3c4d5e6f7081920a01/2025-06/6840000000000000000000f6/44136fa355b3678a.json";

    #[test]
    fn a_raw_key_names_the_invoice_and_everything_made_of_it() {
        let key = RawDocumentKey::parse(KEY).unwrap();
        assert_eq!(key.to_string(), KEY);
        let invoice = &key.invoice;
        assert_eq!(
            invoice.allocations(),
            "allocations/atlas/5f1a2b3c4d5e6f7081920a01/2025-06-6840000000000000000000f6.csv"
        );
        assert_eq!(
            invoice.charges(),
            "charges/provider=atlas/month=2025-06/6840000000000000000000f6.parquet"
        );
        assert_eq!(
            invoice.certificate(&key.revision),
            "certificates/atlas/5f1a2b3c4d5e6f7081920a01/2025-06-6840000000000000000000f6-44136fa355b3678a.json"
        );
    }

    #[test]
    fn other_keys_are_refused_with_the_part_that_is_wrong() {
        let why = |key: &str| RawDocumentKey::parse(key).unwrap_err().why;
        assert_eq!(why("charges/x"), "it does not start with raw/");
        assert_eq!(why("raw/atlas/x.json"), "it has 2 parts after raw/, not 5");
        assert_eq!(
            why(&KEY.replace("2025-06", "2025-13")),
            "'2025-13' is not a month, write it as YYYY-MM, for example 2026-10"
        );
        assert!(why(&KEY.replace("44136f", "zzzzzz")).contains("is no revision"));
        assert_eq!(why(&KEY.replace("/atlas/", "/a b/")), "'a b' is not encoded as a key");
        assert_eq!(why(&KEY.replace(".json", "")), "'44136fa355b3678a' has no extension");
    }

    #[test]
    fn a_usage_key_names_the_plan_and_its_certificate() {
        let text = "usage/omnistrate/Postgres/PROD/pt-HJSv20iWX0/2025-06/44136fa355b3678a.json";
        let key = UsageKey::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(key.plan.to_string(), "Postgres:PROD:pt-HJSv20iWX0");
        assert_eq!(
            key.certificate(),
            "certificates/omnistrate/Postgres/PROD/pt-HJSv20iWX0/2025-06-44136fa355b3678a.json"
        );
        let why = |key: &str| UsageKey::parse(key).unwrap_err().why;
        assert_eq!(why("raw/x"), "it does not start with usage/");
        assert_eq!(why("usage/x.json"), "it has 1 parts after usage/, not 6");
        assert_eq!(
            why(&text.replace("omnistrate", "other")),
            "'other' is no source of usage, expected omnistrate"
        );
        assert!(why(&text.replace("44136f", "zzzzzz")).contains("is no revision"));
    }

    #[test]
    fn charges_of_two_bills_never_share_a_file() {
        let charges = |account: &str, invoice: &str| {
            let invoice = InvoiceKey {
                provider: Provider::aws(),
                billing_account: BillingAccountId::new(account).unwrap(),
                period: "2025-06".parse().unwrap(),
                invoice_id: InvoiceId::new(invoice).unwrap(),
            };
            invoice.charges().rsplit('/').next().unwrap().to_owned()
        };
        assert_eq!(charges("111122223333", "cur2-hourly"), "111122223333-cur2-hourly.parquet");
        assert_eq!(charges("a", "b-c"), "a-b-c.parquet");
        assert_eq!(charges("a-b", "c"), "a-b!-c.parquet");
        assert_eq!(charges("a", "b!-c"), "a-b!21-c.parquet");
    }

    #[test]
    fn a_certificate_names_its_invoice() {
        let invoice = InvoiceKey {
            provider: Provider::azure(),
            billing_account: BillingAccountId::new("a:b_2019-05-31").unwrap(),
            period: "2026-10".parse().unwrap(),
            invoice_id: InvoiceId::new("cost-details").unwrap(),
        };
        let revision = Revision::of(b"x");
        assert_eq!(invoice_of_certificate(&invoice.certificate(&revision)), Some((invoice, revision)));
        assert_eq!(invoice_of_certificate("certificates/ccx/host/2026-10-usage.json"), None);
        assert_eq!(bill_of_charges("charges/provider=atlas/month=2026-10/7.parquet").unwrap().2, None);
        assert_eq!(bill_of_charges("charges/x"), None);
    }

    #[test]
    fn identifiers_cannot_leave_their_place() {
        assert_eq!(encode("../x y"), "!2E.!2Fx!20y");
        assert_eq!(encode(".."), "!2E.");
        assert_eq!(encode("a.b-c_d"), "a.b-c_d");
    }

    proptest! {
        #[test]
        fn charges_of_any_two_bills_are_two_files(
            one in ("[-!a2D]{1,4}", "[-!a2D]{1,4}"), other in ("[-!a2D]{1,4}", "[-!a2D]{1,4}"),
        ) {
            let charges = |(account, invoice): &(String, String)| {
                let period = "2025-06".parse().unwrap();
                let billing_account = BillingAccountId::new(account.as_str()).unwrap();
                let invoice_id = InvoiceId::new(invoice.as_str()).unwrap();
                InvoiceKey { provider: Provider::gcp(), billing_account, period, invoice_id }.charges()
            };
            prop_assert_eq!(one == other, charges(&one) == charges(&other));
            let (provider, _, account, invoice) = bill_of_charges(&charges(&one)).unwrap();
            let account = account.unwrap();
            prop_assert_eq!((provider, account.as_str(), invoice.as_str()), (Provider::gcp(), &*one.0, &*one.1));
        }

        #[test]
        fn encoding_round_trips(text in "\\PC{1,40}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-!".contains(&b)));
            prop_assert!(!encoded.starts_with('.'));
            prop_assert_eq!(decode(&encoded), Some(text));
        }

        #[test]
        fn parsing_any_text_never_panics(text in "\\PC{0,80}") {
            let _ = RawDocumentKey::parse(&text);
            let _ = RawDocumentKey::parse(&format!("raw/{text}"));
            let _ = decode(&text);
        }
    }
}
