"""Shapes with dimensions that may vary, as text and checked. The rule of each layer is in its class."""

from __future__ import annotations

from multilstm.errors import SpecError

__all__ = ["Shape", "check_rank", "closed", "features", "show"]

Shape = tuple[int | None, ...]  # None is a dimension that may vary


def show(shape: Shape) -> str:
    """Return a shape as text, `any` for None: `(any, any, 5)`."""
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"


def closed(shape: Shape) -> tuple[int, ...]:
    """Return the sizes of a shape that has no dimension left open.

    Raises:
        SpecError: for a dimension that may vary.
    """
    if None in shape:
        raise SpecError(f"a shape without open dimensions is needed, given {show(shape)}; fix the sizes of the Input")
    return tuple(size for size in shape if size is not None)


def check_rank(label: str, shape: Shape, rank: int, meaning: str) -> None:
    """Raise SpecError for an input of another rank.

    Args:
        label: the layer, as `Layer.label`.
        shape: the input's shape, the batch included.
        rank: the number of axes that the layer takes.
        meaning: the names of these axes, as in `[batch, timesteps, features]`.
    """
    if len(shape) != rank:
        raise SpecError(f"{label}: expected an input {meaning}, given shape {show(shape)}")


def features(label: str, shape: Shape) -> int:
    """Return the size of the last axis, on which the shape of a kernel depends.

    Raises:
        SpecError: for an input without features, or where their number may vary.
    """
    if len(shape) < 2:
        raise SpecError(f"{label}: expected an input [batch, ..., features], given shape {show(shape)}")
    if shape[-1] is None:
        raise SpecError(
            f"{label}: the last dimension (features) decides the shape of the weights and may not vary; "
            f"given shape {show(shape)}; give Input a number there"
        )
    return shape[-1]
