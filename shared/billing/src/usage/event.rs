//! What happens to a datastore: one JSON object a line.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use super::quantity::{Gib, Moment};
use crate::strict;

/// One event. Its order is that of time; at one instant what makes comes before what ends, then the id decides, so that a history
/// does not depend on the order in which events arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event<'a> {
    /// When it happened.
    pub at: Moment,
    /// What happened.
    pub change: Change<'a>,
    /// Its id: an event that comes twice counts once.
    pub id: Cow<'a, str>,
    /// Whose datastore it is.
    pub customer_id: Cow<'a, str>,
    /// What the customer calls it, or whom the seller calls the customer.
    pub customer_reference: Option<Cow<'a, str>>,
}

/// What happened, in the order that counts at one instant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields are those of the events, see docs/usage-report.md")]
pub enum Change<'a> {
    Created {
        datastore_type: Cow<'a, str>,
        vendor: Cow<'a, str>,
    },
    /// To the customer that the event names.
    Transferred,
    NodeAdded {
        node: Cow<'a, str>,
        instance_type: Cow<'a, str>,
        volume_type: Cow<'a, str>,
        volume_gib: Gib,
        iops: Option<u32>,
    },
    NodeUpgraded {
        node: Cow<'a, str>,
        instance_type: Cow<'a, str>,
    },
    VolumeResized {
        node: Cow<'a, str>,
        volume_gib: Gib,
    },
    VolumeTypeChanged {
        node: Cow<'a, str>,
        volume_type: Cow<'a, str>,
        iops: Option<u32>,
    },
    NodeStopped {
        node: Cow<'a, str>,
    },
    NodeRepaired {
        node: Cow<'a, str>,
        replacement: Cow<'a, str>,
    },
    NodeStarted {
        node: Cow<'a, str>,
    },
    NodeRemoved {
        node: Cow<'a, str>,
    },
    Egress {
        gib: Gib,
    },
    BackupTaken {
        gib: Gib,
    },
    BackupRemoved {
        gib: Gib,
    },
    Deleted,
}

/// Why a line is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not a JSON object with these members.
    #[error("it is no JSON object of an event: {0}")]
    Json(String),
    /// A member that this type of event has is not there.
    #[error("{field} is missing")]
    Missing {
        /// The member.
        field: &'static str,
    },
    /// A member is something else than it must be.
    #[error("{field} is {value}, expected {expected}")]
    Invalid {
        /// The member.
        field: &'static str,
        /// What it is, shortened.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
}

/// The lines of a file that are no events: the file is held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadLines {
    /// Line numbers from 1 and what is wrong, the first of them.
    pub first: Vec<(usize, LineError)>,
    /// How many there are.
    pub count: usize,
}

/// So many bad lines are named.
const NAMED_LINES: usize = 12;

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (line, error)) in self.first.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}line {line}: {error}")?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} lines more"),
        }
    }
}

/// The events of a file of JSON Lines, each with its datastore, in the order of the lines. Empty lines are passed over.
///
/// # Errors
/// [`BadLines`] if any line is no event.
pub fn read_lines(bytes: &[u8]) -> Result<Vec<(Cow<'_, str>, Event<'_>)>, BadLines> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut events, mut bad) = (Vec::new(), BadLines { first: Vec::new(), count: 0 });
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match read_line(line) {
            Ok(event) => events.push(event),
            Err(error) => {
                bad.count += 1;
                if bad.first.len() < NAMED_LINES {
                    bad.first.push((index + 1, error));
                }
            }
        }
    }
    if bad.count == 0 { Ok(events) } else { Err(bad) }
}

fn read_line(line: &[u8]) -> Result<(Cow<'_, str>, Event<'_>), LineError> {
    // a list would be taken for a struct
    if !line.trim_ascii().starts_with(b"{") {
        return Err(LineError::Json("it does not begin with {".into()));
    }
    let mut wire: Wire<'_> = strict::from_slice(line).map_err(|error| LineError::Json(error.to_string()))?;
    let datastore = required("datastore", wire.datastore.take())?.0;
    let customer_id = required("customer_id", wire.customer_id.take())?.0;
    let event = wire.event(customer_id)?;
    for (field, text) in event.texts() {
        check_id(field, text)?;
    }
    check_id("datastore", &datastore)?;
    Ok((datastore, event))
}

/// Identifiers become cells and members of objects: 1 to 200 bytes, no control characters.
fn check_id(field: &'static str, text: &str) -> Result<(), LineError> {
    if text.is_empty() || text.len() > 200 || text.chars().any(char::is_control) {
        let expected = "a text of 1 to 200 bytes without control characters";
        return Err(invalid(field, &format!("{text:?}"), expected));
    }
    Ok(())
}

fn invalid(field: &'static str, value: &str, expected: &'static str) -> LineError {
    LineError::Invalid { field, value: value.chars().take(60).collect(), expected }
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, LineError> {
    value.ok_or(LineError::Missing { field })
}

/// A text without a copy of it, if it has no escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The members of all types of events, as a line or a history has them. Others are not looked at.
#[derive(Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    event_id: Option<Text<'a>>,
    #[serde(borrow)]
    time: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    datastore: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) customer_id: Option<Text<'a>>,
    #[serde(borrow)]
    customer_reference: Option<Text<'a>>,
    #[serde(borrow)]
    datastore_type: Option<Text<'a>>,
    #[serde(borrow)]
    vendor: Option<Text<'a>>,
    #[serde(borrow)]
    node: Option<Text<'a>>,
    #[serde(borrow)]
    replacement: Option<Text<'a>>,
    #[serde(borrow)]
    instance_type: Option<Text<'a>>,
    #[serde(borrow)]
    volume_type: Option<Text<'a>>,
    #[serde(borrow)]
    volume_gib: Option<&'a RawValue>,
    #[serde(borrow)]
    iops: Option<&'a RawValue>,
    #[serde(borrow)]
    gib: Option<&'a RawValue>,
}

impl<'a> Wire<'a> {
    /// The event that these members are.
    pub(super) fn event(self, customer_id: Cow<'a, str>) -> Result<Event<'a>, LineError> {
        let text = |field, value: Option<Text<'a>>| required(field, value).map(|text| text.0);
        let node = |value| text("node", value);
        let kind = text("type", self.kind)?;
        let change = match kind.as_ref() {
            "datastore.created" => Change::Created {
                datastore_type: text("datastore_type", self.datastore_type)?,
                vendor: text("vendor", self.vendor)?,
            },
            "datastore.transferred" => Change::Transferred,
            "datastore.deleted" => Change::Deleted,
            "node.added" => Change::NodeAdded {
                node: node(self.node)?,
                instance_type: text("instance_type", self.instance_type)?,
                volume_type: text("volume_type", self.volume_type)?,
                volume_gib: gib("volume_gib", self.volume_gib)?,
                iops: iops(self.iops)?,
            },
            "node.removed" => Change::NodeRemoved { node: node(self.node)? },
            "node.started" => Change::NodeStarted { node: node(self.node)? },
            "node.stopped" => Change::NodeStopped { node: node(self.node)? },
            "node.upgraded" => Change::NodeUpgraded {
                node: node(self.node)?,
                instance_type: text("instance_type", self.instance_type)?,
            },
            "node.repaired" => Change::NodeRepaired {
                node: node(self.node)?,
                replacement: text("replacement", self.replacement)?,
            },
            "volume.resized" => Change::VolumeResized {
                node: node(self.node)?,
                volume_gib: gib("volume_gib", self.volume_gib)?,
            },
            "volume.type_changed" => Change::VolumeTypeChanged {
                node: node(self.node)?,
                volume_type: text("volume_type", self.volume_type)?,
                iops: iops(self.iops)?,
            },
            "network.egress" => Change::Egress { gib: gib("gib", self.gib)? },
            "backup.taken" => Change::BackupTaken { gib: gib("gib", self.gib)? },
            "backup.removed" => Change::BackupRemoved { gib: gib("gib", self.gib)? },
            other => return Err(invalid("type", &format!("{other:?}"), KNOWN_TYPES)),
        };
        let time = text("time", self.time)?;
        let at = Moment::parse(&time).ok_or_else(|| invalid("time", &format!("{time:?}"), A_TIME))?;
        let customer_reference = self.customer_reference.map(|text| text.0);
        Ok(Event { at, change, id: text("event_id", self.event_id)?, customer_id, customer_reference })
    }
}

const KNOWN_TYPES: &str = "datastore.created|transferred|deleted, node.added|removed|started|stopped|upgraded|repaired, \
                           volume.resized|type_changed, network.egress or backup.taken|removed";
const A_TIME: &str = "an RFC 3339 time with its offset between 1970 and 2200";
const A_SIZE: &str = "a number of GiB from 0 to 10^9 with at most nine decimals";

/// A number, or its text.
fn number(value: &RawValue) -> &str {
    value.get().trim_matches('"')
}

fn gib(field: &'static str, value: Option<&RawValue>) -> Result<Gib, LineError> {
    let value = required(field, value)?;
    Gib::parse(number(value)).ok_or_else(|| invalid(field, value.get(), A_SIZE))
}

fn iops(value: Option<&RawValue>) -> Result<Option<u32>, LineError> {
    let Some(value) = value.filter(|value| value.get() != "null") else { return Ok(None) };
    let whole = number(value).parse().map_err(|_| invalid("iops", value.get(), "a whole number"))?;
    Ok(Some(whole))
}

impl Event<'_> {
    /// The type of the event, as lines name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.change {
            Change::Created { .. } => "datastore.created",
            Change::Transferred => "datastore.transferred",
            Change::Deleted => "datastore.deleted",
            Change::NodeAdded { .. } => "node.added",
            Change::NodeRemoved { .. } => "node.removed",
            Change::NodeStarted { .. } => "node.started",
            Change::NodeStopped { .. } => "node.stopped",
            Change::NodeUpgraded { .. } => "node.upgraded",
            Change::NodeRepaired { .. } => "node.repaired",
            Change::VolumeResized { .. } => "volume.resized",
            Change::VolumeTypeChanged { .. } => "volume.type_changed",
            Change::Egress { .. } => "network.egress",
            Change::BackupTaken { .. } => "backup.taken",
            Change::BackupRemoved { .. } => "backup.removed",
        }
    }

    /// All texts of it, by the name of their member, as lines have them.
    pub(super) fn texts(&self) -> Vec<(&'static str, &str)> {
        let mut texts = vec![("event_id", self.id.as_ref()), ("customer_id", &self.customer_id)];
        texts.extend(self.customer_reference.as_deref().map(|text| ("customer_reference", text)));
        match &self.change {
            Change::Created { datastore_type, vendor } => {
                texts.extend([("datastore_type", datastore_type.as_ref()), ("vendor", vendor)]);
            }
            Change::NodeAdded { node, instance_type, volume_type, .. } => {
                texts.extend([("node", node.as_ref()), ("instance_type", instance_type)]);
                texts.push(("volume_type", volume_type));
            }
            Change::NodeUpgraded { node, instance_type } => {
                texts.extend([("node", node.as_ref()), ("instance_type", instance_type)]);
            }
            Change::VolumeTypeChanged { node, volume_type, .. } => {
                texts.extend([("node", node.as_ref()), ("volume_type", volume_type)]);
            }
            Change::NodeRepaired { node, replacement } => {
                texts.extend([("node", node.as_ref()), ("replacement", replacement)]);
            }
            Change::VolumeResized { node, .. }
            | Change::NodeStopped { node }
            | Change::NodeStarted { node }
            | Change::NodeRemoved { node } => texts.push(("node", node)),
            Change::Egress { .. }
            | Change::BackupTaken { .. }
            | Change::BackupRemoved { .. }
            | Change::Transferred
            | Change::Deleted => {}
        }
        texts
    }

    /// All numbers of it, by the name of their member.
    pub(super) fn numbers(&self) -> [Option<(&'static str, String)>; 2] {
        let size = |field, gib: &Gib| Some((field, gib.to_string()));
        let rate = |iops: &Option<u32>| iops.map(|iops| ("iops", iops.to_string()));
        match &self.change {
            Change::NodeAdded { volume_gib, iops, .. } => [size("volume_gib", volume_gib), rate(iops)],
            Change::VolumeTypeChanged { iops, .. } => [rate(iops), None],
            Change::VolumeResized { volume_gib, .. } => [size("volume_gib", volume_gib), None],
            Change::Egress { gib } | Change::BackupTaken { gib } | Change::BackupRemoved { gib } => {
                [size("gib", gib), None]
            }
            _ => [None, None],
        }
    }
}
