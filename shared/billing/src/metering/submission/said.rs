//! What stays of the service's answer with a submission.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// That a person has given a submission up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What the service said last, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The id that the service gave the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its error code, or how the call ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its errors, each as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// It said that the record was there before we had sent any: somebody else reported it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already_there: bool,
    /// It said that it holds another quantity than was sent: a person has to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_quantity: Option<String>,
    /// The last request came to an answer, whatever it says, or to an end that a second one at once would come to as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
    /// What it said was taken for this record by its place, because no entry named a record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_place: bool,
    /// What the answer said that fits no record of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<String>,
    /// A person has given it up, because it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GivenUp>,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.code.as_deref(), self.message.as_deref()].into_iter().flatten();
        let parts: Vec<&str> = parts.chain(self.errors.iter().map(String::as_str)).collect();
        let said = Some(parts.join(": ")).filter(|said| !said.is_empty());
        let unmatched = self.unmatched.join(" | ");
        let unmatched = Some(unmatched)
            .filter(|texts| !texts.is_empty())
            .map(|texts| format!("what fits no record: {texts}"));
        let by_place =
            self.by_place.then(|| "by its place in the reply, in which no entry names a record".to_owned());
        let given_up =
            self.given_up.as_ref().map(|given| format!("given up by {}: {}", given.by, given.reason));
        let all: Vec<String> = [said, unmatched, by_place, given_up].into_iter().flatten().collect();
        f.write_str(&all.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_earlier_versions_are_read() {
        let reply: Reply = serde_json::from_str(r#"{"code":"API1001","errors":["no"]}"#).unwrap();
        assert_eq!(reply.to_string(), "API1001: no");
        assert!(!reply.answered && !reply.by_place && reply.unmatched.is_empty());
        assert_eq!(serde_json::to_string(&reply).unwrap(), r#"{"code":"API1001","errors":["no"]}"#);
    }
}
