"""A pretended GPU, for tests that do not compute on it."""

import types

from multilstm.frameworks import numpy as numpy_platform


def with_gpu(**answers):
    """Return the platform of the reference, with a GPU."""
    return types.SimpleNamespace(**{**vars(numpy_platform), "no_gpu": lambda: "", **answers})
