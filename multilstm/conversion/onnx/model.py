"""A spec with its weights as an ONNX model.

Tensors and nodes have the names of the layers. The batch, and every size that the spec leaves open, may vary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, checker, helper

from multilstm.conversion.onnx import attention, windows
from multilstm.conversion.onnx.layers import Given, write
from multilstm.conversion.onnx.nodes import Nodes, Scope, Value, safe_name
from multilstm.conversion.onnx.opset import OPSET, check_opset
from multilstm.conversion.onnx.recurrent import RecurrentCall
from multilstm.errors import UnsupportedError
from multilstm.spec import Call, Embedding, Graph, Layer
from multilstm.spec.arrays import Array
from multilstm.spec.propagation import walk
from multilstm.spec.shapes import Shape
from multilstm.version import __version__

__all__ = ["Written", "onnx_model"]

LARGEST = 2**31 - 2**20  # bytes of a message of protocol buffers, without room for nodes
REGISTERED = (attention, windows)  # each registers layers with `write`


class Written(NamedTuple):
    """A model, and the names of its tensors.

    Attributes:
        model: the message `ModelProto`.
        inputs: the names of inputs in the file, by input layer of the spec.
        outputs: the names of the spec's outputs, in order.
        starts: the names of the inputs for initial states, by recurrent layer (`Graph.recurrent`).
        ends: the names of the outputs for the states after the last timestep, by recurrent layer.
        returned: the names of the outputs with the sequence or the last output of recurrent layers of one direction.
        masks: the names of the inputs for masks, by input layer of the spec.
        weights: the names of the constants that hold weights, by layer of the spec.
    """

    model: Any
    inputs: dict[str, str]
    outputs: tuple[str, ...]
    starts: dict[str, tuple[str, ...]]
    ends: dict[str, tuple[str, ...]]
    returned: dict[str, str]
    masks: dict[str, str]
    weights: dict[str, list[str]]


def onnx_model(
    spec: Graph,
    weights: Mapping[str, Array],
    opset: int = OPSET,
    *,
    started: Sequence[str] = (),
    masked: Sequence[str] = (),
    inspected: bool = False,
    dtype: str | None = None,
) -> Written:
    """Return a spec as an ONNX model.

    A stateful layer gets inputs for its initial states, and outputs for its states after the last timestep.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`, in Keras's layout.
        opset: the version of the operators.
        started: further recurrent layers that get inputs for their initial states.
        masked: input layers that get a further input for their mask, `[batch, timesteps]`.
        inspected: whether sequences and states of all recurrent layers are outputs, too.
        dtype: `float32` or `float64`; None: float64 if a weight is float64, else float32.

    Raises:
        UnsupportedError: for a layer or an option that ONNX does not express, and for weights above 2 GB.
        UsageError: for another opset than 14 to 22.
    """
    check_opset(opset)
    if dtype is None:
        dtype = "float64" if any(array.dtype == np.float64 for array in weights.values()) else "float32"
    total = sum(array.size for array in weights.values()) * np.dtype(dtype).itemsize
    if total > LARGEST:
        raise UnsupportedError(
            f"onnx: the weights have {total:,} bytes, and a file of ONNX holds at most 2 GB; give weights of half the "
            f"size, or convert parts of the model"
        )
    return _Writer(spec, weights, Nodes(dtype, opset), started, masked).written(inspected)


class _Writer:
    """One model that is written."""

    def __init__(
        self,
        spec: Graph,
        weights: Mapping[str, Array],
        nodes: Nodes,
        started: Sequence[str],
        masked: Sequence[str],
    ) -> None:
        self._spec, self._weights, self._nodes = spec, weights, nodes
        taken: set[str] = set()
        self._scopes = {str(layer.name): Scope(nodes, safe_name(str(layer.name), taken)) for layer in spec.layers}
        passed = {call.layer for call in spec.calls if call.initial_state}
        stateful = [
            name for name, layer in spec.recurrent.items() if layer.stateful and name.split("/")[0] not in passed
        ]
        self._stateful = stateful
        self._starts: dict[str, tuple[str, ...]] = {}
        for name in dict.fromkeys((*stateful, *started)):
            fields = spec.recurrent[name].state_names
            self._starts[name] = tuple(nodes.tensor(f"{self._place(name)}/initial_{field}") for field in fields)
        self._masks = {name: nodes.tensor(f"{self._scopes[name].layer}/mask") for name in masked}
        self._current: dict[str, tuple[str, ...]] = dict(self._starts)
        self._ends: dict[str, tuple[str, ...]] = {}
        self._returned: dict[str, str] = {}

    def _place(self, name: str) -> str:
        """Return the name of a recurrent layer in the file."""
        layer, *direction = name.split("/")
        return "/".join([self._scopes[layer].layer, *direction])

    def written(self, inspected: bool) -> Written:
        """Return the model."""
        spec, nodes = self._spec, self._nodes
        inputs = {
            name: Value(
                self._scopes[name],
                nodes.tensor(self._scopes[name].layer),
                layer.output_shapes()[0],
                "integer" if layer.dtype == "int32" else "float",
            )
            for name, layer in spec.inputs.items()
        }
        masks = {
            name: Value(self._scopes[name], tensor, inputs[name].shape[:2], "mask")
            for name, tensor in self._masks.items()
        }
        tensors, _ = walk(spec, inputs, masks, self._apply)
        outputs: list[tuple[str, Shape]] = []
        for ref in spec.outputs:
            value, known = tensors[ref], {str(v) for v in inputs.values()} | {name for name, _ in outputs}
            name = str(value)
            if name in known:
                name = value.scope("Identity", Value(value.scope, name, value.shape))
            outputs.append((name, spec.tensor_shapes[ref]))
        ends = {name: state for name, state in self._ends.items() if inspected or name in self._stateful}
        ends |= {name: self._final(name) for name in self._stateful}
        returned = dict(self._returned) if inspected else {}
        others = [(name, spec.state_shape(place)) for place, state in ends.items() for name in state]
        others += [(name, self._returned_shape(place)) for place, name in returned.items()]
        return self._model(inputs, outputs, others, ends, returned)

    def _final(self, place: str) -> tuple[str, ...]:
        """Return the states of a stateful layer after the last timestep, with names that say so."""
        base, fields = self._place(place), self._spec.recurrent[place].state_names
        scope = self._scopes[place.split("/")[0]]
        return tuple(
            scope.nodes.node("Identity", f"{base}/final_{field}", [tensor], [f"{base}/final_{field}"])[0]
            for field, tensor in zip(fields, self._ends[place], strict=True)
        )

    def _returned_shape(self, place: str) -> Shape:
        batch, units = self._spec.state_shape(place)
        return (batch, None, units) if self._spec.recurrent[place].return_sequences else (batch, units)

    def _apply(
        self, call: Call, layer: Layer, inputs: list[Value], masks: list[Value | None], passed: list[Value]
    ) -> list[Value]:
        scope = self._scopes[call.layer]
        given = Given(scope, self._floats(scope, layer, inputs), masks, self._own_weights(call.layer))
        shapes = layer.output_shapes(*(value.shape for value in inputs))
        names = self._recurrent(layer, given, list(map(str, passed))) if layer.recurrent else [write(layer, given)]
        if names[0] not in {str(value) for value in inputs}:
            self._nodes.rename(names[0], scope.layer)
        return [Value(scope, name, shape) for name, shape in zip(names, shapes, strict=True)]

    def _floats(self, scope: Scope, layer: Layer, inputs: list[Value]) -> list[Value]:
        """Return the inputs of a layer in the dtype of the graph, and those of an Embedding as integers."""
        if isinstance(layer, Embedding):
            return [
                v if v.kind == "integer" else Value(scope, scope("Cast", v, to=7), v.shape, "integer") for v in inputs
            ]
        kind = _element_type(self._nodes.dtype)
        return [v if v.kind == "float" else Value(scope, scope("Cast", v, to=kind), v.shape) for v in inputs]

    def _own_weights(self, layer: str) -> dict[str, Array]:
        names = [name for name in self._spec.weight_shapes if name.startswith(f"{layer}/")]
        return {name.removeprefix(f"{layer}/"): np.asarray(self._weights[name]) for name in names}

    def _recurrent(self, layer: Any, given: Given, passed: list[str]) -> list[str]:
        """Return the outputs and states of a recurrent layer."""
        places = [f"{layer.name}/{direction}".removesuffix("/") for direction in layer.recurrent]
        count = len(passed) // len(places)
        starts = [
            self._current.get(place, tuple(passed[count * number : count * (number + 1)]) or None)
            for number, place in enumerate(places)
        ]
        run = RecurrentCall(layer, given, starts)
        for place, states in zip(places, run.states, strict=True):
            self._ends[place] = tuple(states)
            if self._spec.recurrent[place].stateful:
                self._current[place] = tuple(states)  # where a second call of a shared layer goes on
        outputs = run.outputs
        if len(places) == 1:
            self._returned[places[0]] = outputs[0]
        returns_states = next(iter(layer.recurrent.values())).return_state
        return [*outputs, *(state for states in run.states for state in states if returns_states)]

    def _model(
        self,
        inputs: Mapping[str, Value],
        outputs: Sequence[tuple[str, Shape]],
        others: Sequence[tuple[str, Shape]],
        ends: Mapping[str, tuple[str, ...]],
        returned: Mapping[str, str],
    ) -> Written:
        spec, nodes = self._spec, self._nodes
        declared = dict([*others, *outputs])
        protos, constants = nodes.protos(declared)
        kind = _element_type(nodes.dtype)
        graph = helper.make_graph(
            protos,
            safe_name(spec.name, set()),
            [
                *(
                    _info(str(v), TensorProto.INT32 if v.kind == "integer" else kind, self._sizes(v, inputs))
                    for v in inputs.values()
                ),
                *(
                    _info(name, kind, _batch(spec.state_shape(place)))
                    for place, state in self._starts.items()
                    for name in state
                ),
                *(
                    _info(mask, TensorProto.BOOL, list(self._sizes(inputs[name], inputs))[:2])
                    for name, mask in self._masks.items()
                ),
            ],
            [_info(nodes.final(name), kind, _batch(shape)) for name, shape in {**dict(outputs), **declared}.items()],
            constants,
            doc_string=f"Converted by multilstm {__version__}.",
        )
        opsets = [helper.make_opsetid("", nodes.opset)]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name="multilstm",
            producer_version=__version__,
        )
        checker.check_model(model, full_check=True)
        return Written(
            model,
            {name: str(value) for name, value in inputs.items()},
            tuple(nodes.final(name) for name, _ in outputs),
            dict(self._starts),
            {place: tuple(map(nodes.final, state)) for place, state in ends.items()},
            {place: nodes.final(name) for place, name in returned.items()},
            dict(self._masks),
            {name: nodes.weights.get(scope.layer, []) for name, scope in self._scopes.items()},
        )

    def _sizes(self, value: Value, inputs: Mapping[str, Value]) -> Iterator[int | str]:
        """Yield the sizes of an input, those that may vary by a name."""
        batch, *sizes = value.shape
        yield "batch" if batch is None else batch
        for axis, size in enumerate(sizes, 1):
            label = "timesteps" if axis == 1 else f"axis_{axis}"
            yield size if size is not None else label if len(inputs) == 1 else f"{value}_{label}"


def _element_type(dtype: str) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _batch(shape: Shape) -> list[int | str | None]:
    batch, *sizes = shape
    return ["batch" if batch is None else batch, *sizes]


def _info(name: str, kind: int, sizes: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, list(sizes))
