//! The proof of one report. Its JSON Schema stands in `docs/revenue-certificate.schema.json`.

use std::collections::BTreeMap;
use std::fmt::Display;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::figures::sum;
use super::movement::{Direction, direction};
use crate::certificate::{CertificateError, Certified, DocumentRef, Status, decimal_text};

/// What the certificate is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevenueSubject {
    /// Always `revenue`.
    pub kind: String,
    /// The window as keys name it, `2026-10`.
    pub window: String,
    /// First moment.
    pub start_date: String,
    /// First moment after.
    pub end_date: String,
}

/// Payments less refunds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentTotals {
    /// What was paid: the sum of the other four.
    #[serde(with = "decimal_text")]
    pub gross: Decimal,
    /// Items of services, net: their revenue.
    #[serde(with = "decimal_text")]
    pub services_net: Decimal,
    /// Taxes on those.
    #[serde(with = "decimal_text")]
    pub services_taxes: Decimal,
    /// Items of no service, net.
    #[serde(with = "decimal_text")]
    pub other_net: Decimal,
    /// Taxes on those.
    #[serde(with = "decimal_text")]
    pub other_taxes: Decimal,
}

/// Movements from one account to another, opening balances left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedPair {
    /// From where.
    pub source: Account,
    /// To where.
    pub destination: Account,
    /// How many.
    pub movements: u64,
    /// How much.
    #[serde(with = "decimal_text")]
    pub amount: Decimal,
}

/// Paid items that belong to no service: no service's revenue, and not lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherItems {
    /// The client.
    pub client: String,
    /// The biller's word for them.
    pub item_type: String,
    /// How many.
    pub items: u64,
    /// Net.
    #[serde(with = "decimal_text")]
    pub net: Decimal,
    /// Taxes on them.
    #[serde(with = "decimal_text")]
    pub taxes: Decimal,
}

/// One client's sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedClient {
    /// The client.
    pub client: String,
    /// Items of its services, net.
    #[serde(with = "decimal_text")]
    pub services_net: Decimal,
    /// What its credit covers.
    #[serde(with = "decimal_text")]
    pub alloted_from_credit: Decimal,
    /// The sum of both.
    #[serde(with = "decimal_text")]
    pub total_revenue: Decimal,
    /// What its services still required: covered by credit, and not.
    #[serde(with = "decimal_text")]
    pub cost_still_required: Decimal,
    /// What its credit does not cover.
    #[serde(with = "decimal_text")]
    pub total_debt: Decimal,
    /// Credit that it had before.
    #[serde(with = "decimal_text")]
    pub opening_credit: Decimal,
    /// What came into its credit.
    #[serde(with = "decimal_text")]
    pub credit_in: Decimal,
    /// What went out of it.
    #[serde(with = "decimal_text")]
    pub credit_out: Decimal,
    /// `opening_credit + credit_in - credit_out`.
    #[serde(with = "decimal_text")]
    pub credit_available: Decimal,
    /// Where there are earlier refunds: price and usage of its services, which is the most that they can require.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_due: Option<CertifiedAmount>,
    /// Net refunds of what was paid before the window: they lower revenue and raise nothing that is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier_refunds: Option<CertifiedAmount>,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalCounts {
    /// Lines of all files, in all currencies, also outside of the window.
    pub lines: u64,
    /// Of those, lines that say the same as another.
    pub repeated_lines: u64,
    /// Payments in the window and the currency.
    pub payments: u64,
    /// Refunds.
    pub refunds: u64,
    /// Opening balances.
    pub openings: u64,
    /// Clients reported on.
    pub clients: u64,
    /// Services reported on.
    pub services: u64,
    /// Entries of all services.
    pub entries: u64,
}

/// The certificate. Amounts are decimal texts in `currency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevenueCertificate {
    /// Version of the format.
    pub certificate: u32,
    /// What it is about.
    pub subject: RevenueSubject,
    /// ISO 4217.
    pub currency: String,
    /// Payments of services and allotted credit; the sum of all locations.
    #[serde(with = "decimal_text")]
    pub total_revenue: Decimal,
    /// What credit covers of what services still require.
    #[serde(with = "decimal_text")]
    pub alloted_from_credit: Decimal,
    /// Payments less refunds.
    pub payments: PaymentTotals,
    /// Revenue by location.
    pub locations: BTreeMap<String, CertifiedAmount>,
    /// The clients, in the order of the report.
    pub clients: Vec<CertifiedClient>,
    /// Items of no service.
    pub other_items: Vec<OtherItems>,
    /// All movements, by where they went.
    pub movements: Vec<CertifiedPair>,
    /// What was counted.
    pub counts: JournalCounts,
    /// Always `matched`: a report that does not add up is not written.
    pub status: Status,
    /// In words.
    pub explanation: String,
    /// The journal's files.
    pub inputs: Vec<DocumentRef>,
    /// The rules in force, and the catalog's hash.
    pub rules: BTreeMap<String, String>,
    /// The report and the table.
    pub outputs: Vec<DocumentRef>,
    /// Name and version of the software.
    pub software: String,
}

/// An amount in a map, or one that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CertifiedAmount(#[serde(with = "decimal_text")] pub Decimal);

impl RevenueCertificate {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;

    fn verify_payments(&self) -> Result<(), CertificateError> {
        let PaymentTotals { gross, services_net, services_taxes, other_net, other_taxes } = self.payments;
        law(
            "payments.gross = net and taxes of services and of other items",
            gross,
            sum([services_net, services_taxes, other_net, other_taxes])?,
        )?;
        let signed = self.movements.iter().map(|pair| match direction(pair.source, pair.destination) {
            Some(Direction::Payment) => pair.amount,
            Some(Direction::Refund) => -pair.amount,
            None => Decimal::ZERO,
        });
        law("payments.gross = movements to invoices less those from them", gross, sum(signed)?)?;
        law(
            "payments.other_net = sum of other_items",
            other_net,
            sum(self.other_items.iter().map(|other| other.net))?,
        )?;
        law(
            "payments.other_taxes = sum of other_items",
            other_taxes,
            sum(self.other_items.iter().map(|other| other.taxes))?,
        )
    }

    fn verify_credit(&self) -> Result<(), CertificateError> {
        let moved = |which: fn(&CertifiedPair) -> Account| {
            let pairs = self.movements.iter().filter(move |pair| which(pair) == Account::Credit);
            sum(pairs.map(|pair| pair.amount))
        };
        let gone_in = sum(self.clients.iter().map(|client| client.credit_in))?;
        let gone_out = sum(self.clients.iter().map(|client| client.credit_out))?;
        law("credit_in of all clients = movements to credit", gone_in, moved(|pair| pair.destination)?)?;
        law("credit_out of all clients = movements from credit", gone_out, moved(|pair| pair.source)?)
    }
}

impl Certified for RevenueCertificate {
    const OF: &'static str = "revenue";

    /// Checks the laws, which `docs/revenue.md` lists.
    fn verify(&self) -> Result<(), CertificateError> {
        law("the status of a report that stands = matched", self.status, Status::Matched)?;
        let of_clients = |part: fn(&CertifiedClient) -> Decimal| sum(self.clients.iter().map(part));
        law(
            "total_revenue = payments.services_net + alloted_from_credit",
            self.total_revenue,
            sum([self.payments.services_net, self.alloted_from_credit])?,
        )?;
        law(
            "total_revenue = sum of locations",
            self.total_revenue,
            sum(self.locations.values().map(|amount| amount.0))?,
        )?;
        law(
            "total_revenue = sum of clients",
            self.total_revenue,
            of_clients(|client| client.total_revenue)?,
        )?;
        law(
            "payments.services_net = sum of clients",
            self.payments.services_net,
            of_clients(|client| client.services_net)?,
        )?;
        law(
            "alloted_from_credit = sum of clients",
            self.alloted_from_credit,
            of_clients(|client| client.alloted_from_credit)?,
        )?;
        self.verify_payments()?;
        self.verify_credit()?;
        self.clients.iter().try_for_each(CertifiedClient::verify)
    }
}

fn law<T: PartialEq + Display>(law: &'static str, left: T, right: T) -> Result<(), CertificateError> {
    RevenueCertificate::law(law, left, right)
}

impl CertifiedClient {
    fn verify(&self) -> Result<(), CertificateError> {
        law(
            "total_revenue of a client = services_net + alloted_from_credit",
            self.total_revenue,
            sum([self.services_net, self.alloted_from_credit])?,
        )?;
        law(
            "cost_still_required of a client = alloted_from_credit + total_debt",
            self.cost_still_required,
            sum([self.alloted_from_credit, self.total_debt])?,
        )?;
        law(
            "credit_available of a client = opening_credit + credit_in - credit_out",
            self.credit_available,
            sum([self.opening_credit, self.credit_in, -self.credit_out])?,
        )?;
        law(
            "alloted_from_credit of a client = the smaller of what is available and what is required",
            self.alloted_from_credit,
            self.credit_available.max(Decimal::ZERO).min(self.cost_still_required),
        )?;
        let most = self.cost_due.map_or(self.cost_still_required, |due| due.0);
        law(
            "cost_still_required of a client is at most cost_due",
            self.cost_still_required.min(most),
            self.cost_still_required,
        )
    }
}
