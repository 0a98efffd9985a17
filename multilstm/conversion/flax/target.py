"""The targets `flax-nnx` and `flax-linen`: a module of plain source and its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from multilstm.conversion.flax.api import LINEN, NNX, Api
from multilstm.conversion.flax.source import flax_source
from multilstm.conversion.flax.state import FlaxState, further_parameters
from multilstm.conversion.modules.target import module_target
from multilstm.conversion.target import Target
from multilstm.spec import Graph

__all__ = ["FLAX_LINEN", "FLAX_NNX"]


def _notes(api: Api, spec: Graph) -> Iterator[str]:
    """Yield the differences between the model's training and the module's."""
    for name, count in further_parameters(spec, api).items():
        layer = spec.layer(name)
        if count > 0:
            yield f"{layer.label} gets biases that Keras lacks, {count:,} parameters more; they are zero, and trained"
        elif count < 0:
            yield (
                f"{layer.label} has one bias for each of the gates r and z, the sum of Keras's two, "
                f"{-count:,} parameters fewer; Keras trains both, so their sum moves twice as fast there"
            )


def _target(name: str, engine: str, api: Api) -> Target:
    source, state, notes = partial(flax_source, api=api), partial(FlaxState, api=api), partial(_notes, api)
    return module_target(name, f"Flax {api.name}", engine, source, state, notes)


FLAX_NNX = _target("flax-nnx", "flax-module", NNX)
FLAX_LINEN = _target("flax-linen", "linen-module", LINEN)
