"""Keras on JAX: leading masked timesteps output the initial state; on other backends they output zero.

The final states agree. With unroll=True JAX outputs zero too.
"""

import sys

import keras
import numpy as np

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
layer = keras.layers.LSTM(2, return_sequences=True)
x, *states = (rng.normal(size=shape).astype("float32") for shape in ((1, 3, 4), (1, 2), (1, 2)))
output = keras.ops.convert_to_numpy(layer(x, mask=np.array([[False, True, True]]), initial_state=states))
print(f"masked at the first timestep: output {output[0, 0].tolist()}, initial hidden state {states[0][0].tolist()}")
sys.exit(int(output[0, 0].any()))
