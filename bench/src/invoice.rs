//! Atlas invoices of any size.
//!
//! The lines are those that the Administration API sends: one per project, day and SKU, a few of a project after
//! each other, then the next project. One line in 1,000 belongs to the whole organisation, one in 500 is a credit.

use std::error::Error;
use std::io::{self, Write};

use billing::ids::{BillingAccountId, InvoiceId, Provider};
use billing::keys::{InvoiceKey, RawDocumentKey};
use billing::month::BillingMonth;
use billing::revision::Revision;

use crate::random::Random;

const ORGANISATION: &str = "5f3c1b2a9d8e7f6051423364";
const INVOICE: &str = "690549d0c3a1b2e4f5061728";
const LINES_PER_PROJECT_AND_DAY: u64 = 5;

/// How large an invoice is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Line items.
    pub lines: u64,
    /// Projects among which they are spread.
    pub projects: u64,
}

/// What is charged for.
struct Sku {
    name: &'static str,
    /// Whether its lines name a cluster.
    cluster: bool,
    /// In ten-thousandths of a dollar.
    price: u64,
    /// The quantity is the hours of a day, else anything with six decimals.
    hourly: bool,
}

const SKUS: [Sku; 5] = [
    Sku { name: "ATLAS_AWS_INSTANCE_M30", cluster: true, price: 5_400, hourly: true },
    Sku { name: "ATLAS_AWS_STANDARD_STORAGE", cluster: true, price: 37, hourly: false },
    Sku { name: "ATLAS_AWS_BACKUP_SNAPSHOT_STORAGE", cluster: true, price: 61, hourly: false },
    Sku { name: "ATLAS_AWS_DATA_TRANSFER_INTERNET", cluster: false, price: 900, hourly: false },
    Sku { name: "ATLAS_AWS_PRIVATE_ENDPOINT", cluster: false, price: 100, hourly: true },
];

/// Sums over the lines, in cents.
#[derive(Default)]
struct Sums {
    positive: i64,
    negative: i64,
}

/// Writes an invoice. The same size gives the same bytes.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, size: Size) -> io::Result<()> {
    let mut random = Random::new(1);
    let mut sums = Sums::default();
    write!(
        out,
        r#"{{"created":"2026-10-01T01:10:00Z","endDate":"2026-11-01T00:00:00Z","id":"{INVOICE}","lineItems":["#
    )?;
    for index in 0..size.lines {
        if index > 0 {
            out.write_all(b",")?;
        }
        write_line(out, index, size.projects.max(1), &mut random, &mut sums)?;
    }
    let Sums { positive, negative } = sums;
    write!(
        out,
        r#"],"linkedInvoices":[],"orgId":"{ORGANISATION}","payments":[],"refunds":[],"salesTaxCents":0,"#
    )?;
    write!(
        out,
        r#""startDate":"2026-10-01T00:00:00Z","startingBalanceCents":0,"statusName":"PREPAID","creditsCents":{},"subtotalCents":{positive},"updated":"2026-11-01T06:30:00Z"}}"#,
        positive + negative
    )
}

fn write_line(
    out: &mut impl Write,
    index: u64,
    projects: u64,
    random: &mut Random,
    sums: &mut Sums,
) -> io::Result<()> {
    let (run, place) = (index / LINES_PER_PROJECT_AND_DAY, index % LINES_PER_PROJECT_AND_DAY);
    let (project, day) = (run % projects, run / projects % 30 + 1);
    let dates = format!(
        r#""created":"2026-10-{:02}T03:{:02}:{:02}Z","endDate":"2026-10-{:02}T00:00:00Z""#,
        day + 1,
        random.below(60),
        random.below(60),
        day + 1
    );
    let start = format!(r#""startDate":"2026-10-{day:02}T00:00:00Z""#);
    if index % 1_000 == 999 {
        let cents = random.below(20_000).cast_signed();
        sums.positive += cents;
        return write!(
            out,
            r#"{{{dates},"quantity":1.0,"sku":"ATLAS_SUPPORT",{start},"totalPriceCents":{cents},"unitPriceDollars":{}.{:02}}}"#,
            cents / 100,
            cents % 100
        );
    }
    let group = format!(r#""groupId":"64f0c1a2b3d4e5f6{project:08x}","groupName":"team-{project:04}""#);
    if index % 500 == 250 {
        let cents = -random.below(500).cast_signed();
        sums.negative += cents;
        return write!(
            out,
            r#"{{{dates},{group},"note":"Promotional credit","quantity":1.0,"sku":"CREDIT",{start},"totalPriceCents":{cents},"unitPriceDollars":0.0}}"#
        );
    }
    let sku = &SKUS[usize::try_from(place).unwrap_or_default()];
    let millionths = if sku.hourly { 24_000_000 } else { random.below(90_000_000) };
    let cents = (millionths * sku.price / 100 + 500_000) / 1_000_000;
    let quantity = match (millionths / 1_000_000, millionths % 1_000_000) {
        (whole, 0) => format!("{whole}.0"),
        (whole, part) => format!("{whole}.{part:06}"),
    };
    let cents = cents.cast_signed();
    sums.positive += cents;
    let cluster =
        if sku.cluster { format!(r#""clusterName":"prod-{}","#, project % 7) } else { String::new() };
    let (provider, tags) = match (place, project % 4) {
        (0, 0) => (r#""cloudProvider":"AWS","#, r#","tags":{"team":["data","search"],"env":["prod"]}"#),
        (0, _) => (r#""cloudProvider":"AWS","#, r#","tags":{}"#),
        _ => ("", ""),
    };
    let (name, price) = (sku.name, format!("0.{:04}", sku.price));
    let price = price.trim_end_matches('0');
    write!(
        out,
        r#"{{{provider}{cluster}{dates},{group},"quantity":{quantity},"sku":"{name}",{start}{tags},"totalPriceCents":{cents},"unitPriceDollars":{price}}}"#
    )
}

/// The key under which such a document stands.
///
/// # Errors
/// None: the names above are good.
pub fn key(document: &[u8]) -> Result<RawDocumentKey, Box<dyn Error>> {
    Ok(RawDocumentKey {
        invoice: InvoiceKey {
            provider: Provider::atlas(),
            billing_account: BillingAccountId::new(ORGANISATION)?,
            period: BillingMonth::new(2026, 10)
                .unwrap_or_else(|_| BillingMonth::containing(Default::default())),
            invoice_id: InvoiceId::new(INVOICE)?,
        },
        revision: Revision::of(document),
        extension: "json".to_owned(),
    })
}
