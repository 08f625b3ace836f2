"""The second cloud: the same month end on moto and on the embedded cloud must end with the same objects."""

import difflib
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from checks import keys

BUCKET, TABLE, MONTH = "monthend-data", "monthend-state", "2026-09"
CHARGES = """\
BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId,ProviderName
100.004,100.004,USD,payer,2026-09-01,Usage,Compute,blue-prod,acme
50,50,USD,payer,2026-09-01,Usage,Storage,red-prod,acme
15,15,USD,payer,2026-09-01,Usage,Support,blue-prod,acme
"""
CATALOG = """\
currency: CHF
customers:
  - {name: Team Blue, email: blue@example.com, cost_center: "1000"}
  - {name: Team Red, email: red@example.com, cost_center: "2000"}
accounts:
  - {provider: acme, id: blue-prod, customer: Team Blue, percentage: 110}
  - {provider: acme, id: red-prod, customer: Team Red, percentage: 100}
services:
  - {name: database, customer: Team Blue, components: [{component: managed-db, quantity: 2}]}
components:
  - {name: managed-db, price: {fixed_per_service: 40, per_unit: 150}}
pools:
  - {name: support, match: {provider: acme, service: Support}, split: {by: cost}, over: {provider: acme}}
fx: {source: manual, rates: {2026-09: {USD: "0.9"}}}
"""
JOURNAL = """\
{"id": 1, "date": "2026-09-05T10:00:00Z", "client": 1, "source": "tr", "destination": "iv", "amount": 29, "currency": "EUR", "invoice": {"id": 1, "items": [{"id": 1, "service": 7, "item_type": "service", "amount": 29}]}}
"""
REVENUE = """\
revenue:
  clients: [{id: 1, name: Northwind}]
  services: [{id: 7, name: Hosting, client: 1, fixed_monthly_price: 29}]
"""
ATLAS = {
    "id": "69202609000000000000000a", "orgId": "64f0a1b2c3d4e5f607182930", "statusName": "PAID", "created": "2026-10-01T00:00:00Z", "updated": "2026-10-02T00:00:00Z",
    "startDate": "2026-09-01T00:00:00Z", "endDate": "2026-10-01T00:00:00Z", "subtotalCents": 1500, "creditsCents": 0, "amountBilledCents": 1500, "amountPaidCents": 1500,
    "salesTaxCents": 0, "startingBalanceCents": 0, "payments": [], "refunds": [],
    "lineItems": [
        {"groupId": "64f1000000000000000000a1", "groupName": "payments", "clusterName": "c", "sku": "ATLAS_AWS_INSTANCE_M10", "unit": "server hours", "quantity": 100, "unitPriceDollars": 0.1, "totalPriceCents": 1000,
         "startDate": "2026-09-01T00:00:00Z", "endDate": "2026-10-01T00:00:00Z", "created": "2026-09-02T00:00:00Z", "discountCents": 0, "percentDiscount": 0},
        {"groupId": "64f1000000000000000000a2", "groupName": "carts", "clusterName": "d", "sku": "ATLAS_AWS_INSTANCE_M10", "unit": "server hours", "quantity": 50, "unitPriceDollars": 0.1, "totalPriceCents": 500,
         "startDate": "2026-09-01T00:00:00Z", "endDate": "2026-10-01T00:00:00Z", "created": "2026-09-02T00:00:00Z", "discountCents": 0, "percentDiscount": 0}],
}
VARIABLES = {"REPORTING_DEFAULT_LOCATION": "ZRH"}
# which arrival starts which function, as template.yaml says
STARTED = [("raw/", "allocate"), ("journal/", "report-revenue"), ("datastores/", "record-usage")]


class Drive:
    """One cloud, driven by the program."""

    def __init__(self, verdicts, program, work, name, arguments, environment, place, events):
        self.check, self.name, self.events = verdicts.check, name, events
        self.program, self.arguments = program, arguments
        self.work = work / name
        self.work.mkdir()
        variables = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "MONTHEND_"))}
        self.environment = variables | environment | VARIABLES | {"AWS_EC2_METADATA_DISABLED": "true", "NO_COLOR": "1"}
        self.s3 = place.client()
        self.delivered = set()
        self.answers = {}

    def run(self, what, *command, codes=(0,), given=None):
        """What a command prints. Meanwhile, what arrives is delivered: `import` waits for it."""
        with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as told:
            process = subprocess.Popen([self.program, *self.arguments, "--format", "json", *map(str, command)], env=self.environment, cwd=self.work,
                                       stdin=subprocess.PIPE, stdout=printed, stderr=told, text=True)
            process.stdin.write(given or "")
            process.stdin.close()
            until = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < until:
                if given is None:
                    self.deliver()
                time.sleep(0.05)
            if process.poll() is None:
                process.kill()
            code = process.wait()
            printed.seek(0), told.seek(0)
            output, error = printed.read(), told.read()
        self.check(f"{self.name}: {what}", "done" if code in codes else f"ends with {code}: {output.strip()[-200:]} {error.strip()[-400:]}", "done")
        return output

    def step(self, what, *command, codes=(0,), given=None):
        self.answers[what] = self.run(what, *command, codes=codes, given=given)
        self.deliver()

    def deliver(self):
        """Where nothing notifies, the drive does: an event for each object that is new or has changed."""
        if not self.events:
            return
        for key, described in sorted(self.objects().items()):
            function = next((f for prefix, f in STARTED if key.startswith(prefix)), None)
            if not function or (key, described) in self.delivered or (key.startswith("raw/imports/") and not key.endswith(".import.json")):
                continue
            self.delivered.add((key, described))
            event = {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": "2026-10-02T06:00:04.000Z", "eventName": "ObjectCreated:Put",
                                  "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": BUCKET}, "object": {"key": key, "size": 1, "eTag": described}}}]}
            self.run(f"{function} takes {key}", "invoke", function, "-e", "-", given=json.dumps(event))

    def objects(self):
        return {o["Key"]: o["ETag"] for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET) for o in page.get("Contents", [])}

    def month_end(self, files):
        self.step("the catalog is applied", "catalog", "apply", files / "catalog.yaml")
        self.step("charges are imported", "import", files / "september.csv")
        self.step("the same charges again", "import", files / "september.csv")
        self.step("an invoice of Atlas is put", "put", files / "invoice.json", f"raw/atlas/{ATLAS['orgId']}/{MONTH}/{ATLAS['id']}/")
        self.step("a journal is put", "put", files / "movements.jsonl", f"journal/{MONTH}/movements.jsonl")
        self.step("events of datastores are put", "put", files / "datastores.jsonl", "datastores/2026-10/events.jsonl")
        self.step("a dry run of the bills", "bill", "--month", MONTH, "--dry-run", codes=(0, 3))
        self.step("the month is billed", "bill", "--month", MONTH, codes=(0,))
        self.step("billed again", "bill", "--month", MONTH, codes=(0,))
        self.step("charges are replaced", "import", files / "restated.csv", "--replace")
        self.step("billed once more", "bill", "--month", MONTH, codes=(0,))
        self.step("charges are replaced by what they were", "import", files / "september.csv", "--replace")
        self.step("a bill is explained", "explain", "bill", "--month", MONTH, "--customer", "Team Blue")
        self.step("the status", "status", "--month", MONTH, codes=(0, 3))
        self.step("the usage of datastores", "report", "usage", "--from", "2026-10-01", "--to", "2026-10-31")
        self.step("a listing", "ls", "bills/")


# times of fetching and writing, ids and durations of runs: nothing else may differ
RUN = re.compile(r"\bcli-\d+-\d+\b")
TIME = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00| UTC)?")


def without_times(text, begun):
    """The text with the times that lie in the run of the drive itself, and the ids of its runs, named as such."""
    def name(match):
        return "<now>" if match[0][:10] >= begun else match[0]

    return RUN.sub("<run>", TIME.sub(name, re.sub(rf"{begun}(?=[ \"])", "<today>", text)))


def text_of(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def clouds(verdicts, program, work, embedded, embedded_tables, home, moto):
    """the same month end on moto and on the embedded cloud"""
    work = Path(work)
    files = work / "files"
    files.mkdir()
    (files / "september.csv").write_text(CHARGES)
    (files / "restated.csv").write_text(CHARGES.replace("50,50", "60,60"))
    (files / "catalog.yaml").write_text(CATALOG + REVENUE)
    (files / "movements.jsonl").write_text(JOURNAL)
    (files / "invoice.json").write_text(json.dumps(ATLAS))
    (files / "datastores.jsonl").write_bytes((Path(__file__).resolve().parents[2] / "examples/datastores.jsonl").read_bytes())

    moto.client().create_bucket(Bucket=BUCKET)
    moto.client("dynamodb").create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}])
    on_moto = Drive(verdicts, program, work, "moto", ["--cloud", "aws"], {
        "AWS_ENDPOINT_URL_S3": moto.endpoint, "AWS_ENDPOINT_URL_DYNAMODB": moto.endpoint, "AWS_ENDPOINT_URL": moto.endpoint, "AWS_REGION": moto.region,
        "AWS_ACCESS_KEY_ID": moto.key, "AWS_SECRET_ACCESS_KEY": moto.secret, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "DATA_BUCKET": BUCKET, "STATE_TABLE": TABLE, "MONTHEND_HOME": str(work / "none")}, moto, True)
    on_embedded = Drive(verdicts, program, work, "embedded", [], {"MONTHEND_HOME": str(home)}, embedded, False)
    begun = time.strftime("%Y-%m-%d", time.gmtime())
    for drive in (on_moto, on_embedded):
        drive.month_end(files)
    compare(verdicts, on_moto, on_embedded, begun)
    compare_ledgers(verdicts, moto.client("dynamodb"), embedded.client("dynamodb", embedded_tables), begun)
    verdicts.check("nothing was written to a home by --cloud aws", (work / "none").exists(), False)


def compare(verdicts, one, other, begun):
    check = verdicts.check
    found = [sorted(keys(drive.s3, BUCKET), key=str.encode) for drive in (one, other)]
    check("both clouds hold the same keys", found[0], found[1])
    check("they hold objects of all kinds", sorted({key.split("/")[0] for key in found[1]}), sorted({"aggregates", "allocations", "bills", "catalog", "certificates", "charges", "datastores", "journal", "raw", "reports", "state"}))
    for key in sorted(set(found[0]) & set(found[1])):
        got = [drive.s3.get_object(Bucket=BUCKET, Key=key) for drive in (one, other)]
        texts = [without_times(text_of(g["Body"].read()), begun) for g in got]
        verdicts.note(f"the same bytes: {key}", texts[0] == texts[1], first_difference(*texts))
        kept = [[g.get("ContentType"), {n: without_times(v, begun) for n, v in g["Metadata"].items()}] for g in got]
        check(f"the same type and metadata: {key}", kept[0], kept[1])
    for what in one.answers:
        texts = [without_times(drive.answers[what], begun) for drive in (one, other)]
        verdicts.note(f"the same answer: {what}", texts[0] == texts[1], first_difference(*texts))


def without_run(item):
    """The record of a run without what is each run's own: its id, how long it took, when the record may go."""
    time, function, *_ = item["sk"]["S"].split("#")
    own = {"id", "duration_ms", "expires_at"}
    return {name: value for name, value in item.items() if name not in own} | {"sk": {"S": f"{time}#{function}"}}


def compare_ledgers(verdicts, one, other, begun):
    found = []
    for client in (one, other):
        pages = client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        items = [item for page in pages for item in page["Items"]]
        of_key = {}
        for item in items:
            if item["pk"]["S"].startswith("RUN#"):
                item = without_run(item)
            name = without_times(f"{item['pk']['S']} {item['sk']['S']}", begun)
            of_key.setdefault(name, []).append(without_times(json.dumps(item, sort_keys=True), begun))
        found.append({name: sorted(records) for name, records in of_key.items()})
    verdicts.check("both ledgers hold records of the same keys", *(sorted((name, len(records)) for name, records in ledger.items()) for ledger in found))
    for name in sorted(set(found[0]) & set(found[1])):
        verdicts.note(f"the same records: {name}", found[0][name] == found[1][name], first_difference(*("\n".join(ledger[name]) for ledger in found)))


def first_difference(one, other):
    for tag, a, b, c, d in difflib.SequenceMatcher(None, one[:20_000], other[:20_000], autojunk=False).get_opcodes() if one != other and len(one) < 20_000 else []:
        if tag != "equal":
            return f"...{one[max(0, a - 60):b + 60]}... is not ...{other[max(0, c - 60):d + 60]}..."
    return f"{len(one)} and {len(other)} characters"
