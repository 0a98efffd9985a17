"""The installed versions of the packages that compute, read without an import of any."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

__all__ = ["PACKAGES", "versions", "versions_for"]

PACKAGES = (
    *("keras", "tensorflow", "tensorflow-cpu", "tf-keras", "jax", "jaxlib", "torch", "onnx", "onnxruntime"),
    *("numpy", "safetensors"),
)
_OF_MODULES = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "tf_keras": ("tf-keras",), "jax": ("jax", "jaxlib")}


def versions() -> dict[str, str]:
    """Return the installed versions of the packages that compute, by name."""
    return _installed(PACKAGES)


def versions_for(modules: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of the packages of some modules, and of NumPy."""
    return _installed(
        dict.fromkeys((*(name for module in modules for name in _OF_MODULES.get(module, (module,))), "numpy"))
    )


def _installed(packages: Iterable[str]) -> dict[str, str]:
    installed = {}
    for package in packages:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed
