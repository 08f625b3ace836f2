//! Files as people and providers make them: whose bill, of which month, and counted once.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Answer, Desk};

/// Two payers in one cost and usage report.
const TWO_PAYERS: &str = "line_item_unblended_cost,bill_payer_account_id,bill_billing_period_start_date,line_item_line_item_type,\
                          line_item_currency_code,line_item_usage_account_id,line_item_product_code\n\
                          10,1,2026-09-01T00:00:00.000Z,Usage,USD,1,AmazonS3\n\
                          5,2,2026-09-01T00:00:00.000Z,Usage,USD,2,AmazonS3\n";
/// Rows of one account that name two providers.
const TWO_PROVIDERS: &str = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,ProviderName\n\
                             1.5,1.5,USD,acc-1,2026-09-01,Usage,Compute,AWS\n\
                             7,7,USD,acc-1,2026-09-01,Usage,Warehouse,Databricks\n";

type Bills = BTreeMap<String, String>;

impl Desk {
    /// A file of the cases, in the current folder.
    fn case(&self, name: &str) -> String {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cases").join(name);
        let to = self.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        name.to_owned()
    }

    /// Imports files; what each of their bills comes to, by month, provider and account.
    fn import(&self, args: &[&str]) -> Bills {
        let answer = self.json(&[&["import"], args].concat());
        let text = |row: &serde_json::Value, column: &str| row[column].as_str().unwrap().to_owned();
        let bill = |row| {
            let bill = ["month", "provider", "account"].map(|column| text(row, column)).join(" ");
            (bill, format!("{} {} {}", text(row, "charges"), text(row, "currency"), text(row, "state")))
        };
        answer.as_array().unwrap().iter().map(bill).collect()
    }

    /// Imports files that are asked about or refused; nothing is written.
    fn asked(&self, args: &[&str]) -> String {
        let before = self.counted();
        let answer = self.run(&[&["import"], args].concat());
        assert_eq!(answer.code, 3, "{}{}", answer.out, answer.err);
        assert_eq!(self.counted(), before);
        // the rehearsal asks the same
        let rehearsed = self.run(&[&["import", "--dry-run"], args].concat());
        assert_eq!((rehearsed.code, &rehearsed.err), (3, &answer.err));
        answer.err
    }

    /// What counts: files of charges, and what their bills come to.
    fn counted(&self) -> Bills {
        let status = self.json(&["status"]);
        let rows = status["invoices"].as_array().unwrap().iter();
        let text = |row: &serde_json::Value, column: &str| row[column].as_str().unwrap().to_owned();
        let bill = |row| {
            let bill = ["month", "provider", "account", "invoice"].map(|column| text(row, column)).join(" ");
            (bill, text(row, "charges"))
        };
        rows.map(bill).collect()
    }
}

fn bills<const N: usize>(bills: [(&str, &str); N]) -> Bills {
    BTreeMap::from(bills.map(|(bill, charges)| (bill.to_owned(), charges.to_owned())))
}

#[test]
fn every_case_comes_to_its_right_value() {
    for (case, bill, comes_to) in [
        ("bom/focus-account-first.csv", "2026-10 nordwind-cloud acc-1", "35.75 EUR allocated"),
        ("provider/empty-provider-name.csv", "2026-10 nordwind-cloud acc-1", "150 EUR allocated"),
        ("month/plus2.csv", "2026-10 nordwind-cloud acc-1", "100 EUR allocated"),
        ("month/azure-day-first.csv", "2026-10 azure PRF-d", "10 EUR allocated"),
        ("letter-case/azure.csv", "2026-10 azure PRF-9", "30 EUR allocated"),
        ("azure/empty-period.csv", "2026-10 azure PRF-9", "30.75 EUR allocated"),
        ("azure/localised.csv", "2026-10 azure g-1", "12.5 EUR allocated"),
        ("azure/pay-as-you-go.csv", "2026-10 azure g-1", "12.5 EUR allocated"),
        ("azure/account-as-path.csv", "2026-10 azure QWER-TYUI-BG7-PGB", "150 EUR allocated"),
    ] {
        let desk = Desk::new();
        let file = desk.case(case);
        let rehearsed = desk.import(&[&file, "--dry-run"]);
        assert_eq!(rehearsed, bills([(bill, &comes_to.replace("allocated", "preview"))]), "{case}");
        assert!(desk.counted().is_empty());
        assert_eq!(desk.import(&[&file]), bills([(bill, comes_to)]), "{case}");
        // the same documents again change nothing and ask nothing
        assert_eq!(desk.import(&[&file]), bills([(bill, comes_to)]), "{case}");
    }
}

#[test]
fn what_is_not_understood_is_refused_with_what_was_seen() {
    let desk = Desk::new();
    let said = desk.asked(&[&desk.case("month/reversed.csv")]);
    assert!(
        said.contains("from 2026-10-01T00:00:00Z to 2026-09-01T00:00:00Z is no calendar month"),
        "{said}"
    );
    let said = desk.asked(&[&desk.case("headers/two-billed-costs.csv")]);
    assert!(said.contains("two columns BilledCost, at the places 1 and 13"), "{said}");
    desk.write("other.csv", "a;b\u{feff};c\n1;2;3\n".as_bytes());
    let said = desk.asked(&["other.csv"]);
    assert!(said.contains("UTF-8, cells separated by ';', columns 'a', 'b', 'c'"), "{said}");
    desk.write("two.csv", TWO_PROVIDERS.as_bytes());
    let said = desk.asked(&["two.csv"]);
    assert!(said.contains("ProviderName 'AWS', 'Databricks'") && said.contains("--provider"), "{said}");
    assert_eq!(
        desk.import(&["two.csv", "--provider", "AWS"]),
        bills([("2026-09 aws acc-1", "8.5 USD allocated")])
    );
}

#[test]
fn a_marketplace_stays_in_the_invoice_that_it_came_with() {
    let desk = Desk::new();
    let file = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,\
                ServiceProviderName,InvoiceIssuerName\n\
                10,10,USD,1111,2026-10-01,Usage,EC2,AWS,AWS\n\
                5,5,USD,1111,2026-10-01,Usage,Atlas,MongoDB,\"Amazon Web Services, Inc.\"\n";
    desk.write("focus.csv", file.as_bytes());
    assert_eq!(desk.import(&["focus.csv"]), bills([("2026-10 aws 1111", "15 USD allocated")]));
}

#[test]
fn the_same_month_in_another_format_or_under_another_name_is_asked_about() {
    let desk = Desk::new();
    desk.import(&[&desk.case("twice/cost-details.csv")]);
    let focus = desk.case("twice/focus.csv");
    let said = desk.asked(&[&focus]);
    assert!(said.contains("8611537 of azure has the bill 'import' (60 EUR) of 2026-10 already"), "{said}");
    assert!(said.contains("monthend import twice/focus.csv --replace"), "{said}");
    assert_eq!(desk.import(&[&focus, "--replace"]), bills([("2026-10 azure 8611537", "60 EUR allocated")]));
    assert_eq!(desk.counted(), bills([("2026-10 azure 8611537 import", "60")]));

    let desk = Desk::new();
    desk.import(&[&desk.case("provider/empty-provider-name.csv")]);
    let said = desk.asked(&[&desk.case("provider/filled-provider-name.csv")]);
    assert!(said.contains("acc-1 of nordwind-cloud has the bill"), "{said}");

    let desk = Desk::new();
    desk.import(&[&desk.case("bom/focus-account-first.csv")]);
    let clean = desk.case("bom/clean.csv");
    desk.asked(&[&clean]);
    assert_eq!(
        desk.import(&[&clean, "--replace"]),
        bills([("2026-10 nordwind-cloud acc-1", "35.75 EUR allocated")])
    );
    desk.case("bom/catalog.yaml");
    assert_eq!(desk.run(&["catalog", "apply", "bom/catalog.yaml"]).code, 0);
    let billed = desk.run(&["bill", "--month", "2026-10", "--dry-run", "--format", "csv"]);
    assert!(
        billed.out.contains("Team Blue,1,15.25") && billed.out.contains("Team Red,1,20.50"),
        "{}",
        billed.out
    );
}

#[test]
fn files_of_one_account_and_month_are_one_bill() {
    let scopes = ["files/scope-a/part_0_0001.csv", "files/scope-b/part_0_0001.csv"];
    let together = bills([("2026-10 azure PRF-9", "170 EUR allocated")]);
    let desk = Desk::new();
    let [a, b] = scopes.map(|scope| desk.case(scope));
    assert_eq!(desk.import(&[&a, &b]), together);

    // one after the other the second is asked about; it never takes the place of the first silently
    let desk = Desk::new();
    for scope in scopes {
        desk.case(scope);
    }
    assert_eq!(desk.import(&["files/scope-a"]), bills([("2026-10 azure PRF-9", "100 EUR allocated")]));
    desk.asked(&["files/scope-b"]);
    assert_eq!(desk.import(&["files/scope-b", "--add"]).values().collect::<Vec<_>>(), ["170 EUR allocated"]);
    assert_eq!(desk.counted(), bills([("2026-10 azure PRF-9 import", "170")]));
    // the same part once more would count its costs twice
    let again = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,\
                 ChargeCategory,ServiceName,SubAccountId,ProviderName\n\
                 70,70,EUR,PRF-9,2026-10-01,2026-11-01,2026-10-01,Usage,Compute,S-B,Microsoft\n";
    desk.write("again.csv", again.as_bytes());
    let said = desk.asked(&["again.csv", "--add"]);
    assert!(said.contains("has charges of s-b on 2026-10-01 already"), "{said}");
}

#[test]
fn a_month_exported_anew_takes_the_place_of_all_its_parts() {
    let desk = Desk::new();
    for part in ["run-1/part_0_0001.csv", "run-1/part_1_0001.csv", "run-2/part_0_0001.csv"] {
        desk.case(&format!("files/{part}"));
    }
    let month = bills([("2026-10 azure PRF-8", "170 EUR allocated")]);
    assert_eq!(desk.import(&["files/run-1"]), month);
    desk.asked(&["files/run-2"]);
    assert_eq!(desk.import(&["files/run-2", "--replace"]), month);
    assert_eq!(desk.counted(), bills([("2026-10 azure PRF-8 import", "170")]));
    // the earlier parts come back when a person brings them
    assert_eq!(desk.import(&["files/run-1", "--replace"]), month);
    // both at once may be the same costs
    let said = desk.asked(&["files/run-1", "files/run-2"]);
    assert!(said.contains("exported twice"), "{said}");
}

#[test]
fn a_report_with_several_accounts_is_stored_and_booked_once() {
    let desk = Desk::new();
    desk.write("report.csv", TWO_PAYERS.as_bytes());
    let expected = bills([("2026-09 aws 1", "10 USD allocated"), ("2026-09 aws 2", "5 USD allocated")]);
    assert_eq!(desk.import(&["report.csv"]), expected);
    let stored = desk.run(&["ls", "raw/", "--format", "csv"]).out;
    assert_eq!(stored.lines().filter(|line| line.contains("report.csv")).count(), 1, "{stored}");
}

#[test]
fn a_further_bill_counts_beside_the_first() {
    let desk = Desk::new();
    desk.write("report.csv", TWO_PAYERS.as_bytes());
    desk.import(&["report.csv"]);
    desk.write("more.csv", TWO_PAYERS.replace("\n10,1", "\n11,1").as_bytes());
    desk.asked(&["more.csv"]);
    desk.import(&["more.csv", "--additional"]);
    let counted = desk.counted();
    assert_eq!(counted["2026-09 aws 1 import-2"], "11");
    assert_eq!(counted.len(), 4);
    // which of them is meant must be said
    desk.write("third.csv", TWO_PAYERS.replace("\n10,1", "\n12,1").as_bytes());
    let said = desk.asked(&["third.csv", "--replace"]);
    assert!(said.contains("monthend import third.csv --replace --invoice import-2"), "{said}");
    desk.import(&["third.csv", "--replace", "--invoice", "import-2"]);
    assert_eq!(desk.counted()["2026-09 aws 1 import-2"], "12");
}

#[test]
fn the_same_costs_of_another_account_are_asked_about() {
    let desk = Desk::new();
    desk.write("report.csv", TWO_PAYERS.as_bytes());
    desk.import(&["report.csv"]);
    desk.write(
        "renamed.csv",
        TWO_PAYERS.replace("\n10,1,", "\n10,one,").replace("\n5,2,", "\n5,two,").as_bytes(),
    );
    let said = desk.asked(&["renamed.csv"]);
    assert!(
        said.contains("1 of aws has the bill 'import' (10 USD) of 2026-09 already, with the same total"),
        "{said}"
    );
    // what takes the place of bills of other accounts withdraws those
    let said = desk.asked(&["renamed.csv", "--replace"]);
    assert!(said.contains("monthend import renamed.csv --replace --replace=one --replace=two\n"), "{said}");
    desk.import(&["renamed.csv", "--replace=one", "--replace=two"]);
    let status = desk.run(&["status", "--format", "csv"]).out;
    assert_eq!(status.lines().filter(|line| line.contains("withdrawn")).count(), 2, "{status}");
}

#[test]
fn a_bill_brought_by_mistake_is_withdrawn_and_may_come_again() {
    let desk = Desk::new();
    let file = desk.case("month/plus2.csv");
    desk.import(&[&file]);
    let bill = "nordwind-cloud/acc-1/2026-10/import";
    let withdraw = |args: &[&str]| desk.run(&[&["withdraw"], args].concat());
    assert_eq!(withdraw(&[bill]).code, 2, "a reason is needed");
    let rehearsed = withdraw(&[bill, "--reason", "a test", "--dry-run"]);
    assert!(
        rehearsed.code == 0 && rehearsed.out.contains("would be withdrawn"),
        "{}{}",
        rehearsed.out,
        rehearsed.err
    );
    assert_eq!(desk.counted().values().collect::<Vec<_>>(), ["100"]);

    let done = withdraw(&[bill, "--reason", "a test"]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert_eq!(desk.counted().values().collect::<Vec<_>>(), ["0"]);
    let status = desk.json(&["status"]);
    assert_eq!(
        (&status["invoices"][0]["state"], &status["invoices"][0]["period"]),
        (&"withdrawn".into(), &"open".into())
    );
    let again = withdraw(&[bill, "--reason", "again"]);
    assert!(again.code == 0 && again.out.contains("withdrawn: a test already"), "{}{}", again.out, again.err);
    assert!(
        withdraw(&["nordwind-cloud/acc-2/2026-10/import", "--reason", "x"]).err.contains("there is no bill")
    );
    assert!(withdraw(&["x/y", "--reason", "z"]).err.contains("provider/account/month/bill"));

    // the same bytes count again when a person brings them
    assert_eq!(desk.import(&[&file]).values().collect::<Vec<_>>(), ["100 EUR allocated"]);
    assert_eq!(desk.counted().values().collect::<Vec<_>>(), ["100"]);
}

#[test]
fn two_currencies_are_never_added_and_hold_the_rehearsal_as_the_import() {
    let desk = Desk::new();
    let file = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,ProviderName\n\
                1,1,USD,acc-1,2026-10-01,Usage,Compute,Acme\n2,2,EUR,acc-1,2026-10-01,Usage,Compute,Acme\n";
    desk.write("two.csv", file.as_bytes());
    let run =
        |args: &[&str]| -> Answer { desk.run(&[&["import", "two.csv", "--format", "csv"], args].concat()) };
    let (rehearsed, imported) = (run(&["--dry-run"]), run(&[]));
    for answer in [rehearsed, imported] {
        assert_eq!(answer.code, 3, "{}{}", answer.out, answer.err);
        assert!(
            answer.out.contains("2 EUR + 1 USD") && answer.err.contains("its rows are in EUR and USD"),
            "{}{}",
            answer.out,
            answer.err
        );
    }
}

#[test]
fn a_file_that_is_damaged_is_refused_and_nothing_gives_up() {
    let desk = Desk::new();
    let charges = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/billing/src/charges/fixtures/aws-focus12-00001.csv.gz");
    let mut bytes = std::fs::read(charges).unwrap();
    let half = bytes.len() / 2;
    bytes.truncate(half);
    // told by its bytes, whatever it is called
    desk.write("export.csv", &bytes);
    let said = desk.asked(&["export.csv"]);
    assert!(said.contains("cannot be read after row"), "{said}");
}

#[test]
fn decimal_commas_tabs_and_utf_16_are_read() {
    let header = "BilledCost;EffectiveCost;BillingCurrency;BillingAccountId;BillingPeriodStart;ChargeCategory;ServiceName;ProviderName\n";
    let rows = "1.234,50;1.234,50;EUR;acc-1;2026-10-01;Usage;Compute;Acme\n0,125;0,125;EUR;acc-1;2026-10-01;Usage;Compute;Acme\n";
    let text = format!("\u{feff}{header}{rows}");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let points = format!("{header}{rows}").replace("1.234,50", "1234.50").replace("0,125", "0.125");
    let expected = bills([("2026-10 acme acc-1", "1234.625 EUR allocated")]);
    for (name, bytes) in [
        ("comma.csv", text.into_bytes()),
        ("utf16.csv", utf16),
        ("tabs.tsv", points.replace(';', "\t").into_bytes()),
    ] {
        let desk = Desk::new();
        desk.write(name, &bytes);
        assert_eq!(desk.import(&[name]), expected, "{name}");
    }
    let desk = Desk::new();
    desk.write("thousands.csv", format!("{header}{}", rows.replace("1.234,50", "1,250")).as_bytes());
    let said = desk.asked(&["thousands.csv"]);
    assert!(said.contains("always with three digits after the comma"), "{said}");
}

#[test]
fn days_that_can_be_read_in_two_ways_are_asked_about() {
    let desk = Desk::new();
    let text = std::fs::read_to_string(desk.path().join(desk.case("azure/empty-period.csv"))).unwrap();
    desk.write("days.csv", text.replace("10/09/2026", "10/05/2026").as_bytes());
    let said = desk.asked(&["days.csv"]);
    assert!(said.contains("--dates month-first or --dates day-first"), "{said}");
    let months = |order: &str| {
        desk.import(&["days.csv", "--dates", order, "--dry-run"]).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(months("month-first"), ["2026-10 azure PRF-9"]);
    assert_eq!(months("day-first"), ["2026-05 azure PRF-9"]);
    // all parts of a bill are read in one order
    desk.import(&["days.csv", "--dates", "day-first"]);
    let part = std::fs::read_to_string(desk.path().join("days.csv")).unwrap();
    let part = part.replace("10/05/2026", "2026-05-20").replace("s-1", "s-3").replace("s-2", "s-4");
    desk.write("part.csv", part.as_bytes());
    let said = desk.asked(&["part.csv", "--add"]);
    assert!(said.contains("was brought with --dates day-first: add the part so"), "{said}");
    assert_eq!(
        desk.import(&["part.csv", "--add", "--dates", "day-first"]).values().collect::<Vec<_>>(),
        ["61.5 EUR allocated"]
    );
}

#[test]
fn an_atlas_invoice_comes_as_json_or_as_the_table_that_atlas_lets_people_download() {
    let desk = Desk::new();
    desk.write("i1.json", &super::invoice(5));
    let bill = bills([("2026-10 atlas o1", "0.05 USD allocated")]);
    assert_eq!(desk.import(&["i1.json", "--dry-run"]), bills([("2026-10 atlas o1", "0.05 USD preview")]));
    assert_eq!(desk.import(&["i1.json"]), bill);
    assert_eq!(desk.import(&["i1.json"]), bill);
    let rows = desk.run(&["cat", "allocations/atlas/o1/2026-10-i1.csv"]);
    assert!(rows.out.contains("'=alpha"), "{}", rows.out);

    // another number is another invoice; the same number with other content is asked about
    let mut next: serde_json::Value = serde_json::from_slice(&super::invoice(5)).unwrap();
    next["id"] = "i2".into();
    desk.write("i2.json", next.to_string().as_bytes());
    assert_eq!(desk.import(&["i2.json"]), bill);
    next["statusName"] = "PENDING".into();
    desk.write("i2.json", next.to_string().as_bytes());
    let said = desk.asked(&["i2.json"]);
    assert!(said.contains("o1 of atlas has the bill 'i2' (0.05 USD) of 2026-10 already"), "{said}");
    assert_eq!(desk.counted().len(), 2);
    let said = desk.asked(&["i2.json", "--add"]);
    assert!(said.contains("was fetched") || said.contains("one document"), "{said}");

    // the lines of an invoice as a table
    let table = "Invoice Number,i1\nBilling Period,\"October 1, 2026 - November 1, 2026\"\nOrganization ID,o1\n\nDate,SKU,Amount\n\
                 10/02/2026,X,0.05\n";
    desk.write("i1.csv", table.as_bytes());
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/atlas/invoice_2025-06.csv");
    let brought = desk.import(&[table.to_str().unwrap()]);
    assert_eq!(brought, bills([("2025-06 atlas 5f1a2b3c4d5e6f7081920a01", "1473.37 USD allocated")]));
    let said = desk.asked(&["i1.json", "i2.json", "i1.csv"]);
    assert!(said.contains("i1.json and i1.csv are the same invoice"), "{said}");
    // what is wrong with it is said before anything is kept
    let text = std::fs::read_to_string(&table).unwrap().replacen("72.0,0,38.88", "72.0,0,38.885", 1);
    desk.write("wrong.csv", text.as_bytes());
    let said = desk.asked(&["wrong.csv"]);
    assert!(said.contains("wrong.csv") && said.contains("'38.885' is not an amount of dollars"), "{said}");
}

/// A FOCUS export of Acme with rows of one account each.
fn focus(rows: &[(&str, &str, &str)]) -> Vec<u8> {
    let header = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId,ProviderName";
    let rows = rows.iter().map(|(account, sub_account, cost)| {
        format!("\n{cost},{cost},EUR,{account},2026-10-01,Usage,Compute,{sub_account},Acme")
    });
    format!("{header}{}\n", rows.collect::<String>()).into_bytes()
}

#[test]
fn an_answer_can_be_of_one_account_only() {
    let desk = Desk::new();
    desk.write("before.csv", &focus(&[("acc-1", "a", "50"), ("acc-2", "b", "100")]));
    desk.import(&["before.csv"]);
    // a restatement of one account, and a new account that happens to cost as much as another
    desk.write("after.csv", &focus(&[("acc-1", "a", "51"), ("acc-9", "c", "100")]));
    let said = desk.asked(&["after.csv"]);
    assert!(said.contains("--replace=ACCOUNT"), "{said}");
    let said = desk.asked(&["after.csv", "--replace"]);
    assert!(said.contains("acc-2 of acme has the bill") && !said.contains("acc-1 of acme has"), "{said}");
    assert!(desk.asked(&["after.csv", "--replace=acc-7"]).contains("of the account 'acc-7'"));
    assert_ne!(desk.run(&["import", "after.csv", "--replace", "--add"]).code, 0);
    desk.import(&["after.csv", "--replace", "--additional=acc-9"]);
    let counted = desk.counted();
    assert_eq!(
        counted,
        bills([
            ("2026-10 acme acc-1 import", "51"),
            ("2026-10 acme acc-2 import", "100"),
            ("2026-10 acme acc-9 import", "100")
        ])
    );
    // a part for one account, a first bill for another
    desk.write("more.csv", &focus(&[("acc-1", "z", "4"), ("acc-5", "q", "3")]));
    desk.import(&["more.csv", "--add"]);
    let counted = desk.counted();
    assert_eq!(
        (counted["2026-10 acme acc-1 import"].as_str(), counted["2026-10 acme acc-5 import"].as_str()),
        ("55", "3")
    );
}

#[test]
fn the_answers_are_the_command_as_it_was_typed() {
    let desk = Desk::new();
    desk.write("a.csv", &focus(&[("acc-1", "a", "50")]));
    desk.write("b.csv", &focus(&[("acc-1", "b", "60")]));
    desk.import(&["a.csv", "--provider", "Big Cloud", "--invoice", "G1"]);
    let said = desk.asked(&["b.csv", "--provider", "Big Cloud", "--invoice", "G2"]);
    for answer in ["--replace", "--add", "--additional"] {
        let command = format!("monthend import b.csv --provider 'Big Cloud' --invoice G2 {answer}\n");
        assert!(said.contains(&command), "{said}");
    }
    // under another provider's name nothing can be added to it
    let said = desk.asked(&["b.csv", "--provider", "other"]);
    assert!(said.contains("--replace") && !said.contains("--add\n"), "{said}");
}

#[test]
fn a_document_that_counts_makes_no_further_bill() {
    let desk = Desk::new();
    desk.write("a.csv", &focus(&[("acc-1", "a", "50")]));
    desk.write("b.csv", &focus(&[("acc-1", "b", "60")]));
    desk.import(&["a.csv", "b.csv"]);
    let said = desk.asked(&["a.csv", "--additional"]);
    assert!(said.contains("a.csv is a part of") && said.contains("a document counts once"), "{said}");
}

#[test]
fn exports_in_archives_and_in_other_packings_may_be_the_same_costs() {
    let desk = Desk::new();
    let text = focus(&[("acc-1", "a", "50")]);
    desk.write("a.csv", &text);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, &text).unwrap();
    desk.write("a.csv.gz", &packed.finish().unwrap());
    let said = desk.asked(&["a.csv", "a.csv.gz"]);
    assert!(said.contains("exported twice"), "{said}");
}

#[test]
fn a_folder_is_read_by_what_its_files_are() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path().join("month")).unwrap();
    desk.write("month/a.csv", &focus(&[("acc-1", "a", "50")]));
    desk.write("month/b.txt", &focus(&[("acc-1", "b", "7")]));
    desk.write("month/manifest.json", b"{\"files\": 2}");
    desk.write("month/.c.csv", b"x");
    let answer = desk.run(&["import", "month"]);
    assert!(
        answer.err.contains("manifest.json (it has no costs)") && answer.err.contains(".c.csv (hidden)"),
        "{}",
        answer.err
    );
    assert_eq!(desk.counted(), bills([("2026-10 acme acc-1 import", "57")]));
}

#[test]
fn what_is_held_for_good_can_be_cleared() {
    let desk = Desk::new();
    desk.write("a.csv", &focus(&[("acc-1", "a", "50")]));
    desk.import(&["a.csv"]);
    // a replacement that is held, and the decision for what counted before
    let bad = String::from_utf8(focus(&[("acc-1", "a", "60"), ("acc-1", "b", "1")]))
        .unwrap()
        .replace("\n1,1,", "\nx,1,");
    desk.write("bad.csv", bad.as_bytes());
    assert_eq!(desk.run(&["import", "bad.csv", "--replace"]).code, 3);
    assert_eq!(desk.run(&["status"]).code, 3);
    assert_eq!(desk.import(&["a.csv", "--replace"]).values().collect::<Vec<_>>(), ["50 EUR allocated"]);
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 0, "{}{}", status.out, status.err);
    // a part that counts, brought again, does not leave the others out
    desk.write("b.csv", &focus(&[("acc-1", "b", "7")]));
    desk.import(&["b.csv", "--add"]);
    assert_eq!(desk.run(&["import", "bad.csv", "--replace"]).code, 3);
    assert_eq!(desk.import(&["b.csv", "--add"]).values().collect::<Vec<_>>(), ["57 EUR allocated"]);
    assert_eq!(desk.run(&["status"]).code, 0);
    // an upload under a key that is not its account's
    desk.run(&["put", "a.csv", "raw/focus/acme/acc-3/2026-10/b/a.csv"]);
    assert_eq!(desk.run(&["status"]).code, 3);
    let withdrawn = desk.run(&["withdraw", "acme/acc-3/2026-10/b", "--reason", "a wrong key"]);
    assert_eq!(withdrawn.code, 0, "{}{}", withdrawn.out, withdrawn.err);
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 0, "{}{}", status.out, status.err);
}

/// A bucket that the version before wrote, when bills were named after their files.
#[test]
fn what_is_in_a_bucket_keeps_its_name() {
    let desk = Desk::new();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cases/bucket-before.tar.gz");
    let unpacked =
        std::process::Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(desk.path()).status();
    assert!(unpacked.unwrap().success());
    let before = bills([
        ("2026-09 nordwind-cloud acc-1 b1", "100"),
        ("2026-10 azure 8611537 cost-details", "60"),
        ("2026-10 nordwind-cloud acc-1 clean", "35.75"),
    ]);
    let keys = || desk.run(&["ls", "charges/"]).out.lines().filter(|line| line.contains("charges/")).count();
    assert_eq!((desk.counted(), keys()), (before.clone(), 3));
    // the same documents are there already, under their name
    desk.import(&[&desk.case("bom/clean.csv")]);
    assert_eq!((desk.counted(), keys()), (before.clone(), 3));
    // others take the place of a bill under the name that it has
    let focus = desk.case("twice/focus.csv");
    let said = desk.asked(&[&focus]);
    assert!(said.contains("has the bill 'cost-details' (60 EUR)"), "{said}");
    desk.import(&[&focus, "--replace"]);
    assert_eq!((desk.counted(), keys()), (before, 3));
}

#[test]
fn an_amount_with_too_many_digits_is_told_by_the_rehearsal_as_by_the_import() {
    let desk = Desk::new();
    desk.write(
        "long.csv",
        &focus(&[("acc-1", "a", "12345678901234567890123456789012345.5"), ("acc-1", "b", "1")]),
    );
    let run = |args: &[&str]| desk.run(&[&["import", "long.csv", "--format", "csv"], args].concat());
    let (rehearsed, imported) = (run(&["--dry-run"]), run(&[]));
    for answer in [rehearsed, imported] {
        assert_eq!(answer.code, 3, "{}{}", answer.out, answer.err);
        assert!(
            answer.err.contains("long.csv row 1: '12345678901234567890123456789012345.5'"),
            "{}",
            answer.err
        );
    }
}
