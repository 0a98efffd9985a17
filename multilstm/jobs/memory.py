"""An estimate of the memory that a model needs for a batch, from the spec alone."""

from __future__ import annotations

import math

from multilstm.errors import InputError, shown
from multilstm.frameworks.machine import memory
from multilstm.spec import Graph
from multilstm.spec.arguments import SIZE_LIMIT

__all__ = ["bytes_needed", "check_memory"]

_NUMBER = 8  # bytes in float64, in which the reference computes


def bytes_needed(spec: Graph, batch: int, timesteps: int) -> int:
    """Return the bytes of all weights, and of all tensors of one forward pass, in float64.

    Args:
        spec: the model.
        batch: the number of sequences, where the spec leaves it open.
        timesteps: the size of every other dimension that the spec leaves open.
    """
    tensors = sum(
        math.prod(size if size is not None else timesteps if axis else batch for axis, size in enumerate(shape))
        for shape in spec.tensor_shapes.values()
    )
    return _NUMBER * (spec.parameter_count + tensors)


def check_memory(spec: Graph, batch: int, timesteps: int) -> None:
    """Raise InputError for a batch that cannot fit into the memory of this machine.

    Args:
        spec: the model.
        batch: the number of sequences.
        timesteps: the number of timesteps.
    """
    for name, size in (("batch", batch), ("timesteps", timesteps)):
        if size >= SIZE_LIMIT:
            raise InputError(f"{name} must be below 2**31, given {shown(size)}")
    needed, available = bytes_needed(spec, batch, timesteps), memory()
    if needed > available:
        raise InputError(
            f"model {spec.name!r}: a batch of {batch:,} with {timesteps:,} timesteps needs at least "
            f"{needed // 2**30:,} GiB, this machine has {available // 2**30:,} GiB; make the batch, the sequences "
            f"or the layers smaller"
        )
