//! What the schedule or a person asks for.

use std::collections::BTreeMap;

use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::events::{InvalidWish, Wish, scheduled};
use serde::Deserialize;
use serde_json::Value;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Bill the month before this moment, and look for what changed in the billed months before it.
    Due(DateTime<Utc>),
    /// Bill one month.
    Month(MonthWish),
    /// Say how a line of a bill came about.
    Explain(Explanation),
}

/// How to bill one month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MonthWish {
    pub(crate) month: BillingMonth,
    /// The only customer to bill.
    pub(crate) customer: Option<String>,
    pub(crate) dry_run: bool,
    /// Why to bill although inputs are missing.
    pub(crate) release: Option<String>,
    /// By which catalog; nothing for the month's own.
    pub(crate) catalog: Option<CatalogWish>,
    /// What a person found out of mails of which nobody here knows whether they went out.
    pub(crate) mails: BTreeMap<String, MailAnswer>,
}

/// By which catalog a month is billed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CatalogWish {
    /// The one in force.
    Current,
    /// A version, by the beginning of its hash.
    Version(String),
}

/// What a person found out about a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum MailAnswer {
    /// This attempt did not arrive: send it. An event that is delivered again says nothing of a later attempt.
    Send(u32),
    /// It arrived, or is settled in another way.
    Sent,
}

/// `sent`, `send` after the first attempt, `send-2` after the second.
impl TryFrom<String> for MailAnswer {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let attempt = match text.as_str() {
            "sent" => return Ok(Self::Sent),
            "send" => Some(1),
            other => other.strip_prefix("send-").and_then(|number| number.parse().ok()),
        };
        attempt.map(Self::Send).ok_or_else(|| format!("'{text}' is no answer, write sent, or send"))
    }
}

/// Which figure to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) month: BillingMonth,
    pub(crate) customer: String,
    /// The key of a line; nothing for all lines.
    pub(crate) line: Option<String>,
    /// By which run of the month; nothing for the newest that has the bill.
    pub(crate) run: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    month: Option<BillingMonth>,
    customer: Option<String>,
    dry_run: bool,
    release: Option<String>,
    catalog: Option<String>,
    mails: BTreeMap<String, MailAnswer>,
    explain: bool,
    line: Option<String>,
    run: Option<u32>,
}

impl Wish for Wire {
    const GIVE: &'static str = "{} for the month before, or {\"month\": \"YYYY-MM\"} with, if you like, \"customer\", \
     \"dry_run\": true, \"release\": \"why\", \"catalog\": \"current\" or a version, \"mails\": {\"customer\": \"send\" or \"sent\"}, or \
     \"explain\": true with \"customer\", \"line\" and \"run\"";
}

/// Reads an event. The month before is counted from the time of the schedule, which a late delivery does not change.
pub(crate) fn read_event(event: &Value, now: DateTime<Utc>) -> Result<Wanted, InvalidWish> {
    let no = |why: &str| Err(Wire::invalid(why));
    let Wire { month, customer, dry_run, release, catalog, mails, explain, line, run } = Wire::read(event)?;
    let customer = customer.filter(|name| !name.trim().is_empty());
    if (line.is_some() || run.is_some()) && !explain {
        return no("line and run go with explain only");
    }
    if explain {
        return match (month, customer) {
            (Some(month), Some(customer)) if release.is_none() && catalog.is_none() && mails.is_empty() => {
                Ok(Wanted::Explain(Explanation { month, customer, line, run }))
            }
            _ => no("explain goes with month, customer, line and run only, and needs the first two"),
        };
    }
    let is_plain = customer.is_none() && release.is_none() && catalog.is_none() && mails.is_empty();
    let Some(month) = month else {
        let due = scheduled(event).unwrap_or(now);
        return match (is_plain, dry_run) {
            (false, _) => no("month is missing"),
            (true, false) => Ok(Wanted::Due(due)),
            (true, true) => {
                let month = BillingMonth::containing(due).previous();
                Ok(Wanted::Month(MonthWish { dry_run, ..MonthWish::plain(month) }))
            }
        };
    };
    if release.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        return no("release is empty: say why the month is billed although inputs are missing");
    }
    let catalog = catalog.map(|text| match text.as_str() {
        "current" => Ok(CatalogWish::Current),
        version if version.len() >= 4 && version.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(CatalogWish::Version(version.to_ascii_lowercase()))
        }
        other => Err(Wire::invalid(format!(
            "'{other}' is no version of a catalog, write four digits of its hash or more"
        ))),
    });
    Ok(Wanted::Month(MonthWish { month, customer, dry_run, release, catalog: catalog.transpose()?, mails }))
}

impl MonthWish {
    pub(crate) fn plain(month: BillingMonth) -> Self {
        let (customer, release, catalog, mails) = (None, None, None, BTreeMap::new());
        Self { month, customer, dry_run: false, release, catalog, mails }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(event: Value) -> Result<Wanted, InvalidWish> {
        read_event(&event, "2026-11-06T06:00:00Z".parse().unwrap())
    }

    fn october() -> MonthWish {
        MonthWish::plain("2026-10".parse().unwrap())
    }

    #[test]
    fn a_schedule_a_person_and_a_question_are_told_apart() {
        let due = "2026-01-06T08:00:00Z";
        let scheduled = json!({"scheduled_time": due, "execution_id": "x", "attempt": "3"});
        assert_eq!(wanted(scheduled).unwrap(), Wanted::Due(due.parse().unwrap()));
        assert_eq!(
            wanted(json!({"dry_run": true})).unwrap(),
            Wanted::Month(MonthWish { dry_run: true, ..october() })
        );
        let by_hand = json!({"month": "2026-10", "customer": "Team Blue", "release": "GCP is late", "catalog": "current",
            "mails": {"Team Red": "sent"}});
        let expected = MonthWish {
            customer: Some("Team Blue".into()),
            release: Some("GCP is late".into()),
            catalog: Some(CatalogWish::Current),
            mails: BTreeMap::from([("Team Red".into(), MailAnswer::Sent)]),
            ..october()
        };
        assert_eq!(wanted(by_hand).unwrap(), Wanted::Month(expected));
        let explain =
            json!({"month": "2026-10", "customer": "Team Blue", "line": "service/x", "explain": true});
        assert!(matches!(wanted(explain).unwrap(), Wanted::Explain(_)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            json!({"mounth": "2026-10"}),
            json!({"customer": "Team Blue"}),
            json!({"month": "2026-10", "release": " "}),
            json!({"month": "2026-10", "catalog": "old"}),
            json!({"month": "2026-10", "line": "x"}),
            json!({"month": "2026-10", "explain": true}),
            json!({"month": "2026-10", "mails": {"x": "again"}}),
        ] {
            assert!(wanted(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
