//! A history lived through once: what ran and what was stored from when to when, whose it was, and what in the history cannot have happened.
//!
//! An impossible event is told as a warning and counted so that nobody pays for what is not proven: it is ignored, or it ends what it
//! would have ended. Events that came within the [`Tolerance`] of one another may have crossed on their way: see [`super::order`].

use std::collections::{BTreeMap, HashMap, HashSet};

use super::event::{Change, Event};
use super::forgone::{Forgone, Warning};
use super::history::History;
use super::owner::Owner;
use super::quantity::Gib;
use super::window::Tolerance;

/// A continuous STARTED interval shorter than this counts nothing.
pub const MINIMUM_INTERVAL_MS: i64 = 15 * 60 * 1000;
/// So many warnings of one datastore are told.
const MOST_WARNINGS: usize = 20;
const NOT_THERE: &str = "is about a node that is not there; ignored";

/// The life of one datastore until now. All times are milliseconds since 1970, all spans half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life<'h> {
    /// The datastore.
    pub datastore: &'h str,
    /// When it was created, or first heard of.
    pub created_ms: i64,
    /// When it was deleted, if it was.
    pub deleted_ms: Option<i64>,
    /// Whose it was, in the order of time.
    pub(super) owners: Vec<Owner<'h>>,
    /// Its type, if its creation is known.
    pub datastore_type: Option<&'h str>,
    /// The database's vendor, if its creation is known.
    pub vendor: Option<&'h str>,
    /// What cannot have happened, and what somebody should know, in the order of time.
    pub(super) warnings: Vec<Warning>,
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
pub(super) struct Node<'h> {
    instance_type: &'h str,
    started: Option<Interval<'h>>,
    /// Since when it has not been started, where it is not.
    pub(super) idle_since_ms: i64,
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
    pub fn of(history: &'h History<'_>, now_ms: i64, tolerance: Tolerance) -> Option<Self> {
        let events = history.events();
        let first = events.first().filter(|first| first.at.ms() <= now_ms)?;
        let created = events.iter().find(|event| matches!(event.change, Change::Created { .. }));
        let created = created.filter(|created| created.at.ms() <= now_ms);
        let begun = created.unwrap_or(first);
        let mut life = Self {
            datastore: history.datastore(),
            created_ms: begun.at.ms(),
            deleted_ms: None,
            owners: vec![Owner::of(begun, begun.at.ms())],
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
            let what = "its creation is not known; it counts from the first event".to_owned();
            life.warnings.push(Warning { what, forgone: None });
        }
        let happened = events.partition_point(|event| event.at.ms() <= now_ms);
        let mut living = Living {
            life,
            events: &events[..happened],
            now_ms,
            tolerance,
            turn: 0,
            done: repeated(&events[..happened]),
            nodes: BTreeMap::new(),
            added: HashSet::new(),
            removed_unknown: HashSet::new(),
            repaired: HashMap::new(),
            is_transferred: false,
        };
        for (index, event) in living.events.iter().enumerate() {
            living.turn = index;
            match living.done.remove(&index) {
                Some(Done::Already) => {}
                Some(Done::Repeated) => {
                    living.ignore(index, "has the id of an earlier event with other content; ignored");
                }
                None => living.happen(index, event.at.ms(), 0),
            }
        }
        Some(living.end())
    }

    /// Whether an event tells of its creation.
    #[must_use]
    pub fn is_creation_known(&self) -> bool {
        self.datastore_type.is_some()
    }
}

/// Why an event is passed over when its turn comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It was taken before its turn.
    Already,
    /// It has the id of an earlier event, and other content.
    Repeated,
}

/// The events that have the id of an earlier one; rarely any.
fn repeated(events: &[Event<'_>]) -> HashMap<usize, Done> {
    let mut ids: Vec<(&str, usize)> =
        events.iter().enumerate().map(|(index, event)| (event.id.as_ref(), index)).collect();
    ids.sort_unstable();
    let pairs = ids.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    pairs.map(|pair| (pair[1].1, Done::Repeated)).collect()
}

/// A life as far as it has come.
pub(super) struct Living<'h> {
    pub(super) life: Life<'h>,
    /// What happened until now.
    pub(super) events: &'h [Event<'h>],
    pub(super) now_ms: i64,
    pub(super) tolerance: Tolerance,
    /// The event whose turn it is.
    pub(super) turn: usize,
    /// Events that do not happen when their turn comes.
    pub(super) done: HashMap<usize, Done>,
    pub(super) nodes: BTreeMap<&'h str, Node<'h>>,
    /// Names of all nodes that there ever were.
    added: HashSet<&'h str>,
    /// Nodes whose removal came before they were added.
    removed_unknown: HashSet<&'h str>,
    /// Names that nodes had before a repair: since when they have another, and which.
    repaired: HashMap<&'h str, (i64, &'h str)>,
    /// Whether it was passed on by an event that says nothing else.
    pub(super) is_transferred: bool,
}

impl<'h> Living<'h> {
    pub(super) fn warn(&mut self, event: &Event<'_>, what: &str) {
        self.warn_of(event, what, |_| None);
    }

    fn warn_of(&mut self, event: &Event<'_>, what: &str, forgone: impl FnOnce(&Self) -> Option<Forgone>) {
        let warning = match self.life.warnings.len() {
            ..MOST_WARNINGS => {
                let Event { at, id, .. } = event;
                let what = format!("{at} {} ({id}) {what}", event.kind());
                Warning { what, forgone: forgone(self) }
            }
            MOST_WARNINGS => Warning { what: "and more".into(), forgone: None },
            _ => return,
        };
        self.life.warnings.push(warning);
    }

    /// Tells that an event does not count, and what it would have come to.
    fn ignore(&mut self, index: usize, what: &str) {
        self.warn_of(&self.events[index], what, |living| living.forgone(index));
    }

    pub(super) fn is_started(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| node.started.is_some())
    }

    /// An event has its turn at a moment, which is its own, or that of an event which it must come before.
    pub(super) fn live(&mut self, index: usize, ms: i64) {
        let event = &self.events[index];
        if let Some(deleted_ms) = self.life.deleted_ms {
            return self.outlive(index, deleted_ms);
        }
        if event.at.ms() < self.life.created_ms {
            self.warn(event, "came before the creation; it counts from there");
        }
        let ms = ms.max(self.life.created_ms);
        self.own(event, ms);
        match &event.change {
            Change::Created { .. } if ms > self.life.created_ms => {
                self.warn(event, "came after another creation; ignored");
            }
            Change::Created { .. } | Change::Transferred => {}
            Change::Deleted => self.delete(ms),
            Change::Egress { .. } | Change::BackupTaken { .. } | Change::BackupRemoved { .. } => {
                self.flow(event, ms);
            }
            Change::NodeAdded { node, instance_type, volume_type, volume_gib, iops } => {
                let volume = VolumeSpan {
                    volume_type,
                    gib: *volume_gib,
                    iops: iops.unwrap_or(0),
                    from_ms: ms,
                    to_ms: ms,
                };
                self.add(index, node, Node { instance_type, started: None, idle_since_ms: ms, volume });
            }
            Change::NodeRemoved { node } => self.remove(index, node, ms),
            Change::NodeRepaired { node, replacement } => self.repair(index, node, replacement, ms),
            Change::NodeStarted { node } => self.start(index, node, ms),
            Change::NodeStopped { node } => self.stop(index, node, ms),
            Change::NodeUpgraded { node, instance_type } => self.upgrade(index, node, instance_type, ms),
            Change::VolumeResized { node, volume_gib } => {
                self.change_volume(index, node, ms, |volume| volume.gib = *volume_gib);
            }
            Change::VolumeTypeChanged { node, volume_type, iops } => {
                self.change_volume(index, node, ms, |volume| {
                    (volume.volume_type, volume.iops) = (volume_type, iops.unwrap_or(0));
                });
            }
        }
    }

    /// After the deletion nothing counts, except traffic and backups that were told a moment too late.
    fn outlive(&mut self, index: usize, deleted_ms: i64) {
        let event = &self.events[index];
        let late_ms = event.at.ms() - deleted_ms;
        if late_ms <= self.tolerance.ms() && self.flow(event, deleted_ms) {
            return self.warn(event, &format!("came {late_ms} ms after the deletion; it counts before it"));
        }
        self.ignore(index, "came after the deletion; ignored");
    }

    /// Counts traffic or a backup; answers whether the event is one of these.
    fn flow(&mut self, event: &Event<'_>, ms: i64) -> bool {
        let (flow, gib) = match &event.change {
            Change::Egress { gib } => (Flow::Egress, gib),
            Change::BackupTaken { gib } => (Flow::BackupTaken, gib),
            Change::BackupRemoved { gib } => (Flow::BackupRemoved, gib),
            _ => return false,
        };
        self.life.flows.push((ms, flow, *gib));
        true
    }

    /// The node that an event is about. One that was repaired a moment ago goes by its new name.
    fn node(&mut self, index: usize, name: &'h str) -> Option<&mut Node<'h>> {
        let event = &self.events[index];
        if self.nodes.contains_key(name) {
            return self.nodes.get_mut(name);
        }
        let (since_ms, replacement) = self.repaired.get(name).copied().unwrap_or((i64::MIN, name));
        let late_ms = event.at.ms().saturating_sub(since_ms);
        if late_ms <= self.tolerance.ms() && self.nodes.contains_key(replacement) {
            self.warn(
                event,
                &format!("came {late_ms} ms after the repair of this node; it counts before it"),
            );
            return self.nodes.get_mut(replacement);
        }
        self.ignore(index, NOT_THERE);
        None
    }

    fn add(&mut self, index: usize, name: &'h str, node: Node<'h>) {
        if self.removed_unknown.remove(name) {
            return self.ignore(index, "came after the removal of this node; it counts nothing");
        }
        if self.nodes.contains_key(name) {
            return self.ignore(index, "adds a node that is there already; ignored");
        }
        self.life.nodes.push((node.volume.from_ms, 1));
        self.added.insert(name);
        self.nodes.insert(name, node);
    }

    fn remove(&mut self, index: usize, name: &'h str, ms: i64) {
        match self.nodes.remove(name) {
            Some(node) => {
                self.life.nodes.push((ms, -1));
                self.life.close(node, ms);
            }
            None if self.added.contains(name) => {
                self.ignore(index, "removes a node that is gone already; ignored");
            }
            None => {
                self.removed_unknown.insert(name);
                self.ignore(index, "removes a node that was not added");
            }
        }
    }

    /// Another machine takes the place of a node: it has its type, its volume and its state. If the replacement was added already, it
    /// stays as it is, and the repaired node just goes.
    fn repair(&mut self, index: usize, name: &'h str, replacement: &'h str, ms: i64) {
        if name == replacement {
            return; // repaired in its place
        }
        if self.nodes.contains_key(replacement) {
            return self.remove(index, name, ms);
        }
        let Some(node) = self.nodes.remove(name) else { return self.ignore(index, NOT_THERE) };
        self.added.insert(replacement);
        self.nodes.insert(replacement, node);
        self.repaired.insert(name, (ms, replacement));
    }

    fn start(&mut self, index: usize, name: &'h str, ms: i64) {
        let Some(node) = self.node(index, name) else { return };
        if node.started.is_some() {
            return self.ignore(index, "starts a node that is started already; ignored");
        }
        node.started = Some(Interval { from_ms: ms, before: Vec::new(), since_ms: ms });
    }

    fn stop(&mut self, index: usize, name: &'h str, ms: i64) {
        let Some(node) = self.node(index, name) else { return };
        let instance_type = node.instance_type;
        match node.started.take() {
            Some(interval) => {
                node.idle_since_ms = ms;
                self.life.instances.extend(interval.end(instance_type, ms));
            }
            None => self.ignore(index, "stops a node that was not started; nothing counts before it"),
        }
    }

    fn upgrade(&mut self, index: usize, name: &'h str, instance_type: &'h str, ms: i64) {
        let Some(node) = self.node(index, name) else { return };
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
        index: usize,
        name: &'h str,
        ms: i64,
        change: impl FnOnce(&mut VolumeSpan<'h>),
    ) {
        let Some(node) = self.node(index, name) else { return };
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

    fn end(mut self) -> Life<'h> {
        self.close_all(self.now_ms);
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
