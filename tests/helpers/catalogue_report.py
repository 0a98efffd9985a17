"""A report of the size of a real run: every job and every quantity of the catalogue, with drawn errors.

Jobs and quantities are those of the product (`due_parts`, `quantities_of`), from results whose arrays are empty.
Nothing is computed, so that a report of five engines takes seconds in place of an hour.
"""

import functools

import numpy as np

from multilstm.cases.catalogue import select
from multilstm.compare import Comparison, tolerance
from multilstm.compare.quantity import EXACT, FORWARD
from multilstm.execution.options import Options
from multilstm.execution.part import Part, due_parts
from multilstm.execution.quantities import quantities_of
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Result
from multilstm.report.arguments import Arguments
from multilstm.report.cells import Cell
from multilstm.report.report import Report
from multilstm.version import __version__

ENGINES = ("keras-jax", "keras-tensorflow", "keras-torch", "jax-scan", "torch-lstm")
DTYPES = ("float32", "float64")
NONE = Implementation("none")
EMPTY = np.zeros(0)


@functools.cache
def catalogue_report(engines=ENGINES, dtypes=DTYPES, full=False):
    """Return a report of the whole catalogue, as `multilstm parity --case '*'` gives it."""
    options, draw = Options(tuple(engines), tuple(dtypes)), np.random.default_rng(23)
    cases = select(("*",), full)
    cells = []
    for case in cases:
        for engine in engines:
            for dtype in dtypes:
                for part in due_parts(case, dtype, options, engine):
                    cells += _job(case, engine, dtype, part, draw)
    environment = {
        "multilstm": __version__,
        "python": "3.11",
        "options": {"engines": list(engines), "dtypes": list(dtypes)},
    }
    return Report(
        tuple(cells),
        environment,
        shortened={case.name: case.shortened for case in cases if case.shortened},
        arguments=Arguments(full=full),
        cases=tuple(case.name for case in cases),
        seconds=3600.0,
    )


def _job(case, engine, dtype, part, draw):
    seconds, kernel = float(draw.lognormal(-1, 1)), _kernel(case, engine)
    for quantity in quantities_of(part, case, _result(case, part)):
        is_exact, row = quantity.kind in EXACT, tolerance(dtype, "cpu", quantity.kind)
        weak = "rounded" if dtype == "float64" and quantity.kind in FORWARD else "within"
        verdict = "equal" if is_exact else "bitwise" if draw.random() < 0.02 else weak
        share = 0.0 if verdict in ("equal", "bitwise") else float(10 ** draw.uniform(-4, 0))
        comparison = Comparison(quantity, verdict, share * 1e-6, share, int(40 * share), "0" if is_exact else str(row))
        yield Cell(
            case=case.name, engine=engine, device="cpu", dtype=dtype, layers="portable", part=str(part),
            seconds=seconds, implementation=kernel, comparison=comparison,
        )  # fmt: skip


def _kernel(case, engine):
    """Return a kernel with the words of the engine; `multilstm.scan` has a plan for each layer."""
    if engine != "jax-scan":
        return Implementation(f"the loop of {engine}", "as compiled by it")
    steps = max(
        array.shape[1] for step in case.forward_steps() for array in step.batch.inputs.values() if array.ndim > 1
    )
    plan = f"forward in chunks of {steps} steps; gradient in chunks of {steps} steps, gates stored"
    return Implementation("lax.scan, custom gradient", "; ".join(f"{name}: {plan}" for name in case.spec.recurrent))


def _result(case, part):
    """Return a result with all arrays that an engine returns, each of them empty."""
    spec = case.spec
    weights = dict.fromkeys(spec.weight_shapes, EMPTY)
    slots = {
        f"{name}/{slot}": EMPTY for name in spec.trainable_weights for slot in getattr(case.optimizer, "slots", ())
    }
    if part is Part.UPDATES:
        answers = tuple(
            Answer(loss=0.0, weights=weights, slots=slots) if number in (1, 10, 100) else Answer(loss=0.0)
            for number in range(1, 101)
        )
    elif part is Part.PROGRAM:
        answers = (Answer(loss=0.0, accuracy=0.0),)
    elif part is Part.GRADIENT:
        inputs = dict.fromkeys(spec.inputs, EMPTY)
        answers = (Answer(gradients=dict.fromkeys(spec.trainable_weights, EMPTY), input_gradients=inputs),)
    else:
        answers = tuple(_forward(spec) for _ in case.forward_steps())
    counts = {name.split("/")[0]: 1 for name in spec.weight_shapes}
    return Result(answers, weights, slots, {}, counts, NONE, 0.0)


def _forward(spec):
    layers = spec.recurrent
    return Answer(
        outputs=(EMPTY,) * len(spec.outputs),
        sequences={name: EMPTY for name, layer in layers.items() if layer.return_sequences},
        last_outputs={name: EMPTY for name, layer in layers.items() if not layer.return_sequences},
        states={name: layer.state_type(*(EMPTY for _ in layer.state_names)) for name, layer in layers.items()},
    )
