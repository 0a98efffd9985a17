"""What every layer has: its name, its place in a graph, and the checks of its arguments.

A layer is a frozen dataclass; calling it on a symbolic tensor adds it to a graph, as in Keras's functional API.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from multilstm.errors import SpecError, choice
from multilstm.spec.arguments import check_name, is_integer, is_real
from multilstm.spec.penalties import KINDS, penalty


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A symbolic tensor: output number `index` of one call of a layer."""

    layer: Layer
    inputs: tuple[Tensor, ...]
    initial_state: tuple[Tensor, ...]
    index: int
    call: object  # shared by the outputs of one call


@dataclasses.dataclass(frozen=True)
class Layer:
    """What every layer has: a name (unique in its model; made from the class when None), and whether it is trained."""

    refused: ClassVar[tuple[str, ...]] = ()

    name: str | None = dataclasses.field(default=None, kw_only=True)
    trainable: bool = dataclasses.field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if self.name is not None:
            check_name(self._class, self.name)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in self.refused and value is not field.default and value != field.default:
                raise SpecError(
                    f"{self._class}: {field.name} is not executed by multilstm yet; "
                    f"given {value!r}, expected {field.default!r}; leave it out"
                )
            weight, _, kind = field.name.rpartition("_")
            if kind in KINDS and field.name not in self.refused:
                value = penalty(f"{self._class}: {field.name}", kind, value, 1 if weight == "bias" else 2)
                object.__setattr__(self, field.name, value)
        self._boolean("trainable")

    def __call__(self, inputs: Tensor | Sequence[Tensor], initial_state: Sequence[Tensor] | None = None) -> Any:
        """Adds this layer to the graph behind `inputs`; returns one `Tensor`, or a list with `return_state`."""
        given = tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)
        states = tuple(initial_state) if initial_state is not None else ()
        for tensor in (*given, *states):
            if not isinstance(tensor, Tensor):
                raise SpecError(
                    f"{self._class}: called on {type(tensor).__name__}; expected what Input() or a layer returns "
                    f"(to compute with arrays, use multilstm.run)"
                )
        if states and not self.state_count:
            raise SpecError(f"{self._class}: it has no state, so that initial_state means nothing; leave it out")
        if states and len(states) != self.state_count:
            raise SpecError(
                f"{self._class}: initial_state has {len(states)} tensors, expected {self.state_count} (hidden, cell"
                f"{', for each direction' if self.state_count == 4 else ''})"
            )
        call = object()
        outputs = [Tensor(self, given, states, index, call) for index in range(self.output_count)]
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def _class(self) -> str:
        return type(self).__name__

    @property
    def state_count(self) -> int:
        """How many state tensors `initial_state` takes and `return_state` returns (hidden, cell per direction)."""
        return 0

    @property
    def output_count(self) -> int:
        """How many tensors a call of this layer returns."""
        return 1

    def _positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not is_integer(value) or value < 1:
                raise SpecError(f"{self._class}: {name} must be a positive integer, got {value!r}")
            if value > 2**31 - 1:
                raise SpecError(f"{self._class}: {name} must be below 2**31, got {value!r}")
            object.__setattr__(self, name, int(value))

    def _boolean(self, *names: str) -> None:
        for name in names:
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"{self._class}: {name} must be True or False, got {getattr(self, name)!r}")

    def _rate(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not is_real(value) or not 0 <= value < 1:
                raise SpecError(f"{self._class}: {name} must be a number with 0 <= {name} < 1, got {value!r}")
            object.__setattr__(self, name, float(value))

    def _named(self, known: Sequence[Any], *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if isinstance(value, str):
                value = value.lower() if value.lower() in known else value
            elif callable(value):
                value = getattr(value, "__name__", repr(value))
            if not isinstance(value, (str, type(None))) or value not in known:
                raise SpecError(f"{self._class}: {choice(name, value, known)}")
            object.__setattr__(self, name, value)

    def _seed(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not is_integer(value):
                raise SpecError(f"{self._class}: {name} must be an integer or None, got {value!r}")
            object.__setattr__(self, name, None if value is None else int(value))
