"""`python -m multilstm.bench.length`: time and memory of an LSTM's gradient on sequences of 1,000 to 100,000 steps.

The gradient of all weights of `multilstm.scan.lstm` is computed with and without `checkpoint`. Inputs have the shape
`(8, timesteps, 32)`; the layer has 64 units. Memory is the compiled program's own, without arguments and results.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.program import checked_method, program
from multilstm.bench.results import write_results
from multilstm.bench.rounds import Method, interleave, median, sample, spread
from multilstm.cli.app import run
from multilstm.cli.console import result_console
from multilstm.cli.types import Device, OptionalWholeNumbers, Path, WholeNumber, names
from multilstm.errors import UsageError
from multilstm.workers import RunFolder, Worker

BATCH, FEATURES, UNITS = 8, 32, 64
LENGTHS = (1_000, 3_000, 10_000, 30_000, 100_000)
CONTESTANT = "jax-scan-one"
app = program("length")


@app.default
def main(
    *,
    timesteps: OptionalWholeNumbers = None,
    rounds: WholeNumber = 5,
    device: Device = "cpu",
    json: Path = None,
    seed: WholeNumber = 0,
) -> None:
    """Time the gradient of one LSTM on sequences of several lengths, with and without checkpoints.

    Parameters
    ----------
    timesteps
        The lengths. Default: 1,000 to 100,000.
    rounds
        Number of rounds; each round times every length once, in random order.
    device
        Device that computes, in IEEE float32. Without a GPU, `gpu` is an error.
    json
        Write the measurements to this file, with machine and versions; `-` is standard output.
    seed
        Random seed of the order.
    """
    lengths = names("--timesteps", timesteps) or LENGTHS
    if min(lengths) < 1:
        raise UsageError(f"--timesteps must be at least 1, given {min(lengths)}")
    method = checked_method(rounds, Method.pause_s, seed, json)
    with RunFolder() as home:
        service = ("multilstm.bench.length:serve",)
        worker = Worker("jax-scan", service, device, CONTESTANTS[CONTESTANT].environment, home)
        message = {"timesteps": list(lengths), "method": dataclasses.asdict(method), "device": device}
        try:
            rows = worker.call(message, 3600.0)["rows"]
        finally:
            worker.kill()
    write_results(json, "length", device, method, rows=rows)
    show(rows, result_console(json))


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Print a row for each length."""
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
    """Return the service: two rows for each length of `{"timesteps": [...], "method": {...}, "device": ...}`."""

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        if message["device"] == "gpu":
            CONTESTANTS[CONTESTANT].make().use_gpu()
        method = Method(**message["method"])
        programs = {
            f"{steps} {checkpoint}": _Program(steps, checkpoint)
            for steps in message["timesteps"]
            for checkpoint in (False, True)
        }
        timers = {name: partial(sample, program.call, method) for name, program in programs.items()}
        timings = interleave(timers, method, method.order())
        return {
            "rows": [
                {
                    "timesteps": program.steps,
                    "checkpoint": program.checkpoint,
                    "seconds": median(timings[name].last),
                    "spread": spread(timings[name].last),
                    "repeated": bool(timings[name].repeated),
                    "bytes": program.memory,
                    "implementation": program.implementation,
                }
                for name, program in programs.items()
            ]
        }

    return answer


class _Program:
    """The compiled gradient for one length.

    Attributes:
        memory: bytes of the compiled program besides its arguments and results.
        implementation: kernel that computes it.
    """

    def __init__(self, steps: int, checkpoint: bool) -> None:
        import jax
        import jax.numpy as jnp
        import numpy as np

        from multilstm.frameworks import jax as jax_platform
        from multilstm.scan import LSTMParams, init, lstm

        self.steps, self.checkpoint = steps, checkpoint
        params = init(FEATURES, UNITS)
        x = jnp.asarray(np.random.default_rng(0).standard_normal((BATCH, steps, FEATURES), np.float32))

        def loss(params: LSTMParams, x: jax.Array) -> jax.Array:
            return lstm(params, x, checkpoint=checkpoint)[1].hidden.sum()

        compiled = jax.jit(jax.grad(loss)).lower(params, x).compile()
        self.memory: int = compiled.memory_analysis().temp_size_in_bytes
        self.implementation = jax_platform.implementation(compiled)
        self.call: Callable[[], Any] = lambda: jax.block_until_ready(compiled(params, x))


if __name__ == "__main__":
    run(app)
