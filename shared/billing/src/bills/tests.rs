//! The worked example, what the earlier tool got wrong, and each way a charge can take.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use rust_decimal::Decimal;

use super::*;
use crate::catalog::billing::{Catalog, InForce, parse};
use crate::certificate::Certified;
use crate::charge::ChargeCategory;
use crate::money::{Amount, Currency};
use crate::month::BillingMonth;

mod basis;
mod earlier_tool;
mod identity;
mod owners;
mod places;
mod recovery;
mod reruns;
mod shares;
mod weights;

pub(super) fn month(text: &str) -> BillingMonth {
    text.parse().unwrap()
}

pub(super) fn october() -> BillingMonth {
    month("2026-10")
}

pub(super) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(super) fn catalog(yaml: &str) -> Catalog {
    parse(yaml.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A charge of `provider/account`.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    pub(super) provider: String,
    pub(super) account: String,
    pub(super) service: String,
    pub(super) tags: String,
    pub(super) is_unread: bool,
    pub(super) cost: String,
    /// FOCUS `EffectiveCost`, where it is another; an empty one is not stated.
    pub(super) effective: Option<String>,
    pub(super) commitment: Option<String>,
    pub(super) category: ChargeCategory,
    pub(super) currency: Currency,
    pub(super) is_correction: bool,
    pub(super) period: Option<ChargePeriod>,
}

pub(super) fn charge(account: &str, cost: &str) -> Charge {
    let (provider, account) = account.split_once('/').unwrap();
    let text = str::to_owned;
    let (provider, account, cost) = (text(provider), text(account), text(cost));
    let (service, tags, currency) = (text("Compute"), text("{}"), Currency::CHF);
    Charge {
        provider,
        account,
        service,
        tags,
        is_unread: false,
        cost,
        effective: None,
        commitment: None,
        category: ChargeCategory::Usage,
        currency,
        is_correction: false,
        period: None,
    }
}

impl Charge {
    pub(super) fn of_service(mut self, service: &str) -> Self {
        self.service = service.to_owned();
        self
    }

    pub(super) fn tagged(mut self, key: &str, value: &str) -> Self {
        self.tags = serde_json::json!({ key: value }).to_string();
        self
    }

    /// Used from one moment, `2026-10-16T00`, to another.
    pub(super) fn used(mut self, start: &str, end: &str) -> Self {
        let moment = |hour: &str| format!("{hour}:00:00Z").parse().unwrap();
        self.period = Some(ChargePeriod::between(moment(start), moment(end)));
        self
    }

    pub(super) fn correction(mut self) -> Self {
        self.is_correction = true;
        self
    }

    pub(super) fn unread(mut self, tags: &str) -> Self {
        (self.tags, self.is_unread) = (tags.to_owned(), true);
        self
    }

    pub(super) fn in_currency(mut self, currency: Currency) -> Self {
        self.currency = currency;
        self
    }

    /// What it costs when commitments are spread over their use; an empty text if nobody says so.
    pub(super) fn effective(mut self, cost: &str) -> Self {
        self.effective = Some(cost.to_owned());
        self
    }

    /// Of a commitment: its purchase, or usage that it covers.
    pub(super) fn of_commitment(mut self, id: &str, category: ChargeCategory) -> Self {
        (self.commitment, self.category) = (Some(id.to_owned()), category);
        self
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            provider: &self.provider,
            billing_account: "payer",
            sub_account_id: Some(&self.account),
            sub_account_name: None,
            service: &self.service,
            region: Some("eu-central-2"),
            resource: None,
            allocated_resource: None,
            tags: if self.is_unread { Tags::Unread(&self.tags) } else { Tags::Json(&self.tags) },
            category: self.category,
            is_correction: self.is_correction,
            commitment: self.commitment.as_deref(),
            period: self.period,
        }
    }
}

pub(super) fn charged(in_force: &InForce<'_>, charges: &[Charge]) -> Charged {
    let mut adder = MonthAdder::new(in_force);
    for charge in charges {
        let amount = |text: &str| (!text.is_empty()).then(|| Amount::parse(text.as_bytes()).unwrap());
        let billed = amount(&charge.cost);
        let effective = match &charge.effective {
            Some(effective) => amount(effective),
            None => Some(billed.unwrap_or_default()),
        };
        adder.add(&charge.facts(), charge.currency, billed, effective).unwrap();
    }
    adder.finish().unwrap()
}

/// What a run is given besides charges.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    pub(super) drivers: Drivers,
    pub(super) posted: Posted,
    pub(super) corrections: Vec<Correction>,
    pub(super) carried: Vec<Carried>,
}

pub(super) fn try_run(
    catalog: &Catalog,
    month: BillingMonth,
    charges: &[Charge],
    before: &Before,
) -> Result<BillRun, BillsError> {
    let in_force = InForce::new(catalog, month);
    let charged = charged(&in_force, charges);
    let Before { drivers, posted, corrections, carried } = before;
    make_bills(&BillInput {
        in_force: &in_force,
        charged: &charged,
        drivers,
        posted,
        corrections,
        carried,
        late: &LatePositions::default(),
        only: None,
    })
}

pub(super) fn run(catalog: &Catalog, charges: &[Charge]) -> BillRun {
    try_run(catalog, october(), charges, &Before::default()).unwrap()
}

pub(super) fn driver(name: &str, quantities: &[(&str, &str)]) -> Before {
    let quantities = quantities.iter().map(|(target, text)| ((*target).to_owned(), decimal(text))).collect();
    let drivers = BTreeMap::from([(name.to_owned(), Driver { quantities })]);
    Before { drivers: Drivers(drivers), ..Before::default() }
}

/// `customer total` and below it `key amount`.
pub(super) fn shown(run: &BillRun) -> String {
    let mut text = String::new();
    for bill in &run.bills {
        text.push_str(&format!("{} {}\n", bill.customer, bill.total));
        for line in &bill.lines {
            text.push_str(&format!("  {} {}\n", line.key, line.amount));
        }
    }
    for rest in &run.unallocated {
        text.push_str(&format!("{} {} {}: {}\n", rest.what, rest.amount, rest.currency, rest.reason));
    }
    text
}

pub(super) fn export_text(run: &BillRun, catalog: &Catalog, rows: Rows) -> String {
    let exports = run.exports(catalog, rows).unwrap();
    let text =
        |export: &Export| format!("# {}\n{}", export.name, String::from_utf8(export.bytes.clone()).unwrap());
    exports.iter().map(text).collect::<String>().replace('\r', "")
}

const WORKED: &str = "
currency: CHF
rounding: ROUNDING
customers: [{name: blue}]
components:
  - name: cluster
    price: {percent_of_cost: 100, absolute: 50}
    match: {tags: {component: cluster}}
    parts: [{name: cpu, percent: 50}, {name: ram, percent: 50}, {name: storage, per_unit: 5}]
services:
  - name: app
    customer: blue
    components:
      - {component: cluster, quantity: 1}
      - {component: cluster, part: cpu, quantity: 0.3}
      - {component: cluster, part: ram, quantity: 0.4}
      - {component: cluster, part: storage, quantity: 3}
";

#[test]
fn the_worked_example_comes_to_the_cent() {
    for (rounding, total) in [("cents", "217.5"), ("unit-up", "218")] {
        let catalog = catalog(&WORKED.replace("ROUNDING", rounding));
        let run = run(
            &catalog,
            &[
                charge("aws/1", "60").tagged("component", "cluster"),
                charge("aws/2", "40").tagged("component", "cluster"),
            ],
        );
        let line = run.explain("blue", "service/app").unwrap();
        let items: Vec<String> = line.items.iter().map(|item| item.amount.to_string()).collect();
        assert_eq!(items, ["150", "22.5", "30", "15"]);
        assert_eq!((line.exact.to_string().as_str(), line.amount.to_string().as_str()), ("217.5", total));
        assert_eq!(run.bills[0].total.to_string(), total);
        assert_eq!(
            line.comment,
            "cluster 1 x 150; cluster/cpu 0.3 x 75; cluster/ram 0.4 x 75; cluster/storage 3 x 5"
        );
        assert_eq!(
            (line.costs[0].source.as_str(), line.costs[0].amount),
            ("component:cluster", decimal("100"))
        );
        assert_eq!(run.components[0].recovery.billed.to_string(), "217.5");
    }
}

#[test]
fn a_fixed_price_comes_once_for_each_service_and_a_unit_price_for_each_unit() {
    let catalog = catalog("
currency: CHF
customers: [{name: blue}]
components: [{name: db, price: {fixed_per_service: 40, per_unit: 150}, parts: [{name: disk, per_unit: 0.1}]}]
services:
  - {name: one, customer: blue, components: [{component: db, quantity: 2}, {component: db, part: disk, quantity: 5}]}
  - {name: two, customer: blue, components: [{component: db, part: disk, quantity: 0.25}]}
  - {name: nothing, customer: blue}
");
    assert_snapshot!(shown(&run(&catalog, &[])));
}

#[test]
fn the_certificate_is_canonical_and_states_every_sum() {
    let yaml = include_str!("../../../../examples/catalog.yaml");
    let catalog = catalog(yaml);
    let blue = "azure/11111111-2222-3333-4444-555555555555";
    let charges = [
        charge(blue, "100.005").in_currency(Currency::EUR),
        charge("aws/123456789012", "80").in_currency(Currency::USD),
        charge("aws/other", "20").in_currency(Currency::USD).tagged("billing-service-component", "cluster-a"),
        charge("aws/other", "10").in_currency(Currency::USD).of_service("AWS Support (Business)"),
        charge("atlas/platform", "55.55").in_currency(Currency::USD),
        charge("gcp/x", "1.23").of_service("Cloud CDN"),
        charge("gcp/y", "9.99"),
        charge("gcp/z", "7").of_service("Security Hub"),
        charge(blue, "3").in_currency(Currency::EUR).tagged("cost-center", "1234500-0000000137"),
        charge(blue, "4").in_currency(Currency::EUR).tagged("cost-center", "nobody's"),
    ];
    let mut before = driver("cpu-share", &[("blue-app", "0.3"), ("red-app", "0.7")]);
    before
        .drivers
        .0
        .extend(driver("tenant-hours", &[("blue-app", "100"), ("red-app", "44"), ("gone", "6")]).drivers.0);
    let mut charges: Vec<Charge> = charges.into();
    charges[5].account = "x".into();
    let run = try_run(&catalog, october(), &charges, &before).unwrap();
    assert_snapshot!("bills", shown(&run));
    assert_snapshot!("exports", export_text(&run, &catalog, Rows::All));
    let version = catalog.version.clone();
    let json = String::from_utf8(run.certificate.to_json().unwrap()).unwrap();
    assert_snapshot!("certificate", json.replace(&version, "[catalog]"));
    let schema = include_str!("../../../../docs/bill-run-certificate.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let errors: Vec<String> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    let read: RunCertificate = serde_json::from_str(&json).unwrap();
    assert_eq!(read, run.certificate);
    assert_eq!(run.idle_rules, ["allocations[0], line 17", "pools[2], line 47", "pools[3], line 48"]);
}

#[test]
fn a_certificate_that_was_changed_is_refused() {
    let catalog = catalog(
        "{currency: CHF, customers: [{name: blue}], accounts: [{provider: aws, id: 1, customer: blue}]}",
    );
    let certificate = run(&catalog, &[charge("aws/1", "10")]).certificate;
    assert_eq!(certificate.status, crate::certificate::Status::Matched);
    let mut changed = certificate.clone();
    changed.bills_total = decimal("9.99");
    let error = changed.to_json().unwrap_err().to_string();
    assert_eq!(
        error,
        "the certificate of a run of bills contradicts itself: bills_total = sum of lines: 9.99 is not 10"
    );
    let mut changed = certificate.clone();
    changed.charges.get_mut("CHF").unwrap().billed_costs = decimal("9.99");
    assert!(changed.to_json().is_err());
    assert!(certificate.verify_exports(&[]).is_err());
}

#[test]
fn charges_added_up_for_another_month_or_catalog_are_refused() {
    let catalog = catalog("{currency: CHF, customers: [{name: blue}]}");
    let (in_force, other) = (InForce::new(&catalog, october()), InForce::new(&catalog, month("2026-11")));
    let before = Before::default();
    let error = make_bills(&BillInput {
        in_force: &other,
        charged: &charged(&in_force, &[]),
        drivers: &before.drivers,
        posted: &before.posted,
        corrections: &[],
        carried: &[],
        late: &LatePositions::default(),
        only: None,
    });
    assert!(error.unwrap_err().to_string().contains("in 2026-10, not for catalog"));
}

/// A charge as it stands in a file: of a sub account, with a tag and a line.
pub(super) fn focus_charge(account: &'static str, cost: &str) -> crate::charge::Charge<'static> {
    let period = crate::charge::Period { start: october().start(), end: october().end() };
    let mut charge =
        crate::charge::Charge::new(decimal(cost), Currency::USD, "payer".into(), period, "AWS".into());
    charge.sub_account_id = Some(account.into());
    charge.tags = Some("{\"team\": \"blue\"}".into());
    charge.x_document = Some("raw/x".into());
    charge.x_line_number = Some(7);
    charge
}
