"""The split that `apportion` replaces, in floats with numpy: `float_split.py TARGETS ROUNDS`.

Shares in proportion, each rounded to cents. Prints the CPU time of one round and by how many cents the shares miss the
total, as JSON.
"""

import json
import sys
import time

import numpy

TOTAL = 1_234_567.89


def split(total, weights):
    return numpy.round(total * weights / weights.sum(), 2)


def main():
    count, rounds = int(sys.argv[1]), int(sys.argv[2])
    random = numpy.random.default_rng(2)
    weights = random.integers(0, 5_000_000, count) / 100
    weights[random.integers(0, 16, count) == 0] = 0
    off = round(abs(split(TOTAL, weights).sum() - TOTAL) * 100)

    before = time.process_time_ns()
    for _ in range(rounds):
        split(TOTAL, weights)
    cpu = (time.process_time_ns() - before) // rounds
    print(json.dumps({"cpu_ns": cpu, "off_cents": str(off)}))


if __name__ == "__main__":
    main()
