use super::*;

fn query(kind: Option<&str>) -> CostQuery {
    CostQuery {
        month: "2025-06".parse().unwrap(),
        group_by: [ACCOUNT, SERVICE],
        record_type: kind.map(str::to_owned),
    }
}

fn group(account: &str, key: &str, amount: &str) -> Value {
    json!({"Keys": [account, key], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}})
}

fn page(groups: &[Value], token: Option<&str>) -> Bytes {
    let mut page = json!({
        "GroupDefinitions": [],
        "ResultsByTime": [{
            "TimePeriod": {"Start": "2025-06-01", "End": "2025-07-01"}, "Total": {}, "Groups": groups, "Estimated": false,
        }],
        "DimensionValueAttributes": [{"Value": "1", "Attributes": {"description": "one"}}],
        "SomethingNew": 1,
    });
    if let Some(token) = token {
        page["NextPageToken"] = json!(token);
    }
    page.to_string().into_bytes().into()
}

fn merged(pages: &[Bytes]) -> Result<Costs, String> {
    Costs::merged(&query(Some("Usage")), pages).map_err(|error| error.to_string())
}

#[test]
fn pages_become_one_answer_whatever_their_order_and_tokens() {
    let [a, b, c] = [group("1", "EC2", "1.10"), group("1", "S3", "0.0000004"), group("2", "EC2", "-2E-7")];
    let first =
        merged(&[page(&[c.clone(), a.clone()], Some("x")), page(std::slice::from_ref(&b), None)]).unwrap();
    let second = merged(&[page(&[a], Some("y")), page(&[b], Some("z")), page(&[c], None)]).unwrap();
    assert_eq!(canonical::to_json(&first).unwrap(), canonical::to_json(&second).unwrap());
    let keys: Vec<String> = first.groups().map(|group| group.keys.join(" ")).collect();
    assert_eq!(keys, ["1 EC2", "1 S3", "2 EC2"]);
    assert_eq!(first.groups().next().unwrap().metrics["UnblendedCost"].amount, "1.10", "the text as it came");
    let text = String::from_utf8(canonical::to_json(&first).unwrap()).unwrap();
    assert!(text.contains("\"Filter\"") && !text.contains("NextPageToken"), "{text}");
    assert_eq!(first.dimension_value_attributes.len(), 1);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let a = group("1", "EC2", "1.10");
    let twice = merged(&[page(std::slice::from_ref(&a), Some("x")), page(&[a], None)]);
    assert_eq!(twice.unwrap_err(), "the answer to ce:GetCostAndUsage has 1, EC2 twice");
    let other = json!({"ResultsByTime": [{"TimePeriod": {"Start": "2025-05-01", "End": "2025-06-01"}}]});
    let error = merged(&[other.to_string().into_bytes().into()]).unwrap_err();
    assert!(error.ends_with("it is of 2025-05-01 to 2025-06-01, not of 2025-06"), "{error}");
    assert!(merged(&[Bytes::from_static(b"{")]).unwrap_err().contains("EOF"));
}

#[test]
fn details_must_come_to_the_overview() {
    let whole =
        merged(&[page(&[group("1", "Usage", "1.2000000001"), group("1", "Tax", "0.2")], None)]).unwrap();
    let details = |amount: &str| {
        let usage = merged(&[page(&[group("1", "EC2", "1.1"), group("1", "S3", amount)], None)]).unwrap();
        let tax = merged(&[page(&[group("1", "Tax", "0.2")], None)]).unwrap();
        prove(&whole, [("Usage", &usage), ("Tax", &tax)].into_iter()).map_err(|error| error.to_string())
    };
    assert_eq!(details("0.1"), Ok(()));
    let lost = details("0.05").unwrap_err();
    assert!(lost.contains(
        "1.2000000001 USD for UnblendedCost of Usage in account 1, and its details come to 1.15 USD"
    ));
    assert!(details("many").unwrap_err().ends_with("'many' is no amount"));
}
