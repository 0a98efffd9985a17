"""`python -m multilstm.bench.length`: what a timestep costs in sequences of 1,000 to 100,000, in time and in memory.

The gradient of all weights of `multilstm.scan.lstm`, with and without `checkpoint`, for (8, T, 32, 64); time is the
median of interleaved rounds, memory what the compiled program sets aside beside its arguments and results.
"""

from __future__ import annotations

import json as jsonlib
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.contestants.base import load
from multilstm.cli.app import run
from multilstm.cli.types import Path
from multilstm.errors import UsageError
from multilstm.execution.environment import environment
from multilstm.report.files import check_writable, write_text
from multilstm.workers import Worker

BATCH, FEATURES, UNITS = 8, 32, 64
LENGTHS = (1_000, 3_000, 10_000, 30_000, 100_000)
app = App(
    name="python -m multilstm.bench.length", help_format="markdown", version_flags=(), suppress_keyboard_interrupt=False
)


@app.default
def main(
    *,
    timesteps: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative=(), show_default=False)] = LENGTHS,
    rounds: int = 5,
    device: Literal["cpu", "gpu"] = "cpu",
    json: Path = None,
) -> None:
    """Time the gradient of one LSTM on sequences of several lengths, with and without checkpoints.

    Parameters
    ----------
    timesteps
        The lengths; 1,000 to 100,000 if left out.
    rounds
        How often each is timed.
    device
        Where it is computed, in IEEE float32; without a GPU, `gpu` is an error.
    json
        Write what was measured to this file, with machine and versions; `-` is standard output.
    """
    if rounds < 1 or min(timesteps) < 1:
        raise UsageError(f"--rounds and --timesteps must be at least 1, given {rounds} and {min(timesteps)}")
    if json is not None:
        check_writable(json)
    with tempfile.TemporaryDirectory(prefix="multilstm-") as home:
        service = ("multilstm.bench.length:serve",)
        worker = Worker("jax-scan", service, device, CONTESTANTS["jax-scan-one"].environment, pathlib.Path(home))
        message = {"timesteps": list(timesteps), "rounds": rounds, "device": device}
        try:
            rows = worker.call(message, 3600.0)["rows"]
        finally:
            worker.kill()
    if json is not None:
        data = {"format": 1, "environment": environment(), "device": device, "rows": rows}
        write_text(json, jsonlib.dumps(data) + "\n")
    show(rows, Console(stderr=json == "-", highlight=False, width=None if sys.stdout.isatty() else 80))


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Prints a row for each length."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("timesteps", "us a step", "MiB", "us a step,\ncheckpoint", "MiB,\ncheckpoint", "times as long"):
        table.add_column(heading, justify="right")
    for steps in dict.fromkeys(row["timesteps"] for row in rows):
        plain, saved = sorted((row for row in rows if row["timesteps"] == steps), key=lambda row: row["checkpoint"])
        cells = [f"{steps:,}"]
        for row in (plain, saved):
            cells += [f"{1e6 * row['seconds'] / steps:.2f}", f"{row['bytes'] / 2**20:,.1f}"]
        table.add_row(*cells, f"{saved['seconds'] / plain['seconds']:.2f}")
    console.print(table)
    console.print(f"computed by {', '.join(dict.fromkeys(row['implementation'] for row in rows))}")


def serve() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What the worker answers: two rows for each length of `{"timesteps": [...], "rounds": n, "device": ...}`."""

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        if message["device"] == "gpu":
            load(CONTESTANTS["jax-scan-one"].target, *CONTESTANTS["jax-scan-one"].arguments).use_gpu()
        cases = [(steps, checkpoint) for steps in message["timesteps"] for checkpoint in (False, True)]
        runs = [_prepare(*case) for case in cases]
        samples: list[list[float]] = [[] for _ in cases]
        for _ in range(message["rounds"]):
            for (call, *_), found in zip(runs, samples, strict=True):
                start = time.perf_counter()
                call()
                found.append(time.perf_counter() - start)
        rows = [
            {
                "timesteps": steps,
                "checkpoint": checkpoint,
                "seconds": statistics.median(found),
                "bytes": size,
                "implementation": ran,
            }
            for (steps, checkpoint), found, (_, size, ran) in zip(cases, samples, runs, strict=True)
        ]
        return {"rows": rows}

    return answer


def _prepare(steps: int, checkpoint: bool) -> tuple[Callable[[], Any], int, str]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from multilstm.frameworks import jax as jax_platform
    from multilstm.scan import LSTMParams, init, lstm

    params = init(FEATURES, UNITS)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((BATCH, steps, FEATURES), np.float32))

    def loss(params: LSTMParams, x: jax.Array) -> jax.Array:
        return lstm(params, x, checkpoint=checkpoint)[1].hidden.sum()

    compiled = jax.jit(jax.grad(loss)).lower(params, x).compile()
    memory = compiled.memory_analysis().temp_size_in_bytes
    jax.block_until_ready(compiled(params, x))
    return lambda: jax.block_until_ready(compiled(params, x)), memory, jax_platform.implementation(compiled)


if __name__ == "__main__":
    run(app)
