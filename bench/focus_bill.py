"""The same sums of a FOCUS export by DuckDB or Polars; and the export itself.

    focus_bill.py make ROWS FILE.parquet [FILE.csv.gz]
    focus_bill.py duckdb|polars FILE.parquet THREADS
"""

import json
import os
import resource
import sys
import time

# costs have at most ten decimals, as those of cloud providers; tags are JSON texts of 150 kinds, or nothing
ROWS = """
    SELECT
        CAST(hash(i) % 1000000007 AS BIGINT) / 10000000000.0 AS BilledCost,
        CAST(hash(i + 1) % 1000000007 AS BIGINT) / 10000000000.0 AS EffectiveCost,
        'USD' AS BillingCurrency,
        '111122223333' AS BillingAccountId,
        TIMESTAMP '2026-10-01 00:00:00' AS BillingPeriodStart,
        TIMESTAMP '2026-10-01 00:00:00' + INTERVAL 1 HOUR * (i % 744) AS ChargePeriodStart,
        ['Usage', 'Usage', 'Usage', 'Usage', 'Tax', 'Credit'][1 + (hash(i + 2) % 6)::INT] AS ChargeCategory,
        ['Compute', 'Storage', 'Databases', 'Networking'][1 + (hash(i + 3) % 4)::INT] AS ServiceCategory,
        'Service ' || (hash(i + 3) % 40) AS ServiceName,
        'account-' || (hash(i + 4) % 1000) AS SubAccountId,
        'Account ' || (hash(i + 4) % 1000) AS SubAccountName,
        'arn:aws:ec2:us-east-1:111122223333:instance/i-' || (hash(i + 5) % 100000) AS ResourceId,
        CASE WHEN hash(i + 6) % 10 = 0 THEN NULL
             ELSE '{"env": "' || ['prod', 'test', 'dev'][1 + (hash(i + 7) % 3)::INT] || '", "team": "team-' || (hash(i + 6) % 50) || '"}'
        END AS Tags
    FROM range($rows) AS t(i)
"""


def make(rows, parquet, gzipped=None):
    import duckdb

    query = ROWS.replace("$rows", str(rows))
    duckdb.sql(f"COPY ({query}) TO '{parquet}' (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 122880)")
    if gzipped:
        duckdb.sql(f"COPY (FROM '{parquet}') TO '{gzipped}' (FORMAT csv, HEADER, COMPRESSION gzip)")


def with_duckdb(path, threads):
    import duckdb

    duckdb.sql(f"SET threads = {threads}")
    started = time.perf_counter()
    sums = "sum(BilledCost), sum(EffectiveCost), count(*)"
    rows = duckdb.sql(f"""
        SELECT SubAccountId, SubAccountName, ServiceCategory, ServiceName, team, env, {sums}
        FROM (SELECT *, json_extract_string(Tags, '$.team') AS team, json_extract_string(Tags, '$.env') AS env FROM '{path}')
        GROUP BY GROUPING SETS ((SubAccountId, SubAccountName), (ServiceCategory, ServiceName), (team), (env))
    """).fetchall()
    wall = time.perf_counter() - started
    return wall, {"accounts": sum(row[0] is not None for row in rows), "services": sum(row[3] is not None for row in rows),
                  "team_7": next(row[6] for row in rows if row[4] == "team-7")}


def with_polars(path, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars as pl

    started = time.perf_counter()
    sums = [pl.col("BilledCost").sum(), pl.col("EffectiveCost").sum(), pl.len()]
    tags = pl.col("Tags").str.json_decode(pl.Struct({"team": pl.String, "env": pl.String}))
    frame = pl.scan_parquet(path).with_columns(tags.struct.field("team").alias("team"), tags.struct.field("env").alias("env"))
    keys = [["SubAccountId", "SubAccountName"], ["ServiceCategory", "ServiceName"], ["team"], ["env"]]
    accounts, services, teams, _ = pl.collect_all([frame.group_by(key).agg(sums) for key in keys])
    wall = time.perf_counter() - started
    return wall, {"accounts": accounts.height, "services": services.height,
                  "team_7": teams.filter(pl.col("team") == "team-7")["BilledCost"][0]}


def main():
    what, *arguments = sys.argv[1:]
    if what == "make":
        make(int(arguments[0]), *arguments[1:])
        return
    path, threads = arguments
    wall, result = {"duckdb": with_duckdb, "polars": with_polars}[what](path, int(threads))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"wall_ms": wall * 1000, "peak_kib": peak, **result}))


if __name__ == "__main__":
    main()
