"""`python -m multilstm.bench.portable`: the cost of `multilstm.keras_layers.LSTM` compared with Keras's own LSTM.

Both layers have the same weights and are called in one process, where Keras's own layer is right. Their answers must
agree to the bit. `predict_on_batch` and `train_on_batch` are timed on full batches, without and with a mask.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from multilstm.bench.program import checked_method, program
from multilstm.bench.results import write_results
from multilstm.bench.rounds import Method, interleave, median, sample, spread
from multilstm.cli.app import run
from multilstm.cli.console import result_console
from multilstm.cli.progress import say
from multilstm.cli.types import OptionalNames, Path, WholeNumber, names
from multilstm.engines.registry import ENGINES, engine_row
from multilstm.errors import InputError, UsageError, choice
from multilstm.workers import RunFolder, Worker

SHAPES = ((32, 50, 16, 32), (64, 100, 64, 128))  # batch, timesteps, features, units
BACKENDS = tuple(name for name in ENGINES if name.startswith("keras-"))
PLAIN, PORTABLE = "plain", "portable"
app = program("portable")


@app.default
def main(
    *,
    engine: OptionalNames = None,
    rounds: WholeNumber = 7,
    json: Path = None,
    pause: float = 0.25,
    seed: WholeNumber = 0,
) -> None:
    """Time multilstm.keras_layers.LSTM and Keras's own LSTM, with and without a mask.

    The machine should do nothing else meanwhile.

    Parameters
    ----------
    engine
        Keras's backends, for example `--engine keras-jax`. Default: all that are installed.
    rounds
        Number of rounds; each round times both layers once, in random order.
    json
        Write the measurements to this file, with machine and versions; `-` is standard output.
    pause
        Seconds without computation before each layer.
    seed
        Random seed of the order.
    """
    engines = names("--engine", engine)
    for name in engines:
        if name not in BACKENDS:
            raise UsageError(choice("engine", name, BACKENDS))
        engine_row(name).require()
    method = checked_method(rounds, pause, seed, json)
    rows: list[dict[str, Any]] = []
    for name in engines or [name for name in BACKENDS if not ENGINES[name].missing]:
        say(f"{name} runs")
        with RunFolder() as home:
            service = ("multilstm.bench.portable:serve",)
            worker = Worker(name, service, "cpu", ENGINES[name].environment, home)
            message = {"shapes": [list(shape) for shape in SHAPES], "method": dataclasses.asdict(method)}
            try:
                rows += [{"engine": name, **row} for row in worker.call(message, 3600.0)["rows"]]
            finally:
                worker.kill()
    write_results(json, "portable", "cpu", method, rows=rows)
    show(rows, result_console(json))


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Print a row for each backend, shape, mask and method."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("engine", "shape", "mask", "method"):
        table.add_column(heading, overflow="fold")
    for heading in ("plain\nms", "portable\nms", "ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        plain, portable = row["seconds"][PLAIN], row["seconds"][PORTABLE]
        table.add_row(
            row["engine"].removeprefix("keras-"),
            "x".join(map(str, row["shape"])),
            "yes" if row["masked"] else "no",
            row["method"].removesuffix("_on_batch"),
            f"{plain * 1e3:.2f}",
            f"{portable * 1e3:.2f}",
            f"{portable / plain:.3f}",
        )
    console.print(table)


def serve() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the service: the rows of `{"shapes": [...], "method": {...}}` on this process's Keras backend."""

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        method = Method(**message["method"])
        shapes = [tuple(shape) for shape in message["shapes"]]
        return {"rows": [row for shape in shapes for masked in (False, True) for row in _rows(shape, masked, method)]}

    return answer


def _rows(shape: tuple[int, ...], masked: bool, method: Method) -> list[dict[str, Any]]:
    import keras

    from multilstm import keras_layers

    batch, timesteps, features, _ = shape
    rng = np.random.default_rng(1)
    x = rng.normal(size=(batch, timesteps, features)).astype("float32")
    y = rng.normal(size=(batch, 1)).astype("float32")
    if masked:
        x[:, timesteps // 2 :] = 0
    models = {PLAIN: _model(keras.layers, shape, masked), PORTABLE: _model(keras_layers, shape, masked)}
    answers = [model.predict_on_batch(x) for model in models.values()]
    if not np.array_equal(*answers):
        distance = np.abs(answers[0] - answers[1]).max()
        raise InputError(f"{shape}: the layers differ by {distance:.1e}, expected the same bits")
    rows = []
    for name, arguments in (("predict_on_batch", (x,)), ("train_on_batch", (x, y))):
        calls = {layer: partial(getattr(model, name), *arguments) for layer, model in models.items()}
        timers = {layer: partial(sample, call, method) for layer, call in calls.items()}
        timings = interleave(timers, method, method.order(), PLAIN)
        rows.append(
            {
                "shape": list(shape),
                "masked": masked,
                "method": name,
                "seconds": {layer: median(timing.last) for layer, timing in timings.items()},
                "spread": {layer: spread(timing.last) for layer, timing in timings.items()},
                "repeated": bool(timings[PLAIN].repeated),
            }
        )
    return rows


def _model(source: Any, shape: tuple[int, ...], masked: bool) -> Any:
    import keras

    _, timesteps, features, units = shape
    layers = [keras.Input((timesteps, features))] + ([keras.layers.Masking()] if masked else [])
    model = keras.Sequential([*layers, source.LSTM(units), keras.layers.Dense(1)])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.2, weight.shape) for weight in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


if __name__ == "__main__":
    run(app)
