"""Engine `equinox-module`: the source of Equinox into which a spec is converted, executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import equinox as eqx
import jax

from multilstm.conversion.equinox.target import EquinoxState, equinox_source
from multilstm.conversion.modules.state import AbstractState
from multilstm.engines.jax_module import AbstractJaxModuleEngine, AbstractJaxModuleProgram, Module, Records
from multilstm.engines.unrolled import Unrolled, outputs_of
from multilstm.jobs.implementation import Implementation
from multilstm.spec import Bidirectional, Graph
from multilstm.spec.arrays import AnyState


@final
class EquinoxCall:
    """A module of Equinox, without dropout.

    Attributes:
        shapes: the shape of each array by the path in the module.
    """

    def __init__(self, source: str, attributes: Mapping[str, str], spec: Graph) -> None:
        self._source = Unrolled(source, lambda cell: self._places[id(cell)])
        self._attributes, self._spec = attributes, spec
        self._module = eqx.nn.inference_mode(self._source.model(key=jax.random.key(0)))
        self._places: dict[int, str] = {}
        self.shapes = {
            jax.tree_util.keystr(path, simple=True, separator="."): leaf.shape
            for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(self._module, eqx.is_array))
        }

    def __call__(
        self, arrays: Mapping[str, Any], inputs: Mapping[str, Any], starts: Mapping[str, AnyState], *, train: bool
    ) -> tuple[tuple[Any, ...], Records]:
        """Return the outputs, and the records."""

        def given(path: Any, leaf: Any) -> Any:
            return arrays.get(jax.tree_util.keystr(path, simple=True, separator="."), leaf)

        module = jax.tree_util.tree_map_with_path(given, self._module)
        self._places = {}
        for layer, attribute in self._attributes.items():
            names = list(self._spec.layer(layer).recurrent)
            cells: Any = getattr(module, attribute, None)
            if isinstance(self._spec.layer(layer), Bidirectional):
                self._places |= {id(cell): f"{layer}/{name}" for cell, name in zip(cells, names, strict=True)}
            elif names:
                self._places[id(cells)] = layer
        records: Records = {}
        with self._source.recorded(starts, records):
            return outputs_of(module(*(inputs[name] for name in self._spec.inputs))), records


@final
class EquinoxProgram(AbstractJaxModuleProgram):
    """A program of `equinox-module`."""

    engine: ClassVar = "equinox-module"

    @property
    def implementation(self) -> Implementation:
        """The class of the cell, and the loop."""
        return Implementation("equinox.nn.LSTMCell, lax.scan" if self._spec.recurrent else "no recurrent layer ran")

    def state(self, spec: Graph) -> AbstractState:
        """See `AbstractJaxModuleProgram.state`."""
        return EquinoxState(spec)

    def source_of(self, spec: Graph) -> str:
        """See `AbstractJaxModuleProgram.source_of`."""
        return equinox_source(spec)

    def module(self, source: str, spec: Graph, dtype: Any) -> Module:
        """See `AbstractJaxModuleProgram.module`."""
        return EquinoxCall(source, EquinoxState(spec).attributes, spec)

    def further(self, spec: Graph) -> Mapping[str, int]:
        """See `AbstractJaxModuleProgram.further`."""
        return dict.fromkeys(spec.layer_inputs, 0)


@final
class EquinoxModuleEngine(AbstractJaxModuleEngine):
    """Executes modules of Equinox."""

    program = EquinoxProgram
