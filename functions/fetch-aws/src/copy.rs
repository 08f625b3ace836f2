//! Data files from the export's bucket into ours: streamed, checked, each under the name of its content.

use billing::ids::InvoiceId;
use billing::keys::InvoiceKey;
use billing::manifest::Part;
use billing::month::BillingMonth;
use cloud::bucket::{BucketError, KeepError, Spool};
use cloud::http::Transient;

use crate::App;
use crate::bill::{Beside, Draft};
use crate::error::MonthError;
use crate::export::{DataFile, Delivery, Export};

/// A data file that cannot be kept. `file` is where it stands in the export.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CopyError {
    #[error("{manifest} names {file}, which is not there: the export must be delivered again")]
    Missing { manifest: String, file: String },
    #[error("{file} has {found} bytes, and S3 says {expected}: it was cut short on its way")]
    Short { file: String, found: u64, expected: u64 },
    #[error("{file} is damaged: {why}; the export must be delivered again")]
    Damaged { file: String, why: String },
    #[error(
        "{file} was written after {manifest}: AWS delivers the month at this moment; it is fetched by the next run"
    )]
    Newer { manifest: String, file: String },
    #[error(
        "{manifest} changed while its files were read: AWS delivers the month at this moment; it is fetched by the next run"
    )]
    Refreshed { manifest: String },
    #[error(transparent)]
    Interrupted(BucketError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl Transient for CopyError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Interrupted(_) | Self::Short { .. })
    }
}

impl App {
    /// Copies a month of an export; nothing if AWS has delivered nothing of it.
    pub(crate) async fn copy_export(
        &self,
        export: &Export,
        month: BillingMonth,
    ) -> Result<Option<Draft>, MonthError> {
        let Some(delivery) = export.delivery(month).await? else { return Ok(None) };
        let bill = self.looker.bill(month, InvoiceId::new(&export.name)?);
        let mut parts = Vec::with_capacity(delivery.files.len());
        for file in &delivery.files {
            let copied = self.looker.retry.run(|| self.copy_file(export, &delivery, file, &bill)).await?;
            parts.push(copied);
        }
        let now = export.bucket.get(&delivery.manifest_key, None).await?;
        if now.is_none_or(|now| now.bytes != delivery.manifest) {
            return Err(CopyError::Refreshed { manifest: delivery.manifest_key }.into());
        }
        let invoices = self.looker.invoices(month).await?;
        let names = if delivery.has_account_names { None } else { Some(self.looker.account_names().await?) };
        let source = format!("s3://{}/{}", export.bucket.name(), delivery.manifest_key);
        Ok(Some(Draft {
            bill,
            format: delivery.format,
            parts,
            documents: Vec::new(),
            // it names the execution, which is another one every day: it must not be part of what the bill is
            beside: vec![Beside { extension: "export.json", source, bytes: delivery.manifest }],
            estimated: false,
            invoices,
            sub_account_names: names.unwrap_or_default(),
            note: None,
        }))
    }

    async fn copy_file(
        &self,
        export: &Export,
        delivery: &Delivery,
        file: &DataFile,
        bill: &InvoiceKey,
    ) -> Result<Part, CopyError> {
        let (manifest, name) = (&delivery.manifest_key, &file.key);
        let opened = export.bucket.open(name).await?;
        let missing = || CopyError::Missing { manifest: manifest.clone(), file: name.clone() };
        let mut body = opened.ok_or_else(missing)?;
        if delivery.is_original && body.last_modified() > delivery.manifest_written {
            return Err(CopyError::Newer { manifest: manifest.clone(), file: name.clone() });
        }
        let damaged = |why: String| CopyError::Damaged { file: name.clone(), why };
        let (mut spool, mut integrity) = (Spool::new()?, crate::integrity::Integrity::of(file.extension));
        while let Some(piece) = body.next().await.map_err(CopyError::Interrupted)? {
            integrity.take(&piece).map_err(damaged)?;
            spool.write(&piece).await?;
        }
        if let Some(expected) = body.size_bytes().filter(|expected| *expected != spool.bytes()) {
            return Err(CopyError::Short { file: name.clone(), found: spool.bytes(), expected });
        }
        integrity.finish().map_err(damaged)?;
        Ok(self.bucket.keep(bill, file.extension, file.source.clone(), spool).await?)
    }
}
