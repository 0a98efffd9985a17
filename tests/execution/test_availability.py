"""The names of engines that a run accepts."""

import pytest

from multilstm.errors import UsageError
from multilstm.execution.availability import available


@pytest.mark.parametrize("engines", [(), []], ids=["tuple", "list"])
def test_no_engine_is_refused(engines):
    """A list that a caller filtered until nothing is left means no engine, and not all of them."""
    with pytest.raises(UsageError, match=r"no engine is given; expected some of .*jax-scan.*, or None for all"):
        available(engines)


def test_none_means_all_but_the_judge():
    assert "reference" not in available(None).engines
