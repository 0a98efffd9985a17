"""ONNX Runtime and ONNX's own evaluator: the functions of `Platform`, and operations for the self-test.

ONNX Runtime has no LSTM, GRU and RNN in float64, so the evaluator of the package `onnx` computes in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

from multilstm.frameworks import onnx_nodes
from multilstm.frameworks.self_test import Operations

Array = np.ndarray
PROVIDERS = ["CPUExecutionProvider"]
OPTIONS = onnxruntime.SessionOptions()  # of all sessions
OPTIONS.log_severity_level = 3
OPTIONS.intra_op_num_threads = 1  # the models are small, and each sum has one order


def versions() -> dict[str, str]:
    """Return the versions of both packages."""
    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


def devices() -> list[str]:
    """Return the CPU, the only device that is used."""
    return ["cpu"]


def no_gpu() -> str:
    """Return the reason: files are executed on the CPU."""
    return "files of ONNX are executed on the CPU alone"


def set_tf32(allowed: bool) -> None:
    """Do nothing: a CPU has no TF32."""


def make_deterministic() -> None:
    """Select kernels that give the same bits every time, for sessions from now on."""
    OPTIONS.use_deterministic_compute = True


def launched(function: Callable[[], Any]) -> tuple[Any, set[str]]:
    """Call the function; return its value and no kernels, since none run on a GPU."""
    return function(), set()


def switches() -> dict[str, str]:
    """Return the program that computes in each dtype, and whether kernels are deterministic."""
    return {
        "float32": "ONNX Runtime",
        "float64": "onnx.reference",
        "deterministic": "on" if OPTIONS.use_deterministic_compute else "off",
    }


def runner(model: Any) -> Callable[[Sequence[str], Mapping[str, Array]], list[Array]]:
    """Return the function that executes a model: it takes the names of outputs, and the inputs by name.

    Args:
        model: the message `ModelProto`. Its inputs of floats decide the dtype.
    """
    double = any(
        tensor.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
        for tensor in (*model.graph.input, *model.graph.output)
    )
    if double:
        evaluator = ReferenceEvaluator(model, new_ops=list(onnx_nodes.NODES))
        return lambda outputs, inputs: evaluator.run(list(outputs), dict(inputs))
    session = onnxruntime.InferenceSession(model.SerializeToString(), OPTIONS, providers=PROVIDERS)
    return lambda outputs, inputs: session.run(list(outputs), dict(inputs))


def operations() -> Operations:
    """Return operations that execute a model of one node each."""
    return Operations(
        tensor=np.asarray,
        array=np.asarray,
        compiled=lambda function: function,
        sum=lambda x, axis: _computed("ReduceSum", x, np.asarray(axis, np.int64).reshape(-1), keepdims=0),
        matmul=lambda x, y: _computed("MatMul", x, y),
        transpose=lambda x: _computed("Transpose", x),
        tanh=lambda x: _computed("Tanh", x),
        sigmoid=lambda x: _computed("Sigmoid", x),
    )


def _computed(op: str, *arrays: Array, **attributes: Any) -> Array:
    """Return the result of one node."""
    names = [f"x{number}" for number in range(len(arrays))]
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, arrays, strict=True)
    ]
    result = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(arrays[0].dtype), None)
    graph = helper.make_graph([helper.make_node(op, names, ["y"], **attributes)], op, infos, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return runner(model)(["y"], dict(zip(names, arrays, strict=True)))[0]
