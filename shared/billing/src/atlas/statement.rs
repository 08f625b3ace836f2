//! One Atlas invoice, allocated and certified: a pure function of the document and the rules.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::charges::charges;
use super::document::{Invoice, InvoiceHead, MalformedInvoice};
use super::reconcile::{LineTotals, Reconcile, Verdict, reconcile};
use super::{CURRENCY, rows_csv};
use crate::allocation::{Allocation, AllocationError, SubAccountCosts, TaxTreatment};
use crate::certificate::{
    Certificate, CertificateError, Certified, CertifiedRest, CertifiedTarget, DocumentRef, Status, Subject,
};
use crate::charge::{Charge, ChargeCategory, ChargesFile, ChargesFileError};
use crate::keys::{self, RawDocumentKey};
use crate::money::{self, MoneyError, format_amount, parse_decimal};
use crate::period::Finality;
use crate::revision::{Revision, sha256_hex};

/// What a person may decide about Atlas invoices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// `ATLAS_RECONCILE`.
    pub reconcile: Reconcile,
    /// `ATLAS_TAX`.
    pub tax: TaxTreatment,
}

impl Rules {
    /// The rules that [`Self::named`] gave, back from a record; nothing if they are not of this version.
    #[must_use]
    pub fn from_named(named: &BTreeMap<String, String>) -> Option<Self> {
        let reconcile = [Reconcile::Auto, Reconcile::Credits, Reconcile::Lines];
        let tax = [TaxTreatment::Name, TaxTreatment::Allocate];
        let all = reconcile.iter().flat_map(|&reconcile| tax.map(|tax| Self { reconcile, tax }));
        all.into_iter().find(|rules| rules.named() == *named)
    }

    /// The rules by name, as certificates and records state them.
    #[must_use]
    pub fn named(self) -> BTreeMap<String, String> {
        let tax = match self.tax {
            TaxTreatment::Name => "name",
            TaxTreatment::Allocate => "allocate",
        };
        BTreeMap::from([
            ("atlas_reconcile".to_owned(), self.reconcile.as_str().to_owned()),
            ("atlas_tax".to_owned(), tax.to_owned()),
        ])
    }
}

/// Why an invoice could not be allocated: the document is at fault.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum StatementError {
    #[error("the bytes hash to {found}, the key says {expected}: the document was cut short or renamed")]
    OtherContent { found: Revision, expected: Revision },
    #[error(transparent)]
    Malformed(#[from] MalformedInvoice),
    #[error("the document is filed under {expected} but says {found}: put it under its own key")]
    WrongPlace { expected: String, found: String },
    #[error(transparent)]
    Money(#[from] MoneyError),
    #[error(transparent)]
    Allocation(#[from] AllocationError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Charges(#[from] ChargesFileError),
}

/// Everything made of one invoice revision.
#[derive(Debug)]
pub struct Statement {
    /// The proof; it lists the other two among its outputs.
    pub certificate: Certificate,
    /// Rows by project, CSV.
    pub rows: Vec<u8>,
    /// FOCUS charges, Parquet.
    pub charges: Vec<u8>,
    /// For the order of revisions: the provider's own time of the last change.
    pub updated: Option<chrono::DateTime<chrono::Utc>>,
}

impl Statement {
    /// Allocates and certifies a document that stands under `key`.
    ///
    /// # Errors
    /// [`StatementError`] if it is not the document that the key names, is no invoice, stands in the wrong place or cannot be added up exactly.
    /// A total that does not match is no error here: the certificate says so.
    pub fn of(key: &RawDocumentKey, document: &[u8], rules: Rules) -> Result<Self, StatementError> {
        let sha256 = sha256_hex(document);
        let found = Revision::of_sha256(&sha256);
        if found != key.revision {
            return Err(StatementError::OtherContent { found, expected: key.revision.clone() });
        }
        let inputs = vec![DocumentRef { key: key.to_string(), sha256 }];
        Self::made_of(key, document, rules, &key.to_string(), inputs)
    }

    /// The same of a document that a person brought: `key` names the invoice and the revision that it becomes, `raw` what it is made
    /// from.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn made_of(
        key: &RawDocumentKey,
        document: &[u8],
        rules: Rules,
        raw: &str,
        inputs: Vec<DocumentRef>,
    ) -> Result<Self, StatementError> {
        let invoice = Invoice::parse(document)?;
        check_place(key, &invoice.head)?;
        let mut file = ChargesFile::create(&[("monthend.raw", raw)])?;
        let mut certificate = certify(key, &invoice, rules, |charge| file.push(charge))?;
        certificate.inputs = inputs;
        let charges = file.finish()?;
        let rows = rows_csv(&certificate)?;
        let place = |key: String| match certificate.status {
            Status::Mismatch => keys::held(&key, &certificate.subject.revision),
            Status::Matched | Status::Explained => key,
        };
        certificate.outputs = vec![
            DocumentRef { key: place(key.invoice.allocations()), sha256: sha256_hex(&rows) },
            DocumentRef { key: place(key.invoice.charges()), sha256: sha256_hex(&charges) },
        ];
        certificate.verify()?;
        Ok(Self { certificate, rows, charges, updated: invoice.head.updated })
    }
}

fn check_place(key: &RawDocumentKey, head: &InvoiceHead) -> Result<(), StatementError> {
    let says = |org: &str, month: &str, id: &str| format!("organisation {org}, month {month}, invoice {id}");
    let invoice = &key.invoice;
    let expected =
        says(invoice.billing_account.as_str(), &invoice.period.to_string(), invoice.invoice_id.as_str());
    let found = says(head.org_id.as_str(), &head.month().to_string(), head.id.as_str());
    if expected == found { Ok(()) } else { Err(StatementError::WrongPlace { expected, found }) }
}

/// The certificate of an invoice, without inputs and outputs; every charge passes through `each` once.
///
/// # Errors
/// [`StatementError`], those of `each` among them.
pub fn certify(
    key: &RawDocumentKey,
    invoice: &Invoice<'_>,
    rules: Rules,
    mut each: impl FnMut(&Charge<'_>) -> Result<(), ChargesFileError>,
) -> Result<Certificate, StatementError> {
    let mut costs = SubAccountCosts::new(CURRENCY);
    let mut lines = LineTotals::default();
    for charge in charges(invoice) {
        let charge = charge?;
        costs.add(&charge)?;
        if charge.charge_category != ChargeCategory::Tax {
            lines.add(charge.billed_cost)?;
        }
        each(&charge)?;
    }
    let (charges_total, projects) = (costs.total(), costs.len());
    let allocation = costs.share(rules.tax)?;
    let first = allocation.targets.first().map(|target| (target.id.as_str(), target.name.as_str()));
    let verdict = reconcile(rules.reconcile, &invoice.head.figures, &lines, projects, first)?;
    let certificate = assemble(key, &invoice.head, rules, charges_total, &allocation, verdict)?;
    certificate.verify()?;
    Ok(certificate)
}

fn assemble(
    key: &RawDocumentKey,
    head: &InvoiceHead,
    rules: Rules,
    charges_total: Decimal,
    allocation: &Allocation,
    verdict: Verdict,
) -> Result<Certificate, StatementError> {
    // amounts with the digits they are shown with
    let shown = |amount: Decimal| parse_decimal(&format_amount(amount, CURRENCY));
    let date = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d").to_string();
    let mut targets = Vec::with_capacity(allocation.targets.len());
    for target in &allocation.targets {
        let carried = verdict.adjustments.iter().filter(|a| a.target.as_ref() == Some(&target.id));
        let adjustment = money::sum(carried.map(|adjustment| adjustment.amount))?;
        targets.push(CertifiedTarget {
            id: target.id.clone(),
            name: target.name.clone(),
            own: shown(target.own)?,
            shared: shown(target.shared)?,
            adjustment: shown(adjustment)?,
            total: shown(money::sum([target.own, target.shared, adjustment])?)?,
        });
    }
    let rest = |rest: &crate::allocation::Unallocated| {
        Ok(CertifiedRest { kind: rest.kind.into(), amount: shown(rest.amount)?, reason: rest.reason.into() })
    };
    let unallocated = allocation.unallocated.iter().map(rest).collect::<Result<_, MoneyError>>()?;
    let open =
        if head.finality() == Finality::Open { "; the month is still open at the provider" } else { "" };
    Ok(Certificate {
        certificate: Certificate::VERSION,
        subject: Subject {
            kind: "invoice".into(),
            provider: key.invoice.provider.clone(),
            billing_account: key.invoice.billing_account.clone(),
            invoice_id: key.invoice.invoice_id.clone(),
            revision: key.revision.clone(),
            period: key.invoice.period,
            start_date: date(head.period.start),
            end_date: date(head.period.end),
            finality: head.finality(),
            provider_status: head.status_name.clone(),
            provider_updated: head.updated_text.clone(),
        },
        currency: CURRENCY.code().into(),
        provider_total: shown(verdict.provider_total)?,
        provider_total_source: verdict.source,
        charges_total: shown(charges_total)?,
        allocated_total: shown(allocation.allocated_total()?)?,
        unallocated_total: shown(allocation.unallocated_total()?)?,
        unexplained: shown(verdict.unexplained)?,
        status: verdict.status,
        explanation: format!("{}{open}", verdict.explanation),
        adjustments: verdict.adjustments,
        targets,
        unallocated,
        provider_figures: serde_json::to_value(&head.figures).map_err(CertificateError::from)?,
        supersedes: None,
        inputs: Vec::new(),
        rules: rules.named(),
        outputs: Vec::new(),
        software: crate::SOFTWARE.into(),
    })
}
