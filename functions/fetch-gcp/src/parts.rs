//! The rows of a result, kept as they came.
//!
//! BigQuery's answers name the job, the bytes that it read, tokens of pages: all of that is another in the next fetch of the
//! same rows, and where a page ends is BigQuery's affair. What is kept is `schema` and each row byte by byte as received, in
//! documents of a fixed number of rows: the same rows give the same documents.

use billing::keys::InvoiceKey;
use billing::manifest::Part;
use cloud::bucket::{Bucket, KeepError, Spool};
use cloud::peer::PeerError;

use crate::error::GcpError;
use crate::page::Page;

/// Rows of one document: about 6 MB.
pub(crate) const ROWS_PER_PART: usize = 10_000;
/// What is gathered before it goes to the disk.
const BUFFER_BYTES: usize = 256 * 1024;

/// Takes rows in, page by page, and keeps them in documents.
pub(crate) struct Parts<'b> {
    bucket: &'b Bucket,
    bill: &'b InvoiceKey,
    source: &'b str,
    job: String,
    rows_per_part: usize,
    schema: Option<String>,
    /// What the result has by its own account.
    expected: Option<u64>,
    received: u64,
    open: Option<Document>,
    kept: Vec<Part>,
}

/// A document being written.
struct Document {
    spool: Spool,
    buffer: Vec<u8>,
    rows: usize,
}

/// Why rows are not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartsError {
    #[error(transparent)]
    Gcp(#[from] GcpError),
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl<'b> Parts<'b> {
    pub(crate) fn new(
        bucket: &'b Bucket,
        bill: &'b InvoiceKey,
        source: &'b str,
        job: &str,
        rows_per_part: usize,
    ) -> Self {
        let (schema, expected, open) = (None, None, None);
        let (job, kept) = (job.to_owned(), Vec::new());
        Self { bucket, bill, source, job, rows_per_part, schema, expected, received: 0, open, kept }
    }

    /// Takes in a page: its rows follow those before.
    pub(crate) async fn take(&mut self, page: &Page<'_>) -> Result<(), PartsError> {
        self.check(page)?;
        for row in page.rows() {
            self.row(row.get()).await?;
        }
        Ok(())
    }

    /// All documents, if the rows are all there.
    pub(crate) async fn finish(mut self) -> Result<(u64, Vec<Part>), PartsError> {
        self.close().await?;
        match self.expected {
            Some(expected) if expected == self.received => Ok((self.received, self.kept)),
            expected => Err(self.lost(expected.unwrap_or_default()).into()),
        }
    }

    fn check(&mut self, page: &Page<'_>) -> Result<(), GcpError> {
        let unexpected = |reason| GcpError::from(PeerError::unexpected(&self.job, reason));
        let total = page.total_rows().ok_or_else(|| unexpected("a page says no totalRows"))?;
        if *self.expected.get_or_insert(total) != total {
            return Err(unexpected("pages of one result do not agree on totalRows"));
        }
        match (&self.schema, page.schema) {
            (None, None) => return Err(unexpected("the first page has no schema")),
            (None, Some(schema)) => self.schema = Some(schema.get().to_owned()),
            (Some(known), Some(schema)) if known != schema.get() => {
                return Err(unexpected("pages of one result do not agree on the schema"));
            }
            (Some(_), _) => {}
        }
        self.received += page.rows().len() as u64;
        if self.received > total { Err(self.lost(total)) } else { Ok(()) }
    }

    fn lost(&self, expected: u64) -> GcpError {
        GcpError::RowsLost { job: self.job.clone(), expected, received: self.received }
    }

    async fn row(&mut self, row: &str) -> Result<(), PartsError> {
        let document = match &mut self.open {
            Some(document) => document,
            None => {
                let schema = self.schema.as_deref().unwrap_or("null"); // every page was checked for it
                let buffer = format!("{{\"schema\":{schema},\"rows\":[\n").into_bytes();
                self.open.insert(Document { spool: Spool::new()?, buffer, rows: 0 })
            }
        };
        if document.rows > 0 {
            document.buffer.extend_from_slice(b",\n");
        }
        document.buffer.extend_from_slice(row.as_bytes());
        document.rows += 1;
        if document.buffer.len() >= BUFFER_BYTES {
            document.spool.write(&document.buffer).await?;
            document.buffer.clear();
        }
        if document.rows == self.rows_per_part { self.close().await } else { Ok(()) }
    }

    async fn close(&mut self) -> Result<(), PartsError> {
        let Some(mut document) = self.open.take() else { return Ok(()) };
        document.buffer.extend_from_slice(b"\n]}\n");
        document.spool.write(&document.buffer).await?;
        let first = self.kept.len() * self.rows_per_part + 1;
        let source = format!("{} rows {first}-{}", self.source, first + document.rows - 1);
        self.kept.push(self.bucket.keep(self.bill, "json", source, document.spool).await?);
        Ok(())
    }
}
