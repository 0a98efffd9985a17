"""The sweep over interacting options: mask, direction, unrolling, states, merging, stacking.

`FACTORS` are the options with their values; `possible` excludes meaningless combinations. The models are a covering
array of strength 3 (see `covering.py`): one of them holds any three possible values of three options.

Every model meets all `DATA`, which include each kind of mask. The cases of one model differ only in their data, so an
engine compiles it twice at most: with and without a mask.

An RNN of stacked LSTMCells is no layer of multilstm.spec; `layers` stacks full layers.

All cases have a forward pass. Those of `trained` have gradients and a short training too: a covering array of strength
2 over all options and data. With `full`, all cases have them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from multilstm.cases.case import Case
from multilstm.cases.catalogue.covering import Row, covering, product
from multilstm.cases.random_batches import MASKS, RandomBatches, shortened, trainable
from multilstm.spec import LSTM, Bidirectional, Graph, Input, Model
from multilstm.spec.optimizers import SGD, Adam, Optimizer, RMSprop

FACTORS: dict[str, tuple[Any, ...]] = {
    "wrapper": (
        "lstm",
        "concat",
        "sum",
        "mul",
        "ave",
        "list",
    ),  # of the last layer: none, or Bidirectional's merge_mode
    "layers": (1, 2),  # the lower one is an LSTM with the same options, but for the wrapper
    "state": ("zero", "given"),  # the initial state of every LSTM
    "go_backwards": (False, True),
    "unroll": (False, True),
    "return_sequences": (False, True),
    "stateful": (False, True),
    "zero_output_for_mask": (False, True),
    "length": ("fixed", "open"),
}
DATA = (*MASKS, "saturated")  # large inputs and no mask
SATURATED = 6.0  # the scale of inputs that close and open gates almost completely
OPTIMIZERS: tuple[Optimizer, ...] = (SGD(0.1, momentum=0.9), RMSprop(), Adam())
# batch, timesteps, features, units; few, so that arrays of one shape are compiled once.
SHAPES = ((2, 4, 3, 5), (3, 5, 2, 4), (5, 3, 4, 3), (4, 5, 5, 2), (6, 4, 2, 6))
LONGER = 4  # times as many timesteps, unless they are unrolled


def possible(row: Row) -> bool:
    """Whether the options of a row are meaningful together."""
    bidirectional = row["wrapper"] != "lstm"
    return not (
        (bidirectional and row["go_backwards"])  # Bidirectional sets it itself
        or (bidirectional and row["zero_output_for_mask"])  # and this too
        or (row["unroll"] and row["length"] == "open")  # as many copies as timesteps
    )


@functools.cache
def rows() -> tuple[Row, ...]:
    """Return the options of all cases: each model of the covering array with each kind of data."""
    candidates = [row for row in product(FACTORS) if possible(row)]
    models = [candidates[place] for place in covering(candidates, 3)]
    return tuple({**model, "data": data} for model in models for data in DATA)


@functools.cache
def trained() -> frozenset[int]:
    """Return the places in `rows` of the cases with gradients and training."""
    return frozenset(covering(rows(), 2))


def sweep(full: bool = False) -> Iterator[Case]:
    """Yield the cases of the sweep, in the order of their models."""
    for place, row in enumerate(rows()):
        case = _case(row, place // len(DATA))
        yield case if full else shortened(case, place in trained())


def name(row: Row) -> str:
    """Return the name of a case: its values other than defaults, in a fixed order."""
    words = ["sweep"]
    if row["wrapper"] != "lstm":
        words.append(f"bidirectional-{row['wrapper']}")
    if row["layers"] > 1:
        words.append(f"layers-{row['layers']}")
    if row["data"] != "none":
        words.append(row["data"] if row["data"] not in MASKS else f"mask-{row['data']}")
    if row["state"] != "zero":
        words.append(f"state-{row['state']}")
    words += [key for key, value in row.items() if value is True]
    if row["length"] == "open":
        words.append("any_length")
    return "-".join(words) if len(words) > 1 else "sweep-plain"


def _case(row: Row, number: int) -> Case:
    """Return the case of a row of model `number`."""
    batch, timesteps, features, units = SHAPES[number % len(SHAPES)]
    if not row["unroll"]:
        timesteps *= LONGER if number % 2 else 1
    spec = _model(row, batch, timesteps, features, units)
    data = RandomBatches(
        spec,
        batch,
        timesteps,
        2 if row["stateful"] else 1,
        row["data"] if row["data"] in MASKS else "none",
        states=tuple(spec.recurrent) if row["state"] == "given" else (),
        scale=SATURATED if row["data"] == "saturated" else 1.0,
        seed=9000 + number,
    )
    described = ", ".join(f"{key}={value}" for key, value in row.items() if value is not False)
    return trainable(name(row), described, data, OPTIMIZERS[number % len(OPTIMIZERS)], seed=number)


def _model(row: Row, batch: int, timesteps: int, features: int, units: int) -> Graph:
    fixed = batch if row["stateful"] else None
    tensor = inputs = Input((timesteps if row["length"] == "fixed" else None, features), fixed)

    def lstm(**arguments: Any) -> LSTM:
        keys = ("go_backwards", "unroll", "stateful", "zero_output_for_mask")
        return LSTM(units, **{**{key: row[key] for key in keys}, **arguments})

    for _ in range(row["layers"] - 1):
        tensor = lstm(return_sequences=True)(tensor)
    last: Any = lstm(return_sequences=row["return_sequences"])
    if row["wrapper"] != "lstm":
        last = Bidirectional(last, merge_mode=None if row["wrapper"] == "list" else row["wrapper"])
    return Model(inputs, last(tensor))
