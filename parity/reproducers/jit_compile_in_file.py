"""Keras: jit_compile="auto" is saved as the saving backend resolved it, and the next backend uses that."""

import json
import pathlib
import sys
import tempfile
import zipfile

import keras

keras.utils.set_random_seed(0)
inputs = keras.Input((3, 1))
model = keras.Model(inputs, keras.layers.LSTM(2)(inputs))
model.compile("sgd", "mse")
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "model.keras")
    model.save(path)
    with zipfile.ZipFile(path) as file:
        saved = json.loads(file.read("config.json"))["compile_config"]["jit_compile"]
print(f'compiled with jit_compile="auto"; the file says {saved!r}')
sys.exit(int(saved != "auto"))
