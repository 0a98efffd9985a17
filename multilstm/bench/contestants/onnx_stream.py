"""ONNX Runtime's LSTM operator, one timestep a call, with the states as inputs and outputs of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import helper, numpy_helper

from multilstm.bench.contestants.base import Run, named_outputs
from multilstm.bench.contestants.stack import Stack, in_one_direction
from multilstm.spec.arrays import Array


def streaming(stack: Stack, providers: list[str], implementation: Callable[[bytes, dict[str, Array]], str]) -> Run:
    """Return the run of a graph of one timestep, whose last states are the initial states of the next call."""
    layers, batch, dtype = in_one_direction(stack), stack.x.shape[0], stack.x.dtype
    first = stack._replace(x=stack.x[:, :1])
    session = onnxruntime.InferenceSession(_model(first), providers=providers)
    names = [f"{kind}{number}" for number in range(len(layers)) for kind in ("h", "c")]
    zeros = [np.zeros((1, batch, layers[number // 2].units), dtype) for number in range(2 * len(layers))]
    xs = [np.ascontiguousarray(stack.x[:, number : number + 1]) for number in range(stack.x.shape[1])]

    def call() -> list[Any]:
        states, outputs = zeros, []
        for x in xs:
            y, *states = session.run(
                ["y", *(f"{name}_after" for name in names)], {"x": x, **dict(zip(names, states, strict=True))}
            )
            outputs.append(y)
        return outputs

    feed = {"x": xs[0], **dict(zip(names, zeros, strict=True))}
    return Run(
        call,
        lambda outputs: named_outputs([[np.concatenate(outputs, 1)]]),
        lambda: implementation(_model(first), feed),
    )


def _model(stack: Stack) -> bytes:
    """Return the graph of a stack: initial states are inputs, `h0`, `c0`, ..., last states outputs, `h0_after`, ..."""
    kind = helper.np_dtype_to_tensor_dtype(stack.x.dtype)
    carried: list[Any] = []
    after: list[Any] = []
    nodes, constants = [helper.make_node("Transpose", ["x"], ["in0"], perm=[1, 0, 2])], []
    for number, layer in enumerate(stack.layers):
        for name, arrays in zip(
            "WRB", zip(*(_onnx(*weights) for weights in layer.directions), strict=True), strict=True
        ):
            constants.append(numpy_helper.from_array(np.stack(arrays), f"{name}{number}"))
        inputs = [f"in{number}", f"W{number}", f"R{number}", f"B{number}"]
        states = [f"h{number}", f"c{number}"]
        sizes = [1, stack.x.shape[0], layer.units]
        carried += [helper.make_tensor_value_info(name, kind, sizes) for name in states]
        after += [helper.make_tensor_value_info(f"{name}_after", kind, sizes) for name in states]
        nodes.append(
            helper.make_node(
                "LSTM",
                [*inputs, "", *states],
                [f"all{number}", *(f"{name}_after" for name in states)],
                hidden_size=layer.units,
            )
        )
        # [timesteps, directions, batch, units] -> [timesteps, batch, directions * units]
        nodes.append(helper.make_node("Transpose", [f"all{number}"], [f"t{number}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"t{number}", "flat"], [f"in{number + 1}"]))
    constants.append(numpy_helper.from_array(np.array([0, 0, -1]), "flat"))
    nodes.append(helper.make_node("Transpose", [f"in{len(stack.layers)}"], ["y"], perm=[1, 0, 2]))
    inputs = [helper.make_tensor_value_info("x", kind, stack.x.shape), *carried]
    outputs = [helper.make_tensor_value_info("y", kind, None), *after]
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


def _onnx(kernel: Array, recurrent_kernel: Array, bias: Array) -> tuple[Any, Any, Any]:
    def reorder(array: Array) -> Array:
        i, f, c, o = np.split(array, 4, -1)
        return np.concatenate([i, o, f, c], -1)

    return reorder(kernel).T, reorder(recurrent_kernel).T, np.concatenate([reorder(bias), np.zeros_like(bias)])
