"""Engine `haiku-module`: the source of Haiku into which a spec is converted, executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import haiku as hk
import jax
import jax.numpy as jnp

from multilstm.conversion.haiku.target import HaikuState, further_parameters, haiku_source
from multilstm.conversion.modules.state import AbstractState
from multilstm.engines.jax_module import AbstractJaxModuleEngine, AbstractJaxModuleProgram, Module, Records
from multilstm.engines.unrolled import Unrolled, outputs_of
from multilstm.jobs.implementation import Implementation
from multilstm.spec import Bidirectional, Graph
from multilstm.spec.arrays import AnyState

OPEN = 1024  # timesteps of the abstract inputs, enough for any window


@final
class HaikuCall:
    """A module of Haiku, in inference.

    Attributes:
        shapes: the shape of each parameter by the path of its module and its name.
    """

    def __init__(self, source: str, attributes: Mapping[str, str], spec: Graph, dtype: Any) -> None:
        self._spec = spec
        places = {
            f"{attribute}_{direction}" if isinstance(spec.layer(layer), Bidirectional) else attribute: (
                f"{layer}/{direction}".rstrip("/")
            )
            for layer, attribute in attributes.items()
            for direction in spec.layer(layer).recurrent
        }
        self._source = Unrolled(source, lambda core: places[core.name])
        network: Any = hk.transform(lambda *inputs: self._source.model()(*inputs))
        self._transformed: Any = hk.without_apply_rng(network)
        shapes = [
            jax.ShapeDtypeStruct(
                tuple(size or 1 for size in layer.output_shapes()[0]), jnp.int32 if layer.dtype == "int32" else dtype
            )
            for layer in spec.with_open_sizes(1, OPEN).inputs.values()
        ]
        with self._source.recorded({}, {}):
            params = jax.eval_shape(network.init, jax.random.key(0), *shapes)
        self.shapes = {
            f"{module}/{name}": leaf.shape for module, leaves in params.items() for name, leaf in leaves.items()
        }

    def __call__(
        self, arrays: Mapping[str, Any], inputs: Mapping[str, Any], starts: Mapping[str, AnyState], *, train: bool
    ) -> tuple[tuple[Any, ...], Records]:
        """Return the outputs, and the records."""
        params: dict[str, dict[str, Any]] = {}
        for path, array in arrays.items():
            module, _, name = path.rpartition("/")
            params.setdefault(module, {})[name] = array
        records: Records = {}
        with self._source.recorded(starts, records):
            outputs = self._transformed.apply(params, *(inputs[name] for name in self._spec.inputs))
        return outputs_of(outputs), records


@final
class HaikuProgram(AbstractJaxModuleProgram):
    """A program of `haiku-module`."""

    engine: ClassVar = "haiku-module"

    @property
    def implementation(self) -> Implementation:
        """The class of the core, and the loop."""
        return Implementation("haiku.LSTM, lax.scan" if self._spec.recurrent else "no recurrent layer ran")

    def state(self, spec: Graph) -> AbstractState:
        """See `AbstractJaxModuleProgram.state`."""
        return HaikuState(spec)

    def source_of(self, spec: Graph) -> str:
        """See `AbstractJaxModuleProgram.source_of`."""
        return haiku_source(spec)

    def module(self, source: str, spec: Graph, dtype: Any) -> Module:
        """See `AbstractJaxModuleProgram.module`."""
        return HaikuCall(source, HaikuState(spec).attributes, spec, dtype)

    def further(self, spec: Graph) -> Mapping[str, int]:
        """See `AbstractJaxModuleProgram.further`."""
        return further_parameters(spec)


@final
class HaikuModuleEngine(AbstractJaxModuleEngine):
    """Executes modules of Haiku."""

    program = HaikuProgram
