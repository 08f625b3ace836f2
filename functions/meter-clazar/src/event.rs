//! What a notification, the schedule or a person asks for.

use billing::ids::ContractId;
use billing::metering::{Line, NotGivenUp, Plan, Submission, UsageSnapshot};
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::events::{InvalidWish, StoredObject, Wish, scheduled, stored_objects};
use serde::Deserialize;
use serde_json::Value;

/// What to meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Plans whose usage has just come.
    Usage(Vec<StoredObject>),
    /// Plans that are configured, or one.
    Plans { plan: Option<Plan>, only: Selection },
    /// The same without doing anything; `usage` that stands nowhere yet counts as if it did.
    DryRun { plan: Option<Plan>, only: Selection, usage: Vec<UsageSnapshot> },
    /// Nothing more of a contract's month is sent.
    GiveUp { plan: Option<Plan>, give_up: GiveUp, dry_run: bool },
}

/// A contract that the marketplace has ended: what it refuses of a month is given up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GiveUp {
    pub(crate) contract: ContractId,
    pub(crate) month: BillingMonth,
    pub(crate) reason: String,
    /// Who decided so.
    #[serde(default = "somebody")]
    pub(crate) by: String,
}

fn somebody() -> String {
    "whoever sent the event".into()
}

impl GiveUp {
    /// What is looked at.
    pub(crate) fn selection(&self) -> Selection {
        let (month, contract) = (Some(self.month), Some(self.contract.clone()));
        Selection { month, contract, again: Again::Nothing }
    }

    /// Nothing of it is refused.
    pub(crate) fn nothing_refused(&self) -> NotGivenUp {
        NotGivenUp::NothingRefused { month: self.month, contract: self.contract.clone() }
    }
}

impl Wanted {
    /// The month that a person asks for.
    pub(crate) fn month(&self) -> Option<BillingMonth> {
        match self {
            Self::Usage(_) => None,
            Self::Plans { only, .. } | Self::DryRun { only, .. } => only.month,
            Self::GiveUp { give_up, .. } => Some(give_up.month),
        }
    }
}

/// What of a plan is sent; everything is planned all the same, because months hang together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) month: Option<BillingMonth>,
    pub(crate) contract: Option<ContractId>,
    pub(crate) again: Again,
}

/// What is sent again although the service has answered: once in a run, of which there may be several events, each delivered several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Again {
    /// All of it: the event is a run of its own.
    #[default]
    Everything,
    /// What was answered before the run began.
    AnsweredBefore(DateTime<Utc>),
    /// Nothing: new usage has come, and what was answered waits for the next run.
    Nothing,
}

impl Again {
    fn takes(self, submission: &Submission) -> bool {
        match self {
            Self::Everything => true,
            Self::AnsweredBefore(began) => !submission.is_answered_since(began),
            Self::Nothing => !submission.is_answered_since(DateTime::<Utc>::MIN_UTC),
        }
    }
}

impl Selection {
    /// What new usage sends: all that has no answer yet.
    pub(crate) fn of_news() -> Self {
        Self { again: Again::Nothing, ..Self::default() }
    }

    /// Whether this line of a month is asked for.
    pub(crate) fn covers(&self, month: BillingMonth, line: &Line) -> bool {
        self.month.is_none_or(|only| only == month)
            && self.contract.as_ref().is_none_or(|only| *only == line.contract)
    }

    /// Whether this submission of a month is to be sent.
    pub(crate) fn takes(&self, month: BillingMonth, submission: &Submission) -> bool {
        submission.is_to_send() && self.covers(month, &submission.line) && self.again.takes(submission)
    }
}

/// Fields of the event; a misspelt one is an error, because it would send more than was meant.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    key: Option<String>,
    month: Option<BillingMonth>,
    contract: Option<ContractId>,
    plan: Option<Plan>,
    began: Option<DateTime<Utc>>,
    dry_run: bool,
    usage: Vec<UsageSnapshot>,
    give_up: Option<GiveUp>,
}

impl Wish for Wire {
    const GIVE: &'static str = "an S3 notification, {\"key\": \"usage/...\"}, or {} with any of \"month\": \
     \"YYYY-MM\", \"contract\": \"...\", \"plan\": \"service:environment:plan\", \"began\": \"YYYY-MM-DDTHH:MM:SSZ\" and \"dry_run\": true, or {\"give_up\": \
     {\"contract\": \"...\", \"month\": \"YYYY-MM\", \"reason\": \"...\"}} with \"plan\" and \"dry_run\"";
}

/// Reads an event.
pub(crate) fn read_event(event: &Value) -> Result<Wanted, InvalidWish> {
    if event.get("Records").is_some() || event.get("Event").is_some() {
        return stored_objects(event).map(Wanted::Usage).map_err(Wire::invalid);
    }
    let wire: Wire = Wire::read(event)?;
    // a schedule's event has the same time each time it is delivered
    let again = wire.began.or_else(|| scheduled(event)).map_or(Again::Everything, Again::AnsweredBefore);
    let (only, plan) = (Selection { month: wire.month, contract: wire.contract, again }, wire.plan);
    if let Some(give_up) = wire.give_up {
        if wire.key.is_some() || !wire.usage.is_empty() || only != Selection::default() {
            return Err(Wire::invalid(
                "give_up names its contract and month, give only a plan and dry_run beside it",
            ));
        }
        if give_up.reason.trim().is_empty() {
            return Err(Wire::invalid("give_up needs a reason"));
        }
        return Ok(Wanted::GiveUp { plan, give_up, dry_run: wire.dry_run });
    }
    match (wire.key, wire.dry_run) {
        (Some(_), _) if plan.is_some() || only != Selection::default() => {
            Err(Wire::invalid("a key names its plan and month, give nothing beside it"))
        }
        (Some(_), true) => Err(Wire::invalid("a dry run is of a month, not of a key")),
        (Some(key), false) => Ok(Wanted::Usage(vec![StoredObject { bucket: None, key, version: None }])),
        (None, true) => Ok(Wanted::DryRun { plan, only, usage: wire.usage }),
        (None, false) if !wire.usage.is_empty() => Err(Wire::invalid("usage is given to dry runs only")),
        (None, false) => Ok(Wanted::Plans { plan, only }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notifications_the_schedule_and_a_person() {
        let only = Selection {
            month: Some("2026-10".parse().unwrap()),
            contract: Some(ContractId::new("c").unwrap()),
            again: Again::Everything,
        };
        let event = json!({"month": "2026-10", "contract": "c"});
        assert_eq!(read_event(&event).unwrap(), Wanted::Plans { plan: None, only: only.clone() });
        let event = json!({"month": "2026-10", "contract": "c", "dry_run": true});
        assert_eq!(read_event(&event).unwrap(), Wanted::DryRun { plan: None, only, usage: vec![] });
        let event = json!({"give_up": {"contract": "c", "month": "2026-10", "reason": "cancelled", "by": "Ann"}, "dry_run": true});
        let wanted = read_event(&event).unwrap();
        assert_eq!(wanted.month(), Some("2026-10".parse().unwrap()));
        assert!(matches!(wanted, Wanted::GiveUp { plan: None, dry_run: true, .. }));
        assert!(matches!(
            read_event(&json!({"scheduled_time": "x"})).unwrap(),
            Wanted::Plans { plan: None, .. }
        ));
        assert!(
            matches!(read_event(&json!({"key": "usage/x"})).unwrap(), Wanted::Usage(objects) if objects.len() == 1)
        );
        assert_eq!(read_event(&json!({"Event": "s3:TestEvent"})).unwrap(), Wanted::Usage(vec![]));
        let s3 = json!({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "usage/a"}}}]});
        assert!(matches!(read_event(&s3).unwrap(), Wanted::Usage(objects) if objects[0].key == "usage/a"));
    }

    #[test]
    fn a_run_is_known_by_when_it_began() {
        let again = |event| match read_event(&event).unwrap() {
            Wanted::Plans { only, .. } => only.again,
            other => panic!("{other:?}"),
        };
        let six = Again::AnsweredBefore("2026-11-02T06:00:00Z".parse().unwrap());
        assert_eq!(again(json!({"scheduled_time": "2026-11-02T06:00:00Z", "attempt": "2"})), six);
        assert_eq!(again(json!({"detail-type": "Scheduled Event", "time": "2026-11-02T06:00:00Z"})), six);
        assert_eq!(again(json!({"month": "2026-10", "began": "2026-11-02T07:00:00+01:00"})), six);
        assert_eq!(again(json!({})), Again::Everything);
    }

    #[test]
    fn misspelt_events_are_refused() {
        for (event, part) in [
            (json!({"dry-run": true}), "unknown field `dry-run`"),
            (json!({"month": "October"}), "is not a month"),
            (json!({"key": "usage/x", "month": "2026-10"}), "nothing beside it"),
            (json!({"began": "today"}), "input contains invalid characters"),
            (json!({"key": "usage/x", "dry_run": true}), "not of a key"),
            (json!({"give_up": {"contract": "c", "month": "2026-10"}}), "missing field `reason`"),
            (json!({"give_up": {"contract": "c", "month": "2026-10", "reason": " "}}), "needs a reason"),
            (
                json!({"give_up": {"contract": "c", "month": "2026-10", "reason": "x"}, "month": "2026-09"}),
                "only a plan and dry_run beside it",
            ),
            (json!({"Records": [{}]}), "Records[0].s3: it is missing"),
            (json!([]), "not understood"),
        ] {
            let error = read_event(&event).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
