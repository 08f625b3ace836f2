use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use super::super::tests::{both_readings, held_for_its_currencies};
use super::*;
use crate::charges::{BillContext, Document, ReadError, Selection, Totals, add_up, write_charges};
use crate::money::{Amount, Decimal};

/// The recorded month of a Microsoft Customer Agreement, which the sandbox sends too.
fn recorded(name: &str) -> Arc<File> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../local/examples/azure");
    Arc::new(File::open(folder.join(name)).unwrap())
}

fn document(text: &str) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Arc::new(file)
}

fn selection(month: &str) -> Selection {
    Selection::all_of(month.parse().unwrap())
}

fn add(month: &str, key: &str, file: Arc<File>) -> Result<Totals, ReadError> {
    add_up(&Document { key, file }, &AzureCostDetails::ALONE[0], &selection(month), 1)
}

fn june() -> Totals {
    let mut totals = Totals::default();
    for name in ["part_0_0001.csv", "part_1_0001.csv"] {
        totals.merge(add("2025-06", name, recorded(name)).unwrap()).unwrap();
    }
    totals
}

fn day(text: &str) -> DateTime<Utc> {
    DateOrder::MonthFirst.day(text).unwrap()
}

fn amount(text: &str) -> Amount {
    Amount::parse(text.as_bytes()).unwrap()
}

#[test]
fn the_recorded_month_comes_to_its_control_totals() {
    let totals = june();
    assert_eq!((totals.rows, totals.held_rows), (63, 0), "{:?}", totals.held);
    assert_eq!(totals.all.billed, amount("152.039999999999990"));
    assert_eq!(totals.all.effective(), Some(totals.all.billed));
    assert_eq!(totals.currencies.keys().collect::<Vec<_>>(), [&"EUR"]);
    assert!(totals.elsewhere.is_empty());
    let invoices: Vec<_> = totals.invoices.keys().map(|id| id.as_deref().unwrap_or("none")).collect();
    assert_eq!(invoices, ["G012345678"]);
    let category = |name: &str| totals.categories[name].billed;
    assert_eq!((category("Purchase"), category("Credit")), (amount("91.93"), amount("-3.5")));
    assert_eq!(category("Adjustment"), amount("0.0012"));
    // of the rounding no subscription is named
    let account = |id: Option<&str>| totals.sub_accounts[&id.map(str::to_owned)].figures.billed;
    assert_eq!(account(None), amount("0.0012"));
    assert_eq!(account(Some("00000000-0000-0000-0000-0000000000a2")), amount("0.018399999999990"));
}

#[test]
fn its_charges_have_the_same_sums_by_resource_group() {
    let period = Period { start: day("06/01/2025"), end: day("07/01/2025") };
    let context =
        BillContext { billing_account: "x", period, sub_account_names: &std::collections::BTreeMap::new() };
    let mut groups: BTreeMap<String, Decimal> = BTreeMap::new();
    for name in ["part_0_0001.csv", "part_1_0001.csv"] {
        let document = Document { key: name, file: recorded(name) };
        let written = write_charges(
            &document,
            &AzureCostDetails::ALONE[0],
            &selection("2025-06"),
            std::slice::from_ref(&context),
            &mut |_, charge| {
                let resource = charge.resource_id.as_deref().unwrap_or_default();
                let group = resource.split('/').skip_while(|part| *part != "resourceGroups").nth(1);
                *groups.entry(group.unwrap_or_default().to_owned()).or_default() += charge.billed_cost;
                assert_eq!((charge.charge_period.end - charge.charge_period.start).num_days(), 1);
                assert_eq!(charge.billing_period, period);
                assert_eq!(charge.billing_account_id, "AAAA-BBBB-CCC-DDD");
                Ok(())
            },
        );
        assert_eq!(written.unwrap().held, []);
    }
    let groups: Vec<_> =
        groups.iter().map(|(group, sum)| (group.as_str(), sum.normalize().to_string())).collect();
    let expected = [("", "91.9312"), ("rg-data", "0.01839999999999"), ("rg-pay", "60.0904")];
    assert_eq!(groups, expected.map(|(group, sum)| (group, sum.to_owned())));
}

const ENTERPRISE: &str = "BillingAccountId,BillingAccountName,BillingPeriodStartDate,BillingPeriodEndDate,BillingProfileId,\
    SubscriptionId,SubscriptionName,Date,Product,PartNumber,MeterId,ServiceFamily,MeterCategory,MeterName,Quantity,\
    EffectivePrice,Cost,UnitPrice,BillingCurrency,ResourceLocation,ConsumedService,ResourceId,Tags,UnitOfMeasure,ReservationId,\
    ReservationName,PublisherName,ChargeType,Frequency,PublisherType,PayGPrice,PricingModel,benefitId,benefitName\r\n";

/// A row of an enrollment.
fn enterprise(cost: &str, tags: &str, charge_type: &str, model: &str) -> String {
    let tags = tags.replace('"', "\"\"");
    format!(
        "1234567,Example,09/01/2023,09/30/2023,1234567,s1,Sub,09/21/2023,VM B1s,AAA-1,m1,Compute,Virtual Machines,B1s,2,\
         1.5,{cost},1.5,USD,uksouth,Microsoft.Compute,/subscriptions/s1/resourceGroups/g/providers/Microsoft.Compute/vms/vm1,\
         \"{tags}\",1 Hour,r1,RI,,{charge_type},Recurring,Azure,2,{model},b1,Benefit\r\n"
    )
}

/// The charges of one row.
fn charge_of<T>(text: &str, look: impl Fn(&Charge<'_>) -> T) -> T {
    let period = Period { start: day("09/01/2023"), end: day("10/01/2023") };
    let context =
        BillContext { billing_account: "x", period, sub_account_names: &std::collections::BTreeMap::new() };
    let document = Document { key: "x.csv", file: document(text) };
    let mut looked = None;
    let written = write_charges(
        &document,
        &AzureCostDetails::ALONE[0],
        &selection("2023-09"),
        std::slice::from_ref(&context),
        &mut |_, charge| {
            looked = Some(look(charge));
            Ok(())
        },
    );
    assert_eq!(written.unwrap().held, []);
    looked.unwrap()
}

#[test]
fn rows_of_an_enrollment_are_understood_to_their_last_digit() {
    let tag = r#""env": "prod","team": "x""#;
    let rows = [
        enterprise("0.0000000072922557592391990000", tag, "Usage", "OnDemand"),
        enterprise("0.161000000000000136", "", "Usage", "OnDemand"),
        enterprise("3.25", "{\"team\": \"x\"}", "Purchase", "Reservation"),
        enterprise("1.04E-4", "", "UnusedSavingsPlan", "SavingsPlan"),
        enterprise("-0.5", "", "SomethingNew", "Other"),
    ];
    let text = format!("\u{feff}{ENTERPRISE}{}", rows.concat());
    let totals = add("2023-09", "ea.csv", document(&text)).unwrap();
    assert_eq!((totals.rows, totals.held_rows), (5, 0), "{:?}", totals.held);
    assert_eq!(totals.all.billed, amount("2.911104007292255895239199"));
    assert_eq!(totals.tags.get("team").unwrap()["x"].charges, 2);
    assert_eq!(totals.categories.len(), 3);
    assert_eq!(totals.invoices.keys().collect::<Vec<_>>(), [&None]);
    assert_eq!(totals.services.keys().collect::<Vec<_>>(), [&("Compute", "Virtual Machines".to_owned())]);
}

#[test]
fn commitments_and_prices_are_told_apart() {
    let told = |charge_type: &str, model: &str| {
        charge_of(&format!("{ENTERPRISE}{}", enterprise("3", "", charge_type, model)), |charge| {
            let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
            [
                text(&charge.pricing_category),
                text(&charge.commitment_discount_id),
                text(&charge.commitment_discount_category),
                text(&charge.commitment_discount_status),
                charge.charge_frequency.as_str().to_owned(),
            ]
        })
    };
    assert_eq!(told("Usage", "OnDemand"), ["Standard", "-", "-", "-", "Recurring"]);
    assert_eq!(told("Purchase", "Reservation"), ["Committed", "b1", "Usage", "-", "Recurring"]);
    assert_eq!(told("UnusedReservation", "Reservation"), ["Committed", "b1", "Usage", "Unused", "Recurring"]);
    assert_eq!(told("Usage", "SavingsPlan"), ["Committed", "b1", "Spend", "Used", "Recurring"]);
    charge_of(&format!("{ENTERPRISE}{}", enterprise("3", "", "Usage", "OnDemand")), |charge| {
        assert_eq!(charge.resource_type.as_deref(), Some("Microsoft.Compute/vms"));
        assert_eq!(charge.resource_name.as_deref(), Some("vm1"));
        assert_eq!(charge.contracted_unit_price.unwrap().to_string(), "1.5");
        assert_eq!(
            (charge.consumed_quantity.unwrap().to_string(), charge.list_cost.to_string()),
            ("2".into(), "3".into())
        );
        assert_eq!(charge.publisher_name, "Microsoft");
    });
    let in_dollars = format!("PricingCurrency,{ENTERPRISE}EUR,{}", enterprise("3", "", "Usage", "OnDemand"));
    assert_eq!(charge_of(&in_dollars, |charge| charge.contracted_unit_price), None);
}

#[test]
fn what_cannot_be_a_charge_is_named() {
    let row = |from: &str, to: &str| enterprise("1", "", "Usage", "OnDemand").replace(from, to);
    let rows = [
        row(",1,1.5,USD", ",,1.5,USD"),
        row(",1,1.5,USD", ",a lot,1.5,USD"),
        row("USD", "DOLLARS"),
        row("09/01/2023", "31.9.2023"),
        enterprise("1", "{broken", "Usage", "OnDemand"),
    ];
    let totals = add("2023-09", "ea.csv", document(&format!("{ENTERPRISE}{}", rows.concat()))).unwrap();
    let named: Vec<String> = totals.held.iter().map(ToString::to_string).collect();
    assert_eq!(named[0], "ea.csv row 1: CostInBillingCurrency or Cost or PreTaxCost is empty");
    assert_eq!(named[1], "ea.csv row 2: 'a lot' is not a decimal number");
    assert_eq!(named[2], "ea.csv row 3: 'DOLLARS' is no ISO 4217 currency");
    assert_eq!(named[3], "ea.csv row 4: BillingPeriodStartDate '31.9.2023' is not understood");
    // tags are no money
    assert_eq!((named.len(), totals.unread_tags.figures.charges), (4, 1));
}

#[test]
fn days_are_written_the_american_way_or_the_standard_one() {
    struct Period<'t>(Option<&'t str>);
    impl Texts for Period<'_> {
        fn text(&self, column: usize) -> Option<&str> {
            match column {
                PERIOD_START => Some("06/01/2025"),
                PERIOD_END => self.0,
                _ => None,
            }
        }
    }
    let end = |text: Option<&str>| {
        let period = AzureCostDetails::default().period(&Period(text));
        period.map(|(period, month)| (period.end.to_string(), month.to_string()))
    };
    for text in [Some("06/30/2025"), Some("2025-06-30"), Some("2025-06-30T00:00:00Z"), None] {
        assert_eq!(end(text), Ok(("2025-07-01 00:00:00 UTC".to_owned(), "2025-06".to_owned())));
    }
    assert!(end(Some("30.06.2025")).is_err());
    assert!(end(Some("07/15/2025")).unwrap_err().contains("no calendar month"));
}

#[test]
fn small_amounts_are_read_as_azure_writes_them() {
    let rows = ["6.035e-07", "7.6E-5"].map(|cost| enterprise(cost, "", "Usage", "OnDemand")).concat();
    let totals = add("2023-09", "ea.csv", document(&format!("{ENTERPRISE}{rows}"))).unwrap();
    assert_eq!((totals.held_rows, totals.all.billed), (0, amount("0.0000766035")));
}

#[test]
fn a_quantity_that_cannot_be_stated_holds_no_row() {
    let row = enterprise("3", "", "Usage", "OnDemand")
        .replace("B1s,2,", "B1s,2.9e21,")
        .replace(",1.5,USD", ",N/A,USD");
    charge_of(&format!("{ENTERPRISE}{row}"), |charge| {
        assert_eq!((charge.consumed_quantity, charge.pricing_quantity), (None, None));
        assert_eq!((charge.contracted_unit_price, charge.billed_cost.to_string()), (None, "3".to_owned()));
    });
}

#[test]
fn two_currencies_in_one_bill_hold_it() {
    let dollars = enterprise("3", "", "Usage", "OnDemand");
    let rows = format!("{ENTERPRISE}{dollars}{}", dollars.replace("USD", "EUR"));
    let totals = add("2023-09", "ea.csv", document(&rows)).unwrap();
    held_for_its_currencies(totals);
}

/// Whether a report has actual or amortized costs, it does not say: of what draws on a commitment the two differ.
#[test]
fn of_one_report_alone_nobody_knows_what_commitments_cost_when_they_are_spread() {
    let rows = [
        ("Usage", "OnDemand"),
        ("Usage", "Reservation"),
        ("Usage", "SavingsPlan"),
        ("UnusedSavingsPlan", "SavingsPlan"),
        ("Purchase", "Reservation"),
        ("Refund", "Reservation"),
        ("Purchase", "OnDemand"),
    ];
    let text = rows.map(|(charge_type, model)| enterprise("3", "", charge_type, model)).concat();
    let text = format!("{ENTERPRISE}{text}");
    let (totals, told) = both_readings(&AzureCostDetails::ALONE[0], "2023-09", &text, |charge| {
        assert_eq!(charge.contracted_cost, charge.billed_cost);
        charge.effective_cost.is_some()
    });
    assert_eq!(told, [true, false, false, false, false, false, true]);
    assert_eq!((totals.all.unstated(), totals.all.effective()), (5, None));
    assert!(!totals.is_amortised_missing);
    for report in [&AzureCostDetails::BILLED[0], &AzureCostDetails::AMORTIZED[0]] {
        let document = Document { key: "x.csv", file: document(&text) };
        assert_eq!(add_up(&document, report, &selection("2023-09"), 1).unwrap().all.unstated(), 0);
    }
}

#[test]
fn prices_stand_in_the_currency_of_the_price_list_too() {
    let row = enterprise("3", "", "Usage", "OnDemand");
    let told = |text: &str| {
        charge_of(text, |charge| {
            let price = |price: Option<Decimal>| price.map_or("-".to_owned(), |price| price.to_string());
            let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
            let further = &charge.further;
            [
                text(&further.sku_meter),
                text(&further.pricing_currency),
                price(further.pricing_currency_contracted_unit_price),
                price(further.pricing_currency_list_unit_price),
            ]
        })
    };
    assert_eq!(told(&format!("PricingCurrency,{ENTERPRISE}EUR,{row}")), ["B1s", "EUR", "1.5", "2"]);
    assert_eq!(told(&format!("{ENTERPRISE}{row}")), ["B1s", "-", "-", "-"]);
}
