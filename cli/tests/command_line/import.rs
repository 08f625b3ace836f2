//! A file of bills is imported: each of them takes its own rows, once.

use std::collections::BTreeMap;

use super::Desk;

/// Two payers in one cost and usage report.
const TWO_PAYERS: &str = "line_item_unblended_cost,bill_payer_account_id,bill_billing_period_start_date,line_item_line_item_type,\
                          line_item_currency_code,line_item_usage_account_id,line_item_product_code\n\
                          10,1,2026-09-01T00:00:00.000Z,Usage,USD,1,AmazonS3\n\
                          5,2,2026-09-01T00:00:00.000Z,Usage,USD,2,AmazonS3\n";
/// Two providers under one billing account.
const TWO_PROVIDERS: &str = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,ProviderName\n\
                             1.5,1.5,USD,acc-1,2026-09-01,Usage,Compute,AWS\n\
                             7,7,USD,acc-1,2026-09-01,Usage,Warehouse,Databricks\n";

impl Desk {
    /// Imports a file; what each of its bills came to, by provider and account.
    fn import(&self, name: &str, content: &str) -> BTreeMap<String, String> {
        self.write(name, content.as_bytes());
        let answer = self.json(&["import", name]);
        let text = |row: &serde_json::Value, column: &str| row[column].as_str().unwrap().to_owned();
        let rows = answer.as_array().unwrap().iter();
        let bill =
            |row| (format!("{} {}", text(row, "provider"), text(row, "account")), text(row, "charges"));
        rows.map(bill).collect()
    }

    fn charges(&self) -> usize {
        self.run(&["ls", "charges/", "--format", "csv"]).out.lines().count() - 1
    }
}

fn bills<const N: usize>(bills: [(&str, &str); N]) -> BTreeMap<String, String> {
    BTreeMap::from(bills.map(|(bill, charges)| (bill.to_owned(), charges.to_owned())))
}

#[test]
fn a_report_with_several_accounts_is_booked_once() {
    let desk = Desk::new();
    assert_eq!(desk.import("report.csv", TWO_PAYERS), bills([("aws 1", "10"), ("aws 2", "5")]));
    assert_eq!(desk.charges(), 2);
}

#[test]
fn providers_with_the_same_billing_account_keep_their_own_rows() {
    let desk = Desk::new();
    let expected = bills([("aws acc-1", "1.5"), ("databricks acc-1", "7")]);
    assert_eq!(desk.import("both.csv", TWO_PROVIDERS), expected);

    let unnamed = TWO_PROVIDERS.replace(",Databricks", ",");
    desk.write("unnamed.csv", unnamed.as_bytes());
    let refused = desk.run(&["import", "unnamed.csv"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("some of its rows name no ProviderName"), "{}", refused.err);
}

#[test]
fn the_same_costs_under_another_name_are_not_counted_twice() {
    let desk = Desk::new();
    desk.import("september.csv", TWO_PAYERS);
    let corrected = TWO_PAYERS.replace("\n10,1", "\n11,1");
    desk.write("september-corrected.csv", corrected.as_bytes());
    let refused = desk.run(&["import", "september-corrected.csv"]);
    assert_eq!(refused.code, 1);
    let why = "1 of aws has a bill of 2026-09 already, named september: if the file replaces it, import it with --invoice 'september'";
    assert!(refused.err.contains(why), "{}", refused.err);
    let preview = desk.run(&["import", "september-corrected.csv", "--dry-run", "--format", "csv"]);
    assert_eq!(preview.code, 0);
    assert!(
        preview.err.contains(why) && !preview.out.contains("allocated"),
        "{}{}",
        preview.out,
        preview.err
    );
    assert_eq!(desk.charges(), 2);

    let replaced = desk.run(&["import", "september-corrected.csv", "--invoice", "september"]);
    assert_eq!(replaced.code, 0, "{}", replaced.err);
    assert_eq!(desk.charges(), 2);
    let further = desk.run(&["import", "september-corrected.csv", "--additional"]);
    assert_eq!(further.code, 0, "{}", further.err);
    assert_eq!(desk.charges(), 4);
}

#[test]
fn an_older_export_brought_back_says_that_it_does_not_count() {
    let desk = Desk::new();
    desk.import("both.csv", TWO_PROVIDERS);
    assert_eq!(desk.import("both.csv", &TWO_PROVIDERS.replace("\n7", "\n8"))["databricks acc-1"], "8");
    desk.write("both.csv", TWO_PROVIDERS.as_bytes());
    let back = desk.run(&["import", "both.csv"]);
    assert_eq!(back.code, 1, "{}", back.out);
    assert!(back.err.contains("has superseded them, so nothing was changed"), "{}", back.err);
}
