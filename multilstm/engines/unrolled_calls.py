"""Calls of converted modules of Equinox and Haiku, which record the sequence and the last state of every LSTM.

Each is a pure function of arrays by name. The arrays enter the module as the documentation shows to users.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp

from multilstm.conversion.modules.walk import CLASS_NAME
from multilstm.engines.converted import names_of
from multilstm.engines.jax_module import Records
from multilstm.spec import Bidirectional, Graph
from multilstm.spec.arrays import AnyState

__all__ = ["EquinoxCall", "HaikuCall"]

OPEN = 1024  # timesteps of the abstract inputs, enough for any window


class _Unrolled:
    """The source of a module, whose function `unroll` records its calls.

    Attributes:
        model: its class.
    """

    def __init__(self, source: str, spec: Graph, place_of: Callable[[Any], str]) -> None:
        self._names, self._spec, self._place_of = names_of(source), spec, place_of
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


def _outputs(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


@final
class EquinoxCall:
    """A module of Equinox, without dropout.

    Attributes:
        shapes: the shape of each array by the path in the module.
    """

    def __init__(self, source: str, attributes: Mapping[str, str], spec: Graph) -> None:
        self._source = _Unrolled(source, spec, lambda cell: self._places[id(cell)])
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
            return _outputs(module(*(inputs[name] for name in self._spec.inputs))), records


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
        self._source = _Unrolled(source, spec, lambda core: places[core.name])
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
        return _outputs(outputs), records
