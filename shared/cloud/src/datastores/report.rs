//! The usage report, streamed: histories are read, measured and written batch after batch; memory does not grow with their number.

use billing::usage::{CSV_COLUMNS, Life, Retention, Rounded, Tolerance, Window, csv_rows, json_row};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use futures::Stream;
use futures::stream::try_unfold;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Datastores, DatastoresError, Group, Histories};

/// Bytes of histories measured at once, by each of [`WORKERS`].
const BATCH_BYTES: usize = 512 * 1024;
/// Batches that are measured while others are read and sent.
const WORKERS: usize = 3;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// One document.
    Json,
    /// A row for each datastore and resource, with a header.
    Csv,
}

/// A report that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    window: Window,
    cutoff_ms: i64,
    now_ms: i64,
    tolerance: Tolerance,
    format: ReportFormat,
}

/// A report that begins: what must be known before its first byte, and its pieces.
pub struct BegunReport {
    /// Files that are held: their events are not in it.
    pub held: Vec<String>,
    /// Datastores that are not in it because they were deleted too long ago; nothing if there are none.
    pub forgotten: Option<Forgotten>,
    /// The report.
    pub pieces: ReportStream,
}

/// Datastores that a report leaves out because their deletion is longer ago than they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// How many.
    pub datastores: u64,
    /// The last day, looking back, of which nothing is missing.
    pub complete_from: NaiveDate,
}

/// A report as it is written, piece by piece. Its end is proof that it is whole: a report that breaks off ends with an error.
pub type ReportStream = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, DatastoresError>> + Send>>;

/// What a worker makes of a batch.
struct Measured {
    text: Vec<u8>,
    egress_nano_gib: i128,
}

type Batches = mpsc::Receiver<JoinHandle<Result<Measured, DatastoresError>>>;

impl Report {
    /// The report of a window; what was deleted longer ago than `retention` is not in it.
    #[must_use]
    pub fn new(window: Window, retention: Retention, now: DateTime<Utc>, format: ReportFormat) -> Self {
        let (cutoff_ms, now_ms) = (retention.cutoff_ms(now), now.timestamp_millis());
        Self { window, cutoff_ms, now_ms, tolerance: Tolerance::default(), format }
    }

    /// Writes it from what is kept now.
    ///
    /// # Errors
    /// [`DatastoresError`] if it cannot begin; what goes wrong later is the stream's last item.
    pub async fn begin(mut self, datastores: &Datastores) -> Result<BegunReport, DatastoresError> {
        self.tolerance = datastores.tolerance;
        let held: Vec<String> = datastores.held().await?.into_iter().collect();
        let forgotten = self.forgotten(datastores).await?;
        let histories = datastores.histories().await?;
        let (send, batches) = mpsc::channel(WORKERS);
        let reading = tokio::spawn(self.read(histories, send));
        let writing = Writing { report: self, held: held.clone(), forgotten, batches, reading, egress: 0 };
        let pieces = Box::pin(try_unfold((Stage::Beginning, writing), Writing::step));
        Ok(BegunReport { held, forgotten, pieces })
    }

    /// Which datastores it leaves out. Only a window that reaches back beyond what is kept is looked through for them.
    async fn forgotten(self, datastores: &Datastores) -> Result<Option<Forgotten>, DatastoresError> {
        if self.window.from_ms() >= self.cutoff_ms {
            return Ok(None);
        }
        let (mut histories, mut count) = (datastores.histories().await?, 0);
        loop {
            let batch = histories.batch(BATCH_BYTES).await?;
            if batch.is_empty() {
                break;
            }
            let counted = spawn_blocking(move || self.count_forgotten(&batch)).await;
            count += counted.map_err(|error| DatastoresError::Write(error.to_string()))??;
        }
        let cutoff = DateTime::<Utc>::from_timestamp_millis(self.cutoff_ms).unwrap_or_default();
        let forgotten = Forgotten { datastores: count, complete_from: cutoff.date_naive() };
        Ok((count > 0).then_some(forgotten))
    }

    fn count_forgotten(&self, batch: &[Group]) -> Result<u64, DatastoresError> {
        let mut count = 0;
        for group in batch {
            let history = group.history()?;
            let is_gone = history.ended_before(self.cutoff_ms, self.now_ms);
            let life = is_gone.then(|| Life::of(&history, self.now_ms, self.tolerance)).flatten();
            count += u64::from(life.is_some_and(|life| life.is_forgotten(&self.window, self.cutoff_ms)));
        }
        Ok(count)
    }

    /// Reads all histories and gives them to workers, in their order.
    async fn read(
        self,
        mut histories: Histories,
        send: mpsc::Sender<JoinHandle<Result<Measured, DatastoresError>>>,
    ) -> Result<(), DatastoresError> {
        loop {
            let batch = histories.batch(BATCH_BYTES).await?;
            if batch.is_empty() {
                return Ok(());
            }
            let Ok(place) = send.reserve().await else { return Ok(()) }; // nobody wants it any more
            place.send(spawn_blocking(move || self.measure(&batch)));
        }
    }

    fn measure(&self, batch: &[Group]) -> Result<Measured, DatastoresError> {
        let mut measured = Measured { text: Vec::with_capacity(BATCH_BYTES), egress_nano_gib: 0 };
        let mut csv = csv::Writer::from_writer(&mut measured.text);
        let mut json = Vec::new();
        let failed = |error: &dyn std::fmt::Display| DatastoresError::Write(error.to_string());
        for group in batch {
            let history = group.history()?;
            let life = Life::of(&history, self.window.now_ms(), self.tolerance);
            let Some(life) = life else { continue };
            if !life.is_listed(&self.window, self.cutoff_ms) {
                continue;
            }
            for usage in life.measure(&self.window) {
                measured.egress_nano_gib += usage.egress_nano_gib;
                match self.format {
                    ReportFormat::Csv => csv_rows(&usage, &mut csv).map_err(|error| failed(&error))?,
                    ReportFormat::Json => {
                        json.push(b',');
                        json_row(&usage, &mut json).map_err(|error| failed(&error))?;
                    }
                }
            }
        }
        csv.flush().map_err(|error| failed(&error))?;
        drop(csv);
        if self.format == ReportFormat::Json {
            measured.text = json;
        }
        Ok(measured)
    }
}

#[derive(Clone, Copy)]
enum Stage {
    Beginning,
    /// Whether a datastore has been written.
    Rows(bool),
    End,
}

struct Writing {
    report: Report,
    held: Vec<String>,
    forgotten: Option<Forgotten>,
    batches: Batches,
    reading: JoinHandle<Result<(), DatastoresError>>,
    egress: i128,
}

impl Writing {
    async fn step(
        (stage, mut writing): (Stage, Self),
    ) -> Result<Option<(Bytes, (Stage, Self))>, DatastoresError> {
        let any = match stage {
            Stage::Beginning => {
                let beginning = writing.beginning();
                return Ok(Some((beginning, (Stage::Rows(false), writing))));
            }
            Stage::Rows(any) => any,
            Stage::End => return Ok(None),
        };
        let ended = |error: tokio::task::JoinError| DatastoresError::Write(error.to_string());
        while let Some(batch) = writing.batches.recv().await {
            let measured = batch.await.map_err(ended)??;
            writing.egress += measured.egress_nano_gib;
            let mut text = Bytes::from(measured.text);
            if text.is_empty() {
                continue;
            }
            if writing.report.format == ReportFormat::Json && !any {
                let _comma = text.split_to(1);
            }
            return Ok(Some((text, (Stage::Rows(true), writing))));
        }
        (&mut writing.reading).await.map_err(ended)??;
        let end = writing.end();
        Ok(Some((end, (Stage::End, writing))))
    }

    fn beginning(&self) -> Bytes {
        match self.report.format {
            ReportFormat::Json => Bytes::from_static(b"{\"datastores\":["),
            ReportFormat::Csv => Bytes::from(format!("{}\n", CSV_COLUMNS.join(","))),
        }
    }

    /// The total, the window, and what is not in it: files that are held, datastores that are forgotten.
    fn end(&self) -> Bytes {
        if self.report.format == ReportFormat::Csv {
            return Bytes::new();
        }
        let window = &self.report.window;
        let egress = Rounded::quotient(self.egress, 1_000_000_000);
        let mut end = format!(
            "],\"network_egress_usage_gib\":{egress},\"from\":\"{}\",\"to\":\"{}\"",
            window.from(),
            window.to()
        );
        if !self.held.is_empty() {
            end += &format!(",\"held_files\":{}", json!(self.held));
        }
        if let Some(forgotten) = &self.forgotten {
            end += &format!(",\"forgotten\":{}", json!(forgotten));
        }
        end.push_str("}\n");
        Bytes::from(end)
    }
}
