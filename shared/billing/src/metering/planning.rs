//! What a month must submit, given its usage and what is known already.
//!
//! A quantity is a whole number: the fraction is carried to the next month, and with it whatever a dimension has less
//! than one unit of. A quantity that the service may hold never changes again; usage beyond it is *late*. Once the next month's
//! quantity is fixed, so is the fraction that it was given, and what a correction leaves over is late too: nothing is ever
//! counted twice or dropped.

use std::collections::{BTreeMap, BTreeSet};

use super::UsageSnapshot;
use super::submission::{Line, Reply, Sharing, Submission, SubmissionState};
use crate::ids::ContractId;
use crate::money::{Exact, MoneyError};
use crate::revision::Revision;

/// All that decides what a month submits.
#[derive(Clone, Copy, Debug)]
pub struct MonthBooks<'b> {
    /// The newest usage of the month.
    pub usage: &'b UsageSnapshot,
    /// Its revision.
    pub revision: &'b Revision,
    /// What stands for the month.
    pub standing: &'b BTreeMap<Line, Submission>,
    /// What stands for the month before.
    pub before: &'b BTreeMap<Line, Submission>,
    /// What stands for the months after, from the next one on, as far as anything does.
    pub after: &'b [BTreeMap<Line, Submission>],
    /// Contracts whose month the earlier exporter has reported.
    pub imported: &'b BTreeSet<ContractId>,
    /// The month has closed: nothing new is sent for it.
    pub closed: bool,
}

/// A quantity that cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {source}")]
pub struct PlanningError {
    pub(super) line: Line,
    pub(super) source: MoneyError,
}

/// All submissions of the month as they should stand, in the order of their lines. What the service may hold is as it was, but
/// for its newest usage.
///
/// # Errors
/// [`PlanningError`] names the line whose figures overflow.
pub fn plan_month(books: &MonthBooks<'_>) -> Result<BTreeMap<Line, Submission>, PlanningError> {
    let plan = |(line, usage): (Line, Exact)| {
        let planned = plan_line(books, &line, usage);
        planned.map(|planned| (line.clone(), planned)).map_err(|source| PlanningError { line, source })
    };
    lines(books).into_iter().map(plan).collect()
}

/// Everything that the month has something of, with its usage.
pub(super) fn lines(books: &MonthBooks<'_>) -> BTreeMap<Line, Exact> {
    let mut usage: BTreeMap<Line, Exact> = BTreeMap::new();
    for used in &books.usage.usage {
        let line = Line { contract: used.contract.clone(), dimension: used.dimension.clone() };
        usage.insert(line, used.quantity);
    }
    let carried = books.before.iter().filter(|(_, before)| !before.carry_out.is_zero());
    let lines = books.standing.keys().chain(carried.map(|(line, _)| line));
    for line in lines {
        usage.entry(line.clone()).or_default();
    }
    usage
}

/// A line that no other plan has anything of.
pub(super) fn plan_line(books: &MonthBooks<'_>, line: &Line, usage: Exact) -> Result<Submission, MoneyError> {
    let standing = books.standing.get(line);
    let carry_in = books.carry_in(line);
    let imported = books.imported.contains(&line.contract);
    let stays = |standing: &&Submission| match standing.state {
        SubmissionState::Accepted => true,
        _ if imported => false,
        state => {
            let ended = state.is_settled() || standing.sharing.sent_with().is_some();
            standing.fixed || (books.closed && ended)
        }
    };
    if let Some(standing) = standing.filter(stays) {
        // what it was given may be known better by now; the difference is late, like usage that came later
        return Ok(Submission { usage, carry_in, ..standing.clone() });
    }
    let blank = books.blank(line, usage);
    if imported {
        return Ok(Submission { state: SubmissionState::Imported, fixed: true, ..blank });
    }
    if books.closed {
        return Ok(blank);
    }
    let fresh = quantify(blank, promised(&later(books.after, line))?)?;
    Ok(kept(standing, fresh))
}

impl MonthBooks<'_> {
    pub(super) fn carry_in(&self, line: &Line) -> Exact {
        self.before.get(line).map(|before| before.carry_out).unwrap_or_default()
    }

    /// A submission of which nothing is decided; as it is, all of it is late.
    pub(super) fn blank(&self, line: &Line, usage: Exact) -> Submission {
        let standing = self.standing.get(line);
        Submission {
            line: line.clone(),
            state: SubmissionState::Late,
            usage,
            carry_in: self.carry_in(line),
            quantity: Exact::ZERO,
            carry_out: Exact::ZERO,
            snapshot: self.revision.clone(),
            fixed: false,
            attempts: standing.map_or(0, |standing| standing.attempts),
            sent_at: standing.and_then(|standing| standing.sent_at),
            reply: None,
            sharing: Sharing::Alone,
        }
    }
}

/// The same figures again: what the service said of them stays with them.
pub(super) fn kept(standing: Option<&Submission>, fresh: Submission) -> Submission {
    match standing {
        Some(standing) if same_figures(standing, &fresh) => standing.clone(),
        _ => fresh,
    }
}

fn same_figures(standing: &Submission, fresh: &Submission) -> bool {
    let state = match standing.state {
        SubmissionState::Rejected | SubmissionState::Unknown => SubmissionState::Planned,
        other => other,
    };
    let figures = |s: &Submission| (s.carry_in, s.quantity, s.carry_out);
    figures(standing) == figures(fresh)
        && state == fresh.state
        && standing.usage == fresh.usage
        && standing.sharing == fresh.sharing
}

/// What stands of a line in a later month, as far as it decides what is carried there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Later {
    pub(super) carry_in: Exact,
    pub(super) usage: Exact,
    /// The service may hold its quantity.
    pub(super) fixed: bool,
}

/// What stands of a line in the months after, from the next one on.
pub(super) fn later(after: &[BTreeMap<Line, Submission>], line: &Line) -> Vec<Option<Later>> {
    let one = |s: &Submission| Later { carry_in: s.carry_in, usage: s.usage, fixed: s.fixed };
    after.iter().map(|month| month.get(line).map(one)).collect()
}

/// What the months after have been given already, and must still be given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Promise {
    pub(super) carry: Exact,
    /// The next month is fixed with it: no more and no less. Else more may be carried.
    pub(super) exact: bool,
}

pub(super) fn promised(later: &[Option<Later>]) -> Result<Promise, MoneyError> {
    match later.split_first() {
        None | Some((None, _)) => Ok(Promise::default()),
        Some((Some(next), _)) if next.fixed => Ok(Promise { carry: next.carry_in, exact: true }),
        Some((Some(next), later)) => {
            let needed = promised(later)?.carry.minus(next.usage)?;
            Ok(Promise { carry: needed.max(Exact::ZERO), exact: false })
        }
    }
}

/// Rounds down and carries the fraction, and what was promised to the months after.
pub(super) fn quantify(submission: Submission, promise: Promise) -> Result<Submission, MoneyError> {
    let there = submission.usage.plus(submission.carry_in)?;
    if there.is_negative() {
        let message = format!("its sum is negative ({there}), and no marketplace takes that back");
        let reply = Some(Reply { message: Some(message), ..Reply::default() });
        return Ok(Submission {
            state: SubmissionState::Held,
            carry_out: promise.carry,
            reply,
            ..submission
        });
    }
    let due = there.minus(promise.carry)?;
    let quantity = due.floor().max(Exact::ZERO);
    let carry_out = if promise.exact || due.is_negative() {
        promise.carry
    } else {
        promise.carry.plus(due.minus(quantity)?)?
    };
    let state = if quantity.is_zero() { SubmissionState::NothingToSend } else { SubmissionState::Planned };
    Ok(Submission { state, quantity, carry_out, ..submission })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Dimension;
    use crate::metering::{ContractUsage, Source};

    type Lines = BTreeMap<Line, Submission>;

    fn line(contract: &str) -> Line {
        Line { contract: ContractId::new(contract).unwrap(), dimension: Dimension::new("d").unwrap() }
    }

    fn quantity(text: &str) -> Exact {
        text.parse().unwrap()
    }

    fn snapshot(usage: &[(&str, &str)]) -> UsageSnapshot {
        let used = |(contract, sum): &(&str, &str)| ContractUsage {
            contract: ContractId::new(*contract).unwrap(),
            dimension: Dimension::new("d").unwrap(),
            quantity: quantity(sum),
            records: 1,
        };
        UsageSnapshot {
            snapshot: 1,
            source: Source::Omnistrate,
            plan: "s:e:p".parse().unwrap(),
            period: "2025-06".parse().unwrap(),
            files: 1,
            records: 1,
            outside_period: 0,
            digest: String::new(),
            usage: usage.iter().map(used).collect(),
            unattributed: Vec::new(),
        }
    }

    #[derive(Default)]
    struct Around {
        standing: Lines,
        before: Lines,
        after: Vec<Lines>,
        imported: BTreeSet<ContractId>,
        closed: bool,
    }

    impl Around {
        fn plan(&self, usage: &[(&str, &str)]) -> Lines {
            let snapshot = snapshot(usage);
            let revision = Revision::of(format!("{usage:?}").as_bytes());
            plan_month(&MonthBooks {
                usage: &snapshot,
                revision: &revision,
                standing: &self.standing,
                before: &self.before,
                after: &self.after,
                imported: &self.imported,
                closed: self.closed,
            })
            .unwrap()
        }
    }

    /// State, carry in, quantity, carry out, late.
    fn shown(lines: &Lines, contract: &str) -> String {
        let s = &lines[&line(contract)];
        format!("{} {} {} {} {}", s.state, s.carry_in, s.quantity, s.carry_out, s.late_usage().unwrap())
    }

    fn accepted(lines: &Lines) -> Lines {
        let accept =
            |s: &Submission| Submission { state: SubmissionState::Accepted, fixed: true, ..s.clone() };
        lines.iter().map(|(line, s)| (line.clone(), accept(s))).collect()
    }

    #[test]
    fn the_fraction_is_carried_from_month_to_month() {
        let june = Around::default().plan(&[("a", "669.6")]);
        assert_eq!(shown(&june, "a"), "planned 0 669 0.6 0");
        let july = Around { before: accepted(&june), ..Around::default() }.plan(&[("a", "0.5")]);
        assert_eq!(shown(&july, "a"), "planned 0.6 1 0.1 0");
        let august = Around { before: accepted(&july), ..Around::default() }.plan(&[("b", "3")]);
        assert_eq!(shown(&august, "a"), "nothing-to-send 0.1 0 0.1 0");
        assert_eq!(shown(&august, "b"), "planned 0 3 0 0");
        let september = Around { before: august, ..Around::default() }.plan(&[("a", "0.9")]);
        assert_eq!(shown(&september, "a"), "planned 0.1 1 0 0");
        assert!(!september.contains_key(&line("b")), "nothing carried, nothing used");
    }

    #[test]
    fn negative_sums_are_held_and_do_not_stop_the_others() {
        let planned = Around::default().plan(&[("a", "-0.5"), ("b", "2")]);
        assert_eq!(shown(&planned, "a"), "held 0 0 0 0");
        assert_eq!(planned[&line("a")].rest().unwrap(), quantity("-0.5"));
        assert_eq!(shown(&planned, "b"), "planned 0 2 0 0");
    }

    #[test]
    fn what_the_service_may_hold_never_changes_and_more_usage_is_late() {
        let first = Around::default().plan(&[("a", "10.5"), ("b", "7")]);
        let mut standing = accepted(&first);
        let unknown = first[&line("b")].sending("2025-07-01T00:00:00Z".parse().unwrap()).unknown("time-out");
        standing.insert(line("b"), unknown);
        let again = Around { standing, ..Around::default() }.plan(&[("a", "12.75"), ("b", "6"), ("c", "1")]);
        assert_eq!(shown(&again, "a"), "accepted 0 10 0.5 2.25");
        assert_eq!(shown(&again, "b"), "unknown 0 7 0 -1");
        assert_eq!(shown(&again, "c"), "planned 0 1 0 0");
    }

    #[test]
    fn what_was_refused_for_certain_follows_the_newest_usage() {
        let mut standing = Around::default().plan(&[("a", "10.5")]);
        let before = standing[&line("a")].clone();
        let verdict = crate::metering::Verdict::Refused { reply: Reply::default(), certain: true };
        let rejected = before.sending("2025-07-01T00:00:00Z".parse().unwrap()).settled(&before, &verdict);
        standing.insert(line("a"), rejected);
        let around = Around { standing, ..Around::default() };
        assert_eq!(shown(&around.plan(&[("a", "10.5")]), "a"), "rejected 0 10 0.5 0");
        let newer = around.plan(&[("a", "12")]);
        assert_eq!(shown(&newer, "a"), "planned 0 12 0 0");
        assert_eq!(newer[&line("a")].attempts, 1);
    }

    #[test]
    fn once_the_next_month_is_fixed_a_correction_cannot_change_what_it_was_given() {
        let june = Around::default().plan(&[("a", "10.5")]);
        let july = accepted(&Around { before: june.clone(), ..Around::default() }.plan(&[("a", "1")]));
        assert_eq!(shown(&july, "a"), "accepted 0.5 1 0.5 0");
        let around = Around { standing: june, after: vec![july.clone()], ..Around::default() };
        let corrected = around.plan(&[("a", "12.75")]);
        assert_eq!(shown(&corrected, "a"), "planned 0 12 0.5 0.25");
        // one that the next month had nothing of, too
        let appeared =
            Around { after: vec![accepted(&Around::default().plan(&[("b", "4")]))], ..Around::default() };
        assert_eq!(shown(&appeared.plan(&[("b", "2.5")]), "b"), "planned 0 2 0 0.5");
        let less = around.plan(&[("a", "0.25")]);
        assert_eq!(shown(&less, "a"), "nothing-to-send 0 0 0.5 -0.25");
    }

    /// June and July had less than one unit, and August's quantity is fixed with what they carried. June is corrected upwards.
    #[test]
    fn what_was_carried_over_two_months_is_not_sent_a_second_time() {
        let june = Around::default().plan(&[("a", "0.6")]);
        let july = Around { before: june.clone(), ..Around::default() }.plan(&[("a", "0.3")]);
        let august = accepted(&Around { before: july.clone(), ..Around::default() }.plan(&[("a", "5")]));
        assert_eq!(shown(&august, "a"), "accepted 0.9 5 0.9 0");
        let june = Around { standing: june, after: vec![july.clone(), august.clone()], ..Around::default() }
            .plan(&[("a", "1.1")]);
        assert_eq!(shown(&june, "a"), "nothing-to-send 0 0 1.1 0");
        let july = Around { standing: july, before: june, after: vec![august.clone()], ..Around::default() }
            .plan(&[("a", "0.3")]);
        assert_eq!(shown(&july, "a"), "nothing-to-send 1.1 0 0.9 0.5");
        let again = Around { standing: august, before: july, ..Around::default() }.plan(&[("a", "5")]);
        assert_eq!(shown(&again, "a"), "accepted 0.9 5 0.9 0");
    }

    #[test]
    fn a_closed_month_sends_nothing_new() {
        let around = Around {
            standing: accepted(&Around::default().plan(&[("a", "2")])),
            closed: true,
            ..Around::default()
        };
        let late = around.plan(&[("a", "3"), ("b", "4.5")]);
        assert_eq!(shown(&late, "a"), "accepted 0 2 0 1");
        assert_eq!(shown(&late, "b"), "late 0 0 0 4.5");
        // and a reopened one does
        let reopened = Around { standing: late, ..Around::default() }.plan(&[("a", "3"), ("b", "4.5")]);
        assert_eq!(shown(&reopened, "a"), "accepted 0 2 0 1");
        assert_eq!(shown(&reopened, "b"), "planned 0 4 0.5 0");
    }

    #[test]
    fn what_the_earlier_exporter_reported_is_never_sent() {
        let imported = BTreeSet::from([ContractId::new("a").unwrap()]);
        let planned = Around { imported, ..Around::default() }.plan(&[("a", "3.5"), ("b", "1")]);
        assert_eq!(shown(&planned, "a"), "imported 0 0 0 0");
        assert_eq!(planned[&line("a")].rest().unwrap(), quantity("3.5"));
        assert_eq!(shown(&planned, "b"), "planned 0 1 0 0");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Months of any usage: what is sent and what is carried at the end is what was used.
        #[test]
        fn nothing_is_lost_from_month_to_month(usage in prop::collection::vec(0i64..5_000, 1..24), scale in 0u32..4) {
            let (mut before, mut sent, mut used) = (Lines::new(), Exact::ZERO, Exact::ZERO);
            for month in usage {
                let month = Exact::from(rust_decimal::Decimal::new(month, scale));
                used = used.plus(month).unwrap();
                let planned = Around { before, ..Around::default() }.plan(&[("a", &month.to_string())]);
                let line = &planned[&line("a")];
                prop_assert!(line.rest().unwrap().is_zero());
                prop_assert!(!line.carry_out.is_negative() && line.carry_out < quantity("1"));
                sent = sent.plus(line.quantity).unwrap();
                before = planned;
            }
            let carried = before.values().next().unwrap().carry_out;
            prop_assert_eq!(sent.plus(carried).unwrap(), used);
        }

        /// Months that are counted again and again while some of their quantities are fixed: what is sent, carried at the end and late is what
        /// was used, and each month is given what the one before carries.
        #[test]
        fn corrections_lose_and_double_nothing(counts in prop::collection::vec((0usize..4, 0i64..40, any::<bool>()), 1..24)) {
            let mut usage = [Exact::ZERO; 4];
            let mut months: Vec<Lines> = vec![Lines::new(); 4];
            for (number, tenths, accept) in counts {
                usage[number] = Exact::from(rust_decimal::Decimal::new(tenths, 1));
                for month in 0..4usize {
                    let before = month.checked_sub(1).map(|before| months[before].clone()).unwrap_or_default();
                    let around = Around { standing: months[month].clone(), before, after: months[month + 1..].to_vec(), ..Around::default() };
                    months[month] = around.plan(&[("a", &usage[month].to_string())]);
                }
                if accept {
                    let sent = months[number].get_mut(&line("a")).unwrap();
                    if sent.state == SubmissionState::Planned {
                        *sent = Submission { state: SubmissionState::Accepted, fixed: true, ..sent.clone() };
                    }
                }
            }
            let lines: Vec<&Submission> = months.iter().map(|month| &month[&line("a")]).collect();
            for pair in lines.windows(2) {
                prop_assert_eq!(pair[0].carry_out, pair[1].carry_in);
            }
            prop_assert!(lines.iter().all(|line| line.state != SubmissionState::Held));
            let sum = |of: fn(&Submission) -> Exact| Exact::sum(lines.iter().map(|line| of(line))).unwrap();
            let went = sum(|line| line.quantity).plus(sum(|line| line.rest().unwrap())).unwrap();
            prop_assert_eq!(went.plus(lines[3].carry_out).unwrap(), Exact::sum(usage).unwrap());
        }

        /// Planning what is planned changes nothing.
        #[test]
        fn planning_twice_is_planning_once(used in -50i64..5_000, carried in 0i64..10, closed: bool, fixed: bool) {
            let carry = Submission { carry_out: Exact::from(rust_decimal::Decimal::new(carried, 1)), ..Around::default().plan(&[("a", "0")])[&line("a")].clone() };
            let used = Exact::from(rust_decimal::Decimal::new(used, 2)).to_string();
            let mut around = Around { before: BTreeMap::from([(line("a"), carry)]), closed, ..Around::default() };
            if fixed {
                around.after = vec![accepted(&Around::default().plan(&[("a", "5.5")]))];
            }
            let once = around.plan(&[("a", &used)]);
            around.standing = once.clone();
            prop_assert_eq!(around.plan(&[("a", &used)]), once);
        }
    }
}
