//! Metering for marketplaces: a month of usage becomes one submission for each contract and dimension, sent once.
//!
//! | module | what it decides |
//! |---|---|
//! | [`due`](due_months) | which months are to be counted |
//! | [`usage`](UsageTotals) | what the files of a month come to, exactly |
//! | [`snapshot`](UsageSnapshot) | the document that says so |
//! | [`planning`](plan_month) | what is to be submitted, with the fraction carried from month to month |
//! | [`shared`](plan_months) | the same of several plans, whose contracts have one record at the service |
//! | [`giving_up`](give_up) | whether what is refused may be given up |
//! | [`submission`](Submission) | the states of a submission and what may follow |
//! | [`reply`](read_reply) | what the service's answer means |
//! | [`closing`](may_close) | whether a month may close |
//! | [`certificate`](MeteringCertificate) | the proof for a month |
//! | [`earlier`](EarlierState) | the state of the earlier exporter, in and out |

mod certificate;
mod closing;
mod due;
mod earlier;
mod giving_up;
mod planning;
mod reply;
mod shared;
mod snapshot;
mod submission;
mod usage;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

pub use certificate::{
    Decision, DimensionTotals, LeftOut, MeteringCertificate, MeteringSubject, SubmissionLine,
};
pub use closing::{Blocked, may_close};
pub use due::{DueMonths, due_months, exported_to, first_month};
pub use earlier::{EarlierPlan, EarlierState, EarlierStateError};
pub use giving_up::{NotGivenUp, give_up};
pub use planning::{MonthBooks, PlanningError, plan_month};
pub use reply::{Answer, Asked, UnreadableReply, Verdict, read_reply};
pub use shared::{Member, plan_months};
pub use snapshot::{ContractUsage, SnapshotError, Unattributed, UsageSnapshot};
pub use submission::{GivenUp, Line, Reply, Sharing, Submission, SubmissionState};
pub use usage::{FileDigest, UsageError, UsageTotals};

use crate::month::BillingMonth;

/// Who measures the usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Omnistrate's export into S3.
    Omnistrate,
}

impl Source {
    /// As it stands in keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Omnistrate => "omnistrate",
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == Self::Omnistrate.as_str() {
            Ok(Self::Omnistrate)
        } else {
            Err(format!("'{text}' is no source of usage, expected omnistrate"))
        }
    }
}

/// What is sold: one plan of a service in one environment. Written `service:environment:plan`, as in Omnistrate's marker and in
/// the earlier exporter's state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    service: String,
    environment: String,
    plan: String,
}

/// A text that names no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no plan, write it as service:environment:plan, for example Postgres:PROD:pt-HJSv20iWX0")]
pub struct InvalidPlan(String);

impl Plan {
    /// The plan of these names.
    ///
    /// # Errors
    /// [`InvalidPlan`] if one is empty, longer than 100 bytes, or holds a colon or a control character.
    pub fn new(service: &str, environment: &str, plan: &str) -> Result<Self, InvalidPlan> {
        let good = |name: &str| {
            !name.is_empty() && name.len() <= 100 && !name.chars().any(|c| c == ':' || c.is_control())
        };
        if ![service, environment, plan].into_iter().all(good) {
            return Err(InvalidPlan(format!("{service}:{environment}:{plan}").chars().take(100).collect()));
        }
        let [service, environment, plan] = [service, environment, plan].map(str::to_owned);
        Ok(Self { service, environment, plan })
    }

    /// The service, the environment and the plan's id.
    #[must_use]
    pub fn names(&self) -> [&str; 3] {
        [&self.service, &self.environment, &self.plan]
    }

    /// Whose usage adds up with that of others, where the catalog says nothing else: `service:environment`.
    #[must_use]
    pub fn group(&self) -> String {
        format!("{}:{}", self.service, self.environment)
    }

    /// The folder of a month in the export, with the slash: `{service}/{environment}/{plan}/{YYYY}/{MM}/`. As the export names
    /// it: nothing is encoded there.
    #[must_use]
    pub fn export_folder(&self, month: BillingMonth) -> String {
        let [service, environment, plan] = self.names();
        format!("{service}/{environment}/{plan}/{:04}/{:02}/", month.year(), month.month())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [service, environment, plan] = self.names();
        write!(f, "{service}:{environment}:{plan}")
    }
}

impl FromStr for Plan {
    type Err = InvalidPlan;

    fn from_str(text: &str) -> Result<Self, InvalidPlan> {
        let invalid = || InvalidPlan(text.chars().take(100).collect());
        let mut parts = text.split(':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(service), Some(environment), Some(plan), None) => {
                Self::new(service, environment, plan).map_err(|_| invalid())
            }
            _ => Err(invalid()),
        }
    }
}

impl Serialize for Plan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The marketplace that a contract was made on, as Clazar names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Marketplace {
    /// AWS Marketplace.
    #[default]
    Aws,
    /// Azure Marketplace.
    Azure,
    /// Google Cloud Marketplace.
    Gcp,
}

impl Marketplace {
    /// As Clazar writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }

    /// Until when a month's usage must be submitted to be on the bill of the month in which it is submitted: AWS
    /// closes its bill at 00:00 UTC of the last day of a month (Clazar's help on metering records). For the others Clazar
    /// documents none; the end of that month is taken.
    #[must_use]
    pub fn cut_off(self, month: BillingMonth) -> DateTime<Utc> {
        let end = month.next().end();
        match self {
            Self::Aws => end - Duration::days(1),
            Self::Azure | Self::Gcp => end,
        }
    }
}

impl fmt::Display for Marketplace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Marketplace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Aws, Self::Azure, Self::Gcp]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no marketplace, expected aws, azure or gcp"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_three_names() {
        let plan: Plan = "Postgres:PROD:pt-HJSv20iWX0".parse().unwrap();
        assert_eq!(plan.to_string(), "Postgres:PROD:pt-HJSv20iWX0");
        assert_eq!(plan.export_folder("2025-06".parse().unwrap()), "Postgres/PROD/pt-HJSv20iWX0/2025/06/");
        for bad in ["", "a", "a:b", "a:b:", "a:b:c:d", "a::c", "a:b\n:c"] {
            assert!(bad.parse::<Plan>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_bill_of_aws_closes_a_day_before_the_month_ends() {
        let month = "2025-01".parse().unwrap();
        assert_eq!(Marketplace::Aws.cut_off(month).to_rfc3339(), "2025-02-28T00:00:00+00:00");
        assert_eq!(Marketplace::Gcp.cut_off(month).to_rfc3339(), "2025-03-01T00:00:00+00:00");
        assert_eq!("azure".parse(), Ok(Marketplace::Azure));
        assert!("AWS".parse::<Marketplace>().is_err());
    }
}
