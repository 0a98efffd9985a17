"""Converted modules whose LSTMs a function `unroll` of the source runs: their calls, recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp

from multilstm.conversion.modules.walk import CLASS_NAME
from multilstm.engines.converted import names_of
from multilstm.engines.jax_module import Records
from multilstm.spec.arrays import AnyState

__all__ = ["Unrolled", "outputs_of"]


class Unrolled:
    """The source of a module, whose function `unroll` records its calls.

    Attributes:
        model: its class.
    """

    def __init__(self, source: str, place_of: Callable[[Any], str]) -> None:
        self._names, self._place_of = names_of(source), place_of
        self.model = self._names[CLASS_NAME]

    @contextlib.contextmanager
    def recorded(self, starts: Mapping[str, AnyState], records: Records) -> Iterator[None]:
        """Record the calls inside of a `with` block, and let LSTMs start at given states."""
        original = self._names.get("unroll")

        def unroll(cell: Any, x: Any, state: Any = None, **options: Any) -> Any:
            assert original is not None
            place = self._place_of(cell)
            sequence, end = original(cell, x, starts.get(place, state), **options)
            ordered = jnp.flip(sequence, 1) if options.get("reverse") else sequence
            hidden, cell_state = end
            records[place] = (cell_state, hidden), ordered
            return sequence, end

        if original is not None:
            self._names["unroll"] = unroll
        try:
            yield
        finally:
            if original is not None:
                self._names["unroll"] = original


def outputs_of(outputs: Any) -> tuple[Any, ...]:
    """Return the outputs of a module as a tuple."""
    return outputs if isinstance(outputs, tuple) else (outputs,)
