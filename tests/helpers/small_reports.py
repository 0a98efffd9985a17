"""Reports for the tests of the page, and a way to read a page back."""

import base64
import html.parser
import json
import zlib

from multilstm.compare import Comparison, KnownRow, Mismatch, OverTime, Quantity, Rounding
from multilstm.jobs.implementation import Implementation
from multilstm.report.arguments import Arguments
from multilstm.report.cells import Cell
from multilstm.report.report import Report
from multilstm.version import __version__

ENGINES = ("keras-jax", "keras-torch", "jax-scan")
OPTIONS = {"engines": list(ENGINES), "atol": None, "rtol": None}
ROW = {
    "id": "state_is_lost",
    "title": "a state is lost",
    "severity": "high",
    "consequence": "Numbers differ.",
    "advice": "Use portable layers.",
    "fixed_by": ["LSTM"],
    "link": "https://example.org/1",
}

CURVE = OverTime(90, (0.0, 0.01, 0.5, 20.0, 3e5, float("inf")))
MISMATCH = Mismatch(3, 9, (0, 2, 1), 1.5, 1.0, 0.5, 0.2, 0.1, over_time=CURVE)


def cell(case="seed1-stateful", engine="jax-scan", quantity="hidden:lstm", verdict="within", share=0.1, **more):
    """Return a cell; other arguments are fields of Cell or Comparison."""
    fields = {name: more.pop(name) for name in ("dtype", "device", "layers", "seconds", "part") if name in more}
    kernel = Implementation(more.pop("kernel", "lax.scan"), "plan (2, 3)")
    distance = None if share is None else share * 1e-6
    more = {"max_abs": distance, "max_ulp": 3, "tolerance": "1e-06 + 1e-06*|desired|", **more}
    return Cell(
        **{"device": "cpu", "dtype": "float32", "layers": "plain", "seconds": 0.5, **fields},
        case=case,
        engine=engine,
        implementation=kernel,
        comparison=Comparison(Quantity.parse(quantity), verdict, share=share, **more),
    )


def report(*cells, **more):
    """Return a report of the command line on this version."""
    environment = {"multilstm": __version__, "python": "3.11", "options": OPTIONS}
    return Report(cells, **{"environment": environment, "arguments": Arguments(), **more})


def every_verdict():
    """Return a report in which one case has one differing engine, and one has two."""
    known = {"verdict": "known", "known": (KnownRow(ROW["id"], ROW["title"]),), "message": "worst at [0, 1]"}
    worst = {"verdict": "diverges", "share": 2e4, "explanation": "first in LSTM 'lstm', timestep 3, gate f"}
    rounding = Rounding(10, 1, 2)
    return report(
        cell("seed1-a", "keras-jax", **known, share=5.0),
        cell("seed1-a", "keras-torch", share=1e-4),
        cell("seed1-a", "jax-scan", rounding=rounding),
        cell("seed1-a", "jax-scan", "weights:program/lstm/kernel", response=1e-7),
        cell("seed2-b", "keras-jax", **worst, message="hidden:lstm: 3 of 9 values differ; worst at [2]"),
        cell("seed2-b", "keras-torch", verdict="error", share=None, message="RuntimeError: out of memory"),
        cell("seed2-b", "jax-scan", "parameter_count", "equal", share=0.0),
        cell("seed3-c", "keras-jax", share=0.9),
        cell("seed3-c", "keras-torch", verdict="unsupported", share=None, message="no such layer"),
        cell("seed3-c", "jax-scan", dtype="float64", verdict="rounded", share=0.5),
        skipped={"torch-lstm": "torch is not installed"},
        shortened={"seed3-c": "half of it"},
        ledger={ROW["id"]: ROW},
    )


class _Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self._open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))


def read_page(page):
    """Return the tags of a page with their attributes, its texts with their tags, and its data."""
    reader = _Reader()
    reader.feed(page)
    (place,) = [place for place, (_, attributes) in enumerate(reader.tags) if attributes.get("id") == "data"]
    scripts = [text for tag, text in reader.texts if tag == "script"]
    before = sum(tag == "script" for tag, _ in reader.tags[:place])
    return reader.tags, reader.texts, json.loads(zlib.decompress(base64.b64decode(scripts[before], validate=True)))
