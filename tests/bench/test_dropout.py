"""The program that times dropout gives a row for every model, with times of both contestants."""

import csv
import io
import subprocess
import sys

from marks import needs

from multilstm.bench.dropout import MODELS


@needs("keras-jax")
def test_a_row_for_every_model():
    options = ["--backends", "jax", "--shapes", "2,3,3,4", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "multilstm.bench.dropout", *options], capture_output=True, text=True, check=True
    )
    head, *rows = csv.reader(io.StringIO(done.stdout))
    assert [row[:3] for row in rows] == [["jax", "2x3x3x4", name] for name in MODELS]
    for _, _, _, plain, portable, more in rows:
        assert min(float(plain), float(portable)) > 0
        assert abs(float(more.rstrip("%")) / 100 - (float(portable) / float(plain) - 1)) < 0.05
    assert len(head) == 6
