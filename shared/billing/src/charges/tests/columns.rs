//! Columns as programs really write them: of other types, without values, with numbers that are none.

use std::collections::BTreeMap;

use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, BinaryArray, Decimal128Array, Decimal256Array, DictionaryArray, FixedSizeBinaryArray,
    Float64Array, Int8Array, Int16Array, Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray,
    StructArray, UInt8Array, UInt16Array,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, Field};

use super::*;
use crate::charge::{Charge, Period};
use crate::keys::InvoiceKey;
use crate::money::Amount;

type Column = (&'static str, ArrayRef);

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn nothing() -> ArrayRef {
    Arc::new(NullArray::new(2))
}

/// An export of two rows, with these columns in the place of its own or beside them.
fn export(columns: Vec<Column>) -> Arc<File> {
    let mut all: BTreeMap<&str, ArrayRef> = BTreeMap::from([
        ("BilledCost", Arc::new(Float64Array::from(vec![1.5, 2.25])) as ArrayRef),
        ("EffectiveCost", Arc::new(Float64Array::from(vec![1.5, 2.25]))),
        ("BillingCurrency", texts(&["USD", "USD"])),
        ("BillingAccountId", texts(&["a", "a"])),
        ("BillingPeriodStart", texts(&["2025-06-01", "2025-06-01"])),
        ("ChargeCategory", texts(&["Usage", "Usage"])),
        ("ServiceName", texts(&["S", "S"])),
    ]);
    all.extend(columns);
    let batch =
        RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    document(&writer.into_inner().unwrap())
}

fn read(columns: Vec<Column>) -> Totals {
    let totals = add_up_focus("x/export.parquet", export(columns)).unwrap();
    assert_eq!((totals.rows, &totals.held), (2, &vec![]));
    assert_eq!(totals.all.billed.to_string(), "3.75");
    totals
}

fn refused(column: Column) -> String {
    add_up_focus("x/export.parquet", export(vec![column])).unwrap_err().to_string()
}

/// What `pick` tells of each charge, and what was written.
fn write<T>(key: &str, file: Arc<File>, pick: impl Fn(&Charge<'_>) -> T) -> (Vec<T>, Written) {
    let names = BTreeMap::new();
    let period = Period {
        start: "2025-06-01T00:00:00Z".parse().unwrap(),
        end: "2025-07-01T00:00:00Z".parse().unwrap(),
    };
    let bill = BillContext { billing_account: "a", period, sub_account_names: &names };
    let mut told = Vec::new();
    let written = write_charges(
        &Document { key, file },
        &Focus,
        &june(),
        std::slice::from_ref(&bill),
        &mut |_, charge| {
            told.push(pick(charge));
            Ok(())
        },
    );
    (told, written.unwrap())
}

/// Polars gives this type to every column that has no value.
#[test]
fn a_column_of_nothing_but_nulls_is_read() {
    let columns =
        ["ChargeClass", "SubAccountId", "InvoiceId", "Tags", "ResourceId", "ListCost", "PricingQuantity"];
    let columns = || columns.into_iter().map(|name| (name, nothing())).collect::<Vec<_>>();
    let totals = read(columns());
    assert_eq!(totals.sub_accounts.keys().collect::<Vec<_>>(), [&None]);
    let told = write("x.parquet", export(columns()), |charge| {
        (
            charge.resource_id.clone().map(std::borrow::Cow::into_owned),
            charge.list_cost.to_string(),
            charge.pricing_quantity,
        )
    });
    assert_eq!(told.0, [(None, "1.5".to_owned(), None), (None, "2.25".to_owned(), None)]);
    assert_eq!(told.1.bills[0].figures, totals.all);
    let required = add_up_focus("x.parquet", export(vec![("ServiceName", nothing())])).unwrap();
    assert_eq!(required.held[1].to_string(), "x.parquet row 2: ServiceName is empty");
}

#[test]
fn texts_may_be_numbers_bytes_or_codes() {
    let long = DictionaryArray::<UInt32Type>::try_new(
        vec![0, 1].into(),
        Arc::new(LargeStringArray::from(vec!["one", "two"])),
    );
    let whole = Decimal128Array::from(vec![1, 2]).with_precision_and_scale(12, 0).unwrap();
    let accounts: [(ArrayRef, [&str; 2]); 8] = [
        (Arc::new(Int8Array::from(vec![1, 2])), ["1", "2"]),
        (Arc::new(Int16Array::from(vec![1, 2])), ["1", "2"]),
        (Arc::new(UInt8Array::from(vec![1, 2])), ["1", "2"]),
        (Arc::new(UInt16Array::from(vec![1, 2])), ["1", "2"]),
        (Arc::new(Int64Array::from(vec![1, 2])), ["1", "2"]),
        (Arc::new(whole), ["1", "2"]),
        (Arc::new(BinaryArray::from(vec![b"one".as_slice(), b"two"])), ["one", "two"]),
        (Arc::new(long.unwrap()), ["one", "two"]),
    ];
    for (array, ids) in accounts {
        let kind = array.data_type().to_string();
        let totals = read(vec![("SubAccountId", array.clone()), ("ConsumedQuantity", array.clone())]);
        let billed = ids.map(|id| totals.sub_accounts[&Some(id.to_owned())].figures.billed.to_string());
        assert_eq!(billed, ["1.5", "2.25"], "{kind}");
        // as a text that differs from row to row, too
        let (told, _) = write("x.parquet", export(vec![("ResourceId", array)]), |charge| {
            charge.resource_id.as_deref().unwrap_or_default().to_owned()
        });
        assert_eq!(told, ids, "{kind}");
    }
}

#[test]
fn tags_may_be_a_struct_or_a_list_of_key_and_value() {
    let optional = |values: [Option<&str>; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
    // a field for every key that any row has
    let parts = StructArray::from(vec![
        (field("env"), optional([None, Some("prod")])),
        (field("team"), optional([Some("x"), Some("x")])),
    ]);
    let pair = StructBuilder::from_fields(
        vec![Field::new("key", DataType::Utf8, true), Field::new("value", DataType::Utf8, true)],
        2,
    );
    let mut list = ListBuilder::new(pair);
    for row in [&[("team", "x")][..], &[("env", "prod"), ("team", "x")]] {
        for (key, value) in row {
            let pair = list.values();
            pair.field_builder::<StringBuilder>(0).unwrap().append_value(key);
            pair.field_builder::<StringBuilder>(1).unwrap().append_value(value);
            pair.append(true);
        }
        list.append(true);
    }
    for tags in [Arc::new(parts) as ArrayRef, Arc::new(list.finish())] {
        let totals = read(vec![("Tags", tags)]);
        let billed = |key: &str, value: &str| totals.tags.get(key).unwrap()[value].billed.to_string();
        assert_eq!((billed("team", "x"), billed("env", "prod")), ("3.75".into(), "2.25".into()));
        assert_eq!(totals.tags.get("env").unwrap().len(), 1);
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_the_name_of_its_column() {
    let wide = Decimal256Array::from(vec![i256::from_i128(1), i256::from_i128(2)]);
    let fixed = FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].into_iter()).unwrap();
    let start = "the document cannot be read after row 0: column ";
    for (column, expected) in [
        (
            ("SubAccountId", Arc::new(Float64Array::from(vec![1.0, 2.0])) as ArrayRef),
            "SubAccountId: its type Float64",
        ),
        (("ServiceName", Arc::new(fixed)), "ServiceName: its type FixedSizeBinary(2)"),
        (("BilledCost", Arc::new(wide)), "BilledCost: its type Decimal256(76, 10)"),
    ] {
        assert_eq!(refused(column), format!("{start}{expected} cannot be read as text"));
    }
    let broken = refused(("SubAccountId", Arc::new(BinaryArray::from(vec![b"\xff".as_slice(), b"b"]))));
    assert_eq!(broken, format!("{start}SubAccountId: a cell is not UTF-8"));
}

#[test]
fn texts_of_parquet_are_trimmed_as_those_of_csv() {
    let totals = read(vec![
        ("BilledCost", texts(&[" 1.50 ", "2.25\t"])),
        ("SubAccountId", texts(&["one ", " one"])),
        ("EffectiveCost", texts(&[" 1.5", "2.25 "])),
    ]);
    assert_eq!(totals.sub_accounts.keys().collect::<Vec<_>>(), [&Some("one".to_owned())]);
}

const HEADER: &str = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,\
                      ListCost,ConsumedQuantity,ListUnitPrice,ChargePeriodStart\n";

fn row(list_cost: &str, quantity: &str, price: &str, start: &str) -> String {
    format!("1,1,USD,a,2025-06-01,Usage,S,{list_cost},{quantity},{price},{start}\n")
}

#[test]
fn a_quantity_that_cannot_be_stated_holds_no_row() {
    let rows = [
        row("2", "2.9e21", "N/A", ""),
        row("2", "3", "0.1", ""),
        // more digits than a decimal holds: rounded
        row("2", "98765678901.1234567890123456789", "1", ""),
        // of another bill
        row("2", "NaN", "1", "").replace("2025-06", "2025-07"),
    ];
    let file = document(format!("{HEADER}{}", rows.concat()).as_bytes());
    let (told, written) = write("x.csv", file, |charge| {
        let text = |number: Option<rust_decimal::Decimal>| number.map_or("-".to_owned(), |it| it.to_string());
        [text(charge.consumed_quantity), text(charge.list_unit_price)]
    });
    assert_eq!(told, [["-", "-"], ["3", "0.1"], ["98765678901.12345678901234568", "1"]]);
    assert_eq!((&written.held, written.bills[0].quantities_not_stated), (&vec![], 2));

    let quantities = Arc::new(Float64Array::from(vec![f64::NAN, 7.0]));
    let file = export(vec![("ConsumedQuantity", quantities), ("ListUnitPrice", texts(&["N/A", "free"]))]);
    let (told, written) =
        write("x.parquet", file, |charge| charge.consumed_quantity.map(|it| it.to_string()));
    assert_eq!(told, [None, Some("7".to_owned())]);
    assert_eq!((&written.held, written.bills[0].quantities_not_stated), (&vec![], 3));
}

#[test]
fn what_is_said_beforehand_is_what_holds_a_bill() {
    let rows =
        [row("2", "N/A", "1", ""), row("N/A", "1", "1", ""), row("2", "1", "1", "June"), row("", "", "", "")];
    let file = document(format!("{HEADER}{}", rows.concat()).as_bytes());
    let expected = [
        "x.csv row 2: 'N/A' is not a decimal number",
        "x.csv row 3: ChargePeriodStart 'June' is not understood",
    ];
    let document = Document { key: "x.csv", file: file.clone() };
    let before = bills(&document, &Focus, 2).unwrap();
    assert_eq!(before.held.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    assert_eq!(before.elsewhere.values().map(|figures| figures.charges).sum::<u64>(), 2);
    let (told, written) = write("x.csv", file, |_| ());
    assert_eq!(written.held.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    assert_eq!((told.len(), written.held_rows), (2, 2));
}

#[test]
fn a_thousand_bad_rows_are_named() {
    let text = format!("{HEADER}{}", row("2", "1", "1", "").replace("1,1,USD", "x,1,USD").repeat(1_500));
    let totals = add_up_focus("x/x.csv", document(text.as_bytes())).unwrap();
    assert_eq!((totals.held.len(), totals.held_rows), (1_000, 1_500));
}

/// The columns of an export of AWS in version 1.0, and a row of it.
#[test]
fn an_export_of_aws_in_version_1_0_is_read() {
    let columns = "AvailabilityZone,BilledCost,BillingAccountId,BillingAccountName,BillingCurrency,BillingPeriodEnd,\
        BillingPeriodStart,ChargeCategory,ChargeClass,ChargeDescription,ChargeFrequency,ChargePeriodEnd,ChargePeriodStart,\
        CommitmentDiscountCategory,CommitmentDiscountId,CommitmentDiscountName,CommitmentDiscountStatus,CommitmentDiscountType,\
        ConsumedQuantity,ConsumedUnit,ContractedCost,ContractedUnitPrice,EffectiveCost,InvoiceIssuerName,ListCost,ListUnitPrice,\
        PricingCategory,PricingQuantity,PricingUnit,ProviderName,PublisherName,RegionId,RegionName,ResourceId,ResourceName,\
        ResourceType,ServiceCategory,ServiceName,SkuId,SkuPriceId,SubAccountId,SubAccountName,Tags,x_CostCategories,x_Discounts,\
        x_Operation,x_ServiceCode,x_UsageType";
    let row = "use1-az1,6.035e-07,111122223333,payer,USD,2024-10-01T00:00Z,2024-09-01T00:00Z,Usage,,\"$0.10 per GB, first\",\
        Usage-Based,2024-09-02T01:00Z,2024-09-02T00:00Z,,,,,,1.5E-5,GB-Hours,0.0000006035,0.1,6.035e-07,\
        \"Amazon Web Services, Inc.\",6.035e-07,0.1,Standard,0.000015,GB-Hours,AWS,\"Amazon Web Services, Inc.\",us-east-1,\
        US East (N. Virginia),arn:aws:s3:::b,,,Storage,Amazon Simple Storage Service,SKU1,SKU1.1,222233334444,shop,\
        \"{\"\"user:team\"\": \"\"x\"\"}\",\"{\"\"Product\"\": \"\"Shop\"\"}\",{},PutObject,AmazonS3,USE1-Requests";
    let file = document(format!("{columns}\n{row}\n").as_bytes());
    let invoice = InvoiceKey {
        provider: Provider::aws(),
        billing_account: BillingAccountId::new("111122223333").unwrap(),
        period: "2024-09".parse().unwrap(),
        invoice_id: InvoiceId::new("x").unwrap(),
    };
    let selection = Selection::only([&invoice]);
    let totals = add_up(&Document { key: "x.csv", file: file.clone() }, &Focus, &selection, 1).unwrap();
    assert_eq!((&totals.held, totals.all.billed.to_string()), (&vec![], "0.0000006035".to_owned()));
    assert_eq!(totals.sub_accounts[&Some("222233334444".into())].name.as_deref(), Some("shop"));
    assert_eq!(
        totals.services.keys().collect::<Vec<_>>(),
        [&("Storage", "Amazon Simple Storage Service".to_owned())]
    );
    assert_eq!(totals.tags.get("user:team").unwrap()["x"].charges, 1);
    assert_eq!(totals.invoices.keys().collect::<Vec<_>>(), [&None]);
    let names = BTreeMap::new();
    let period = Period { start: invoice.period.start(), end: invoice.period.end() };
    let bill = BillContext { billing_account: "", period, sub_account_names: &names };
    let written = write_charges(
        &Document { key: "x.csv", file },
        &Focus,
        &selection,
        std::slice::from_ref(&bill),
        &mut |_, charge| {
            assert_eq!(charge.charge_period.start.to_rfc3339(), "2024-09-02T00:00:00+00:00");
            assert_eq!(charge.charge_period.end.to_rfc3339(), "2024-09-02T01:00:00+00:00");
            assert_eq!(charge.billing_period, period);
            assert_eq!(charge.consumed_quantity.unwrap().to_string(), "0.000015");
            Ok(())
        },
    );
    let written = written.unwrap();
    assert_eq!((written.bills[0].figures.charges, written.bills[0].quantities_not_stated), (1, 0));
}

/// Of columns that mean the same each row takes the first that it fills, whatever the file is.
#[test]
fn each_row_takes_the_first_column_that_it_fills() {
    let some = |values: [Option<&str>; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let parquet = export(vec![
        ("InvoiceId", some([None, Some("I-2")])),
        ("x_InvoiceId", some([Some("x-1"), Some("x-2")])),
    ]);
    let csv = document(
        b"BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,x_InvoiceId,InvoiceId\n\
          1.5,1.5,USD,a,2025-06-01,Usage,S,x-1,\n2.25,2.25,USD,a,2025-06-01,Usage,S,x-2,I-2\n",
    );
    for file in [parquet, csv] {
        let totals = add_up_focus("x/export", file).unwrap();
        let mut invoices: Vec<_> =
            totals.invoices.iter().map(|(id, figures)| (id.clone(), figures.billed.to_string())).collect();
        invoices.sort();
        assert_eq!(
            invoices,
            [(Some("I-2".to_owned()), "2.25".to_owned()), (Some("x-1".to_owned()), "1.5".to_owned())]
        );
    }
}

/// Cost and currency are taken from one pair of columns; a row never takes an amount of another currency.
#[test]
fn an_amount_and_its_currency_are_of_one_pair() {
    let rows =
        [("1.5", "EUR", "9", "EUR"), ("", "", "9", "USD"), ("", "EUR", "9", "USD"), ("", "EUR", "7", "EUR")];
    let text = |at: fn(&(&'static str, &'static str, &'static str, &'static str)) -> &'static str| {
        Arc::new(StringArray::from_iter(rows.iter().map(|row| Some(at(row)).filter(|text| !text.is_empty()))))
            as ArrayRef
    };
    let same = |value: &str| Arc::new(StringArray::from(vec![value; 4])) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("CostInBillingCurrency", text(|row| row.0)),
        ("BillingCurrency", text(|row| row.1)),
        ("PreTaxCost", text(|row| row.2)),
        ("Currency", text(|row| row.3)),
        ("BillingAccountId", same("a")),
        ("BillingPeriodStartDate", same("2025-06-01")),
        ("BillingPeriodEndDate", same("2025-06-30")),
        ("Date", same("2025-06-02")),
        ("ChargeType", same("Usage")),
        ("SubscriptionId", same("s")),
        ("MeterCategory", same("Storage")),
    ];
    let header = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
    let csv = rows.iter().map(|(cost, currency, other, of)| {
        format!("{cost},{currency},{other},{of},a,2025-06-01,2025-06-30,2025-06-02,Usage,s,Storage\n")
    });
    let csv = document(format!("{header}\n{}", csv.collect::<String>()).as_bytes());
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    );
    let batch = batch.unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let parquet = document(&writer.into_inner().unwrap());
    for file in [csv, parquet] {
        let document = Document { key: "ea", file };
        let totals = add_up(&document, &AzureCostDetails::ALONE[0], &june(), 1).unwrap();
        let billed = |code: &str| totals.currencies[code].billed.to_string();
        assert_eq!((billed("EUR"), billed("USD")), ("8.5".into(), "9".into()));
        let why = "ea row 3: CostInBillingCurrency is empty, and PreTaxCost is in another currency than BillingCurrency says";
        assert_eq!(totals.held.iter().map(ToString::to_string).collect::<Vec<_>>(), [why]);
    }
}

/// Columns that are only kept, with a value each; those in numbers too.
const KEPT: [(&str, &str); 23] = [
    ("SkuMeter", "Compute Hours"),
    ("SkuPriceDetails", r#"{"CoreCount":4}"#),
    ("PricingCurrency", "EUR"),
    ("PricingCurrencyContractedUnitPrice", "0.5"),
    ("PricingCurrencyEffectiveCost", "1.25"),
    ("PricingCurrencyListUnitPrice", "0.75"),
    ("CommitmentDiscountQuantity", "24"),
    ("CommitmentDiscountUnit", "Hours"),
    ("CapacityReservationId", "cr-1"),
    ("CapacityReservationStatus", "Unused"),
    ("ServiceSubcategory", "Virtual Machines"),
    ("SubAccountType", "Project"),
    ("BillingAccountType", "Profile"),
    ("HostProviderName", "AWS"),
    ("ServiceProviderName", "Nordwind Cloud"),
    ("ContractApplied", r#"{"Elements":[{"ContractId":"c-1"}]}"#),
    ("CommitmentProgramEligibilityDetails", r#"{"Programs":[]}"#),
    ("InvoiceDetailId", "I-1/7"),
    ("AllocatedMethodId", "cpu"),
    ("AllocatedMethodDetails", r#"{"Elements":[{"AllocatedRatio":0.6}]}"#),
    ("AllocatedResourceId", "pod-a"),
    ("AllocatedResourceName", "a"),
    ("AllocatedTags", r#"{"team":"blue"}"#),
];

/// Each column stands in the file of charges under its own name, as it came.
#[test]
fn what_a_charge_says_further_is_kept() {
    let base =
        [("BilledCost", "1"), ("EffectiveCost", "1"), ("BillingCurrency", "USD"), ("BillingAccountId", "a")];
    let more = [("BillingPeriodStart", "2025-06-01"), ("ChargeCategory", "Usage"), ("ServiceName", "S")];
    let columns: Vec<(&str, &str)> = base.into_iter().chain(more).chain(KEPT).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(columns.iter().map(|(name, _)| name)).unwrap();
    csv.write_record(columns.iter().map(|(_, value)| value)).unwrap();
    csv.write_record(columns.iter().enumerate().map(|(at, (_, value))| if at < 7 { value } else { "" }))
        .unwrap();
    let file = std::sync::Mutex::new(crate::charge::ChargesFile::create(&[]).unwrap());
    let (told, _) = write("x.csv", document(&csv.into_inner().unwrap()), |charge| {
        file.lock().unwrap().push(charge).unwrap();
        charge.further.clone() == crate::charge::Further::default()
    });
    assert_eq!(told, [false, true]);
    let bytes = bytes::Bytes::from(file.into_inner().unwrap().finish().unwrap());
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    for (name, value) in KEPT {
        let column = batch.column_by_name(name).unwrap();
        assert!(column.is_null(1), "{name}");
        match column.as_any().downcast_ref::<StringArray>() {
            Some(texts) => assert_eq!(texts.value(0), value, "{name}"),
            None => {
                let units = column.as_any().downcast_ref::<Decimal128Array>().unwrap().value(0);
                assert_eq!(Amount::scaled(units, 18).unwrap().to_string(), value, "{name}");
            }
        }
    }
}

/// No cost hangs on it: a program may write it as whatever it likes.
#[test]
fn what_is_only_kept_refuses_no_document() {
    let field = Arc::new(Field::new("ContractId", DataType::Utf8, true));
    let mut contracts = ListBuilder::new(StructBuilder::from_fields(vec![field], 2));
    for row in 0..2 {
        if row == 0 {
            contracts.values().field_builder::<StringBuilder>(0).unwrap().append_value("c-1");
            contracts.values().append(true);
        }
        contracts.append(row == 0);
    }
    let columns = vec![
        ("ContractApplied", Arc::new(contracts.finish()) as ArrayRef),
        ("InvoiceDetailId", Arc::new(Float64Array::from(vec![None, Some(7.0)]))),
    ];
    let (told, written) = write("x.parquet", export(columns), |charge| {
        charge.further.contract_applied.is_some() || charge.further.invoice_detail_id.is_some()
    });
    // the list is kept as JSON; a float is no certain text
    assert_eq!((told, &written.held), (vec![true, false], &vec![]));
    assert_eq!(written.bills[0].quantities_not_stated, 1);
}

#[test]
fn a_quote_after_a_space_or_after_what_nobody_sees_is_a_quote() {
    let text = "BilledCost,EffectiveCost,\u{200b}\"BillingCurrency\",BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName, \"SubAccountId\"\n\
                \u{a0}\"1.5\",1,USD, \"a\",2025-06-01,Usage,S,\u{200b}\"one\"\u{200b}\n\
                2,1,USD,a,2025-06-01,Usage,S,\"\"\"two\"\"\"\n";
    let totals = add_up_focus("x.csv", document(text.as_bytes())).unwrap();
    assert_eq!((&totals.held, totals.all.billed.to_string()), (&vec![], "3.5".to_owned()));
    let mut accounts: Vec<_> = totals.sub_accounts.keys().flatten().map(String::as_str).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, ["\"two\"", "one"]);
}

#[test]
fn beside_decimal_commas_a_point_between_thousands_is_refused() {
    let text = |price: &str| {
        let header = HEADER.replace(',', ";");
        document(format!("{header}12,5;12,5;USD;a;2025-06-01;Usage;S;12,5;3;{price};\n").as_bytes())
    };
    let why = add_up_focus("x.csv", text("1.234")).unwrap_err().to_string();
    let expected = "column ListUnitPrice has numbers such as 1.234, and other columns have a decimal comma: it may be a thousand: \
                    write the numbers with a decimal point";
    assert_eq!(why, expected);
    assert_eq!(add_up_focus("x.csv", text("1,234")).unwrap().all.billed.to_string(), "12.5");
}

#[test]
fn an_archive_holds_the_parts_of_one_export() {
    let row = |cost: &str| {
        format!("{HEADER}{}", row("2", "1", "1", "").replacen("1,1,USD", &format!("{cost},1,USD"), 1))
    };
    let archive = |members: &[(&str, String)]| {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, text) in members {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        document(&archive.finish().unwrap().into_inner())
    };
    let add = |members: &[(&str, String)]| add_up_focus("x.zip", archive(members));
    let parts = [("run/a.csv", row("1")), ("run/b.csv", row("2")), ("run/.hidden", "x".to_owned())];
    assert_eq!(add(&parts).unwrap().all.billed.to_string(), "3");
    let why = add(&[("run-1/a.csv", row("1")), ("run-2/b.csv", row("2"))]).unwrap_err().to_string();
    assert!(why.contains("several folders ('run-1', 'run-2')"), "{why}");
    let why = add(&[("a.csv", row("1")), ("b.csv", row("1"))]).unwrap_err().to_string();
    assert!(why.contains("a.csv and b.csv in the archive have the same content"), "{why}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(96))]

    /// A damaged file is an error or is read; it never makes the program give up.
    #[test]
    fn any_byte_of_a_parquet_file_may_be_wrong(at in 0usize..100_000, flip in 1u8..=255, second in 0usize..100_000) {
        use std::io::{Read as _, Seek as _};
        let mut file = export(vec![("SubAccountId", texts(&["one", "two"])), ("InvoiceId", nothing())]).try_clone().unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let length = bytes.len();
        bytes[at % length] ^= flip;
        bytes[second % length] ^= flip;
        let file = document(&bytes);
        let _ = bills(&Document { key: "x.parquet", file: file.clone() }, &Focus, 1);
        let _ = add_up_focus("x.parquet", file);
    }
}

/// FOCUS has objects in some columns; Parquet may nest them.
#[test]
fn an_object_that_is_kept_may_be_nested() {
    use arrow_array::{ListArray, StructArray};
    use arrow_schema::{DataType, Field, Fields};

    let numbers = Arc::new(Float64Array::from(vec![0.5, 4.0, 2.0])) as ArrayRef;
    let names = texts(&["c-1", "c-2", "c-3"]);
    let fields = Fields::from(vec![
        Field::new("ContractId", DataType::Utf8, true),
        Field::new("Quantity", DataType::Float64, true),
    ]);
    let elements = StructArray::new(fields.clone(), vec![names, numbers], None);
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    let list = ListArray::new(
        item.clone(),
        arrow_buffer::OffsetBuffer::from_lengths([2, 1]),
        Arc::new(elements),
        None,
    );
    let of = Fields::from(vec![Field::new("Elements", DataType::List(item), true)]);
    let applied = Arc::new(StructArray::new(of, vec![Arc::new(list)], None)) as ArrayRef;
    let file = export(vec![("ContractApplied", applied)]);
    let (told, written) =
        write("x.parquet", file, |charge| charge.further.contract_applied.as_deref().map(str::to_owned));
    let expected = [
        r#"{"Elements":[{"ContractId":"c-1","Quantity":0.5},{"ContractId":"c-2","Quantity":4}]}"#,
        r#"{"Elements":[{"ContractId":"c-3","Quantity":2}]}"#,
    ];
    assert_eq!(told, expected.map(|text| Some(text.to_owned())));
    assert_eq!(written.bills[0].quantities_not_stated, 0);
}
