//! Everything that is made of a window: in each currency the report, the table and the certificate.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::book::{Book, books};
use super::certificate::{
    CertifiedAmount, CertifiedClient, CertifiedPair, JournalCounts, OtherItems, PaymentTotals,
    RevenueCertificate, RevenueSubject,
};
use super::client::{self, Case, per_location};
use super::figures::sum;
use super::journal::Journal;
use super::json::Number;
use super::moment::show_moment;
use super::plugin::{PluginError, UsageSummary};
use super::report::{ClientReport, RevenueReport, ServiceReport};
use super::table;
use super::window::Window;
use crate::catalog::Offer;
use crate::certificate::{CertificateError, Certified, DocumentRef, Status};
use crate::ids::ServiceId;
use crate::keys::RevenueKey;
use crate::money::{ApportionError, Currency, MoneyError, minor_digits};
use crate::revision::sha256_hex;

/// How a service's money is spread over its locations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocationSplit {
    /// Equally.
    #[default]
    Even,
    /// By what was used in each; equally where nothing cost anything.
    Cost,
}

/// What a person decides about the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevenueRules {
    /// How a service's money is spread.
    pub location_split: LocationSplit,
    /// Where a service without usage details earns its money.
    pub default_location: Option<String>,
}

/// What is made of a window in one currency.
#[derive(Clone, Debug)]
pub struct RevenueStatement {
    /// The currency.
    pub currency: Currency,
    /// The report.
    pub report: Vec<u8>,
    /// The table.
    pub table: Vec<u8>,
    /// The proof, its laws checked.
    pub certificate: RevenueCertificate,
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StatementError {
    #[error("service {0} has money and no usage details, and there is no default location")]
    NoDefaultLocation(ServiceId),
    #[error("the figures cannot be added exactly: {0}")]
    Money(#[from] MoneyError),
    #[error("the figures cannot be shared exactly: {0}")]
    Apportion(#[from] ApportionError),
    #[error("the usage of service {service}: {source}")]
    Usage { service: ServiceId, source: PluginError },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the report cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the table cannot be written: {0}")]
    Csv(#[from] csv::Error),
}

/// What a report is made of.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The time that it is about.
    pub window: Window,
    /// The files of all months that overlap it.
    pub journal: &'a Journal<'a>,
    /// Clients and services.
    pub offer: &'a Offer,
    /// What a person decides.
    pub rules: &'a RevenueRules,
    /// The files, with their hashes.
    pub inputs: &'a [DocumentRef],
    /// The catalog's hash; nothing where there is none.
    pub catalog: Option<&'a str>,
    /// Currencies in which a report of the window stands. Where nothing is left of one, a report without clients takes its place,
    /// so that none stands that is no longer so.
    pub standing: &'a [Currency],
}

/// The statements of a window, in the order of their currencies; none if there is nothing to report and no report stands.
///
/// # Errors
/// [`StatementError`].
pub fn statements(material: &Material<'_>) -> Result<Vec<RevenueStatement>, StatementError> {
    let mut books = books(material.journal, &material.window, material.offer)?;
    let usage = usage(material)?;
    let mut currencies: BTreeSet<&'static str> = books.keys().copied().collect();
    currencies.extend(material.standing.iter().map(|currency| currency.code()));
    let listed = (0..material.offer.services.len()).filter(|place| is_listed(material, *place, &usage));
    currencies.extend(listed.map(|place| currency_of(material.offer, place).code()));
    let currencies = currencies.into_iter().filter_map(Currency::from_code);
    currencies
        .map(|currency| {
            let book = books.remove(currency.code()).unwrap_or_else(|| Book::new(material.offer));
            statement(material, currency, book, &usage)
        })
        .collect()
}

fn currency_of(offer: &Offer, service: usize) -> Currency {
    offer.clients[offer.services[service].client].currency
}

/// Whether a service is reported on in its client's currency, also without a payment.
fn is_listed(material: &Material<'_>, place: usize, usage: &BTreeMap<usize, UsageSummary>) -> bool {
    let ended = material.offer.services[place].terminated_at;
    ended.is_none_or(|ended| ended >= material.window.start()) || usage.contains_key(&place)
}

/// What each service used in all months of the window.
fn usage(material: &Material<'_>) -> Result<BTreeMap<usize, UsageSummary>, StatementError> {
    let mut summaries = BTreeMap::new();
    let months = material.window.months();
    for of_service in material.journal.usage.chunk_by(|a, b| a.service == b.service) {
        let of_window: Vec<_> = of_service.iter().filter(|usage| months.contains(&usage.month)).collect();
        let Some(first) = of_window.first() else { continue };
        let details: Vec<&RawValue> = of_window.iter().map(|usage| usage.details).collect();
        let digits = minor_digits(currency_of(material.offer, first.service));
        // one plugin so far: the day there are two, a service that has both must say how they add up
        let service = &material.offer.services[first.service].id;
        let summary = first.plugin.summarise(service, &details, digits);
        let summary = summary.map_err(|source| StatementError::Usage { service: service.clone(), source })?;
        summaries.insert(first.service, summary);
    }
    Ok(summaries)
}

fn statement<'a>(
    material: &Material<'a>,
    currency: Currency,
    mut book: Book<'a>,
    usage: &BTreeMap<usize, UsageSummary>,
) -> Result<RevenueStatement, StatementError> {
    let clients = clients(material, currency, &mut book, usage)?;
    let locations = clients.iter().flat_map(|client| &client.services_report);
    let total_revenue_per_location = per_location(locations.flat_map(|service| &service.locations))?;
    let total_revenue = sum(total_revenue_per_location.iter().map(|location| location.revenue.0))?;
    let report = RevenueReport {
        revenue_report: clients,
        total_revenue_per_location,
        total_revenue: Number(total_revenue),
        currency_code: currency.code(),
        start_date: material.window.start(),
        end_date: material.window.end(),
    };
    let certificate = certify(material, currency, &report, &book)?;
    let (bytes, table) = (report.to_json()?, table::to_csv(&report, currency)?);
    let key = RevenueKey::new(&material.window.to_string(), currency);
    let outputs = vec![
        DocumentRef { key: key.report(), sha256: sha256_hex(&bytes) },
        DocumentRef { key: key.table(), sha256: sha256_hex(&table) },
    ];
    let certificate = RevenueCertificate { outputs, ..certificate };
    certificate.verify()?;
    Ok(RevenueStatement { currency, report: bytes, table, certificate })
}

/// The clients that have anything in this currency.
fn clients<'a>(
    material: &Material<'a>,
    currency: Currency,
    book: &mut Book<'a>,
    usage: &BTreeMap<usize, UsageSummary>,
) -> Result<Vec<ClientReport<'a>>, StatementError> {
    let offer = material.offer;
    let mut cases: Vec<Vec<Case<'a>>> = offer.clients.iter().map(|_| Vec::new()).collect();
    for (place, service) in offer.services.iter().enumerate() {
        let entries = std::mem::take(&mut book.entries[place]);
        let own = offer.clients[service.client].currency == currency;
        if entries.is_empty() && !(own && is_listed(material, place, usage)) {
            continue;
        }
        cases[service.client].push(Case {
            service,
            entries,
            earlier_refunds: book.earlier_refunds.get(&place).copied().unwrap_or_default(),
            fixed: if own { service.fixed_monthly_price } else { Decimal::ZERO },
            usage: usage.get(&place).filter(|_| own).cloned(),
        });
    }
    let mut reports = Vec::new();
    for (place, (client, cases)) in offer.clients.iter().zip(cases).enumerate() {
        if !cases.is_empty() || book.knows(place) {
            let digits = minor_digits(currency);
            reports.push(client::report(client, cases, book.credit[place], material.rules, digits)?);
        }
    }
    Ok(reports)
}

const EXPLAINED: &str = "the revenue of all locations is what was paid for services and what credit covers";
const EXPLAINED_WITH_REFUNDS: &str = "the revenue of all locations is what was paid for services and what credit covers; refunds of what \
                                      was paid before the window lower it and raise nothing that is required";

fn certify(
    material: &Material<'_>,
    currency: Currency,
    report: &RevenueReport<'_>,
    book: &Book<'_>,
) -> Result<RevenueCertificate, StatementError> {
    let window = material.window;
    let shown = |amount: Decimal| minor(amount, currency);
    let mut clients = Vec::with_capacity(report.revenue_report.len());
    for client in &report.revenue_report {
        clients.push(certified(client, currency)?);
    }
    let has_earlier = clients.iter().any(|client| client.earlier_refunds.is_some());
    let PaymentTotals { gross, services_net, services_taxes, other_net, other_taxes } = book.payments;
    let services = report.revenue_report.iter().flat_map(|client| &client.services_report);
    let locations = report.total_revenue_per_location.iter();
    Ok(RevenueCertificate {
        certificate: RevenueCertificate::VERSION,
        subject: RevenueSubject {
            kind: "revenue".into(),
            window: window.to_string(),
            start_date: show_moment(window.start()),
            end_date: show_moment(window.end()),
        },
        currency: currency.code().into(),
        total_revenue: shown(report.total_revenue.0),
        alloted_from_credit: shown(sum(clients.iter().map(|client| client.alloted_from_credit))?),
        payments: PaymentTotals {
            gross: shown(gross),
            services_net: shown(services_net),
            services_taxes: shown(services_taxes),
            other_net: shown(other_net),
            other_taxes: shown(other_taxes),
        },
        locations: locations.map(|at| (at.name.clone(), CertifiedAmount(shown(at.revenue.0)))).collect(),
        other_items: other_items(material.offer, currency, book),
        movements: pairs(currency, book),
        counts: JournalCounts {
            lines: material.journal.lines,
            repeated_lines: material.journal.repeated,
            payments: book.paid,
            refunds: book.refunded,
            openings: book.openings,
            clients: count(clients.len()),
            services: count(services.clone().count()),
            entries: services.map(|service| count(service.entries.len())).sum(),
        },
        clients,
        status: Status::Matched,
        explanation: if has_earlier { EXPLAINED_WITH_REFUNDS } else { EXPLAINED }.into(),
        inputs: material.inputs.to_vec(),
        rules: rules(material),
        outputs: Vec::new(),
        software: crate::SOFTWARE.into(),
    })
}

fn certified(client: &ClientReport<'_>, currency: Currency) -> Result<CertifiedClient, MoneyError> {
    let total = |part: fn(&ServiceReport<'_>) -> Number| {
        sum(client.services_report.iter().map(|service| part(service).0)).map(|sum| minor(sum, currency))
    };
    let earlier = Some(client.earlier_refunds).filter(|refunds| !refunds.is_zero());
    Ok(CertifiedClient {
        client: client.client.to_string(),
        services_net: total(|service| service.total_revenue)?,
        alloted_from_credit: total(|service| service.alloted_from_credit)?,
        total_revenue: minor(sum(client.revenue_per_location.iter().map(|at| at.revenue.0))?, currency),
        cost_still_required: total(|service| service.cost_still_required)?,
        total_debt: total(|service| service.debt)?,
        opening_credit: minor(client.opening_credit, currency),
        credit_in: minor(client.credit_in.0, currency),
        credit_out: minor(client.credit_out.0, currency),
        credit_available: minor(client.credit_available.0, currency),
        cost_due: earlier.map(|_| CertifiedAmount(minor(client.cost_due, currency))),
        earlier_refunds: earlier.map(|refunds| CertifiedAmount(minor(refunds, currency))),
    })
}

fn other_items(offer: &Offer, currency: Currency, book: &Book<'_>) -> Vec<OtherItems> {
    let other =
        |((client, item_type), others): (&(usize, std::borrow::Cow<'_, str>), &super::book::Others)| {
            OtherItems {
                client: offer.clients[*client].id.to_string(),
                item_type: item_type.to_string(),
                items: others.items,
                net: minor(others.net, currency),
                taxes: minor(others.taxes, currency),
            }
        };
    book.others.iter().map(other).collect()
}

fn pairs(currency: Currency, book: &Book<'_>) -> Vec<CertifiedPair> {
    let pairs = book.pairs.iter().map(|((source, destination), (movements, amount))| CertifiedPair {
        source: *source,
        destination: *destination,
        movements: *movements,
        amount: minor(*amount, currency),
    });
    pairs.collect()
}

fn rules(material: &Material<'_>) -> BTreeMap<String, String> {
    let RevenueRules { location_split, default_location } = material.rules;
    let split = if *location_split == LocationSplit::Even { "even" } else { "cost" };
    let rules = [
        ("location_split", Some(split)),
        ("default_location", default_location.as_deref()),
        ("catalog", material.catalog),
    ];
    rules.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

/// The same amount with the decimals of the minor unit.
fn minor(amount: Decimal, currency: Currency) -> Decimal {
    let mut amount = amount.normalize();
    amount.rescale(amount.scale().max(minor_digits(currency)));
    amount
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
