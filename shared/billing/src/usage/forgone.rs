//! What an event would have counted that is ignored: whoever reads the warning need not reckon.

use std::fmt::Write as _;

use super::event::{Change, Event};
use super::life::Living;
use super::measure::{MS_PER_HOUR, NANO};
use super::quantity::{Gib, Rounded};
use super::window::Window;

/// What a report says of a datastore beside its figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) what: String,
    /// Of an event that is ignored.
    pub(super) forgone: Option<Forgone>,
}

/// What does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forgone {
    /// On what condition it would.
    clause: String,
    amount: Amount,
    from_ms: i64,
    /// Nothing if it would have gone on.
    to_ms: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Amount {
    /// Of a node, or as a type.
    Hours(String),
    /// Of a volume.
    Stored(Gib),
    /// At its moment.
    Moved(Gib),
}

impl Warning {
    /// Its words in a report of these days: what would have counted in them, if anything.
    pub(super) fn within(&self, window: &Window) -> String {
        let mut text = self.what.clone();
        let amount = self.forgone.as_ref().and_then(|forgone| Some((forgone, forgone.within(window)?)));
        if let Some((forgone, amount)) = amount {
            // writing to a text cannot fail
            let _ = write!(text, ": {} {amount} in these days", forgone.clause);
        }
        text
    }
}

impl Forgone {
    fn within(&self, window: &Window) -> Option<String> {
        let ms = window.overlap_ms(self.from_ms, self.to_ms.unwrap_or(i64::MAX));
        match &self.amount {
            Amount::Moved(gib) => window.contains_ms(self.from_ms).then(|| format!("{gib} GiB")),
            _ if ms == 0 => None,
            Amount::Hours(of) => Some(format!("{} hours{of}", Rounded::quotient(ms.into(), MS_PER_HOUR))),
            Amount::Stored(gib) => {
                let sum = Rounded::quotient(gib.nano() * i128::from(ms), NANO * MS_PER_HOUR);
                Some(format!("{sum} GiB-hours"))
            }
        }
    }
}

const WOULD: &str = "it would have counted";

impl Living<'_> {
    /// What an ignored event would have come to; nothing if it counts nothing by itself.
    pub(super) fn forgone(&self, index: usize) -> Option<Forgone> {
        let event = &self.events[index];
        let name = node_of(&event.change);
        let from_ms = event.at.ms().max(self.life.created_ms);
        let since = |amount, ends: Ends| Forgone {
            clause: WOULD.into(),
            amount,
            from_ms,
            to_ms: self.ending(index, ends).map(|end| self.events[end].at.ms()),
        };
        Some(match &event.change {
            Change::NodeStarted { node } if self.is_started(node) => return self.anew(index),
            Change::NodeStarted { .. } => since(Amount::Hours(String::new()), stops),
            Change::NodeStopped { .. } => Forgone {
                clause: "if it ran until then, that is at most".into(),
                amount: Amount::Hours(String::new()),
                from_ms: self.nodes.get(name?)?.idle_since_ms,
                to_ms: Some(from_ms),
            },
            Change::NodeUpgraded { instance_type, .. } => {
                let ends: Ends = |change| matches!(change, Change::NodeUpgraded { .. }) || stops(change);
                since(Amount::Hours(format!(" as {instance_type}")), ends)
            }
            Change::VolumeTypeChanged { volume_type, .. } => {
                let ends: Ends = |change| matches!(change, Change::VolumeTypeChanged { .. });
                since(Amount::Hours(format!(" as {volume_type}")), ends)
            }
            Change::NodeAdded { volume_gib, .. } | Change::VolumeResized { volume_gib, .. } => {
                let ends: Ends = |change| matches!(change, Change::VolumeResized { .. });
                since(Amount::Stored(*volume_gib), ends)
            }
            Change::Egress { gib } | Change::BackupTaken { gib } | Change::BackupRemoved { gib } => {
                since(Amount::Moved(*gib), |_| true)
            }
            Change::Created { .. }
            | Change::Transferred
            | Change::NodeRepaired { .. }
            | Change::NodeRemoved { .. }
            | Change::Deleted => return None,
        })
    }

    /// A node that is started while it runs: if that was after the stop which is told later, it ran on from there.
    fn anew(&self, index: usize) -> Option<Forgone> {
        let stop = self.ending(index, stops).filter(|stop| stops(&self.events[*stop].change))?;
        let at = self.events[stop].at;
        let starts: Ends = |change| matches!(change, Change::NodeStarted { .. });
        Some(Forgone {
            clause: format!("after the stop of {at} {WOULD}"),
            amount: Amount::Hours(String::new()),
            from_ms: at.ms(),
            to_ms: self.ending(stop, starts).map(|end| self.events[end].at.ms()),
        })
    }

    /// What ends what an event begins: an event about the same node of a kind, its removal, or the deletion.
    fn ending(&self, index: usize, ends: Ends) -> Option<usize> {
        let node = node_of(&self.events[index].change);
        let is_end = |event: &Event<'_>| {
            let change = &event.change;
            let is_gone = ends(change) || matches!(change, Change::NodeRemoved { .. });
            *change == Change::Deleted || (is_gone && node_of(change) == node)
        };
        let mut rest = self.events.iter().enumerate().skip(index + 1);
        rest.find(|(_, event)| is_end(event)).map(|(index, _)| index)
    }
}

/// A kind of event that ends something.
type Ends = fn(&Change<'_>) -> bool;

fn stops(change: &Change<'_>) -> bool {
    matches!(change, Change::NodeStopped { .. })
}

/// The node that a change is about.
fn node_of<'e>(change: &'e Change<'_>) -> Option<&'e str> {
    match change {
        Change::NodeAdded { node, .. }
        | Change::NodeRemoved { node }
        | Change::NodeStarted { node }
        | Change::NodeStopped { node }
        | Change::NodeUpgraded { node, .. }
        | Change::NodeRepaired { node, .. }
        | Change::VolumeResized { node, .. }
        | Change::VolumeTypeChanged { node, .. } => Some(node),
        Change::Created { .. }
        | Change::Transferred
        | Change::Egress { .. }
        | Change::BackupTaken { .. }
        | Change::BackupRemoved { .. }
        | Change::Deleted => None,
    }
}
