"""Fixtures that several tests of the benchmarks share."""

import pytest

from multilstm.errors import EngineUnavailableError


@pytest.fixture
def refused():
    """Return a function that calls a command with `--device gpu` and returns its error; skips if there is a GPU."""

    def call(run, *arguments):
        try:
            run(*arguments)
        except EngineUnavailableError as error:
            return str(error)
        return pytest.skip("there is a GPU")

    return call
