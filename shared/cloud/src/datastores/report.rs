//! The usage report, streamed: histories are read, measured and written batch after batch; memory does not grow with their number.

use billing::usage::{CSV_COLUMNS, Life, Retention, Rounded, Window, csv_rows, json_row};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::Stream;
use futures::stream::try_unfold;
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
    format: ReportFormat,
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
        Self { window, cutoff_ms: retention.cutoff_ms(now), format }
    }

    /// Writes it from what is kept now.
    ///
    /// # Errors
    /// [`DatastoresError`] if it cannot begin; what goes wrong later is the stream's last item.
    pub async fn stream(self, datastores: &Datastores) -> Result<ReportStream, DatastoresError> {
        let held = datastores.held().await?;
        let histories = datastores.histories().await?;
        let (send, batches) = mpsc::channel(WORKERS);
        let reading = tokio::spawn(self.read(histories, send));
        let writing = Writing { report: self, held: held.into_iter().collect(), batches, reading, egress: 0 };
        Ok(Box::pin(try_unfold((Stage::Beginning, writing), Writing::step)))
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
            let Some(life) = Life::of(&history, self.window.now_ms()) else { continue };
            if !life.is_listed(&self.window, self.cutoff_ms) {
                continue;
            }
            let usage = life.measure(&self.window);
            measured.egress_nano_gib += usage.egress_nano_gib;
            match self.format {
                ReportFormat::Csv => csv_rows(&usage, &mut csv).map_err(|error| failed(&error))?,
                ReportFormat::Json => {
                    json.push(b',');
                    json_row(&usage, &mut json).map_err(|error| failed(&error))?;
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

    /// The total, the window, and the files that are not in it because they are held.
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
        end.push_str("}\n");
        Bytes::from(end)
    }
}
