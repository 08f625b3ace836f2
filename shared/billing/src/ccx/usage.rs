//! What was used, by kind and type, exactly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::Datastore;
use crate::money::{Exact, MoneyError};

/// Usage of a datastore, of a customer's datastores, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Hours that instances ran, by instance type.
    pub instance_hours: BTreeMap<String, Exact>,
    /// What volumes came to, by volume type.
    pub volumes: BTreeMap<String, VolumeHours>,
    /// GiB sent to the network.
    pub network_egress_gib: Exact,
    /// Backups.
    pub backups: BackupUsage,
}

/// What the volumes of one type came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeHours {
    /// GiB x hours: the report's `gib_per_hours`.
    pub gib_hours: Exact,
    /// IOPS x hours: the report's `iops_per_hour`.
    pub iops_hours: Exact,
}

/// Backups and their size in GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the provider's own names")]
pub struct BackupUsage {
    pub taken: Exact,
    pub taken_gib: Exact,
    pub removed: Exact,
    pub removed_gib: Exact,
}

type Combine = fn(Exact, Exact) -> Result<Exact, MoneyError>;

impl Usage {
    /// What one entry of a report says; a type that comes several times is summed.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn of(datastore: &Datastore) -> Result<Self, MoneyError> {
        let mut usage = Self::default();
        for instance in &datastore.instances {
            let hours = usage.instance_hours.entry(instance.instances_type.clone()).or_default();
            *hours = hours.plus(instance.hours)?;
        }
        for volume in &datastore.volumes {
            let sum = usage.volumes.entry(volume.volume_type.clone()).or_default();
            sum.gib_hours = sum.gib_hours.plus(volume.gib_per_hours)?;
            sum.iops_hours = sum.iops_hours.plus(volume.iops_per_hour.unwrap_or_default())?;
        }
        usage.network_egress_gib = datastore.network_egress_gib.unwrap_or_default();
        if let Some(backups) = &datastore.backups {
            usage.backups = BackupUsage {
                taken: backups.taken,
                taken_gib: backups.taken_size_gib,
                removed: backups.removed,
                removed_gib: backups.removed_size_gib,
            };
        }
        Ok(usage)
    }

    /// The sum of both.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn plus(&self, other: &Self) -> Result<Self, MoneyError> {
        self.combine(other, Exact::plus)
    }

    /// What this has more than the other; types of which both have the same are left out.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn minus(&self, other: &Self) -> Result<Self, MoneyError> {
        let mut difference = self.combine(other, Exact::minus)?;
        difference.instance_hours.retain(|_, hours| !hours.is_zero());
        difference.volumes.retain(|_, volume| *volume != VolumeHours::default());
        Ok(difference)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.figures().iter().all(|(_, figure)| figure.is_zero())
    }

    /// Each figure with its name.
    #[must_use]
    pub fn figures(&self) -> Vec<(String, Exact)> {
        let instances =
            self.instance_hours.iter().map(|(name, hours)| (format!("instance_hours {name}"), *hours));
        let volumes = self.volumes.iter().flat_map(|(name, volume)| {
            let figures = [("gib_hours", volume.gib_hours), ("iops_hours", volume.iops_hours)];
            figures.map(|(kind, figure)| (format!("{kind} {name}"), figure))
        });
        let backups = self.backups;
        let others = [
            ("network_egress_gib", self.network_egress_gib),
            ("backups taken", backups.taken),
            ("backups taken_gib", backups.taken_gib),
            ("backups removed", backups.removed),
            ("backups removed_gib", backups.removed_gib),
        ];
        let others = others.map(|(name, figure)| (name.to_owned(), figure));
        instances.chain(volumes).chain(others).collect()
    }

    fn combine(&self, other: &Self, with: Combine) -> Result<Self, MoneyError> {
        let pair = |left: BackupUsage, right: BackupUsage| {
            Ok::<_, MoneyError>(BackupUsage {
                taken: with(left.taken, right.taken)?,
                taken_gib: with(left.taken_gib, right.taken_gib)?,
                removed: with(left.removed, right.removed)?,
                removed_gib: with(left.removed_gib, right.removed_gib)?,
            })
        };
        let volume = |left: VolumeHours, right: VolumeHours| {
            Ok(VolumeHours {
                gib_hours: with(left.gib_hours, right.gib_hours)?,
                iops_hours: with(left.iops_hours, right.iops_hours)?,
            })
        };
        Ok(Self {
            instance_hours: merge(&self.instance_hours, &other.instance_hours, with)?,
            volumes: merge(&self.volumes, &other.volumes, volume)?,
            network_egress_gib: with(self.network_egress_gib, other.network_egress_gib)?,
            backups: pair(self.backups, other.backups)?,
        })
    }
}

/// Each name of either; one that is missing counts as nothing.
fn merge<T: Copy + Default>(
    left: &BTreeMap<String, T>,
    right: &BTreeMap<String, T>,
    with: impl Fn(T, T) -> Result<T, MoneyError>,
) -> Result<BTreeMap<String, T>, MoneyError> {
    let mut merged = left.clone();
    for name in right.keys() {
        merged.entry(name.clone()).or_default();
    }
    for (name, value) in &mut merged {
        *value = with(*value, right.get(name).copied().unwrap_or_default())?;
    }
    Ok(merged)
}
