"""`python -m multilstm.bench.training`: the fifth seed program, a new length in every batch, compilation included.

Keras on its three backends, with the layers of `multilstm.keras_layers`, and `multilstm.scan.BucketedModel` start from
the same weights and see the same batches, one framework after another, each in its own process with its own number of
threads. What is timed is every training step until its loss is known, the first of each length too; making the data is
not, nor finding out which kernel computed the LSTMs, which comes after the last step.
"""

from __future__ import annotations

import json as jsonlib
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from cyclopts import App
from rich.console import Console
from rich.table import Table

from multilstm.bench.contestants import CONTESTANTS
from multilstm.bench.contestants.base import load
from multilstm.bench.measure import computed_by
from multilstm.cases.case import Case
from multilstm.cases.catalogue import select
from multilstm.cli.app import run
from multilstm.cli.types import Names, Path
from multilstm.errors import EngineUnavailableError, UsageError, choice
from multilstm.execution.environment import environment
from multilstm.frameworks.kernels import with_algorithm
from multilstm.jobs.job import Batch
from multilstm.report.files import check_writable, write_text
from multilstm.report.terminal import printable
from multilstm.weights.initializers import initial_weights
from multilstm.workers import Worker

TRAINERS = ("jax-scan", "keras-jax", "keras-tensorflow", "keras-torch")
LOSS_TOLERANCE = 1e-2  # training amplifies rounding; the parity suite judges the curves in float64


class Trainer(NamedTuple):
    """One framework's model, ready to be trained.

    Attributes:
        step: trains on a batch, and gives its loss.
        implementation: what computes its LSTMs in such a step, as it is compiled or dispatched.
    """

    step: Callable[[Batch], float]
    implementation: Callable[[Batch], str]


app = App(
    name="python -m multilstm.bench.training",
    help_format="markdown",
    version_flags=(),
    suppress_keyboard_interrupt=False,
)


@app.default
def main(
    *,
    contestant: Names = (),
    steps: int = 300,
    device: Literal["cpu", "gpu"] = "cpu",
    timeout: float = 3600.0,
    json: Path = None,
) -> None:
    """Time the training of the fifth seed program: batches of 1000 sequences, each of a random length from 10 to 99.

    Parameters
    ----------
    contestant
        Whom to time, by name; all if left out.
    steps
        How many of the 300 training steps.
    device
        Where they train, in IEEE float32; who finds no GPU is skipped with the reason, and named, it is an error.
    timeout
        Seconds after which one of them is given up.
    json
        Write the seconds and the loss of every step to this file, with machine and versions; `-` is standard output.
    """
    for name in contestant:
        if name not in TRAINERS:
            raise UsageError(choice("contestant", name, TRAINERS))
    if not 1 <= steps <= 300:
        raise UsageError(f"--steps must be from 1 to 300, given {steps}")
    if json is not None:
        check_writable(json)
    errors = Console(stderr=True, highlight=False)
    found: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="multilstm-") as home:
        for name in contestant or TRAINERS:
            errors.print(f"{name} trains", style="dim")
            service = ("multilstm.bench.training:serve", name)
            worker = Worker(name, service, device, CONTESTANTS[name].environment, pathlib.Path(home))
            try:
                found[name] = worker.call({"steps": steps, "device": device}, timeout)
            except EngineUnavailableError as error:
                if contestant:
                    raise
                skipped[name] = str(error)
            finally:
                worker.kill()
    for name, reason in skipped.items():
        errors.print(f"skipped {name}: {reason}", markup=False, soft_wrap=True)
    if not found:
        raise EngineUnavailableError(f"nothing was trained on the {device}; see above for each contestant's reason")
    if json is not None:
        data = {"format": 1, "environment": environment(), "device": device, "contestants": found}
        write_text(json, jsonlib.dumps(data) + "\n")
    show(found, Console(stderr=json == "-", highlight=False, width=None if sys.stdout.isatty() else 80))


def show(found: dict[str, dict[str, Any]], console: Console) -> None:
    """Prints a row for each contestant, and whether their losses agree."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "seconds", "of these in the\nten slowest steps", "times jax-scan", "last loss"):
        table.add_column(heading, justify="right" if heading else "left")
    base = sum(found["jax-scan"]["seconds"]) if "jax-scan" in found else None
    for name, each in found.items():
        total = sum(each["seconds"])
        slowest = sum(sorted(each["seconds"])[-10:])
        times = "" if base is None else f"{total / base:.2f}"
        table.add_row(name, f"{total:.1f}", f"{slowest:.1f}", times, f"{each['losses'][-1]:.4f}")
    console.print(table)
    curves = np.array([each["losses"] for each in found.values()])
    apart = float(np.abs(curves - curves[0]).max())
    verdict = "agree" if apart <= LOSS_TOLERANCE else "DISAGREE"
    console.print(f"losses {verdict}: at most {apart:.1e} apart")
    for line in computed_by({name: each["implementation"] for name, each in found.items()}):
        console.print(printable(line), markup=False, soft_wrap=True)


def serve(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What a worker answers: `{"steps": n, "device": ...}` gives seconds and loss of each step, and what computed."""

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        contestant = load(CONTESTANTS[name].target, *CONTESTANTS[name].arguments)
        if message["device"] == "gpu":
            contestant.use_gpu()
        (case,) = select(("seed5",), full=True)
        start = {key: array.astype("float32") for key, array in initial_weights(case.spec, seed=0).items()}
        trainer = (_scan if name == "jax-scan" else _keras)(case, start)
        seconds, losses = [], []
        for batch in _batches(case, message["steps"]):
            begin = time.perf_counter()
            losses.append(trainer.step(batch))
            seconds.append(time.perf_counter() - begin)
        implementation = trainer.implementation(batch)
        launched = contestant.launched(lambda: trainer.step(batch))
        return {"seconds": seconds, "losses": losses, "implementation": with_algorithm(implementation, launched)}

    return answer


def _batches(case: Case, count: int) -> Iterator[Batch]:
    updates = (step.batch for step in case.training_steps() if step.kind == "update")
    for _, batch in zip(range(count), updates, strict=False):
        yield batch


def _first(batch: Batch, count: int) -> Batch:
    """The first sequences of a batch."""
    inputs = {name: array[:count] for name, array in batch.inputs.items()}
    return Batch(inputs, tuple(array[:count] for array in batch.targets))


def _scan(case: Case, start: dict[str, Any]) -> Trainer:
    import jax

    from multilstm.frameworks import jax as jax_platform
    from multilstm.scan import BucketedModel, model
    from multilstm.scan.parallel import data_parallel_mesh

    optimizer = case.optimizer
    assert optimizer is not None
    bucketed = BucketedModel(model(case.spec, mesh=data_parallel_mesh() if len(jax.devices()) > 1 else None))
    weights: Any = start
    slots: Any = {f"{name}/{slot}": np.zeros_like(array) for name, array in start.items() for slot in optimizer.slots}
    iteration = 0

    def arguments(batch: Batch) -> tuple[Any, ...]:
        coefficients = {key: np.float32(number) for key, number in optimizer.coefficients(iteration).items()}
        return weights, slots, coefficients, batch.inputs, batch.targets

    def step(batch: Batch) -> float:
        nonlocal weights, slots, iteration
        weights, slots, loss, _ = bucketed.train_step(*arguments(batch), optimizer=optimizer, loss=str(case.loss))
        iteration += 1
        return float(loss)

    def implementation(batch: Batch) -> str:
        jitted = jax.jit(partial(bucketed.model.train_step, optimizer=optimizer, loss=str(case.loss)))
        return jax_platform.implementation(jitted.lower(*arguments(batch)).compile())

    return Trainer(step, implementation)


def _keras(case: Case, start: dict[str, Any]) -> Trainer:
    import keras

    from multilstm import keras_layers

    # The portable classes: with plain Keras on TensorFlow, this program raises, or trains on another loss.
    layers = [keras_layers.LSTM(units, return_sequences=True) for units in (32, 8)]
    outputs = keras_layers.TimeDistributed(keras.layers.Dense(2, activation="sigmoid"))
    model = keras.Sequential([keras.Input((None, 5)), *layers, outputs])
    for variable, array in zip(model.trainable_variables, start.values(), strict=True):
        variable.assign(array)
    model.compile(optimizer=keras_layers.Adam(), loss=keras_layers.CategoricalCrossentropy())

    def step(batch: Batch) -> float:
        model.reset_metrics()  # train_on_batch returns the mean loss since then
        return float(model.train_on_batch(next(iter(batch.inputs.values())), batch.targets[0]))

    def implementation(batch: Batch) -> str:
        """Of Keras's own `train_step`, as `train_on_batch` compiles it."""
        data = next(iter(batch.inputs.values())), batch.targets[0]
        if keras.backend.backend() == "torch":
            from multilstm.frameworks import torch as torch_platform

            return torch_platform.implementation(partial(step, _first(batch, 8)))  # watching slows every operator
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            from multilstm.frameworks import tensorflow as tensorflow_platform

            traced = tf.function(model.train_step, jit_compile=model.jit_compile)
            return tensorflow_platform.implementation(traced, tuple(map(tf.constant, data)), xla=model.jit_compile)
        import jax

        from multilstm.frameworks import jax as jax_platform

        trained, other = model.trainable_variables, model.non_trainable_variables
        variables = (trained, other, model.optimizer.variables, model.metrics_variables)
        state = tuple([variable.value for variable in each] for each in variables)
        return jax_platform.implementation(jax.jit(model.train_step).lower(state, data).compile())

    return Trainer(step, implementation)


if __name__ == "__main__":
    run(app)
