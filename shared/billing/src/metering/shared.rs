//! What a month of several plans must submit: the service holds one record for a contract, a dimension and a month, whatever the plan.
//!
//! Where several plans have something of a line, usage and carried fractions are added up and rounded down once. The first plan has the
//! submission, the others say that theirs is sent with it. Plans of another group do not add up unless the catalog says so: all of it is
//! held. Once one of the plans has a record of the line (sent, closed, given up, or reported by the earlier exporter), that is the contract's
//! record: what it was not given is late.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use super::planning::{
    Later, MonthBooks, PlanningError, Promise, kept, later, lines, plan_line, promised, quantify,
};
use super::submission::{Line, Reply, Sharing, Submission, SubmissionState};
use crate::ids::ContractId;
use crate::money::{Exact, MoneyError};

/// A plan whose contracts may be those of others: of one marketplace.
#[derive(Clone, Copy, Debug)]
pub enum Member<'b> {
    /// Its month is planned.
    Counted {
        /// All that decides.
        books: MonthBooks<'b>,
        /// Plans of one group add up.
        group: &'b str,
    },
    /// Its month is not planned now; what stands of it counts all the same.
    Standing {
        /// What stands for the month.
        standing: &'b BTreeMap<Line, Submission>,
        /// Contracts whose month the earlier exporter has reported.
        imported: &'b BTreeSet<ContractId>,
        /// The month has closed.
        closed: bool,
    },
    /// It is sold on another marketplace, whose records are others; unless the service says that one is there already.
    Elsewhere {
        /// What stands for the month.
        standing: &'b BTreeMap<Line, Submission>,
    },
}

/// All submissions of a month of the plans that are counted, as they should stand.
///
/// # Errors
/// [`PlanningError`] names the line whose figures overflow.
pub fn plan_months(
    members: &BTreeMap<Plan, Member<'_>>,
) -> Result<BTreeMap<Plan, BTreeMap<Line, Submission>>, PlanningError> {
    let mut parts: BTreeMap<Line, Vec<Part<'_>>> = BTreeMap::new();
    for (plan, member) in members {
        let of_member: Vec<(Line, Option<Exact>)> = match member {
            Member::Counted { books, .. } => {
                lines(books).into_iter().map(|(line, usage)| (line, Some(usage))).collect()
            }
            Member::Standing { standing, .. } | Member::Elsewhere { standing } => {
                standing.keys().map(|line| (line.clone(), None)).collect()
            }
        };
        for (line, usage) in of_member {
            let of_line = member.standing().get(&line);
            parts.entry(line).or_default().push(Part { plan, member, standing: of_line, usage });
        }
    }
    let counted = members.iter().filter(|(_, member)| matches!(member, Member::Counted { .. }));
    let mut planned: BTreeMap<Plan, BTreeMap<Line, Submission>> =
        counted.map(|(plan, _)| (plan.clone(), BTreeMap::new())).collect();
    for (line, parts) in parts {
        let imported = members.iter().find(|(_, m)| m.imports(&line.contract)).map(|(plan, _)| plan);
        let of_line = SharedLine { line: &line, parts: &parts, imported }.plan();
        let of_line = of_line.map_err(|source| PlanningError { line: line.clone(), source })?;
        for (plan, submission) in of_line {
            planned.entry(plan.clone()).or_default().insert(line.clone(), submission);
        }
    }
    Ok(planned)
}

impl<'b> Member<'b> {
    fn standing(&self) -> &'b BTreeMap<Line, Submission> {
        match self {
            Self::Counted { books, .. } => books.standing,
            Self::Standing { standing, .. } | Self::Elsewhere { standing } => standing,
        }
    }

    fn imports(&self, contract: &ContractId) -> bool {
        match self {
            Self::Counted { books, .. } => books.imported.contains(contract),
            Self::Standing { imported, .. } => imported.contains(contract),
            Self::Elsewhere { .. } => false,
        }
    }

    fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere { .. })
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Counted { books, .. } => books.closed,
            Self::Standing { closed, .. } => *closed,
            Self::Elsewhere { .. } => false,
        }
    }
}

/// What one plan has of a line.
#[derive(Clone, Copy)]
struct Part<'a> {
    plan: &'a Plan,
    member: &'a Member<'a>,
    standing: Option<&'a Submission>,
    /// Of a plan that is counted.
    usage: Option<Exact>,
}

/// A part of a plan that is counted.
#[derive(Clone, Copy)]
struct Counted<'a> {
    plan: &'a Plan,
    books: &'a MonthBooks<'a>,
    group: &'a str,
    usage: Exact,
    standing: Option<&'a Submission>,
}

impl<'a> Part<'a> {
    fn counted(&self) -> Option<Counted<'a>> {
        let (Part { plan, standing, .. }, usage) = (*self, self.usage?);
        match self.member {
            Member::Counted { books, group } => Some(Counted { plan, books, group, usage, standing }),
            Member::Standing { .. } | Member::Elsewhere { .. } => None,
        }
    }
}

impl Counted<'_> {
    fn carry_in(&self, line: &Line) -> Exact {
        self.books.carry_in(line)
    }

    fn is_imported(&self, line: &Line) -> bool {
        self.books.imported.contains(&line.contract)
    }

    fn alone(&self, line: &Line) -> Result<Submission, MoneyError> {
        plan_line(self.books, line, self.usage)
    }

    /// What the next month was given of it, once that cannot change any more.
    fn given_on(&self, line: &Line) -> Exact {
        let later = later(self.books.after, line);
        let next = later.first().copied().flatten().filter(|next| next.fixed);
        next.map(|next| next.carry_in).unwrap_or_default()
    }

    /// Not sent, and for this reason.
    fn not_sent(&self, line: &Line, state: SubmissionState, why: String) -> Submission {
        let reply = Some(Reply { message: Some(why), ..Reply::default() });
        let carry_out = self.given_on(line);
        Submission { state, carry_out, reply, ..self.books.blank(line, self.usage) }
    }

    /// So much of it stands in the submission of another plan.
    fn sent_with(&self, line: &Line, record: &Submission, plan: &Plan, given: Exact) -> Submission {
        let carry_out = self.given_on(line);
        let blank = Submission {
            carry_out,
            attempts: 0,
            sent_at: None,
            sharing: Sharing::SentWith { plan: plan.clone(), given },
            ..self.books.blank(line, self.usage)
        };
        let snapshot = match self.standing {
            // made from the snapshot that the other's was made from
            Some(standing) if standing.sharing == blank.sharing => standing.snapshot.clone(),
            _ => blank.snapshot.clone(),
        };
        Submission { snapshot, ..blank }.mirroring(record)
    }
}

impl Submission {
    /// A submission that is sent with another one stands as that one does.
    #[must_use]
    pub fn mirroring(self, record: &Self) -> Self {
        Self { state: record.state, fixed: record.fixed, ..self }
    }
}

/// Submissions of one line, by plan.
type Planned<'a> = Vec<(&'a Plan, Submission)>;

/// A line with all plans that have something of it.
struct SharedLine<'a> {
    line: &'a Line,
    parts: &'a [Part<'a>],
    /// The earlier exporter has reported the contract's month for this plan.
    imported: Option<&'a Plan>,
}

/// A submission that the service may hold, or that has closed.
#[derive(Clone, Copy)]
struct Record<'a> {
    plan: &'a Plan,
    submission: &'a Submission,
}

impl<'a> SharedLine<'a> {
    fn counted(&self) -> impl Iterator<Item = Counted<'a>> {
        self.parts.iter().filter_map(Part::counted)
    }

    fn plan(&self) -> Result<Planned<'a>, MoneyError> {
        let mut planned = self.planned()?;
        for (plan, own) in &mut planned {
            // an answer "already there" may speak of what the other plan has sent
            if let Some((other, quantity)) = self.rival(plan)
                && own.is_to_send()
                && !own.holds_another_quantity()
            {
                *own = Submission { state: own.state, fixed: own.fixed, ..own.disputed(other, quantity) };
            }
        }
        Ok(planned)
    }

    fn planned(&self) -> Result<Planned<'a>, MoneyError> {
        if let [only] = self.parts
            && self.imported.is_none_or(|plan| plan == only.plan)
        {
            return self.counted().map(|part| Ok((part.plan, part.alone(self.line)?))).collect();
        }
        match (self.record(), self.imported) {
            (Some(record), _) => {
                self.counted().map(|part| Ok((part.plan, self.beside(&part, record)?))).collect()
            }
            (None, Some(by)) => {
                let why = format!("the earlier exporter has reported the contract's month for {by}");
                let one = |part: Counted<'a>| {
                    let imported = part.is_imported(self.line);
                    let late = || Ok(part.not_sent(self.line, SubmissionState::Late, why.clone()));
                    Ok((part.plan, if imported { part.alone(self.line) } else { late() }?))
                };
                self.counted().map(one).collect()
            }
            (None, None) => self.together(),
        }
    }

    /// The contract's record of this dimension and month, if there is one.
    fn record(&self) -> Option<Record<'a>> {
        let ranked = self.parts.iter().filter_map(|part| Some((self.rank(part)?, part)));
        let (_, part) = ranked.min_by_key(|(rank, part)| (*rank, part.plan))?;
        Some(Record { plan: part.plan, submission: part.standing? })
    }

    /// How sure it is that what a plan has is the contract's record: the lower the surer.
    fn rank(&self, part: &Part<'a>) -> Option<u8> {
        let standing = part.standing.filter(|_| !part.member.is_elsewhere())?;
        if let Some(other) = standing.sharing.sent_with() {
            // of a plan that nobody knows any more only this tells that something was sent
            let known = self.parts.iter().any(|part| part.plan == other);
            return (standing.fixed && !known).then_some(1);
        }
        let imported = part.member.imports(&self.line.contract);
        match standing.state {
            // what was there may be what another plan has sent, also if that does not know
            SubmissionState::Accepted => Some(if was_there(standing) { 2 } else { 0 }),
            SubmissionState::GivenUp => Some(3),
            SubmissionState::Late | SubmissionState::Imported => None,
            _ if imported => None,
            state if standing.fixed && state.is_to_send() => Some(1),
            state => (part.member.is_closed() && state.is_settled()).then_some(4),
        }
    }

    /// What one of the plans has, beside the contract's record.
    fn beside(&self, part: &Counted<'a>, record: Record<'a>) -> Result<Submission, MoneyError> {
        let Record { plan, submission } = record;
        if part.plan == plan {
            return part.alone(self.line);
        }
        if let Some(given) = submission.sharing.given_by(part.plan) {
            return Ok(part.sent_with(self.line, submission, plan, given));
        }
        let quantity = submission.quantity;
        let late = || {
            let why = format!("the contract's record of the month is that of {plan}, with {quantity}");
            part.not_sent(self.line, SubmissionState::Late, why)
        };
        let imported = part.is_imported(self.line);
        let own = part.standing.filter(|standing| standing.sharing.sent_with().is_none());
        Ok(match own {
            // what was there was the other's
            Some(own) if own.state == SubmissionState::Accepted && was_there(own) => late(),
            Some(own) if own.fixed && own.state.is_to_send() && !imported => {
                if is_held_for_certain(submission) {
                    late()
                } else if own.holds_another_quantity() {
                    part.alone(self.line)?
                } else {
                    part.alone(self.line)?.disputed(plan, quantity)
                }
            }
            Some(own) if own.fixed || (part.books.closed && own.state.is_settled()) => {
                part.alone(self.line)?
            }
            _ if imported => part.alone(self.line)?,
            _ => late(),
        })
    }

    /// Another plan that may have sent the line too.
    fn rival(&self, plan: &Plan) -> Option<(&'a Plan, Exact)> {
        let others = self.parts.iter().filter(|part| part.plan != plan);
        let mut sent = others.filter_map(|part| Some((part, part.standing?)));
        let may_be_held = |(part, other): &(&Part<'_>, &Submission)| {
            let accepted = part.member.is_elsewhere() && other.state == SubmissionState::Accepted;
            other.fixed && other.sharing.sent_with().is_none() && (accepted || other.state.is_to_send())
        };
        sent.find(may_be_held).map(|(part, other)| (part.plan, other.quantity))
    }

    /// Nothing of it was sent: plans of one group add up, others are held.
    fn together(&self) -> Result<Planned<'a>, MoneyError> {
        let (open, closed): (Vec<_>, Vec<_>) = self.counted().partition(|part| !part.books.closed);
        // what a closed month has given stays given
        let given: BTreeMap<&Plan, Exact> = self.parts.iter().filter_map(given_for_good).collect();
        let closed = closed.into_iter().map(|part| Ok((part.plan, part.alone(self.line)?)));
        let mut planned: BTreeMap<&Plan, Submission> = closed.collect::<Result<_, MoneyError>>()?;
        match open.as_slice() {
            [] => {}
            [only] if given.is_empty() => {
                planned.insert(only.plan, only.alone(self.line)?);
            }
            [first, others @ ..] if others.iter().any(|part| part.group != first.group) => {
                let groups: BTreeSet<&str> = open.iter().map(|part| part.group).collect();
                let why = format!(
                    "plans of several services or environments have usage of it ({}), and the service takes one record: give them one \
                     `group` in the catalog (metering.plans), and they add up",
                    groups.into_iter().collect::<Vec<_>>().join(", ")
                );
                let held = |part: &Counted<'a>| {
                    (part.plan, part.not_sent(self.line, SubmissionState::Held, why.clone()))
                };
                planned.extend(open.iter().map(held));
            }
            [first, others @ ..] => {
                let (sent, with) = self.added_up(first, others, &given)?;
                planned.extend(with);
                for (plan, own) in &mut planned {
                    if let Some(given) = given.get(plan) {
                        let sharing = Sharing::SentWith { plan: first.plan.clone(), given: *given };
                        *own = Submission { sharing, ..own.clone() }.mirroring(&sent);
                    }
                }
                planned.insert(first.plan, sent);
            }
        }
        Ok(planned.into_iter().collect())
    }

    /// One submission for all, which the first plan has, and those that are sent with it.
    fn added_up(
        &self,
        first: &Counted<'a>,
        others: &[Counted<'a>],
        given: &BTreeMap<&Plan, Exact>,
    ) -> Result<(Submission, Planned<'a>), MoneyError> {
        let line = self.line;
        let mut shares: BTreeMap<Plan, Exact> =
            given.iter().map(|(plan, given)| ((*plan).clone(), *given)).collect();
        let mut kept_back = Exact::ZERO;
        for part in others {
            let given_on = part.given_on(line);
            kept_back = kept_back.plus(given_on)?;
            let share = part.usage.plus(part.carry_in(line))?.minus(given_on)?;
            shares.insert(part.plan.clone(), share);
        }
        let all = || [first].into_iter().chain(others);
        let blank = first.books.blank(line, first.usage);
        let whole = Submission {
            carry_in: blank.carry_in.plus(Exact::sum(shares.values().copied())?)?.plus(kept_back)?,
            ..blank.clone()
        };
        let whole = quantify(whole, promised_of_all(all().map(|part| later(part.books.after, line)))?)?;
        let fresh = Submission {
            carry_in: blank.carry_in,
            carry_out: whole.carry_out.minus(kept_back)?,
            sharing: Sharing::Sends(shares),
            ..whole
        };
        let sent = kept(first.standing, fresh);
        let with = |part: &Counted<'a>| {
            let given = sent.sharing.given_by(part.plan).unwrap_or_default();
            (part.plan, part.sent_with(line, &sent, first.plan, given))
        };
        let with = others.iter().map(with).collect();
        Ok((sent, with))
    }
}

/// What a plan whose month has closed has given to the submission of another.
fn given_for_good<'a>(part: &Part<'a>) -> Option<(&'a Plan, Exact)> {
    match &part.standing.filter(|_| part.member.is_closed())?.sharing {
        Sharing::SentWith { given, .. } => Some((part.plan, *given)),
        Sharing::Alone | Sharing::Sends(_) => None,
    }
}

/// What the months after have been given of all plans, and must still be given.
fn promised_of_all(plans: impl Iterator<Item = Vec<Option<Later>>>) -> Result<Promise, MoneyError> {
    let mut all: Vec<Option<Later>> = Vec::new();
    for plan in plans {
        all.resize(all.len().max(plan.len()), None);
        for (sum, one) in all.iter_mut().zip(plan) {
            *sum = match (*sum, one) {
                (Some(sum), Some(one)) => Some(sum.with(one)?),
                (sum, one) => sum.or(one),
            };
        }
    }
    promised(&all)
}

impl Later {
    /// Of two plans; once one is fixed, only what fixed ones were given is for good.
    fn with(self, other: Self) -> Result<Self, MoneyError> {
        let usage = self.usage.plus(other.usage)?;
        let carry_in = match (self.fixed, other.fixed) {
            (true, false) => self.carry_in,
            (false, true) => other.carry_in,
            _ => self.carry_in.plus(other.carry_in)?,
        };
        Ok(Self { carry_in, usage, fixed: self.fixed || other.fixed })
    }
}

/// The service held a record before this one was sent: it is not this one.
fn was_there(submission: &Submission) -> bool {
    submission.reply.as_ref().is_some_and(|reply| reply.already_there)
}

/// The service said so of this very request, and not that something was there.
fn is_held_for_certain(submission: &Submission) -> bool {
    let said_otherwise =
        |reply: &Reply| reply.already_there || reply.message.is_some() || reply.other_quantity.is_some();
    submission.state == SubmissionState::Accepted && !submission.reply.as_ref().is_some_and(said_otherwise)
}

#[cfg(test)]
mod tests;
