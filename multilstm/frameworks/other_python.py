"""The command with which the Python of another environment executes a module of this package."""

from __future__ import annotations

import pathlib

__all__ = ["command"]

_PACKAGE = pathlib.Path(__file__).parents[1] / "__init__.py"
# The folder of this package may be a site-packages: on PYTHONPATH its other packages would hide those of the other
# environment. So this package alone is imported, by its file.
_PROGRAM = """
import importlib, importlib.util, sys
path, module, *arguments = sys.argv[1:]
spec = importlib.util.spec_from_file_location("multilstm", path)
sys.modules["multilstm"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
importlib.import_module(module).main(*arguments)
"""


def command(python: str, module: str, *arguments: str) -> list[str]:
    """Return the command that calls `main` of a module of this package.

    Args:
        python: the path of the interpreter.
        module: the module's full name.
        arguments: the arguments of `main`.
    """
    return [python, "-P", "-c", _PROGRAM, str(_PACKAGE), module, *arguments]
