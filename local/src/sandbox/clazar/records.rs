//! What the sandbox holds, and the file that it survives in.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::files;

/// A metering record that was accepted. There is one for a contract, a dimension and an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRecord {
    /// The contract.
    pub contract_id: String,
    /// The dimension.
    pub dimension: String,
    /// The hour in which it starts: RFC 3339, UTC.
    pub hour: String,
    /// The quantity, as it came.
    pub quantity: String,
    /// The marketplace.
    pub cloud: String,
    /// Start, as it came.
    pub start_time: String,
    /// End, as it came.
    pub end_time: String,
    /// What it was accepted as.
    pub id: String,
}

/// Contract, dimension and hour.
pub(super) type Slot = (String, String, String);

#[derive(Clone, Debug, Default)]
pub(super) struct HeldRecords {
    held: BTreeMap<Slot, HeldRecord>,
    file: Option<Arc<File>>,
}

impl HeldRecord {
    pub(super) fn slot(&self) -> Slot {
        (self.contract_id.clone(), self.dimension.clone(), self.hour.clone())
    }
}

impl HeldRecords {
    pub(super) fn in_file(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            files::make_folders(folder)?;
        }
        let file = File::options().create(true).append(true).read(true).mode(0o600).open(path)?;
        let bytes = fs::read(path)?;
        // what follows the last complete line was being written when the process was killed, and never answered
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(complete as u64)?;
        let mut held = BTreeMap::new();
        for (index, line) in bytes[..complete].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let record: HeldRecord = serde_json::from_slice(line).map_err(|error| {
                let message = format!("{} line {}: {error}", path.display(), index + 1);
                io::Error::new(io::ErrorKind::InvalidData, message)
            })?;
            held.insert(record.slot(), record);
        }
        Ok(Self { held, file: Some(Arc::new(file)) })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &HeldRecord> {
        self.held.values()
    }

    pub(super) fn has(&self, slot: &Slot) -> bool {
        self.held.contains_key(slot)
    }

    pub(super) fn get(&self, slot: &Slot) -> Option<&HeldRecord> {
        self.held.get(slot)
    }

    /// Holds new records: all of them, or none if they cannot be written.
    pub(super) fn hold(&mut self, new: BTreeMap<Slot, HeldRecord>) -> io::Result<()> {
        if let Some(file) = &self.file {
            append(file, &new)?;
        }
        self.held.extend(new);
        Ok(())
    }
}

fn append(mut file: &File, new: &BTreeMap<Slot, HeldRecord>) -> io::Result<()> {
    let mut lines = Vec::new();
    for record in new.values() {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    let before = file.metadata()?.len();
    file.write_all(&lines).and_then(|()| file.flush()).inspect_err(|_| {
        let _ = file.set_len(before); // half a line must not stand before the next one
    })
}
