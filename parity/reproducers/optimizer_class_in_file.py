"""Keras on PyTorch: a file names the optimizer class of this backend, with which no other can train."""

import json
import pathlib
import sys
import tempfile
import zipfile

import keras
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((3, 1))
model = keras.Model(inputs, keras.layers.LSTM(2)(inputs))
model.compile(keras.optimizers.SGD(0.1), "mse")
model.train_on_batch(np.ones((2, 3, 1), "float32"), np.zeros((2, 2), "float32"))
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "model.keras")
    model.save(path)
    with zipfile.ZipFile(path) as file:
        saved = json.loads(file.read("config.json"))["compile_config"]["optimizer"]
print(f"the file names the optimizer {saved['module']}.{saved['class_name']}")
sys.exit(int(".torch." in saved["module"]))
