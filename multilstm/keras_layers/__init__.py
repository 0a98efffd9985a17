"""Keras layers, losses and optimizers that mean the same on every Keras backend, where plain Keras's do not.

Each is a drop-in for the Keras class of the same name, with the same arguments, weights and saved form:

    from multilstm.keras_layers import LSTM, TimeDistributed, Adam

| class | what plain Keras 3.15.1 does, and this does not |
|---|---|
| `LSTM` | stateful: JAX never carries the state through predict, fit and train_on_batch; PyTorch raises in training |
| `TimeDistributed` | TensorFlow takes the batch size for the number of timesteps where both may vary |
| `CategoricalCrossentropy` | TensorFlow takes the logits behind a softmax, or a sigmoid: wrong gradient for labels that \
do not sum to one, wrong loss for a sigmoid |
| `SGD`, `RMSprop`, `Adam` | TensorFlow updates an Embedding wrongly where a token stands twice in a batch |
| `Adam` | TensorFlow's float64 step is off by 7e-6, since its betas are rounded to float32 |
"""

from multilstm.keras_layers.layers import LSTM, TimeDistributed
from multilstm.keras_layers.losses import CategoricalCrossentropy
from multilstm.keras_layers.optimizers import SGD, Adam, RMSprop

__all__ = ["LSTM", "SGD", "Adam", "CategoricalCrossentropy", "RMSprop", "TimeDistributed"]
