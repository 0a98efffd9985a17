"""Records the summaries of runs of `multilstm bench --grid drawn`.

    python docs/drawn.py SEED=FILE.json... > docs/recorded/drawn.csv

A file has thousands of samples; the record has the leads of `multilstm.scan`, as the command shows them at its end.
"""

import csv
import sys

from multilstm.bench.results import Benchmark
from multilstm.bench.standing import leads

HEAD = ("seed", "mode", "engine", "ours", "mean", "worst", "at", "shapes")


def rows(seed: str, result: Benchmark) -> list[tuple[object, ...]]:
    """Return a row of the record for each mode and pair of contestants."""
    return [
        (seed, mode, lead.other, lead.ours, f"{lead.mean:.3f}", f"{lead.worst:.3f}", lead.where, lead.shapes)
        for mode in result.modes
        for lead in leads(result, mode)
    ]


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(HEAD)
    for argument in sys.argv[1:]:
        seed, _, path = argument.partition("=")
        writer.writerows(rows(seed, Benchmark.read(path)))
