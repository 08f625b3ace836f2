//! Where money comes from and goes to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A side of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Account {
    /// The client's credit.
    #[serde(rename = "cr")]
    Credit,
    /// Taxes.
    #[serde(rename = "tx")]
    Taxes,
    /// An invoice.
    #[serde(rename = "iv")]
    Invoice,
    /// A transaction of a payment gateway or a bank.
    #[serde(rename = "tr")]
    Transaction,
    /// Staff.
    #[serde(rename = "st")]
    Staff,
    /// A settlement.
    #[serde(rename = "se")]
    Settlement,
    /// Outside.
    #[serde(rename = "ex")]
    External,
}

impl Account {
    /// Its two letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Credit => "cr",
            Self::Taxes => "tx",
            Self::Invoice => "iv",
            Self::Transaction => "tr",
            Self::Staff => "st",
            Self::Settlement => "se",
            Self::External => "ex",
        }
    }

    /// Whether an invoice can be paid from it and refunded to it.
    #[must_use]
    pub fn pays(self) -> bool {
        !matches!(self, Self::Invoice | Self::Taxes)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Two letters that are no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected cr, tx, iv, tr, st, se or ex")]
pub struct InvalidAccount;

impl FromStr for Account {
    type Err = InvalidAccount;

    fn from_str(code: &str) -> Result<Self, InvalidAccount> {
        Ok(match code {
            "cr" => Self::Credit,
            "tx" => Self::Taxes,
            "iv" => Self::Invoice,
            "tr" => Self::Transaction,
            "st" => Self::Staff,
            "se" => Self::Settlement,
            "ex" => Self::External,
            _ => return Err(InvalidAccount),
        })
    }
}
