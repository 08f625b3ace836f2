//! Journals of money movements to look at: the worked example of the revenue report, and an invented month.

use billing::keys::journal_folder;
use billing::month::BillingMonth;
use cloud::bucket::{Bucket, BucketError};
use serde_json::{Value, json};

/// Objects of a data bucket: key and content.
pub type Objects = Vec<(String, Vec<u8>)>;

/// Where services of the invented month earn their money that say nothing of their usage.
pub const DEFAULT_LOCATION: &str = "Zurich";

/// The worked example: what it is made of, and what it is asked for.
#[derive(Clone, Debug)]
pub struct WorkedExample {
    /// The catalog and the journal.
    pub objects: Objects,
    /// The window, as `report-revenue` is asked for it.
    pub event: Value,
    /// `REPORTING_DEFAULT_LOCATION`.
    pub default_location: &'static str,
}

/// The worked example of docs/revenue.md.
#[must_use]
pub fn worked_example() -> WorkedExample {
    let object = |key: &str, text: &str| (key.to_owned(), text.as_bytes().to_vec());
    WorkedExample {
        objects: vec![
            object(billing::catalog::CURRENT, include_str!("../examples/revenue/catalog.yaml")),
            object(
                "journal/2019-02/credit.jsonl",
                include_str!("../examples/revenue/journal/2019-02/credit.jsonl"),
            ),
            object(
                "journal/2019-03/payments.jsonl",
                include_str!("../examples/revenue/journal/2019-03/payments.jsonl"),
            ),
            object(
                "journal/2019-03/usage.jsonl",
                include_str!("../examples/revenue/journal/2019-03/usage.jsonl"),
            ),
        ],
        event: json!({"start": "2018-03-10T18:00:00Z", "end": "2019-03-10T18:00:00Z"}),
        default_location: "Chicago",
    }
}

/// Puts objects into a data bucket, in their order.
///
/// # Errors
/// [`BucketError`].
pub async fn put(objects: &Objects, bucket: &Bucket) -> Result<(), BucketError> {
    for (key, bytes) in objects {
        let kind = if key.ends_with(".yaml") { "application/yaml" } else { "application/x-ndjson" };
        bucket.overwrite(key, bytes.clone(), kind).await?;
    }
    Ok(())
}

/// An invented month: three clients in two currencies, payments at once and in part, with taxes, from credit and back, and a project
/// on OpenStack in three regions. The catalog, then the journal; put in this order, the month is reported on once the journal stands.
#[must_use]
pub fn invented_month(month: BillingMonth) -> Objects {
    let catalog = json!({
        "currency": "EUR",
        "revenue": {
            "clients": [
                {"id": 1001, "name": "Northwind Traders"},
                {"id": 1002, "name": "Tailspin Toys"},
                {"id": 1003, "name": "Fabrikam", "currency": "CHF"},
            ],
            "services": [
                {"id": 5001, "name": "Web hosting M", "client": 1001, "fixed_monthly_price": "29.00"},
                {"id": 5002, "name": "Cloud project", "client": 1001, "fixed_monthly_price": "0"},
                {"id": 5003, "name": "Managed database", "client": 1002, "fixed_monthly_price": "149.00", "price_overridden": true},
                {"id": 5004, "name": "Backup", "client": 1003, "fixed_monthly_price": "12.50"},
            ],
        },
    });
    let lines =
        |lines: Vec<Value>| lines.iter().flat_map(|line| [line.to_string(), "\n".into()]).collect::<String>();
    let folder = journal_folder(month);
    vec![
        // JSON is YAML
        (billing::catalog::CURRENT.to_owned(), catalog.to_string().into_bytes()),
        (format!("{folder}usage.jsonl"), lines(vec![usage(month)]).into_bytes()),
        (format!("{folder}movements.jsonl"), lines(movements(month)).into_bytes()),
    ]
}

fn movements(month: BillingMonth) -> Vec<Value> {
    let moved = |id: &str,
                 day: u32,
                 client: u32,
                 way: (&str, &str),
                 amount: &str,
                 currency: &str,
                 more: Value| {
        let mut line = json!({
            "id": format!("{month}-{id}"), "date": format!("{month}-{day:02}T09:{:02}:00+00:00", day * 2), "client": client,
            "source": way.0, "destination": way.1, "amount": amount, "currency": currency,
        });
        if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more);
        }
        line
    };
    let invoice = |id: &str, items: Value| json!({"invoice": {"id": id, "items": items}});
    let item = |id: u32, service: u32, amount: &str| json!({"id": id, "service": service, "item_type": "service", "amount": amount, "taxes_percent": 19});
    let (at_bank, from_credit) = (("tr", "iv"), ("cr", "iv"));
    let hosting = || invoice("iv-101", json!([item(1, 5001, "29.00")]));
    let both = || {
        let setup = json!({"id": 2, "item_type": "setup", "amount": "50.00", "taxes_percent": 19});
        invoice("iv-102", json!([item(1, 5003, "149.00"), setup]))
    };
    let backup = || {
        invoice(
            "iv-103",
            json!([{"id": 1, "service": 5004, "item_type": "service", "amount": "12.50", "taxes_percent": "8.1"}]),
        )
    };
    vec![
        moved("opening", 1, 1001, ("st", "cr"), "20.00", "EUR", json!({"opening": true})),
        moved("top-up", 2, 1001, ("tr", "cr"), "100.00", "EUR", Value::Null),
        moved("hosting", 3, 1001, from_credit, "34.51", "EUR", hosting()),
        moved("hosting-taxes", 3, 1001, ("iv", "tx"), "5.51", "EUR", Value::Null),
        // half of what was billed
        moved("database", 5, 1002, at_bank, "118.41", "EUR", both()),
        moved("database-rest", 12, 1002, ("ex", "iv"), "60.00", "EUR", both()),
        moved("goodwill", 20, 1002, ("iv", "tr"), "10.00", "EUR", both()),
        moved("gift", 21, 1002, ("st", "cr"), "15.00", "EUR", Value::Null),
        moved("backup", 8, 1003, at_bank, "13.51", "CHF", backup()),
        moved("settled", 25, 1003, ("se", "cr"), "3.00", "CHF", Value::Null),
    ]
}

fn usage(month: BillingMonth) -> Value {
    let resource = |name: &str, price: &str, number: u32| json!({"resource_name": name, "price": price, "num_resources": number});
    json!({
        "kind": "usage", "service": 5002, "plugin": "openstack", "month": month,
        "details": {"name": "Cloud project", "total_cost": "142.25", "locations": {
            "Frankfurt": {"instance": resource("Instances", "71.40", 6), "volume": resource("Volumes", "18.35", 9)},
            "Geneva": {"instance": resource("Instances", "35.20", 2)},
            "Oslo": {"floating_ip": resource("Floating IPs", "4.80", 4), "volume": resource("Volumes", "12.50", 3)},
        }},
    })
}
