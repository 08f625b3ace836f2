"""Medians, growth and verdicts."""

import json
import math
import os
import platform
import statistics
import subprocess
from pathlib import Path

# one thread: the programs are compared by CPU time
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def once(command, variables=None):
    """Runs a program that prints its measurement as JSON."""
    environment = ENVIRONMENT | (variables or {})
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, env=environment)
    return json.loads(done.stdout)


def alternating(measurements, rounds):
    """Runs all of `{name: callable}` in turn, `rounds` times; the median of each figure by name."""
    found = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measurement in measurements.items():
            found[name].append(measurement())
    return {name: medians(results) for name, results in found.items()}


def medians(results):
    def middle(values):
        return statistics.median(values) if isinstance(values[0], (int, float)) else values[0]

    return {figure: middle([result[figure] for result in results]) for figure in results[0]}


def slope(sizes, times):
    """Slope of log time over log size, by least squares: 1 is linear."""
    x, y = [math.log(size) for size in sizes], [math.log(time) for time in times]
    return statistics.linear_regression(x, y).slope


class Table:
    """Rows of what is measured, what it came to and what it should."""

    def __init__(self):
        self.rows = []

    def at_most(self, what, value, bound, unit, note=""):
        self.add(what, f"{value:.3g}{unit}", f"<= {bound}{unit}", value <= bound, note)

    def at_least(self, what, value, bound, unit, note=""):
        self.add(what, f"{value:.3g}{unit}", f">= {bound}{unit}", value >= bound, note)

    def add(self, what, value, bound, reached, note=""):
        self.rows.append([what, value, bound, "reached" if reached else "**falls short**", note])

    def markdown(self):
        return markdown(["what", "measured", "should be", "verdict", "against"], self.rows)


def markdown(head, rows):
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def machine():
    """What the numbers were taken on."""
    def version(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    cpu = next(line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
               if line.startswith("model name"))
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 2**20
    return (f"{cpu}, {os.cpu_count()} cores, {memory} GiB; Linux {platform.release().split('-')[0]} "
            f"{platform.machine()}; {version('rustc', '--version')}; Python {platform.python_version()}; "
            f"load average before the run {os.getloadavg()[0]:.1f}")
