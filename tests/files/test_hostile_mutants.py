"""parity/hostile.py: no mutant of a valid file crashes, hangs or deceives a reader; such faults are seen and kept."""

import csv
import io
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from hostile_files import originals
from hostile_mutants import MUTATIONS
from hostile_reading import Format

ROOT = pathlib.Path(__file__).parents[2]
FILES = originals()
HOSTILE = ROOT / "parity" / "hostile.py"
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the limits of memory and time")


def run(*arguments, before=""):
    """Run the program in a process of its own, after the statements of `before`."""
    path = os.pathsep.join((str(ROOT), str(HOSTILE.parent), os.environ.get("PYTHONPATH", "")))
    start = f"{before}\nimport hostile\nfrom multilstm.cli.app import run\nrun(hostile.app)"
    command = [sys.executable, "-c", start, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def counts(text):
    return {row["format"]: row for row in csv.DictReader(io.StringIO(text))}


@linux
def test_mutants_of_every_format_are_read_or_refused():
    done = run("--count", 25)
    assert done.returncode == 0, done.stderr
    rows = counts(done.stdout)
    assert set(rows) == set(MUTATIONS) == set(FILES)
    assert all(int(row["mutants"]) == 25 and int(row["refused"]) > 0 for row in rows.values())


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutants_are_reproducible_and_different(name, tmp_path):
    first, second = (Format(name, FILES[name], 3, tmp_path) for _ in range(2))
    mutants = [first.mutant(number)[1:] for number in range(8)]
    assert mutants == [second.mutant(number)[1:] for number in range(8)]
    assert len(set(mutants)) > 4


FAULTS = {
    "crash": ("raise KeyError('planted')", "KeyError: 'planted'"),
    "signal": ("import os; os.abort()", "crash: SIGABRT"),
    "hang": ("while True: pass", "hang: SIGPROF"),
    "memory": ("bytearray(2**30)", "crash: MemoryError"),
    "opens_a_file": ("open('/etc/hostname')", "wrong: open '/etc/hostname'"),
    "starts_a_program": ("import subprocess; subprocess.run(['true'])", "wrong: subprocess.Popen"),
    "warns": ("import warnings; warnings.warn('planted')", "crash: UserWarning: planted"),
    "other_shapes": (
        "loaded = dataclasses.replace(loaded, weights={})",
        "wrong: the weights do not have the names and shapes of the spec",
    ),
}
PLANT = """
import dataclasses
from hostile_files import originals
import hostile_reading
from multilstm.files import sandbox_child
load = hostile_reading.load

def mutant(self, number):
    file = originals()["tensorflow_js"][0]
    return file, file.content + b" " * (number + 1), file.shard

def faulty(path, **options):
    loaded, content = load(path, **options), path.read_bytes()
    blanks = len(content) - len(content.rstrip())
    if blanks:
        names = {"loaded": loaded, "dataclasses": dataclasses}
        exec(BODIES[blanks - 1], names)
        loaded = names["loaded"]
    return loaded

hostile_reading.load = faulty
hostile_reading.Format.mutant = mutant
sandbox_child.SECONDS = 1
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Return the run of a program in whose reader every mutant meets another fault, and the kept files."""
    bodies = [*(body for body, _ in FAULTS.values()), "pass"]
    folder = tmp_path_factory.mktemp("kept")
    before = f"BODIES = {bodies!r}\n{PLANT}"
    return run("--format", "tensorflow_js", "--count", len(bodies), "--keep", folder, before=before), folder


@linux
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen_and_its_file_kept(planted, fault):
    done, folder = planted
    number = list(FAULTS).index(fault)
    assert f"tensorflow_js {number}: " in done.stderr
    assert FAULTS[fault][1] in done.stderr
    assert {path.suffix for path in folder.glob(f"tensorflow_js-0-{number}-*")} == {"", ".shard"}


@linux
def test_a_fault_leaves_the_other_mutants_and_is_an_error(planted):
    done, _ = planted
    row = counts(done.stdout)["tensorflow_js"]
    assert done.returncode == 1
    assert {name: row[name] for name in ("mutants", "equal", "wrong", "crash", "hang")} == {
        "mutants": "9", "equal": "1", "wrong": "3", "crash": "4", "hang": "1",
    }  # fmt: skip


def test_rows_of_other_formats_stay_in_the_table(tmp_path):
    table = tmp_path / "table.csv"
    assert run("--format", "npy", "--count", 2, "--table", table).returncode == 0
    assert run("--format", "npz", "--count", 3, "--table", table).returncode == 0
    assert {name: row["mutants"] for name, row in counts(table.read_text()).items()} == {"npy": "2", "npz": "3"}


def test_an_unknown_format_is_named():
    done = run("--format", "docx")
    assert done.returncode == 2
    assert "unknown format 'docx': expected one of" in done.stderr


@pytest.mark.usefixtures("parse_here")
def test_the_valid_files_are_read(tmp_path):
    for name, files in FILES.items():
        read = Format(name, files, 0, tmp_path).originals
        assert len(read) == len(files)
        arrays = [item if isinstance(item, dict) else item.weights or {} for item in read.values()]
        assert all(np.isfinite(array).all() for item in arrays for array in item.values())


def test_the_recorded_run_has_every_format_and_no_fault():
    rows = counts((ROOT / "docs" / "recorded" / "hostile.csv").read_text(encoding="utf-8"))
    assert set(rows) == set(MUTATIONS)
    assert {int(row[fault]) for row in rows.values() for fault in ("wrong", "crash", "hang")} == {0}
    assert {name for name, row in rows.items() if int(row["ended"])} <= {"hdf5", "weights.h5", "keras"}
    assert sum(int(row["mutants"]) for row in rows.values()) >= 100_000
