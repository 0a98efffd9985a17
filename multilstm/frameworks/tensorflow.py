"""TensorFlow as its engine and the benchmarks see it: see `Platform`; and what is in its graphs."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from multilstm.frameworks import kernels, private_apis


def versions() -> dict[str, str]:
    """TensorFlow."""
    return {"tensorflow": tf.__version__}


def devices() -> list[str]:
    """GPUs first, by TensorFlow's index."""
    gpus = tf.config.list_physical_devices("GPU")
    names = (tf.config.experimental.get_device_details(gpu).get("device_name", "") for gpu in gpus)
    return [*(f"gpu:{index} {name}".strip() for index, name in enumerate(names)), "cpu"]


def no_gpu() -> str:
    """See `Platform`."""
    if tf.config.list_physical_devices("GPU"):
        return ""
    if not tf.test.is_built_with_cuda():
        return (
            f"TensorFlow {tf.__version__} is built without CUDA; install it with: "
            f"pip uninstall tensorflow-cpu; pip install 'tensorflow[and-cuda]'"
        )
    return f"TensorFlow {tf.__version__} finds none; see whether nvidia-smi and CUDA_VISIBLE_DEVICES name one"


def set_tf32(allowed: bool) -> None:
    """Whether a GPU may round the factors of float32 products to TF32, in cuDNN too."""
    tf.config.experimental.enable_tensor_float_32_execution(allowed)


def make_deterministic() -> None:
    """TensorFlow's op determinism; what has no deterministic kernel raises."""
    tf.config.experimental.enable_op_determinism()


def switches() -> dict[str, str]:
    """TF32, determinism, threads (0: TensorFlow's own choice), and oneDNN, which rounds in another order."""
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return {
        "TF32": "on" if tf.config.experimental.tensor_float_32_execution_enabled() else "off",
        "threads": str(threads or "all"),
        "deterministic": "on" if private_apis.tensorflow_is_deterministic() else "off",
        "oneDNN": "off" if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" else "default",
    }


def launched(function: Callable[[], Any], device: str = "/device:GPU") -> tuple[Any, set[str]]:
    """Calls it: what it gave, and the names of the kernels that ran on the device meanwhile, by its profiler."""
    with tempfile.TemporaryDirectory(prefix="multilstm-") as folder:
        profiler = tf.profiler.experimental
        value, _ = kernels.traced(function, partial(profiler.start, folder), profiler.stop)
        files = pathlib.Path(folder).rglob("*.xplane.pb")
        spaces = [private_apis.read_tensorflow_profile(path.read_bytes()) for path in files]
    planes = [plane for space in spaces for plane in space.planes if plane.name.startswith(device)]
    return value, {
        plane.event_metadata[event.metadata_id].name
        for plane in planes
        for line in plane.lines
        for event in line.events
    }


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
