"""Keras: an ONNX file of an LSTM with a free number of timesteps computes one timestep, whatever it is given.

It needs the packages onnx and onnxruntime. Keras on TensorFlow and JAX exports by tf2onnx and jax2onnx.
"""

import importlib.util
import os
import sys
import tempfile
import warnings

import keras
import numpy as np

if keras.backend.backend() != "torch":
    exporter = {"tensorflow": "tf2onnx", "jax": "jax2onnx"}[keras.backend.backend()]
    if importlib.util.find_spec(exporter) is None:
        print(f"Keras exports by {exporter}, which is not installed")
        sys.exit(0)
import onnxruntime

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(4)])
inputs = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
expected = keras.ops.convert_to_numpy(model(inputs))
with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    path = os.path.join(folder, "model.onnx")
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
(actual,) = session.run(None, {session.get_inputs()[0].name: inputs})
(first,) = session.run(None, {session.get_inputs()[0].name: inputs[:, :1]})
difference = float(np.abs(actual - expected).max())
print(
    f"7 timesteps: the file differs from the model by {difference:.2f}; from its own answer to the first timestep by "
    f"{float(np.abs(actual - first).max()):.2f}"
)
sys.exit(int(difference > 1e-3))
