"""The measured work of `atlas-invoice rows` in Python: an Atlas invoice to its CSV and its certificate.

    atlas_invoice.py DOCUMENT [FOLDER]

Straightforward: `json`, `csv`, and integers of cents, so that it is as exact; both documents are the same, byte for
byte. It knows only invoices that are paid by credits to the cent, without sales tax, as `make-invoice` writes them.
Prints its CPU time from the document in memory to both results in memory, and the peak of the process, as JSON.
"""

import csv
import hashlib
import io
import json
import re
import sys
import time
from pathlib import Path

HEADER = ["invoice_id", "start_date", "end_date", "project_name", "allocation_percentage",
          "line_item_total_cents", "project_total_cents", "project_total_dollars"]
FIGURES = ["subtotalCents", "creditsCents", "salesTaxCents", "startingBalanceCents", "amountBilledCents",
           "amountPaidCents"]
POOL_REASON = "no project appears in the invoice to share it among"


def dollars(cents):
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def percentage(part, whole):
    """`part / whole * 100` with at most ten decimals, half away from zero, in integers."""
    if whole == 0:
        return "0"
    scaled = abs(part) * 100 * 10**10
    units, rest = divmod(scaled, abs(whole))
    units += 2 * rest >= abs(whole)
    text = f"{units // 10**10}.{units % 10**10:010}".rstrip("0").rstrip(".")
    return text if units == 0 or (part < 0) == (whole < 0) else "-" + text


def share(total, own):
    """Largest remainder: `total` in proportion to the positive amounts of `own`, ties to the smaller id."""
    weights = {id: max(cents, 0) for id, cents in own.items()}
    if not any(weights.values()):
        weights = dict.fromkeys(own, 1)
    whole = sum(weights.values())
    shares, remainders = {}, {}
    for id, weight in weights.items():
        shares[id], remainders[id] = divmod(abs(total) * weight, whole)
    left_over = abs(total) - sum(shares.values())
    for id in sorted(remainders, key=lambda id: (-remainders[id], id))[:left_over]:
        shares[id] += 1
    return shares if total >= 0 else {id: -cents for id, cents in shares.items()}


def neutral(text):
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def state(document):
    """The CSV and the certificate of a document."""
    invoice = json.loads(document)
    own, names, pool = {}, {}, 0
    for line in invoice["lineItems"]:
        cents = line["totalPriceCents"]
        id = line.get("groupId") or line.get("groupName")
        if id:
            own[id] = own.get(id, 0) + cents
            if id not in names and line.get("groupName"):
                names[id] = line["groupName"]
        else:
            pool += cents
    net = sum(own.values()) + pool
    if invoice["creditsCents"] != net or invoice["salesTaxCents"] or invoice["statusName"] != "PREPAID":
        raise SystemExit("this script knows only invoices that are paid by credits to the cent, without tax")
    shared = share(pool, own) if own else {}
    start, end = invoice["startDate"][:10], invoice["endDate"][:10]

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    everything = sum(own.values())
    for id, cents in own.items():
        total = cents + shared[id]
        writer.writerow([neutral(invoice["id"]), start, end, neutral(names.get(id, id)),
                         percentage(cents, everything), cents, total, dollars(total)])
    if not own:
        writer.writerow([neutral(invoice["id"]), start, end, "(unallocated)", "0", pool, pool, dollars(pool)])
    rows = text.getvalue().encode()
    return rows, certificate(document, invoice, rows, own, names, shared, pool, net)


def certificate(document, invoice, rows, own, names, shared, pool, net):
    sha256 = hashlib.sha256(document).hexdigest()
    account, month, id = invoice["orgId"], invoice["startDate"][:7], invoice["id"]
    targets = [{"id": target, "name": names.get(target, target), "own": dollars(cents),
                "shared": dollars(shared[target]), "adjustment": "0.00", "total": dollars(cents + shared[target])}
               for target, cents in own.items()]
    unallocated = [] if own or not pool else [{"kind": "pool", "amount": dollars(pool), "reason": POOL_REASON}]
    figures = {name: invoice[name] for name in FIGURES if invoice.get(name) is not None}
    document = {
        "certificate": 1,
        "subject": {
            "kind": "invoice", "provider": "atlas", "billing_account": account, "invoice_id": id,
            "revision": sha256[:16], "period": month, "start_date": invoice["startDate"][:10],
            "end_date": invoice["endDate"][:10], "finality": "final", "provider_status": invoice["statusName"],
            "provider_updated": invoice["updated"],
        },
        "currency": "USD",
        "provider_total": dollars(net),
        "provider_total_source": "creditsCents",
        "charges_total": dollars(net),
        "allocated_total": dollars(net if own else 0),
        "unallocated_total": dollars(0 if own else pool),
        "unexplained": "0.00",
        "status": "matched",
        "explanation": f"paid by credits: the rows and creditsCents are both {dollars(net)}",
        "adjustments": [],
        "targets": targets,
        "unallocated": unallocated,
        "provider_figures": figures | {"payments": invoice["payments"], "refunds": invoice["refunds"]},
        "supersedes": None,
        "inputs": [{"key": f"raw/atlas/{account}/{month}/{id}/{sha256[:16]}.json", "sha256": sha256}],
        "rules": {"atlas_reconcile": "auto", "atlas_tax": "name"},
        "outputs": [{"key": f"allocations/atlas/{account}/{month}-{id}.csv",
                     "sha256": hashlib.sha256(rows).hexdigest()}],
        "software": "monthend 0.1.0",
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def main():
    document = Path(sys.argv[1]).read_bytes()
    before = time.process_time_ns()
    rows, proof = state(document)
    cpu = time.process_time_ns() - before
    if len(sys.argv) > 2:
        Path(sys.argv[2], "rows.csv").write_bytes(rows)
        Path(sys.argv[2], "certificate.json").write_bytes(proof)
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"cpu_us": cpu // 1000, "peak_kib": int(peak[1]), "document_bytes": len(document)}))


if __name__ == "__main__":
    main()
