"""Stacks of plain LSTMs, for contestants that compute nothing else."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from multilstm.errors import UnsupportedError
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.job import Job
from multilstm.spec import LSTM, Bidirectional, Graph, InputLayer, Layer
from multilstm.spec.arrays import Array

__all__ = ["Stack", "StackLayer", "in_one_direction", "is_stack", "stack_of"]

Direction = tuple[Array, Array, Array]  # kernel, recurrent_kernel, bias, in Keras's layout
PLAIN = LSTM(1)
_FREE = (
    "name",
    "trainable",
    "units",
    "return_sequences",
    "unit_forget_bias",
    "use_cudnn",
    "implementation",
    "zero_output_for_mask",
)


class StackLayer(NamedTuple):
    """One layer of a stack.

    Attributes:
        name: the name of the layer.
        units: the number of units in each direction.
        directions: the weights of each direction, forward first.
        prefixes: the beginning of the names of these weights, such as `bidirectional/forward/`.
        return_sequences: whether the layer returns all timesteps; only the last layer may return one alone.
    """

    name: str
    units: int
    directions: tuple[Direction, ...]
    prefixes: tuple[str, ...]
    return_sequences: bool


class Stack(NamedTuple):
    """Layers of LSTMs in a row, their input and its target in the dtype of the job."""

    layers: tuple[StackLayer, ...]
    x: Array
    target: Array | None


def is_stack(spec: Graph) -> bool:
    """Whether a model is a row of LSTMs with default options, one or both directions each, and nothing else."""
    layers = [layer for layer in spec.layers if not isinstance(layer, InputLayer)]
    parts = [_inner(layer) for layer in layers]
    if not spec.sequential or not layers or not all(map(_is_plain, parts)):
        return False
    if any(isinstance(layer, Bidirectional) and layer.merge_mode != "concat" for layer in layers):
        return False
    sequences = [part.return_sequences for part in parts if isinstance(part, LSTM)]
    is_last_step = any(isinstance(layer, Bidirectional) for layer in layers) and not sequences[-1]
    return all(sequences[:-1]) and not is_last_step


def stack_of(job: Job) -> Stack:
    """Return the stack of a job, with its first batch.

    Raises:
        UnsupportedError: for another model, and for half precision.
    """
    if not is_stack(job.spec):
        raise UnsupportedError("it computes rows of LSTMs with default options alone")
    if job.dtype in MIXED:
        raise UnsupportedError(f"it knows no {job.dtype}, which is a policy of Keras")
    dtype = stored(job.dtype)
    layers = []
    for layer in job.spec.layers:
        if isinstance(layer, InputLayer):
            continue
        part = _inner(layer)
        assert isinstance(part, LSTM)
        prefixes = tuple(f"{name}/" for name in job.spec.recurrent if name.split("/")[0] == layer.name)
        weights: list[Direction] = []
        for prefix in prefixes:
            kernel, recurrent, bias = (
                job.weights[prefix + name].astype(dtype) for name in ("kernel", "recurrent_kernel", "bias")
            )
            weights.append((kernel, recurrent, bias))
        layers.append(StackLayer(str(layer.name), part.units, tuple(weights), prefixes, part.return_sequences))
    batch = job.steps[0].batch
    (x,) = batch.inputs.values()
    target = batch.targets[0].astype(dtype) if batch.targets else None
    return Stack(tuple(layers), x.astype(dtype), target)


def in_one_direction(stack: Stack) -> tuple[StackLayer, ...]:
    """Return the layers of a stack for timesteps that arrive one by one.

    Raises:
        UnsupportedError: for a bidirectional layer, which reads the last timestep first, or a last output alone.
    """
    if any(len(layer.directions) > 1 for layer in stack.layers) or not stack.layers[-1].return_sequences:
        raise UnsupportedError("streaming needs layers in one direction that return all timesteps")
    return stack.layers


def _inner(layer: Layer) -> Layer:
    return layer.wrapped if layer.wrapped is not None else layer


def _is_plain(layer: Layer) -> bool:
    if not isinstance(layer, LSTM):
        return False
    return all(
        getattr(layer, field.name) == getattr(PLAIN, field.name)
        for field in dataclasses.fields(layer)
        if field.name not in _FREE and not field.name.endswith("_initializer")
    )
