//! Whose a datastore was, from when on.
//!
//! It belongs to the customer of its creation until an event names another one: `datastore.transferred`, or any other event as long as
//! there was none of those. A reference that changes divides the usage of a customer just so; one that becomes known does not.

use super::event::{Change, Event};
use super::life::Living;

/// A customer, until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner<'h> {
    pub(super) customer_id: &'h str,
    /// What the customer calls it, or whom the seller calls the customer.
    pub(super) reference: Option<&'h str>,
    pub(super) from_ms: i64,
}

impl<'h> Owner<'h> {
    /// Whom an event names.
    pub(super) fn of(event: &'h Event<'_>, from_ms: i64) -> Self {
        Self { customer_id: &event.customer_id, reference: event.customer_reference.as_deref(), from_ms }
    }

    /// Whether both are the same customer under the same reference.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.customer_id, self.reference) == (other.customer_id, other.reference)
    }
}

impl<'h> Living<'h> {
    /// Takes notice of whose the datastore is by an event.
    pub(super) fn own(&mut self, event: &'h Event<'h>, ms: i64) {
        let named = Owner::of(event, ms);
        let Some(owner) = self.life.owners.last().copied() else { return };
        let is_transfer = event.change == Change::Transferred;
        if named.customer_id == owner.customer_id {
            self.refer(event, owner, named);
        } else if event.at.ms() < self.life.created_ms {
            self.warn(event, "names another customer; the one of the creation counts");
        } else if event.change == Change::Deleted {
            self.warn(event, "names another customer; nothing is left to pass to them");
        } else if self.is_transferred && !is_transfer {
            self.warn(event, "names another customer than the last transfer; that one counts");
        } else if !is_transfer && self.is_late(event, |former| former.customer_id == named.customer_id) {
            self.warn(event, "names the customer that had it a moment before; it counts for the new one");
        } else {
            let what = format!(
                "passes the datastore from customer '{}' to '{}'; usage is theirs from then on",
                owner.customer_id, named.customer_id
            );
            self.warn(event, &what);
            self.life.owners.push(named);
        }
        self.is_transferred |= is_transfer;
    }

    /// The same customer, maybe by another reference.
    fn refer(&mut self, event: &Event<'_>, owner: Owner<'h>, named: Owner<'h>) {
        match (owner.reference, named.reference) {
            (None, Some(_)) => {
                if let Some(owner) = self.life.owners.last_mut() {
                    owner.reference = named.reference; // known at last
                }
            }
            // of what came before the creation, nothing changes what that says
            (Some(known), Some(new)) if known != new && event.at.ms() >= self.life.created_ms => {
                if self.is_late(event, |former| former.is(&named)) {
                    return self
                        .warn(event, "names the reference of a moment before; it counts for the new one");
                }
                let what = format!(
                    "changes the customer's reference from '{known}' to '{new}'; it counts from then on"
                );
                self.warn(event, &what);
                self.life.owners.push(named);
            }
            _ => {}
        }
    }

    /// Whether an event came just after the datastore was passed on, and names who had it until then.
    fn is_late(&self, event: &Event<'_>, names: impl Fn(&Owner<'h>) -> bool) -> bool {
        let [.., former, owner] = self.life.owners.as_slice() else { return false };
        event.at.ms() - owner.from_ms <= self.tolerance.ms() && names(former)
    }
}
