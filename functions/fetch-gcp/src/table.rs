//! The table that Google exports billing data to. Its name becomes part of a query, so nothing but a name passes.

use std::fmt;
use std::str::FromStr;

use billing::ids::{BillingAccountId, InvalidId};

/// `project.dataset.table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BillingTable {
    project: String,
    dataset: String,
    table: String,
}

/// A text that names no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("project.dataset.table, for example billing-prod.billing.gcp_billing_export_v1_012345_567890_ABCDEF")]
pub(crate) struct InvalidTable;

/// A text that names no project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a Google Cloud project, for example billing-prod")]
pub(crate) struct InvalidProject;

/// The id of a project; the domain of a legacy one stands before a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectId(String);

/// A location of BigQuery, such as `EU` or `europe-west3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location(String);

/// A text that names no location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a location of BigQuery, for example EU, US or europe-west3")]
pub(crate) struct InvalidLocation;

fn is_name(text: &str, more: &str, longest: usize) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    (1..=longest).contains(&text.len()) && text.chars().all(fine)
}

impl FromStr for ProjectId {
    type Err = InvalidProject;

    fn from_str(text: &str) -> Result<Self, InvalidProject> {
        let (domain, id) = text.rsplit_once(':').map_or((None, text), |(domain, id)| (Some(domain), id));
        let lower = !text.contains(|c: char| c.is_ascii_uppercase());
        let fine = lower && is_name(id, "-", 63) && domain.is_none_or(|domain| is_name(domain, "-.", 190));
        fine.then(|| Self(text.to_owned())).ok_or(InvalidProject)
    }
}

impl FromStr for Location {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        is_name(text, "-", 63).then(|| Self(text.to_owned())).ok_or(InvalidLocation)
    }
}

impl FromStr for BillingTable {
    type Err = InvalidTable;

    fn from_str(text: &str) -> Result<Self, InvalidTable> {
        let mut parts = text.rsplitn(3, '.');
        let [Some(table), Some(dataset), Some(project)] = [parts.next(), parts.next(), parts.next()] else {
            return Err(InvalidTable);
        };
        let project: ProjectId = project.parse().map_err(|_| InvalidTable)?;
        if !is_name(dataset, "_", 1024) || !is_name(table, "_-", 1024) {
            return Err(InvalidTable);
        }
        Ok(Self { project: project.0, dataset: dataset.to_owned(), table: table.to_owned() })
    }
}

impl fmt::Display for BillingTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}

impl ProjectId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Location {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl BillingTable {
    /// The project that it is in.
    pub(crate) fn project(&self) -> ProjectId {
        ProjectId(self.project.clone())
    }

    /// The billing account that Google writes into the table's name: `012345-567890-ABCDEF` of
    /// `gcp_billing_export_v1_012345_567890_ABCDEF`.
    pub(crate) fn billing_account(&self) -> Option<String> {
        let of = |prefix| self.table.strip_prefix(prefix);
        let id = of("gcp_billing_export_v1_").or_else(|| of("gcp_billing_export_resource_v1_"))?;
        is_account(id, '_').then(|| id.replace('_', "-"))
    }
}

/// `012345-567890-ABCDEF`: three groups of six hexadecimal digits.
fn is_account(text: &str, separator: char) -> bool {
    let groups: Vec<&str> = text.split(separator).collect();
    let fine = |group: &&str| group.len() == 6 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.len() == 3 && groups.iter().all(fine)
}

/// Why there is no billing account to file bills under.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The table has another name than Google gives it.
    #[error(
        "the name of the table {table} does not end with a billing account: set GCP_BILLING_ACCOUNT, for example \
         012345-567890-ABCDEF"
    )]
    Unnamed {
        /// The table.
        table: String,
    },
    /// Not an account.
    #[error("GCP_BILLING_ACCOUNT '{0}' is no billing account, expected a text like 012345-567890-ABCDEF")]
    Invalid(String),
    /// Not an identifier.
    #[error(transparent)]
    Id(#[from] InvalidId),
}

/// The billing account that is given, else the one in the table's name.
pub(crate) fn account(given: Option<&str>, table: &BillingTable) -> Result<BillingAccountId, AccountError> {
    let account = match given {
        Some(given) if is_account(given, '-') => given.to_owned(),
        Some(other) => return Err(AccountError::Invalid(other.to_owned())),
        None => table.billing_account().ok_or_else(|| AccountError::Unnamed { table: table.to_string() })?,
    };
    Ok(BillingAccountId::new(account)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "billing-proj.billing.gcp_billing_export_v1_012345_567890_ABCDEF";

    #[test]
    fn nothing_but_a_name_becomes_part_of_a_query() {
        for fine in [TABLE, "example.com:billing.costs.export-2", "p1.d.t"] {
            assert_eq!(fine.parse::<BillingTable>().unwrap().to_string(), fine);
        }
        for bad in [
            "",
            "a.b",
            "p.d.t`; DROP TABLE x",
            "p.d.t t",
            "p.d.",
            ".d.t",
            "P.d.t",
            "p.d-d.t",
            "p.d.t\n",
            "p`.d.t",
        ] {
            assert_eq!(bad.parse::<BillingTable>(), Err(InvalidTable), "{bad}");
        }
        for bad in ["", "a/b", "a b", "a.b", "A", "x?y"] {
            assert!(bad.parse::<ProjectId>().is_err(), "{bad}");
        }
        for bad in ["", "E U", "EU&x"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_account_is_that_of_the_tables_name_unless_it_is_given() {
        let of = |given: Option<&str>, table: &str| {
            account(given, &table.parse().unwrap()).map(|account| account.to_string())
        };
        assert_eq!(of(None, TABLE).unwrap(), "012345-567890-ABCDEF");
        let detailed = TABLE.replace("export_v1", "export_resource_v1");
        assert_eq!(of(None, &detailed).unwrap(), "012345-567890-ABCDEF");
        assert_eq!(of(Some("AAAAAA-BBBBBB-000000"), TABLE).unwrap(), "AAAAAA-BBBBBB-000000");
        let error = of(None, "p.d.costs").unwrap_err().to_string();
        assert!(error.starts_with("the name of the table p.d.costs does not end with"), "{error}");
        assert!(of(Some("billingAccounts/1"), TABLE).is_err());
    }
}
