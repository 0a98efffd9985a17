"""TensorFlow as its engine and the benchmark see it: whether it has a GPU."""

from __future__ import annotations

import tensorflow as tf


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
