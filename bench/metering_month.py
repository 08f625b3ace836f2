"""Counts a month of usage one file after the other, as a script does: list, read, parse, add up exactly.

    metering_month.py BUCKET PREFIX

Prints what it cost, as JSON. Where S3 is, AWS_ENDPOINT_URL_S3 says.
"""

import json
import resource
import sys
import time
from collections import defaultdict
from decimal import Decimal

import boto3
from botocore.config import Config


def main():
    bucket, prefix = sys.argv[1:]
    s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    started, cpu = time.perf_counter(), time.process_time()
    sums, files = defaultdict(Decimal), 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            if not item["Key"].endswith(".json"):
                continue
            body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            for record in json.loads(body, parse_float=Decimal):
                sums[f"{record['externalPayerId']} {record['dimension']}"] += Decimal(record["value"])
            files += 1
    print(json.dumps({
        "wall_ms": (time.perf_counter() - started) * 1000,
        "cpu_us": (time.process_time() - cpu) * 1e6,
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "files": files,
        "sums": {name: format(total.normalize(), "f") for name, total in sums.items()},
    }))


main()
