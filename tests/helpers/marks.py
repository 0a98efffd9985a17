"""Parameters and marks of engines whose framework may be missing: their tests are skipped with the reason."""

from collections.abc import Callable

import pytest

from multilstm.engines.registry import ENGINES, EngineRow


def needs(engine: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test where an engine's framework is not installed."""
    missing = ENGINES[engine].missing
    return pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} not installed")


def engine_params(condition: Callable[[EngineRow], bool] = lambda row: True) -> list:
    """Return a parameter for every engine whose row meets the condition, skipped if its framework is missing."""
    return [pytest.param(name, marks=needs(name), id=name) for name, row in ENGINES.items() if condition(row)]


def is_keras(row: EngineRow) -> bool:
    return row.name.startswith("keras-")


def is_full(row: EngineRow) -> bool:
    """Whether an engine executes every model, and trains it."""
    return not row.partial
