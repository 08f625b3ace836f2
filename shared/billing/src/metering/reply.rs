//! What the service's answer to a request means, record by record.
//!
//! Clazar answers HTTP 200 also for failures and says of each record how it went: `status` "success", or `errors` (a text, a list
//! of texts, a list of objects) with `code` and `message`, or another status and no errors (an unregistered dimension; such an
//! entry may have an id all the same). Entries come in any order, error entries without a start time. Only an entry that says success, or that the record is there
//! already, is success; what no entry speaks of is unknown.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::quantity::Quantity;
use super::submission::{Line, Reply};
use crate::strict;

/// One record of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Contract and dimension.
    pub line: Line,
    /// Start of its time.
    pub start: DateTime<Utc>,
    /// How much.
    pub quantity: Quantity,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service holds it now.
    Accepted {
        /// The id it gave the record.
        id: Option<String>,
    },
    /// The service held one of this contract, dimension and hour before, and refused a second.
    AlreadyThere {
        /// In its words.
        text: String,
    },
    /// It said no.
    Refused {
        /// In its words.
        reply: Reply,
        /// It is clear that it holds nothing; else its words allow both.
        certain: bool,
    },
    /// It said nothing of this record.
    Missing,
}

/// An answer that does not speak of records at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableReply(pub String);

/// What an answer says of each record asked for, in their order. `status` is that of HTTP: an entry that says success in an
/// answer that does not is none.
///
/// # Errors
/// [`UnreadableReply`] if there are no results in it, with what it says instead.
pub fn read_reply(status: u16, body: &[u8], asked: &[Asked]) -> Result<Vec<Verdict>, UnreadableReply> {
    let body: Value = strict::from_slice(body)
        .map_err(|error| UnreadableReply(format!("the reply is not JSON: {error}")))?;
    let Some(results) = body.get("results").and_then(Value::as_array) else {
        return Err(UnreadableReply(whole(&body)));
    };
    let verdict = |asked: &Asked| {
        let entries = results.iter().filter(|entry| speaks_of(entry, asked));
        let verdicts: Vec<Verdict> = entries.map(|entry| judge(entry, asked, status)).collect();
        let success = |verdict: &&Verdict| !matches!(verdict, Verdict::Refused { .. });
        // of two entries for one record, the one that says no counts
        let worst = verdicts.iter().find(|verdict| !success(verdict)).or(verdicts.first());
        match (worst, verdicts.iter().any(|verdict| success(&verdict))) {
            (Some(Verdict::Refused { reply, .. }), true) => {
                Verdict::Refused { reply: reply.clone(), certain: false }
            }
            (worst, _) => worst.cloned().unwrap_or(Verdict::Missing),
        }
    };
    Ok(asked.iter().map(verdict).collect())
}

fn speaks_of(entry: &Value, asked: &Asked) -> bool {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    let same_start = match text("start_time") {
        None => true,
        Some(start) => DateTime::parse_from_rfc3339(start).is_ok_and(|start| start == asked.start),
    };
    text("contract_id") == Some(asked.line.contract.as_str())
        && text("dimension") == Some(asked.line.dimension.as_str())
        && same_start
}

fn judge(entry: &Value, asked: &Asked, http_status: u16) -> Verdict {
    let errors = texts(entry.get("errors"));
    let message = entry.get("message").map(plain).filter(|text| !text.is_empty());
    let code = entry.get("code").map(plain).filter(|text| !text.is_empty());
    let said = || errors.iter().chain(&message);
    if let Some(text) = said().find(|text| says_already_there(text)) {
        return Verdict::AlreadyThere { text: text.clone() };
    }
    let status = entry.get("status").and_then(Value::as_str).unwrap_or_default();
    let refuse = |why: Option<String>, certain| {
        let message = [message.clone(), why].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let message = Some(message).filter(|text| !text.is_empty());
        Verdict::Refused {
            reply: Reply { code: code.clone(), message, errors: errors.clone(), ..Reply::default() },
            certain,
        }
    };
    match status {
        "success" if !errors.is_empty() => refuse(Some("status success, and yet errors".into()), false),
        "success" if !(200..300).contains(&http_status) => {
            refuse(Some(format!("status success in an HTTP {http_status}")), false)
        }
        "success" => match other_quantity(entry, asked) {
            Some(other) => {
                let message = format!("it accepted {other}, sent were {}", asked.quantity);
                let reply = Reply { message: Some(message), other_quantity: Some(other), ..Reply::default() };
                Verdict::Refused { reply, certain: false }
            }
            None => Verdict::Accepted { id: entry.get("id").map(plain).filter(|id| !id.is_empty()) },
        },
        "error" | "fail" | "failed" => refuse(None, true),
        // errors without a word of success are a no
        "" if !errors.is_empty() => refuse(None, true),
        other => refuse(Some(format!("status '{other}'")), false),
    }
}

/// The quantity that the entry says, if it says another one.
fn other_quantity(entry: &Value, asked: &Asked) -> Option<String> {
    let said = plain(entry.get("quantity")?);
    (said.parse() != Ok(asked.quantity)).then_some(said)
}

/// One record for each contract, dimension and hour: a second one is refused in these words.
fn says_already_there(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("already exists") || (text.contains("same contract_id") && text.contains("same hour"))
}

/// Errors in any of their shapes, as texts.
fn texts(errors: Option<&Value>) -> Vec<String> {
    match errors {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(errors)) => errors.iter().map(plain).filter(|text| !text.is_empty()).collect(),
        Some(error) => Some(plain(error)).filter(|text| !text.is_empty()).into_iter().collect(),
    }
}

/// A text as it is, an object by its message, anything else as JSON; at most 300 characters.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(members) => match members.get("message") {
            Some(Value::String(message)) => message.clone(),
            _ if members.is_empty() => String::new(),
            _ => value.to_string(),
        },
        other => other.to_string(),
    };
    text.chars().take(300).collect()
}

/// What an answer without results says.
fn whole(body: &Value) -> String {
    let said = ["code", "detail", "message", "error", "errors"].into_iter();
    let said: Vec<String> = said.flat_map(|field| texts(body.get(field))).collect();
    if said.is_empty() { "the reply has no results".into() } else { said.join(": ") }
}

#[cfg(test)]
mod tests {
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
            of(
                json!({"status": "success", "id": "7", "quantity": "24", "start_time": "2025-06-01T00:00:00Z"})
            ),
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
                assert_eq!(
                    of(json!({"status": "error", "code": "API1002", "errors": errors})),
                    "already there"
                );
            }
            assert_eq!(of(json!({"status": "error", "message": text})), "already there");
        }
        assert_eq!(
            of(json!({"status": "error", "errors": "same contract_id"})),
            "refused true same contract_id"
        );
    }

    #[test]
    fn entries_are_matched_by_what_they_say_and_never_by_position() {
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
        let entry =
            json!({"contract_id": "c", "dimension": "d", "status": "error", "errors": "already exists"});
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

    proptest! {
        #[test]
        fn no_answer_panics(body in "\\PC{0,80}", contract in "[a-c]", status in 100u16..600) {
            let _ = read_reply(status, body.as_bytes(), &[asked(&contract, "d", "1")]);
            let entry = json!({"results": [{"contract_id": contract, "dimension": "d", "status": body, "errors": [body, {}, null, 1]}]});
            let verdicts = verdicts(status, &entry, &[asked("a", "d", "1")]);
            prop_assert_eq!(verdicts.len(), 1);
            prop_assert!(!matches!(verdicts[0], Verdict::Accepted { .. }), "errors beside it");
        }
    }
}
