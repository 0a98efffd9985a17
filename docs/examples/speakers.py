"""Nine speakers, recognized by their vowels: trained on one backend, saved, compared on every engine.

The series are of 7 to 29 frames, padded with zeros: Kudo, Toyama and Shimbo (1999), in the package sktime.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"  # or any other: the comparison below shows that it makes no difference

import keras
import matplotlib.pyplot as plt
import numpy as np
from sktime.datasets import load_japanese_vowels

from multilstm import load, parity, run
from multilstm.keras_layers import LSTM, Adam


def frames(split, timesteps=29):
    """Return the padded series [batch, timesteps, 12] and the speaker of each."""
    table, speakers = load_japanese_vowels(split=split, return_type="nested_univ")
    series = [np.stack([row[name].to_numpy() for name in table.columns], -1) for _, row in table.iterrows()]
    return np.stack([np.pad(x, ((0, timesteps - len(x)), (0, 0))) for x in series]), speakers.astype(int) - 1


(x, speakers), (x_test, speakers_test) = frames("train"), frames("test")
x_test = x_test.astype("float32")
keras.utils.set_random_seed(0)
layers = [keras.layers.Masking(), LSTM(24, return_sequences=True), keras.layers.Dense(9, activation="softmax")]
model = keras.Sequential([keras.Input((None, 12)), *layers])
model.compile(Adam(0.01), "sparse_categorical_crossentropy")
model.fit(x, np.repeat(speakers[:, None], x.shape[1], 1), epochs=30, verbose=0)
model.save("speakers.keras")

report = parity(load("speakers.keras"), inputs=x_test)
report.check()  # raises if an engine gives other answers
print(report.sentence)
desired = run(load("speakers.keras"), "reference", x_test, dtype="float64").output
right = desired.argmax(-1) == speakers_test[:, None]
print(f"{right[:, -1].mean():.0%} of {len(right)} recordings are recognized at their end")

_, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(7.5, 6))
above.plot(1 + np.arange(right.shape[1]), right.mean(0))
above.set(ylabel="share recognized", ylim=(0, 1))
for engine in ("keras-tensorflow", "keras-jax", "keras-torch", "jax-scan"):
    actual = run(load("speakers.keras"), engine, x_test).output
    below.semilogy(1 + np.arange(right.shape[1]), np.abs(actual - desired).max((0, 2)), label=engine)
below.set(xlabel="frames heard", ylabel="largest difference")
below.legend()
plt.savefig("speakers.svg")
