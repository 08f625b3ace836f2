//! The proof for one month of one plan: what was used and carried in is what was accepted, is open, was rejected, and is carried
//! on, for each dimension.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::quantity::{Quantity, QuantityError};
use super::submission::{Line, Submission, SubmissionState};
use super::{Plan, Source, UsageSnapshot};
use crate::canonical;
use crate::certificate::{DocumentRef, Status};
use crate::ids::{ContractId, Dimension};
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

/// Where the usage of one dimension went. The law: `usage + carry_in` is the sum of all others but `unattributed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DimensionTotals {
    /// By the snapshot.
    pub usage: Quantity,
    /// Carried from the month before.
    pub carry_in: Quantity,
    /// Held by the service.
    pub accepted: Quantity,
    /// To be sent, or sent with an unknown end.
    pub open: Quantity,
    /// Refused by the service; sent again by every run.
    pub rejected: Quantity,
    /// Negative sums, which cannot be sent.
    pub held: Quantity,
    /// Reported by the earlier exporter.
    pub imported: Quantity,
    /// Came after its quantity was fixed, or after the month had closed; negative if less was used than was sent.
    pub late: Quantity,
    /// Carried to the next month.
    pub carry_out: Quantity,
    /// Records that name no contract: not part of `usage`, nobody is billed for them.
    pub unattributed: Quantity,
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
    pub usage: Quantity,
    /// Carried from the month before.
    pub carry_in: Quantity,
    /// Sent or to be sent.
    pub quantity: Quantity,
    /// Carried to the next month.
    pub carry_out: Quantity,
    /// Late, held or imported, by the state.
    pub rest: Quantity,
    /// The service held the record before we had sent any: the quantity that it holds is somebody else's.
    pub already_there: bool,
    /// Accepted by an entry that was taken by its place, in a reply that names no record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_place: bool,
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

/// A certificate that cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum MeteringCertificateError {
    /// A law does not hold.
    #[error("the certificate of {period} contradicts itself: {law} of {what}: {left} is not {right}")]
    Broken {
        /// The month.
        period: BillingMonth,
        /// The law.
        law: &'static str,
        /// Of which dimension or submission.
        what: String,
        /// Its left side.
        left: String,
        /// Its right side.
        right: String,
    },
    /// A sum overflows.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// The bytes are no certificate.
    #[error("the document is no certificate of metering: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl MeteringCertificate {
    /// The version of the format that this software writes.
    pub const VERSION: u32 = 1;

    /// The certificate of a month: `usage` is its snapshot, `input` where that stands.
    ///
    /// # Errors
    /// [`MeteringCertificateError::Quantity`].
    pub fn of<'s>(
        usage: &UsageSnapshot,
        revision: &Revision,
        input: DocumentRef,
        submissions: impl IntoIterator<Item = (&'s Line, &'s Submission)>,
        closed: bool,
    ) -> Result<Self, MeteringCertificateError> {
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
        let (status, explanation) = verdict(&dimensions, &lines);
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
    fn agrees_with(&self, usage: &UsageSnapshot) -> Result<(), MeteringCertificateError> {
        let mut sums: BTreeMap<&str, Quantity> = BTreeMap::new();
        for used in &usage.usage {
            let sum = sums.entry(used.dimension.as_str()).or_default();
            *sum = sum.plus(used.quantity)?;
        }
        for (dimension, totals) in &self.dimensions {
            let right = sums.remove(dimension.as_str()).unwrap_or_default();
            self.law("usage = the snapshot's sum", dimension, totals.usage, right)?;
        }
        match sums.into_iter().find(|(_, sum)| !sum.is_zero()) {
            Some((dimension, sum)) => self.law("usage = the snapshot's sum", dimension, Quantity::ZERO, sum),
            None => Ok(()),
        }
    }

    fn law(
        &self,
        law: &'static str,
        what: &str,
        left: Quantity,
        right: Quantity,
    ) -> Result<(), MeteringCertificateError> {
        if left == right {
            return Ok(());
        }
        let (period, what) = (self.subject.period, what.to_owned());
        let (left, right) = (left.to_string(), right.to_string());
        Err(MeteringCertificateError::Broken { period, law, what, left, right })
    }

    /// Checks the laws: `usage + carry_in` of each submission and each dimension is what became of it, and the dimensions are the
    /// sums of the submissions.
    ///
    /// # Errors
    /// [`MeteringCertificateError::Broken`] names the law and both sides.
    pub fn verify(&self) -> Result<(), MeteringCertificateError> {
        let mut sums: BTreeMap<&str, [Quantity; 4]> = BTreeMap::new();
        for line in &self.submissions {
            let what = format!("{} {}", line.contract, line.dimension);
            let went = Quantity::sum([line.quantity, line.carry_out, line.rest])?;
            self.law(
                "usage + carry_in = quantity + carry_out + rest",
                &what,
                line.usage.plus(line.carry_in)?,
                went,
            )?;
            let sum = sums.entry(line.dimension.as_str()).or_default();
            let parts = [line.usage, line.carry_in, line.quantity, line.carry_out];
            for (sum, part) in sum.iter_mut().zip(parts) {
                *sum = sum.plus(part)?;
            }
        }
        for (dimension, totals) in &self.dimensions {
            let [usage, carry_in, quantity, carry_out] = sums.remove(dimension.as_str()).unwrap_or_default();
            self.law(
                "usage + carry_in = accepted + open + rejected + held + imported + late + carry_out",
                dimension,
                totals.usage.plus(totals.carry_in)?,
                totals.went()?,
            )?;
            self.law("usage = sum of the submissions", dimension, totals.usage, usage)?;
            self.law("carry_in = sum of the submissions", dimension, totals.carry_in, carry_in)?;
            self.law("carry_out = sum of the submissions", dimension, totals.carry_out, carry_out)?;
            let sent = Quantity::sum([totals.accepted, totals.open, totals.rejected])?;
            self.law("accepted + open + rejected = sum of the quantities", dimension, sent, quantity)?;
        }
        Ok(())
    }

    /// The document.
    ///
    /// # Errors
    /// [`MeteringCertificateError`] if a law does not hold: such a certificate is never written.
    pub fn to_json(&self) -> Result<Vec<u8>, MeteringCertificateError> {
        self.verify()?;
        Ok(canonical::to_json(self)?)
    }

    /// Reads a document and checks its laws again.
    ///
    /// # Errors
    /// [`MeteringCertificateError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, MeteringCertificateError> {
        let certificate: Self = serde_json::from_slice(bytes)?;
        certificate.verify()?;
        Ok(certificate)
    }
}

impl DimensionTotals {
    fn add(&mut self, submission: &Submission) -> Result<(), QuantityError> {
        let add = |sum: &mut Quantity, part: Quantity| {
            *sum = sum.plus(part)?;
            Ok::<_, QuantityError>(())
        };
        add(&mut self.usage, submission.usage)?;
        add(&mut self.carry_in, submission.carry_in)?;
        add(&mut self.carry_out, submission.carry_out)?;
        let sent = match submission.state {
            SubmissionState::Accepted => &mut self.accepted,
            SubmissionState::Rejected => &mut self.rejected,
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
    fn went(&self) -> Result<Quantity, QuantityError> {
        Quantity::sum([
            self.accepted,
            self.open,
            self.rejected,
            self.held,
            self.imported,
            self.late,
            self.carry_out,
        ])
    }
}

impl SubmissionLine {
    fn of(submission: &Submission) -> Result<Self, QuantityError> {
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
        })
    }
}

fn verdict(dimensions: &BTreeMap<String, DimensionTotals>, lines: &[SubmissionLine]) -> (Status, String) {
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
    for (dimension, totals) in dimensions {
        for (name, quantity) in [
            ("open", totals.open),
            ("rejected", totals.rejected),
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
    match lines.iter().filter(|line| line.by_place).count() {
        0 => (status, explanation),
        count => (
            status,
            format!(
                "{explanation}; {count} submissions accepted by their place in a reply that names no record"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metering::{ContractUsage, Reply, Unattributed};
    use crate::revision::sha256_hex;

    fn quantity(text: &str) -> Quantity {
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
        MeteringCertificate::of(&snapshot, &revision, input, &submissions, false).unwrap()
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
            MeteringCertificate::of(&snapshot, &Revision::of(b""), input, &submissions, false).unwrap();
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
            let bytes = canonical::to_json(&certificate).unwrap();
            assert!(certificate.to_json().is_err());
            MeteringCertificate::from_json(&bytes).unwrap_err().to_string()
        };
        let error = broken(|c| c.submissions[0].quantity = quantity("669"));
        assert!(
            error.contains("usage + carry_in = quantity + carry_out + rest of a cpu: 670.1 is not 669.1"),
            "{error}"
        );
        let error = broken(|c| c.dimensions.get_mut("cpu").unwrap().accepted = quantity("679"));
        assert!(error.contains("usage + carry_in = accepted"), "{error}");
    }

    #[test]
    fn a_submission_that_the_snapshot_does_not_explain_makes_no_certificate() {
        let (mut snapshot, submissions) = month();
        snapshot.usage.pop();
        let input = DocumentRef { key: "k".into(), sha256: "0".repeat(64) };
        let error =
            MeteringCertificate::of(&snapshot, &Revision::of(b""), input, &submissions, false).unwrap_err();
        assert!(error.to_string().contains("usage = the snapshot's sum of cpu"), "{error}");
    }
}
