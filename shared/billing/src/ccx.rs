//! CCX, databases as a service: from a server's own usage report to exact totals and a certificate.
//!
//! [`UsageReport::parse`] reads the document in both of its shapes, [`certify()`] adds it up, checks it and certifies what
//! it says. There are no prices in it: its figures are what costs are shared by, not costs.

mod certificate;
mod certify;
mod checks;
mod report;
mod usage;

pub use certificate::{
    CustomerUsage, DatastoreCounts, ProviderFigures, UsageReportCertificate, UsageReportSubject,
    UsageSupersedes,
};
pub use certify::{UsageReportError, certify};
pub use report::{Backups, Datastore, InstanceUsage, MalformedUsageReport, Shape, UsageReport, VolumeUsage};
pub use usage::{BackupUsage, Usage, VolumeHours};

/// The id under which the one report of an account and a month is filed, where others have invoices.
pub const REPORT_ID: &str = "usage";

#[cfg(test)]
mod tests;
