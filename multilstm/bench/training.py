"""`python -m multilstm.bench.training`: training of the fifth seed program, whose batches differ in length.

Contestants are `multilstm.scan.BucketedModel` and Keras on its three backends with `multilstm.keras_layers`. All of
them start from the same weights and get the same batches. One trains after the other, each in a process of its own
that ends before the next starts: no idle threads disturb a contestant. Each framework uses its own number of threads.

The time of a training step ends when its loss is known. Steps that compile for a new length count. Making the data
does not count, and neither does the search for the kernel, which follows the last step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from multilstm.bench.contestants import CONTESTANTS, TRAINERS
from multilstm.bench.measure import computed_by
from multilstm.bench.program import program
from multilstm.bench.results import write_results
from multilstm.cases.case import Case
from multilstm.cases.catalogue import select
from multilstm.cli.app import run
from multilstm.cli.console import result_console
from multilstm.cli.progress import say
from multilstm.cli.types import Device, OptionalNames, Path, WholeNumber, names
from multilstm.errors import EngineUnavailableError, UsageError, choice
from multilstm.execution.options import LONGEST_TIMEOUT_S
from multilstm.frameworks.kernels import with_algorithm
from multilstm.jobs.job import Batch
from multilstm.report.files import check_writable
from multilstm.report.words import printable
from multilstm.weights.initializers import initial_weights
from multilstm.workers import RunFolder, Worker

LOSS_TOLERANCE = 1e-2  # training amplifies rounding; the parity suite judges the curves in float64
app = program("training")


class Trainer(NamedTuple):
    """The functions that train one framework's model.

    Attributes:
        step: trains on a batch and returns its loss.
        implementation: returns the kernel of the LSTMs in such a step, as compiled or dispatched.
    """

    step: Callable[[Batch], float]
    implementation: Callable[[Batch], str]


@app.default
def main(
    *,
    contestant: OptionalNames = None,
    steps: WholeNumber = 300,
    device: Device = "cpu",
    timeout: float = 3600.0,
    json: Path = None,
) -> None:
    """Time the training of the fifth seed program: batches of 1000 sequences, each of a random length from 10 to 99.

    Parameters
    ----------
    contestant
        Contestants by name. Default: all.
    steps
        Number of training steps, at most 300.
    device
        Device that trains, in IEEE float32. Contestants that find no GPU are skipped, with the reason. Without a GPU,
        a contestant given by name is an error.
    timeout
        Seconds after which a contestant is given up.
    json
        Write the seconds and the loss of every step to this file, with machine and versions; `-` is standard output.
    """
    contestants = names("--contestant", contestant)
    for name in contestants:
        if name not in TRAINERS:
            raise UsageError(choice("contestant", name, TRAINERS))
    if not 1 <= steps <= 300:
        raise UsageError(f"--steps must be from 1 to 300, given {steps}")
    if not 0 < timeout <= LONGEST_TIMEOUT_S:
        raise UsageError(f"--timeout must be above 0 and at most {LONGEST_TIMEOUT_S:g} seconds, given {timeout:g}")
    if json is not None:
        check_writable(json)
    results: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    with RunFolder() as home:
        for name in contestants or TRAINERS:
            say(f"{name} trains")
            service = ("multilstm.bench.training:serve", name)
            worker = Worker(name, service, device, CONTESTANTS[name].environment, home)
            try:
                results[name] = worker.call({"steps": steps, "device": device}, timeout)
            except EngineUnavailableError as error:
                if contestants:
                    raise
                skipped[name] = str(error)
            finally:
                worker.kill()
    for name, reason in skipped.items():
        say(f"skipped {name}: {reason}")
    if not results:
        raise EngineUnavailableError(f"nothing was trained on the {device}; see above for each contestant's reason")
    write_results(json, "training", device, None, contestants=results)
    show(results, result_console(json))


def show(results: dict[str, dict[str, Any]], console: Console) -> None:
    """Print a row for each contestant, and whether their losses agree."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "seconds", "of these in the\nten slowest steps", "times jax-scan", "last loss"):
        table.add_column(heading, justify="right" if heading else "left")
    base = sum(results["jax-scan"]["seconds"]) if "jax-scan" in results else None
    for name, result in results.items():
        total = sum(result["seconds"])
        slowest = sum(sorted(result["seconds"])[-10:])
        times = "" if base is None else f"{total / base:.2f}"
        table.add_row(name, f"{total:.1f}", f"{slowest:.1f}", times, f"{result['losses'][-1]:.4f}")
    console.print(table)
    curves = np.array([result["losses"] for result in results.values()])
    apart = float(np.abs(curves - curves[0]).max())
    verdict = "agree" if apart <= LOSS_TOLERANCE else "DISAGREE"
    console.print(f"losses {verdict}: at most {apart:.1e} apart")
    for line in computed_by({name: result["implementation"] for name, result in results.items()}):
        console.print(printable(line), markup=False, soft_wrap=True)


def serve(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the service of a trainer.

    The answer to `{"steps": n, "device": ...}` has the seconds and the loss of each step, and the implementation.
    """

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        contestant = CONTESTANTS[name].make()
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
    """Return the first sequences of a batch."""
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
        """Return the kernel of Keras's own `train_step`, as `train_on_batch` compiles it."""
        data = next(iter(batch.inputs.values())), batch.targets[0]
        if keras.backend.backend() == "torch":
            from multilstm.frameworks import torch as torch_platform

            return torch_platform.implementation(partial(step, _first(batch, 8)))  # the profiler slows every operator
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            from multilstm.frameworks import tensorflow as tensorflow_platform

            traced = tf.function(model.train_step, jit_compile=model.jit_compile)
            return tensorflow_platform.implementation(traced, tuple(map(tf.constant, data)), xla=model.jit_compile)
        import jax

        from multilstm.frameworks import jax as jax_platform

        trained, other = model.trainable_variables, model.non_trainable_variables
        variables = (trained, other, model.optimizer.variables, model.metrics_variables)
        state = tuple([variable.value for variable in group] for group in variables)
        return jax_platform.implementation(jax.jit(model.train_step).lower(state, data).compile())

    return Trainer(step, implementation)


if __name__ == "__main__":
    run(app)
