//! The usage report as a CCX server sends it, in its current and in its legacy shape. Unknown fields are ignored; a
//! figure that is missing or no exact number is an error that names the datastore and the field.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::money::{Exact, parse_decimal};
use crate::month::in_calendar;
use crate::strict;

/// A document that is no usage report, and where it goes wrong.
#[derive(Debug, thiserror::Error)]
pub enum MalformedUsageReport {
    /// Not JSON, cut short, or of another structure.
    #[error("not a usage report of CCX: {0}")]
    Json(#[from] serde_json::Error),
    /// Not even text.
    #[error("not a usage report of CCX: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// A field that must be there.
    #[error("{place} has no {field}")]
    Missing {
        /// Of what.
        place: String,
        /// Which.
        field: &'static str,
    },
    /// A field that cannot be used.
    #[error("{field} of {place} is {text}, not {expected}")]
    Field {
        /// Of what.
        place: String,
        /// Which.
        field: &'static str,
        /// What it is instead, shortened.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// In which shape a report comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Each datastore states its egress.
    Current,
    /// The report states the egress of all datastores together.
    Legacy,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "current",
            Self::Legacy => "legacy",
        })
    }
}

/// A report: what each datastore used between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageReport {
    /// First moment, `from`.
    pub from: DateTime<Utc>,
    /// First moment after, `to`.
    pub to: DateTime<Utc>,
    /// The datastores, in the report's order.
    pub datastores: Vec<Datastore>,
    /// `network_egress_usage_gib` of the report itself.
    pub network_egress_gib: Option<Exact>,
}

/// One entry of `datastores`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the provider's own names")]
pub struct Datastore {
    /// `datastore`.
    pub id: String,
    /// Nothing in the legacy shape.
    pub created_at: Option<DateTime<Utc>>,
    /// Nothing while it is alive.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Empty if there is none.
    pub customer_id: String,
    pub customer_reference: Option<String>,
    /// `instances_types_usage`.
    pub instances: Vec<InstanceUsage>,
    /// `volumes_types_usage`.
    pub volumes: Vec<VolumeUsage>,
    /// `network_egress_usage_gib`; nothing in the legacy shape.
    pub network_egress_gib: Option<Exact>,
    /// Nothing in the legacy shape.
    pub backups: Option<Backups>,
}

/// Hours of one instance type; the same type may come several times.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the provider's own names")]
pub struct InstanceUsage {
    pub instances_type: String,
    pub hours: Exact,
}

/// Use of one volume type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the provider's own names")]
pub struct VolumeUsage {
    pub volume_type: String,
    pub average_gib: Option<Exact>,
    pub gib_per_hours: Exact,
    pub iops: Option<Exact>,
    pub iops_per_hour: Option<Exact>,
}

/// Backups of one datastore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the provider's own names")]
pub struct Backups {
    pub taken: Exact,
    pub taken_size_gib: Exact,
    pub removed: Exact,
    pub removed_size_gib: Exact,
}

impl UsageReport {
    /// Reads the document.
    ///
    /// # Errors
    /// [`MalformedUsageReport`] names the datastore and the field.
    pub fn parse(document: &[u8]) -> Result<Self, MalformedUsageReport> {
        let wire: Wire<'_> = strict::from_str(std::str::from_utf8(document)?)?;
        let place = || "the report".to_owned();
        let time = |field, value| time(&place, field, value);
        let mut datastores = Vec::new();
        for (index, entry) in list(&place, "datastores", wire.datastores)?.into_iter().enumerate() {
            datastores.push(datastore(index + 1, entry)?);
        }
        Ok(Self {
            from: required(&place, "from", time("from", wire.from)?)?,
            to: required(&place, "to", time("to", wire.to)?)?,
            datastores,
            network_egress_gib: number(&place, "network_egress_usage_gib", wire.network_egress_usage_gib)?,
        })
    }

    /// The shape, by where the egress stands.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let by_datastore = self.datastores.iter().any(|datastore| datastore.network_egress_gib.is_some());
        if self.network_egress_gib.is_some() && !by_datastore { Shape::Legacy } else { Shape::Current }
    }
}

/// Every field as the text that it is, so that an error can name it. `null` is nothing, except for a list, which
/// must be there and is empty then.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default, borrow, deserialize_with = "even_null")]
    datastores: Option<&'a RawValue>,
    #[serde(default, borrow)]
    from: Option<&'a RawValue>,
    #[serde(default, borrow)]
    to: Option<&'a RawValue>,
    #[serde(default, borrow)]
    network_egress_usage_gib: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireDatastore<'a> {
    #[serde(default, borrow)]
    datastore: Option<&'a RawValue>,
    #[serde(default, borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(default, borrow)]
    deleted_at: Option<&'a RawValue>,
    #[serde(default, borrow)]
    customer_id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    customer_reference: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "even_null")]
    instances_types_usage: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "even_null")]
    volumes_types_usage: Option<&'a RawValue>,
    #[serde(default, borrow)]
    network_egress_usage_gib: Option<&'a RawValue>,
    #[serde(default, borrow)]
    backups: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireInstance<'a> {
    #[serde(default, borrow)]
    instances_type: Option<&'a RawValue>,
    #[serde(default, borrow)]
    hours: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireVolume<'a> {
    #[serde(default, borrow)]
    volume_type: Option<&'a RawValue>,
    #[serde(default, borrow)]
    average_gib: Option<&'a RawValue>,
    #[serde(default, borrow)]
    gib_per_hours: Option<&'a RawValue>,
    #[serde(default, borrow)]
    iops: Option<&'a RawValue>,
    #[serde(default, borrow)]
    iops_per_hour: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireBackups<'a> {
    #[serde(default, borrow)]
    taken: Option<&'a RawValue>,
    #[serde(default, borrow)]
    taken_size_gib: Option<&'a RawValue>,
    #[serde(default, borrow)]
    removed: Option<&'a RawValue>,
    #[serde(default, borrow)]
    removed_size_gib: Option<&'a RawValue>,
}

fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn datastore(position: usize, entry: &RawValue) -> Result<Datastore, MalformedUsageReport> {
    let wire: WireDatastore<'_> = object(&|| "the report".to_owned(), "datastores", entry)?;
    let place = || format!("datastore {position}");
    let id = required(&place, "datastore", text(&place, "datastore", wire.datastore)?)?;
    let place = || format!("datastore {position} ({id})");
    let mut instances = Vec::new();
    for entry in list(&place, "instances_types_usage", wire.instances_types_usage)? {
        instances.push(instance(&place, entry)?);
    }
    let mut volumes = Vec::new();
    for entry in list(&place, "volumes_types_usage", wire.volumes_types_usage)? {
        volumes.push(volume(&place, entry)?);
    }
    Ok(Datastore {
        created_at: time(&place, "created_at", wire.created_at)?,
        deleted_at: time(&place, "deleted_at", wire.deleted_at)?,
        customer_id: text(&place, "customer_id", wire.customer_id)?.unwrap_or_default(),
        customer_reference: text(&place, "customer_reference", wire.customer_reference)?,
        instances,
        volumes,
        network_egress_gib: number(&place, "network_egress_usage_gib", wire.network_egress_usage_gib)?,
        backups: wire.backups.map(|entry| backups(&place, entry)).transpose()?,
        id,
    })
}

fn instance(place: Place<'_>, entry: &RawValue) -> Result<InstanceUsage, MalformedUsageReport> {
    let wire: WireInstance<'_> = object(place, "instances_types_usage", entry)?;
    Ok(InstanceUsage {
        instances_type: required(
            place,
            "instances_type",
            text(place, "instances_type", wire.instances_type)?,
        )?,
        hours: required(place, "hours", number(place, "hours", wire.hours)?)?,
    })
}

fn volume(place: Place<'_>, entry: &RawValue) -> Result<VolumeUsage, MalformedUsageReport> {
    let wire: WireVolume<'_> = object(place, "volumes_types_usage", entry)?;
    Ok(VolumeUsage {
        volume_type: required(place, "volume_type", text(place, "volume_type", wire.volume_type)?)?,
        average_gib: number(place, "average_gib", wire.average_gib)?,
        gib_per_hours: required(place, "gib_per_hours", number(place, "gib_per_hours", wire.gib_per_hours)?)?,
        iops: number(place, "iops", wire.iops)?,
        iops_per_hour: number(place, "iops_per_hour", wire.iops_per_hour)?,
    })
}

fn backups(place: Place<'_>, entry: &RawValue) -> Result<Backups, MalformedUsageReport> {
    let wire: WireBackups<'_> = object(place, "backups", entry)?;
    let figure = |field, value| required(place, field, number(place, field, value)?);
    Ok(Backups {
        taken: figure("taken", wire.taken)?,
        taken_size_gib: figure("taken_size_gib", wire.taken_size_gib)?,
        removed: figure("removed", wire.removed)?,
        removed_size_gib: figure("removed_size_gib", wire.removed_size_gib)?,
    })
}

/// Says where a field stands, when it is needed.
type Place<'p> = &'p dyn Fn() -> String;

fn invalid(
    place: Place<'_>,
    field: &'static str,
    value: &RawValue,
    expected: &'static str,
) -> MalformedUsageReport {
    let text = value.get().chars().filter(|c| !c.is_control()).take(60).collect();
    MalformedUsageReport::Field { place: place(), field, text, expected }
}

fn required<T>(place: Place<'_>, field: &'static str, value: Option<T>) -> Result<T, MalformedUsageReport> {
    value.ok_or_else(|| MalformedUsageReport::Missing { place: place(), field })
}

fn object<'a, T: Deserialize<'a>>(
    place: Place<'_>,
    field: &'static str,
    value: &'a RawValue,
) -> Result<T, MalformedUsageReport> {
    // a list would be taken for a struct
    let is_object = value.get().starts_with('{');
    let read = || serde_json::from_str(value.get()).ok();
    is_object
        .then(read)
        .flatten()
        .ok_or_else(|| invalid(place, field, value, "made of objects, each field once"))
}

fn list<'a>(
    place: Place<'_>,
    field: &'static str,
    value: Option<&'a RawValue>,
) -> Result<Vec<&'a RawValue>, MalformedUsageReport> {
    let value = required(place, field, value)?;
    let read: Result<Option<Vec<&RawValue>>, _> = serde_json::from_str(value.get());
    read.map(Option::unwrap_or_default).map_err(|_| invalid(place, field, value, "a list"))
}

/// A text that can be an id: not longer than 200 bytes, without control characters.
fn text(
    place: Place<'_>,
    field: &'static str,
    value: Option<&RawValue>,
) -> Result<Option<String>, MalformedUsageReport> {
    let Some(value) = value else { return Ok(None) };
    let read: Option<String> = serde_json::from_str(value.get()).ok();
    let usable = read.filter(|text| text.len() <= 200 && !text.chars().any(char::is_control));
    usable
        .map(Some)
        .ok_or_else(|| invalid(place, field, value, "a text of at most 200 bytes without control characters"))
}

fn time(
    place: Place<'_>,
    field: &'static str,
    value: Option<&RawValue>,
) -> Result<Option<DateTime<Utc>>, MalformedUsageReport> {
    let Some(value) = value else { return Ok(None) };
    let read = serde_json::from_str::<String>(value.get()).ok();
    let read = read.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    read.and_then(|time| in_calendar(time.to_utc()))
        .map(Some)
        .ok_or_else(|| invalid(place, field, value, "a time like 2026-10-01T00:00:00Z"))
}

/// From the digits as they came: no float in between.
fn number(
    place: Place<'_>,
    field: &'static str,
    value: Option<&RawValue>,
) -> Result<Option<Exact>, MalformedUsageReport> {
    let Some(value) = value else { return Ok(None) };
    let read = parse_decimal(value.get()).map(|decimal| Some(Exact::from(decimal)));
    read.map_err(|_| invalid(place, field, value, "an exact number of at most 28 digits"))
}
