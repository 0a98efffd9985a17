"""Keras layers, losses, regularizers and optimizers that mean the same on every backend, where plain Keras's do not.

Each is a drop-in for the Keras class of the same name, with the same arguments and weights, and is saved with the model
under its own registered name, such as `multilstm>LSTM`:

    from multilstm.keras_layers import LSTM, TimeDistributed, Adam

What plain Keras 3.15.1 does, and these do not:

`LSTM`, stateful: JAX never carries the state through predict, fit and train_on_batch; PyTorch raises in training, and
    under mixed precision keeps a state of zero; TensorFlow takes a batch of another size, and refuses a batch of one.
`LSTM`, masked: where the mask has not begun, JAX puts out the initial state, the other backends zero; JAX ignores
    `zero_output_for_mask` with `unroll`.
`LSTM`, `implementation=1`: with `dropout` and without `use_cudnn=False`, training fails; configurations forget it, and
    so do files, and `Bidirectional`, which copies its layer.
`LSTM`, `Bidirectional`: with an initial state, the mask that comes with the input is dropped, on every backend.
`TimeDistributed`: TensorFlow takes the batch size for the number of timesteps where both may vary.
`CategoricalCrossentropy`: TensorFlow takes the logits behind a softmax, or a sigmoid: wrong gradient for labels that do
    not sum to one, wrong loss for a sigmoid.
`SGD` with clipping, `RMSprop`, `Adam`: TensorFlow updates an Embedding wrongly, or fails, where a token stands twice in
    a batch.
`SGD` with momentum, `Adam`, any with weight decay: TensorFlow rounds the number to float32 for float64 weights.
`L1`, `L1L2`: at a weight of exactly zero, where `NonNeg` puts many, JAX takes the derivative of |x| for 1, not 0.
`L1`, `L2`, `L1L2`: TensorFlow rounds the factor to float32 for float64 weights. `OrthogonalRegularizer`: TensorFlow
    refuses float64 weights.
All optimizers: PyTorch saves them as classes of its own, with which no other backend can train.
"""

from multilstm.keras_layers.layers import LSTM, Bidirectional, TimeDistributed
from multilstm.keras_layers.losses import CategoricalCrossentropy
from multilstm.keras_layers.optimizers import SGD, Adam, RMSprop
from multilstm.keras_layers.regularizers import L1, L1L2, L2, OrthogonalRegularizer

__all__ = [
    "L1", "L1L2", "L2", "LSTM", "SGD", "Adam", "Bidirectional", "CategoricalCrossentropy", "OrthogonalRegularizer",
    "RMSprop", "TimeDistributed",
]  # fmt: skip
