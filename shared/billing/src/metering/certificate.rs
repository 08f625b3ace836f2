//! The proof for one month of one plan: what was used and carried in is what was accepted, is open, was rejected or given up, and is
//! carried on, for each dimension. A contract with usage in several plans has one submission, in the certificate of one of them; the
//! others say how much they have given to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::submission::{GivenUp, Line, Sharing, Submission, SubmissionState};
use super::{Plan, Source, UsageSnapshot};
use crate::certificate::{CertificateError, Certified, DocumentRef, Status};
use crate::ids::{ContractId, Dimension};
use crate::money::{Exact, MoneyError};
use crate::month::BillingMonth;
use crate::revision::Revision;

/// What the certificate is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteringSubject {
    /// Always `usage`.
    pub kind: String,
    /// Who measured.
    pub source: Source,
    /// What was metered.
    pub plan: Plan,
    /// The month.
    pub period: BillingMonth,
    /// The usage snapshot's revision.
    pub revision: Revision,
    /// `open` or `closed`.
    pub state: String,
    /// Files counted, and the digest over them.
    pub files: u64,
    /// SHA-256 over the key and the ETag of every file.
    pub digest: String,
}

/// Where the usage of one dimension went. The law: `usage + carry_in + moved` is the sum of all others but `unattributed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DimensionTotals {
    /// By the snapshot.
    pub usage: Exact,
    /// Carried from the month before.
    pub carry_in: Exact,
    /// Given by other plans of the same contracts, which are submitted here; negative if more was given to the submissions of others.
    #[serde(default, skip_serializing_if = "Exact::is_zero")]
    pub moved: Exact,
    /// Held by the service.
    pub accepted: Exact,
    /// To be sent, or sent with an unknown end.
    pub open: Exact,
    /// Refused by the service; sent again by every run.
    pub rejected: Exact,
    /// Refused for certain, and given up by a person.
    #[serde(default, skip_serializing_if = "Exact::is_zero")]
    pub given_up: Exact,
    /// Negative sums, which cannot be sent.
    pub held: Exact,
    /// Reported by the earlier exporter.
    pub imported: Exact,
    /// Came after its quantity was fixed, or after the month had closed; negative if less was used than was sent.
    pub late: Exact,
    /// Carried to the next month.
    pub carry_out: Exact,
    /// Records that name no contract: not part of `usage`, nobody is billed for them.
    pub unattributed: Exact,
}

/// One submission, as far as it explains the totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionLine {
    /// The contract.
    pub contract: ContractId,
    /// The dimension.
    pub dimension: Dimension,
    /// How far it has come.
    pub state: SubmissionState,
    /// By the snapshot.
    pub usage: Exact,
    /// Carried from the month before.
    pub carry_in: Exact,
    /// Sent or to be sent.
    pub quantity: Exact,
    /// Carried to the next month.
    pub carry_out: Exact,
    /// Late, held or imported, by the state.
    pub rest: Exact,
    /// The service held the record before we had sent any: the quantity that it holds is somebody else's.
    pub already_there: bool,
    /// Accepted by an entry that was taken by its place, in a reply that names no record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_place: bool,
    /// What other plans of the contract have given it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given_by: BTreeMap<Plan, Exact>,
    /// The plan in whose submission it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_with: Option<Plan>,
    /// How much of it stands there.
    #[serde(default, skip_serializing_if = "Exact::is_zero")]
    pub given: Exact,
    /// Who has given it up, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Decision>,
}

/// What a person has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
}

/// A plan whose usage nobody waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which.
    pub plan: Plan,
    /// Why.
    pub reason: String,
    /// Who decided so.
    pub by: String,
}

/// The certificate. Its JSON Schema stands in `docs/metering-certificate.schema.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteringCertificate {
    /// Version of the format.
    pub certificate: u32,
    /// What it is about.
    pub subject: MeteringSubject,
    /// Totals by dimension.
    pub dimensions: BTreeMap<String, DimensionTotals>,
    /// What they are the totals of.
    pub submissions: Vec<SubmissionLine>,
    /// Plans of the same marketplace whose usage nobody waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// `matched`: all usage is accepted, carried, or was reported before. `explained`: the rest stands in a total of its own.
    pub status: Status,
    /// In words.
    pub explanation: String,
    /// The usage snapshot.
    pub inputs: Vec<DocumentRef>,
    /// How quantities are made.
    pub rules: BTreeMap<String, String>,
    /// Name and version of the software.
    pub software: String,
}

impl MeteringCertificate {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;

    /// The certificate of a month: `usage` is its snapshot, `input` where that stands, `left_out` the other plans that nobody waited for.
    ///
    /// # Errors
    /// [`CertificateError::Money`].
    pub fn of<'s>(
        usage: &UsageSnapshot,
        revision: &Revision,
        input: DocumentRef,
        submissions: impl IntoIterator<Item = (&'s Line, &'s Submission)>,
        closed: bool,
        left_out: Vec<LeftOut>,
    ) -> Result<Self, CertificateError> {
        let mut dimensions: BTreeMap<String, DimensionTotals> = BTreeMap::new();
        let mut lines = Vec::new();
        for (line, submission) in submissions {
            dimensions.entry(line.dimension.to_string()).or_default().add(submission)?;
            lines.push(SubmissionLine::of(submission)?);
        }
        for lost in &usage.unattributed {
            let dimension = lost.dimension.as_deref().unwrap_or("(none)").to_owned();
            let totals = dimensions.entry(dimension).or_default();
            totals.unattributed = totals.unattributed.plus(lost.quantity)?;
        }
        let (status, explanation) = verdict(&dimensions, &lines, &left_out);
        let certificate = Self {
            certificate: Self::VERSION,
            subject: MeteringSubject {
                kind: "usage".into(),
                source: usage.source,
                plan: usage.plan.clone(),
                period: usage.period,
                revision: revision.clone(),
                state: if closed { "closed".into() } else { "open".into() },
                files: usage.files,
                digest: usage.digest.clone(),
            },
            dimensions,
            submissions: lines,
            left_out,
            status,
            explanation,
            inputs: vec![input],
            rules: [(
                "quantity",
                "rounded down to a whole number, the fraction is carried to the next month",
            )]
            .map(|(name, rule)| (name.to_owned(), rule.to_owned()))
            .into(),
            software: crate::SOFTWARE.into(),
        };
        certificate.agrees_with(usage)?;
        Ok(certificate)
    }

    /// Every sum of the snapshot stands in the certificate.
    fn agrees_with(&self, usage: &UsageSnapshot) -> Result<(), CertificateError> {
        let mut sums: BTreeMap<&str, Exact> = BTreeMap::new();
        for used in &usage.usage {
            let sum = sums.entry(used.dimension.as_str()).or_default();
            *sum = sum.plus(used.quantity)?;
        }
        for (dimension, totals) in &self.dimensions {
            let right = sums.remove(dimension.as_str()).unwrap_or_default();
            law("usage = the snapshot's sum", dimension, totals.usage, right)?;
        }
        match sums.into_iter().find(|(_, sum)| !sum.is_zero()) {
            Some((dimension, sum)) => law("usage = the snapshot's sum", dimension, Exact::ZERO, sum),
            None => Ok(()),
        }
    }
}

impl Certified for MeteringCertificate {
    const OF: &'static str = "metering";

    /// Checks the laws: `usage + carry_in + moved` of each submission and each dimension is what became of it, and the dimensions are the
    /// sums of the submissions.
    fn verify(&self) -> Result<(), CertificateError> {
        let mut sums: BTreeMap<&str, [Exact; 5]> = BTreeMap::new();
        for line in &self.submissions {
            let what = format!("{} {}", line.contract, line.dimension);
            let (moved, went) = (line.moved()?, Exact::sum([line.quantity, line.carry_out, line.rest])?);
            law(
                "usage + carry_in + moved = quantity + carry_out + rest",
                &what,
                Exact::sum([line.usage, line.carry_in, moved])?,
                went,
            )?;
            let sum = sums.entry(line.dimension.as_str()).or_default();
            let parts = [line.usage, line.carry_in, line.quantity, line.carry_out, moved];
            for (sum, part) in sum.iter_mut().zip(parts) {
                *sum = sum.plus(part)?;
            }
        }
        for (dimension, totals) in &self.dimensions {
            let [usage, carry_in, quantity, carry_out, moved] =
                sums.remove(dimension.as_str()).unwrap_or_default();
            law(
                "usage + carry_in + moved = accepted + open + rejected + given_up + held + imported + late + carry_out",
                dimension,
                Exact::sum([totals.usage, totals.carry_in, totals.moved])?,
                totals.went()?,
            )?;
            law("usage = sum of the submissions", dimension, totals.usage, usage)?;
            law("carry_in = sum of the submissions", dimension, totals.carry_in, carry_in)?;
            law("carry_out = sum of the submissions", dimension, totals.carry_out, carry_out)?;
            law("moved = sum of the submissions", dimension, totals.moved, moved)?;
            let sent = Exact::sum([totals.accepted, totals.open, totals.rejected, totals.given_up])?;
            law("accepted + open + rejected + given_up = sum of the quantities", dimension, sent, quantity)?;
        }
        Ok(())
    }
}

/// A law of one dimension or submission.
fn law(law: &str, what: &str, left: Exact, right: Exact) -> Result<(), CertificateError> {
    MeteringCertificate::law(format!("{law} of {what}"), left, right)
}

impl DimensionTotals {
    fn add(&mut self, submission: &Submission) -> Result<(), MoneyError> {
        let add = |sum: &mut Exact, part: Exact| {
            *sum = sum.plus(part)?;
            Ok::<_, MoneyError>(())
        };
        add(&mut self.usage, submission.usage)?;
        add(&mut self.carry_in, submission.carry_in)?;
        add(&mut self.carry_out, submission.carry_out)?;
        add(&mut self.moved, submission.sharing.moved()?)?;
        let sent = match submission.state {
            SubmissionState::Accepted => &mut self.accepted,
            SubmissionState::Rejected => &mut self.rejected,
            SubmissionState::GivenUp => &mut self.given_up,
            _ => &mut self.open,
        };
        add(sent, submission.quantity)?;
        let rest = match submission.state {
            SubmissionState::Held => &mut self.held,
            SubmissionState::Imported => &mut self.imported,
            _ => &mut self.late,
        };
        add(rest, submission.rest()?)
    }

    /// The right side of the law.
    fn went(&self) -> Result<Exact, MoneyError> {
        Exact::sum([
            self.accepted,
            self.open,
            self.rejected,
            self.given_up,
            self.held,
            self.imported,
            self.late,
            self.carry_out,
        ])
    }
}

impl SubmissionLine {
    fn of(submission: &Submission) -> Result<Self, MoneyError> {
        let (given_by, sent_with, given) = match &submission.sharing {
            Sharing::Alone => (BTreeMap::new(), None, Exact::ZERO),
            Sharing::Sends(given) => (given.clone(), None, Exact::ZERO),
            Sharing::SentWith { plan, given } => (BTreeMap::new(), Some(plan.clone()), *given),
        };
        let already_there = submission.reply.as_ref().is_some_and(|reply| reply.already_there);
        let by_place = submission.reply.as_ref().is_some_and(|reply| reply.by_place);
        Ok(Self {
            contract: submission.line.contract.clone(),
            dimension: submission.line.dimension.clone(),
            state: submission.state,
            usage: submission.usage,
            carry_in: submission.carry_in,
            quantity: submission.quantity,
            carry_out: submission.carry_out,
            rest: submission.rest()?,
            already_there,
            by_place: by_place && submission.state == SubmissionState::Accepted,
            given_by,
            sent_with,
            given,
            given_up: submission.reply.as_ref().and_then(|reply| reply.given_up.as_ref()).map(Decision::of),
        })
    }

    /// What other plans have given it; negative if it has given to another.
    fn moved(&self) -> Result<Exact, MoneyError> {
        Exact::sum(self.given_by.values().copied())?.minus(self.given)
    }
}

impl Decision {
    fn of(given_up: &GivenUp) -> Self {
        Self { reason: given_up.reason.clone(), by: given_up.by.clone() }
    }
}

fn verdict(
    dimensions: &BTreeMap<String, DimensionTotals>,
    lines: &[SubmissionLine],
    left_out: &[LeftOut],
) -> (Status, String) {
    let mut parts = Vec::new();
    // late usage of two contracts may cancel out in the totals
    let late = |line: &&SubmissionLine| {
        !matches!(line.state, SubmissionState::Held | SubmissionState::Imported) && !line.rest.is_zero()
    };
    for (count, what) in [
        (lines.iter().filter(late).count(), "with late usage"),
        (lines.iter().filter(|line| line.already_there).count(), "reported by somebody else"),
    ] {
        if count > 0 {
            parts.push(format!("{count} submissions {what}"));
        }
    }
    for line in lines.iter().filter(|line| !line.given.is_zero()) {
        if let Some(plan) = line.sent_with.as_ref().filter(|_| !is_held_or_carried(line.state)) {
            parts.push(format!("{} {} in a submission of {plan} {}", line.given, line.dimension, line.state));
        }
    }
    for (dimension, totals) in dimensions {
        for (name, quantity) in [
            ("open", totals.open),
            ("rejected", totals.rejected),
            ("given up", totals.given_up),
            ("held", totals.held),
            ("late", totals.late),
            ("unattributed", totals.unattributed),
        ] {
            if !quantity.is_zero() {
                parts.push(format!("{quantity} {dimension} {name}"));
            }
        }
    }
    let (status, explanation) = if parts.is_empty() {
        (Status::Matched, "all usage is accepted, carried to the next month, or was reported before".into())
    } else {
        (Status::Explained, parts.join(", "))
    };
    let by_place = lines.iter().filter(|line| line.by_place).count();
    let elsewhere = lines.iter().filter(|line| line.sent_with.is_some()).count();
    let mut remarks: Vec<String> = [
        (by_place, "submissions accepted by their place in a reply that names no record"),
        (elsewhere, "submissions are part of those of other plans"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    remarks
        .extend(left_out.iter().map(|out| format!("left out by {}: {} ({})", out.by, out.plan, out.reason)));
    (status, [vec![explanation], remarks].concat().join("; "))
}

/// Nothing is left to do of what stands in another plan's submission.
fn is_held_or_carried(state: SubmissionState) -> bool {
    matches!(state, SubmissionState::Accepted | SubmissionState::NothingToSend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metering::{ContractUsage, Reply, Unattributed};
    use crate::revision::sha256_hex;

    fn quantity(text: &str) -> Exact {
        text.parse().unwrap()
    }

    fn submission(contract: &str, state: SubmissionState, figures: [&str; 4]) -> (Line, Submission) {
        let line =
            Line { contract: ContractId::new(contract).unwrap(), dimension: Dimension::new("cpu").unwrap() };
        let [usage, carry_in, sent, carry_out] = figures.map(quantity);
        let already_there = state == SubmissionState::Accepted;
        let submission = Submission {
            line: line.clone(),
            state,
            usage,
            carry_in,
            quantity: sent,
            carry_out,
            snapshot: Revision::of(b""),
            fixed: true,
            attempts: 1,
            sent_at: None,
            reply: Some(Reply { already_there, ..Reply::default() }),
            sharing: Sharing::Alone,
        };
        (line, submission)
    }

    fn month() -> (UsageSnapshot, BTreeMap<Line, Submission>) {
        let submissions = BTreeMap::from([
            submission("a", SubmissionState::Accepted, ["669.6", "0.5", "670", "0.1"]),
            submission("b", SubmissionState::Accepted, ["12", "0", "10", "0"]),
            submission("c", SubmissionState::Rejected, ["5", "0", "5", "0"]),
            submission("d", SubmissionState::Unknown, ["7.25", "0", "7", "0.25"]),
            submission("e", SubmissionState::Held, ["-3", "0", "0", "0"]),
            submission("f", SubmissionState::Imported, ["2.5", "0.5", "0", "0"]),
        ]);
        let usage = |(line, s): (&Line, &Submission)| ContractUsage {
            contract: line.contract.clone(),
            dimension: line.dimension.clone(),
            quantity: s.usage,
            records: 1,
        };
        let snapshot = UsageSnapshot {
            snapshot: 1,
            source: Source::Omnistrate,
            plan: "Postgres:PROD:pt-1".parse().unwrap(),
            period: "2025-06".parse().unwrap(),
            files: 7,
            records: 7,
            outside_period: 0,
            digest: "0".repeat(64),
            usage: submissions.iter().map(usage).collect(),
            unattributed: vec![Unattributed {
                contract: None,
                dimension: Some("cpu".into()),
                quantity: quantity("4"),
                records: 1,
                first_key: "f".into(),
            }],
        };
        (snapshot, submissions)
    }

    fn certificate() -> MeteringCertificate {
        let (snapshot, submissions) = month();
        let bytes = snapshot.to_json().unwrap();
        let revision = Revision::of(&bytes);
        let input = DocumentRef { key: format!("usage/x/{revision}.json"), sha256: sha256_hex(&bytes) };
        MeteringCertificate::of(&snapshot, &revision, input, &submissions, false, Vec::new()).unwrap()
    }

    #[test]
    fn everything_used_stands_in_one_of_the_totals() {
        let bytes = certificate().to_json().unwrap();
        assert_eq!(MeteringCertificate::from_json(&bytes).unwrap(), certificate());
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
    }

    fn validator() -> jsonschema::Validator {
        let schema = include_str!("../../../../docs/metering-certificate.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    #[test]
    fn the_document_follows_its_schema() {
        let validator = validator();
        let mut document = serde_json::to_value(certificate()).unwrap();
        assert_eq!(
            validator.iter_errors(&document).map(|e| e.to_string()).collect::<Vec<_>>(),
            Vec::<String>::new()
        );
        document["dimensions"]["cpu"]["usage"] = serde_json::json!(669.6);
        assert!(!validator.is_valid(&document), "a number is no exact quantity");
    }

    #[test]
    fn what_was_accepted_by_its_place_in_a_reply_is_said() {
        let (snapshot, mut submissions) = month();
        for submission in submissions.values_mut() {
            submission.reply.get_or_insert_default().by_place = true;
        }
        let input = DocumentRef { key: "k".into(), sha256: "0".repeat(64) };
        let certificate =
            MeteringCertificate::of(&snapshot, &Revision::of(b""), input, &submissions, false, Vec::new())
                .unwrap();
        let told = "; 2 submissions accepted by their place in a reply that names no record";
        assert!(certificate.explanation.ends_with(told), "{}", certificate.explanation);
        let document = serde_json::to_value(&certificate).unwrap();
        assert!(validator().is_valid(&document));
        assert_eq!(document["submissions"][0]["by_place"], true);
        assert_eq!(document["submissions"][2]["by_place"], serde_json::Value::Null, "it was rejected");
    }

    #[test]
    fn a_certificate_that_contradicts_itself_is_neither_written_nor_read() {
        let broken = |change: fn(&mut MeteringCertificate)| {
            let mut certificate = certificate();
            change(&mut certificate);
            let bytes = crate::canonical::to_json(&certificate).unwrap();
            assert!(certificate.to_json().is_err());
            MeteringCertificate::from_json(&bytes).unwrap_err().to_string()
        };
        let error = broken(|c| c.submissions[0].quantity = quantity("669"));
        assert!(
            error.contains(
                "usage + carry_in + moved = quantity + carry_out + rest of a cpu: 670.1 is not 669.1"
            ),
            "{error}"
        );
        let error = broken(|c| c.dimensions.get_mut("cpu").unwrap().accepted = quantity("679"));
        assert!(error.contains("usage + carry_in + moved = accepted"), "{error}");
        let error = broken(|c| c.dimensions.get_mut("cpu").unwrap().moved = quantity("1"));
        assert!(error.contains("usage + carry_in + moved = accepted"), "{error}");
    }

    /// Half of one plan's month: what stands in the submission of another, what stands here for another, and what was given up.
    #[test]
    fn what_stands_with_other_plans_and_what_was_given_up_is_said() {
        let other: Plan = "Postgres:PROD:pt-2".parse().unwrap();
        let with = |sharing: Sharing, (line, submission): (Line, Submission)| {
            (line, Submission { sharing, reply: None, ..submission })
        };
        let sent_with = |given: &str| Sharing::SentWith { plan: other.clone(), given: quantity(given) };
        let sends = Sharing::Sends([(other.clone(), quantity("4.5"))].into());
        let by = GivenUp {
            reason: "cancelled".into(),
            by: "Ann".into(),
            at: "2025-07-02T00:00:00Z".parse().unwrap(),
        };
        let (line, refused) = submission("d", SubmissionState::Rejected, ["5.5", "0", "5", "0.5"]);
        let submissions = BTreeMap::from([
            with(sends, submission("a", SubmissionState::Accepted, ["5", "0.75", "10", "0.25"])),
            with(sent_with("3.5"), submission("b", SubmissionState::Accepted, ["3.5", "0", "0", "0"])),
            with(sent_with("2"), submission("c", SubmissionState::Rejected, ["2", "0", "0", "0"])),
            (line, refused.given_up(&by)),
        ]);
        let mut snapshot = month().0;
        snapshot.unattributed.clear();
        let used = |submission: &Submission| ContractUsage {
            contract: submission.line.contract.clone(),
            dimension: submission.line.dimension.clone(),
            quantity: submission.usage,
            records: 1,
        };
        snapshot.usage = submissions.values().map(used).collect();
        let input = DocumentRef { key: "k".into(), sha256: "0".repeat(64) };
        let left_out = LeftOut {
            plan: "Postgres:PROD:pt-3".parse().unwrap(),
            reason: "its export is lost".into(),
            by: "Ann".into(),
        };
        let certificate = MeteringCertificate::of(
            &snapshot,
            &Revision::of(b""),
            input,
            &submissions,
            false,
            vec![left_out],
        )
        .unwrap();
        let totals = &certificate.dimensions["cpu"];
        assert_eq!((totals.accepted, totals.given_up), (quantity("10"), quantity("5")));
        assert_eq!(totals.moved, quantity("-1"));
        assert_eq!(
            certificate.explanation,
            "2 cpu in a submission of Postgres:PROD:pt-2 rejected, 5 cpu given up; 2 submissions are part of those of other plans; \
             left out by Ann: Postgres:PROD:pt-3 (its export is lost)"
        );
        let bytes = certificate.to_json().unwrap();
        assert_eq!(MeteringCertificate::from_json(&bytes).unwrap(), certificate);
        let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let errors: Vec<String> = validator().iter_errors(&document).map(|e| e.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
    }

    #[test]
    fn a_submission_that_the_snapshot_does_not_explain_makes_no_certificate() {
        let (mut snapshot, submissions) = month();
        snapshot.usage.pop();
        let input = DocumentRef { key: "k".into(), sha256: "0".repeat(64) };
        let error =
            MeteringCertificate::of(&snapshot, &Revision::of(b""), input, &submissions, false, Vec::new())
                .unwrap_err();
        assert!(error.to_string().contains("usage = the snapshot's sum of cpu"), "{error}");
    }
}
