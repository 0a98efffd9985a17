"""Calls of converted Flax modules, which record the sequence and the last carry of every recurrent layer.

Each is a pure function of arrays by name. The arrays enter the module as the documentation shows to users.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, final

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx, traverse_util

from multilstm.conversion.modules.masks import masked_layers
from multilstm.engines.jax_module import Records
from multilstm.spec import Bidirectional, Graph
from multilstm.spec.arrays import AnyState

OPEN = 1024  # timesteps of the abstract inputs, enough for any window


class _Place(NamedTuple):
    """A recurrent layer in one direction.

    Attributes:
        name: a name of `Graph.recurrent`.
        path: of its RNN in the module.
        is_kept: whether the RNN returns the order of time, and not that of computation.
        is_masked: whether the last feature of its input is a mask.
    """

    name: str
    path: tuple[str, ...]
    is_kept: bool
    is_masked: bool


def _places(spec: Graph, attributes: Mapping[str, str]) -> Iterator[_Place]:
    masked = masked_layers(spec)
    for layer, attribute in attributes.items():
        for direction in spec.layer(layer).recurrent:
            if isinstance(spec.layer(layer), Bidirectional):
                yield _Place(
                    f"{layer}/{direction}", (attribute, f"{direction}_rnn"), direction == "backward", layer in masked
                )
            else:
                yield _Place(layer, (attribute,), False, layer in masked)


class _Recorder:
    """Records what the RNNs return, and lets them start at given states.

    Attributes:
        records: by recurrent layer.
    """

    def __init__(self, spec: Graph, starts: Mapping[str, AnyState]) -> None:
        self._spec, self._starts = spec, starts
        self.records: Records = {}

    def start(self, place: _Place) -> Any:
        """Return the carry from which a layer starts; None: as in the graph."""
        state = self._starts.get(place.name)
        return None if state is None else tuple(reversed(state)) if len(state) > 1 else state[0]

    def record(self, place: _Place, inputs: Any, carry: Any, sequence: Any) -> None:
        """Record what a layer computed.

        Before the first timestep that counts, the sequence is zero: the source sets it so where a state is given.
        """
        if place.is_kept:
            sequence = jnp.flip(sequence, 1)
        if place.is_masked:
            mask = inputs[..., -1:] if self._runs_forward(place) else jnp.flip(inputs[..., -1:], 1)
            sequence = jnp.where(jnp.cumsum(mask, 1) > 0, sequence, 0.0)
        self.records[place.name] = carry, sequence

    def _runs_forward(self, place: _Place) -> bool:
        return not self._spec.recurrent[place.name].go_backwards


@final
class NnxCall:
    """A module of nnx.

    Attributes:
        shapes: the shape of each parameter and statistic by the path in the module.
    """

    def __init__(self, model: Any, attributes: Mapping[str, str], spec: Graph, dtype: Any) -> None:
        module = model(rngs=nnx.Rngs(0))
        for _, part in nnx.iter_graph(module):
            if isinstance(part, nnx.Module):
                _set_dtype(part, dtype)
            if isinstance(part, nnx.Dropout):  # its masks are random
                part.rate = 0.0
        self._spec = spec
        self._places, self._inputs = list(_places(spec, attributes)), list(spec.inputs)  # jit sorts names
        self._graph, self._rest = nnx.split(module)
        arrays = nnx.state(module, nnx.Any(nnx.Param, nnx.BatchStat))
        flat = traverse_util.flatten_dict(nnx.to_pure_dict(arrays), sep=".")
        self.shapes = {name: array.shape for name, array in flat.items()}

    def __call__(
        self, arrays: Mapping[str, Any], inputs: Mapping[str, Any], starts: Mapping[str, AnyState], *, train: bool
    ) -> tuple[tuple[Any, ...], Records]:
        """Return the outputs, and the records."""
        module, recorder = nnx.merge(self._graph, jax.tree.map(jnp.asarray, self._rest)), _Recorder(self._spec, starts)
        nnx.update(module, traverse_util.unflatten_dict(dict(arrays), sep="."))
        module.train() if train else module.eval()
        places = {}
        for place in self._places:
            part = module
            for name in place.path:
                part = getattr(part, name)
            places[id(part)] = place
        with _recorded(places, recorder):
            outputs = module(*(inputs[name] for name in self._inputs))
        return outputs if isinstance(outputs, tuple) else (outputs,), recorder.records


def _set_dtype(module: nnx.Module, dtype: Any) -> None:
    """Let a module compute in a dtype, of which its initial carry is too."""
    if hasattr(module, "param_dtype"):
        module.param_dtype = dtype
    if getattr(module, "dtype", None) is not None:
        module.dtype = dtype


@contextlib.contextmanager
def _recorded(places: Mapping[int, _Place], recorder: _Recorder) -> Iterator[None]:
    """Record the calls of RNNs by their identity inside of a `with` block; nnx has no hooks."""
    original = nnx.RNN.__call__

    def call(rnn: Any, inputs: Any, *, initial_carry: Any = None, return_carry: Any = None, **options: Any) -> Any:
        place = places[id(rnn)]
        start = recorder.start(place)
        start = initial_carry if start is None else start
        carry, sequence = original(rnn, inputs, initial_carry=start, return_carry=True, **options)
        recorder.record(place, inputs, carry, sequence)
        return (carry, sequence) if return_carry else sequence

    nnx.RNN.__call__ = call
    try:
        yield
    finally:
        nnx.RNN.__call__ = original


@final
class LinenCall:
    """A module of linen.

    Attributes:
        shapes: the shape of each parameter and statistic by the path in the variables.
    """

    def __init__(self, model: Any, attributes: Mapping[str, str], spec: Graph, dtype: Any) -> None:
        self._module, self._dtype = model(), dtype
        self._has_mode = "train" in inspect.signature(model.__call__).parameters
        self._spec = spec
        self._places, self._inputs = {p.path: p for p in _places(spec, attributes)}, list(spec.inputs)
        inputs = [
            jax.ShapeDtypeStruct(
                tuple(size or 1 for size in layer.output_shapes()[0]), jnp.int32 if layer.dtype == "int32" else dtype
            )
            for layer in spec.with_open_sizes(1, OPEN).inputs.values()
        ]
        with nn.intercept_methods(self._interceptor(_Recorder(spec, {}))):
            variables = jax.eval_shape(self._module.init, jax.random.key(0), *inputs)
        flat = traverse_util.flatten_dict(variables, sep=".")
        self.shapes = {name: array.shape for name, array in flat.items()}

    def __call__(
        self, arrays: Mapping[str, Any], inputs: Mapping[str, Any], starts: Mapping[str, AnyState], *, train: bool
    ) -> tuple[tuple[Any, ...], Records]:
        """Return the outputs, and the records."""
        recorder, variables = _Recorder(self._spec, starts), traverse_util.unflatten_dict(dict(arrays), sep=".")
        mode = {"train": train} if self._has_mode else {}
        with nn.intercept_methods(self._interceptor(recorder)):
            outputs, _ = self._module.apply(
                variables, *(inputs[name] for name in self._inputs), **mode, mutable=["batch_stats"]
            )
        return outputs if isinstance(outputs, tuple) else (outputs,), recorder.records

    def _interceptor(self, recorder: _Recorder) -> Any:
        """Return the interceptor of the calls of RNNs, which start at carries of the dtype of the program."""

        def call(next_call: Any, arguments: Any, options: Any, context: Any) -> Any:
            if isinstance(context.module, nn.Dropout):  # its masks are random
                return arguments[0]
            place = self._places.get(context.module.path)
            if place is None or context.method_name != "__call__" or not isinstance(context.module, nn.RNN):
                return next_call(*arguments, **options)
            start = recorder.start(place)
            start = options.get("initial_carry") if start is None else start
            if start is None:
                shape = (arguments[0].shape[0], arguments[0].shape[-1])
                zeros = context.module.cell.initialize_carry(jax.random.key(0), shape)
                start = jax.tree.map(lambda array: array.astype(self._dtype), zeros)
            wants = options.pop("return_carry", None)
            carry, sequence = next_call(*arguments, **(options | {"initial_carry": start, "return_carry": True}))
            recorder.record(place, arguments[0], carry, sequence)
            return (carry, sequence) if wants else sequence

        return call
