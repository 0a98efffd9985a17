"""Every framework selects deterministic kernels, each engine has them for its operations, and its switches show it.

A CPU replaces the GPU: environment and switches are those of a GPU, which this machine need not have.
"""

import json
import os
import subprocess
import sys

import pytest

from multilstm.engines.registry import ENGINES
from multilstm.frameworks.process_environment import for_process

PROGRAM = """
import dataclasses, json, sys
from multilstm.engines.executor import Executor
from multilstm.engines.registry import ENGINES, load
from multilstm.engines.repeatability import trial
engine = load(ENGINES[sys.argv[1]].target)
before = engine.platform.switches()["deterministic"]
engine.platform.make_deterministic()
test, implementation = trial(Executor(engine), "cpu")
print(json.dumps([before, engine.platform.switches()["deterministic"], dataclasses.asdict(test), str(implementation)]))
"""


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "reference"])
def test_the_same_bits_under_deterministic_kernels(engine):
    row = ENGINES[engine]
    if row.missing:
        pytest.skip(f"{', '.join(row.missing)} is not installed")
    environment = {**for_process("gpu", row.on("gpu"), os.environ), **for_process("cpu", {}, {})}
    environment["PYTHONPATH"] = os.pathsep.join([os.getcwd(), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, engine],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, after, test, implementation = json.loads(done.stdout.splitlines()[-1])
    by_flag = engine in (
        "keras-jax",
        "jax-scan",
        "flax-module",
        "linen-module",
        "equinox-module",
        "haiku-module",
    )  # XLA reads a flag when it starts; the others are switched later
    assert (before, after) == ("on" if by_flag else "off", "on")
    assert test["ok"], test["detail"]
    assert implementation
