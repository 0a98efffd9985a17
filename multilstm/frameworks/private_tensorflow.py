"""Every private or undocumented part of TensorFlow that the package uses.

Each function isolates one part, and names the version in which the part was seen and the reason for its use.

tests/frameworks/test_private_apis.py checks every entry, and explains which feature breaks without it.
"""

from __future__ import annotations

from typing import Any


def tensorflow_is_deterministic() -> bool:
    """Return whether TensorFlow's op determinism is enabled.

    `tensorflow.python.framework.config.is_op_determinism_enabled` in TensorFlow 2.18 to 2.21. The public API can only
    enable it.
    """
    from tensorflow.python.framework.config import is_op_determinism_enabled

    return bool(is_op_determinism_enabled())


def read_tensorflow_profile(content: bytes) -> Any:
    """Return the XSpace message that TensorFlow's profiler wrote to a file `*.xplane.pb`.

    `tensorflow.tsl.profiler.protobuf.xplane_pb2` in TensorFlow 2.18 to 2.21. The public reader is TensorBoard's
    plug-in, another package.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    return xplane_pb2.XSpace.FromString(content)


def leave_cudnn_out_of_tf_keras() -> None:
    """Let recurrent layers of tf-keras trace their loop alone, without a second graph for cuDNN.

    `tf_keras.src.layers.rnn.gru_lstm_utils.function_register` in tf-keras 2.18 to 2.21. Each call of a layer registers
    that graph with its gradient, which takes longer than all else. TensorFlow selects it on a GPU alone, and the engine
    `keras2` refuses GPUs.
    """
    from tf_keras.src.layers.rnn import gru_lstm_utils

    gru_lstm_utils.function_register = lambda *arguments, **more: None
