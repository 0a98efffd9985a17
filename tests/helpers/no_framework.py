"""Replaces every framework by a module that cannot be imported, here and in processes that start meanwhile."""

import contextlib
import os
import sys

import pytest

FRAMEWORKS = ("jax", "jaxlib", "keras", "tensorflow", "tf_keras", "torch")


def write_stubs(folder):
    """Write a module for each framework that raises an error when it is imported."""
    for framework in FRAMEWORKS:
        source = f"raise AssertionError('a unit test imports {framework}')\n"
        (folder / f"{framework}.py").write_text(source, encoding="utf-8")
    return str(folder)


@contextlib.contextmanager
def forbidden(stubs):
    """Put the folder of stubs before all others; frameworks that were imported earlier stay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (stubs, os.environ.get("PYTHONPATH")))))
        sys.path.insert(0, stubs)
        try:
            yield
        finally:
            sys.path.remove(stubs)
