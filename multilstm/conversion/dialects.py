"""The layouts of an LSTM's weights in other frameworks: one table, read in both directions.

Each row names the operations that lead from Keras's layout to the framework's. Reading undoes them. The documentation's
page of layouts is generated from this table.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from multilstm.conversion.operations import (
    AddForget,
    ByGate,
    CuDNN,
    Join,
    Operation,
    Rename,
    Reorder,
    Transpose,
    TwoBiases,
)

__all__ = ["DIALECTS", "Dialect", "Placement"]

Placement = Literal["cell", "numbered", "stacked", "packed"]


@dataclasses.dataclass(frozen=True)
class Dialect:
    """The layout of one framework.

    Attributes:
        title: the class of the framework, with the version on which the row was run.
        operations: from Keras's arrays to the framework's, for one LSTM in one direction.
        source: the address of the code or the specification that the row follows.
        states: the names of the states in the framework's order.
        placement: of the LSTMs of a stack. `cell`: an own set of arrays for each. `numbered`: names with the number of
            the layer, and `_reverse` for the second direction. `stacked`: the directions along a first axis. `packed`:
            one flat array of the whole stack.
        always_bias: whether the framework has no LSTM without a bias; it then gets a bias that acts as zero.
        executed: whether a test executes the framework's own LSTM. The other rows are tested by their operations alone.
    """

    title: str
    operations: tuple[Operation, ...]
    source: str
    states: str = "hidden, cell"
    placement: Placement = "cell"
    always_bias: bool = False
    executed: bool = True

    def steps(self, gradients: bool) -> tuple[Operation, ...]:
        """Return the operations on weights, or on gradients."""
        return tuple(step.for_gradients() for step in self.operations) if gradients else self.operations

    @property
    def words(self) -> tuple[str, ...]:
        """The operations in words."""
        return tuple(operation.words for operation in self.operations if operation.words)

    @property
    def bias_count(self) -> int:
        """The number of biases of 4 * units."""
        return 2 if any(isinstance(operation, TwoBiases | CuDNN) for operation in self.operations) else 1


def _named(kernel: str, recurrent_kernel: str, bias: str, recurrent_bias: str = "") -> Rename:
    pairs = [("kernel", kernel), ("recurrent_kernel", recurrent_kernel), ("bias", bias)]
    return Rename((*pairs, *([("recurrent_bias", recurrent_bias)] if recurrent_bias else [])))


def _gates(kernel: str, recurrent_kernel: str, bias: str, letters: tuple[str, ...]) -> ByGate:
    """Return the operation that makes an array for each gate, whose letter replaces `{}` in the names."""
    patterns = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}
    return ByGate(
        tuple((name, tuple(pattern.format(letter) for letter in letters)) for name, pattern in patterns.items())  # type: ignore[misc]
    )


_KERAS = "https://github.com/keras-team/keras/blob/v3.15.1/keras/src/layers/rnn/lstm.py"
_TF_KERAS = "https://github.com/keras-team/tf-keras/blob/v2.21.0/tf_keras"
_TORCH = "https://docs.pytorch.org/docs/2.13/generated/torch.nn.LSTM.html"
_FLAX = "https://github.com/google/flax/blob/v0.12.8/flax"

DIALECTS: dict[str, Dialect] = {
    "keras": Dialect("Keras 2 and 3, `LSTM`", (), _KERAS),
    "keras1": Dialect(
        "Keras 0 and 1, `LSTM`",
        (_gates("W_{}", "U_{}", "b_{}", ("i", "f", "c", "o")),),
        f"{_TF_KERAS}/saving/legacy/hdf5_format.py",
        always_bias=True,
        executed=False,
    ),
    "cudnn": Dialect(
        "Keras 2, `CuDNNLSTM`",
        (CuDNN(),),
        f"{_TF_KERAS}/saving/legacy/hdf5_format.py",
        always_bias=True,
        executed=False,
    ),
    "torch": Dialect(
        "PyTorch 2.13, `torch.nn.LSTM`",
        (TwoBiases(), Transpose(), _named("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        _TORCH,
        placement="numbered",
    ),
    "torch-cell": Dialect(
        "PyTorch 2.13, `torch.nn.LSTMCell`",
        (TwoBiases(), Transpose(), _named("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        "https://docs.pytorch.org/docs/2.13/generated/torch.nn.LSTMCell.html",
    ),
    "flax-linen": Dialect(
        "Flax 0.12 linen, `LSTMCell` and `OptimizedLSTMCell`",
        (_gates("i{}/kernel", "h{}/kernel", "h{}/bias", ("i", "f", "g", "o")),),
        f"{_FLAX}/linen/recurrent.py",
        states="cell, hidden",
        always_bias=True,
    ),
    "flax-nnx": Dialect(
        "Flax 0.12 nnx, `LSTMCell`",
        (
            _gates("i{}/kernel", "h{}/kernel", "h{}/bias", ("i", "f", "g", "o")),
            Rename(
                tuple(
                    (name, name.replace("if/", "if_/"))
                    for gate in "ifgo"
                    for name in (f"i{gate}/kernel", f"h{gate}/kernel", f"h{gate}/bias")
                )
            ),
        ),
        f"{_FLAX}/nnx/nn/recurrent.py",
        states="cell, hidden",
        always_bias=True,
    ),
    "flax-nnx-optimized": Dialect(
        "Flax 0.12 nnx, `OptimizedLSTMCell`",
        (_named("dense_i/kernel", "dense_h/kernel", "dense_h/bias"),),
        f"{_FLAX}/nnx/nn/recurrent.py",
        states="cell, hidden",
        always_bias=True,
    ),
    "equinox": Dialect(
        "Equinox 0.13, `LSTMCell`",
        (Transpose(), _named("weight_ih", "weight_hh", "bias")),
        "https://github.com/patrick-kidger/equinox/blob/v0.13.8/equinox/nn/_rnn.py",
    ),
    "haiku": Dialect(
        "Haiku 0.0.17, `LSTM`",
        (AddForget(-1.0), Reorder("icfo"), Join(), Rename((("kernel", "linear/w"), ("bias", "linear/b")))),
        "https://github.com/google-deepmind/dm-haiku/blob/v0.0.17/haiku/_src/recurrent.py",
        always_bias=True,
    ),
    "jax-rnn": Dialect(
        "JAX, `jax.experimental.rnn` (cuDNN's packed weights)",
        (TwoBiases(), Transpose(), _named("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        "https://github.com/jax-ml/jax/blob/jax-v0.10.1/jax/experimental/rnn.py",
        placement="packed",
        always_bias=True,
    ),
    "onnx": Dialect(
        "ONNX operator set 22, `LSTM`",
        (Reorder("iofc"), TwoBiases(joined=True), Transpose(), _named("W", "R", "B")),
        "https://onnx.ai/onnx/operators/onnx__LSTM.html",
        placement="stacked",
    ),
    "tf1": Dialect(
        "TensorFlow 1, `BasicLSTMCell` and `LSTMCell` with forget_bias=1",
        (AddForget(-1.0), Reorder("icfo"), Join()),
        f"{_TF_KERAS}/layers/rnn/legacy_cells.py",
        states="cell, hidden",
        always_bias=True,
    ),
    "sonnet": Dialect(
        "Sonnet 2, `LSTM`",
        (_named("w_i", "w_h", "b"),),
        "https://github.com/google-deepmind/sonnet/blob/v2/sonnet/src/recurrent.py",
        always_bias=True,
        executed=False,
    ),
    "mlx": Dialect(
        "MLX, `LSTM`",
        (Transpose(), _named("Wx", "Wh", "bias")),
        "https://github.com/ml-explore/mlx/blob/main/python/mlx/nn/layers/recurrent.py",
        executed=False,
    ),
    "openvino": Dialect(
        "OpenVINO, `LSTMSequence`",
        (Reorder("fico"), Transpose(), _named("W", "R", "B")),
        "https://docs.openvino.ai/2024/documentation/openvino-ir-format/operation-sets/operation-specs/sequence/lstm-sequence-1.html",
        placement="stacked",
        always_bias=True,
        executed=False,
    ),
    "coreml": Dialect(
        "Core ML MIL, `lstm`",
        (Reorder("ifoc"), Transpose(), _named("weight_ih", "weight_hh", "bias")),
        "https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html",
        executed=False,
    ),
    "tflite": Dialect(
        "TensorFlow Lite, `UnidirectionalSequenceLSTM`",
        (
            _gates("input_to_{}", "recurrent_to_{}", "{}_bias", ("input", "forget", "cell", "output")),
            Transpose(),
        ),
        "https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/compiler/mlir/lite/utils/lstm_utils.cc",
        always_bias=True,
        executed=False,
    ),
    "dl4j": Dialect(
        "Deeplearning4j, `LSTM`",
        (Reorder("cfoi"), _named("W", "RW", "b")),
        "https://github.com/deeplearning4j/deeplearning4j/blob/master/deeplearning4j/deeplearning4j-modelimport/src/main/java/org/deeplearning4j/nn/modelimport/keras/layers/recurrent/KerasLSTM.java",
        always_bias=True,
        executed=False,
    ),
}
