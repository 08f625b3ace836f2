//! A history lived through once: what ran and what was stored from when to when, and what in the history cannot have happened.
//!
//! An impossible event is told as a warning and counted so that nobody pays for what is not proven: it is ignored, or it ends what it
//! would have ended.

use std::collections::{BTreeMap, HashSet};

use super::event::{Change, Event};
use super::history::History;
use super::quantity::Gib;

/// A continuous STARTED interval shorter than this counts nothing.
pub const MINIMUM_INTERVAL_MS: i64 = 15 * 60 * 1000;
/// So many warnings of one datastore are told.
const MOST_WARNINGS: usize = 20;

/// The life of one datastore until now. All times are milliseconds since 1970, all spans half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life<'h> {
    /// The datastore.
    pub datastore: &'h str,
    /// When it was created, or first heard of.
    pub created_ms: i64,
    /// When it was deleted, if it was.
    pub deleted_ms: Option<i64>,
    /// Whose it is.
    pub customer_id: &'h str,
    /// The customer's reference: that of its creation, else the newest.
    pub customer_reference: Option<&'h str>,
    /// Its type, if its creation is known.
    pub datastore_type: Option<&'h str>,
    /// The database's vendor, if its creation is known.
    pub vendor: Option<&'h str>,
    /// What cannot have happened, in the order of time.
    pub warnings: Vec<String>,
    pub(super) instances: Vec<InstanceSpan<'h>>,
    pub(super) volumes: Vec<VolumeSpan<'h>>,
    /// Nodes coming (+1) and going (-1), in the order of time.
    pub(super) nodes: Vec<(i64, i32)>,
    pub(super) flows: Vec<(i64, Flow, Gib)>,
}

/// A node that ran as one type of instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InstanceSpan<'h> {
    pub(super) instance_type: &'h str,
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

/// A volume of one type, size and speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VolumeSpan<'h> {
    pub(super) volume_type: &'h str,
    pub(super) gib: Gib,
    pub(super) iops: u32,
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

/// What is counted at a moment and not over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Egress,
    BackupTaken,
    BackupRemoved,
}

/// A node as it stands.
struct Node<'h> {
    instance_type: &'h str,
    started: Option<Interval<'h>>,
    volume: VolumeSpan<'h>,
}

/// A continuous STARTED interval that has not ended.
struct Interval<'h> {
    from_ms: i64,
    /// Its part as earlier types of instance.
    before: Vec<InstanceSpan<'h>>,
    /// Since when it is of the node's present type.
    since_ms: i64,
}

impl<'h> Interval<'h> {
    /// Its spans when it ends; none if it is too short. Judged on the whole of it, whatever window is asked for.
    fn end(mut self, instance_type: &'h str, to_ms: i64) -> Vec<InstanceSpan<'h>> {
        if to_ms - self.from_ms < MINIMUM_INTERVAL_MS {
            return Vec::new();
        }
        self.before.push(InstanceSpan { instance_type, from_ms: self.since_ms, to_ms });
        self.before
    }
}

impl<'h> Life<'h> {
    /// Lives a history through until now; nothing if it has not begun.
    #[must_use]
    pub fn of(history: &'h History<'_>, now_ms: i64) -> Option<Self> {
        let events = history.events();
        let first = events.first().filter(|first| first.at.ms() <= now_ms)?;
        let created = events.iter().find(|event| matches!(event.change, Change::Created { .. }));
        let created = created.filter(|created| created.at.ms() <= now_ms);
        let begun = created.unwrap_or(first);
        let mut life = Self {
            datastore: history.datastore(),
            created_ms: begun.at.ms(),
            deleted_ms: None,
            customer_id: &begun.customer_id,
            customer_reference: begun.customer_reference.as_deref(),
            datastore_type: None,
            vendor: None,
            warnings: Vec::new(),
            instances: Vec::new(),
            volumes: Vec::new(),
            nodes: Vec::new(),
            flows: Vec::new(),
        };
        if let Some(Change::Created { datastore_type, vendor }) = created.map(|created| &created.change) {
            (life.datastore_type, life.vendor) = (Some(datastore_type.as_ref()), Some(vendor.as_ref()));
        } else {
            life.warnings.push("its creation is not known; it counts from the first event".into());
        }
        let repeated = repeated_ids(events);
        let mut living =
            Living { life, nodes: BTreeMap::new(), added: HashSet::new(), removed_unknown: HashSet::new() };
        let (mut seen, mut done) = (HashSet::new(), HashSet::new());
        let happened = events.partition_point(|event| event.at.ms() <= now_ms);
        for (index, event) in events[..happened].iter().enumerate() {
            if done.remove(&index) {
                continue;
            }
            if repeated.contains(event.id.as_ref()) && !seen.insert(event.id.as_ref()) {
                living.warn(event, "has the id of an earlier event with other content; ignored");
                continue;
            }
            // what else happens at this instant decides in which order two events can have happened
            let later = |wanted: &Change<'_>| {
                let rest = events[index + 1..happened].iter().take_while(|next| next.at == event.at);
                rest.enumerate()
                    .find(|(_, next)| next.change == *wanted)
                    .map(|(offset, _)| index + 1 + offset)
            };
            match &event.change {
                // stopped and started: whichever it is in, it is in again afterwards
                Change::NodeStopped { node } if !living.is_started(node) => {
                    if let Some(start) = later(&Change::NodeStarted { node: node.clone() }) {
                        done.insert(start);
                        continue;
                    }
                }
                // removed and added: the old one goes first
                Change::NodeAdded { node, .. } if living.nodes.contains_key(node.as_ref()) => {
                    if let Some(removal) = later(&Change::NodeRemoved { node: node.clone() }) {
                        done.insert(removal);
                        living.live(&events[removal]);
                    }
                }
                _ => {}
            }
            living.live(event);
        }
        Some(living.end(now_ms))
    }
}

/// The ids that more than one event has; rarely any.
fn repeated_ids<'e>(events: &'e [Event<'_>]) -> HashSet<&'e str> {
    let mut ids: Vec<&str> = events.iter().map(|event| event.id.as_ref()).collect();
    ids.sort_unstable();
    ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}

struct Living<'h> {
    life: Life<'h>,
    nodes: BTreeMap<&'h str, Node<'h>>,
    /// Names of all nodes that there ever were.
    added: HashSet<&'h str>,
    /// Nodes whose removal came before they were added.
    removed_unknown: HashSet<&'h str>,
}

impl<'h> Living<'h> {
    fn warn(&mut self, event: &Event<'_>, what: &str) {
        match self.life.warnings.len() {
            ..MOST_WARNINGS => {
                let Event { at, id, .. } = event;
                self.life.warnings.push(format!("{at} {} ({id}) {what}", event.kind()));
            }
            MOST_WARNINGS => self.life.warnings.push("and more".into()),
            _ => {}
        }
    }

    fn is_started(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| node.started.is_some())
    }

    fn live(&mut self, event: &'h Event<'_>) {
        if self.life.deleted_ms.is_some() {
            return self.warn(event, "came after the deletion; ignored");
        }
        if event.at.ms() < self.life.created_ms {
            self.warn(event, "came before the creation; it counts from there");
        }
        if event.customer_id != self.life.customer_id {
            self.warn(event, "names another customer; the one of the creation counts");
        }
        if let (None, Some(reference)) = (self.life.customer_reference, &event.customer_reference) {
            self.life.customer_reference = Some(reference);
        }
        let ms = event.at.ms().max(self.life.created_ms);
        match &event.change {
            Change::Created { .. } if ms > self.life.created_ms => {
                self.warn(event, "came after another creation; ignored");
            }
            Change::Created { .. } => {}
            Change::Deleted => self.delete(ms),
            Change::Egress { gib } => self.life.flows.push((ms, Flow::Egress, *gib)),
            Change::BackupTaken { gib } => self.life.flows.push((ms, Flow::BackupTaken, *gib)),
            Change::BackupRemoved { gib } => self.life.flows.push((ms, Flow::BackupRemoved, *gib)),
            Change::NodeAdded { node, instance_type, volume_type, volume_gib, iops } => {
                let volume = VolumeSpan {
                    volume_type,
                    gib: *volume_gib,
                    iops: iops.unwrap_or(0),
                    from_ms: ms,
                    to_ms: ms,
                };
                self.add(event, node, Node { instance_type, started: None, volume });
            }
            Change::NodeRemoved { node } => self.remove(event, node, ms),
            Change::NodeRepaired { node, replacement } => self.repair(event, node, replacement, ms),
            Change::NodeStarted { node } => self.start(event, node, ms),
            Change::NodeStopped { node } => self.stop(event, node, ms),
            Change::NodeUpgraded { node, instance_type } => self.upgrade(event, node, instance_type, ms),
            Change::VolumeResized { node, volume_gib } => {
                self.change_volume(event, node, ms, |volume| volume.gib = *volume_gib);
            }
            Change::VolumeTypeChanged { node, volume_type, iops } => {
                self.change_volume(event, node, ms, |volume| {
                    (volume.volume_type, volume.iops) = (volume_type, iops.unwrap_or(0));
                });
            }
        }
    }

    /// The node that an event is about.
    fn node(&mut self, event: &Event<'_>, name: &str) -> Option<&mut Node<'h>> {
        if !self.nodes.contains_key(name) {
            self.warn(event, "is about a node that is not there; ignored");
        }
        self.nodes.get_mut(name)
    }

    fn add(&mut self, event: &Event<'_>, name: &'h str, node: Node<'h>) {
        if self.removed_unknown.remove(name) {
            return self.warn(event, "came after the removal of this node; it counts nothing");
        }
        if self.nodes.contains_key(name) {
            return self.warn(event, "adds a node that is there already; ignored");
        }
        self.life.nodes.push((node.volume.from_ms, 1));
        self.added.insert(name);
        self.nodes.insert(name, node);
    }

    fn remove(&mut self, event: &Event<'_>, name: &'h str, ms: i64) {
        match self.nodes.remove(name) {
            Some(node) => {
                self.life.nodes.push((ms, -1));
                self.life.close(node, ms);
            }
            None if self.added.contains(name) => {
                self.warn(event, "removes a node that is gone already; ignored");
            }
            None => {
                self.removed_unknown.insert(name);
                self.warn(event, "removes a node that was not added");
            }
        }
    }

    /// Another machine takes the place of a node: it has its type, its volume and its state. If the replacement was added already, it
    /// stays as it is, and the repaired node just goes.
    fn repair(&mut self, event: &Event<'_>, name: &'h str, replacement: &'h str, ms: i64) {
        if name == replacement {
            return; // repaired in its place
        }
        if self.nodes.contains_key(replacement) {
            return self.remove(event, name, ms);
        }
        if self.node(event, name).is_some()
            && let Some(node) = self.nodes.remove(name)
        {
            self.added.insert(replacement);
            self.nodes.insert(replacement, node);
        }
    }

    fn start(&mut self, event: &Event<'_>, name: &str, ms: i64) {
        if self.is_started(name) {
            return self.warn(event, "starts a node that is started already; ignored");
        }
        if let Some(node) = self.node(event, name) {
            node.started = Some(Interval { from_ms: ms, before: Vec::new(), since_ms: ms });
        }
    }

    fn stop(&mut self, event: &Event<'_>, name: &str, ms: i64) {
        let Some(node) = self.node(event, name) else { return };
        let instance_type = node.instance_type;
        match node.started.take() {
            Some(interval) => self.life.instances.extend(interval.end(instance_type, ms)),
            None => self.warn(event, "stops a node that was not started; nothing counts before it"),
        }
    }

    fn upgrade(&mut self, event: &Event<'_>, name: &str, instance_type: &'h str, ms: i64) {
        let Some(node) = self.node(event, name) else { return };
        if let Some(interval) = &mut node.started {
            let span =
                InstanceSpan { instance_type: node.instance_type, from_ms: interval.since_ms, to_ms: ms };
            interval.before.push(span);
            interval.since_ms = ms;
        }
        node.instance_type = instance_type;
    }

    fn change_volume(
        &mut self,
        event: &Event<'_>,
        name: &str,
        ms: i64,
        change: impl FnOnce(&mut VolumeSpan<'h>),
    ) {
        let Some(node) = self.node(event, name) else { return };
        let ended = VolumeSpan { to_ms: ms, ..node.volume };
        node.volume.from_ms = ms;
        change(&mut node.volume);
        self.life.volumes.push(ended);
    }

    fn delete(&mut self, ms: i64) {
        self.life.deleted_ms = Some(ms);
        self.close_all(ms);
    }

    fn close_all(&mut self, ms: i64) {
        for (_, node) in std::mem::take(&mut self.nodes) {
            self.life.close(node, ms);
        }
    }

    fn end(mut self, now_ms: i64) -> Life<'h> {
        self.close_all(now_ms);
        self.life
    }
}

impl<'h> Life<'h> {
    fn close(&mut self, node: Node<'h>, ms: i64) {
        self.volumes.push(VolumeSpan { to_ms: ms, ..node.volume });
        if let Some(interval) = node.started {
            self.instances.extend(interval.end(node.instance_type, ms));
        }
    }
}
