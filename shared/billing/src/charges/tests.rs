//! Stories of whole documents.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

mod columns;

use super::*;
use crate::bill::certify_bill;
use crate::ids::{BillingAccountId, InvoiceId, Provider};
use crate::manifest::{Format, Manifest};
use crate::money::Amount;
use crate::period::Finality;
use crate::revision::Revision;

fn fixture(name: &str) -> Arc<File> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/charges/fixtures").join(name);
    Arc::new(File::open(path).unwrap())
}

fn document(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

fn june() -> Selection {
    Selection::all_of("2025-06".parse().unwrap())
}

fn add_up_focus(key: &str, file: Arc<File>) -> Result<Totals, ReadError> {
    add_up(&Document { key, file }, &Focus, &june(), 2)
}

/// A bill of these rows is held, because they are in dollars and in euros.
pub(super) fn held_for_its_currencies(totals: Totals) {
    let mut currencies: Vec<&str> = totals.currencies.keys().copied().collect();
    currencies.sort_unstable();
    assert_eq!(currencies, ["EUR", "USD"]);
    let manifest = Manifest {
        manifest: Manifest::VERSION,
        provider: Provider::aws(),
        billing_account: BillingAccountId::new("1").unwrap(),
        period: "2025-06".parse().unwrap(),
        invoice_id: InvoiceId::new("bill").unwrap(),
        finality: Finality::Final,
        provider_updated: None,
        format: Format::Cur2,
        parts: vec![],
        documents: vec![],
        invoices: vec![],
        shared: false,
        sub_account_names: BTreeMap::new(),
        brought: None,
    };
    let held = certify_bill(&Revision::of(b"x"), &manifest, totals).unwrap_err().to_string();
    let why = "its rows are in EUR and USD: amounts of different currencies are never added";
    assert!(held.starts_with(why), "{held}");
}

#[test]
fn a_focus_export_of_aws_comes_to_its_control_totals() {
    let totals = add_up_focus("raw/x/focus12.csv.gz", fixture("aws-focus12-00001.csv.gz")).unwrap();
    assert_eq!((totals.rows, totals.held_rows), (19, 0), "{:?}", totals.held);
    assert_eq!(totals.all.billed.to_string(), "14.58038");
    assert_eq!(totals.all.effective().unwrap().to_string(), "14.58038");
    let invoice = |id: &str| totals.invoices[&Some(id.to_owned())].billed.to_string();
    assert_eq!((invoice("2180000001"), invoice("2180000003")), ("27.08038".into(), "-12.5".into()));
}

#[test]
fn bad_rows_are_named_and_the_others_are_read() {
    let text = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName\n\
                1.5,1.5,USD,a,2025-06-01T00:00:00Z,Usage,S\n\
                x,1,USD,a,2025-06-01T00:00:00Z,Usage,S\n\
                1,1,USD,a,June,Usage,S\n\
                ,1,USD,a,2025-06-01,Usage,S\n\
                1,1,USD,a\n\
                6.035e-07,NULL,USD,a,2025-06-01 00:00:00,Usage,S\n\
                1,1,EURO,a,2025-06-01,Usage,S\n";
    let totals = add_up_focus("x/export.csv", document(text.as_bytes())).unwrap();
    assert_eq!(totals.rows, 7);
    let named: Vec<String> = totals.held.iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "export.csv row 2: 'x' is not a decimal number",
            "export.csv row 3: BillingPeriodStart 'June' is not understood",
            "export.csv row 4: BilledCost is empty",
            "export.csv row 5: it has 4 cells, the header has 7",
            "export.csv row 7: 'EURO' is no ISO 4217 currency",
        ]
    );
    assert_eq!((totals.all.billed.to_string(), totals.all.unstated()), ("1.5000006035".to_owned(), 1));
}

/// The text of a case, without the columns whose names begin in some way.
pub(crate) fn case_without(name: &str, prefixes: &[&str]) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/cases").join(name);
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let is_kept = |name: &str| !prefixes.iter().any(|prefix| name.starts_with(prefix));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in [header.clone()].into_iter().chain(reader.records().map(Result::unwrap)) {
        let cells = header.iter().zip(&row).filter(|(name, _)| is_kept(name)).map(|(_, cell)| cell);
        writer.write_record(cells).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

/// What a bill of one month comes to in its first reading, which must be what it comes to in the second; and what `pick` tells of
/// each charge.
pub(crate) fn both_readings<T>(
    mapping: &dyn Mapping,
    month: &str,
    text: &str,
    pick: impl Fn(&crate::charge::Charge<'_>) -> T,
) -> (Totals, Vec<T>) {
    let month: crate::month::BillingMonth = month.parse().unwrap();
    let (selection, names) = (Selection::all_of(month), BTreeMap::new());
    let document = Document { key: "x/bill.csv", file: document(text.as_bytes()) };
    let totals = add_up(&document, mapping, &selection, 2).unwrap();
    let period = crate::charge::Period { start: month.start(), end: month.end() };
    let bill = BillContext { billing_account: "a", period, sub_account_names: &names };
    let mut told = Vec::new();
    let written =
        write_charges(&document, mapping, &selection, std::slice::from_ref(&bill), &mut |_, charge| {
            told.push(pick(charge));
            Ok(())
        });
    let written = written.unwrap();
    assert_eq!((&totals.held, &written.held), (&vec![], &vec![]));
    assert_eq!(written.bills[0].figures, totals.all);
    (totals, told)
}

#[test]
fn an_effective_cost_that_is_empty_is_not_nothing() {
    let text = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId\n\
                5,,USD,a,2025-06-01,Usage,S,one\n\
                2,0,USD,a,2025-06-01,Usage,S,two\n\
                3,NULL,USD,a,2025-06-01,Purchase,S,two\n";
    let (totals, told) =
        both_readings(&Focus, "2025-06", text, |charge| charge.effective_cost.map(|cost| cost.to_string()));
    assert_eq!(told, [None, Some("0".to_owned()), None]);
    assert_eq!((totals.all.billed.to_string(), totals.all.effective()), ("10".to_owned(), None));
    assert_eq!((totals.all.charges, totals.all.unstated()), (3, 2));
    let account = |id: &str| totals.sub_accounts[&Some(id.to_owned())].figures;
    assert_eq!((account("one").effective(), account("two").effective()), (None, None));
    assert_eq!(totals.categories["Usage"].unstated(), 1);
}

#[test]
fn every_column_of_a_class_decides_something() {
    for mapping in [&Focus as &dyn Mapping, &Cur, &CostExplorer, &AzureCostDetails::ALONE[0], &BigQuery] {
        let columns = mapping.columns();
        let mut named: Vec<usize> = [columns.kind, columns.account, columns.service, columns.tags].concat();
        named.sort_unstable();
        named.dedup();
        assert_eq!(named, (0..columns.class.len()).collect::<Vec<_>>(), "{:?}", columns.class);
    }
}

#[test]
fn combinations_that_were_not_seen_before_are_added_where_they_belong() {
    let mut text = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,\
                    SubAccountId,Tags\n"
        .to_owned();
    for row in 0..600u32 {
        let (account, service, team) = (row % 7, row % 5, row % 3);
        let category = if row % 2 == 0 { "Usage" } else { "Tax" };
        text += &format!(
            "{row}.25,1,USD,a,2025-06-01,{category},S{service},A{account},\"{{\"\"team\"\": \"\"T{team}\"\"}}\"\n"
        );
    }
    let totals = add_up_focus("x/export.csv", document(text.as_bytes())).unwrap();
    assert_eq!((totals.all.charges, totals.held_rows), (600, 0), "{:?}", totals.held);
    let sum = |keep: fn(&u32) -> bool| {
        let rows: Vec<u32> = (0..600).filter(keep).collect();
        Amount::parse(format!("{}.25", rows.iter().sum::<u32>()).as_bytes())
            .unwrap()
            .checked_add(Amount::scaled(25 * (rows.len() as i128 - 1), 2).unwrap())
            .unwrap()
    };
    assert_eq!(totals.sub_accounts[&Some("A3".to_owned())].figures.billed, sum(|row| row % 7 == 3));
    assert_eq!(totals.services[&("Other", "S4".to_owned())].1.billed, sum(|row| row % 5 == 4));
    assert_eq!(totals.tags.get("team").unwrap()["T2"].billed, sum(|row| row % 3 == 2));
    assert_eq!(totals.categories["Tax"].billed, sum(|row| row % 2 == 1));
}

#[test]
fn a_quote_that_is_never_closed_does_not_fill_the_memory() {
    let row = "1,1,USD,a,2025-06-01,Usage,S\n";
    let header = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName\n";
    let text = [header, row, "1,1,USD,\"a", &row.repeat(800_000)].concat();
    let error = add_up_focus("x/export.csv", document(text.as_bytes())).unwrap_err().to_string();
    assert_eq!(
        error,
        "the document cannot be read after row 1: a row is longer than 4 MB: is a quote not closed?"
    );
}

#[test]
fn whoever_gives_up_early_is_not_waited_for() {
    let row = "1,1,USD,a,2025-06-01,Usage,S\n".repeat(300_000);
    let text = format!(
        "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,When,ChargeCategory,ServiceName\n{row}"
    );
    let error = add_up_focus("x/export.csv", document(text.as_bytes())).unwrap_err();
    assert!(matches!(error, ReadError::Column(_)), "{error}");
}

#[test]
fn rows_of_nothing_but_empty_cells_are_handed_over_too() {
    let text = format!(
        "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName\n{}",
        ",,,,,,\n".repeat(100_000)
    );
    let totals = add_up_focus("x/export.csv", document(text.as_bytes())).unwrap();
    assert_eq!((totals.rows, totals.held_rows), (100_000, 100_000));
}

/// Each column is looked through before the next, but rows are held in their own order.
#[test]
fn numbers_that_are_none_are_named_in_whatever_columns_of_parquet_they_stand() {
    use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
    let text = |value: &'static str| Arc::new(StringArray::from(vec![value; 6])) as ArrayRef;
    let bad = |rows: &[usize]| {
        let value = |row: usize| if rows.contains(&row) { f64::NAN } else { 1.0 };
        Arc::new(Float64Array::from_iter_values((0..6).map(value))) as ArrayRef
    };
    let batch = RecordBatch::try_from_iter([
        ("BilledCost", bad(&[4])),
        ("EffectiveCost", bad(&[2, 5])),
        ("BillingCurrency", text("USD")),
        ("BillingAccountId", text("a")),
        ("BillingPeriodStart", text("2025-06-01")),
        ("ChargeCategory", text("Usage")),
        ("ServiceName", text("S")),
    ]);
    let batch = batch.unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let totals = add_up_focus("x/export.parquet", document(&writer.into_inner().unwrap())).unwrap();
    let named: Vec<String> = totals.held.iter().map(ToString::to_string).collect();
    let expected = [3, 5, 6].map(|row| format!("export.parquet row {row}: 'NaN' is not a decimal number"));
    assert_eq!(named, expected);
}

/// The class texts of all rows of a document.
#[derive(Default)]
struct ClassRows(Vec<Vec<Option<String>>>);

impl batch::Sink for ClassRows {
    fn batch(&mut self, batch: &batch::Batch, dictionaries: &[batch::Dictionary]) -> Result<(), ReadError> {
        for row in 0..batch.rows {
            let codes: Vec<u32> = batch.class.iter().map(|column| column[row]).collect();
            let texts = batch::ClassTexts { dictionaries, codes: &codes };
            self.0.push((0..codes.len()).map(|column| texts.text(column).map(str::to_owned)).collect());
        }
        Ok(())
    }

    fn forget(&mut self) {}
}

struct Given<'t>(&'t [Option<&'t str>]);

impl Texts for Given<'_> {
    fn text(&self, column: usize) -> Option<&str> {
        self.0[column]
    }
}

type ClassTexts = Vec<Vec<Option<String>>>;

/// A format and the class texts of real rows of it.
fn formats() -> Vec<(&'static dyn Mapping, ClassTexts)> {
    let example = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../local/examples").join(name);
        Arc::new(File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    let of = |mapping: &'static dyn Mapping, documents: &[(&str, Arc<File>)]| {
        let mut rows = ClassRows::default();
        for (key, file) in documents {
            Document { key, file: file.clone() }.read(mapping, false, &mut rows).unwrap();
        }
        (mapping, rows.0)
    };
    vec![
        of(
            &Focus,
            &[
                ("aws.csv.gz", fixture("aws-focus12-00001.csv.gz")),
                ("a.csv", fixture("focus12_normalised.csv")),
                ("b.csv", fixture("focus13_allocated.csv")),
            ],
        ),
        of(
            &Cur,
            &[
                ("1.csv.gz", example("aws/cur2-hourly-00001.csv.gz")),
                ("2.csv.gz", example("aws/cur2-hourly-00002.csv.gz")),
            ],
        ),
        of(
            &AzureCostDetails::ALONE[0],
            &[("1.csv", example("azure/part_0_0001.csv")), ("2.csv", example("azure/part_1_0001.csv"))],
        ),
        of(&BigQuery, &[("1.json", example("gcp/query_200_complete_page1.json"))]),
    ]
}

/// What a group of columns decides, of all classes of a row.
fn parts(classes: &[Class]) -> [String; 4] {
    let kind = |class: &Class| Class {
        sub_account_id: None,
        sub_account_name: None,
        service_category: "",
        service_name: String::new(),
        tags: RowTags::default(),
        ..class.clone()
    };
    let all = |part: &dyn Fn(&Class) -> String| classes.iter().map(part).collect::<Vec<_>>().join("\n");
    let first = &classes[0];
    [
        all(&|class| format!("{:?}", kind(class))),
        format!("{:?} {:?}", first.sub_account_id, first.sub_account_name),
        format!("{} {}", first.service_category, first.service_name),
        format!("{:?}", first.tags),
    ]
}

/// The four parts of a class are remembered apart, so each must be decided by its own columns, whatever stands in the others.
#[test]
fn the_columns_named_for_a_part_decide_it_alone() {
    for (mapping, rows) in formats() {
        assert!(rows.len() > 1);
        let columns = mapping.columns();
        let groups = [columns.kind, columns.account, columns.service, columns.tags];
        let classes = |texts: &[Option<String>]| {
            let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
            mapping.classes(&Given(&texts))
        };
        for one in &rows {
            let expected = parts(&classes(one).unwrap());
            for other in &rows {
                for (group, columns) in groups.iter().enumerate() {
                    let mixed: Vec<_> = (0..one.len())
                        .map(|column| {
                            if columns.contains(&column) { &one[column] } else { &other[column] }.clone()
                        })
                        .collect();
                    assert_eq!(parts(&classes(&mixed).unwrap())[group], expected[group], "{one:?} {other:?}");
                }
            }
        }
    }
}
