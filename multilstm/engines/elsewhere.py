"""The facts of an engine in another environment, asked of the Python there.

The process of such an engine needs NumPy and this package alone, which is found by its path.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

from multilstm.engines.registry import EngineRow, engine_row
from multilstm.errors import EngineUnavailableError
from multilstm.frameworks.other_python import command
from multilstm.frameworks.packages import versions_for
from multilstm.frameworks.process_environment import python_path
from multilstm.frameworks.xla_flags import XlaFlag

__all__ = ["main", "row_with"]

_TIMEOUT_S = 60.0


def row_with(label: str, python: str) -> EngineRow:
    """Return the row of an engine whose process another interpreter executes.

    Args:
        label: the engine's name, or its name with a label of the row: `keras-jax@old`.
        python: the path of the interpreter.

    Returns:
        The engine's row with the environment and the versions that the interpreter finds.

    Raises:
        UsageError: for an unknown engine.
        EngineUnavailableError: for an interpreter that does not start, or that lacks NumPy or a module of the engine.
    """
    row = engine_row(label)
    answer = _ask(label, python, row)
    if answer["missing"]:
        raise EngineUnavailableError(
            f"--python {label}={python}: this environment lacks {', '.join(answer['missing'])}, which engine {label!r} "
            f"needs; install it there"
        )
    return dataclasses.replace(
        row, settings=answer["environment"], flags=(), python=os.path.abspath(python), versions=answer["versions"]
    )


def main(text: str) -> None:
    """Print the missing modules, the environment variables and the versions of an engine; called in its interpreter.

    Args:
        text: the fields `needs`, `settings` and `flags` of the engine's row as JSON.
    """
    question = json.loads(text)
    flags = tuple(XlaFlag(**{**flag, "jaxlibs": tuple(flag["jaxlibs"])}) for flag in question["flags"])
    needs = tuple(question["needs"])
    row = EngineRow("", "", tuple(dict.fromkeys(("numpy", *needs))), None, question["settings"], flags)
    answer = {"missing": row.missing, "environment": row.environment, "versions": versions_for(needs)}
    sys.stdout.write(json.dumps(answer))


def _ask(label: str, python: str, row: EngineRow) -> dict[str, Any]:
    flags = [dataclasses.asdict(flag) for flag in row.flags]
    question = json.dumps({"needs": row.needs, "settings": dict(row.settings), "flags": flags})
    try:
        done = subprocess.run(
            command(os.path.abspath(python), __name__, question),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONPATH": python_path(None, os.environ.get("PYTHONPATH", ""))},
            timeout=_TIMEOUT_S,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"no answer after {_TIMEOUT_S:g} s"
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError:
        reason = "it is no Python"
    else:
        return answer
    raise EngineUnavailableError(
        f"--python {label}={python}: {reason}; give the path of a Python 3.11 or newer that has NumPy and the "
        f"framework of the engine"
    )
