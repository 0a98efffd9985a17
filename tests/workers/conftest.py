"""Engines that fail on purpose, registered for one test."""

import os
import pathlib

import pytest

from multilstm.engines import registry
from multilstm.engines.registry import EngineRow

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def engine(monkeypatch):
    """Register an engine of engines.py under the name `test`."""
    path = os.pathsep.join(filter(None, (str(HERE), str(HERE.parent / "helpers"), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)

    def register(name: str) -> str:
        monkeypatch.setitem(registry.ENGINES, "test", EngineRow("test", f"engines:{name}", (), None, {}))
        return "test"

    return register
