//! A life measured in a window, for each customer that it had there: exact sums, each a quotient that is rounded when it is written.

use super::life::{Flow, Life};
use super::owner::Owner;
use super::quantity::{Rounded, rfc3339};
use super::window::Window;

pub(super) const MS_PER_HOUR: i128 = 3_600_000;
pub(super) const NANO: i128 = 1_000_000_000;

/// What one datastore used in a window while it was one customer's. All sums are exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatastoreUsage<'l> {
    /// The life that was measured.
    pub life: &'l Life<'l>,
    /// Whose it was.
    pub customer_id: &'l str,
    /// What the customer called it, or whom the seller called the customer.
    pub customer_reference: Option<&'l str>,
    /// Nodes at the end of the window, or when it was deleted or passed on if that came first.
    pub nodes_count: i64,
    /// By type of instance, in the order of the types.
    pub instances: Vec<InstanceUsage<'l>>,
    /// By type of volume, in the order of the types.
    pub volumes: Vec<VolumeUsage<'l>>,
    /// Traffic out of the datastore, in billionths of a GiB.
    pub egress_nano_gib: i128,
    /// Its backups.
    pub backups: Backups,
    /// What cannot have happened in its history, and what somebody should know, whoever's it was then.
    pub warnings: Vec<String>,
}

/// Time that nodes ran as one type of instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceUsage<'l> {
    /// The type.
    pub instance_type: &'l str,
    /// Sum over the nodes.
    pub ms: i128,
}

/// Storage of one type. A volume counts from its node's addition to its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeUsage<'l> {
    /// The type.
    pub volume_type: &'l str,
    /// Sum over the volumes of the time that they were there.
    pub ms: i128,
    /// Sum of size times time.
    pub nano_gib_ms: i128,
    /// Sum of provisioned I/O operations a second times time.
    pub iops_ms: i128,
}

/// Backups taken and removed in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backups {
    /// How many were taken.
    pub taken: u64,
    /// Their size, in billionths of a GiB.
    pub taken_nano_gib: i128,
    /// How many were removed.
    pub removed: u64,
    /// Their size, in billionths of a GiB.
    pub removed_nano_gib: i128,
}

impl InstanceUsage<'_> {
    /// Hours.
    #[must_use]
    pub fn hours(&self) -> Rounded {
        Rounded::quotient(self.ms, MS_PER_HOUR)
    }
}

impl VolumeUsage<'_> {
    /// GiB times hours.
    #[must_use]
    pub fn gib_per_hours(&self) -> Rounded {
        Rounded::quotient(self.nano_gib_ms, NANO * MS_PER_HOUR)
    }

    /// GiB of a volume of this type, averaged over the time that they were there in the window.
    #[must_use]
    pub fn average_gib(&self) -> Rounded {
        Rounded::quotient(self.nano_gib_ms, NANO * self.ms)
    }

    /// I/O operations a second times hours.
    #[must_use]
    pub fn iops_per_hour(&self) -> Rounded {
        Rounded::quotient(self.iops_ms, MS_PER_HOUR)
    }

    /// I/O operations a second of a volume of this type, averaged likewise.
    #[must_use]
    pub fn iops(&self) -> Rounded {
        Rounded::quotient(self.iops_ms, self.ms)
    }
}

/// A sum of billionths of a GiB as a figure in GiB.
pub(super) fn gib(nano: i128) -> Rounded {
    Rounded::quotient(nano, NANO)
}

impl<'l> Life<'l> {
    /// Whether a report lists it: its life touches the window, and its deletion is not longer ago than the cutoff. One that was deleted at
    /// the very first instant is listed, with nothing used.
    #[must_use]
    pub fn is_listed(&self, window: &Window, cutoff_ms: i64) -> bool {
        let deleted_since = |ms| self.deleted_ms.is_none_or(|deleted| deleted >= ms);
        self.created_ms < window.to_ms() && deleted_since(window.from_ms()) && deleted_since(cutoff_ms)
    }

    /// Whether a report of the window leaves it out because it was deleted before the cutoff. Of one whose creation is not known any more,
    /// nobody knows whether it was there before the window's end: it counts.
    #[must_use]
    pub fn is_forgotten(&self, window: &Window, cutoff_ms: i64) -> bool {
        let was_there = !self.is_creation_known() || self.created_ms < window.to_ms();
        was_there && self.deleted_ms.is_some_and(|ms| (window.from_ms()..cutoff_ms).contains(&ms))
    }

    /// What it used in a window: one entry for each customer that it had there, in the order in which they had it first. Windows that
    /// touch add up.
    #[must_use]
    pub fn measure(&'l self, window: &Window) -> Vec<DatastoreUsage<'l>> {
        let mut usages: Vec<(&Owner<'l>, DatastoreUsage<'l>)> = Vec::new();
        for (index, owner) in self.owners.iter().enumerate() {
            let until_ms = self.owners.get(index + 1).map_or(i64::MAX, |next| next.from_ms);
            let Some(part) = window.within(owner.from_ms, until_ms) else { continue };
            let known = usages.iter().position(|(known, _)| known.is(owner));
            let at = known.unwrap_or_else(|| {
                usages.push((owner, DatastoreUsage::new(self, owner, window)));
                usages.len() - 1
            });
            usages[at].1.count(&part);
        }
        let mut usages: Vec<DatastoreUsage<'l>> = usages.into_iter().map(|(_, usage)| usage).collect();
        for usage in &mut usages {
            usage.instances.sort_unstable();
            usage.volumes.sort_unstable();
        }
        usages
    }

    /// When it was created, RFC 3339.
    #[must_use]
    pub fn created_at(&self) -> String {
        rfc3339(self.created_ms)
    }

    /// When it was deleted, RFC 3339.
    #[must_use]
    pub fn deleted_at(&self) -> Option<String> {
        self.deleted_ms.map(rfc3339)
    }
}

impl<'l> DatastoreUsage<'l> {
    fn new(life: &'l Life<'l>, owner: &Owner<'l>, window: &Window) -> Self {
        Self {
            life,
            customer_id: owner.customer_id,
            customer_reference: owner.reference,
            nodes_count: 0,
            instances: Vec::new(),
            volumes: Vec::new(),
            egress_nano_gib: 0,
            backups: Backups::default(),
            warnings: life.warnings.iter().map(|warning| warning.within(window)).collect(),
        }
    }

    /// Adds what was used in a part of the window.
    fn count(&mut self, window: &Window) {
        let life = self.life;
        let arrived = life.nodes.iter().take_while(|(ms, _)| *ms < window.to_ms());
        self.nodes_count = arrived.map(|(_, change)| i64::from(*change)).sum();
        for span in &life.instances {
            let ms = window.overlap_ms(span.from_ms, span.to_ms);
            if ms > 0 {
                self.instance(span.instance_type).ms += i128::from(ms);
            }
        }
        for span in &life.volumes {
            let ms = i128::from(window.overlap_ms(span.from_ms, span.to_ms));
            if ms > 0 {
                let volume = self.volume(span.volume_type);
                // at most 10^18 billionths x 7.3 x 10^12 ms (230 years): the sum of twenty million such volumes has room in 128 bits,
                // more than a history that fits into memory has
                volume.ms += ms;
                volume.nano_gib_ms += span.gib.nano() * ms;
                volume.iops_ms += i128::from(span.iops) * ms;
            }
        }
        for (_, flow, gib) in life.flows.iter().filter(|(ms, ..)| window.contains_ms(*ms)) {
            let backups = &mut self.backups;
            match flow {
                Flow::Egress => self.egress_nano_gib += gib.nano(),
                Flow::BackupTaken => {
                    backups.taken += 1;
                    backups.taken_nano_gib += gib.nano();
                }
                Flow::BackupRemoved => {
                    backups.removed += 1;
                    backups.removed_nano_gib += gib.nano();
                }
            }
        }
    }

    /// There are few types in one datastore: looking through them is quicker than a map.
    fn instance(&mut self, instance_type: &'l str) -> &mut InstanceUsage<'l> {
        let known = self.instances.iter().position(|usage| usage.instance_type == instance_type);
        let index = known.unwrap_or_else(|| {
            self.instances.push(InstanceUsage { instance_type, ms: 0 });
            self.instances.len() - 1
        });
        &mut self.instances[index]
    }

    fn volume(&mut self, volume_type: &'l str) -> &mut VolumeUsage<'l> {
        let known = self.volumes.iter().position(|usage| usage.volume_type == volume_type);
        let index = known.unwrap_or_else(|| {
            self.volumes.push(VolumeUsage { volume_type, ms: 0, nano_gib_ms: 0, iops_ms: 0 });
            self.volumes.len() - 1
        });
        &mut self.volumes[index]
    }
}
