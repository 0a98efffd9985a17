"""Runs the scenarios of some parts on the backend that KERAS_BACKEND names, and writes the results.

    python scenarios.py lstm,dense FOLDER [FOLDER OF A BACKEND THAT RAN BEFORE]

A scenario is a function that returns arrays by name. They are written to FOLDER/results.npz as `scenario/name`. If the
scenario raised, its traceback is written as `scenario/raised`. Scenarios named `plain_...` show the faults of plain
Keras's classes that our classes avoid.
"""

import importlib
import pathlib
import sys
import traceback

import keras
import numpy as np
from harness import SCENARIOS
from keras.src.backend.common import dtypes

# Keras takes float64 for float32 in result_type on every backend but TensorFlow (keras#23704).
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"


def main(parts, folder, *others):
    for part in parts.split(","):
        importlib.import_module(f"scenarios_{part}")
    folders = [pathlib.Path(path) for path in (folder, *others)]
    results = {}
    for name, (function, floatx) in SCENARIOS.items():
        keras.backend.clear_session(free_memory=False)  # collecting garbage takes 0.2 to 0.4 s
        keras.config.set_floatx(floatx)
        keras.utils.set_random_seed(0)
        try:
            found = function(*folders) if function.__code__.co_varnames[:1] == ("folder",) else function()
        except Exception:
            found = {"raised": traceback.format_exc()}
        results.update({f"{name}/{key}": np.asarray(value) for key, value in found.items()})
    np.savez(folders[0] / "results.npz", **results)


main(*sys.argv[1:])
