"""TensorFlow as its engine and the benchmarks see it: whether it has a GPU, and what is in its graphs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from multilstm.engines import kernels
from multilstm.errors import EngineUnavailableError


def no_gpu() -> str:
    """See `AbstractEngine.no_gpu`."""
    if tf.config.list_physical_devices("GPU"):
        return ""
    if not tf.test.is_built_with_cuda():
        return (
            f"TensorFlow {tf.__version__} is built without CUDA; install it with: "
            f"pip uninstall tensorflow-cpu; pip install 'tensorflow[and-cuda]'"
        )
    return f"TensorFlow {tf.__version__} finds none; see whether nvidia-smi and CUDA_VISIBLE_DEVICES name one"


def use_gpu() -> None:
    """For whoever computes on TensorFlow's default device: IEEE float32, on a GPU.

    Raises:
        EngineUnavailableError: where there is none.
    """
    missing = no_gpu()
    if missing:
        raise EngineUnavailableError(f"no GPU: {missing}")
    tf.config.experimental.enable_tensor_float_32_execution(False)


def found(concrete: Any) -> set[str]:
    """What `kernels.of_graph` finds in a concrete function, and in the functions that it calls."""
    graph = concrete.graph.as_graph_def()
    nodes = [graph.node, *(function.node_def for function in graph.library.function)]
    return kernels.of_graph(node.op for each in nodes for node in each)


def implementation(function: Any, *arguments: Any, xla: bool) -> str:
    """What a `tf.function` holds for these arguments: its graph, or where XLA compiles it, XLA's program."""
    if xla:
        text = function.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
        return kernels.named(kernels.of_hlo(text), "XLA's loop")
    return kernels.named(found(function.get_concrete_function(*arguments)), "tf.while_loop")
