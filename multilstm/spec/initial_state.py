"""The tensors from which a call starts: their number and shapes."""

from __future__ import annotations

from multilstm.errors import SpecError
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape, show

__all__ = ["check_initial_state"]


def check_initial_state(layer: Layer, states: list[Shape], inputs: list[Shape]) -> None:
    """Raise SpecError for initial states that a call of `layer` cannot start from; an empty list is allowed."""
    if not states:
        return
    if len(states) != layer.state_count:
        raise SpecError(
            f"{layer.label}: initial_state has {len(states)} tensors, expected {layer.state_count or 'none'}"
        )
    for name, shape, expected in zip(layer.state_names, states, layer.state_shapes(inputs[0]), strict=True):
        if not _starts(shape, expected):
            raise SpecError(f"{layer.label}: initial {name} state has shape {show(shape)}, expected {show(expected)}")


def _starts(state: Shape, expected: Shape) -> bool:
    """Whether a tensor of shape `state` may be an initial state; only the batch may vary."""
    batches = (state[:1], expected[:1])
    return (
        state[1:] == expected[1:] and len(state) == len(expected) and ((None,) in batches or batches[0] == batches[1])
    )
