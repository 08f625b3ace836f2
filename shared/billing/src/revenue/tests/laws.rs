//! The laws that hold for every journal.

use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{made, march, payment, problems, rules, value};
use crate::catalog::{Offer, offer};
use crate::revenue::{LocationSplit, RevenueRules, Window};

/// A movement: (client, source and destination, cents, service, share of the invoice in percent, whether it has taxes).
type Moved = (usize, usize, i64, usize, i64, bool);

const PAIRS: [(&str, &str); 8] = [
    ("tr", "iv"),
    ("cr", "iv"),
    ("tr", "cr"),
    ("iv", "ex"),
    ("iv", "cr"),
    ("cr", "tr"),
    ("iv", "tx"),
    ("st", "iv"),
];

fn line((index, (client, pair, cents, service, percent, taxed)): (usize, &Moved)) -> String {
    let (source, destination) = PAIRS[*pair];
    let taxes = if *taxed { cents / 5 } else { 0 };
    let total = cents + taxes + 100;
    let amount = Decimal::new(total * percent / 100, 2);
    let service = (*service < 2).then(|| client * 2 + service);
    let text = |cents: i64| Decimal::new(cents, 2).to_string();
    json!({
        "id": index, "date": format!("2019-03-{:02}T00:00:00Z", index % 31 + 1), "client": client, "source": source, "destination": destination,
        "amount": amount.to_string(), "currency": "EUR",
        "invoice": {"id": index, "items": [
            {"id": "a", "service": service, "item_type": "service", "amount": text(*cents), "taxes_amount": text(taxes)},
            {"id": "b", "service": client * 2, "item_type": "setup", "amount": "1.00"},
        ]},
    })
    .to_string()
}

/// Three clients with two services each; the first of each uses two regions.
fn prepared(prices: &[i64], usage: &[(i64, i64)]) -> (Offer, String) {
    let clients: Vec<Value> = (0..3).map(|id| json!({"id": id.to_string(), "name": "c"})).collect();
    let service = |(id, price): (usize, &i64)| json!({"id": id.to_string(), "name": "s", "client": (id / 2).to_string(), "fixed_monthly_price": Decimal::new(*price, 3).to_string()});
    let services: Vec<Value> = prices.iter().enumerate().map(service).collect();
    let catalog =
        json!({"currency": "EUR", "revenue": {"clients": clients, "services": services}}).to_string();
    let resource = |price: i64| json!({"instance": {"resource_name": "i", "price": Decimal::new(price, 3).to_string(), "num_resources": 1}});
    let used = usage.iter().enumerate().map(|(client, (north, south))| {
        let locations = json!({"North": resource(*north), "South": resource(*south)});
        json!({"kind": "usage", "service": client * 2, "plugin": "openstack", "details": {"name": "p", "locations": locations}}).to_string()
    });
    (offer(catalog.as_bytes()).unwrap(), used.collect::<Vec<_>>().join("\n"))
}

fn movements() -> impl Strategy<Value = Vec<Moved>> {
    let moved = (0usize..3, 0usize..PAIRS.len(), 0i64..100_000, 0usize..3, 0i64..=100, any::<bool>());
    proptest::collection::vec(moved, 0..12)
}

fn decimal(value: &Value) -> Decimal {
    crate::money::parse_decimal(&value.to_string()).unwrap()
}

fn total<'v>(values: impl Iterator<Item = &'v Value>) -> Decimal {
    values.map(decimal).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_journal_gives_a_report_that_adds_up(
        moved in movements(), prices in proptest::collection::vec(0i64..500_000, 6),
        usage in proptest::collection::vec((0i64..900_000, 0i64..900_000), 3), by_cost in any::<bool>(),
    ) {
        let (catalog, used) = prepared(&prices, &usage);
        let lines = moved.iter().enumerate().map(line).collect::<Vec<_>>().join("\n");
        let location_split = if by_cost { LocationSplit::Cost } else { LocationSplit::Even };
        let rules = RevenueRules { location_split, default_location: Some("Home".into()) };
        let texts = [("journal/2019-03/a.jsonl", lines.as_str()), ("journal/2019-03/u.jsonl", used.as_str())];
        // the certificate's laws are checked in here
        let statements = made(&catalog, &texts, march(), &rules).unwrap();
        let report = value(&statements[0]);
        let mut paid = Decimal::ZERO;
        for client in report["revenue_report"].as_array().unwrap() {
            let services: Vec<&Value> = client["services_report"].as_object().unwrap().values().collect();
            let of = |field: &str| total(services.iter().map(|service| &service[field]));
            for service in &services {
                let entries = service["entries"].as_array().unwrap();
                prop_assert_eq!(total(entries.iter().map(|entry| &entry["amount"])), decimal(&service["total_revenue"]));
                let [required, alloted, debt] =
                    ["cost_still_required", "alloted_from_credit", "debt"].map(|field| decimal(&service[field]));
                prop_assert!(Decimal::ZERO <= alloted && alloted <= required && debt == required - alloted);
                prop_assert!(required <= due(service), "no more than price and usage");
            }
            let (alloted, available) = (of("alloted_from_credit"), decimal(&client["credit_available"]));
            prop_assert_eq!(alloted, available.max(Decimal::ZERO).min(of("cost_still_required")));
            prop_assert_eq!(alloted, decimal(&client["total_alloted_from_credit"]));
            prop_assert_eq!(of("debt"), decimal(&client["total_debt"]));
            let all = of("cost_still_required");
            for service in &services {
                let percent = decimal(&service["cost_required_percent"]);
                let off = percent * all - decimal(&service["cost_still_required"]) * Decimal::ONE_HUNDRED;
                prop_assert!(off.abs() <= all * Decimal::new(5, 3) && (!all.is_zero() || percent.is_zero()));
            }
            let locations = client["revenue_per_location"].as_array().unwrap();
            prop_assert_eq!(total(locations.iter().map(|location| &location["revenue"])), of("total_revenue") + alloted);
            paid += of("total_revenue") + alloted;
        }
        prop_assert_eq!(paid, decimal(&report["total_revenue"]));
        let locations = report["total_revenue_per_location"].as_array().unwrap();
        prop_assert_eq!(total(locations.iter().map(|location| &location["revenue"])), paid);
    }
}

/// Price and usage of a service, as it is reported.
fn due(service: &Value) -> Decimal {
    let usage = service["usage_details"]["total_cost"].as_number().map(ToString::to_string);
    let usage = usage.map_or(Decimal::ZERO, |usage| crate::money::parse_decimal(&usage).unwrap());
    // each of the two is rounded for itself in the report
    decimal(&service["fixed_monthly_price"]) + usage + Decimal::new(1, 2)
}

/// Payments and refunds of four invoices in March and April: (day from the first of March, invoice, cents, whether it is a refund).
fn paid_and_refunded() -> impl Strategy<Value = Vec<(u32, usize, i64, bool)>> {
    prop::collection::vec((0u32..61, 0usize..4, 0i64..=5_000, any::<bool>()), 0..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn refunds_take_back_what_was_paid_in_the_window_and_windows_add_up(moved in paid_and_refunded(), price in 0i64..6_000) {
        let (catalog, _) = prepared(&[price * 10; 6], &[]);
        let text = |cents: i64| Decimal::new(cents, 2).to_string();
        let line = |(id, (day, invoice, cents, refund)): (usize, &(u32, usize, i64, bool))| {
            let (source, destination) = if *refund { ("iv", "tr") } else { ("tr", "iv") };
            json!({
                "id": id, "date": format!("2019-{:02}-{:02}T00:00:00Z", 3 + day / 31, day % 31 + 1), "client": 0, "source": source,
                "destination": destination, "amount": text(*cents), "currency": "EUR",
                "invoice": {"id": invoice, "items": [{"id": 1, "service": 0, "item_type": "s", "amount": "50"}]},
            })
            .to_string()
        };
        let of = |april: bool| {
            let lines = moved.iter().enumerate().filter(|(_, moved)| (moved.0 >= 31) == april).map(line);
            lines.collect::<Vec<_>>().join("\n")
        };
        let texts = [of(false), of(true)];
        let files = [("journal/2019-03/a.jsonl", texts[0].as_str()), ("journal/2019-04/a.jsonl", texts[1].as_str())];
        let report = |start: &str, end: &str| {
            let window = Window::between(start, end).unwrap();
            let statements = made(&catalog, &files, window, &rules()).unwrap();
            let payments = statements[0].certificate.payments.clone();
            (value(&statements[0])["revenue_report"][0]["services_report"]["0"].clone(), payments.gross)
        };
        let [march, april, both] =
            [("2019-03-01", "2019-04-01"), ("2019-04-01", "2019-05-01"), ("2019-03-01", "2019-05-01")].map(|(start, end)| report(start, end));
        prop_assert_eq!(decimal(&march.0["total_revenue"]) + decimal(&april.0["total_revenue"]), decimal(&both.0["total_revenue"]));
        prop_assert_eq!(march.1 + april.1, both.1);
        for (service, months) in [(&march.0, 0u32..31), (&april.0, 31..61), (&both.0, 0..61)] {
            let paid: i64 = (0..4)
                .map(|invoice| {
                    let sum = |refund: bool| -> i64 {
                        let of_item = |(day, of, _, is): &&(u32, usize, i64, bool)| months.contains(day) && *of == invoice && *is == refund;
                        moved.iter().filter(of_item).map(|moved| moved.2).sum()
                    };
                    (sum(false) - sum(true)).max(0)
                })
                .sum();
            prop_assert_eq!(decimal(&service["cost_still_required"]), Decimal::new((price - paid).max(0), 2));
        }
    }

    #[test]
    fn order_repetition_and_division_into_files_do_not_matter(moved in movements(), order in any::<prop::sample::Index>()) {
        let (catalog, used) = prepared(&[5000; 6], &[(1000, 2000); 3]);
        let lines: Vec<String> = moved.iter().enumerate().map(line).collect();
        let whole = lines.join("\n");
        let expected = made(&catalog, &[("journal/2019-03/a.jsonl", &whole), ("journal/2019-03/u.jsonl", &used)], march(), &rules()).unwrap();
        let cut = if lines.is_empty() { 0 } else { order.index(lines.len()) };
        let (first, second) = (lines[cut..].join("\n"), lines.iter().rev().cloned().collect::<Vec<_>>().join("\r\n"));
        let again = made(
            &catalog,
            &[("journal/2019-03/z.jsonl", &first), ("journal/2019-03/b.jsonl", &used), ("journal/2019-03/c.jsonl", &second)],
            march(),
            &rules(),
        )
        .unwrap();
        prop_assert_eq!(&again[0].report, &expected[0].report);
        prop_assert_eq!(&again[0].table, &expected[0].table);
    }

    #[test]
    fn a_payment_in_parts_brings_what_it_brings_at_once(cents in 1i64..1_000_000, taxes in 0i64..200_000, cut in 0i64..=100) {
        let (catalog, _) = prepared(&[5000; 6], &[]);
        let pay = |id: &str, amount: i64| {
            let text = |cents: i64| Decimal::new(cents, 2).to_string();
            json!({"id": id, "date": "2019-03-01T00:00:00Z", "client": 1, "source": "tr", "destination": "iv", "amount": text(amount), "currency": "EUR",
                   "invoice": {"id": "i", "items": [{"id": 1, "service": 2, "item_type": "s", "amount": text(cents), "taxes_amount": text(taxes)}]}}).to_string()
        };
        let first = (cents + taxes) * cut / 100;
        let parts = format!("{}\n{}", pay("a", first), pay("b", cents + taxes - first));
        let gross = |lines: &str| {
            let statements = made(&catalog, &[("journal/2019-03/a.jsonl", lines)], march(), &rules()).unwrap();
            let payments = &statements[0].certificate.payments;
            (payments.gross, payments.services_net, payments.services_taxes)
        };
        let (at_once, in_parts) = (gross(&pay("a", cents + taxes)), gross(&parts));
        prop_assert_eq!(at_once.0, in_parts.0);
        // each part is rounded for itself, by less than a cent
        prop_assert!((at_once.1 - in_parts.1).abs() <= Decimal::new(1, 2));
        prop_assert_eq!(at_once.1 + at_once.2, in_parts.1 + in_parts.2);
    }

    #[test]
    fn a_price_with_taxes_holds_nothing_and_is_divided_without_rest(cents in 0i64..10_000_000, permille in 0i64..10_000) {
        let (gross, percent) = (Decimal::new(cents, 2).to_string(), Decimal::new(permille, 1).to_string());
        let (catalog, _) = prepared(&[5000; 6], &[]);
        let paid = |mut item: Value| {
            item.as_object_mut().unwrap().extend(json!({"id": 1, "service": 2, "item_type": "s"}).as_object().unwrap().clone());
            let line = json!({"id": "a", "date": "2019-03-01T00:00:00Z", "client": 1, "source": "tr", "destination": "iv", "amount": &gross,
                              "currency": "EUR", "invoice": {"id": "i", "items": [item]}}).to_string();
            let statements = made(&catalog, &[("journal/2019-03/a.jsonl", &line)], march(), &rules()).unwrap();
            statements[0].certificate.payments.clone()
        };
        let once = paid(json!({"gross": &gross, "taxes_percent": &percent}));
        prop_assert_eq!(once.services_net + once.services_taxes, once.gross);
        // by the same percentage as far as a minor unit goes
        let exact = once.services_net * Decimal::new(permille, 3);
        prop_assert!((exact - once.services_taxes).abs() <= Decimal::new(5, 3) * (Decimal::ONE + Decimal::new(permille, 3)));
        // who states both is believed
        let both = paid(json!({"gross": &gross, "amount": once.services_net.to_string(), "taxes_percent": &percent}));
        prop_assert_eq!(both, once);
    }

    #[test]
    fn parsing_any_line_never_panics(text in "\\PC{0,120}", place in 0usize..12) {
        let mut line = payment();
        let places = ["id", "date", "client", "source", "destination", "amount", "currency", "invoice", "opening", "kind", "details", "plugin"];
        line[places[place]] = json!(text);
        problems(&line.to_string());
        problems(&text);
    }
}
