"""What the tests of the benchmarks share."""

import pytest

from multilstm.errors import EngineUnavailableError


@pytest.fixture
def refused():
    """Calls a command with `--device gpu`: the words in which it is refused. Skips where there is a GPU."""

    def call(run, *arguments):
        try:
            run(*arguments)
        except EngineUnavailableError as error:
            return str(error)
        return pytest.skip("there is a GPU")

    return call
