"""ONNX Runtime's LSTM operator, forward only. ONNX orders the gates i, o, f, c and has two biases."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any, final

import numpy as np
import onnxruntime
from onnx import helper, numpy_helper

from multilstm.bench.contestants.base import AbstractContestant, Run, named_outputs
from multilstm.bench.contestants.stack import Stack, stack_of
from multilstm.bench.modes import FORWARD, Mode
from multilstm.errors import UnsupportedError
from multilstm.jobs.job import Job
from multilstm.spec.arrays import Array

_PROVIDERS = ["CPUExecutionProvider"]


@final
class OnnxContestant(AbstractContestant):
    """A graph with one LSTM node for each layer; the operator requires time as the first axis."""

    def prepare(self, job: Job, mode: Mode) -> Run:
        if mode != FORWARD:
            raise UnsupportedError(f"it computes the mode forward alone, given {mode.name}")
        stack = stack_of(job)
        graph = _model(stack)
        session = onnxruntime.InferenceSession(graph, providers=_PROVIDERS)
        feed = {"x": stack.x}
        return Run(
            lambda: session.run(["y"], feed)[0],
            lambda y: named_outputs([[y]]),
            lambda: _implementation(graph, feed),
        )

    def product(self, left: Array, right: Array) -> None:
        return None

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
        session.run(["y"], feed)
        events = json.loads(pathlib.Path(session.end_profiling()).read_text())
    nodes = [event["args"] for event in events if event.get("cat") == "Node"]
    providers = sorted({node["provider"] for node in nodes if node["op_name"] == "LSTM"})
    return ", ".join(f"LSTM of {provider}" for provider in providers) or "no LSTM operator ran"


def _model(stack: Stack) -> bytes:
    kind = helper.np_dtype_to_tensor_dtype(stack.x.dtype)
    nodes, constants = [helper.make_node("Transpose", ["x"], ["in0"], perm=[1, 0, 2])], []
    for number, layer in enumerate(stack.layers):
        for name, arrays in zip(
            "WRB", zip(*(_onnx(*weights) for weights in layer.directions), strict=True), strict=True
        ):
            constants.append(numpy_helper.from_array(np.stack(arrays), f"{name}{number}"))
        inputs = [f"in{number}", f"W{number}", f"R{number}", f"B{number}"]
        nodes.append(
            helper.make_node(
                "LSTM",
                inputs,
                [f"all{number}"],
                hidden_size=layer.units,
                direction="bidirectional" if len(layer.directions) == 2 else "forward",
            )
        )
        # [timesteps, directions, batch, units] -> [timesteps, batch, directions * units]
        nodes.append(helper.make_node("Transpose", [f"all{number}"], [f"t{number}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"t{number}", "flat"], [f"in{number + 1}"]))
    constants.append(numpy_helper.from_array(np.array([0, 0, -1]), "flat"))
    last = f"in{len(stack.layers)}"
    if stack.layers[-1].return_sequences:
        nodes.append(helper.make_node("Transpose", [last], ["y"], perm=[1, 0, 2]))
    else:
        constants.append(numpy_helper.from_array(np.array(-1), "end"))
        nodes.append(helper.make_node("Gather", [last, "end"], ["y"], axis=0))
    inputs = [helper.make_tensor_value_info("x", kind, stack.x.shape)]
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


def _onnx(kernel: Array, recurrent_kernel: Array, bias: Array) -> tuple[Any, Any, Any]:
    def reorder(array: Array) -> Array:
        i, f, c, o = np.split(array, 4, -1)
        return np.concatenate([i, o, f, c], -1)

    return reorder(kernel).T, reorder(recurrent_kernel).T, np.concatenate([reorder(bias), np.zeros_like(bias)])
