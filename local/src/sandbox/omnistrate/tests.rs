use std::fs;

use serde_json::Value;

use super::*;

fn month(text: &str) -> BillingMonth {
    text.parse().unwrap()
}

fn total(export: &OmnistrateExport, closing: &str, subscription: usize, dimension: &str) -> Option<String> {
    let contract = export.contracts()[subscription].clone();
    export.totals(month(closing)).get(&(contract, dimension.to_owned())).cloned()
}

#[test]
fn the_sums_are_exact() {
    let export = OmnistrateExport::example(month("2026-10"));
    assert_eq!(total(&export, "2026-10", 0, "cpu_core_hours").unwrap(), "669.6");
    assert_eq!(total(&export, "2026-09", 0, "cpu_core_hours").unwrap(), "648");
    for closing in ["2026-09", "2026-10"] {
        let bytes: u128 = total(&export, closing, 1, "memory_byte_hours").unwrap().parse().unwrap();
        // an odd number of that size is no double
        assert!(bytes > 1 << 53 && bytes % 2 == 1, "{bytes}");
        let bytes: u128 =
            total(&export, closing, 1, "storage_allocated_byte_hours").unwrap().parse().unwrap();
        assert!(bytes > 1 << 53);
    }
    assert_eq!(total(&export, "2026-09", 2, "cpu_core_hours"), None);
    assert_eq!(
        total(&export, "2026-10", 2, "cpu_core_hours").unwrap(),
        ((744 - 14 * 24 - 9) * 2).to_string()
    );
    assert!(export.totals(month("2026-08")).is_empty());
}

#[test]
fn the_objects_add_up_to_the_totals() {
    let export = OmnistrateExport::example(month("2026-02"));
    for closing in ["2026-01", "2026-02"] {
        let mut sums = BTreeMap::new();
        let mut without_payer = 0;
        let folder =
            format!("omnistrate-metering/Postgres/PROD/pt-HJSv20iWX0/{}/", closing.replace('-', "/"));
        for (key, bytes) in export.files().filter(|(key, _)| key.starts_with(&folder)) {
            for record in serde_json::from_slice::<Vec<Value>>(&bytes).unwrap() {
                let hour = record["timestamp"].as_str().unwrap().replace(['-', 'T'], "/");
                assert!(key.contains(&hour.replace(":00:00Z", "/")), "{key} {hour}");
                let Some(contract) = record["externalPayerId"].as_str() else {
                    without_payer += 1;
                    continue;
                };
                let slot = (contract.to_owned(), record["dimension"].as_str().unwrap().to_owned());
                *sums.entry(slot).or_insert(0) += thousandths(&record["value"]);
            }
        }
        let sums = sums.into_iter().map(|(slot, sum): (_, u128)| (slot, usage::decimal(sum))).collect();
        assert_eq!(export.totals(month(closing)), sums, "{closing}");
        assert_eq!(without_payer, usize::from(closing == "2026-02"));
    }
}

fn thousandths(value: &Value) -> u128 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{rest:0<3}").parse().unwrap()
}

#[test]
fn the_shapes_differ() {
    let export = OmnistrateExport::example(month("2026-10"));
    let texts: Vec<String> =
        export.files().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).skip(800 * 3).take(8).collect();
    let text = texts.join("\n");
    assert!(
        text.contains(
            r#""dimension":"cpu_core_hours","value":0.9,"pricePerUnit":0.05,"timestamp":"2026-10-"#
        )
    );
    assert!(text.contains(r#""value":"17592186044416""#));
    assert!(text.contains("[\n  {\n    \"externalPayerId\": \"f2d85e07-"));
    let later = export.files().last().unwrap();
    assert_eq!(later.0, "omnistrate-metering/Postgres/PROD/pt-HJSv20iWX0/2026/10/31/23/sub-QnR6yHs8Jf.json");
    let tagged = |(_, bytes): &(String, Vec<u8>)| String::from_utf8_lossy(bytes).contains("\"tags\":{");
    assert_eq!(export.files().filter(tagged).count(), 744 - 14 * 24 - 9);
}

#[test]
fn any_size_in_the_order_of_keys() {
    let export = OmnistrateExport::sized(vec![month("2026-09")], 10);
    let keys: Vec<String> = export.files().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 7_200);
    assert!(keys.is_sorted());
    let marker: Value = serde_json::from_slice(&export.marker()).unwrap();
    let expected = json!({"Postgres:PROD:pt-HJSv20iWX0": {"last_processed_to": "2026-10-01T00:00:00Z"}});
    assert_eq!(marker, expected);
    assert_eq!(export.totals(month("2026-09")).len(), 30);
}

#[test]
fn files_that_are_there_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let export = OmnistrateExport::sized(vec![month("2026-02")], 1);
    assert_eq!(export.write_to(folder.path()).unwrap(), 28 * 24 + 1);
    let (key, bytes) = export.files().next().unwrap();
    let path = folder.path().join(key);
    let modified = || fs::metadata(&path).unwrap().modified().unwrap();
    let before = modified();
    assert_eq!(export.write_to(folder.path()).unwrap(), 0);
    assert_eq!(modified(), before);
    fs::write(&path, "[").unwrap();
    assert_eq!(export.write_to(folder.path()).unwrap(), 1);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}
