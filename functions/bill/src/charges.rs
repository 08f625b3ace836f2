//! The charges of a month, read file by file: each must be the one that its certificate is about.

use std::fs::File;
use std::sync::Arc;

use billing::bills::{ChargeError, ChargeRow, ChargeRows, Charged, MonthAdder, MonthTotals, Wanted};
use billing::catalog::billing::{Catalog, InForce};
use billing::certificate::{Certificate, Certified, DocumentRef};
use billing::month::BillingMonth;
use cloud::seals::Sealed;

use crate::Reader;
use crate::error::MonthError;
use crate::inputs::Source;

/// The charges of a month, added up.
#[derive(Default)]
pub(crate) struct MonthCharges {
    pub(crate) charged: Charged,
    pub(crate) totals: MonthTotals,
    /// Files of charges and their certificates.
    pub(crate) inputs: Vec<DocumentRef>,
}

impl Reader {
    /// Adds up all charges of a month by the rules of a catalog. Memory does not grow with their number.
    pub(crate) async fn add_up(
        &self,
        month: BillingMonth,
        catalog: &Arc<Catalog>,
        sources: &[Source],
    ) -> Result<MonthCharges, MonthError> {
        let mut all = MonthCharges::default();
        for source in sources {
            let (file, input) = self.certified(source).await?;
            all.inputs.push(input);
            let (catalog, provider) = (catalog.clone(), source.invoice.provider.to_string());
            let added =
                tokio::task::spawn_blocking(move || add_file(all, file, &provider, &catalog, month)).await;
            let added = added.map_err(|error| MonthError::GivenUp(error.to_string()))?;
            let key = source.invoice.charges();
            all = added.map_err(|error| MonthError::Held(format!("{key}: {error}")))?;
        }
        if all.charged.rules.is_none() {
            let in_force = InForce::new(catalog, month);
            let nothing = MonthAdder::new(&in_force).finish();
            all.charged = nothing.map_err(MonthError::held)?;
        }
        Ok(all)
    }

    /// The charges of an invoice in a file, if they are those of its certificate.
    pub(crate) async fn certified(&self, source: &Source) -> Result<(Arc<File>, DocumentRef), MonthError> {
        let key = source.invoice.charges();
        let gone = |key: &str| MonthError::GivenUp(format!("{key} went away while it was read"));
        let sealed = Sealed::of(&source.invoice, &source.revision);
        let certificate = Box::pin(sealed.read(&self.bucket, &self.ledger)).await?;
        let proof = sealed.key;
        let certificate = Certificate::from_json(&certificate.ok_or_else(|| gone(&proof))?);
        let certificate = certificate.map_err(|error| MonthError::Held(format!("{proof}: {error}")))?;
        let certified = certificate.outputs.iter().find(|output| output.key == key);
        let taken = self.bucket.take_in(&key, None).await?.ok_or_else(|| gone(&key))?;
        match certified {
            Some(output) if output.sha256 == taken.sha256 => {
                Ok((Arc::new(taken.file), DocumentRef { key, sha256: taken.sha256 }))
            }
            _ => Err(MonthError::Held(format!(
                "{key} is not what {proof} certifies: its hash is {}; allocate {} again, with \"force\": true",
                taken.sha256, source.invoice
            ))),
        }
    }
}

fn add_file(
    mut all: MonthCharges,
    file: Arc<File>,
    provider: &str,
    catalog: &Catalog,
    month: BillingMonth,
) -> Result<MonthCharges, MonthError> {
    let in_force = InForce::new(catalog, month);
    let mut adder = MonthAdder::new(&in_force);
    let wanted = Wanted { commitments: catalog.bills_effective_costs(), ..Wanted::default() };
    let take = |row: &ChargeRow<'_>| {
        adder.add(&row.facts, row.currency, Some(row.billed), row.effective)?;
        all.totals.add(row).map_err(ChargeError::from)
    };
    ChargeRows::open(file)?.each(provider, wanted, take)?;
    let charged = adder.finish().map_err(MonthError::held)?;
    all.charged.merge(&charged).map_err(MonthError::held)?;
    Ok(all)
}
