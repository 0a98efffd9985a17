"""The beginning of test suites that pytester runs, and the options of their runs."""

import importlib.metadata

PLUGIN = (
    () if importlib.metadata.entry_points(group="pytest11", name="multilstm") else ("-p", "multilstm.testing.plugin")
)
QUIET = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-rs")  # the plugin of hypothesis imports it
HEAD = """
import numpy as np
import pytest
from multilstm import LSTM, Dense, Sequential
from multilstm.testing import assert_parity

SPEC = Sequential([LSTM(2), Dense(2)], input_shape=(None, 3), name="mine")
X = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
"""
