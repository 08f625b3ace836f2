//! What the service's answer to a request means, record by record.
//!
//! Clazar answers HTTP 200 also for failures and says of each record how it went: `status` "success", or `errors` (a text, a list
//! of texts, a list of objects) with `code` and `message`, or another status and no errors (an unregistered dimension; such an
//! entry may have an id all the same). Entries come in any order, error entries without a start time. Only an entry that says success, or that the record is there
//! already, is success; what no entry speaks of is unknown.
//!
//! An entry speaks of the record that it names. Only where no entry names any, and there are as many as records, does each speak of the record
//! in its place. What an entry says that speaks of no record is kept as words.

#[cfg(test)]
mod tests;
mod words;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::submission::{Line, Reply};
use crate::money::Exact;
use crate::strict;
use words::{few, plain, texts};

/// One record of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Contract and dimension.
    pub line: Line,
    /// Start of its time.
    pub start: DateTime<Utc>,
    /// How much.
    pub quantity: Exact,
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

impl Verdict {
    /// Whether the service holds the record.
    fn is_success(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::AlreadyThere { .. })
    }
}

/// What an answer says of the records asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What became of each, in their order.
    pub verdicts: Vec<Verdict>,
    /// Each entry was taken for the record in its place, because none names a record.
    pub by_place: bool,
    /// What it says that fits no record, in few texts.
    pub unmatched: Vec<String>,
}

/// An answer that does not speak of records at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableReply(pub String);

/// What an answer says of the records asked for. `status` is that of HTTP: an entry that says success in an answer that does
/// not is none.
///
/// # Errors
/// [`UnreadableReply`] if there are no results in it, with what it says instead.
pub fn read_reply(status: u16, body: &[u8], asked: &[Asked]) -> Result<Answer, UnreadableReply> {
    let read: Value =
        strict::from_slice(body).map_err(|error| UnreadableReply(words::of_text(body, &error)))?;
    let Some(results) = read.get("results").and_then(Value::as_array) else {
        return Err(UnreadableReply(words::of_whole(&read)));
    };
    if are_in_order(results, asked) {
        return Ok(by_place(results, asked, status));
    }
    let fits_none = |entry: &&Value| !asked.iter().any(|asked| speaks_of(entry, asked));
    Ok(Answer {
        verdicts: asked.iter().map(|asked| by_name(results, asked, status)).collect(),
        by_place: false,
        unmatched: words::of_entries(results.iter().filter(fits_none)),
    })
}

/// Of several entries for one record the worst counts, whatever their order, and beside a success nothing is certain.
fn by_name(results: &[Value], asked: &Asked, status: u16) -> Verdict {
    let entries = results.iter().filter(|entry| speaks_of(entry, asked));
    let verdicts: Vec<Verdict> = entries.map(|entry| judge(entry, asked, status)).collect();
    match verdicts.iter().min_by_key(|verdict| rank(verdict)) {
        Some(Verdict::Refused { reply, .. }) if verdicts.iter().any(Verdict::is_success) => {
            Verdict::Refused { reply: reply.clone(), certain: false }
        }
        worst => worst.cloned().unwrap_or(Verdict::Missing),
    }
}

/// The worst first.
fn rank(verdict: &Verdict) -> (u8, String) {
    match verdict {
        Verdict::Refused { reply, .. } if reply.other_quantity.is_some() => (0, format!("{reply:?}")),
        Verdict::Refused { reply, certain } => (1 + u8::from(*certain), format!("{reply:?}")),
        Verdict::AlreadyThere { text } => (3, text.clone()),
        Verdict::Accepted { id } => (4, id.clone().unwrap_or_default()),
        Verdict::Missing => (5, String::new()),
    }
}

fn speaks_of(entry: &Value, asked: &Asked) -> bool {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    text("contract_id") == Some(asked.line.contract.as_str())
        && text("dimension") == Some(asked.line.dimension.as_str())
        && is_of_its_time(entry, asked)
}

fn is_of_its_time(entry: &Value, asked: &Asked) -> bool {
    match entry.get("start_time").and_then(Value::as_str) {
        None => true,
        Some(start) => DateTime::parse_from_rfc3339(start).is_ok_and(|start| start == asked.start),
    }
}

/// Whether the entries can be taken in the order of the request: there are as many, and none names a contract or a dimension.
fn are_in_order(results: &[Value], asked: &[Asked]) -> bool {
    let names = |entry: &Value, field: &str| entry.get(field).is_some_and(|value| !value.is_null());
    let nameless =
        |entry: &Value| entry.is_object() && !names(entry, "contract_id") && !names(entry, "dimension");
    let of_one_contract = asked.windows(2).all(|pair| pair[0].line.contract == pair[1].line.contract);
    of_one_contract && results.len() == asked.len() && results.iter().all(nameless)
}

/// Each entry for the record in its place.
fn by_place(results: &[Value], asked: &[Asked], status: u16) -> Answer {
    let pairs = || results.iter().zip(asked);
    let mut verdicts: Vec<Verdict> = pairs().map(|(entry, asked)| judge(entry, asked, status)).collect();
    let contradicts = |(entry, asked): (&Value, &Asked)| {
        !is_of_its_time(entry, asked) || other_quantity(entry, asked).is_some()
    };
    let mut unmatched = Vec::new();
    if pairs().any(contradicts) {
        // the order is not that of the request after all; but another quantity is a person's matter, wherever it belongs
        let tells = |verdict: &Verdict| matches!(verdict, Verdict::Refused { reply, .. } if reply.other_quantity.is_some());
        verdicts.iter_mut().filter(|verdict| !tells(verdict)).for_each(|verdict| *verdict = Verdict::Missing);
        unmatched = words::of_entries(results);
    }
    // a refusal whose place matters is as sure as the order is
    let all_refused =
        verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refused { certain: true, .. }));
    for verdict in &mut verdicts {
        if let Verdict::Refused { certain, .. } = verdict {
            *certain = all_refused;
        }
    }
    Answer { verdicts, by_place: true, unmatched }
}

fn judge(entry: &Value, asked: &Asked, http_status: u16) -> Verdict {
    let errors = texts(entry.get("errors"));
    let message = entry.get("message").map(plain).filter(|text| !text.is_empty());
    let code = entry.get("code").map(plain).filter(|text| !text.is_empty());
    let said = || errors.iter().chain(&message);
    if let Some(text) = said().find(|text| says_already_there(text)) {
        return match other_quantity(entry, asked) {
            None => Verdict::AlreadyThere { text: text.clone() },
            Some(other) => differs(format!("it holds {other}, sent were {}: {text}", asked.quantity), other),
        };
    }
    let status = entry.get("status").and_then(Value::as_str).unwrap_or_default();
    let refuse = |why: Option<String>, certain| {
        let message = [message.clone(), why].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let message = Some(message).filter(|text| !text.is_empty());
        Verdict::Refused {
            reply: Reply { code: code.clone(), message, errors: few(&errors), ..Reply::default() },
            certain,
        }
    };
    match status {
        "success" if !errors.is_empty() => refuse(Some("status success, and yet errors".into()), false),
        "success" if !(200..300).contains(&http_status) => {
            refuse(Some(format!("status success in an HTTP {http_status}")), false)
        }
        "success" => match other_quantity(entry, asked) {
            Some(other) => differs(format!("it accepted {other}, sent were {}", asked.quantity), other),
            None => Verdict::Accepted { id: entry.get("id").map(plain).filter(|id| !id.is_empty()) },
        },
        "error" | "fail" | "failed" => refuse(None, true),
        // errors without a word of success are a no
        "" if !errors.is_empty() => refuse(None, true),
        other => refuse(Some(format!("status '{other}'")), false),
    }
}

/// The service holds another quantity than was sent.
fn differs(message: String, other: String) -> Verdict {
    let reply = Reply { message: Some(message), other_quantity: Some(other), ..Reply::default() };
    Verdict::Refused { reply, certain: false }
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
