//! One usage report, added up and certified: a pure function of the document and of the time at which it was fetched.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};

use super::REPORT_ID;
use super::certificate::{
    CustomerUsage, DatastoreCounts, ProviderFigures, UsageReportCertificate, UsageReportSubject,
};
use super::checks::{Findings, check};
use super::report::{MalformedUsageReport, Shape, UsageReport};
use super::usage::Usage;
use crate::certificate::{CertificateError, Certified, DocumentRef, Status};
use crate::ids::Provider;
use crate::keys::RawDocumentKey;
use crate::money::MoneyError;
use crate::period::Finality;
use crate::revision::{Revision, sha256_hex};

/// Why a report could not be certified at all: the document is at fault.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum UsageReportError {
    #[error("the bytes hash to {found}, the key says {expected}: the document was cut short or renamed")]
    OtherContent { found: Revision, expected: Revision },
    #[error("{0} is not the place of a usage report: expected raw/ccx/{{account}}/{{YYYY-MM}}/usage/")]
    OtherPlace(String),
    #[error(transparent)]
    Malformed(#[from] MalformedUsageReport),
    #[error(transparent)]
    Quantity(#[from] MoneyError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The certificate of a document that stands under `key` and was fetched at that time.
///
/// # Errors
/// [`UsageReportError`] if it is not the document that the key names, is no usage report or cannot be added up exactly. A
/// report that cannot be believed is no error here: the certificate says so.
pub fn certify(
    key: &RawDocumentKey,
    document: &[u8],
    fetched_at: DateTime<Utc>,
) -> Result<UsageReportCertificate, UsageReportError> {
    if key.invoice.provider != Provider::ccx() || key.invoice.invoice_id.as_str() != REPORT_ID {
        return Err(UsageReportError::OtherPlace(key.to_string()));
    }
    let sha256 = sha256_hex(document);
    let found = Revision::of_sha256(&sha256);
    if found != key.revision {
        return Err(UsageReportError::OtherContent { found, expected: key.revision.clone() });
    }
    let report = UsageReport::parse(document)?;
    let finality = if fetched_at < key.invoice.period.end() { Finality::Open } else { Finality::Final };
    let findings = check(&report, key.invoice.period, fetched_at)?;
    let (datastores, customers) = by_customer(&report)?;
    let unattributed = match (report.shape(), report.network_egress_gib) {
        (Shape::Legacy, Some(egress)) => Usage { network_egress_gib: egress, ..Usage::default() },
        _ => Usage::default(),
    };
    let mut totals = unattributed.clone();
    for customer in customers.values() {
        totals = totals.plus(&customer.usage)?;
    }
    let (status, explanation) = verdict(&findings, datastores, finality);
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let date = |time: DateTime<Utc>| time.format("%Y-%m-%d").to_string();
    let certificate = UsageReportCertificate {
        certificate: UsageReportCertificate::VERSION,
        subject: UsageReportSubject {
            kind: "usage-report".into(),
            provider: key.invoice.provider.clone(),
            billing_account: key.invoice.billing_account.clone(),
            report: key.invoice.invoice_id.clone(),
            revision: key.revision.clone(),
            period: key.invoice.period,
            start_date: date(report.from),
            end_date: date(report.to),
            finality,
            shape: report.shape(),
        },
        datastores,
        totals,
        customers,
        unattributed,
        provider_figures: ProviderFigures {
            from: time(report.from),
            to: time(report.to),
            network_egress_usage_gib: report.network_egress_gib,
        },
        status,
        explanation,
        problems: findings.problems,
        supersedes: None,
        inputs: vec![DocumentRef { key: key.to_string(), sha256 }],
        rules: rules(),
        software: crate::SOFTWARE.into(),
    };
    certificate.verify()?;
    Ok(certificate)
}

/// The sums of each customer. A datastore that comes several times counts once, with the first.
fn by_customer(
    report: &UsageReport,
) -> Result<(DatastoreCounts, BTreeMap<String, CustomerUsage>), MoneyError> {
    let mut counts = DatastoreCounts::default();
    let (mut customers, mut seen) = (BTreeMap::<String, CustomerUsage>::new(), BTreeSet::new());
    for datastore in &report.datastores {
        let customer = customers.entry(datastore.customer_id.clone()).or_default();
        customer.usage = customer.usage.plus(&Usage::of(datastore)?)?;
        customer.references.extend(datastore.customer_reference.clone().filter(|text| !text.is_empty()));
        if seen.insert(datastore.id.as_str()) {
            let is_deleted = datastore.deleted_at.is_some_and(|deleted| deleted < report.to);
            customer.datastores += 1;
            counts.listed += 1;
            counts.deleted += u64::from(is_deleted);
            counts.alive += u64::from(!is_deleted);
        }
    }
    Ok((counts, customers))
}

fn verdict(findings: &Findings, datastores: DatastoreCounts, finality: Finality) -> (Status, String) {
    let (status, words) = if !findings.problems.is_empty() {
        let more = match findings.problems.len() - 1 {
            0 => String::new(),
            more => format!("; {more} more under problems"),
        };
        (Status::Mismatch, format!("{}{more}", findings.problems[0]))
    } else if !findings.remarks.is_empty() {
        (Status::Explained, findings.remarks.join("; "))
    } else {
        let DatastoreCounts { listed, alive, deleted } = datastores;
        (Status::Matched, format!("{listed} datastores, {alive} alive and {deleted} deleted, add up"))
    };
    let open = if finality == Finality::Open { "; the month is still running" } else { "" };
    (status, format!("{words}{open}"))
}

fn rules() -> BTreeMap<String, String> {
    [
        ("datastores", "counted once each; deleted if so before the end of the report"),
        ("sums", "every entry counts as it came, exactly; a type that comes several times is summed"),
    ]
    .map(|(name, rule)| (name.to_owned(), rule.to_owned()))
    .into()
}
