"""A case for a user's model, with inputs that exercise what the model has.

Two batches or more pass through the model one after the other. Where the model masks its inputs, the rows are complete,
padded on the right, fully masked, interrupted twice, or padded on the left. One row has a single timestep. One lacks a
single timestep. Two masked inputs have different rows. Some timesteps resemble a masked one in a feature, and count.
Tokens reach from 0 to the end of the table, and one is repeated. Features reach beyond [-1, 1]. A loss, its gradient
and a short training are compared too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from multilstm.cases.case import Case, Fit
from multilstm.cases.recipes import GivenBatches
from multilstm.errors import SpecError, UsageError
from multilstm.jobs.dropout_masks import draw_dropout
from multilstm.jobs.job import Batch
from multilstm.jobs.memory import check_memory
from multilstm.spec import Graph, Masking
from multilstm.spec.arrays import Array
from multilstm.spec.layers import makes_mask, wrapper_count
from multilstm.spec.optimizers import SGD
from multilstm.spec.shapes import closed
from multilstm.weights.layout import check_weights

BATCH, TIMESTEPS = 3, 7  # of inputs, where a model leaves them open
LONGEST = 4096  # timesteps that are tried for a model with wide windows
LARGEST = 3.0  # of the features of every second batch; saturates gates, and leaves float32 inside its tolerance
INTEGERS = (-3, 4)  # the range of integer inputs that are no tokens
LEARNING_RATE = 0.05
EMPTY = "fully masked"
ROWS = (
    *("complete", "padded on the right", EMPTY, "interrupted", "padded on the left", "one timestep"),
    "one masked timestep",
)
NEAR = 2.0**-7  # of a mask_value, relative: the distance of features that resemble it


@dataclasses.dataclass(frozen=True)
class ModelInputs:
    """Random inputs, targets and dropout masks that fit a model and exercise it.

    Attributes:
        spec: the model.
        batch: the number of sequences in a batch, where the model leaves it open.
        timesteps: the length of the sequences, where the model leaves it open.
        seed: the random seed.
        masking: the features of masked timesteps, for inputs that a Masking reads behind other layers.
        rows: the kinds of rows of a model that masks its inputs, in turn; `ROWS` has all of them.
    """

    spec: Graph
    batch: int
    timesteps: int
    seed: int = 0
    masking: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    rows: tuple[str, ...] = ROWS

    @property
    def count(self) -> int:
        """The number of batches."""
        if not self._masked_values:
            return 2
        # One more carries states into each row that the first batch holds, such as the fully masked one.
        carried = any(layer.stateful for layer in self.spec.recurrent.values())
        return max(2, math.ceil(len(self.rows) / self.size) + carried)

    @property
    def size(self) -> int:
        """The number of sequences in a batch: the model's own, or `batch`."""
        return next((layer.batch_size for layer in self.spec.inputs.values() if layer.batch_size), self.batch)

    def batches(self) -> Iterator[Batch]:
        """Return the batches, one after the other."""
        return map(self.batch_of, range(self.count))

    def batch_of(self, number: int) -> Batch:
        """Return the batch of a number, 0 or above."""
        masking = self._masked_values
        rng = np.random.default_rng([self.seed, number])
        inputs = {}
        for name in self.spec.inputs:
            inputs[name] = self._input(rng, name, number)
        for shift, ((name, axis), value) in enumerate(masking.items()):
            sequences = inputs[name].reshape(-1, *inputs[name].shape[axis:])  # a view
            kept = np.stack([_kept(row, sequences.shape[1]) for row in self._rows(number, len(sequences), shift)])
            if sequences.dtype.kind == "f" and np.ndim(value) == 0:
                complete = kept.all(axis=1)
                sequences[complete] = _resembling(sequences[complete], float(value))
            sequences[~kept] = value
        targets: tuple[Array, ...] = ()
        if not self.spec.opaque:  # else there is no loss, and a size of an output may be unknown
            shapes = map(closed, self.spec.with_open_sizes(self.size, self.timesteps).output_shapes)
            targets = tuple(rng.random(shape, dtype=np.float32) for shape in shapes)
        return Batch(inputs, targets, dropout=draw_dropout(rng, self.spec, self.size, self.timesteps))

    def exercised(self) -> str:
        """Return what the inputs exercise, in words for a reader."""
        sizes = f"{self.count} batches of {self.size} sequences{self._length}, values up to {LARGEST:g}"
        if self._masked_values:
            count = max(math.prod(self._shape(name)[:axis]) for name, axis in self._masked_values)
            rows = dict.fromkeys(row for number in range(self.count) for row in self._rows(number, count))
            sizes = f"{sizes}, rows {', '.join(rows)}"
        return sizes

    @property
    def _length(self) -> str:
        """The number of timesteps in words; empty for inputs without time."""
        lengths = {
            self.timesteps if layer.shape[0] is None else layer.shape[0]
            for layer in self.spec.inputs.values()
            if layer.shape
        }
        return f" of {' and '.join(map(str, sorted(lengths)))} timesteps" if lengths and self.spec.recurrent else ""

    @property
    def _masked_values(self) -> dict[tuple[str, int], float | Array]:
        """The values of masked timesteps, by input and axis of the timesteps."""
        return {**masked_inputs(self.spec), **{(name, 1): vector for name, vector in self.masking.items()}}

    def _rows(self, number: int, count: int, shift: int = 0) -> list[str]:
        return [self.rows[(number * count + row + shift) % len(self.rows)] for row in range(count)]

    def _shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an input, the batch in front."""
        return (self.size, *(self.timesteps if size is None else size for size in self.spec.inputs[name].shape))

    def _input(self, rng: np.random.Generator, name: str, number: int) -> Array:
        layer, shape = self.spec.inputs[name], self._shape(name)
        tables = self.spec.token_tables.get(name, ())
        if tables:
            # Tokens 0 mark padding where the Embedding masks, so the other rows begin with 1.
            is_masked = any(name == source for source, _ in masked_inputs(self.spec))
            first = 1 if is_masked and min(tables) > 1 else 0
            tokens = rng.integers(first, min(tables), size=shape, dtype=np.int32)
            last = min(tables) - 1  # twice, since the gradients of a repeated token add up
            for place, token in ((2, min(first, last)), (1, last), (0, last)):
                tokens.reshape(-1)[(number + place) % tokens.size] = token
            return tokens
        if layer.dtype == "int32":
            return rng.integers(*INTEGERS, size=shape, dtype=np.int32)
        largest = LARGEST if number % 2 else 1.0
        return rng.uniform(-largest, largest, shape).astype(np.float32)


def model_case(
    spec: Graph,
    batch: int = BATCH,
    timesteps: int | None = None,
    weights: Mapping[str, Array] | None = None,
    masking: Mapping[str, Array] | None = None,
    rows: tuple[str, ...] = ROWS,
) -> Case:
    """Return a case for a user's model, with random inputs that exercise it.

    Args:
        spec: the model.
        batch: the number of sequences in a batch, where the model leaves it open.
        timesteps: the length of the sequences, where the model leaves it open; None: `enough_timesteps`.
        weights: every weight by `layer/weight`; None: random ones.
        masking: see `ModelInputs`.
        rows: see `ModelInputs`.

    Returns:
        A case of the model's outputs and states, its gradients of a squared error, and an epoch of SGD.

    Raises:
        UsageError: for a size below 1.
        InputError: for a batch that the memory of this machine cannot hold, and weights that do not fit.
    """
    timesteps = enough_timesteps(spec, batch) if timesteps is None else timesteps
    for name, size in (("batch", batch), ("timesteps", timesteps)):
        if size < 1:
            raise UsageError(f"--{name} must be at least 1, given {size}")
    check_memory(spec, batch, timesteps)
    inputs = ModelInputs(spec, batch, timesteps, masking=masking or {}, rows=rows)
    return example_case(spec, inputs.batches(), inputs.exercised(), weights)


def enough_timesteps(spec: Graph, batch: int = BATCH) -> int:
    """Return 7 timesteps, or the first doubling that the windows of a model's convolutions and pooling accept."""
    timesteps = TIMESTEPS
    while timesteps <= LONGEST:
        given = {
            name: (batch, *(timesteps if size is None else size for size in layer.shape))
            for name, layer in spec.inputs.items()
        }
        try:
            spec.shapes_for(given)
        except SpecError:
            timesteps *= 2
        else:
            return timesteps
    return TIMESTEPS  # the error of the layer names the reason


def example_case(
    spec: Graph, batches: Iterable[Batch], description: str, weights: Mapping[str, Array] | None = None
) -> Case:
    """Return a case of a model's outputs and states, its gradients of a squared error, and an epoch of SGD.

    Args:
        spec: the model.
        batches: inputs with targets and dropout masks.
        description: the inputs, in words.
        weights: every weight by `layer/weight`; None: random ones.

    Raises:
        InputError: for weights that do not fit the model.
    """
    if weights is not None:
        check_weights(spec, weights)
    data = GivenBatches(tuple(batches))
    trains = bool(spec.trainable_weights) and not spec.opaque
    return Case(
        spec.name,
        description,
        spec,
        data,
        loss=None if spec.opaque else "mean_squared_error",
        optimizer=SGD(LEARNING_RATE) if trains else None,
        training=(Fit(data),) if trains else (),
        weights=weights,
        exact_in_float32=weights is None or all(array.dtype.itemsize <= 4 for array in weights.values()),
        example=True,
    )


def masked_inputs(spec: Graph) -> dict[tuple[str, int], float]:
    """Return the value that masks a timestep, for every input that a Masking or a masking Embedding reads.

    The values are by the name of the input and the axis of its timesteps. It is 1, or 2 where a model inside of a
    TimeDistributed reads the input, and more in nested ones.
    """
    values: dict[tuple[str, int], float] = {}
    for call in spec.calls:
        layer = spec.layer(call.layer)
        found = {1: float(getattr(layer, "mask_value", 0.0))} if makes_mask(layer) else {}
        if (inside := layer.inner_model) is not None:
            found = {axis + wrapper_count(layer): value for (_, axis), value in masked_inputs(inside.model).items()}
        for ref in call.inputs if found else ():
            if (source := spec.calls[ref.call].layer) in spec.inputs:
                values |= {(source, axis): value for axis, value in found.items()}
    return values


def unreached_maskings(spec: Graph, direct: bool = True) -> list[str]:
    """Return the names of the Masking layers that read another layer's output, so that inputs cannot plan its mask.

    Args:
        spec: the model. A layer of a model inside of a TimeDistributed has a path such as `document/masking`.
        direct: whether the inputs of `spec` are inputs of the whole model.
    """
    names: list[str] = []
    for call in spec.calls:
        layer = spec.layer(call.layer)
        is_reached = direct and bool(call.inputs) and spec.calls[call.inputs[0].call].layer in spec.inputs
        names += [call.layer] if isinstance(layer, Masking) and not is_reached else []
        if (inside := layer.inner_model) is not None:
            names += [f"{call.layer}/{name}" for name in unreached_maskings(inside.model, is_reached)]
    return names


def _kept(row: str, timesteps: int) -> Array:
    """Return which timesteps count, boolean `[timesteps]`."""
    kept = np.ones(timesteps, bool)
    middle = timesteps // 2
    if row == "padded on the right":
        kept[max(1, middle) :] = False
    elif row == EMPTY:
        kept[:] = False
    elif row == "interrupted" and timesteps > 4:
        kept[1 : middle - 1] = kept[middle : timesteps - 1] = False
    elif row == "interrupted":
        kept[middle] = False
    elif row == "padded on the left":
        kept[: max(1, middle) if timesteps > 1 else 0] = False
    elif row == "one timestep":
        kept[1:] = False
    elif row == "one masked timestep":
        kept[middle] = timesteps == 1
    return kept


def _resembling(array: Array, value: float) -> Array:
    """Return complete rows `[rows, timesteps, ...]` in which three timesteps resemble a masked one, and count.

    In one the first feature equals the mask_value, in one the last feature, and in one all features are near it.
    """
    array = array.copy()
    features = array.reshape(*array.shape[:2], math.prod(array.shape[2:]))
    if features.shape[2] > 1:
        features[:, 1:2, 0] = features[:, 2:3, -1] = value
    features[:, 3:4] = value + NEAR * (abs(value) or 1.0)
    return features.reshape(array.shape)
