"""The same dropout everywhere: one model trained with Keras on TensorFlow, JAX and PyTorch, from one seed.

python same_dropout.py
"""

import os
import subprocess
import sys

BACKENDS = ("tensorflow", "jax", "torch")


def train():
    """Train one model on the backend of this process, and print the loss of each epoch."""
    import keras
    import numpy as np

    from multilstm.keras_layers import LSTM, Dropout
    from multilstm.keras_layers.initializers import GlorotUniform, Orthogonal

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 10, 4)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((10, 4)),
            Dropout(0.2, seed=1),
            LSTM(
                8,
                dropout=0.2,
                recurrent_dropout=0.2,
                seed=2,
                kernel_initializer=GlorotUniform(seed=3),
                recurrent_initializer=Orthogonal(seed=4),
            ),
            keras.layers.Dense(1, kernel_initializer=GlorotUniform(seed=5)),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mean_squared_error")
    losses = model.fit(x, y, batch_size=16, epochs=4, shuffle=False, verbose=0).history["loss"]
    print(f"{keras.backend.backend():12}", *(f"{loss:.4f}" for loss in losses))


def main():
    """Train in a process for each backend, since Keras chooses its backend once."""
    for backend in BACKENDS:
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            [sys.executable, __file__, "train"], env=environment, check=True, capture_output=True, text=True
        )
        print(done.stdout, end="")


if __name__ == "__main__":
    train() if sys.argv[1:] else main()
