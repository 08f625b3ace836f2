//! The worked example, what holds a journal, and the laws that hold for every one.

mod laws;

use serde_json::{Value, json};

use super::{
    Journal, JournalFile, LocationSplit, Material, Problems, RevenueCertificate, RevenueRules,
    RevenueStatement, StatementError, Window, statements,
};
use crate::catalog::{Offer, offer};
use crate::certificate::{Certified, DocumentRef};
use crate::money::Currency;

const CATALOG: &str = include_str!("../../../../local/examples/revenue/catalog.yaml");
const FILES: [(&str, &str); 3] = [
    (
        "journal/2019-02/credit.jsonl",
        include_str!("../../../../local/examples/revenue/journal/2019-02/credit.jsonl"),
    ),
    (
        "journal/2019-03/payments.jsonl",
        include_str!("../../../../local/examples/revenue/journal/2019-03/payments.jsonl"),
    ),
    (
        "journal/2019-03/usage.jsonl",
        include_str!("../../../../local/examples/revenue/journal/2019-03/usage.jsonl"),
    ),
];

fn rules() -> RevenueRules {
    RevenueRules { location_split: LocationSplit::Even, default_location: Some("Chicago".into()) }
}

fn files<'a>(files: &'a [(&'a str, &'a str)]) -> Vec<JournalFile<'a>> {
    let file = |(key, text): &'a (&str, &str)| JournalFile {
        key,
        month: crate::keys::JournalKey::parse(key).unwrap().month,
        bytes: text.as_bytes(),
    };
    files.iter().map(file).collect()
}

fn made(
    catalog: &Offer,
    texts: &[(&str, &str)],
    window: Window,
    rules: &RevenueRules,
) -> Result<Vec<RevenueStatement>, StatementError> {
    let journal = Journal::read(&files(texts), catalog, 2).unwrap();
    let inputs: Vec<DocumentRef> = texts
        .iter()
        .map(|(key, text)| DocumentRef {
            key: (*key).to_owned(),
            sha256: crate::revision::sha256_hex(text.as_bytes()),
        })
        .collect();
    statements(&Material {
        window,
        journal: &journal,
        offer: catalog,
        rules,
        inputs: &inputs,
        catalog: Some(&"0".repeat(64)),
        standing: &[],
    })
}

fn march() -> Window {
    Window::month("2019-03".parse().unwrap())
}

fn value(statement: &RevenueStatement) -> Value {
    serde_json::from_slice(&statement.report).unwrap()
}

#[test]
fn the_worked_example_comes_out_figure_by_figure() {
    let window = Window::between("2018-03-10T18:00:00Z", "2019-03-10T18:00:00Z").unwrap();
    let statements = made(&offer(CATALOG.as_bytes()).unwrap(), &FILES, window, &rules()).unwrap();
    let [statement] = statements.as_slice() else { panic!("{} statements", statements.len()) };
    insta::assert_snapshot!("report", String::from_utf8(statement.report.clone()).unwrap());
    insta::assert_snapshot!("table", String::from_utf8(statement.table.clone()).unwrap());
    let certificate = statement.certificate.to_json().unwrap();
    insta::assert_snapshot!("certificate", String::from_utf8(certificate.clone()).unwrap());
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/revenue-certificate.schema.json")).unwrap();
    let certificate: Value = serde_json::from_slice(&certificate).unwrap();
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&certificate)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn the_order_of_files_and_lines_and_their_repetition_do_not_matter() {
    let catalog = offer(CATALOG.as_bytes()).unwrap();
    let expected = made(&catalog, &FILES, march(), &rules()).unwrap();
    let payments: Vec<&str> = FILES[1].1.lines().rev().collect();
    let turned = format!("\n{}\r\n", payments.join("\r\n"));
    let again = made(
        &catalog,
        &[
            ("journal/2019-03/x.jsonl", FILES[2].1),
            ("journal/2019-03/b.jsonl", FILES[1].1),
            ("journal/2019-03/a.jsonl", &turned),
        ],
        march(),
        &rules(),
    )
    .unwrap();
    assert_eq!(again[0].report, expected[0].report);
    assert_eq!(again[0].table, expected[0].table);
    assert_eq!(again[0].certificate.counts.repeated_lines, 2);
}

fn problems(lines: &str) -> Problems {
    let catalog = "currency: EUR\nrevenue: {clients: [{id: 1, name: A}, {id: 2, name: B, currency: JPY}], services: [{id: 7, name: S, client: \
                   1}, {id: 8, name: T, client: 2}]}";
    let catalog = offer(catalog.as_bytes()).unwrap();
    match Journal::read(&files(&[("journal/2019-03/a.jsonl", lines)]), &catalog, 1) {
        Ok(_) => Problems::default(),
        Err(problems) => problems,
    }
}

fn payment() -> Value {
    json!({
        "id": "m", "date": "2019-03-01T00:00:00Z", "client": 1, "source": "tr", "destination": "iv", "amount": 6, "currency": "EUR",
        "invoice": {"id": "i", "items": [{"id": 1, "service": 7, "item_type": "service", "amount": 5, "taxes_percent": 20}]},
        "exported_by": "bank",
    })
}

#[test]
fn unusable_lines_name_their_place_and_what_to_do() {
    assert_eq!(problems(&payment().to_string()).count, 0);
    let cases: [(&str, Value, &str); 30] = [
        ("/id", Value::Null, "id is missing"),
        ("/id", json!(1.5), "id 1.5 is not an identifier"),
        ("/id", json!(""), "id \"\" is not an identifier"),
        ("/date", json!("2019-03-01"), "date \"2019-03-01\" is not a time"),
        ("/date", json!(7), "date 7 is not a text"),
        ("/date", json!("2019-04-01T01:00:00+02:00"), ""),
        (
            "/date",
            json!("2019-04-01T00:00:00Z"),
            "the date 2019-04-01 00:00:00+00:00 is not in the month of its folder; move the line to journal/2019-04/",
        ),
        ("/client", json!(3), "the client '3' is not in the catalog; add it to revenue.clients"),
        ("/source", json!("xx"), "source \"xx\" is not an account: cr, tx, iv, tr, st, se or ex"),
        ("/source", json!("iv"), "source and destination are both iv"),
        ("/destination", Value::Null, "destination is missing"),
        ("/amount", json!(-1), "amount -1 is not an amount from 0"),
        ("/amount", json!(1.005), "amount 1.005 is not an amount"),
        ("/amount", json!("NaN"), "amount \"NaN\" is not an amount"),
        ("/amount", serde_json::from_str("1e30").unwrap(), "amount 1e+30 is not an amount"),
        ("/amount", json!("7"), "the amount 7 is more than the invoice i comes to (6)"),
        ("/currency", json!("euro"), "currency: 'euro' is no ISO 4217 currency, write it as EUR"),
        (
            "/currency",
            json!("XTS"),
            "currency: 'XTS' (Code reserved for testing) is an ISO 4217 code, but no money",
        ),
        ("/opening", json!(true), "an opening balance has destination cr"),
        ("/opening", json!("yes"), "opening \"yes\" is not true or false"),
        ("/invoice", Value::Null, "a movement from or to an invoice (iv) needs invoice.items"),
        (
            "/invoice",
            json!(["9", []]),
            "it is no journal line: invalid type: sequence, expected a JSON object",
        ),
        ("/invoice/items", json!([[1, 7, "service", 5, 1, 20]]), "sequence, expected a JSON object"),
        ("/invoice/items", json!([]), "needs invoice.items"),
        ("/invoice/items", json!({}), "it is no journal line: invalid type: map"),
        (
            "/invoice/items/0/service",
            json!(9),
            "the service '9' is not in the catalog; add it to revenue.services",
        ),
        ("/invoice/items/0/service", json!(8), "the service '8' belongs to client '2', not to '1'"),
        ("/invoice/items/0/amount", json!("5,0"), "invoice.items[0].amount \"5,0\" is not an amount"),
        ("/invoice/items/0/item_type", Value::Null, "invoice.items[0].item_type is missing"),
        (
            "/invoice/items/0/taxes_percent",
            json!(-1),
            "invoice.items[0].taxes_percent -1 is not a percentage",
        ),
    ];
    for (place, new, part) in cases {
        let mut line = payment();
        *line.pointer_mut(place).unwrap_or(&mut Value::Null) = new.clone();
        if place == "/opening" {
            line["opening"] = new.clone();
        }
        let found = problems(&format!("\n{line}\n"));
        if part.is_empty() {
            assert_eq!(found.count, 0, "{place} {new}: {found}");
        } else {
            assert!(
                found.to_string().starts_with("journal/2019-03/a.jsonl line 2: "),
                "{place} {new}: {found}"
            );
            assert!(found.to_string().contains(part), "{place} {new}: {found}");
        }
    }
}

#[test]
fn unreadable_and_contradicting_lines_are_told() {
    let line = payment().to_string();
    let other = line.replace("\"amount\":6", "\"amount\":5");
    assert_eq!(
        problems(&format!("{line}\n{other}")).to_string(),
        "journal/2019-03/a.jsonl line 2: the id m stands in journal/2019-03/a.jsonl line 1 with other content; keep the right one, or, if both are \
         right, give each an id of its own"
    );
    assert_eq!(
        problems(&format!("{line}\n{}", line.replace("\"amount\":6", "\"amount\":\"6.00\""))).count,
        0
    );
    for (text, part) in [
        (&line[..40], "it is no journal line: EOF while parsing"),
        ("[]", "it is no journal line: invalid type: sequence, expected a JSON object"),
        (
            r#"[null,"m1","2019-03-01T00:00:00Z",1,"tr","st",5,"EUR",null,null,null,null,null,null]"#,
            "it is no journal line: invalid type: sequence, expected a JSON object",
        ),
        ("{\"kind\": \"usages\"}", "kind \"usages\" is not movement or usage"),
        (
            "{\"kind\": \"usage\", \"service\": 7, \"plugin\": \"aws\"}",
            "'aws' is no plugin; there are openstack",
        ),
        ("{\"kind\": \"usage\", \"service\": 7, \"plugin\": \"openstack\"}", "details is missing"),
        (
            "{\"kind\": \"usage\", \"service\": 8, \"plugin\": \"openstack\", \"currency\": \"EUR\", \"details\": {}}",
            "the usage is in EUR, and its client is reported in JPY",
        ),
        (
            "{\"kind\": \"usage\", \"service\": 7, \"month\": \"2019-02\", \"plugin\": \"openstack\", \"details\": {}}",
            "month \"2019-02\" is not the month of its folder",
        ),
        (
            "{\"kind\": \"usage\", \"service\": 7, \"plugin\": \"openstack\", \"details\": {}}",
            "details: missing field `name`",
        ),
    ] {
        assert!(problems(text).to_string().contains(part), "{text}: {}", problems(text));
    }
    let many = problems(&"{}\n".repeat(250));
    assert_eq!((many.count, many.first.len()), (250, 100));
    assert!(many.to_string().ends_with("id is missing (and 249 more)"));
}

#[test]
fn currencies_stand_apart_and_other_items_are_named() {
    let catalog = "currency: EUR\nrevenue: {clients: [{id: 1, name: A}, {id: 2, name: B, currency: JPY}], services: [{id: 7, name: S, client: 1, \
                   fixed_monthly_price: 10}, {id: 8, name: T, client: 2, fixed_monthly_price: 300}]}";
    let mut yen = payment();
    yen["id"] = json!("y");
    yen["currency"] = json!("JPY");
    let mut domain = payment();
    domain["id"] = json!("d");
    domain["source"] = json!("cr");
    domain["invoice"]["items"][0]["service"] = Value::Null;
    domain["invoice"]["items"][0]["item_type"] = json!("domain");
    let mut back = payment();
    back["id"] = json!("b");
    (back["source"], back["destination"], back["amount"]) = (json!("iv"), json!("cr"), json!(1.2));
    let lines = [payment(), yen, domain, back].map(|line| line.to_string()).join("\n");
    let statements = made(
        &offer(catalog.as_bytes()).unwrap(),
        &[("journal/2019-03/a.jsonl", &lines)],
        march(),
        &RevenueRules { default_location: Some("Zug".into()), ..RevenueRules::default() },
    )
    .unwrap();
    assert_eq!(statements.iter().map(|s| s.currency).collect::<Vec<_>>(), [Currency::EUR, Currency::JPY]);
    let (euro, yen) = (value(&statements[0]), value(&statements[1]));
    let client = &euro["revenue_report"][0];
    // 5 paid, 1 of it refunded into credit; credit: 1.20 in, 6 out
    assert_eq!(client["services_report"]["7"]["total_revenue"], json!(4));
    assert_eq!(client["services_report"]["7"]["cost_still_required"], json!(6));
    assert_eq!([&client["credit_in"], &client["credit_out"]], [&json!(1.2), &json!(6)]);
    assert_eq!(client["credit_available"], json!(-4.8));
    assert_eq!(client["total_debt"], json!(6));
    let certificate = &statements[0].certificate;
    assert_eq!(
        (certificate.payments.gross.to_string(), certificate.payments.other_net.to_string()),
        ("10.80".into(), "5.00".into())
    );
    assert_eq!(certificate.other_items[0].item_type, "domain");
    // in yen the client of 7 has neither its price nor its debt, the client of 8 has
    assert_eq!(yen["revenue_report"][0]["services_report"]["7"]["fixed_monthly_price"], json!(0));
    assert_eq!(yen["revenue_report"][1]["services_report"]["8"]["debt"], json!(300));
    assert_eq!(yen["total_revenue"], json!(5));
}

#[test]
fn a_missing_default_location_is_an_error_where_money_needs_one() {
    let catalog = offer(CATALOG.as_bytes()).unwrap();
    let error = made(&catalog, &FILES, march(), &RevenueRules::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "service 305815 has money and no usage details, and there is no default location"
    );
    // no money, no location
    let february = Window::month("2019-02".parse().unwrap());
    let statements = made(&catalog, &FILES[..1], february, &RevenueRules::default()).unwrap_err();
    assert!(statements.to_string().contains("service 305815"), "credit covers it");
    let january = Window::month("2019-01".parse().unwrap());
    let statements = made(&catalog, &[], january, &RevenueRules::default()).unwrap();
    assert_eq!(value(&statements[0])["total_revenue_per_location"], json!([]));
}

#[test]
fn a_currency_that_has_vanished_is_reported_as_nothing() {
    let catalog = offer(b"").unwrap();
    let journal = Journal::read(&[], &catalog, 1).unwrap();
    let material = Material {
        window: march(),
        journal: &journal,
        offer: &catalog,
        rules: &rules(),
        inputs: &[],
        catalog: None,
        standing: &[Currency::CHF],
    };
    let made = statements(&material).unwrap();
    assert_eq!(value(&made[0])["revenue_report"], json!([]));
    assert_eq!(value(&made[0])["total_revenue"], json!(0));
    assert_eq!(made[0].certificate.clients, []);
    assert!(statements(&Material { standing: &[], ..material }).unwrap().is_empty());
}

#[test]
fn money_is_spread_over_the_locations_of_location_cost() {
    let catalog =
        "currency: EUR\nrevenue: {clients: [{id: 1, name: A}], services: [{id: 7, name: S, client: 1}]}";
    let catalog = offer(catalog.as_bytes()).unwrap();
    let locations = |locations: &str, location_cost: &str| {
        let resource = r#"{"i": {"resource_name": "I", "price": 30, "num_resources": 1}}"#;
        let locations = locations.replace('#', resource);
        let details = format!(r#"{{"name": "P", "locations": {locations}{location_cost}}}"#);
        let usage =
            format!(r#"{{"kind": "usage", "service": 7, "plugin": "openstack", "details": {details}}}"#);
        let mut paid = payment();
        (paid["amount"], paid["invoice"]["items"][0]["amount"]) = (json!(30), json!(30));
        paid["invoice"]["items"][0]["taxes_percent"] = json!(0);
        let lines = format!("{paid}\n{usage}");
        let statements = made(&catalog, &[("journal/2019-03/a.jsonl", &lines)], march(), &rules()).unwrap();
        value(&statements[0])["total_revenue_per_location"].to_string()
    };
    let west = r#"[{"name":"W","revenue":30}]"#;
    let both = r#"[{"name":"W","revenue":15},{"name":"R","revenue":15}]"#;
    assert_eq!(locations(r#"{"W": #, "R": {}}"#, r#", "location_cost": {"W": 30}"#), west);
    assert_eq!(locations(r#"{"W": #}"#, r#", "location_cost": {"W": 30, "R": 0}"#), both);
    assert_eq!(locations(r#"{"W": #, "R": {}}"#, ""), both);
    let unnamed = r#"{"kind": "usage", "service": 7, "plugin": "openstack", "details": {"name": "P", "locations": {
        "W": {"i": {"resource_name": "I", "price": 10, "num_resources": 1}}, "R": {"i": {"resource_name": "I", "price": 5, "num_resources": 1}}},
        "location_cost": {"W": 10}, "total_cost": 15}}"#;
    let found = problems(&unnamed.replace('\n', "")).to_string();
    assert!(found.contains("details: location_cost does not name R, whose resources cost 5"), "{found}");
}

/// A setup fee that was paid in September is refunded in October, where hosting is due.
const REFUND: (&str, [(&str, &str); 2]) = (
    include_str!("../../../../tests/fixtures/cases/refund/catalog.yaml"),
    [
        (
            "journal/2026-09/september.jsonl",
            include_str!("../../../../tests/fixtures/cases/refund/september.jsonl"),
        ),
        (
            "journal/2026-10/october.jsonl",
            include_str!("../../../../tests/fixtures/cases/refund/october.jsonl"),
        ),
    ],
);

/// The only client of a month's or a window's report, and its certificate.
fn of_one_client(catalog: &str, files: &[(&str, &str)], window: Window) -> (Value, RevenueCertificate) {
    let rules = RevenueRules { default_location: Some("ZH".into()), ..rules() };
    let statements = made(&offer(catalog.as_bytes()).unwrap(), files, window, &rules).unwrap();
    let [statement] = statements.as_slice() else { panic!("{} statements", statements.len()) };
    let certificate = RevenueCertificate::from_json(&statement.certificate.to_json().unwrap()).unwrap();
    (value(statement)["revenue_report"][0].clone(), certificate)
}

/// Of a service: what is required of it, what credit covers, and what remains.
fn required(client: &Value, service: &str) -> [Value; 3] {
    ["cost_still_required", "alloted_from_credit", "debt"]
        .map(|field| client["services_report"][service][field].clone())
}

#[test]
fn a_refund_of_an_earlier_month_invents_no_debt() {
    let (catalog, files) = REFUND;
    let month = |month: &str| Window::month(month.parse().unwrap());
    let (october, certificate) = of_one_client(catalog, &files, month("2026-10"));
    assert_eq!(required(&october, "10"), [json!(0), json!(0), json!(0)]);
    assert_eq!(required(&october, "11"), [json!(20), json!(20), json!(0)]);
    assert_eq!(october["services_report"]["10"]["total_revenue"], json!(-100));
    assert_eq!(october["total_debt"], json!(0));
    assert_eq!(october["revenue_per_location"], json!([{"name": "ZH", "revenue": -80}]));
    insta::assert_snapshot!("refund", String::from_utf8(certificate.to_json().unwrap()).unwrap());
    // over both months what was paid and refunded is nothing, and hosting's price counts once
    let both = Window::between("2026-09-01", "2026-11-01").unwrap();
    let (both, _) = of_one_client(catalog, &files, both);
    assert_eq!(required(&both, "10"), [json!(0), json!(0), json!(0)]);
    assert_eq!(required(&both, "11"), [json!(20), json!(20), json!(0)]);
    let (september, _) = of_one_client(catalog, &files, month("2026-09"));
    let revenue = |client: &Value| client["services_report"]["10"]["total_revenue"].as_i64().unwrap();
    assert_eq!(revenue(&september) + revenue(&october), revenue(&both));
}

/// A payment of an item of Hosting (its price is 20), or a refund of it.
fn hosting(id: &str, month: u32, source: &str, destination: &str, invoice: u32, amount: &str) -> String {
    json!({
        "id": id, "date": format!("2026-{month:02}-05T00:00:00Z"), "client": 1, "source": source, "destination": destination,
        "amount": amount, "currency": "EUR",
        "invoice": {"id": invoice, "items": [{"id": 1, "service": 11, "item_type": "service", "amount": "20"}]},
    })
    .to_string()
}

#[test]
fn a_refund_takes_back_what_was_paid_in_the_window_for_the_same_item() {
    let october = |lines: &[String]| {
        let october = Window::month("2026-10".parse().unwrap());
        let (client, _) = of_one_client(REFUND.0, &[("journal/2026-10/a.jsonl", &lines.join("\n"))], october);
        (required(&client, "11")[0].clone(), client["services_report"]["11"]["total_revenue"].clone())
    };
    let paid = hosting("paid", 10, "tr", "iv", 7, "20");
    // of another item, paid before: October is paid for
    let earlier = hosting("earlier", 10, "iv", "tr", 6, "20");
    assert_eq!(october(&[paid.clone(), earlier.clone()]), (json!(0), json!(0)));
    assert_eq!(october(&[earlier]), (json!(20), json!(-20)), "no more than the price");
    // of the same item: October is not paid for any more, or only a part of it is
    assert_eq!(october(&[paid.clone(), hosting("all", 10, "iv", "tr", 7, "20")]), (json!(20), json!(0)));
    assert_eq!(october(&[paid, hosting("part", 10, "iv", "cr", 7, "5")]), (json!(5), json!(15)));
    // a part was paid now, the other part before
    let rest = hosting("rest", 10, "tr", "iv", 6, "12");
    let whole = hosting("whole", 10, "iv", "tr", 6, "20");
    assert_eq!(october(&[rest, whole]), (json!(20), json!(-8)));
}

#[test]
fn prices_that_include_taxes_are_divided_as_the_journal_rounds() {
    let item = |members: Value| {
        let mut line = payment();
        let mut item = json!({"id": 1, "service": 7, "item_type": "service"});
        item.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        (line["amount"], line["invoice"]["items"][0]) = (json!("19.95"), item);
        line.to_string()
    };
    let catalog = "currency: EUR\nrevenue: {clients: [{id: 1, name: A}], services: [{id: 7, name: S, client: 1, \
                   fixed_monthly_price: 16.76}]}";
    for members in [
        json!({"gross": 19.95, "taxes_percent": 19}),
        json!({"gross": "19.95", "taxes_amount": "3.19"}),
        json!({"gross": "19.95", "amount": "16.76"}),
        json!({"gross": "19.95", "amount": "16.76", "taxes_percent": 19}),
    ] {
        let line = item(members.clone());
        let (client, _) = of_one_client(catalog, &[("journal/2019-03/a.jsonl", &line)], march());
        let service = &client["services_report"]["7"];
        let entry = &service["entries"][0];
        assert_eq!((&entry["amount"], &entry["taxes_amount"]), (&json!(16.76), &json!(3.19)), "{members}");
        assert_eq!(service["cost_still_required"], json!(0), "{members}");
    }
    for (members, why) in [
        (json!({"taxes_percent": 19}), "invoice.items[0].amount is missing"),
        (
            json!({"gross": "19.95", "amount": "20"}),
            "invoice.items[0].gross says 19.95, amount and taxes come to 20; correct",
        ),
        (
            json!({"gross": "19.95", "amount": "16.76", "taxes_amount": "3.18"}),
            "invoice.items[0].gross says 19.95, amount and taxes come to 19.94; correct the one that is wrong",
        ),
        (
            json!({"gross": "19.95", "amount": "10", "taxes_percent": 19}),
            "invoice.items[0].gross says 19.95, amount and taxes come to 11.90",
        ),
        (json!({"gross": true, "taxes_percent": 19}), "invoice.items[0].gross true is not an amount"),
    ] {
        let found = problems(&item(members.clone())).to_string();
        assert!(found.contains(why), "{members}: {found}");
    }
}

/// What a message advises must not make money of nothing.
#[test]
fn no_message_advises_a_false_credit() {
    let told = |source: &str, destination: &str, amount: &str| {
        let mut line = payment();
        (line["source"], line["destination"]) = (json!(source), json!(destination));
        (line["amount"], line["invoice"]["items"][0]["amount"]) = (json!(amount), json!("16.76"));
        line["invoice"]["items"][0]["taxes_percent"] = json!(19);
        problems(&line.to_string()).to_string()
    };
    let included = told("tr", "iv", "19.95");
    assert!(
        included.ends_with(
            "the amount 19.95 is more than the invoice i comes to (19.94); where its prices include taxes, its items state them as \
             gross instead of amount"
        ),
        "{included}"
    );
    assert!(!included.contains("cr"), "{included}");
    let more = told("tr", "iv", "25");
    assert!(more.contains("gross instead of amount; where the client really paid more"), "{more}");
    assert!(more.ends_with("what is above it is a movement of its own, from tr to cr"), "{more}");
    // from credit nothing more is taken than an invoice comes to, and a refund is no credit of its own
    for (source, destination) in [("cr", "iv"), ("iv", "tr"), ("iv", "cr")] {
        let found = told(source, destination, "25");
        assert!(!found.contains("to cr"), "{source} {destination}: {found}");
    }
}
