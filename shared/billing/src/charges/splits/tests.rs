//! An hour of an instance, divided among its containers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use proptest::prelude::*;

use super::*;
use crate::charge::Period;
use crate::charges::Cur;
use crate::charges::totals::Figures;
use crate::month::BillingMonth;

/// A row in short: kind, resource, parent, hour, usage type, operation, cost, effective cost of the plan, list cost, plan, split cost,
/// unused cost; `-` is nothing.
const COLUMNS: [&str; 12] = [
    "line_item_line_item_type",
    "line_item_resource_id",
    "split_line_item_parent_resource_id",
    "line_item_usage_start_date",
    "line_item_usage_type",
    "line_item_operation",
    "line_item_unblended_cost",
    "savings_plan_savings_plan_effective_cost",
    "pricing_public_on_demand_cost",
    "savings_plan_savings_plan_a_r_n",
    "split_line_item_split_cost",
    "split_line_item_unused_cost",
];
const ALL: [(&str, &str); 3] = [
    ("line_item_currency_code", "USD"),
    ("bill_billing_period_start_date", "2025-06-01T00:00:00Z"),
    ("line_item_usage_account_id", "111122223333"),
];

/// A document of rows in short.
fn cells(rows: &[&str]) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let header = COLUMNS.into_iter().chain(ALL.map(|(name, _)| name)).collect();
    let cell = |(at, cell): (usize, &str)| match (at, cell) {
        (_, "-") => String::new(),
        (3, hour) => format!("2025-06-01T{hour}:00:00Z"),
        (_, cell) => cell.to_owned(),
    };
    let row = |row: &&str| {
        let cells = row.split_whitespace().enumerate().map(cell);
        cells.chain(ALL.map(|(_, value)| value.to_owned())).collect()
    };
    (header, rows.iter().map(row).collect())
}

fn file(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

fn csv_of((header, rows): (Vec<&str>, Vec<Vec<String>>)) -> Arc<File> {
    let lines: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
    file(format!("{}\n{}\n", header.join(","), lines.join("\n")).as_bytes())
}

fn csv(rows: &[&str]) -> Arc<File> {
    csv_of(cells(rows))
}

/// The same rows, in row groups of two.
fn parquet(rows: &[&str]) -> Arc<File> {
    let (header, rows) = cells(rows);
    let column = |at: usize| {
        let cells = rows.iter().map(|row| Some(row[at].as_str()).filter(|cell| !cell.is_empty()));
        Arc::new(cells.collect::<StringArray>()) as ArrayRef
    };
    let columns = header.iter().enumerate().map(|(at, name)| (*name, column(at), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let properties =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    file(&writer.into_inner().unwrap())
}

/// What a charge is of; a part is of its instance, too.
fn resource<'c>(charge: &'c Charge<'_>) -> Option<&'c str> {
    let part = charge.further.allocated_resource_id.as_deref();
    let method = charge.further.allocated_method_id.as_deref();
    assert_eq!(method, part.map(|_| "aws-split-cost-allocation"));
    part.or(charge.resource_id.as_deref())
}

/// What a bill of some documents comes to.
struct Told {
    all: Figures,
    figures: Option<SplitFigures>,
    /// Of each charge: resource, billed, effective and list cost, commitment; in an order of their own.
    charges: Vec<String>,
    list: Amount,
    /// Of each part: itself, and what the charge is of.
    parts: Vec<String>,
    /// Of each invoice, what was billed.
    invoices: Vec<String>,
}

impl Told {
    fn of(&self, resource: &str) -> Vec<&str> {
        let of = |charge: &&String| charge.split(' ').next() == Some(resource);
        self.charges.iter().filter(of).map(String::as_str).collect()
    }
}

fn told(files: &[Arc<File>]) -> Told {
    let month: BillingMonth = "2025-06".parse().unwrap();
    let selection = Selection::all_of(month);
    let keys: Vec<String> = (0..files.len()).map(|at| format!("part-{at}")).collect();
    let documents: Vec<Document<'_>> =
        keys.iter().zip(files).map(|(key, file)| Document { key, file: file.clone() }).collect();
    let of_bill = |document| BillDocument { document, mapping: &Cur, selection: &selection, bills: &[0] };
    let documents: Vec<BillDocument<'_>> = documents.iter().map(of_bill).collect();
    let splits = Splits::find(&documents, 1, &mut |_, error| panic!("{error}"));
    let names = BTreeMap::new();
    let period = Period { start: month.start(), end: month.end() };
    let bill = BillContext { billing_account: "999", period, sub_account_names: &names };
    let (mut totals, mut written) = (Totals::default(), Figures::default());
    let (mut charges, mut parts, mut list) = (Vec::new(), Vec::new(), Amount::ZERO);
    for document in &documents {
        let part = splits.add_up(document, 2).unwrap().remove(0);
        assert_eq!(part.held, []);
        totals.merge(part).unwrap();
        let wrote = splits.write(document, std::slice::from_ref(&bill), &mut |_, charge| {
            let [billed, listed] = [charge.billed_cost, charge.list_cost].map(|it| it.normalize());
            let effective = charge.effective_cost.map_or("-".to_owned(), |cost| cost.normalize().to_string());
            let (id, commitment) = (resource(charge), charge.commitment_discount_id.as_deref());
            let (id, commitment) = (id.unwrap_or("-"), commitment.unwrap_or("-"));
            charges.push(format!("{id} {billed} {effective} {listed} {commitment}"));
            let of = charge.resource_id.as_deref().unwrap_or("-");
            parts.extend(charge.further.allocated_resource_id.as_deref().map(|part| format!("{part} {of}")));
            list = list.checked_add(Amount::from_decimal(listed).unwrap()).unwrap();
            Ok(())
        });
        let wrote = wrote.unwrap();
        assert_eq!(wrote.held, []);
        written.add(&wrote.bills[0].figures).unwrap();
    }
    assert!(written.equals(&totals.all).unwrap(), "both readings agree");
    charges.sort();
    let invoice = |(id, figures): (&Option<String>, &Figures)| {
        format!("{} {}", id.as_deref().unwrap_or("-"), figures.billed)
    };
    let mut invoices: Vec<String> = totals.invoices.iter().map(invoice).collect();
    invoices.sort();
    Told { all: totals.all, figures: splits.figures(0).copied(), charges, list, parts, invoices }
}

const ON_DEMAND: [&str; 3] = [
    "Usage i-1 - 00 BoxUsage:m5.large RunInstances:0002 1.00 - 1.20 - - -",
    "Usage pod/a i-1 00 EKS-EC2-vCPU-Hours EKSPod-EC2 - - - - 0.30 0.20",
    "Usage pod/b i-1 00 EKS-EC2-vCPU-Hours EKSPod-EC2 0 - - - 0.20 0.30",
];

#[test]
fn an_instance_divides_among_its_pods_and_keeps_what_is_unused() {
    let told = told(&[csv(&ON_DEMAND)]);
    assert_eq!(told.charges, ["i-1 0.5 0.5 0.6 -", "pod/a 0.3 0.3 0.36 -", "pod/b 0.2 0.2 0.24 -"]);
    let figures = told.figures.unwrap();
    assert_eq!((figures.parts, figures.without_line), (2, 0));
    assert_eq!((figures.billed.to_string(), figures.effective.to_string()), ("0.5".into(), "0.5".into()));
    assert_eq!(told.all.billed.to_string(), "1");
}

const COVERED: [&str; 4] = [
    "SavingsPlanCoveredUsage i-1 - 00 BoxUsage:m5 RunInstances 140 70 140 plan-1 - -",
    "SavingsPlanNegation i-1 - 00 BoxUsage:m5 RunInstances -140 - - plan-1 - -",
    "Usage pod/a arn:aws:ec2:eu-west-1:111122223333:instance/i-1 00 EKS-EC2-vCPU-Hours EKSPod-EC2 - - - - 30 0",
    "Usage pod/a arn:aws:ec2:eu-west-1:111122223333:instance/i-1 00 EKS-EC2-GB-Hours EKSPod-EC2 - - - - 10 30",
];

#[test]
fn covered_usage_and_its_negation_divide_alike() {
    let told = told(&[csv(&COVERED)]);
    assert_eq!(
        told.charges,
        ["i-1 -60 0 -60 plan-1", "i-1 60 30 60 plan-1", "pod/a 0 10 0 plan-1", "pod/a 0 30 0 plan-1"],
        "30 and 10 of 70 go to the pod, which draws on the plan"
    );
    assert_eq!(
        (told.all.billed.to_string(), told.all.effective().unwrap().to_string()),
        ("0".into(), "70".into())
    );
}

/// The report has columns of savings plans, and none of reservations.
#[test]
fn parts_of_a_line_that_states_no_effective_cost_state_none_either() {
    let discounted = "DiscountedUsage i-1 - 00 BoxUsage:m5.large RunInstances 1.00 - 1.20 - - -";
    for file in [csv, parquet] {
        let told = told(&[file(&[discounted, ON_DEMAND[1], ON_DEMAND[2]])]);
        assert_eq!(told.charges, ["i-1 0.5 - 0.6 -", "pod/a 0.3 - 0.36 -", "pod/b 0.2 - 0.24 -"]);
        assert_eq!((told.all.billed.to_string(), told.all.unstated()), ("1".into(), 3));
        assert_eq!(told.figures.unwrap().effective, Amount::ZERO);
    }
    // other hours, and what stands beside the parts, are as they are
    let others = [
        "Usage i-1 - 01 BoxUsage:m5.large RunInstances 1.00 - 1.20 - - -",
        "Usage pod/a i-1 01 - - - - - - 0.30 0.70",
        "Usage i-2 - 00 BoxUsage:m5.large RunInstances 1.00 - 1.20 - - -",
    ];
    let told = told(&[csv(&[&[discounted, ON_DEMAND[1], ON_DEMAND[2]], &others[..]].concat())]);
    assert_eq!(told.of("i-1"), ["i-1 0.5 - 0.6 -", "i-1 0.7 0.7 0.84 -"]);
    assert_eq!(told.of("pod/a"), ["pod/a 0.3 - 0.36 -", "pod/a 0.3 0.3 0.36 -"]);
    assert_eq!((told.of("i-2"), told.all.unstated()), (vec!["i-2 1 1 1.2 -"], 3));
}

#[test]
fn where_only_one_line_of_an_hour_states_none_no_effective_cost_moves() {
    let rows = [
        "DiscountedUsage i-1 - 00 BoxUsage:m5.large RunInstances 0.50 - - - - -",
        "Usage i-1 - 00 BoxUsage:m5.large RunInstances 0.50 - - - - -",
        ON_DEMAND[1],
        ON_DEMAND[2],
    ];
    let told = told(&[csv(&rows)]);
    assert_eq!(told.of("i-1"), ["i-1 0.25 - 0.25 -", "i-1 0.25 0.5 0.25 -"]);
    assert_eq!((told.of("pod/a"), told.of("pod/b")), (vec!["pod/a 0.3 - 0.3 -"], vec!["pod/b 0.2 - 0.2 -"]));
}

/// A part has its share of the line's: what it leaves empty itself is nothing more.
#[test]
fn a_part_of_covered_usage_need_not_state_an_effective_cost_itself() {
    let part = "SavingsPlanCoveredUsage pod/a i-1 00 EKS-EC2-vCPU-Hours EKSPod-EC2 - - - - 30 40";
    for file in [csv, parquet] {
        let told = told(&[file(&[COVERED[0], COVERED[1], part])]);
        assert_eq!(told.of("pod/a"), ["pod/a 0 30 0 plan-1"]);
        assert_eq!(told.all.effective().unwrap().to_string(), "70");
    }
    // without a line nobody states it
    assert_eq!(told(&[csv(&[part])]).of("pod/a"), ["pod/a 0 - 0 -"]);
}

#[test]
fn parts_of_covered_usage_whose_cell_is_empty_state_none() {
    let empty = COVERED[0].replace(" 140 70 ", " 140 - ");
    let told = told(&[csv(&[&empty, COVERED[1], COVERED[2], COVERED[3]])]);
    assert_eq!(
        told.charges,
        ["i-1 -60 0 -60 plan-1", "i-1 60 - 60 plan-1", "pod/a 0 - 0 plan-1", "pod/a 0 - 0 plan-1"]
    );
}

/// So nobody pays for the plan in one bill, and in another for usage without it.
#[test]
fn parts_of_a_partly_covered_hour_name_the_plan() {
    let rest = "Usage i-1 - 00 BoxUsage:m5 RunInstances 70 - 70 - - -";
    for rows in [[COVERED[0], COVERED[1], rest], [rest, COVERED[0], COVERED[1]]] {
        let told = told(&[csv(&[&rows[..], &COVERED[2..]].concat())]);
        assert_eq!(told.of("i-1").last(), Some(&"i-1 60 30 60 plan-1"));
        assert_eq!(told.of("pod/a"), ["pod/a 10 20 10 plan-1", "pod/a 30 60 30 plan-1"]);
    }
    let other = "SavingsPlanCoveredUsage i-1 - 00 BoxUsage:m5 RunInstances 70 35 70 plan-2 - -";
    let told = told(&[csv(&[&[other, rest], &COVERED[..]].concat())]);
    assert!(told.of("pod/a").iter().all(|pod| pod.ends_with(" -")), "{:?}", told.charges);
}

#[test]
fn a_part_is_of_its_instance_and_itself_what_cost_is_allocated_to() {
    let told = told(&[csv(&[ON_DEMAND[0], ON_DEMAND[1], COVERED[2]])]);
    assert_eq!(
        told.parts,
        ["pod/a i-1", "pod/a arn:aws:ec2:eu-west-1:111122223333:instance/i-1"],
        "as the report writes it"
    );
}

/// The provider's invoices are those of the rows before anything moved.
#[test]
fn what_moves_is_billed_by_the_invoice_of_its_line() {
    let (mut header, mut rows) = cells(&ON_DEMAND);
    header.push("bill_invoice_id");
    for (row, invoice) in rows.iter_mut().zip(["9001", "", "9002"]) {
        row.push(invoice.to_owned());
    }
    let told_with = told(&[csv_of((header, rows))]);
    assert_eq!(told_with.invoices, ["- 0", "9001 1", "9002 0"]);
    assert_eq!(told_with.charges, told(&[csv(&ON_DEMAND)]).charges);
}

#[test]
fn where_some_part_does_not_say_what_is_unused_nobody_says_how_the_hour_divides() {
    let silent = ON_DEMAND[1].replace(" 0.30 0.20", " 0.30 -");
    let next =
        ["Usage i-1 - 01 BoxUsage:m5.large RunInstances 1 - - - - -", "Usage pod/a i-1 01 - - - - - - 0.3 0"];
    let told_of = told(&[csv(&[ON_DEMAND[0], &silent, ON_DEMAND[2], next[0], next[1]])]);
    assert_eq!(
        told_of.charges,
        ["i-1 0 0 0 -", "i-1 1 1 1.2 -", "pod/a 0 0 0 -", "pod/a 1 1 1 -", "pod/b 0 0 0 -"]
    );
    let figures = told_of.figures.unwrap();
    assert_eq!((figures.parts, figures.without_line), (3, 2));
    // nor does a report without the column
    let (header, rows) = cells(&ON_DEMAND);
    let without = |row: &Vec<String>| {
        row.iter().enumerate().filter(|(at, _)| *at != 11).map(|(_, cell)| cell.clone()).collect()
    };
    let header = header.into_iter().filter(|name| *name != COLUMNS[11]).collect();
    let told = told(&[csv_of((header, rows.iter().map(without).collect()))]);
    assert_eq!(told.charges, ["i-1 1 1 1.2 -", "pod/a 0 0 0 -", "pod/b 0 0 0 -"]);
    assert_eq!(told.figures.unwrap().without_line, 2);
}

#[test]
fn parts_and_lines_may_stand_in_documents_of_their_own_in_any_order_and_format() {
    for rows in [&ON_DEMAND[..], &COVERED[..]] {
        let together = told(&[csv(rows)]).charges;
        let (lines, parts): (Vec<&str>, Vec<&str>) = rows.iter().partition(|row| row.contains("BoxUsage"));
        let files = [csv(&lines), csv(&parts), parquet(&lines), parquet(&parts)];
        for order in [[0, 1], [1, 0], [2, 3], [3, 0], [1, 2]] {
            assert_eq!(told(&order.map(|at| files[at].clone())).charges, together, "{order:?}");
        }
        assert_eq!(told(&[parquet(rows)]).charges, together);
    }
}

#[test]
fn a_document_without_the_columns_has_lines_that_divide() {
    let (header, rows) = cells(&ON_DEMAND[..1]);
    let old: Vec<usize> = (0..header.len()).filter(|at| !header[*at].starts_with("split_")).collect();
    let rows = rows.iter().map(|row| old.iter().map(|at| row[*at].clone()).collect()).collect();
    let lines = csv_of((old.iter().map(|at| header[*at]).collect(), rows));
    assert_eq!(told(&[lines, csv(&ON_DEMAND[1..])]).charges, told(&[csv(&ON_DEMAND)]).charges);
}

#[test]
fn a_legacy_report_says_the_same() {
    let legacy = [
        ("split_line_item_parent_resource_id", "splitLineItem/ParentResourceId"),
        ("split_line_item_split_cost", "splitLineItem/SplitCost"),
        ("split_line_item_unused_cost", "splitLineItem/UnusedCost"),
        ("line_item_operation", "lineItem/Operation"),
        ("line_item_unblended_cost", "lineItem/UnblendedCost"),
    ];
    let (header, rows) = cells(&ON_DEMAND);
    let name =
        |name: &&'static str| legacy.iter().find(|(new, _)| new == name).map_or(*name, |(_, old)| *old);
    let old = csv_of((header.iter().map(name).collect(), rows));
    assert_eq!(told(&[old]).charges, told(&[csv(&ON_DEMAND)]).charges);
}

#[test]
fn what_an_instance_has_beside_it_is_left_alone() {
    let beside = [
        "Usage i-1 - 00 EUW1-DataTransfer-Out-Bytes RunInstances 5 - - - - -",
        "Usage i-1 - 00 CPUCredits:t3 RunInstances 1.00 - 1.20 - - -",
        "Usage i-1 - 01 BoxUsage:m5.large RunInstances 1.00 - 1.20 - - -",
        "Usage i-2 - 00 BoxUsage:m5.large RunInstances 1.00 - 1.20 - - -",
        "Tax i-1 - 00 BoxUsage:m5.large RunInstances 1.00 - 1.20 - - -",
    ];
    let with = told(&[csv(&[&beside[..], &ON_DEMAND].concat())]);
    let mut expected = [told(&[csv(&beside)]).charges, told(&[csv(&ON_DEMAND)]).charges].concat();
    expected.sort();
    assert_eq!(with.charges, expected);
    // only what is beside it is there
    let alone = told(&[csv(&[beside[0], ON_DEMAND[1]])]);
    assert_eq!(alone.charges, ["i-1 5 5 5 -", "pod/a 0 0 0 -"]);
    assert_eq!(alone.figures.unwrap().without_line, 1);
}

#[test]
fn where_no_usage_type_is_known_the_only_one_divides_and_of_several_none() {
    let unknown = "Usage i-1 - 00 Odd:1 - 1.00 - 1.20 - - -";
    let rows = [unknown, ON_DEMAND[1], ON_DEMAND[2]];
    assert_eq!(told(&[csv(&rows)]).of("i-1"), ["i-1 0.5 0.5 0.6 -"]);
    let other = "Usage i-1 - 00 Odd:2 - 3.00 - - - - -";
    let told = told(&[csv(&[&rows[..], &[other]].concat())]);
    assert_eq!(told.of("i-1"), ["i-1 1 1 1.2 -", "i-1 3 3 3 -"]);
    assert_eq!(told.figures.unwrap().without_line, 2);
}

#[test]
fn parts_of_nothing_cost_what_they_state_and_hold_nothing() {
    let rows = [
        "Usage pod/a i-9 00 - - - - - - 0.30 0.20",
        "Usage pod/b i-1 00 - - 0.01 - - - 0 0",
        "Usage i-1 - 00 BoxUsage:m5.large RunInstances 1.00 - 1.20 - - -",
    ];
    let told = told(&[csv(&rows)]);
    assert_eq!(told.charges, ["i-1 1 1 1.2 -", "pod/a 0 0 0 -", "pod/b 0.01 0.01 0.01 -"]);
    let figures = told.figures.unwrap();
    assert_eq!((figures.parts, figures.without_line), (2, 2));
}

#[test]
fn before_a_bill_is_known_its_parts_hold_nothing_either() {
    let read = |file| crate::charges::bills(&Document { key: "cur.csv", file }, &Cur, 2).unwrap();
    for file in [csv(&ON_DEMAND), parquet(&ON_DEMAND)] {
        let found = read(file);
        assert_eq!((found.rows, found.held), (3, vec![]));
        let figures: Vec<String> = found.elsewhere.values().map(|bill| bill.billed.to_string()).collect();
        assert_eq!(figures, ["1"]);
    }
    let line_without_cost = "Usage i-1 - 00 BoxUsage:m5.large RunInstances - - - - - -";
    assert_eq!(read(csv(&[line_without_cost, ON_DEMAND[1]])).held_rows, 1);
}

#[test]
fn a_bill_without_parts_is_read_as_ever() {
    let told = told(&[csv(&[ON_DEMAND[0]])]);
    assert_eq!(told.figures, None);
    assert_eq!(told.charges, ["i-1 1 1 1.2 -"]);
}

/// One row of a bill: which document, and its cells.
fn rows() -> impl Strategy<Value = Vec<(usize, String)>> {
    let instance = prop::sample::select(vec!["i-1", "i-2"]);
    let hour = prop::sample::select(vec!["00", "01"]);
    let cost = (0u64..5_000_000, 0usize..12).prop_map(|(units, decimals)| {
        let text = format!("{units:013}");
        let (whole, rest) = text.split_at(text.len() - decimals);
        if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
    });
    let line = (instance.clone(), hour.clone(), cost.clone(), cost.clone(), 0usize..4).prop_map(
        |(instance, hour, cost, planned, kind)| match kind {
            0 => vec![format!("Usage {instance} - {hour} BoxUsage:m5 RunInstances {cost} - {planned} - - -")],
            1 => vec![format!("Usage {instance} - {hour} DataTransfer-Bytes RunInstances {cost} - - - - -")],
            2 => vec![format!("Usage {instance} - {hour} SpotUsage:m5 RunInstances {cost} - - - - -")],
            _ => vec![
                format!("SavingsPlanCoveredUsage {instance} - {hour} BoxUsage:m5 - {cost} {planned} - p - -"),
                format!("SavingsPlanNegation {instance} - {hour} BoxUsage:m5 - -{cost} - - p - -"),
            ],
        },
    );
    let part = (instance, hour, cost.clone(), cost).prop_map(|(instance, hour, split, unused)| {
        vec![format!("Usage pod {instance} {hour} - - - - - - {split} {unused}")]
    });
    let row = (0usize..3, prop_oneof![line, part]);
    prop::collection::vec(row, 1..24).prop_map(|rows| {
        rows.into_iter().flat_map(|(at, rows)| rows.into_iter().map(move |row| (at, row))).collect()
    })
}

fn documents(rows: &[(usize, String)]) -> Vec<Arc<File>> {
    let of =
        |at: usize| rows.iter().filter(|(of, _)| *of == at).map(|(_, row)| row.as_str()).collect::<Vec<_>>();
    (0..3).map(of).map(|rows| if rows.len() % 2 == 0 { csv(&rows) } else { parquet(&rows) }).collect()
}

/// The sums of a bill whose parts take nothing.
fn undivided(rows: &[(usize, String)]) -> Told {
    let without: Vec<(usize, String)> =
        rows.iter().map(|(at, row)| (*at, row.replace("pod i-", "pod j-"))).collect();
    told(&documents(&without))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_bill_comes_to_is_not_changed_and_nobody_takes_more_than_there_is(rows in rows()) {
        let (divided, before) = (told(&documents(&rows)), undivided(&rows));
        prop_assert!(divided.all.equals(&before.all).unwrap());
        prop_assert_eq!(divided.list, before.list);
        // a line keeps its sign, and a part has one
        for charge in &divided.charges {
            let billed = |charge: &str| charge.split(' ').nth(1).unwrap().parse::<rust_decimal::Decimal>().unwrap();
            if charge.starts_with("pod ") {
                let effective = charge.split(' ').nth(2).unwrap();
                prop_assert!(billed(charge) >= rust_decimal::Decimal::ZERO && !effective.starts_with('-'), "{}", charge);
            }
        }
        let sums = |told: &Told| {
            told.charges.iter().filter(|charge| !charge.starts_with("pod")).fold([Amount::ZERO; 2], |sums, charge| {
                let billed = Amount::parse(charge.split(' ').nth(1).unwrap().as_bytes()).unwrap();
                let at = usize::from(billed < Amount::ZERO);
                let mut sums = sums;
                sums[at] = sums[at].checked_add(billed).unwrap();
                sums
            })
        };
        let ([kept, kept_of_negations], [costs, negations]) = (sums(&divided), sums(&before));
        prop_assert!(Amount::ZERO <= kept && kept <= costs);
        prop_assert!(negations <= kept_of_negations && kept_of_negations <= Amount::ZERO);
    }

    #[test]
    fn the_order_of_rows_and_documents_changes_nothing(rows in rows(), moved in prop::collection::vec(0usize..3, 48), turn in any::<u64>()) {
        let expected = told(&documents(&rows));
        let mut other: Vec<(usize, String)> =
            rows.iter().zip(moved).map(|((_, row), document)| (document, row.clone())).collect();
        let turned = usize::try_from(turn % (other.len() as u64)).unwrap();
        other.rotate_left(turned);
        other.reverse();
        let told = told(&documents(&other));
        prop_assert_eq!(told.charges, expected.charges);
        prop_assert!(told.all.equals(&expected.all).unwrap());
        prop_assert_eq!(told.figures, expected.figures);
    }
}
