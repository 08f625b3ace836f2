//! Events that crossed on their way.
//!
//! Clocks and queues of a platform are a moment apart: a start is told before the stop that it followed, a new size before the volume.
//! An event that cannot have happened at its turn is put after one that makes it possible, where that came within the tolerance; both
//! happen at the moment of the first. That looks at the set of events only, never at the order in which they arrived.

use super::event::{Change, Event};
use super::life::{Done, Living};
use super::quantity::Moment;

/// An event waits for at most so many others, each of which waits for the next.
const DEEPEST: usize = 8;

impl<'h> Living<'h> {
    /// An event has its turn: what must have come before it comes first.
    pub(super) fn happen(&mut self, index: usize, ms: i64, depth: usize) {
        let event = &self.events[index];
        while depth < DEEPEST
            && let Some(first) = self.first(index)
        {
            self.done.insert(first, Done::Already);
            self.tell(event, first);
            self.happen(first, ms, depth + 1);
        }
        if let Change::NodeStopped { node } = &event.change
            && !self.is_started(node)
            && let Some(start) = self.crossing(index, 0, |change| starts(change, node))
        {
            // at one instant: whichever state it is in, it is in again afterwards
            self.done.insert(start, Done::Already);
            return;
        }
        self.live(index, ms);
    }

    /// What is told of two events that are put in another order; nothing of those of one instant, which have none.
    fn tell(&mut self, event: &Event<'_>, first: usize) {
        let first = &self.events[first];
        if first.at > event.at {
            let late_ms = first.at.ms() - event.at.ms();
            let what = format!(
                "came {late_ms} ms after {} ({}), which cannot have come first; their order was changed",
                event.kind(),
                event.id
            );
            self.warn(first, &what);
        }
    }

    /// The event that must come before this one for it to be possible, if one came within the tolerance.
    fn first(&self, index: usize) -> Option<usize> {
        if self.life.deleted_ms.is_some() {
            return None;
        }
        let tolerance_ms = self.tolerance.ms();
        let later = |wanted: &dyn Fn(&Change<'_>) -> bool| self.crossing(index, tolerance_ms, wanted);
        match &self.events[index].change {
            Change::NodeStarted { node } if self.is_started(node) => {
                let stop = later(&|change| stops(change, node));
                let stop = stop.filter(|_| self.sides(index, starts, stops, node).can_end_up());
                // or it is a new node of the same name
                stop.or_else(|| {
                    let added = later(&|change| adds(change, node));
                    added.and_then(|_| later(&|change| removes(change, node)))
                })
            }
            Change::NodeStopped { node } if self.nodes.contains_key(node.as_ref()) => {
                let start = later(&|change| starts(change, node)).filter(|_| !self.is_started(node));
                start.filter(|start| {
                    // only what comes later can say that it did not go on running
                    self.events[*start].at > self.events[index].at
                        && self.sides(index, starts, stops, node).must_end_down()
                })
            }
            Change::NodeAdded { node, .. } if self.nodes.contains_key(node.as_ref()) => {
                let gone = later(&|change| removes(change, node));
                gone.filter(|gone| {
                    self.events[*gone].at == self.events[index].at
                        || self.sides(index, adds, removes, node).can_end_up()
                })
            }
            Change::NodeRepaired { node, replacement } if self.nodes.contains_key(node.as_ref()) => {
                let stop = later(&|change| stops(change, node)).filter(|_| self.is_started(node));
                // or the other machine is added and started for itself
                let added = later(&|change| adds(change, replacement));
                let is_new = !self.nodes.contains_key(replacement.as_ref());
                let added =
                    added.filter(|_| is_new && later(&|change| starts(change, replacement)).is_some());
                stop.or(added)
            }
            Change::NodeStarted { node }
            | Change::NodeStopped { node }
            | Change::NodeUpgraded { node, .. }
            | Change::NodeRepaired { node, .. }
            | Change::VolumeResized { node, .. }
            | Change::VolumeTypeChanged { node, .. }
                if !self.nodes.contains_key(node.as_ref()) =>
            {
                later(&|change| match change {
                    Change::NodeRepaired { node: repaired, replacement } => {
                        replacement == node && self.nodes.contains_key(repaired.as_ref())
                    }
                    other => adds(other, node),
                })
            }
            _ => None,
        }
    }

    /// The next event of a kind within so many milliseconds that has not had its turn.
    fn crossing(&self, index: usize, within_ms: i64, wanted: impl Fn(&Change<'_>) -> bool) -> Option<usize> {
        self.near(index, within_ms).find(|(_, event)| wanted(&event.change)).map(|(index, _)| index)
    }

    /// The other events within so many milliseconds that have not had their turn; within none, those of the same instant. Some came before
    /// this one, if it was taken before its turn.
    fn near(&self, index: usize, within_ms: i64) -> impl Iterator<Item = (usize, &'h Event<'h>)> {
        let at = self.events[index].at;
        let rest = self.events.iter().enumerate().skip(self.turn + 1);
        let until = rest.take_while(move |(_, event)| event.at < at || is_near(event, at, within_ms));
        until.filter(move |(other, event)| {
            *other != index && is_near(event, at, within_ms) && !self.done.contains_key(other)
        })
    }

    /// What comes of a node around an event, and after it. `up` and `down` are a start and a stop, or an addition and a removal.
    fn sides(&self, index: usize, up: Kind, down: Kind, node: &str) -> Sides {
        let (at, tolerance_ms) = (self.events[index].at, self.tolerance.ms());
        let around =
            || [&self.events[index]].into_iter().chain(self.near(index, tolerance_ms).map(|near| near.1));
        let count = |kind: Kind| around().filter(|event| kind(&event.change, node)).count();
        let mut sides = Sides { ups: count(up), downs: count(down), is_next_up: false };
        let mut rest = self.events[index..].iter();
        let mut before = at;
        while let Some(next) = rest.find(|event| {
            let change = &event.change;
            let is_of_it = up(change, node) || down(change, node) || removes(change, node);
            !is_near(event, before, tolerance_ms) && (is_of_it || *change == Change::Deleted)
        }) {
            sides.is_next_up = up(&next.change, node);
            let mut crossing = rest.clone().take_while(|event| is_near(event, next.at, tolerance_ms));
            let is_down = |event: &Event<'_>| down(&event.change, node) || removes(&event.change, node);
            if !sides.is_next_up || !crossing.any(is_down) {
                break;
            }
            // those two may have crossed as well: what comes after them may tell
            (sides.is_next_up, before) = (false, next.at);
        }
        sides
    }
}

/// Whether an event is of a kind, about a node.
type Kind = fn(&Change<'_>, &str) -> bool;

/// Whether an event is within so many milliseconds of a moment; within none, at that very moment.
fn is_near(event: &Event<'_>, at: Moment, within_ms: i64) -> bool {
    event.at == at || (within_ms > 0 && (event.at.ms() - at.ms()).abs() <= within_ms)
}

/// What comes of a node within the tolerance of an event, and what is sure to come first after that.
struct Sides {
    ups: usize,
    downs: usize,
    is_next_up: bool,
}

impl Sides {
    /// Whether what follows is possible if the node is up after it, or down by one more event of these.
    fn can_end_up(&self) -> bool {
        !self.is_next_up || self.downs > self.ups
    }

    /// Whether what follows is possible only if the node is down after it.
    fn must_end_down(&self) -> bool {
        self.is_next_up && self.downs >= self.ups
    }
}

fn starts(change: &Change<'_>, name: &str) -> bool {
    matches!(change, Change::NodeStarted { node } if node == name)
}

fn stops(change: &Change<'_>, name: &str) -> bool {
    matches!(change, Change::NodeStopped { node } if node == name)
}

fn adds(change: &Change<'_>, name: &str) -> bool {
    matches!(change, Change::NodeAdded { node, .. } if node == name)
}

fn removes(change: &Change<'_>, name: &str) -> bool {
    matches!(change, Change::NodeRemoved { node } if node == name)
}
