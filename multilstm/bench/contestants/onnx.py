"""ONNX Runtime's LSTM operator, forward only. ONNX orders the gates i, o, f, c and has two biases."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any, final

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from multilstm.bench.contestants.base import FORWARD, AbstractContestant, Run
from multilstm.bench.shapes import Problem
from multilstm.spec.arrays import Array

_PROVIDERS = ["CPUExecutionProvider"]


@final
class OnnxContestant(AbstractContestant):
    """A graph with one LSTM node for each layer; the operator requires time as the first axis."""

    def prepare(self, problem: Problem) -> dict[str, Run]:
        model = _model(problem)
        session = onnxruntime.InferenceSession(model, providers=_PROVIDERS)
        feed = {"x": problem.x}
        if problem.lengths is not None:
            feed["lengths"] = problem.lengths.astype("int32")
        return {
            FORWARD: Run(
                lambda: session.run(["sequence"], feed)[0],
                lambda y: {"sequence": y},
                lambda: _implementation(model, feed),
            )
        }

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__}


def _implementation(model: bytes, feed: dict[str, Array]) -> str:
    """Return the providers that executed the LSTM nodes, from the profile of a separate session.

    Profiling would slow the session that is timed.
    """
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        session = onnxruntime.InferenceSession(model, options, providers=_PROVIDERS)
        session.run(["sequence"], feed)
        events = json.loads(pathlib.Path(session.end_profiling()).read_text())
    nodes = [event["args"] for event in events if event.get("cat") == "Node"]
    providers = sorted({node["provider"] for node in nodes if node["op_name"] == "LSTM"})
    return ", ".join(f"LSTM of {provider}" for provider in providers) or "no LSTM operator ran"


def _model(problem: Problem) -> bytes:
    shape = problem.shape
    kind = helper.np_dtype_to_tensor_dtype(problem.x.dtype)
    nodes, constants = [helper.make_node("Transpose", ["x"], ["in0"], perm=[1, 0, 2])], []
    for number, layer in enumerate(problem.weights):
        for name, arrays in zip("WRB", zip(*(_onnx(*direction) for direction in layer), strict=True), strict=True):
            constants.append(numpy_helper.from_array(np.stack(arrays), f"{name}{number}"))
        inputs = [f"in{number}", f"W{number}", f"R{number}", f"B{number}"]
        nodes.append(
            helper.make_node(
                "LSTM",
                inputs + (["lengths"] if problem.lengths is not None else []),
                [f"y{number}"],
                hidden_size=shape.units,
                direction="bidirectional" if shape.bidirectional else "forward",
            )
        )
        # [timesteps, directions, batch, units] -> [timesteps, batch, directions * units]
        nodes.append(helper.make_node("Transpose", [f"y{number}"], [f"t{number}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"t{number}", "flat"], [f"in{number + 1}"]))
    constants.append(numpy_helper.from_array(np.array([0, 0, -1]), "flat"))
    nodes.append(helper.make_node("Transpose", [f"in{shape.layers}"], ["sequence"], perm=[1, 0, 2]))
    inputs = [helper.make_tensor_value_info("x", kind, problem.x.shape)]
    if problem.lengths is not None:
        inputs.append(helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, [shape.batch]))
    output = helper.make_tensor_value_info("sequence", kind, problem.cotangent.shape)
    graph = helper.make_graph(nodes, "lstm", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


def _onnx(kernel: Array, recurrent_kernel: Array, bias: Array) -> tuple[Any, Any, Any]:
    def reorder(array: Array) -> Array:
        i, f, c, o = np.split(array, 4, -1)
        return np.concatenate([i, o, f, c], -1)

    return reorder(kernel).T, reorder(recurrent_kernel).T, np.concatenate([reorder(bias), np.zeros_like(bias)])
