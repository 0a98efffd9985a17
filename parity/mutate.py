"""Plants the faults of faults.toml, one at a time, and reports which of them the tests catch.

    python parity/mutate.py [--jobs N] [--only GLOB]

Each fault is planted in a copy of the project. Its tests then run until one fails. First they must pass without it.
The exit code is 1 if a fault survives, or if the tests cannot run.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).parents[1]
COPIED = ("multilstm", "tests", "parity", "conftest.py", "pyproject.toml", "README.md")
PASSED, FAILED = 0, 1  # pytest's exit codes


def planted(fault, source):
    """Return the source with the fault in it.

    Raises:
        SystemExit: if the text to replace does not occur in the source, or occurs more often than the fault expects.
    """
    pieces = source.split(fault["before"])
    if len(pieces) - 1 <= fault.get("nth", 0) or (len(pieces) > 2 and "nth" not in fault):
        raise SystemExit(f"{fault['id']}: {fault['before']!r} occurs {len(pieces) - 1} times in {fault['file']}")
    nth = fault.get("nth", 0)
    begin, end = (fault["before"].join(part) for part in (pieces[: nth + 1], pieces[nth + 1 :]))
    return begin + fault["after"] + end


def run(fault, tests):
    """Run tests with a fault, or without one for None; return pytest's exit code, its seconds and its last lines."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        copy = pathlib.Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, copy / name)
        if fault is not None:
            path = copy / fault["file"]
            path.write_text(planted(fault, path.read_text(encoding="utf-8")), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=copy, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    return done.returncode, time.perf_counter() - begin, done.stdout.splitlines()[-3:] + done.stderr.splitlines()[-3:]


def main():
    """Run all faults; print a line for each, and the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="number of faults at a time")
    parser.add_argument("--only", default="*", help="only faults whose id matches this glob")
    options = parser.parse_args()
    data = tomllib.loads((ROOT / "parity" / "faults.toml").read_text(encoding="utf-8"))
    faults = [fault for fault in data["fault"] if fnmatch.fnmatchcase(fault["id"], options.only)]
    for fault in faults:  # all of them before the first test runs
        planted(fault, (ROOT / fault["file"]).read_text(encoding="utf-8"))
    groups = dict.fromkeys(fault["group"] for fault in faults)
    plans = [(None, group) for group in groups] + [(fault, fault["group"]) for fault in faults]
    caught, wrong = 0, False
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as threads:
        results = threads.map(lambda plan: run(plan[0], data["groups"][plan[1]]["tests"]), plans)
        for (fault, group), (code, seconds, lines) in zip(plans, results, strict=True):
            verdicts = {PASSED: "SURVIVED", FAILED: "caught"} if fault else {PASSED: "passes", FAILED: "FAILS"}
            verdict = verdicts.get(code, f"could not run (pytest's exit code {code})")
            name = fault["id"] if fault else f"{group}, without a fault"
            sys.stdout.write(f"{seconds:4.0f} s  {verdict:8}  {name}\n")
            if verdict not in ("caught", "passes"):
                wrong = True
                sys.stdout.write("".join(f"        {line}\n" for line in lines if verdict != "SURVIVED"))
            sys.stdout.flush()
            caught += verdict == "caught"
    sys.stdout.write(f"{caught} of {len(faults)} caught\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
