"""Keras: implementation and use_cudnn are missing in an LSTM's configuration, so also in files and Bidirectional."""

import sys

import keras

keras.utils.set_random_seed(0)
layer = keras.layers.LSTM(2, implementation=1, use_cudnn=False)
again = keras.layers.LSTM.from_config(layer.get_config())
both = keras.layers.Bidirectional(layer)
found = [each.cell.implementation for each in (again, both.forward_layer, both.backward_layer)]
print(f"implementation=1 came back as {found}; use_cudnn=False as {again.use_cudnn!r}")
sys.exit(int(found != [1, 1, 1] or again.use_cudnn is not False))
