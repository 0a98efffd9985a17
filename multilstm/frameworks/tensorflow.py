"""TensorFlow: the functions of `Platform`, and the kernels in its graphs."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from multilstm.frameworks import kernels, private_tensorflow
from multilstm.frameworks.self_test import Operations


def versions() -> dict[str, str]:
    """Return the version of TensorFlow."""
    return {"tensorflow": tf.__version__}


def devices() -> list[str]:
    """Return the GPUs, by TensorFlow's index, and the CPU."""
    gpus = tf.config.list_physical_devices("GPU")
    names = (tf.config.experimental.get_device_details(gpu).get("device_name", "") for gpu in gpus)
    return [*(f"gpu:{index} {name}".strip() for index, name in enumerate(names)), "cpu"]


def no_gpu() -> str:
    """Return why TensorFlow cannot compute on a GPU; see `Platform`."""
    if tf.config.list_physical_devices("GPU"):
        return ""
    if not tf.test.is_built_with_cuda():
        return (
            f"TensorFlow {tf.__version__} is built without CUDA; install it with: "
            f"pip uninstall tensorflow-cpu; pip install 'tensorflow[and-cuda]'"
        )
    return f"TensorFlow {tf.__version__} finds none; see whether nvidia-smi and CUDA_VISIBLE_DEVICES name one"


def set_tf32(allowed: bool) -> None:
    """Let a GPU round the factors of float32 products to TF32, or not, in cuDNN too."""
    tf.config.experimental.enable_tensor_float_32_execution(allowed)


def make_deterministic() -> None:
    """Enable TensorFlow's op determinism; operations without a deterministic kernel raise."""
    tf.config.experimental.enable_op_determinism()


def switches() -> dict[str, str]:
    """Return TF32, determinism, threads, and oneDNN, which rounds in another order."""
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return {
        "TF32": "on" if tf.config.experimental.tensor_float_32_execution_enabled() else "off",
        "threads": str(threads or "all"),
        "deterministic": "on" if private_tensorflow.tensorflow_is_deterministic() else "off",
        "oneDNN": "off" if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" else "default",
    }


def operations() -> Operations:
    """Return the operations of TensorFlow in a `tf.function`, without XLA."""
    return Operations(
        tensor=tf.constant,
        array=lambda tensor: tensor.numpy(),
        compiled=tf.function,
        sum=tf.reduce_sum,
        matmul=tf.matmul,
        transpose=tf.transpose,
        tanh=tf.tanh,
        sigmoid=tf.sigmoid,
    )


def launched(function: Callable[[], Any], device: str = "/device:GPU") -> tuple[Any, set[str]]:
    """Call the function; return its value, and the names of the kernels that the profiler saw on the device."""
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        profiler = tf.profiler.experimental
        value, _ = kernels.traced(function, partial(profiler.start, folder), profiler.stop)
        files = pathlib.Path(folder).rglob("*.xplane.pb")
        spaces = [private_tensorflow.read_tensorflow_profile(path.read_bytes()) for path in files]
    planes = [plane for space in spaces for plane in space.planes if plane.name.startswith(device)]
    return value, {
        plane.event_metadata[event.metadata_id].name
        for plane in planes
        for line in plane.lines
        for event in line.events
    }


def found(concrete: Any) -> set[str]:
    """Return the kernels in a concrete function and in the functions that it calls."""
    graph = concrete.graph.as_graph_def()
    nodes = [graph.node, *(function.node_def for function in graph.library.function)]
    return kernels.of_graph(node.op for group in nodes for node in group)


def implementation(function: Any, *arguments: Any, xla: bool) -> str:
    """Describe the kernels of a `tf.function` for these arguments, from its graph, or from XLA's program."""
    if xla:
        text = function.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
        return kernels.named(kernels.of_hlo(text), "XLA's loop")
    return kernels.named(found(function.get_concrete_function(*arguments)), "tf.while_loop")
