use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ids::{ContractId, Dimension};

fn asked(contract: &str, dimension: &str, quantity: &str) -> Asked {
    Asked {
        line: Line {
            contract: ContractId::new(contract).unwrap(),
            dimension: Dimension::new(dimension).unwrap(),
        },
        start: "2025-06-01T00:00:00Z".parse().unwrap(),
        quantity: quantity.parse().unwrap(),
    }
}

fn verdicts(status: u16, body: &Value, asked: &[Asked]) -> Vec<Verdict> {
    answer(status, body, asked).verdicts
}

fn answer(status: u16, body: &Value, asked: &[Asked]) -> Answer {
    read_reply(status, body.to_string().as_bytes(), asked).unwrap()
}

/// The verdict on one record from one entry.
fn of(entry: Value) -> String {
    let mut entry = entry;
    for (field, value) in [("contract_id", "c"), ("dimension", "d")] {
        entry.as_object_mut().unwrap().entry(field).or_insert(json!(value));
    }
    short(&verdicts(200, &json!({"results": [entry]}), &[asked("c", "d", "24")])[0])
}

fn short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted { id } => format!("accepted {}", id.as_deref().unwrap_or("-")),
        Verdict::AlreadyThere { .. } => "already there".into(),
        Verdict::Refused { reply, certain } => format!("refused {certain} {reply}"),
        Verdict::Missing => "missing".into(),
    }
}

#[test]
fn only_success_and_already_there_are_success() {
    assert_eq!(
        of(json!({"status": "success", "id": "7", "quantity": "24", "start_time": "2025-06-01T00:00:00Z"})),
        "accepted 7"
    );
    assert_eq!(
        of(json!({"status": "success", "quantity": 24, "start_time": "2025-06-01T00:00:00+00:00"})),
        "accepted -"
    );
    assert_eq!(of(json!({"status": "warning", "quantity": "24"})), "refused false status 'warning'");
    assert_eq!(of(json!({"status": "pending"})), "refused false status 'pending'");
    assert_eq!(of(json!({})), "refused false status ''");
    assert_eq!(of(json!({"status": "Success"})), "refused false status 'Success'");
    assert_eq!(
        of(json!({"status": "success", "errors": ["no"]})),
        "refused false status success, and yet errors: no"
    );
    assert_eq!(
        of(json!({"status": "success", "quantity": "23"})),
        "refused false it accepted 23, sent were 24"
    );
}

#[test]
fn errors_come_as_text_list_and_objects() {
    let expected = "refused true API1001: Invalid contract: Contract is not active";
    for errors in [
        json!("Contract is not active"),
        json!(["Contract is not active"]),
        json!([{"message": "Contract is not active"}]),
        json!({"message": "Contract is not active"}),
    ] {
        assert_eq!(
            of(
                json!({"status": "error", "code": "API1001", "message": "Invalid contract", "errors": errors})
            ),
            expected
        );
    }
    assert_eq!(of(json!({"errors": [{"field": "x"}]})), r#"refused true {"field":"x"}"#);
    assert_eq!(of(json!({"status": "error", "errors": []})), "refused true ");
    assert_eq!(of(json!({"status": "fail", "id": "7"})), "refused true ");
    assert_eq!(of(json!({"status": "error", "code": 42, "errors": null})), "refused true 42");
}

#[test]
fn a_duplicate_is_recognised_in_both_wordings_and_every_shape() {
    for text in [
        "A metering record for the same contract_id and dimension already exists in the same hour.",
        "Record ALREADY EXISTS",
        "there is one with the same contract_id in the same hour",
    ] {
        for errors in [json!(text), json!([text]), json!([{"message": text}])] {
            assert_eq!(of(json!({"status": "error", "code": "API1002", "errors": errors})), "already there");
        }
        assert_eq!(of(json!({"status": "error", "message": text})), "already there");
    }
    assert_eq!(of(json!({"status": "error", "errors": "same contract_id"})), "refused true same contract_id");
}

#[test]
fn entries_that_name_records_are_matched_by_that_and_never_by_position() {
    let asked = [asked("c1", "d1", "1"), asked("c1", "d2", "2"), asked("c2", "d1", "3")];
    let entry = |contract: &str, dimension: &str, start: &str| json!({"contract_id": contract, "dimension": dimension, "status": "success", "id": format!("{contract}{dimension}"), "start_time": start});
    let start = "2025-06-01T00:00:00Z";
    let body = json!({"results": [entry("c2", "d1", start), entry("c1", "d2", "2025-05-01T00:00:00Z"), entry("c1", "d1", start), entry("x", "y", start)]});
    let found: Vec<String> = verdicts(200, &body, &asked).iter().map(short).collect();
    assert_eq!(found, ["accepted c1d1", "missing", "accepted c2d1"]);
    let twice = json!({"results": [entry("c1", "d1", start), {"contract_id": "c1", "dimension": "d1", "status": "error"}]});
    assert_eq!(short(&verdicts(200, &twice, &asked)[0]), "refused false ");
}

#[test]
fn success_in_an_answer_that_failed_is_none_but_a_duplicate_is_one() {
    let entry = json!({"contract_id": "c", "dimension": "d", "status": "success"});
    let found = &verdicts(400, &json!({"results": [entry]}), &[asked("c", "d", "1")])[0];
    assert_eq!(short(found), "refused false status success in an HTTP 400");
    let entry = json!({"contract_id": "c", "dimension": "d", "status": "error", "errors": "already exists"});
    assert_eq!(
        short(&verdicts(400, &json!({"results": [entry]}), &[asked("c", "d", "1")])[0]),
        "already there"
    );
}

#[test]
fn answers_without_results_are_quoted() {
    let says = |body: &str| read_reply(200, body.as_bytes(), &[]).unwrap_err().to_string();
    assert_eq!(says(r#"{"detail": "Request was throttled."}"#), "Request was throttled.");
    assert_eq!(says(r#"{"code": "E1", "errors": ["a", {"message": "b"}]}"#), "E1: a: b");
    assert_eq!(says("{}"), "the reply has no results");
    assert_eq!(says("[]"), "the reply has no results");
    assert!(says("<html>").starts_with("the reply is not JSON"));
}

/// Two records of a contract, the verdict on each, and what fits none.
fn of_two(results: Value) -> (Vec<String>, String) {
    let answer = answer(200, &json!({"results": results}), &[asked("c", "d1", "5"), asked("c", "d2", "6")]);
    (answer.verdicts.iter().map(short).collect(), answer.unmatched.join(" | "))
}

#[test]
fn where_no_entry_names_a_record_each_is_taken_for_that_in_its_place() {
    let error = json!({"status": "error", "errors": ["Contract is not active"], "message": "Invalid"});
    let (two, none) =
        of_two(json!([{"status": "success", "id": "7"}, {"status": "success", "contract_id": null}]));
    assert_eq!((two, none.as_str()), (vec!["accepted 7".into(), "accepted -".into()], ""));
    let refused = "refused true Invalid: Contract is not active";
    assert_eq!(of_two(json!([error, error])).0, [refused; 2]);
    // were the order another one, the refused record would be held
    let (two, _) = of_two(json!([{"status": "success"}, error]));
    assert_eq!(two, ["accepted -", "refused false Invalid: Contract is not active"]);
    let there = json!({"status": "error", "errors": [{"message": "it already exists in the same hour"}]});
    assert_eq!(of_two(json!([there, {"status": "success"}])).0, ["already there", "accepted -"]);
    assert_eq!(
        of_two(json!([{"status": "ok"}, {}])).0,
        ["refused false status 'ok'", "refused false status ''"]
    );
    let said = answer(200, &json!({"results": [{"status": "success"}]}), &[asked("c", "d", "1")]);
    assert!(said.by_place);
    let failed = verdicts(500, &json!({"results": [{"status": "success"}]}), &[asked("c", "d", "1")]);
    assert_eq!(short(&failed[0]), "refused false status success in an HTTP 500");
}

#[test]
fn entries_without_names_match_nothing_where_their_order_may_be_another() {
    let nothing = ["missing", "missing"];
    let success = json!({"status": "success"});
    for (results, unmatched) in [
        (json!([success]), "success"),
        (json!([success, success, success]), "success"),
        (json!([{"contract_id": "c", "status": "success"}, success]), "c: success | success"),
        (json!([{"dimension": "d1", "status": "success"}, success]), "d1: success | success"),
        (json!([{"contract_id": "", "status": "success"}, success]), "success"),
        (json!([{"contract_id": 7, "status": "success"}, success]), "7: success | success"),
        (json!([success, "success"]), "\"success\" | success"),
        (
            json!([success, {"status": "success", "start_time": "2025-05-01T00:00:00Z"}]),
            "2025-05-01T00:00:00Z: success | success",
        ),
        (json!([success, {"status": "error", "quantity": "5"}]), "error | success"),
    ] {
        assert_eq!(
            of_two(results.clone()),
            (nothing.map(str::to_owned).to_vec(), unmatched.into()),
            "{results}"
        );
    }
    let named = json!({"contract_id": "c", "dimension": "d2", "status": "success"});
    let (two, unmatched) = of_two(json!([named, {"status": "error", "errors": "no"}]));
    assert_eq!((two, unmatched.as_str()), (vec!["missing".into(), "accepted -".into()], "error: no"));
    // a request for several contracts has no order that counts
    let of_several = [asked("c1", "d", "1"), asked("c2", "d", "1")];
    let found = verdicts(200, &json!({"results": [success, success]}), &of_several);
    assert_eq!(found, [Verdict::Missing, Verdict::Missing]);
}

#[test]
fn another_quantity_is_told_wherever_it_stands() {
    let (two, unmatched) = of_two(json!([{"status": "success"}, {"status": "success", "quantity": "5"}]));
    assert_eq!(two, ["missing", "refused false it accepted 5, sent were 6"]);
    assert_eq!(unmatched, "success");
}

#[test]
fn words_are_kept_on_one_line_and_not_more_than_fit() {
    let long = "no\u{200b} ".repeat(500);
    let many: Vec<Value> =
        (0..40).map(|n| json!({"dimension": format!("d{n:02}"), "errors": [long]})).collect();
    let unmatched = answer(200, &json!({"results": many}), &[asked("c", "d", "1")]).unmatched;
    assert_eq!((unmatched.len(), unmatched[10].as_str()), (11, "and 30 more"));
    assert!(
        unmatched[0].starts_with("d00: no no ") && unmatched.iter().all(|text| text.chars().count() <= 300)
    );
    let errors: Vec<String> = (0..40).map(|n| format!("no\n{n}")).chain(["already exists".into()]).collect();
    let of =
        |errors: &[String]| verdicts(200, &json!({"results": [{"errors": errors}]}), &[asked("c", "d", "1")]);
    assert!(
        matches!(&of(&errors[..40])[0], Verdict::Refused { reply, .. } if reply.errors.len() == 10 && reply.errors[1] == "no 1")
    );
    assert_eq!(short(&of(&errors)[0]), "already there", "however many come before it");
    let says = |body: &str| read_reply(200, body.as_bytes(), &[]).unwrap_err().to_string();
    assert_eq!(
        says(r#"{"status": "error", "why": "quota"}"#),
        r#"the reply has no results: {"status":"error","why":"quota"}"#
    );
    assert!(says("<html>\nDown for\tmaintenance").ends_with(": <html> Down for maintenance"));
    assert!(
        says(&long).chars().count() < 400
            && says(&json!({"errors": vec![&long; 99]}).to_string()).chars().count() < 3_100
    );
}

/// An entry of a reply: what it names, what it says, and what else.
fn entries() -> impl Strategy<Value = Vec<Value>> {
    let pick = |values: &[Value]| prop::sample::select(values.to_vec());
    let names = (
        pick(&[json!("c"), json!("c"), json!("c"), json!(null), json!("x")]),
        pick(&[json!("d1"), json!("d2"), json!("d3"), json!(null), json!(7)]),
    );
    let nobody = Just((json!(null), json!(null)));
    let says = (
        pick(&[json!("success"), json!("success"), json!("error"), json!("pending"), json!(null)]),
        pick(&[json!(null), json!(null), json!(null), json!("no"), json!(["it already exists"]), json!([])]),
        pick(&[json!(null), json!(null), json!("2025-06-01T00:00:00Z"), json!("2025-05-01T00:00:00Z")]),
        pick(&[json!("?"), json!("?"), json!("5"), json!("6")]),
        pick(&[json!(null), json!("1"), json!("2")]),
    );
    let entry = move |names: BoxedStrategy<(Value, Value)>| {
        (names, says.clone()).prop_map(|((contract, dimension), (status, errors, start, quantity, id))| {
            let mut entry = json!({"contract_id": contract, "dimension": dimension, "status": status, "errors": errors, "start_time": start, "quantity": quantity, "id": id});
            entry.as_object_mut().unwrap().retain(|_, value| !value.is_null() && *value != json!("?"));
            entry
        })
    };
    let mixed = prop_oneof![entry(names.clone().boxed()), entry(nobody.clone().boxed())];
    prop_oneof![
        prop::collection::vec(entry(names.boxed()), 0..6),
        prop::collection::vec(entry(nobody.boxed()), 0..5),
        prop::collection::vec(mixed, 0..5),
    ]
}

fn three() -> Vec<Asked> {
    ["d1", "d2", "d3"].map(|dimension| asked("c", dimension, "5")).to_vec()
}

/// Entries that all name something, in two orders.
fn named_entries() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
    let named = |entry: &Value| entry.get("contract_id").is_some() || entry.get("dimension").is_some();
    let named = entries().prop_map(move |results| results.into_iter().filter(named).collect::<Vec<_>>());
    named.prop_flat_map(|results| (Just(results.clone()), Just(results).prop_shuffle()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_answer_panics(body in "\\PC{0,80}", contract in "[a-c]", status in 100u16..600) {
        let _ = read_reply(status, body.as_bytes(), &[asked(&contract, "d", "1")]);
        let entry = json!({"results": [{"contract_id": contract, "dimension": "d", "status": body, "errors": [body, {}, null, 1]}]});
        let verdicts = verdicts(status, &entry, &[asked("a", "d", "1")]);
        prop_assert_eq!(verdicts.len(), 1);
        prop_assert!(!matches!(verdicts[0], Verdict::Accepted { .. }), "errors beside it");
    }

    /// Whatever comes: success is only of a record that an entry names, or that stands in the place of one where none names any.
    #[test]
    fn nothing_else_is_success(results in entries(), http in prop::sample::select(vec![200u16, 400])) {
        let asked = three();
        let named = |entry: &Value| entry.get("contract_id").is_some() || entry.get("dimension").is_some();
        let in_order = results.len() == 3 && !results.iter().any(named);
        let answer = answer(http, &json!({"results": results}), &asked);
        prop_assert_eq!(answer.by_place, in_order);
        for (place, (asked, verdict)) in asked.iter().zip(&answer.verdicts).enumerate() {
            let meant: Vec<&Value> = if in_order {
                vec![&results[place]]
            } else {
                let means = |entry: &&Value| entry.get("contract_id") == Some(&json!("c")) && entry.get("dimension") == Some(&json!(asked.line.dimension.as_str()));
                results.iter().filter(means).collect()
            };
            let says = |what: fn(&Value) -> bool| meant.iter().any(|entry| what(entry));
            match verdict {
                Verdict::Accepted { .. } => {
                    prop_assert!(http == 200 && says(|entry| entry.get("status") == Some(&json!("success"))));
                }
                Verdict::AlreadyThere { .. } => prop_assert!(says(|entry| entry.to_string().contains("already exists"))),
                Verdict::Refused { .. } => prop_assert!(!meant.is_empty()),
                Verdict::Missing => {}
            }
        }
    }

    #[test]
    fn the_order_of_entries_with_names_changes_nothing((results, shuffled) in named_entries()) {
        let asked = three();
        let read = |results: &[Value]| answer(200, &json!({"results": results}), &asked);
        prop_assert_eq!(read(&results), read(&shuffled));
    }
}
