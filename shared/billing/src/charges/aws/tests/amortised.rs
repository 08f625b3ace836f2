//! What reports state as amortised cost against what Cost Explorer shows as such: months worked out by hand, and commitments over
//! their whole life. The examples stand in `docs/costs.md`, with their arithmetic.

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::money::Amount;
use crate::month::BillingMonth;

const PLATFORM: &str = "111122223333";
const BLUE: &str = "222233334444";
const RED: &str = "333344445555";

/// A report of June: rows without the columns that all of them have in common.
fn report(columns: &str, rows: &str) -> Arc<File> {
    in_month("2025-06", columns, rows)
}

fn in_month(month: &str, columns: &str, rows: &str) -> Arc<File> {
    let mut text = format!("line_item_currency_code,bill_billing_period_start_date,{columns}\n");
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        text += &format!("USD,{month}-01,{row}\n");
    }
    file(text.as_bytes())
}

/// `BilledCost` and `EffectiveCost` of each account, as a person writes them.
fn by_account(report: &Arc<File>) -> Vec<[String; 3]> {
    let totals = totals(&Cur, &[("cur.csv", report.clone())]);
    let mut accounts: Vec<[String; 3]> = totals
        .sub_accounts
        .iter()
        .map(|(id, account)| {
            let figures = &account.figures;
            [id.clone().unwrap(), figures.billed.to_string(), figures.effective().unwrap().to_string()]
        })
        .collect();
    accounts.sort();
    let all = [totals.all.billed.to_string(), totals.all.effective().unwrap().to_string()];
    accounts.push(["all".to_owned(), all[0].clone(), all[1].clone()]);
    accounts
}

/// What was paid for and not used, by commitment: the effective cost of its fees.
fn unused(report: &Arc<File>) -> Vec<(String, Decimal)> {
    let fees = told(&Cur, "cur.csv", report.clone(), |charge| {
        let id = charge.commitment_discount_id.as_deref()?.to_owned();
        let is_fee = charge.charge_category == crate::charge::ChargeCategory::Purchase;
        is_fee.then(|| (id, charge.effective_cost.unwrap()))
    });
    let mut unused = std::collections::BTreeMap::<String, Decimal>::new();
    for (id, cost) in fees.into_iter().flatten() {
        *unused.entry(id).or_default() += cost;
    }
    unused.into_iter().map(|(id, cost)| (id, cost.normalize())).collect()
}

/// A plan of 1.00 an hour for a year, half of it paid upfront: of its 720 hours in June, 660.00 are used.
#[test]
fn of_a_savings_plan_the_fee_keeps_what_nobody_used() {
    let report = report(
        "line_item_line_item_type,line_item_usage_account_id,line_item_unblended_cost,savings_plan_savings_plan_effective_cost,\
         savings_plan_total_commitment_to_date,savings_plan_used_commitment,savings_plan_savings_plan_a_r_n",
        "SavingsPlanUpfrontFee,111122223333,4380,,,,plan
         SavingsPlanRecurringFee,111122223333,360,,720,660,plan
         SavingsPlanCoveredUsage,222233334444,500,300,,,plan
         SavingsPlanCoveredUsage,222233334444,200,120,,,plan
         SavingsPlanNegation,222233334444,-700,,,,plan
         SavingsPlanCoveredUsage,333344445555,400,240,,,plan
         SavingsPlanNegation,333344445555,-400,,,,plan
         Usage,333344445555,55,,,,",
    );
    assert_eq!(
        by_account(&report),
        [
            [PLATFORM, "4740", "60"],
            [BLUE, "0", "420"],
            [RED, "55", "295"],
            // the month's half of the commitment in place of the year's: 4795 - 4380 + 360
            ["all", "4795", "775"],
        ]
    );
    assert_eq!(unused(&report), [("plan".to_owned(), Decimal::from(60))]);
}

/// One of 0.10 upfront and 0.05 an hour, of whose 720 hours 600 are used; one of 0.20 an hour, all upfront and all used.
#[test]
fn of_reservations_the_fee_keeps_what_nobody_used_and_refunds_stay_where_they_are() {
    let report = report(
        "line_item_line_item_type,line_item_usage_account_id,line_item_unblended_cost,reservation_effective_cost,\
         reservation_unused_amortized_upfront_fee_for_billing_period,reservation_unused_recurring_fee,\
         reservation_reservation_a_r_n,reservation_subscription_id,bill_bill_type",
        "Fee,111122223333,876,,,,partial,11,Purchase
         RIFee,111122223333,36,,12,6,partial,11,Anniversary
         DiscountedUsage,222233334444,0,75,,,partial,11,Anniversary
         DiscountedUsage,333344445555,0,15,,,partial,11,Anniversary
         Fee,111122223333,1752,,,,upfront,12,Purchase
         RIFee,111122223333,0,,0,0,upfront,12,Anniversary
         DiscountedUsage,333344445555,0,144,,,upfront,12,Anniversary
         Refund,222233334444,-5,,,,,13,Anniversary
         Refund,111122223333,-40,,,,partial,11,Refund",
    );
    assert_eq!(
        by_account(&report),
        [
            [PLATFORM, "2624", "-22"],
            [BLUE, "-5", "70"],
            [RED, "0", "159"],
            // 2619 - (876 + 1752) + (72 + 144)
            ["all", "2619", "207"],
        ]
    );
    let names = |[partial, upfront]: [i64; 2]| {
        [("partial".to_owned(), Decimal::from(partial)), ("upfront".to_owned(), Decimal::from(upfront))]
    };
    assert_eq!(unused(&report), names([18, 0]));
    let corrections = told(&Cur, "cur.csv", report, |charge| charge.correction);
    assert_eq!(corrections.iter().filter(|is| **is).count(), 1, "the bill of refunds");
}

/// Discounts of contracts are lines of their own. Columns that state costs after them (`net`) state them once more.
#[test]
fn discounts_credits_taxes_and_support_are_what_they_are() {
    let report = report(
        "line_item_line_item_type,line_item_usage_account_id,line_item_unblended_cost,line_item_net_unblended_cost,\
         savings_plan_savings_plan_effective_cost,savings_plan_net_savings_plan_effective_cost,\
         savings_plan_total_commitment_to_date,savings_plan_used_commitment,savings_plan_savings_plan_a_r_n,\
         reservation_reservation_a_r_n,reservation_subscription_id",
        "Usage,222233334444,1000,893,,,,,,,1002003001
         PrivateRateDiscount,222233334444,-50,0,,,,,,,
         EdpDiscount,222233334444,-57,0,,,,,,,
         SavingsPlanCoveredUsage,222233334444,80,75.2,50,47,,,plan,,
         SavingsPlanNegation,222233334444,-80,-75.2,,,,,plan,,
         Credit,222233334444,-100,-100,,,,,,,
         Tax,222233334444,63.44,63.44,,,,,,,
         Usage,333344445555,400,357.2,,,,,,,1002003002
         BundledDiscount,333344445555,-20,0,,,,,,,
         EdpDiscount,333344445555,-22.8,0,,,,,,,
         Tax,333344445555,28.58,28.58,,,,,,,
         SavingsPlanRecurringFee,111122223333,50,47,,,50,50,plan,,
         EdpDiscount,111122223333,-3,0,,,,,,,
         Fee,111122223333,100,100,,,,,,,1002003003
         Tax,111122223333,11.76,11.76,,,,,,,",
    );
    assert_eq!(
        by_account(&report),
        [
            // the discount on the plan's fee stays with the fee
            [PLATFORM, "158.76", "108.76"],
            [BLUE, "856.44", "906.44"],
            [RED, "385.78", "385.78"],
            ["all", "1400.98", "1400.98"],
        ]
    );
    assert_eq!(unused(&report), [("plan".to_owned(), Decimal::ZERO)]);
}

/// Numbers of subscriptions stand with support fees and usage, too.
#[test]
fn only_a_fee_with_a_reservation_is_spread() {
    let legacy = "lineItem/CurrencyCode,lineItem/LineItemType,bill/BillingPeriodStartDate,lineItem/UsageAccountId,\
                  lineItem/UnblendedCost,reservation/ReservationARN,reservation/SubscriptionId,\
                  reservation/EffectiveCost\n\
                  USD,Fee,2025-06-01,1,68,arn:aws:ec2:us-east-1:111122223333:reserved-instances/1,363,\n\
                  USD,Fee,2025-06-01,1,29,,364,\n\
                  USD,Fee,2025-06-01,1,7,,,\n";
    let told = told(&Cur, "cur.csv", file(legacy.as_bytes()), |charge| {
        let id = charge.commitment_discount_id.as_deref().map(str::to_owned);
        (charge.effective_cost.unwrap().to_string(), id)
    });
    let arn = "arn:aws:ec2:us-east-1:111122223333:reserved-instances/1".to_owned();
    assert_eq!(told, [("0".into(), Some(arn)), ("29".into(), None), ("7".into(), None)]);
}

/// What each line states, in the order of the lines; `-` is nothing.
fn effective_of_each(report: Arc<File>) -> Vec<String> {
    told(&Cur, "cur.csv", report, |charge| {
        charge.effective_cost.map_or("-".to_owned(), |cost| cost.normalize().to_string())
    })
}

#[test]
fn covered_usage_with_an_empty_cell_states_no_effective_cost() {
    let report = report(
        "line_item_line_item_type,line_item_usage_account_id,line_item_unblended_cost,savings_plan_savings_plan_effective_cost,\
         reservation_effective_cost,reservation_reservation_a_r_n",
        "SavingsPlanCoveredUsage,222233334444,500,300,,
         SavingsPlanCoveredUsage,222233334444,500,,0,
         SavingsPlanCoveredUsage,222233334444,500,0,,
         DiscountedUsage,222233334444,0,,15,arn
         DiscountedUsage,222233334444,0,0,,arn
         SavingsPlanNegation,222233334444,-500,,,
         Usage,222233334444,1,,,",
    );
    let sums = totals(&Cur, &[("cur.csv", report.clone())]).all;
    assert_eq!((sums.unstated(), sums.effective()), (2, None));
    assert_eq!(effective_of_each(report), ["300", "-", "0", "15", "-", "0", "1"]);
}

/// By the column alone the upfront fee of a reservation is told from other fees: 876 is one, and is in the hours that it pays for.
#[test]
fn without_the_column_of_reservations_nobody_says_what_a_fee_is() {
    let rows = "Fee,111122223333,876,,arn
                Fee,111122223333,29,,
                RIFee,111122223333,36,,arn
                DiscountedUsage,222233334444,0,75,arn
                Tax,111122223333,7,,";
    let columns = "line_item_line_item_type,line_item_usage_account_id,line_item_unblended_cost,reservation_effective_cost";
    let with = report(&format!("{columns},reservation_reservation_a_r_n"), rows);
    assert_eq!(effective_of_each(with), ["0", "29", "-", "75", "7"]);
    let without = report(columns, "Fee,1,876,\n Fee,1,29,\n RIFee,1,36,\n DiscountedUsage,1,0,75\n Tax,1,7,");
    assert_eq!(effective_of_each(without), ["-", "-", "-", "75", "7"]);
    // but for those that the bill says enough of
    let told_otherwise = report(
        &format!("{columns},bill_bill_type,bill_billing_entity"),
        "Fee,111122223333,876,,Purchase,AWS
         Fee,111122223333,29,,Anniversary,AWS
         Fee,111122223333,250,,Purchase,AWS Marketplace",
    );
    assert_eq!(effective_of_each(told_otherwise), ["-", "29", "250"]);
}

/// A commitment and who used it. Amounts are millionths.
#[derive(Clone, Debug)]
struct Commitment {
    is_plan: bool,
    /// Of an hour.
    upfront: i64,
    recurring: i64,
    /// What usage costs without it, of an hour.
    on_demand: i64,
    /// By month and day: hours of each account, together 24 at the most.
    used: Vec<Vec<[i64; 3]>>,
}

impl Commitment {
    fn any() -> impl Strategy<Value = Self> {
        let price = || 1i64..5_000_000;
        // all upfront, partial, none
        let paid = prop_oneof![
            price().prop_map(|upfront| (upfront, 0)),
            (price(), price()),
            price().prop_map(|recurring| (0, recurring)),
        ];
        let day = [0i64..=8, 0i64..=8, 0i64..=8];
        let months = proptest::collection::vec(proptest::collection::vec(day, 1..6), 1..5);
        (any::<bool>(), paid, price(), months).prop_map(|(is_plan, (upfront, recurring), on_demand, used)| {
            Self { is_plan, upfront, recurring, on_demand, used }
        })
    }

    fn hours(days: &[[i64; 3]]) -> i64 {
        24 * i64::try_from(days.len()).unwrap()
    }

    /// The lines of a month of its life; those of plans day by day, and fees of reservations for the whole month, as AWS has them.
    fn lines(&self, month: usize) -> String {
        let days = &self.used[month];
        let (each, mut lines) = (self.upfront + self.recurring, String::new());
        if month == 0 && self.upfront > 0 {
            let fee = self.upfront * self.used.iter().map(|days| Self::hours(days)).sum::<i64>();
            let kind = if self.is_plan { "SavingsPlanUpfrontFee" } else { "Fee" };
            lines += &self.line(kind, 0, fee, [0; 6]);
        }
        for day in days {
            let used: i64 = day.iter().sum();
            if self.is_plan {
                let fee = [0, 24 * each, used * each, 0, 0, 0];
                lines += &self.line("SavingsPlanRecurringFee", 0, 24 * self.recurring, fee);
            }
            for (account, hours) in day.iter().enumerate().filter(|(_, hours)| **hours > 0) {
                if self.is_plan {
                    let covered = hours * self.on_demand;
                    let share = [hours * each, 0, 0, 0, 0, 0];
                    lines += &self.line("SavingsPlanCoveredUsage", account, covered, share);
                    lines += &self.line("SavingsPlanNegation", account, -covered, [0; 6]);
                } else {
                    lines += &self.line("DiscountedUsage", account, 0, [0, 0, 0, hours * each, 0, 0]);
                }
            }
        }
        if !self.is_plan {
            let hours = Self::hours(days);
            let rest = hours - days.iter().flatten().sum::<i64>();
            let fee = [0, 0, 0, 0, rest * self.upfront, rest * self.recurring];
            lines += &self.line("RIFee", 0, hours * self.recurring, fee);
        }
        lines
    }

    fn line(&self, kind: &str, account: usize, unblended: i64, stated: [i64; 6]) -> String {
        let stated =
            stated.map(|amount| if amount == 0 { String::new() } else { millionths(amount).to_string() });
        let (plan, reservation) = if self.is_plan { ("plan", "") } else { ("", "reservation") };
        let account = [PLATFORM, BLUE, RED][account];
        format!("{kind},{account},{},{},{plan},{reservation}\n", millionths(unblended), stated.join(","))
    }
}

const COMMITMENTS: &str = "line_item_line_item_type,line_item_usage_account_id,line_item_unblended_cost,\
                           savings_plan_savings_plan_effective_cost,savings_plan_total_commitment_to_date,savings_plan_used_commitment,\
                           reservation_effective_cost,reservation_unused_amortized_upfront_fee_for_billing_period,\
                           reservation_unused_recurring_fee,savings_plan_savings_plan_a_r_n,reservation_reservation_a_r_n";

fn millionths(amount: i64) -> Decimal {
    Decimal::new(amount, 6).normalize()
}

fn stated(amount: Amount) -> Decimal {
    amount.to_decimal(18).unwrap().normalize()
}

fn month_of(month: usize) -> BillingMonth {
    format!("2025-{:02}", month + 1).parse().unwrap()
}

fn add_up_month(month: BillingMonth, report: Arc<File>) -> Totals {
    let document = Document { key: "cur.csv", file: report };
    let totals = add_up(&document, &Cur, &Selection::all_of(month), 1).unwrap();
    assert_eq!(totals.held_rows, 0, "{:?}", totals.held);
    totals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was billed for a commitment is what its usage and its unused part come to, over its life.
    #[test]
    fn a_commitment_costs_what_was_billed_for_it(commitment in Commitment::any()) {
        let each = commitment.upfront + commitment.recurring;
        let (mut billed, mut effective) = (Decimal::ZERO, Decimal::ZERO);
        for (month, days) in commitment.used.iter().enumerate() {
            let lines = in_month(&month_of(month).to_string(), COMMITMENTS, &commitment.lines(month));
            let totals = add_up_month(month_of(month), lines);
            billed += stated(totals.all.billed);
            effective += stated(totals.all.effective().unwrap());
            // each month bears its hours
            let hours = Commitment::hours(days);
            prop_assert_eq!(stated(totals.all.effective().unwrap()), millionths(hours * each));
            let used: [i64; 3] = std::array::from_fn(|account| days.iter().map(|day| day[account]).sum());
            let unused = hours - used.iter().sum::<i64>();
            let fees = totals.categories.get("Purchase").copied().unwrap_or_default();
            prop_assert_eq!(stated(fees.effective().unwrap()), millionths(unused * each));
            // and each account what it used; the first has the fees, too
            for (account, id) in [PLATFORM, BLUE, RED].into_iter().enumerate() {
                let figures = totals.sub_accounts.get(&Some(id.to_owned())).map(|it| it.figures).unwrap_or_default();
                let hours = used[account] + if account == 0 { unused } else { 0 };
                prop_assert_eq!(stated(figures.effective().unwrap()), millionths(hours * each));
            }
        }
        prop_assert_eq!(billed, effective);
    }

    /// Whatever lines there are: in each month and currency, what is billed is the unblended cost.
    #[test]
    fn what_is_billed_is_the_unblended_cost(
        lines in proptest::collection::vec((0..KINDS.len(), 0usize..2, 0usize..2, -9_000_000i64..9_000_000), 1..40)
    ) {
        let mut text = String::from(
            "line_item_currency_code,bill_billing_period_start_date,line_item_line_item_type,line_item_usage_account_id,\
             line_item_unblended_cost,reservation_effective_cost,reservation_reservation_a_r_n\n",
        );
        let currencies = ["USD", "EUR"];
        let mut sums = [[Decimal::ZERO; 2]; 2];
        for &(kind, currency, month, amount) in &lines {
            let (kind, code, cost) = (KINDS[kind], currencies[currency], millionths(amount));
            text += &format!("{code},{}-01,{kind},{BLUE},{cost},0.5,arn\n", month_of(month));
            sums[month][currency] += cost;
        }
        for (month, sums) in sums.iter().enumerate() {
            let totals = add_up_month(month_of(month), file(text.as_bytes()));
            for (code, sum) in currencies.iter().zip(sums) {
                let figures = totals.currencies.get(code).copied().unwrap_or_default();
                prop_assert_eq!(stated(figures.billed), sum.normalize());
            }
        }
    }
}

/// Kinds of lines, one of them unheard of.
const KINDS: [&str; 18] = [
    "Usage",
    "DiscountedUsage",
    "SavingsPlanCoveredUsage",
    "SavingsPlanNegation",
    "SavingsPlanRecurringFee",
    "SavingsPlanUpfrontFee",
    "RIFee",
    "Fee",
    "FlatRateSubscription",
    "Tax",
    "Credit",
    "Refund",
    "EdpDiscount",
    "BundledDiscount",
    "PrivateRateDiscount",
    "RiVolumeDiscount",
    "SppDiscount",
    "NeverHeardOf",
];
