//! A datastore's usage as it is written: an object of the JSON report, rows of the CSV report.

use serde::Serialize;

use super::measure::{DatastoreUsage, InstanceUsage, VolumeUsage, gib};
use super::quantity::Rounded;
use crate::spreadsheet::neutralise;

#[derive(Serialize)]
struct Row<'u> {
    datastore: &'u str,
    created_at: String,
    deleted_at: Option<String>,
    customer_id: &'u str,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_reference: Option<&'u str>,
    #[serde(rename = "type")]
    datastore_type: Option<&'u str>,
    nodes_count: i64,
    vendor: Option<&'u str>,
    instances_types_usage: Vec<InstanceRow<'u>>,
    volumes_types_usage: Vec<VolumeRow<'u>>,
    network_egress_usage_gib: Rounded,
    backups: BackupsRow,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'u [String],
}

#[derive(Serialize)]
struct InstanceRow<'u> {
    instances_type: &'u str,
    hours: Rounded,
}

#[derive(Serialize)]
struct VolumeRow<'u> {
    volume_type: &'u str,
    average_gib: Rounded,
    gib_per_hours: Rounded,
    iops: Rounded,
    iops_per_hour: Rounded,
}

#[derive(Serialize)]
struct BackupsRow {
    taken: u64,
    taken_size_gib: Rounded,
    removed: u64,
    removed_size_gib: Rounded,
}

/// Appends the object of one datastore and customer.
///
/// # Errors
/// Those of writing texts as JSON.
pub fn json_row(usage: &DatastoreUsage<'_>, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let life = usage.life;
    let row = Row {
        datastore: life.datastore,
        created_at: life.created_at(),
        deleted_at: life.deleted_at(),
        customer_id: usage.customer_id,
        customer_reference: usage.customer_reference,
        datastore_type: life.datastore_type,
        nodes_count: usage.nodes_count,
        vendor: life.vendor,
        instances_types_usage: usage.instances.iter().map(InstanceRow::from).collect(),
        volumes_types_usage: usage.volumes.iter().map(VolumeRow::from).collect(),
        network_egress_usage_gib: gib(usage.egress_nano_gib),
        backups: BackupsRow {
            taken: usage.backups.taken,
            taken_size_gib: gib(usage.backups.taken_nano_gib),
            removed: usage.backups.removed,
            removed_size_gib: gib(usage.backups.removed_nano_gib),
        },
        warnings: &usage.warnings,
    };
    serde_json::to_writer(out, &row)
}

impl<'u> From<&InstanceUsage<'u>> for InstanceRow<'u> {
    fn from(usage: &InstanceUsage<'u>) -> Self {
        Self { instances_type: usage.instance_type, hours: usage.hours() }
    }
}

impl<'u> From<&VolumeUsage<'u>> for VolumeRow<'u> {
    fn from(usage: &VolumeUsage<'u>) -> Self {
        Self {
            volume_type: usage.volume_type,
            average_gib: usage.average_gib(),
            gib_per_hours: usage.gib_per_hours(),
            iops: usage.iops(),
            iops_per_hour: usage.iops_per_hour(),
        }
    }
}

/// The header of the CSV report.
pub const CSV_COLUMNS: [&str; 21] = [
    "datastore",
    "created_at",
    "deleted_at",
    "customer_id",
    "customer_reference",
    "type",
    "vendor",
    "nodes_count",
    "resource",
    "resource_type",
    "hours",
    "average_gib",
    "gib_per_hours",
    "iops",
    "iops_per_hour",
    "network_egress_usage_gib",
    "backups_taken",
    "backups_taken_size_gib",
    "backups_removed",
    "backups_removed_size_gib",
    "warnings",
];

/// Appends the rows of one datastore and customer: one for each type of instance (`resource` is `instance`) and each type of volume (`volume`); one
/// without a resource if it used none. Its traffic, its backups and its warnings stand in its first row only, so that columns add up.
///
/// # Errors
/// Those of the writer.
pub fn csv_rows<W: std::io::Write>(
    usage: &DatastoreUsage<'_>,
    csv: &mut csv::Writer<W>,
) -> Result<(), csv::Error> {
    let life = usage.life;
    let head = [
        neutralise(life.datastore),
        life.created_at().into(),
        life.deleted_at().unwrap_or_default().into(),
        neutralise(usage.customer_id),
        neutralise(usage.customer_reference.unwrap_or_default()),
        neutralise(life.datastore_type.unwrap_or_default()),
        neutralise(life.vendor.unwrap_or_default()),
        usage.nodes_count.to_string().into(),
    ];
    let backups = &usage.backups;
    let mut tail = [
        gib(usage.egress_nano_gib).to_string(),
        backups.taken.to_string(),
        gib(backups.taken_nano_gib).to_string(),
        backups.removed.to_string(),
        gib(backups.removed_nano_gib).to_string(),
        usage.warnings.join("; "),
    ];
    let mut row = |resource: &str, resource_type: &str, figures: [String; 5]| {
        for field in &head {
            csv.write_field(field.as_bytes())?;
        }
        csv.write_field(resource)?;
        csv.write_field(neutralise(resource_type).as_bytes())?;
        for figure in &figures {
            csv.write_field(figure)?;
        }
        for field in &mut tail {
            csv.write_field(&*field)?;
            field.clear();
        }
        csv.write_record(None::<&[u8]>)
    };
    if usage.instances.is_empty() && usage.volumes.is_empty() {
        row("", "", Default::default())?;
    }
    for instance in &usage.instances {
        let figures =
            [instance.hours().to_string(), String::new(), String::new(), String::new(), String::new()];
        row("instance", instance.instance_type, figures)?;
    }
    for volume in &usage.volumes {
        let figures = [
            String::new(),
            volume.average_gib().to_string(),
            volume.gib_per_hours().to_string(),
            volume.iops().to_string(),
            volume.iops_per_hour().to_string(),
        ];
        row("volume", volume.volume_type, figures)?;
    }
    Ok(())
}
