use super::*;

fn query(kind: Option<&str>) -> CostQuery {
    CostQuery { month: "2025-06".parse().unwrap(), group_by: DETAILS, record_type: kind.map(str::to_owned) }
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
fn the_overview_must_come_to_the_total() {
    let whole = |amount: &str| {
        let total = json!({"UnblendedCost": {"Amount": amount, "Unit": "USD"}});
        let days = json!({"Start": "2025-06-01", "End": "2025-07-01"});
        let page = json!({"ResultsByTime": [{"TimePeriod": days, "Total": total, "Groups": []}]});
        let query = CostQuery { group_by: TOTAL, ..query(None) };
        Costs::merged(&query, &[page.to_string().into_bytes().into()]).unwrap()
    };
    let overview = merged(&[page(&[group("1", "Usage", "1.2"), group("1", "Tax", "0.2")], None)]).unwrap();
    assert_eq!(prove_total(&whole("1.4000000001"), &overview), Ok(()));
    let lost = prove_total(&whole("5.4"), &overview).unwrap_err().to_string();
    assert!(
        lost.starts_with(
            "Cost Explorer says 5.4 USD for UnblendedCost of the month, and its details come to 1.4 USD"
        ),
        "{lost}"
    );
    let none = merged(&[page(&[], None)]).unwrap();
    assert_eq!(prove_total(&whole("0"), &none), Ok(()));
    assert!(prove_total(&whole("3"), &none).is_err(), "a month is not empty because its groups are lost");
}

#[test]
fn all_costs_are_compared_with_all_invoices() {
    let costs =
        merged(&[page(&[group("1", "Usage", "357.8363066528"), group("1", "Refund", "-12.5")], None)])
            .unwrap();
    let invoice = |total: &str| InvoiceTotal {
        invoice_id: total.to_owned(),
        total: total.parse().unwrap(),
        tax_not_in_rows: Decimal::ZERO,
        currency: "USD".to_owned(),
        source: String::new(),
        issued: None,
    };
    let said = |totals: &[&str]| {
        difference(&costs, &totals.iter().map(|total| invoice(total)).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(said(&[]), None, "nothing to compare with");
    assert_eq!(said(&["107.84", "250.00", "-12.50"]), None);
    assert_eq!(
        said(&["250.00"]).unwrap(),
        "Cost Explorer comes to 345.3363066528 USD, and all invoices to 250.00 USD"
    );
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
