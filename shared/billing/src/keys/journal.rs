//! Names of what the revenue report reads and writes.

use crate::money::Currency;
use crate::month::BillingMonth;

/// Where the journal of money movements stands: `journal/{YYYY-MM}/**/*.jsonl`.
pub const JOURNAL: &str = "journal/";

/// The folder of a month's journal, with the slash.
#[must_use]
pub fn journal_folder(month: BillingMonth) -> String {
    format!("{JOURNAL}{month}/")
}

/// One file of the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalKey {
    /// The month of its folder.
    pub month: BillingMonth,
    key: String,
}

/// A key that is not the key of a journal file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{key}' is no journal file ({why}): expected journal/{{YYYY-MM}}/{{name}}.jsonl")]
pub struct InvalidJournalKey {
    key: String,
    why: String,
}

impl JournalKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`InvalidJournalKey`] says which part is wrong.
    pub fn parse(key: &str) -> Result<Self, InvalidJournalKey> {
        let invalid = |why: String| InvalidJournalKey { key: key.chars().take(300).collect(), why };
        let path = key.strip_prefix(JOURNAL).ok_or_else(|| invalid("it does not start with journal/".into()));
        let (month, name) =
            path?.split_once('/').ok_or_else(|| invalid("it stands in no month's folder".into()))?;
        let month = month.parse::<BillingMonth>().map_err(|error| invalid(error.to_string()))?;
        if !name.ends_with(".jsonl") {
            return Err(invalid("its name does not end with .jsonl".into()));
        }
        Ok(Self { month, key: key.to_owned() })
    }

    /// The key itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }
}

/// What is made of one window in one currency. `window` is the name of the window, such as `2026-10`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevenueKey {
    window: String,
    currency: &'static str,
}

impl RevenueKey {
    /// The keys of that window in that currency.
    #[must_use]
    pub fn new(window: &str, currency: Currency) -> Self {
        Self { window: window.to_owned(), currency: currency.code() }
    }

    /// How the keys of a window's reports begin, whatever the currency; those of other windows may begin so, too.
    #[must_use]
    pub fn beginning(window: &str) -> String {
        format!("reports/revenue/{window}-")
    }

    /// The currency of a report of that window; nothing if the key is none.
    #[must_use]
    pub fn currency_of(window: &str, key: &str) -> Option<Currency> {
        let rest = key.strip_prefix(&Self::beginning(window))?;
        Currency::from_code(rest.strip_suffix(".json").or_else(|| rest.strip_suffix(".csv"))?)
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> String {
        format!("reports/revenue/{}-{}.json", self.window, self.currency)
    }

    /// The report's services as a table.
    #[must_use]
    pub fn table(&self) -> String {
        format!("reports/revenue/{}-{}.csv", self.window, self.currency)
    }

    /// The proof.
    #[must_use]
    pub fn certificate(&self) -> String {
        format!("certificates/revenue/{}-{}.json", self.window, self.currency)
    }

    /// Why the reports of a window are held.
    #[must_use]
    pub fn held(window: &str) -> String {
        super::held_reason(&format!("reports/revenue/{window}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_file_stands_in_its_months_folder() {
        let key = JournalKey::parse("journal/2026-10/bank/a b.jsonl").unwrap();
        assert_eq!(
            (key.month.to_string(), key.as_str()),
            ("2026-10".into(), "journal/2026-10/bank/a b.jsonl")
        );
        let why = |key: &str| JournalKey::parse(key).unwrap_err().why;
        assert_eq!(why("raw/x"), "it does not start with journal/");
        assert_eq!(why("journal/x.jsonl"), "it stands in no month's folder");
        assert!(why("journal/2026-13/x.jsonl").contains("is not a month"));
        assert_eq!(why("journal/2026-10/x.csv"), "its name does not end with .jsonl");
    }

    #[test]
    fn reports_of_a_month_are_not_those_of_its_days() {
        let key = RevenueKey::new("2019-03", Currency::EUR);
        assert_eq!(key.report(), "reports/revenue/2019-03-EUR.json");
        assert_eq!(RevenueKey::currency_of("2019-03", &key.table()), Some(Currency::EUR));
        assert_eq!(
            RevenueKey::currency_of("2019-03", "reports/revenue/2019-03-10_2019-03-20-EUR.json"),
            None
        );
        assert_eq!(RevenueKey::held("2019-03"), "held/reports/revenue/2019-03.reason.json");
    }
}
