"""The next week's temperatures from the last month's weather: trained on one backend, compared on every engine.

The data are the daily weather of Seattle from 2012 to 2015, in the package vega_datasets.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # or any other: the comparison below shows that it makes no difference

import keras
import matplotlib.pyplot as plt
import numpy as np
from vega_datasets import local_data

from multilstm import load, parity
from multilstm.keras_layers import LSTM, Adam

PAST, AHEAD = 30, 7  # days
table = local_data.seattle_weather()[["temp_max", "temp_min", "wind", "precipitation"]].to_numpy()
scaled = ((table - table.mean(0)) / table.std(0)).astype("float32")
windows = np.lib.stride_tricks.sliding_window_view(scaled, PAST + AHEAD, 0).swapaxes(1, 2)
x, y = windows[:, :PAST], windows[:, PAST:, 0]
train, test = slice(0, 1060), slice(1100, None)  # the test is 2015

keras.utils.set_random_seed(0)
layers = [LSTM(16, return_sequences=True), LSTM(8), keras.layers.Dense(AHEAD)]
model = keras.Sequential([keras.Input((PAST, 4)), *layers])
model.compile(Adam(0.003), "mean_squared_error")
model.fit(x[train], y[train], batch_size=64, epochs=20, verbose=0)
model.save("temperatures.keras")

report = parity(load("temperatures.keras"), inputs=x[test])
report.check()  # raises if an engine gives other answers
print(report.sentence)
error = np.abs(model.predict(x[test], verbose=0) - y[test]) * table.std(0)[0]
same_as_today = np.abs(x[test, -1:, 0] - y[test]) * table.std(0)[0]
print(f"mean error: {error.mean():.1f} degrees; of the rule 'as today': {same_as_today.mean():.1f}")
plt.plot(1 + np.arange(AHEAD), error.mean(0), label="LSTM")
plt.plot(1 + np.arange(AHEAD), same_as_today.mean(0), label="as today")
plt.gca().set(xlabel="days ahead", ylabel="mean error, °C", ylim=0)
plt.legend()
plt.savefig("temperatures.svg")
