//! What a report must hold to be believed: [`Findings::problems`] hold it, [`Findings::remarks`] explain it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveTime, SecondsFormat, Utc};

use rust_decimal::Decimal;

use super::report::{Datastore, Shape, UsageReport, VolumeUsage};
use crate::money::{Exact, MoneyError};
use crate::month::BillingMonth;

/// A report with more is broken as a whole; the others are counted.
const MOST_PROBLEMS: usize = 50;

/// What there is to say about a report.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Why it cannot be right.
    pub(super) problems: Vec<String>,
    /// What a reader must know about it.
    pub(super) remarks: Vec<String>,
}

/// Checks a report that was fetched for that month at that time.
pub(super) fn check(
    report: &UsageReport,
    period: BillingMonth,
    fetched_at: DateTime<Utc>,
) -> Result<Findings, MoneyError> {
    let mut findings = Findings::default();
    findings.problems.extend(window(report, period, fetched_at));
    for (index, datastore) in report.datastores.iter().enumerate() {
        let said = one(datastore, report);
        findings
            .problems
            .extend(said.map(|what| format!("datastore {} ({}): {what}", index + 1, datastore.id)));
    }
    repeated(report, &mut findings);
    egress(report, &mut findings)?;
    let unborn = report.datastores.iter().filter(|datastore| datastore.created_at.is_none()).count();
    if unborn > 0 {
        findings.remarks.push(format!("{unborn} datastores state no created_at"));
    }
    let idle = |volume: &&VolumeUsage| {
        volume.gib_per_hours.is_zero() && volume.average_gib.is_some_and(|average| !average.is_zero())
    };
    let idle = report.datastores.iter().flat_map(|datastore| &datastore.volumes).filter(idle).count();
    if idle > 0 {
        findings.remarks.push(format!("{idle} volumes have an average_gib and no gib_per_hours"));
    }
    if let Some(more) = findings.problems.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
        findings.problems.truncate(MOST_PROBLEMS);
        findings.problems.push(format!("and {more} problems more"));
    }
    Ok(findings)
}

/// The report is of the month asked for: all of it once the month has ended, else whole days of it.
fn window(report: &UsageReport, period: BillingMonth, fetched_at: DateTime<Utc>) -> Option<String> {
    let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let (from, to) = (text(report.from), text(report.to));
    let (start, end) = (period.start(), period.end());
    if fetched_at >= end {
        let right = report.from == start && report.to == end;
        return (!right)
            .then(|| format!("the report is of {from} to {to}, not of {} to {}", text(start), text(end)));
    }
    let right = report.from == start
        && report.to > start
        && report.to <= fetched_at
        && report.to.time() == NaiveTime::MIN;
    (!right).then(|| {
        format!(
            "the report is of {from} to {to}, not of whole days from {} to {}",
            text(start),
            text(fetched_at)
        )
    })
}

/// What is wrong with one entry by itself.
fn one<'r>(datastore: &'r Datastore, report: &'r UsageReport) -> impl Iterator<Item = String> + use<'r> {
    let (created, deleted) = (datastore.created_at, datastore.deleted_at);
    let at = |time: Option<DateTime<Utc>>| {
        time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default()
    };
    let wrong = [
        (datastore.id.is_empty(), "its id is empty".to_owned()),
        (datastore.customer_id.is_empty(), "it names no customer".to_owned()),
        (
            created.zip(deleted).is_some_and(|(created, deleted)| deleted < created),
            format!("it was deleted at {}, before it was created at {}", at(deleted), at(created)),
        ),
        (
            created.is_some_and(|created| created >= report.to),
            format!("it was created at {}, after the time of the report", at(created)),
        ),
        (
            deleted.is_some_and(|deleted| deleted < report.from),
            format!("it was deleted at {}, before the time of the report", at(deleted)),
        ),
    ];
    let wrong = wrong.into_iter().filter_map(|(is_so, what)| is_so.then_some(what));
    let negative = figures(datastore).filter(|(_, figure)| figure.is_negative());
    let negative = negative.map(|(name, figure)| format!("{name} is negative: {figure}"));
    wrong.chain(nameless(datastore)).chain(negative).chain(datastore.volumes.iter().filter_map(contradiction))
}

fn nameless(datastore: &Datastore) -> Option<String> {
    let instance = datastore.instances.iter().any(|instance| instance.instances_type.is_empty());
    let volume = datastore.volumes.iter().any(|volume| volume.volume_type.is_empty());
    (instance || volume).then(|| "an instance or volume type is empty".to_owned())
}

/// GiB-hours without GiB.
fn contradiction(volume: &VolumeUsage) -> Option<String> {
    let nothing = volume.average_gib.as_ref().is_some_and(Exact::is_zero);
    let VolumeUsage { volume_type, gib_per_hours, .. } = volume;
    (nothing && !gib_per_hours.is_zero())
        .then(|| format!("gib_per_hours of {volume_type} is {gib_per_hours}, with an average_gib of 0"))
}

/// Every figure of an entry, as it came.
fn figures(datastore: &Datastore) -> impl Iterator<Item = (String, Exact)> {
    let instances = datastore
        .instances
        .iter()
        .map(|instance| (format!("hours of {}", instance.instances_type), Some(instance.hours)));
    let volumes = datastore.volumes.iter().flat_map(|volume| {
        let of = |name: &str| format!("{name} of {}", volume.volume_type);
        [
            (of("average_gib"), volume.average_gib),
            (of("gib_per_hours"), Some(volume.gib_per_hours)),
            (of("iops"), volume.iops),
            (of("iops_per_hour"), volume.iops_per_hour),
        ]
    });
    let backups = datastore.backups.iter().flat_map(|backups| {
        [
            ("backups.taken".to_owned(), Some(backups.taken)),
            ("backups.taken_size_gib".to_owned(), Some(backups.taken_size_gib)),
            ("backups.removed".to_owned(), Some(backups.removed)),
            ("backups.removed_size_gib".to_owned(), Some(backups.removed_size_gib)),
        ]
    });
    let egress = [("network_egress_usage_gib".to_owned(), datastore.network_egress_gib)];
    let all = instances.chain(volumes).chain(backups).chain(egress);
    all.filter_map(|(name, figure)| Some((name, figure?)))
}

/// A datastore may come in several entries that each say something else of the same datastore.
fn repeated(report: &UsageReport, findings: &mut Findings) {
    let mut by_id: BTreeMap<&str, Vec<&Datastore>> = BTreeMap::new();
    for datastore in &report.datastores {
        by_id.entry(&datastore.id).or_default().push(datastore);
    }
    let (mut summed, mut example) = (0, None);
    for (id, entries) in by_id {
        let [first, others @ ..] = entries.as_slice() else { continue };
        let differing = |of: fn(&Datastore) -> String| others.iter().any(|other| of(other) != of(first));
        let contradictions = [
            ("created_at", differing(|datastore| format!("{:?}", datastore.created_at))),
            ("deleted_at", differing(|datastore| format!("{:?}", datastore.deleted_at))),
            ("customer_id", differing(|datastore| datastore.customer_id.clone())),
        ];
        let contradiction = contradictions.iter().find(|(_, differs)| *differs);
        let doubled = (1..entries.len()).any(|index| entries[..index].contains(&entries[index]));
        if let Some((field, _)) = contradiction {
            let times = entries.len();
            findings.problems.push(format!("datastore {id} comes {times} times with different {field}"));
        } else if doubled {
            findings.problems.push(format!("datastore {id} comes twice with the same figures"));
        } else if !others.is_empty() {
            summed += 1;
            example = example.or(Some(id));
        }
    }
    if let Some(id) = example {
        findings.remarks.push(format!("{summed} datastores come several times, which is summed: {id}"));
    }
}

/// What a total and so many figures may differ by where each was rounded by itself: half a unit of the fourth decimal each.
fn rounding_of(figures: usize) -> Exact {
    let halves = i64::try_from(figures).unwrap_or(i64::MAX / 10).saturating_add(1);
    Exact::from(Decimal::new(halves.saturating_mul(5), 5))
}

/// The egress stands in the report or with each datastore; where it stands in both, they agree.
fn egress(report: &UsageReport, findings: &mut Findings) -> Result<(), MoneyError> {
    let stated: Vec<Exact> =
        report.datastores.iter().filter_map(|datastore| datastore.network_egress_gib).collect();
    let silent = report.datastores.len() - stated.len();
    match (report.shape(), report.network_egress_gib) {
        (Shape::Legacy, Some(total)) if total.is_negative() => {
            findings.problems.push(format!("network_egress_usage_gib is negative: {total}"));
        }
        (Shape::Legacy, Some(total)) if !total.is_zero() => findings.remarks.push(format!(
            "{total} GiB of egress are stated for all datastores together, and so of no customer"
        )),
        (Shape::Legacy, _) => {}
        (Shape::Current, _) if stated.is_empty() && silent > 0 => {
            findings.remarks.push("the report states no egress".to_owned());
        }
        (Shape::Current, total) => {
            if silent > 0 {
                findings
                    .problems
                    .push(format!("{silent} datastores state no network_egress_usage_gib, others do"));
            }
            let rounding = rounding_of(stated.len());
            let sum = Exact::sum(stated)?;
            if let Some(total) = total.filter(|total| *total != sum) {
                let difference = total.minus(sum)?;
                let what =
                    format!("network_egress_usage_gib is {total}, and {sum} is the sum of the datastores");
                let is_rounding = difference <= rounding && Exact::ZERO.minus(difference)? <= rounding;
                if is_rounding { &mut findings.remarks } else { &mut findings.problems }.push(what);
            }
        }
    }
    Ok(())
}
