//! Data files from the export's bucket into ours: streamed, checked, each under the name of its content.

use billing::keys::InvoiceKey;
use billing::manifest::Part;
use billing::month::BillingMonth;
use cloud::bucket::{Bucket, Spool};

use crate::bill::Draft;
use crate::error::{CopyError, MonthError};
use crate::export::{DataFile, Delivery, Export};
use crate::fetcher::Fetcher;
use crate::pages::Beside;

impl Fetcher {
    /// Copies a month of an export; nothing if AWS has delivered nothing of it.
    pub(crate) async fn copy_export(
        &self,
        bucket: &Bucket,
        export: &Export,
        month: BillingMonth,
    ) -> Result<Option<Draft>, MonthError> {
        let Some(delivery) = export.delivery(month).await? else { return Ok(None) };
        let bill = self.name(month, &export.name)?;
        let mut parts = Vec::with_capacity(delivery.files.len());
        for file in &delivery.files {
            let copied = self.retry.run(|| self.copy_file(bucket, export, &delivery, file, &bill)).await?;
            parts.push(copied);
        }
        let now = export.bucket.get(&delivery.manifest_key, None).await?;
        if now.is_none_or(|now| now.bytes != delivery.manifest) {
            return Err(CopyError::Refreshed { manifest: delivery.manifest_key }.into());
        }
        let invoices = self.invoices(month).await?;
        let names = if delivery.has_account_names { None } else { Some(self.account_names().await?) };
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
        bucket: &Bucket,
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
        Ok(bucket.keep(bill, file.extension, file.source.clone(), spool).await?)
    }
}
