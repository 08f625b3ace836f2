//! The monthly revenue report from end to end: a journal arrives, in any order and as often as it likes.

use billing::revenue::RevenueCertificate;
use billing::revision::sha256_hex;
use chrono::{DateTime, Utc};
use cloud::invocation::Failure;
use local::{Functions, journal};
use serde_json::{Value, json};

use crate::metering_world::metered_with;
use crate::world::{World, assert_same, now};
use billing::certificate::Certified;

const CATALOG: &str = "currency: EUR\nrevenue:\n  clients: [{id: 1, name: Ann}, {id: 2, name: Bo, currency: CHF}]\n  services:\n    - {id: 7, \
                       name: Shop, client: 1, fixed_monthly_price: 10}\n    - {id: 8, name: Mail, client: 2, fixed_monthly_price: 3}\n";

/// A cloud with a catalog; notifications wait to be delivered unless it follows them itself.
pub(crate) async fn selling(follow: bool) -> World {
    let world = metered_with(follow, &[("REPORTING_DEFAULT_LOCATION", "Chicago")]).await;
    world.put("catalog/current.yaml", CATALOG).await;
    world
}

/// A payment of a service's item on a day of October 2026.
pub(crate) fn payment(id: &str, day: u32, amount: &str) -> String {
    line(id, day, 1, 7, amount, "EUR").to_string()
}

fn line(id: &str, day: u32, client: u32, service: u32, amount: &str, currency: &str) -> Value {
    json!({
        "id": id, "date": format!("2026-10-{day:02}T12:00:00Z"), "client": client, "source": "tr", "destination": "iv", "amount": amount,
        "currency": currency, "invoice": {"id": id, "items": [{"id": 1, "service": service, "item_type": "service", "amount": amount}]},
    })
}

impl World {
    pub(crate) async fn put(&self, key: &str, text: &str) {
        self.bucket.overwrite(key, text.as_bytes().to_vec(), "application/x-ndjson").await.unwrap();
    }

    /// Delivers what waits, until nothing does; answers how each delivery ended.
    async fn deliver(&self) -> Vec<Result<Value, Failure>> {
        let mut answers = Vec::new();
        loop {
            let due = self.cloud.queue().due().unwrap();
            if due.is_empty() {
                return answers;
            }
            for (id, function, event) in due {
                answers.push(self.invoke(&function, event).await);
                self.cloud.queue().delivered(id).unwrap();
            }
        }
    }

    async fn json(&self, key: &str) -> Value {
        serde_json::from_slice(&self.read(key).await).unwrap()
    }

    /// What all clients have paid and been allotted in October 2026.
    async fn revenue(&self) -> Value {
        self.certified("2026-10-EUR").await["total_revenue"].clone()
    }

    /// A report whose certificate keeps its laws and names the bytes that stand.
    async fn certified(&self, name: &str) -> Value {
        let certificate = self.read(&format!("certificates/revenue/{name}.json")).await;
        for output in RevenueCertificate::from_json(&certificate).unwrap().outputs {
            assert_eq!(sha256_hex(&self.read(&output.key).await), output.sha256, "{}", output.key);
        }
        self.json(&format!("reports/revenue/{name}.json")).await
    }
}

#[tokio::test]
async fn the_worked_example_from_its_journal_to_its_report() {
    let example = journal::worked_example();
    let world = metered_with(true, &[("REPORTING_DEFAULT_LOCATION", example.default_location)]).await;
    journal::put(&example.objects, &world.bucket).await.unwrap();
    world.quiet().await;
    // the arrival of the journal has reported on its months already
    assert_eq!(world.certified("2019-03-EUR").await["total_revenue"], json!(10));
    assert_eq!(world.certified("2019-02-EUR").await["total_revenue"], json!(5));
    let answer = world.invoke("report-revenue", example.event).await.unwrap();
    assert_eq!(answer["windows"][0]["reports"][0]["total_debt"], "57.50");
    let report = world.certified("20180310T180000Z_20190310T180000Z-EUR").await;
    let client = &report["revenue_report"][0];
    let entry = |date: &str| json!([{"amount": 5, "item_type": "service", "from_credit": false, "taxes_amount": 0, "taxes_percent": 0, "source": "tr", "date": date}]);
    let service = |id: u32,
                   name: &str,
                   price: u32,
                   date: &str,
                   usage: Value,
                   [required, percent, alloted, debt]: [Value; 4]| {
        json!({
            "service_name": name, "service_id": id, "entries": entry(date), "fixed_monthly_price": price, "price_overridden": false,
            "total_revenue": 5, "total_from_credit": 0, "usage_details": usage, "cost_still_required": required,
            "cost_required_percent": percent, "alloted_from_credit": alloted, "debt": debt,
        })
    };
    let usage = json!({
        "service": 762_786,
        "name": "OpenStack Project",
        "locations": {
            "Winterfell": {
                "instance": {"resource_name": "Instances", "price": 51.6, "num_resources": 5},
                "volume": {"resource_name": "Volumes", "price": 38.2, "num_resources": 1},
            },
            "Riverrun": {"instance": {"resource_name": "Instances", "price": 17.7, "num_resources": 3}},
        },
        "location_cost": {"Winterfell": 89.8, "Riverrun": 17.7},
        "total_cost": 107.5,
    });
    let zero = || json!(0);
    assert_eq!(
        client["services_report"],
        json!({
            "305815": service(305_815, "Shared small", 5, "2019-03-01 14:21:43.969120+00:00", json!({}), [zero(), zero(), zero(), zero()]),
            "762786": service(762_786, "OpenStack Project", 0, "2019-03-01 11:17:51.508168+00:00", usage,
                [json!(102.5), json!(100), json!(45), json!(57.5)]),
        })
    );
    let locations = json!([{"name": "Chicago", "revenue": 5}, {"name": "Winterfell", "revenue": 25}, {"name": "Riverrun", "revenue": 25}]);
    let rest = json!({
        "client": 679_545, "client_display_name": "Fleio (Client name)", "services_report": client["services_report"], "credit_in": 45,
        "credit_out": 0, "credit_available": 45, "total_debt": 57.5, "total_alloted_from_credit": 45, "revenue_per_location": locations,
    });
    assert_eq!(*client, rest);
    assert_eq!(
        report,
        json!({
            "revenue_report": [rest], "total_revenue_per_location": locations, "total_revenue": 55, "currency_code": "EUR",
            "start_date": "2018-03-10 18:00:00+00:00", "end_date": "2019-03-10 18:00:00+00:00",
        })
    );
}

#[tokio::test]
async fn a_bad_line_holds_its_month_and_the_report_before_stays() {
    let world = selling(false).await;
    world.put("journal/2026-10/a.jsonl", &payment("a", 1, "4.00")).await;
    assert!(world.deliver().await.iter().all(Result::is_ok));
    let before = world.certified("2026-10-EUR").await;
    let second =
        format!("{}\n\n{}\n", payment("b", 2, "5"), payment("c", 3, "6").replace("\"tr\"", "\"xx\""));
    world.put("journal/2026-10/b.jsonl", &second).await;
    world.put("journal/2026-11/a.jsonl", "{}").await;
    for answer in world.deliver().await {
        assert_eq!(answer.unwrap_err().outcome.to_string(), "held");
    }
    let held = world.json("held/reports/revenue/2026-10.reason.json").await;
    let why = "journal/2026-10/b.jsonl line 3: source \"xx\" is not an account: cr, tx, iv, tr, st, se or ex";
    assert_eq!([&held["status"], &held["reason"]], ["held", why]);
    assert_eq!(
        held["problems"],
        json!([{"file": "journal/2026-10/b.jsonl", "line": 3, "reason": "source \"xx\" is not an account: cr, tx, iv, tr, st, se or ex"}])
    );
    assert_eq!(world.certified("2026-10-EUR").await, before);
    // mended: the month is published, and the note says so
    world.put("journal/2026-10/b.jsonl", &second.replace("\"xx\"", "\"tr\"")).await;
    assert!(world.deliver().await.iter().all(Result::is_ok));
    assert_eq!(world.revenue().await, json!(15));
    assert_eq!(world.json("held/reports/revenue/2026-10.reason.json").await["status"], "released");
    // the other month waits for its own
    assert_eq!(world.json("held/reports/revenue/2026-11.reason.json").await["status"], "held");
}

#[tokio::test]
async fn contradictions_unknown_services_and_other_files_hold() {
    let world = selling(false).await;
    let cases = [
        ("a.jsonl", payment("a", 1, "4"), None),
        ("b.jsonl", payment("a", 1, "4"), None), // the same again
        (
            "b.jsonl",
            payment("a", 1, "5"),
            Some("the id a stands in journal/2026-10/a.jsonl line 1 with other content"),
        ),
        (
            "b.jsonl",
            line("x", 1, 1, 9, "4", "EUR").to_string(),
            Some("the service '9' is not in the catalog; add it to revenue.services"),
        ),
        ("b.jsonl", line("x", 1, 3, 7, "4", "EUR").to_string(), Some("the client '3' is not in the catalog")),
        (
            "b.jsonl",
            payment("x", 1, "4").replace("2026-10-01", "2026-11-01"),
            Some("move the line to journal/2026-11/"),
        ),
        ("b.jsonl", payment("x", 1, "4")[..50].to_owned(), Some("it is no journal line: EOF")),
        ("b.jsonl", String::new(), None),
        ("c.csv", "id;date".to_owned(), Some("its name does not end with .jsonl")),
    ];
    for (name, text, why) in cases {
        world.put(&format!("journal/2026-10/{name}"), &text).await;
        world.deliver().await;
        let answer = world.invoke("report-revenue", json!({"month": "2026-10"})).await;
        match why {
            None => assert_eq!(answer.unwrap()["windows"][0]["state"], "unchanged", "{text}"),
            Some(why) => {
                let failure = answer.unwrap_err();
                assert_eq!(failure.outcome.to_string(), "held");
                assert!(failure.message.contains(why), "{}", failure.message);
            }
        }
        assert_eq!(world.revenue().await, json!(4));
    }
}

#[tokio::test]
async fn files_in_any_order_and_twice_come_to_the_same() {
    let files = [
        ("journal/2026-10/a.jsonl", format!("{}\n{}", payment("a", 1, "1.10"), payment("b", 1, "2.20"))),
        ("journal/2026-10/sub/b.jsonl", format!("{}\n{}", payment("b", 1, "2.20"), payment("c", 9, "3.30"))),
        ("journal/2026-10/c.jsonl", line("d", 31, 2, 8, "1.05", "CHF").to_string()),
    ];
    let mut ends = Vec::new();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let world = selling(false).await;
        for index in order {
            world.put(files[index].0, &files[index].1).await;
        }
        // the last first, and each a second time
        let mut due = world.cloud.queue().due().unwrap();
        due.reverse();
        for (_, function, event) in due.iter().chain(&due) {
            world.invoke(function, event.clone()).await.unwrap();
        }
        assert_eq!(world.revenue().await, json!(6.6));
        assert_eq!(world.certified("2026-10-CHF").await["total_revenue"], json!(1.05));
        ends.push(world.state().await);
    }
    assert_same(&ends[0], &ends[1]);
    assert_same(&ends[0], &ends[2]);
}

#[tokio::test]
async fn a_currency_that_has_vanished_does_not_stay_as_if_it_were_so() {
    let world = selling(false).await;
    world.put("journal/2026-10/a.jsonl", &line("a", 1, 1, 7, "9", "USD").to_string()).await;
    world.deliver().await;
    assert_eq!(world.certified("2026-10-USD").await["total_revenue"], json!(9));
    world.put("journal/2026-10/a.jsonl", &payment("a", 1, "9")).await;
    world.deliver().await;
    assert_eq!(world.revenue().await, json!(9));
    let nothing = world.certified("2026-10-USD").await;
    assert_eq!([&nothing["total_revenue"], &nothing["revenue_report"]], [&json!(0), &json!([])]);
}

#[tokio::test]
async fn many_notifications_at_once_come_to_the_whole_journal() {
    let world = selling(true).await;
    let files = (0..24).map(|index| {
        let key = format!("journal/2026-10/{index}.jsonl");
        let text = payment(&index.to_string(), index % 28 + 1, "1.00");
        let world = &world;
        async move { world.put(&key, &text).await }
    });
    futures::future::join_all(files).await;
    world.quiet().await;
    assert_eq!(world.cloud.queue().dead_letters().unwrap().len(), 0);
    assert_eq!(world.revenue().await, json!(24));
}

#[tokio::test]
async fn the_schedule_reports_on_the_month_before_also_at_new_year() {
    let world = selling(false).await;
    let new_year: DateTime<Utc> = "2027-01-01T08:00:01Z".parse().unwrap();
    let scheduled = json!({"scheduled_time": "2027-01-01T08:00:00Z", "execution_id": "x", "attempt": "1"});
    let invoke = || world.cloud.functions().invoke("report-revenue", &scheduled, "test", new_year);
    let answer = invoke().await.unwrap();
    assert_eq!(answer["windows"][0]["window"], "2026-12");
    // nobody has paid: what the services cost is owed
    let report = world.certified("2026-12-CHF").await;
    assert_eq!(
        [&report["total_revenue"], &report["revenue_report"][0]["total_debt"]],
        [&json!(0), &json!(3)]
    );
    assert_eq!(invoke().await.unwrap()["windows"][0]["state"], "unchanged");
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_a_missing_location_says_so() {
    let world = selling(false).await;
    world.put("journal/2026-10/a.jsonl", &payment("a", 1, "4")).await;
    let before = world.state().await;
    let asked = json!({"month": "2026-10", "dry_run": true});
    let answer = world.invoke("report-revenue", asked).await.unwrap();
    assert_eq!(answer["windows"][0]["reports"][1]["total_revenue"], "4.00");
    assert_same(&before, &world.state().await);
    let nowhere = Functions::new(world.cloud.vars().clone().without("REPORTING_"));
    let failure =
        nowhere.invoke("report-revenue", &json!({"month": "2026-10"}), "test", now()).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "failed");
    assert_eq!(
        failure.message,
        "revenue of 2026-10 failed: the variable REPORTING_DEFAULT_LOCATION is missing: set it to the location of services without usage \
         details; service 7 has money and no usage details"
    );
    assert!(world.keys("held/").await.is_empty());
}

#[tokio::test]
async fn objects_that_are_no_journal_are_refused_and_the_others_go_on() {
    let world = selling(false).await;
    world.put("journal/2026-10/a.jsonl", &payment("a", 1, "4")).await;
    let record =
        |bucket: &str, key: &str| json!({"s3": {"bucket": {"name": bucket}, "object": {"key": key}}});
    let event = json!({"Records": [
        record(local::BUCKET, "journal/2026-10/a.jsonl"), record(local::BUCKET, "journal/2026-13/a.jsonl"),
        record("elsewhere", "journal/2026-10/a.jsonl"), record(local::BUCKET, "journal/2026-10/../../x.jsonl"),
    ]});
    let failure = world.invoke("report-revenue", event).await.unwrap_err();
    assert_eq!(failure.outcome.to_string(), "partial");
    for part in ["revenue of 2026-10: ", "is not a month", "the event is about bucket elsewhere"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert_eq!(world.revenue().await, json!(4));
}

#[tokio::test]
async fn the_invented_month_is_reported_on() {
    let world = metered_with(true, &[("REPORTING_DEFAULT_LOCATION", journal::DEFAULT_LOCATION)]).await;
    journal::put(&journal::invented_month("2026-10".parse().unwrap()), &world.bucket).await.unwrap();
    world.quiet().await;
    assert_eq!(world.cloud.queue().dead_letters().unwrap().len(), 0);
    let euro = world.certified("2026-10-EUR").await;
    let places: Vec<&str> = euro["total_revenue_per_location"]
        .as_array()
        .unwrap()
        .iter()
        .map(|at| at["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        places,
        ["Zurich", "Frankfurt", "Geneva", "Oslo"],
        "in the order of services and their details"
    );
    assert_eq!(world.certified("2026-10-CHF").await["total_revenue"], json!(12.5));
}
