//! What reports say, and what cannot be believed.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Shape, UsageReport, UsageReportCertificate, UsageReportError, certify};
use crate::canonical;
use crate::certificate::{Certified, Status, Superseding};
use crate::keys::RawDocumentKey;
use crate::revision::Revision;

const CURRENT: &str = include_str!("../../../../tests/fixtures/ccx/usage_200.json");
const LEGACY: &str = include_str!("../../../../tests/fixtures/ccx/legacy_shape_200.json");
const EMPTY: &str = include_str!("../../../../tests/fixtures/ccx/usage_200_empty.json");

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn key(document: &str) -> RawDocumentKey {
    let revision = Revision::of(document.as_bytes());
    RawDocumentKey::parse(&format!("raw/ccx/ccx.example.com/2025-06/usage/{revision}.json")).unwrap()
}

fn certified_at(document: &str, at: &str) -> Result<UsageReportCertificate, String> {
    certify(&key(document), document.as_bytes(), time(at)).map_err(|error| error.to_string())
}

type Change = fn(&mut Value);

/// Fetched after the month had ended.
fn certified(document: &str) -> Result<UsageReportCertificate, String> {
    certified_at(document, "2025-07-02T04:30:00Z")
}

/// The current report with a change.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut report = serde_json::from_str(CURRENT).unwrap();
    change(&mut report);
    report.to_string()
}

#[test]
fn the_current_shape() {
    let certificate = certified(CURRENT).unwrap();
    assert_eq!(certificate.status, Status::Matched);
    let bytes = certificate.to_json().unwrap();
    assert_eq!(UsageReportCertificate::from_json(&bytes).unwrap(), certificate);
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn the_legacy_shape_is_explained() {
    let certificate = certified(LEGACY).unwrap();
    assert_eq!((certificate.status, certificate.subject.shape), (Status::Explained, Shape::Legacy));
    insta::assert_snapshot!(String::from_utf8(certificate.to_json().unwrap()).unwrap());
}

#[test]
fn a_month_without_datastores() {
    let certificate = certified(EMPTY).unwrap();
    assert_eq!(certificate.status, Status::Matched);
    assert_eq!(certificate.explanation, "0 datastores, 0 alive and 0 deleted, add up");
    assert!(certificate.totals.is_zero());
    let null = EMPTY.replace("[]", "null");
    assert_eq!(certified(&null).unwrap().totals, certificate.totals, "as servers written in Go say it");
}

#[test]
fn the_document_follows_its_schema() {
    let schema = include_str!("../../../../docs/usage-report-certificate.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let late =
        changed(|report| report["datastores"][0]["instances_types_usage"][0]["hours"] = json!(-2000.5));
    let current = certified(CURRENT).unwrap();
    let superseding = current.superseding(Some(&certified(LEGACY).unwrap())).unwrap();
    for certificate in [
        current,
        superseding,
        certified(LEGACY).unwrap(),
        certified(EMPTY).unwrap(),
        certified(&late).unwrap(),
    ] {
        let mut document = serde_json::to_value(certificate).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
        document["totals"]["network_egress_gib"] = json!(12.5);
        assert!(!validator.is_valid(&document), "a number is no exact quantity");
    }
}

#[test]
fn the_window_is_the_month_once_it_has_ended_and_whole_days_before() {
    let window = |from: &str, to: &str, at: &str| {
        let report = changed(|report| (report["from"], report["to"]) = (json!(from), json!(to)));
        certified_at(&report, at).unwrap()
    };
    let (start, end) = ("2025-06-01T00:00:00Z", "2025-07-01T00:00:00Z");
    assert_eq!(window(start, end, end).status, Status::Matched);
    for (from, to, at) in [
        (start, "2025-06-30T00:00:00Z", end),
        (start, "2025-06-30T23:59:59Z", end),
        ("2025-05-01T00:00:00Z", "2025-06-01T00:00:00Z", end),
        ("2025-06-02T00:00:00Z", end, end),
        (start, end, "2025-06-30T23:00:00Z"),
        (start, "2025-06-20T12:00:00Z", "2025-06-21T00:00:00Z"),
        (start, start, "2025-06-20T12:00:00Z"),
    ] {
        let certificate = window(from, to, at);
        assert_eq!(certificate.status, Status::Mismatch, "{from} {to} {at}");
        assert!(certificate.problems[0].starts_with("the report is of "), "{:?}", certificate.problems);
    }
    let open = window(start, "2025-06-21T00:00:00Z", "2025-06-21T04:30:00Z");
    assert_eq!(
        (open.status, open.explanation.as_str()),
        (Status::Matched, "2 datastores, 1 alive and 1 deleted, add up; the month is still running")
    );
}

#[test]
fn what_cannot_be_right_is_a_mismatch_that_names_it() {
    let cases: [(Change, &str); 16] = [
        (|d| d[0]["datastore"] = json!(""), "datastore 1 (): its id is empty"),
        (|d| d[0]["customer_id"] = json!(null), "datastore 1 (ds-1111-aaaa): it names no customer"),
        (
            |d| d[1]["deleted_at"] = json!("2025-06-09T00:00:00Z"),
            "it was deleted at 2025-06-09T00:00:00Z, before it was created",
        ),
        (|d| d[0]["created_at"] = json!("2025-07-01T00:00:00Z"), "after the time of the report"),
        (|d| d[0]["deleted_at"] = json!("2025-05-31T23:59:59Z"), "before the time of the report"),
        (|d| d[0]["instances_types_usage"][0]["hours"] = json!(-0.5), "hours of c4.m8 is negative: -0.5"),
        (
            |d| d[0]["instances_types_usage"][0]["instances_type"] = json!(""),
            "an instance or volume type is empty",
        ),
        (
            |d| d[0]["volumes_types_usage"][0]["gib_per_hours"] = json!(-1),
            "gib_per_hours of ssd is negative: -1",
        ),
        (
            |d| d[0]["volumes_types_usage"][0]["iops_per_hour"] = json!(-1),
            "iops_per_hour of ssd is negative: -1",
        ),
        (
            |d| d[0]["volumes_types_usage"][0]["average_gib"] = json!(0),
            "gib_per_hours of ssd is 216000, with an average_gib of 0",
        ),
        (|d| d[0]["network_egress_usage_gib"] = json!(-12.5), "network_egress_usage_gib is negative: -12.5"),
        (|d| d[0]["backups"]["removed_size_gib"] = json!(-230), "backups.removed_size_gib is negative: -230"),
        (
            |d| d[1]["datastore"] = json!("ds-1111-aaaa"),
            "datastore ds-1111-aaaa comes 2 times with different created_at",
        ),
        (|d| d[1] = d[0].clone(), "datastore ds-1111-aaaa comes twice with the same figures"),
        (
            |d| {
                d[1] = d[0].clone();
                d[1]["customer_id"] = json!("c-002");
            },
            "with different customer_id",
        ),
        (
            |d| d[0]["network_egress_usage_gib"] = json!(null),
            "1 datastores state no network_egress_usage_gib, others do",
        ),
    ];
    for (change, problem) in cases {
        let certificate = certified(&changed(|report| change(&mut report["datastores"]))).unwrap();
        assert_eq!(certificate.status, Status::Mismatch, "{problem}");
        assert!(
            certificate.problems.iter().any(|found| found.contains(problem)),
            "{:?}",
            certificate.problems
        );
        assert!(certificate.explanation.starts_with(&certificate.problems[0]));
        UsageReportCertificate::from_json(&certificate.to_json().unwrap()).unwrap();
    }
}

#[test]
fn two_statements_of_the_egress_agree() {
    let both =
        |total: Value| certified(&changed(|report| report["network_egress_usage_gib"] = total)).unwrap();
    assert_eq!(both(json!(12.5)).status, Status::Matched);
    // each rounded by itself: two figures and their total, half a unit of the fourth decimal each
    let rounded = both(json!(12.5001));
    assert_eq!(rounded.status, Status::Explained);
    assert_eq!(both(json!(12.4998)).status, Status::Mismatch);
    let disagreeing = both(json!(12.6));
    assert_eq!(
        disagreeing.problems,
        ["network_egress_usage_gib is 12.6, and 12.5 is the sum of the datastores"]
    );
}

#[test]
fn what_a_reader_must_know_is_explained() {
    let explained = |change: fn(&mut Value)| {
        let certificate = certified(&changed(|report| change(&mut report["datastores"]))).unwrap();
        assert_eq!(certificate.status, Status::Explained, "{:?}", certificate.problems);
        certificate.explanation
    };
    let parts = explained(|d| {
        d[1] = d[0].clone();
        d[1]["instances_types_usage"] = json!([]);
    });
    assert_eq!(parts, "1 datastores come several times, which is summed: ds-1111-aaaa");
    let idle = explained(|d| d[0]["volumes_types_usage"][0]["gib_per_hours"] = json!(0));
    assert_eq!(idle, "1 volumes have an average_gib and no gib_per_hours");
    let silent = explained(|d| {
        d[0]["network_egress_usage_gib"] = json!(null);
        d[1].as_object_mut().unwrap().remove("network_egress_usage_gib");
    });
    assert_eq!(silent, "the report states no egress");
}

#[test]
fn a_document_that_is_no_report_says_where() {
    let error = |change: fn(&mut Value)| certified(&changed(change)).unwrap_err();
    let cases: [(Change, &str); 9] = [
        (|r| r["datastores"] = json!({}), "datastores of the report is {}, not a list"),
        (|r| r["from"] = json!(null), "the report has no from"),
        (|r| r["to"] = json!("soon"), "to of the report is \"soon\", not a time like 2026-10-01T00:00:00Z"),
        (
            |r| r["datastores"][1] = json!([]),
            "datastores of the report is [], not made of objects, each field once",
        ),
        (|r| r["datastores"][1]["datastore"] = json!(7), "datastore of datastore 2 is 7, not a text"),
        (
            |r| r["datastores"][1]["instances_types_usage"][0]["hours"] = json!("240"),
            "hours of datastore 2 (ds-2222-bbbb) is \"240\", not an exact number",
        ),
        (
            |r| drop(r["datastores"][0].as_object_mut().unwrap().remove("volumes_types_usage")),
            "datastore 1 (ds-1111-aaaa) has no volumes_types_usage",
        ),
        (
            |r| r["datastores"][0]["volumes_types_usage"][0]["gib_per_hours"] = json!(null),
            "datastore 1 (ds-1111-aaaa) has no gib_per_hours",
        ),
        (
            |r| r["datastores"][0]["backups"] = json!({"taken": 1}),
            "datastore 1 (ds-1111-aaaa) has no taken_size_gib",
        ),
    ];
    for (change, message) in cases {
        assert!(error(change).contains(message), "{}", error(change));
    }
    for number in ["1e40", "12345678901234567890123456789.1", "NaN", "1e-40"] {
        let document = CURRENT.replace("2000.5", number);
        assert!(certified(&document).is_err(), "{number}");
    }
    let cut = certified(&CURRENT[..CURRENT.len() / 2]).unwrap_err();
    assert!(cut.starts_with("not a usage report of CCX: EOF"), "{cut}");
    assert!(certified(&CURRENT.replace("\"hours\": 240", "\"hours\": 240, \"hours\": 1")).is_err());
    let other = certify(&key(CURRENT), LEGACY.as_bytes(), Utc::now()).unwrap_err();
    assert!(matches!(other, UsageReportError::OtherContent { .. }));
}

#[test]
fn floats_of_the_server_are_kept_digit_by_digit() {
    let document = CURRENT.replace("2000.5", "0.1").replace("159.5", "0.20000000000000004");
    let document = document.replace("\"iops_per_hour\": 6480000", "\"iops_per_hour\": 6.48e6");
    let document = document.replace("\"hours\": 240", "\"hours\": 2.7777777777777776e-04");
    let totals = certified(&document).unwrap().totals;
    assert_eq!(totals.instance_hours["c4.m8"].to_string(), "0.30000000000000004");
    assert_eq!(totals.instance_hours["c2.m4"].to_string(), "0.00027777777777777776");
    assert_eq!(totals.volumes["ssd"].iops_hours.to_string(), "6480000");
}

#[test]
fn a_changed_report_names_the_one_before_and_the_differences() {
    let later = changed(|report| {
        report["datastores"][0]["instances_types_usage"][1]["hours"] = json!(160);
        report["datastores"][1]["deleted_at"] = json!("2025-06-21T08:00:00Z");
    });
    let before = certified(CURRENT).unwrap();
    let after = certified(&later).unwrap().superseding(Some(&before)).unwrap();
    let supersedes = after.supersedes.as_ref().unwrap();
    assert_eq!(supersedes.revision, before.subject.revision);
    assert_eq!(supersedes.difference.instance_hours["c4.m8"].to_string(), "0.5");
    assert_eq!((supersedes.difference.instance_hours.len(), supersedes.difference.volumes.len()), (1, 0));
    assert_eq!(supersedes.customers.keys().collect::<Vec<_>>(), ["c-001"]);
    after.to_json().unwrap();
}

#[test]
fn a_certificate_that_contradicts_itself_is_neither_written_nor_read() {
    type Forgery = fn(&mut UsageReportCertificate);
    let cases: [(Forgery, &str); 6] = [
        (
            |c| c.totals.network_egress_gib = "13".parse().unwrap(),
            "network_egress_gib of totals = sum of customers + unattributed: 13 is not 12.5",
        ),
        (|c| c.totals.instance_hours.retain(|name, _| name != "c2.m4"), "instance_hours c2.m4 of totals"),
        (|c| c.datastores.alive = 2, "datastores listed = alive + deleted: 2 is not 3"),
        (|c| c.status = Status::Mismatch, "a mismatch has problems"),
        (|c| c.subject.end_date = "2025-06-30".into(), "a final report ends with its month"),
        (
            |c| c.provider_figures.network_egress_usage_gib = Some("1".parse().unwrap()),
            "the egress is the one stated",
        ),
    ];
    for (change, law) in cases {
        let mut certificate = certified(CURRENT).unwrap();
        change(&mut certificate);
        let bytes = canonical::to_json(&certificate).unwrap();
        assert!(certificate.to_json().unwrap_err().to_string().contains(law), "{law}");
        assert!(UsageReportCertificate::from_json(&bytes).unwrap_err().to_string().contains(law), "{law}");
    }
}

/// Entries of a report: datastore, customer, and (type, thousandths of hours) of its instances.
type Entry = (u8, Vec<(u8, u32)>);

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let instances = proptest::collection::vec((0u8..4, 0u32..5_000_000), 0..6);
    proptest::collection::vec((0u8..5, instances), 0..12)
}

fn report_of(entries: &[Entry]) -> String {
    let number = |thousandths: u32| -> Value {
        serde_json::from_str(&format!("{}.{:03}", thousandths / 1000, thousandths % 1000)).unwrap()
    };
    let datastore = |(index, (customer, instances)): (usize, &Entry)| {
        let instance = |(kind, hours): &(u8, u32)| json!({"instances_type": format!("t{kind}"), "hours": number(*hours)});
        let volume = |(kind, hours): &(u8, u32)| json!({"volume_type": format!("v{kind}"), "gib_per_hours": number(*hours), "iops_per_hour": 1});
        json!({
            "datastore": format!("ds-{index}"), "created_at": "2025-06-01T00:00:00Z", "deleted_at": null,
            "customer_id": format!("c{customer}"), "network_egress_usage_gib": number(u32::from(*customer)),
            "instances_types_usage": instances.iter().map(instance).collect::<Vec<_>>(),
            "volumes_types_usage": instances.iter().map(volume).collect::<Vec<_>>(),
        })
    };
    let datastores: Vec<Value> = entries.iter().enumerate().map(datastore).collect();
    json!({"datastores": datastores, "from": "2025-06-01T00:00:00Z", "to": "2025-07-01T00:00:00Z"})
        .to_string()
}

proptest! {
    #[test]
    fn sums_depend_on_what_is_listed_and_not_on_how(entries in entries(), seed in any::<u64>()) {
        let certificate = certified(&report_of(&entries)).unwrap();
        // independently, in integers
        for kind in 0u8..4 {
            let listed = entries.iter().flat_map(|(_, instances)| instances).filter(|(found, _)| *found == kind);
            let thousandths: u64 = listed.map(|(_, hours)| u64::from(*hours)).sum();
            let found = certificate.totals.instance_hours.get(&format!("t{kind}")).copied().unwrap_or_default();
            let expected = format!("{}.{:03}", thousandths / 1000, thousandths % 1000).parse().unwrap();
            prop_assert_eq!(found, expected);
        }
        // in another order, of datastores and within them
        let mut report: Value = serde_json::from_str(&report_of(&entries)).unwrap();
        let datastores = report["datastores"].as_array_mut().unwrap();
        let turn = |list: &mut Vec<Value>| {
            if !list.is_empty() {
                let by = usize::try_from(seed % list.len() as u64).unwrap();
                list.rotate_left(by);
                list.reverse();
            }
        };
        turn(datastores);
        for datastore in datastores {
            turn(datastore["instances_types_usage"].as_array_mut().unwrap());
            turn(datastore["volumes_types_usage"].as_array_mut().unwrap());
        }
        let turned = certified(&report.to_string()).unwrap();
        prop_assert_eq!(&turned.totals, &certificate.totals);
        prop_assert_eq!(&turned.customers, &certificate.customers);
        prop_assert!(turned.superseding(Some(&certificate)).unwrap().supersedes.unwrap().difference.is_zero());
    }

    #[test]
    fn an_entry_in_two_parts_is_the_same_as_in_one(entries in entries(), part in 1u32..999) {
        let split = |instances: &Vec<(u8, u32)>| -> Vec<(u8, u32)> {
            let parts = instances.iter().flat_map(|(kind, hours)| {
                let first = u32::try_from(u64::from(*hours) * u64::from(part) / 1000).unwrap();
                [(*kind, first), (*kind, hours - first)]
            });
            parts.collect()
        };
        let in_parts: Vec<_> = entries.iter().map(|(customer, all)| (*customer, split(all))).collect();
        let (whole, parts) = (certified(&report_of(&entries)).unwrap(), certified(&report_of(&in_parts)).unwrap());
        prop_assert_eq!(&whole.totals.instance_hours, &parts.totals.instance_hours);
        for (kind, volume) in &whole.totals.volumes {
            prop_assert_eq!(volume.gib_hours, parts.totals.volumes[kind].gib_hours);
        }
    }

    #[test]
    fn reading_any_text_never_panics(text in "\\PC{0,80}", at in 0usize..CURRENT.len()) {
        let _ = UsageReport::parse(text.as_bytes());
        let _ = UsageReport::parse(&[&CURRENT.as_bytes()[..at], text.as_bytes()].concat());
        let _ = certified(&CURRENT.replace("2000.5", &text));
    }
}
