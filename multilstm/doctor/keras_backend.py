"""The backend of a plain `import keras`, found without importing Keras."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import pathlib
from collections.abc import Mapping

from multilstm.frameworks.variables import without_home

_BACKENDS = ("tensorflow", "jax", "torch", "numpy", "openvino")


@dataclasses.dataclass(frozen=True)
class KerasBackend:
    """The backend that a plain `import keras` selects.

    Attributes:
        name: the backend.
        set_by: the variable, file or default that selects it.
        installed: whether the backend's package is installed.
    """

    name: str
    set_by: str
    installed: bool


def keras_backend(variables: Mapping[str, str] = os.environ) -> KerasBackend | None:
    """Return the backend that a plain `import keras` selects with these variables; None without Keras.

    The rules are Keras's own, in this order:

    1. `KERAS_BACKEND`, unless it is empty.
    2. `backend` in `keras.json`. The file is in the folder `KERAS_HOME`. Without that variable it is in `.keras` of the
       home directory, or of `/tmp` if the home directory is not writable.
    3. TensorFlow.
    """
    if importlib.util.find_spec("keras") is None:
        return None
    name, set_by = _selected(variables)
    return KerasBackend(name, set_by, name in _BACKENDS and importlib.util.find_spec(name) is not None)


def _selected(variables: Mapping[str, str]) -> tuple[str, str]:
    if variables.get("KERAS_BACKEND"):
        return variables["KERAS_BACKEND"], "KERAS_BACKEND"
    folder = variables.get("KERAS_HOME")
    home = os.path.expanduser("~")
    if folder is None:
        folder = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    path = pathlib.Path(os.path.expanduser(os.path.join(folder, "keras.json")))
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        return str(settings["backend"]), without_home(str(path))
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow", "Keras's default"
