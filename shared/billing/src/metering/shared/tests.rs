use proptest::prelude::*;

use super::*;
use crate::ids::Dimension;
use crate::metering::{ContractUsage, GivenUp, Source, UsageSnapshot, Verdict};
use crate::revision::Revision;

type Lines = BTreeMap<Line, Submission>;

fn plan(name: &str) -> Plan {
    format!("s:e:{name}").parse().unwrap()
}

fn line() -> Line {
    Line { contract: ContractId::new("c").unwrap(), dimension: Dimension::new("d").unwrap() }
}

fn quantity(text: &str) -> Exact {
    text.parse().unwrap()
}

fn lines(submission: &Submission) -> Lines {
    [(line(), submission.clone())].into()
}

fn snapshot(usage: Option<Exact>) -> UsageSnapshot {
    let used = |quantity| ContractUsage {
        contract: line().contract,
        dimension: line().dimension,
        quantity,
        records: 1,
    };
    UsageSnapshot {
        snapshot: 1,
        source: Source::Omnistrate,
        plan: plan("p"),
        period: "2025-06".parse().unwrap(),
        files: 1,
        records: 1,
        outside_period: 0,
        digest: String::new(),
        usage: usage.map(used).into_iter().collect(),
        unattributed: Vec::new(),
    }
}

/// One plan's month, as far as it has something of the one line.
#[derive(Clone, Default)]
struct Of {
    usage: Option<Exact>,
    standing: Lines,
    before: Lines,
    after: Vec<Lines>,
    imported: BTreeSet<ContractId>,
    closed: bool,
    group: &'static str,
    /// Its month is not planned.
    aside: bool,
}

fn used(text: &str) -> Of {
    Of { usage: Some(quantity(text)), ..Of::default() }
}

fn standing(text: &str, submission: &Submission) -> Of {
    Of { standing: lines(submission), ..used(text) }
}

fn planned(months: &BTreeMap<Plan, Of>) -> BTreeMap<Plan, Submission> {
    let snapshots: BTreeMap<&Plan, UsageSnapshot> =
        months.iter().map(|(plan, of)| (plan, snapshot(of.usage))).collect();
    let revision = Revision::of(b"x");
    let members: BTreeMap<Plan, Member<'_>> = months
        .iter()
        .map(|(plan, of)| {
            let (standing, imported, closed) = (&of.standing, &of.imported, of.closed);
            if of.aside {
                return (plan.clone(), Member::Standing { standing, imported, closed });
            }
            let (usage, before, after) = (&snapshots[plan], &of.before, of.after.as_slice());
            let books = MonthBooks { usage, revision: &revision, standing, before, after, imported, closed };
            (plan.clone(), Member::Counted { books, group: of.group })
        })
        .collect();
    let planned = plan_months(&members).unwrap();
    planned.into_iter().filter_map(|(plan, mut lines)| Some((plan, lines.remove(&line())?))).collect()
}

fn of_two(a: Of, b: Of) -> [Submission; 2] {
    let mut planned = planned(&[(plan("a"), a), (plan("b"), b)].into());
    [planned.remove(&plan("a")).unwrap(), planned.remove(&plan("b")).unwrap()]
}

/// State, carry in, moved, quantity, carry out, rest.
fn shown(s: &Submission) -> String {
    let (moved, rest) = (s.sharing.moved().unwrap(), s.rest().unwrap());
    format!("{} {} {moved} {} {} {rest}", s.state, s.carry_in, s.quantity, s.carry_out)
}

fn sent(submission: &Submission) -> Submission {
    submission.sending("2025-07-01T00:00:00Z".parse().unwrap())
}

fn accepted(submission: &Submission) -> Submission {
    sent(submission).settled(submission, &Verdict::Accepted { id: Some("7".into()) })
}

fn already_there(submission: &Submission) -> Submission {
    sent(submission).settled(submission, &Verdict::AlreadyThere { text: "already exists".into() })
}

fn refused(submission: &Submission) -> Submission {
    sent(submission).settled(submission, &Verdict::Refused { reply: Reply::default(), certain: true })
}

fn alone(usage: &str) -> Submission {
    let mut planned = planned(&[(plan("a"), used(usage))].into());
    planned.remove(&plan("a")).unwrap()
}

#[test]
fn plans_of_one_group_add_up_and_are_rounded_once() {
    let [a, b] = of_two(used("100.6"), used("250.5"));
    assert_eq!(shown(&a), "planned 0 250.5 351 0.1 0");
    assert_eq!(shown(&b), "planned 0 -250.5 0 0 0");
    assert!(a.is_to_send() && !b.is_to_send());
    assert_eq!(b.sharing.to_string(), "250.5 in the submission of s:e:a");
    // the next month the customer has the second plan alone, and what the first has carried is not lost
    let [next_a, next_b] =
        of_two(Of { before: lines(&a), ..Of::default() }, Of { before: lines(&b), ..used("2.9") });
    assert_eq!(shown(&next_a), "planned 0.1 2.9 3 0 0");
    assert_eq!(shown(&next_b), "planned 0 -2.9 0 0 0");
}

#[test]
fn the_carry_is_the_sum_of_the_plans_carries() {
    let before = |carry: &str| lines(&Submission { carry_out: quantity(carry), ..alone("0") });
    let [a, b] =
        of_two(Of { before: before("0.75"), ..used("1") }, Of { before: before("0.5"), ..used("1") });
    assert_eq!(shown(&a), "planned 0.75 1.5 3 0.25 0");
    assert_eq!(shown(&b), "planned 0.5 -1.5 0 0 0");
}

#[test]
fn a_line_of_one_plan_is_planned_as_if_there_were_no_other() {
    let months = [(plan("a"), used("100.6")), (plan("b"), Of::default())].into();
    assert_eq!(planned(&months), [(plan("a"), alone("100.6"))].into());
}

#[test]
fn plans_of_other_groups_are_held_until_the_catalog_says_that_they_add_up() {
    let of = |group, usage: &str| Of { group, ..used(usage) };
    let [a, b] = of_two(of("Postgres:PROD", "100"), of("Redis:PROD", "250"));
    assert_eq!(shown(&a), "held 0 0 0 0 100");
    assert_eq!(shown(&b), "held 0 0 0 0 250");
    let why = a.reply.as_ref().unwrap().to_string();
    assert!(why.contains("(Postgres:PROD, Redis:PROD)") && why.contains("`group`"), "{why}");
    let [a, b] = of_two(
        Of { standing: lines(&a), ..of("databases", "100") },
        Of { standing: lines(&b), ..of("databases", "250") },
    );
    assert_eq!((shown(&a).as_str(), shown(&b).as_str()), ("planned 0 250 350 0 0", "planned 0 -250 0 0 0"));
}

#[test]
fn what_was_sent_is_the_contracts_record_and_the_rest_is_late() {
    let record = accepted(&alone("100.5"));
    // by the plan that is not first, too
    let [a, b] = of_two(used("250"), standing("100.5", &record));
    assert_eq!(shown(&a), "late 0 0 0 0 250");
    assert_eq!(b, record);
    let why = a.reply.unwrap().to_string();
    assert_eq!(why, "the contract's record of the month is that of s:e:b, with 100");
    // an end that nobody knows may be that of the record
    let unknown = sent(&alone("100.5")).unknown("time-out");
    let [a, b] = of_two(used("250"), standing("100.5", &unknown));
    assert_eq!((shown(&a).as_str(), b), ("late 0 0 0 0 250", unknown));
    // and one of a plan that is not metered any more
    let months = [(plan("a"), used("250")), (plan("b"), Of { aside: true, ..standing("100.5", &record) })];
    assert_eq!(shown(&planned(&months.into())[&plan("a")]), "late 0 0 0 0 250");
}

#[test]
fn what_was_added_up_and_sent_stays_and_more_is_late_where_it_came() {
    let [a, b] = of_two(used("100.6"), used("250.5"));
    let a = accepted(&a);
    let b = b.mirroring(&a);
    let [again_a, again_b] = of_two(standing("100.6", &a), standing("250.5", &b));
    assert_eq!((&again_a, &again_b), (&a, &b));
    let [more_a, more_b] = of_two(standing("100", &a), standing("260", &b));
    assert_eq!(shown(&more_a), "accepted 0 250.5 351 0.1 -0.6");
    assert_eq!(shown(&more_b), "accepted 0 -250.5 0 0 9.5");
}

/// Two plans have sent by themselves, before they knew of each other.
#[test]
fn a_record_that_was_there_already_was_that_of_our_other_plan() {
    let (a, b) = (accepted(&alone("100")), already_there(&alone("250")));
    assert!(b.reply.as_ref().unwrap().already_there);
    let [a, b] = of_two(standing("100", &a), standing("250", &b));
    assert_eq!((shown(&a).as_str(), shown(&b).as_str()), ("accepted 0 0 100 0 0", "late 0 0 0 0 250"));
    assert!(!b.reply.unwrap().already_there);
    // also if the first one does not know yet how its request ended
    let unknown = sent(&alone("100")).unknown("time-out");
    let [a, b] = of_two(standing("100", &unknown), standing("250", &already_there(&alone("250"))));
    assert_eq!((a.state, shown(&b).as_str()), (SubmissionState::Unknown, "late 0 0 0 0 250"));
    assert_eq!(already_there(&a).state, SubmissionState::Accepted);
}

#[test]
fn what_may_be_held_of_two_plans_is_no_bodys_until_it_is_known() {
    let unknown = |usage| sent(&alone(usage)).unknown("time-out");
    let [a, b] = of_two(standing("100", &unknown("100")), standing("250", &unknown("250")));
    assert_eq!((a.state, b.state), (SubmissionState::Unknown, SubmissionState::Rejected));
    for (own, other) in [(&a, "s:e:b has reported 250"), (&b, "s:e:a has reported 100")] {
        assert!(own.reply.as_ref().unwrap().to_string().contains(other), "{:?}", own.reply);
        // that one is there does not say whose it is
        let settled = already_there(own);
        assert_eq!((settled.state, settled.fixed), (SubmissionState::Rejected, true));
    }
    // planned again, nothing changes
    let again = of_two(standing("100", &a), standing("250", &b));
    assert_eq!(again, [a.clone(), b.clone()]);
    // one that is accepted now was not there
    let [a, b] = of_two(standing("100", &already_there(&a)), standing("250", &accepted(&b)));
    assert_eq!((shown(&a).as_str(), shown(&b).as_str()), ("late 0 0 0 0 100", "accepted 0 0 250 0 0"));
}

#[test]
fn what_a_plan_on_another_marketplace_has_sent_is_not_somebody_elses() {
    let other = lines(&accepted(&alone("100")));
    let usage = snapshot(Some(quantity("250")));
    let (none, revision) = (Lines::new(), Revision::of(b"x"));
    let books = MonthBooks {
        usage: &usage,
        revision: &revision,
        standing: &none,
        before: &none,
        after: &[],
        imported: &BTreeSet::new(),
        closed: false,
    };
    let members = [
        (plan("a"), Member::Counted { books, group: "" }),
        (plan("z"), Member::Elsewhere { standing: &other }),
    ];
    let mut planned = plan_months(&members.into()).unwrap();
    let own = planned.remove(&plan("a")).unwrap().remove(&line()).unwrap();
    assert_eq!((shown(&own).as_str(), own.fixed), ("planned 0 0 250 0 0", false));
    assert_eq!(already_there(&own).state, SubmissionState::Rejected);
    assert_eq!(accepted(&own).state, SubmissionState::Accepted);
}

#[test]
fn what_the_earlier_exporter_reported_for_one_plan_is_the_contracts_record() {
    let imported = BTreeSet::from([line().contract]);
    let [a, b] = of_two(used("250"), Of { imported: imported.clone(), ..used("100") });
    assert_eq!((shown(&a).as_str(), shown(&b).as_str()), ("late 0 0 0 0 250", "imported 0 0 0 0 100"));
    // and also where that plan has no usage of it
    let months = [(plan("a"), used("250")), (plan("b"), Of { imported, ..Of::default() })];
    let only = &planned(&months.into())[&plan("a")];
    assert_eq!(shown(only), "late 0 0 0 0 250");
}

#[test]
fn a_closed_month_of_one_plan_is_the_contracts_record() {
    let closed = Of { closed: true, ..standing("0.6", &alone("0.6")) };
    let [a, b] = of_two(closed, used("250"));
    assert_eq!((shown(&a).as_str(), shown(&b).as_str()), ("nothing-to-send 0 0 0 0.6 0", "late 0 0 0 0 250"));
}

#[test]
fn what_a_closed_month_has_given_stays_given() {
    let [a, b] = of_two(used("0.3"), used("0.4"));
    assert_eq!(
        (shown(&a).as_str(), shown(&b).as_str()),
        ("nothing-to-send 0 0.4 0 0.7 0", "nothing-to-send 0 -0.4 0 0 0")
    );
    // the second plan's month has closed, the first one's has not, and is used more
    let [a, b] = of_two(standing("5.3", &a), Of { closed: true, ..standing("0.4", &b) });
    assert_eq!((shown(&a).as_str(), shown(&b).as_str()), ("planned 0 0.4 5 0.7 0", "planned 0 -0.4 0 0 0"));
    let [again_a, again_b] = of_two(standing("5.3", &a), Of { closed: true, ..standing("0.4", &b) });
    assert_eq!((again_a, again_b), (a, b));
}

#[test]
fn a_negative_sum_is_held_once() {
    let [a, b] = of_two(used("100"), used("-250"));
    assert_eq!((shown(&a).as_str(), shown(&b).as_str()), ("held 0 -250 0 0 -150", "held 0 250 0 0 0"));
    let [a, b] = of_two(used("-100"), used("250.5"));
    assert_eq!(
        (shown(&a).as_str(), shown(&b).as_str()),
        ("planned 0 250.5 150 0.5 0", "planned 0 -250.5 0 0 0")
    );
}

#[test]
fn what_was_given_up_is_given_up_for_all_plans() {
    let [a, b] = of_two(used("100.6"), used("250.5"));
    let by =
        GivenUp { reason: "cancelled".into(), by: "Ann".into(), at: "2025-07-02T00:00:00Z".parse().unwrap() };
    let a = refused(&a).given_up(&by);
    let [a, b] = of_two(standing("100.6", &a), standing("250.5", &b));
    assert_eq!(shown(&a), "given-up 0 250.5 351 0.1 0");
    assert_eq!(shown(&b), "given-up 0 -250.5 0 0 0");
}

const PLANS: [&str; 3] = ["a", "b", "c"];
const MONTHS: usize = 3;

/// What happens to a plan or to a line, of one of the months.
#[derive(Clone, Copy, Debug)]
enum Step {
    Use { plan: usize, month: usize, tenths: i64 },
    Accept { month: usize },
    Lose { month: usize },
    Refuse { month: usize },
    GiveUp { month: usize },
    Close { plan: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (plan, month) = (0..PLANS.len(), 0..MONTHS);
    prop::collection::vec(
        prop_oneof![
            3 => (plan.clone(), month.clone(), 0i64..60)
                .prop_map(|(plan, month, tenths)| Step::Use { plan, month, tenths }),
            1 => month.clone().prop_map(|month| Step::Accept { month }),
            1 => month.clone().prop_map(|month| Step::Lose { month }),
            1 => month.clone().prop_map(|month| Step::Refuse { month }),
            1 => month.prop_map(|month| Step::GiveUp { month }),
            1 => plan.prop_map(|plan| Step::Close { plan }),
        ],
        1..30,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Three plans of one contract over three months, in any order of counts, requests and closings: each month's sum is what became of it,
    /// what one plan gives another has, each month is given what the one before carries, nothing is sent twice, and what is held never changes.
    #[test]
    fn nothing_is_lost_doubled_or_sent_twice(steps in steps()) {
        let mut usage = [[None::<Exact>; MONTHS]; PLANS.len()];
        let mut closed = [0usize; PLANS.len()];
        let mut months: Vec<BTreeMap<Plan, Submission>> = vec![BTreeMap::new(); MONTHS];
        // quantities that the service holds, by month
        let mut held = [None::<Exact>; MONTHS];
        let by = GivenUp { reason: "x".into(), by: "x".into(), at: "2025-07-02T00:00:00Z".parse().unwrap() };
        for step in steps {
            let event = |months: &mut Vec<BTreeMap<Plan, Submission>>, month: usize, of: &mut dyn FnMut(&Submission) -> Option<Submission>| {
                let to_send: Vec<Plan> = months[month].iter().filter(|(_, s)| s.is_to_send()).map(|(plan, _)| plan.clone()).collect();
                prop_assert!(to_send.len() <= 1, "{:?}", months[month]);
                if let Some(plan) = to_send.first() && let Some(after) = of(&months[month][plan]) {
                    months[month].insert(plan.clone(), after);
                }
                Ok(())
            };
            match step {
                Step::Use { plan, month, tenths } => {
                    usage[plan][month] = Some(Exact::from(rust_decimal::Decimal::new(tenths, 1)));
                }
                Step::Accept { month } => event(&mut months, month, &mut |own| {
                    if held[month].is_some() { return Some(already_there(own)); }
                    held[month] = Some(own.quantity);
                    Some(accepted(own))
                })?,
                Step::Lose { month } => event(&mut months, month, &mut |own| {
                    held[month].get_or_insert(own.quantity);
                    Some(sent(own).unknown("time-out"))
                })?,
                Step::Refuse { month } => event(&mut months, month, &mut |own| Some(refused(own)))?,
                Step::GiveUp { month } => event(&mut months, month, &mut |own| own.is_refused_for_certain().then(|| own.given_up(&by)))?,
                Step::Close { plan: number } => {
                    let month = closed[number];
                    let settled = month < MONTHS && months[month].get(&plan(PLANS[number])).is_none_or(|own| own.state.is_settled());
                    closed[number] += usize::from(settled);
                }
            }
            for month in 0..MONTHS {
                let of = |number: usize| {
                    let name = plan(PLANS[number]);
                    let lines_of = |month: &BTreeMap<Plan, Submission>| month.get(&name).map(lines).unwrap_or_default();
                    let of = Of {
                        usage: usage[number][month],
                        standing: lines_of(&months[month]),
                        before: month.checked_sub(1).map(|before| lines_of(&months[before])).unwrap_or_default(),
                        after: months[month + 1..].iter().map(lines_of).collect(),
                        closed: month < closed[number],
                        ..Of::default()
                    };
                    (name, of)
                };
                let all: BTreeMap<Plan, Of> = (0..PLANS.len()).map(of).collect();
                months[month] = planned(&all);
                // planning what is planned changes nothing
                let again = all.into_iter().map(|(plan, of)| {
                    let standing = months[month].get(&plan).map(lines).unwrap_or_default();
                    (plan, Of { standing, ..of })
                });
                prop_assert_eq!(&planned(&again.collect()), &months[month]);
            }
            for (month, lines) in months.iter().enumerate() {
                let sum = |of: fn(&Submission) -> Exact| Exact::sum(lines.values().map(of)).unwrap();
                let there = sum(|s| s.usage).plus(sum(|s| s.carry_in)).unwrap();
                let went = Exact::sum([sum(|s| s.quantity), sum(|s| s.carry_out), sum(|s| s.rest().unwrap())]).unwrap();
                prop_assert_eq!(there, went);
                prop_assert!(sum(|s| s.sharing.moved().unwrap()).is_zero(), "{:?}", lines);
                let used = Exact::sum(usage.iter().filter_map(|of| of[month])).unwrap();
                prop_assert_eq!(sum(|s| s.usage), used);
                for (plan, own) in lines {
                    prop_assert!(!own.reply.as_ref().is_some_and(|reply| reply.already_there), "it was us");
                    if let Sharing::SentWith { plan: other, given } = &own.sharing {
                        prop_assert_eq!(lines[other].sharing.given_by(plan), Some(*given));
                        prop_assert_eq!((own.state, own.fixed), (lines[other].state, lines[other].fixed));
                    }
                }
                let records = lines.values().filter(|own| own.state == SubmissionState::Accepted && own.sharing.sent_with().is_none());
                let accepted: Vec<Exact> = records.map(|own| own.quantity).collect();
                prop_assert!(accepted.len() <= 1);
                if let Some(accepted) = accepted.first() {
                    prop_assert_eq!(Some(*accepted), held[month]);
                }
            }
            for pair in months.windows(2) {
                for name in PLANS.map(plan) {
                    let carried = pair[0].get(&name).map(|s| s.carry_out).unwrap_or_default();
                    let given = pair[1].get(&name).map(|s| s.carry_in).unwrap_or_default();
                    prop_assert_eq!(carried, given, "{}", name);
                }
            }
        }
    }
}
