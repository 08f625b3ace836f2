//! Sorted lines put aside on the disk: however many files wait, only so many are open at once.

use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::lines::Lines;
use super::merge::Histories;
use super::{DatastoresError, MOST_STREAMS};

/// Histories merged at once.
const BATCH_BYTES: usize = 1024 * 1024;

/// Merges files into one without a name, which goes when it is closed.
pub(super) async fn put_aside(sources: Vec<Lines>) -> Result<Lines, DatastoresError> {
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(DatastoresError::Disk)?);
    let mut histories = Histories::merge(sources).await?;
    let mut lines = Vec::with_capacity(BATCH_BYTES * 2);
    loop {
        let batch = histories.batch(BATCH_BYTES).await?;
        if batch.is_empty() {
            break;
        }
        lines.clear();
        for group in &batch {
            // read also where there is nothing to put together: later nobody knows which file it came from
            let history = group.history()?;
            match group.single() {
                Some(line) => lines.extend_from_slice(line),
                None => {
                    history.write(&mut lines).map_err(|error| DatastoresError::Write(error.to_string()))?
                }
            }
            lines.push(b'\n');
        }
        file.write_all(&lines).await.map_err(DatastoresError::Disk)?;
    }
    file.flush().await.map_err(DatastoresError::Disk)?;
    file.rewind().await.map_err(DatastoresError::Disk)?;
    Ok(Lines::aside(file))
}

/// As few of them as may be open at once.
pub(super) async fn few(mut sources: Vec<Lines>) -> Result<Vec<Lines>, DatastoresError> {
    while sources.len() > MOST_STREAMS {
        let rest = sources.split_off(MOST_STREAMS);
        let merged = put_aside(std::mem::replace(&mut sources, rest)).await?;
        sources.push(merged);
    }
    Ok(sources)
}
