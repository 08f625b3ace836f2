"""Charges and sums as their readers see them: what DuckDB, Polars and Arrow read is what the bill says, and it is FOCUS 1.2.

Ends with the number of checks.
"""

import json
import os
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.parquet

ROOT = Path(__file__).resolve().parent.parent
EXPORT = ROOT / "shared/billing/src/charges/fixtures/aws-focus12-00001.csv.gz"
BILLED = Decimal("14.58038")
BY_ACCOUNT = {"111122223333": Decimal("7.2"), "222233334444": Decimal("19.88"), "333344445555": Decimal("-12.49962")}

# FOCUS 1.2: the columns that every export has, those that may be null marked, and others that we write
DECIMAL, TEXT, TIME = "decimal128(38, 18)", "string", "timestamp[ms, tz=UTC]"
MANDATORY = {
    "BilledCost": DECIMAL, "BillingAccountId": TEXT, "BillingAccountName?": TEXT, "BillingCurrency": TEXT,
    "BillingPeriodStart": TIME, "BillingPeriodEnd": TIME, "ChargeCategory": TEXT, "ChargeClass?": TEXT,
    "ChargeDescription?": TEXT, "ChargePeriodStart": TIME, "ChargePeriodEnd": TIME, "ContractedCost": DECIMAL,
    "EffectiveCost?": DECIMAL, "InvoiceIssuerName": TEXT, "ListCost": DECIMAL, "PricingQuantity?": DECIMAL,
    "PricingUnit?": TEXT, "ProviderName": TEXT, "PublisherName": TEXT, "ServiceCategory": TEXT, "ServiceName": TEXT,
}
OPTIONAL = {
    "AvailabilityZone": TEXT, "ChargeFrequency": TEXT, "InvoiceId": TEXT, "CommitmentDiscountCategory": TEXT,
    "CommitmentDiscountId": TEXT, "CommitmentDiscountName": TEXT, "CommitmentDiscountStatus": TEXT,
    "CommitmentDiscountType": TEXT, "ConsumedQuantity": DECIMAL, "ConsumedUnit": TEXT, "ContractedUnitPrice": DECIMAL,
    "ListUnitPrice": DECIMAL, "PricingCategory": TEXT, "RegionId": TEXT, "RegionName": TEXT, "ResourceId": TEXT,
    "ResourceName": TEXT, "ResourceType": TEXT, "SkuId": TEXT, "SkuPriceId": TEXT, "SubAccountId": TEXT,
    "SubAccountName": TEXT, "Tags": TEXT,
    # since 1.1, some of them later than 1.2: kept where they came
    "PricingCurrencyContractedUnitPrice": DECIMAL, "PricingCurrencyEffectiveCost": DECIMAL,
    "PricingCurrencyListUnitPrice": DECIMAL, "CommitmentDiscountQuantity": DECIMAL,
    "SkuMeter": TEXT, "SkuPriceDetails": TEXT, "PricingCurrency": TEXT, "CommitmentDiscountUnit": TEXT,
    "CapacityReservationId": TEXT, "CapacityReservationStatus": TEXT, "ServiceSubcategory": TEXT,
    "SubAccountType": TEXT, "BillingAccountType": TEXT, "HostProviderName": TEXT, "ServiceProviderName": TEXT,
    "ContractApplied": TEXT, "CommitmentProgramEligibilityDetails": TEXT, "InvoiceDetailId": TEXT,
    "AllocatedMethodId": TEXT, "AllocatedMethodDetails": TEXT, "AllocatedResourceId": TEXT,
    "AllocatedResourceName": TEXT, "AllocatedTags": TEXT,
}
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {None, "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {None, "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {
        "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools", "Multicloud",
        "Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile", "Networking",
        "Security", "Storage", "Web", "Other"},
}
passed, failed = 0, 0


def check(what, found, expected):
    global passed, failed
    if found == expected:
        passed += 1
        print(f"ok      {what}")
    else:
        failed += 1
        print(f"FAILED  {what}: {found!r} is not {expected!r}")


def imported(export, home):
    """Imports a file into a cloud of its own; the folder of its data bucket."""
    environment = os.environ | {"MONTHEND_HOME": str(home)}
    program = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug" / "monthend"
    done = subprocess.run([program, "--format", "json", "import", export, "--invoice", "june"], env=environment, capture_output=True, text=True)
    check(f"{export.name} is imported", done.returncode, 0)
    if done.returncode:
        sys.exit(done.stderr)
    rows = json.loads(done.stdout)
    check(f"{export.name} is one bill of 19 charges", [(row["month"], row["charges"], row["state"]) for row in rows], [("2025-06", "14.58038", "allocated")])
    return next((home / "s3").glob("*-data"))


def read_with_all(name, bucket):
    charges = f"{bucket}/charges/**/*.parquet"
    sums = duckdb.sql(f"SELECT provider, month, sum(BilledCost), count(*) FROM read_parquet('{charges}', hive_partitioning = true) GROUP BY ALL").fetchall()
    check(f"{name}: DuckDB sums the charges of a partition", sums, [("aws", "2025-06", BILLED, 19)])
    by_account = duckdb.sql(f"SELECT SubAccountId, sum(BilledCost) FROM read_parquet('{charges}') GROUP BY ALL").fetchall()
    check(f"{name}: DuckDB sums them by account", dict(by_account), BY_ACCOUNT)
    frame = polars.read_parquet(charges)
    check(f"{name}: Polars sums the charges", frame["BilledCost"].sum(), BILLED)
    table = pyarrow.parquet.read_table(next(bucket.glob("charges/**/*.parquet")), partitioning=None)
    check(f"{name}: Arrow sums the charges", pyarrow.compute.sum(table["BilledCost"]).as_py(), BILLED)
    for aggregate in ("by-account", "by-service"):
        path = f"{bucket}/aggregates/**/{aggregate}.parquet"
        check(f"{name}: {aggregate} adds up", duckdb.sql(f"SELECT sum(billed_cost), sum(charges) FROM '{path}'").fetchall()[0], (BILLED, 19))
        text = f"{bucket}/aggregates/**/{aggregate}.csv"
        check(f"{name}: {aggregate} as CSV, too", duckdb.sql(f"SELECT sum(billed_cost::DECIMAL(38, 18)) FROM read_csv('{text}', all_varchar = true)").fetchall()[0], (BILLED,))
    path = f"{bucket}/aggregates/**/by-tag.parquet"
    check(f"{name}: each tag key adds up", duckdb.sql(f"SELECT DISTINCT sum(billed_cost) FROM '{path}' GROUP BY tag_key").fetchall(), [(BILLED,)])
    return table


def is_focus(table):
    schema = table.schema
    for column, kind in MANDATORY.items():
        name = column.removesuffix("?")
        check(f"FOCUS has {name}", name in schema.names and str(schema.field(name).type), kind)
        if not column.endswith("?"):
            check(f"FOCUS {name} is never null", (schema.field(name).nullable, table[name].null_count), (False, 0))
    for name in set(schema.names) - {column.removesuffix("?") for column in MANDATORY}:
        known = OPTIONAL.get(name)
        check(f"{name} is a column of FOCUS or begins with x_", name.startswith("x_") or str(schema.field(name).type) == known, True)
    for name, allowed in ALLOWED.items():
        check(f"values of {name} are those of FOCUS", set(table[name].to_pylist()) - allowed, set())
    for tags in table["Tags"].to_pylist():
        if tags is not None and not all(isinstance(value, str) for value in json.loads(tags).values()):
            check("Tags are a flat object", tags, "texts only")
    empty = [name for name in schema.names if str(schema.field(name).type) == TEXT and "" in table[name].to_pylist()]
    check("nothing is null, not an empty text", empty, [])


def is_the_table_of_athena(table):
    template = (ROOT / "template.yaml").read_text().split("ChargesTable:")[1]
    kinds = {"string": TEXT, "decimal(38,18)": DECIMAL, "timestamp": TIME, "bigint": "int64"}
    lines = [line.strip() for line in template.split("Columns:")[1].splitlines()]
    columns = [line.removeprefix("- { Name: ").removesuffix('" }').split(', Type: "') for line in lines if line.startswith("- { Name:")]
    columns = columns[:len(table.schema.names)]
    check("the table of template.yaml has the columns of the files", [(name, kinds[kind]) for name, kind in columns],
          [(field.name.lower(), str(field.type)) for field in table.schema])


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        table = read_with_all("CSV.gz", imported(EXPORT, folder / "csv"))
        is_focus(table)
        is_the_table_of_athena(table)
        # the same export as other programs write Parquet: numbers as doubles or decimals, tags as a map
        query = f"SELECT * REPLACE (json(Tags)::MAP(VARCHAR, VARCHAR) AS Tags) FROM read_csv('{EXPORT}')"
        duckdb.sql(f"COPY ({query}) TO '{folder}/duckdb.parquet'")
        read_with_all("Parquet of DuckDB", imported(folder / "duckdb.parquet", folder / "duckdb"))
        polars.read_csv(EXPORT).write_parquet(folder / "polars.parquet")
        read_with_all("Parquet of Polars", imported(folder / "polars.parquet", folder / "polars"))
        pyarrow.parquet.write_table(table, folder / "arrow.parquet")
        read_with_all("our own charges again", imported(folder / "arrow.parquet", folder / "arrow"))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
