"""Helpers of the tests of multilstm.keras_layers.LSTM. The scenarios use the sizes and options too."""

import numpy as np

from multilstm.spec import LSTM, Dense, Input, Model

BATCH, TIMESTEPS, FEATURES, UNITS, CLASSES = 2, 4, 3, 4, 2
MASKED = {  # over batches that begin masked
    "sequence": {"return_sequences": True},
    "last": {},
    "backwards": {"return_sequences": True, "go_backwards": True},
    "zero": {"return_sequences": True, "zero_output_for_mask": True},
    "unroll": {"return_sequences": True, "unroll": True, "zero_output_for_mask": True},
    "unroll_backwards": {"return_sequences": True, "unroll": True, "go_backwards": True},
    "unroll_backwards_last": {"unroll": True, "go_backwards": True, "zero_output_for_mask": True},
}
ATOL = {"float32": 1e-6, "float64": 1e-14}  # measured maxima over the backends: 3.7e-7 and 5.6e-16
FIXED = "fixed upstream: remove the row and the workaround in our class"


def close(actual, desired, floatx="float32"):
    assert np.shape(actual) == np.shape(desired)
    np.testing.assert_allclose(actual, desired, rtol=0, atol=ATOL[floatx], strict=False)


def all_close(actual, desired, floatx="float32"):
    assert len(actual) == len(desired)
    for a, d in zip(actual, desired, strict=True):
        close(a, d, floatx)


def stateful_spec(batch=BATCH, timesteps=TIMESTEPS):
    inputs = Input(batch_shape=(batch, timesteps, FEATURES))
    return Model(inputs, Dense(CLASSES, name="dense")(LSTM(UNITS, stateful=True, name="lstm")(inputs)))
