"""The inputs of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from multilstm.errors import SpecError, shown
from multilstm.spec.arguments import Argument, ArgumentError, is_size_or_none, one_of
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.shapes import Shape

__all__ = ["Input", "InputLayer"]


def _check_shape(name: str, value: Any) -> Shape:
    try:
        shape = tuple(value)
    except TypeError:
        raise ArgumentError(f"{name} must be a tuple such as (None, 5), got {shown(value)}") from None
    for size in shape:
        _check_dimension(name, size)
    return tuple(None if size is None else int(size) for size in shape)


def _check_dimension(name: str, value: Any) -> int | None:
    if not is_size_or_none(value):
        raise ArgumentError(
            f"{name} must be made of positive integers below 2**31, or None where the size may vary; got {shown(value)}"
        )
    return None if value is None else int(value)


@dataclasses.dataclass(frozen=True)
class InputLayer(Layer):
    """A model's input; made by `Input`.

    Attributes:
        shape: the shape without the batch; None marks a dimension that may vary.
        batch_size: the fixed number of sequences in a batch; None: any.
        dtype: `float32` or `int32`.
    """

    refused: ClassVar = ("trainable",)
    fixed: ClassVar = {**Layer.fixed, "sparse": False, "ragged": False, "optional": False, "input_tensor": None}

    shape: Annotated[tuple[int | None, ...], Argument(_check_shape)]
    batch_size: Annotated[int | None, Argument(_check_dimension)] = None
    dtype: Annotated[str, one_of("float32", "int32")] = "float32"

    @property
    def class_name(self) -> str:
        return "Input"

    def output_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        return ((self.batch_size, *self.shape),)


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: str = "float32",
    name: str | None = None,
    batch_shape: Sequence[int | None] | None = None,
) -> Tensor:
    """Return a symbolic input of a model.

    Args:
        shape: the shape without the batch, for example `(None, 5)`: any number of timesteps, 5 features.
        batch_size: the fixed number of sequences in a batch, which a stateful layer needs; None: any.
        dtype: `"float32"`, or `"int32"` for an Embedding's tokens. A job computes in its own dtype.
        name: unique in the model.
        batch_shape: `shape` with the batch in front; instead of `shape` and `batch_size`.

    Returns:
        A `Tensor` for layers and for `Model`.

    Raises:
        SpecError: for a size that is neither a positive integer nor None.
    """
    if batch_shape is not None:
        if shape is not None or batch_size is not None:
            raise SpecError("Input: batch_shape replaces shape and batch_size; give either, not both")
        if not isinstance(batch_shape, (list, tuple)) or not batch_shape:
            raise SpecError(f"Input: batch_shape must be a tuple such as (200, None, 5), got {shown(batch_shape)}")
        batch_size, *rest = batch_shape
        shape = tuple(rest)
    if shape is None:
        raise SpecError("Input: shape is missing; expected for example shape=(None, 5)")
    tensor: Tensor = InputLayer(shape, batch_size, dtype, name=name)(())  # type: ignore[arg-type]
    return tensor
