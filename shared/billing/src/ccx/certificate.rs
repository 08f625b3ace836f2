//! The certificate of a usage report: what came in, what it says in all and of whom, and whether it can be believed. Its
//! JSON Schema stands in `docs/usage-report-certificate.schema.json`.
//!
//! The laws (see [`Certified::verify`]) are checked where a certificate is made and again wherever one is
//! read. The document is canonical: the same report gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::report::Shape;
use super::usage::Usage;
use crate::certificate::{CertificateError, Certified, DocumentRef, Status, Superseding};
use crate::ids::{BillingAccountId, InvoiceId, Provider};
use crate::money::{Exact, MoneyError};
use crate::month::BillingMonth;
use crate::period::Finality;
use crate::revision::Revision;

/// What the certificate is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReportSubject {
    /// Always `usage-report`.
    pub kind: String,
    /// Whose report it is.
    pub provider: Provider,
    /// Of which server.
    pub billing_account: BillingAccountId,
    /// Which of its reports.
    pub report: InvoiceId,
    /// Which version of it.
    pub revision: Revision,
    /// The month.
    pub period: BillingMonth,
    /// First day of the report, `YYYY-MM-DD`.
    pub start_date: String,
    /// First day after it, `YYYY-MM-DD`.
    pub end_date: String,
    /// Whether the month was still running when the report was fetched.
    pub finality: Finality,
    /// In which shape it came.
    pub shape: Shape,
}

/// How many datastores there are; one that comes several times counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatastoreCounts {
    /// All.
    pub listed: u64,
    /// Those that were there at the end of the report.
    pub alive: u64,
    /// Those that were deleted before it.
    pub deleted: u64,
}

/// What one customer's datastores used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerUsage {
    /// The report's `customer_reference` of its datastores.
    pub references: BTreeSet<String>,
    /// How many they are.
    pub datastores: u64,
    /// What they used.
    pub usage: Usage,
}

/// The report's own figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderFigures {
    /// `from`, RFC 3339.
    pub from: String,
    /// `to`, RFC 3339.
    pub to: String,
    /// `network_egress_usage_gib` of the report itself.
    pub network_egress_usage_gib: Option<Exact>,
}

/// What changed against the revision before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSupersedes {
    /// The revision before this one.
    pub revision: Revision,
    /// Whether that one was final.
    pub finality: Finality,
    /// New totals less the old ones.
    pub difference: Usage,
    /// The same for each customer whose usage differs.
    pub customers: BTreeMap<String, Usage>,
}

/// The certificate of one revision of a usage report. Quantities are decimal texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReportCertificate {
    /// Version of this document's format.
    pub certificate: u32,
    /// What it is about.
    pub subject: UsageReportSubject,
    /// Its datastores.
    pub datastores: DatastoreCounts,
    /// What all of them used.
    pub totals: Usage,
    /// The same by customer id.
    pub customers: BTreeMap<String, CustomerUsage>,
    /// What the report states of no customer: in the legacy shape, the egress.
    pub unattributed: Usage,
    /// The report's own figures.
    pub provider_figures: ProviderFigures,
    /// The verdict.
    pub status: Status,
    /// The verdict in words.
    pub explanation: String,
    /// Why it is a mismatch.
    pub problems: Vec<String>,
    /// The revision before this one, and the differences.
    pub supersedes: Option<UsageSupersedes>,
    /// The raw document.
    pub inputs: Vec<DocumentRef>,
    /// The rules it was certified under.
    pub rules: BTreeMap<String, String>,
    /// Name and version of the software.
    pub software: String,
}

impl UsageReportCertificate {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;

    fn difference_to(&self, before: &Self) -> Result<UsageSupersedes, MoneyError> {
        let (nobody, mut customers) = (CustomerUsage::default(), BTreeMap::new());
        for id in self.customers.keys().chain(before.customers.keys()) {
            let of = |certificate: &Self| certificate.customers.get(id).unwrap_or(&nobody).usage.clone();
            customers.insert(id.clone(), of(self).minus(&of(before))?);
        }
        customers.retain(|_, difference| !difference.is_zero());
        Ok(UsageSupersedes {
            revision: before.subject.revision.clone(),
            finality: before.subject.finality,
            difference: self.totals.minus(&before.totals)?,
            customers,
        })
    }
}

impl Certified for UsageReportCertificate {
    const OF: &'static str = "a usage report";

    /// Checks the laws: totals = sum of the customers + unattributed, figure by figure; datastores listed = alive + deleted
    /// = sum of the customers' datastores; only a `mismatch` has problems, and it has some; any other report covers its
    /// month from the first day on, to the end if it is final, and its total egress is the one that it states itself.
    fn verify(&self) -> Result<(), CertificateError> {
        let mut sum = self.unattributed.clone();
        let mut datastores = 0u64;
        for customer in self.customers.values() {
            sum = sum.plus(&customer.usage)?;
            datastores = datastores.saturating_add(customer.datastores);
        }
        let gap = self.totals.minus(&sum)?;
        if let Some((figure, _)) = gap.figures().into_iter().find(|(_, gap)| !gap.is_zero()) {
            let law = format!("{figure} of totals = sum of customers + unattributed");
            let side = |usage: &Usage| {
                let found = usage.figures().into_iter().find(|(name, _)| *name == figure);
                found.map_or(Exact::ZERO, |(_, quantity)| quantity).to_string()
            };
            Self::law(law, side(&self.totals), side(&sum))?;
        }
        let DatastoreCounts { listed, alive, deleted } = self.datastores;
        Self::law("datastores listed = alive + deleted", listed, alive.saturating_add(deleted))?;
        Self::law("datastores listed = sum of the customers'", listed, datastores)?;
        let is_mismatch = self.status == Status::Mismatch;
        Self::law("a mismatch has problems, nothing else has", is_mismatch, !self.problems.is_empty())?;
        if is_mismatch {
            return Ok(());
        }
        let day = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d").to_string();
        let subject = &self.subject;
        Self::law(
            "the report begins with its month",
            subject.start_date.clone(),
            day(subject.period.start()),
        )?;
        if subject.finality == Finality::Final {
            Self::law(
                "a final report ends with its month",
                subject.end_date.clone(),
                day(subject.period.end()),
            )?;
        }
        // a total that was rounded by itself is explained, see the checks
        let matched = self.status == Status::Matched;
        if let Some(stated) = self.provider_figures.network_egress_usage_gib.filter(|_| matched) {
            Self::law("the egress is the one stated", self.totals.network_egress_gib, stated)?;
        }
        Ok(())
    }
}

impl Superseding for UsageReportCertificate {
    fn superseding(&self, before: Option<&Self>) -> Result<Self, MoneyError> {
        let supersedes = before.map(|before| self.difference_to(before)).transpose()?;
        Ok(Self { supersedes, ..self.clone() })
    }
}
