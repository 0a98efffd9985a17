"""Questions to Keras about built-in layers that the spec does not describe, in a process of its own.

The process starts at the first question. This process imports no framework.
"""

from __future__ import annotations

import json
import os
import pathlib
import selectors
import subprocess
import sys
from types import TracebackType
from typing import IO, Any

from multilstm.errors import SpecError
from multilstm.frameworks.process_environment import for_process, python_path
from multilstm.frameworks.targets import not_installed
from multilstm.spec.keras_json.opaque import Question
from multilstm.spec.layers.opaque import Facts

__all__ = ["KerasFacts"]

_ROOT = pathlib.Path(__file__).parents[2]
COMMAND = (sys.executable, "-P", "-m", "multilstm.frameworks.keras_facts")
BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}  # the quickest import first
LIMIT_S = 120.0  # on the clock, for one answer, the start included


class KerasFacts:
    """A process of Keras that answers questions; a context manager that ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> KerasFacts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def ask(self, question: Question) -> Facts:
        """Return Keras's answer.

        Raises:
            SpecError: if Keras is missing, refuses the layer, or does not answer within limits of time and memory.
        """
        process = self._started(question.keras_class)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{json.dumps(question._asdict())}\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._ended(question.keras_class) from None
        line = _line(process.stdout)
        if not line:
            raise self._ended(question.keras_class)
        answer = json.loads(line)
        if "error" in answer:
            raise SpecError("".join(char for char in str(answer["error"]) if char.isprintable()))
        return Facts.read(answer, f"Keras's answer about {question.keras_class}")

    def _started(self, keras_class: str) -> subprocess.Popen[str]:
        if self._process is None:
            backend = next((name for name, module in BACKENDS.items() if not not_installed((module,))), None)
            if not_installed(("keras",)) or backend is None:
                raise SpecError(
                    f"{keras_class} is a layer that only Keras can compute, and Keras with a backend is not installed "
                    f"here; install it with: pip install 'multilstm[jax]'"
                )
            # The keras.json of the user must not change an answer, and none is written.
            settings = {"KERAS_BACKEND": backend, "KERAS_HOME": os.devnull, "TF_CPP_MIN_LOG_LEVEL": "3"}
            environment = for_process("cpu", settings, os.environ)
            environment["PYTHONPATH"] = python_path(_ROOT, os.environ.get("PYTHONPATH", ""))
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                text=True,
            )
        return self._process

    def _ended(self, keras_class: str) -> SpecError:
        return SpecError(
            f"Keras gave no shapes for {keras_class} within {LIMIT_S:.0f} seconds and the memory that a layer may "
            f"need; make it smaller"
        )


def _line(stream: IO[Any]) -> str:
    """Return the next line of a process; empty at its end, or after the time limit."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return str(stream.readline()) if selector.select(LIMIT_S) else ""
