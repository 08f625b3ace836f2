//! Every document that decides money, once for each of its members with that member twice: each reader must refuse each of them.

use std::borrow::Cow;

use serde_json::Value;

use super::tests::each_member_twice;
use crate::atlas::Invoice;
use crate::bills::Driver;
use crate::catalog::{metered_plans, offer};
use crate::ccx::UsageReport;
use crate::charges::{BigQuery, CostExplorer, JsonRows, Mapping, ReadError};
use crate::ids::{ContractId, Dimension};
use crate::manifest::Manifest;
use crate::metering::{Asked, EarlierState, Line, UsageSnapshot, UsageTotals, exported_to, read_reply};
use crate::revenue::{Journal, JournalFile};
use crate::usage::read_lines;

type Reads = fn(&str) -> bool;

const ATLAS: &str = r#"{"id": "i1", "orgId": "o1", "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z", "updated": "2026-11-02T00:00:00Z",
    "statusName": "PAID", "subtotalCents": 5, "creditsCents": 0, "salesTaxCents": 0, "startingBalanceCents": 0, "amountBilledCents": 5, "amountPaidCents": 5,
    "payments": [{"id": "p", "amountPaidCents": 5}], "refunds": [{"amountCents": 0}], "linkedInvoices": [{"id": "i0"}],
    "lineItems": [{"sku": "X", "groupId": "g", "quantity": 1.5, "unitPriceDollars": {"$numberDecimal": "0.1"}, "discountCents": 0, "totalPriceCents": 5}]}"#;
const MOVEMENT: &str = r#"{"id": "m", "date": "2019-03-01T00:00:00Z", "client": 1, "source": "tr", "destination": "iv", "amount": 6, "currency": "EUR",
    "invoice": {"id": "i", "items": [{"id": 1, "service": 7, "item_type": "service", "amount": 5, "taxes_percent": 20}]}, "exported_by": {"name": "bank"}}"#;
const USED: &str = r#"{"kind": "usage", "service": 7, "plugin": "openstack", "details": {"name": "P", "locations": {"W": {"instance": {"resource_name": "I",
    "price": 5, "num_resources": 1}}}, "location_cost": {"W": 5}, "total_cost": 5, "notes": {"by": "x"}}}"#;
const EVENT: &str = r#"{"event_id": "e", "time": "2025-06-01T00:00:00Z", "type": "node.added", "datastore": "d", "customer_id": "c", "node": "n",
    "instance_type": "c2.m4", "volume_type": "ssd", "volume_gib": 100, "labels": {"team": "x"}}"#;
const EXPORT: &str = r#"[{"externalPayerId": "c", "dimension": "d", "value": 1, "timestamp": "2025-01-01T00:00:00Z", "labels": {"x": 1}}]"#;
const SNAPSHOT: &str = r#"{"snapshot": 1, "source": "omnistrate", "plan": "Postgres:PROD:pt-1", "period": "2025-01", "files": 1, "records": 1, "outside_period": 0,
    "digest": "0", "usage": [{"contract": "c1", "dimension": "d", "quantity": "669.6", "records": 1}], "unattributed": []}"#;
const REPLY: &str = r#"{"results": [{"contract_id": "c", "dimension": "d", "status": "success", "quantity": "24", "id": "7"}], "meta": {"took": 3}}"#;
const MARKER: &str = r#"{"Postgres:PROD:pt-1": {"last_processed_to": "2025-01-31T23:59:59Z"}}"#;
const STATE: &str = r#"{"Postgres:PROD:pt-1": {"last_processed_month": "2025-05", "last_updated": "2025-06-01T02:00:11Z",
    "processed_contracts": {"2025-05": ["ae641bd1:2025-05"]}}}"#;
const COSTS: &str = r#"{"Request": {"GroupBy": [{"Type": "DIMENSION", "Key": "LINKED_ACCOUNT"}, {"Type": "DIMENSION", "Key": "SERVICE"}],
    "Filter": {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Usage"]}}},
    "ResultsByTime": [{"TimePeriod": {"Start": "2025-06-01", "End": "2025-07-01"}, "Estimated": false, "Groups": [{"Keys": ["1", "EC2"], "Metrics":
        {"UnblendedCost": {"Amount": "1.5", "Unit": "USD"}, "AmortizedCost": {"Amount": "1.5", "Unit": "USD"}}}]}],
    "DimensionValueAttributes": [{"Value": "1", "Attributes": {"description": "one"}}]}"#;
const BIGQUERY: &str = r#"{"schema": {"fields": [{"name": "cost", "type": "STRING"}, {"name": "credits", "type": "RECORD"}]}, "totalRows": "1",
    "rows": [{"f": [{"v": "1.5"}, {"v": [{"v": {"f": [{"v": "-0.5"}]}}]}]}]}"#;
const MANIFEST: &str = r#"{"manifest": 1, "provider": "aws", "billing_account": "111122223333", "period": "2025-06", "invoice_id": "cur2", "finality": "final",
    "provider_updated": null, "format": "cur2", "parts": [{"key": "raw/aws/1.csv.gz", "sha256": "44", "bytes": 2, "source": "s3://x"}], "documents": [],
    "invoices": [{"invoice_id": "2180000003", "total": "-12.50", "tax_not_in_rows": "0", "currency": "USD", "source": "x", "issued": null}],
    "sub_account_names": {"111122223333": "payer"}}"#;
const DRIVER: &str = r#"{"blue": 0.30, "red": "1"}"#;
const PLANS: &str = r#"{"metering": {"plans": [{"service": "P", "environment": "PROD", "plan": "pt-1", "cloud": "aws", "start_month": "2025-01", "group": "g"}]}}"#;
const OFFER: &str = r#"{"currency": "EUR", "revenue": {"clients": [{"id": 1, "name": "A"}],
    "services": [{"id": 7, "name": "S", "client": 1, "fixed_monthly_price": "5"}]}}"#;

const READERS: [(&str, &str, Reads); 17] = [
    ("an Atlas invoice", ATLAS, |json| Invoice::parse(json.as_bytes()).is_ok()),
    ("a movement of the journal", MOVEMENT, journal),
    ("usage in the journal", USED, journal),
    ("an event of a datastore", EVENT, |json| read_lines(json.as_bytes()).is_ok()),
    ("a file of an export of usage", EXPORT, export),
    ("a usage snapshot", SNAPSHOT, |json| UsageSnapshot::from_json(json.as_bytes()).is_ok()),
    ("a reply of the marketplace", REPLY, reply),
    ("the marker of an export", MARKER, |json| {
        exported_to(json.as_bytes(), &"Postgres:PROD:pt-1".parse().unwrap()).is_ok()
    }),
    ("an earlier state", STATE, |json| EarlierState::from_json(json.as_bytes(), None).is_ok()),
    ("a usage report", include_str!("../../../../tests/fixtures/ccx/usage_200.json"), |json| {
        UsageReport::parse(json.as_bytes()).is_ok()
    }),
    ("costs of Cost Explorer", COSTS, |json| CostExplorer.json(json.as_bytes(), &mut Anything).is_ok()),
    ("rows of BigQuery", BIGQUERY, |json| BigQuery.json(json.as_bytes(), &mut Anything).is_ok()),
    ("a manifest", MANIFEST, manifest),
    ("a driver", DRIVER, |json| Driver::from_json("cpu", json.as_bytes()).is_ok()),
    ("plans", PLANS, |json| metered_plans(json.as_bytes()).is_ok()),
    ("an offer", OFFER, |json| offer(json.as_bytes()).is_ok()),
    ("the example of a catalog", include_str!("../../../../examples/catalog.yaml"), catalog),
];

struct Anything;

impl JsonRows for Anything {
    fn header(&mut self, _: &[String]) -> Result<(), ReadError> {
        Ok(())
    }

    fn row(&mut self, _: &[Option<Cow<'_, str>>]) -> Result<(), ReadError> {
        Ok(())
    }
}

fn journal(line: &str) -> bool {
    let file = JournalFile {
        key: "journal/2019-03/a.jsonl",
        month: "2019-03".parse().unwrap(),
        bytes: line.as_bytes(),
    };
    Journal::read(&[file], &offer(OFFER.as_bytes()).unwrap(), 1).is_ok()
}

fn export(file: &str) -> bool {
    let mut totals = UsageTotals::new("Postgres:PROD:pt-1".parse().unwrap(), "2025-01".parse().unwrap());
    totals.add_file("f.json", file.as_bytes()).is_ok()
}

fn reply(body: &str) -> bool {
    let asked = Asked {
        line: Line { contract: ContractId::new("c").unwrap(), dimension: Dimension::new("d").unwrap() },
        start: "2025-06-01T00:00:00Z".parse().unwrap(),
        quantity: "24".parse().unwrap(),
    };
    read_reply(200, body.as_bytes(), &[asked]).is_ok()
}

fn manifest(json: &str) -> bool {
    let known: Manifest = serde_json::from_str(MANIFEST).unwrap();
    Manifest::read(&known.key(json.as_bytes()), json.as_bytes()).is_ok()
}

fn catalog(json: &str) -> bool {
    crate::catalog::billing::parse(json.as_bytes()).is_ok()
        && metered_plans(json.as_bytes()).is_ok()
        && offer(json.as_bytes()).is_ok()
}

#[test]
fn no_reader_decides_which_of_two_members_counts() {
    let mut let_pass = Vec::new();
    for (what, document, reads) in READERS {
        // in one line; JSON is YAML too
        let document: Value = serde_yaml_ng::from_str(document).unwrap();
        assert!(reads(&document.to_string()), "{what} is not read even as it should be");
        for twice in each_member_twice(&document) {
            if reads(&twice) {
                let_pass.push(format!("{what}: {twice}"));
            }
        }
    }
    assert!(let_pass.is_empty(), "{} are read:\n{}", let_pass.len(), let_pass.join("\n"));
}

#[test]
fn what_is_refused_is_named_with_its_place() {
    let twice = ATLAS.replace("\"totalPriceCents\": 5", "\"totalPriceCents\": 5, \"totalPriceCents\": 500");
    assert_eq!(
        Invoice::parse(twice.as_bytes()).unwrap_err().to_string(),
        "not an Atlas invoice: 'totalPriceCents' stands twice in lineItems[0] at line 4 column 154"
    );
    let twice =
        EVENT.replace("\"volume_gib\": 100", "\"volume_gib\": 100, \"volume_gib\": 10").replace('\n', " ");
    let error = read_lines(twice.as_bytes()).unwrap_err().to_string();
    assert!(
        error.starts_with("line 1: it is no JSON object of an event: 'volume_gib' stands twice"),
        "{error}"
    );
}
