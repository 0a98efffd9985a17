"""Environment variables that change the frameworks' computations, as a user has set them."""

from __future__ import annotations

import os
from collections.abc import Mapping

_PREFIXES = ("XLA_", "JAX_", "KERAS_", "NVIDIA_TF32")
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_NAMES = (
    *THREADS,
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "KMP_BLOCKTIME",
    "OMP_WAIT_POLICY",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_XLA_FLAGS",
)


def framework_variables(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return those variables that change a framework's computations, sorted by name.

    The home directory is replaced by `~`, since it names the user.
    """
    return {
        name: without_home(value)
        for name, value in sorted(environment.items())
        if name.startswith(_PREFIXES) or name in _NAMES
    }


def without_home(text: str) -> str:
    """Return the text with the home directory, which names the user, replaced by `~`."""
    home = os.path.expanduser("~")
    return text.replace(home, "~") if len(home) > 1 else text
