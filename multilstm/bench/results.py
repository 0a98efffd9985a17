"""Results of a benchmark as JSON data: one version key, the environment and the method around all measurements."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from multilstm.bench.rounds import Method
from multilstm.execution.environment import environment
from multilstm.frameworks.variables import framework_variables
from multilstm.report.files import write_text

FORMAT = 2  # of the data that `write_results` writes


def write_results(path: str | None, benchmark: str, device: str, method: Method | None, **measured: Any) -> None:
    """Write the results of a benchmark to a file; `-` is standard output, None writes nothing.

    Args:
        path: the file.
        benchmark: name of the benchmark, such as `scan`.
        device: `cpu` or `gpu`.
        method: numbers of the method, if the benchmark has rounds.
        measured: the benchmark's own data; times in seconds.

    Raises:
        InputError: if the file cannot be written.
    """
    if path is None:
        return
    data = {
        "format": FORMAT,
        "benchmark": benchmark,
        "device": device,
        "environment": {**environment(), "variables": framework_variables()},
        "method": None if method is None else dataclasses.asdict(method),
        **measured,
    }
    write_text(path, json.dumps(data, indent=1))
