"""Keras: Bidirectional(LSTM(...), trainable=False) is trained nevertheless."""

import sys

import keras

keras.utils.set_random_seed(0)
inputs = keras.Input((3, 2))
model = keras.Model(inputs, keras.layers.Bidirectional(keras.layers.LSTM(4), trainable=False)(inputs))
print(f"weights that training changes, none expected: {len(model.trainable_variables)}")
sys.exit(int(bool(model.trainable_variables)))
