"""Options refuse a time limit for which no system waits."""

import math

import pytest

from multilstm.errors import UsageError
from multilstm.execution.options import LONGEST_TIMEOUT_S, Options


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, 1.1e7, 1e10, math.inf, math.nan])
def test_a_time_limit_out_of_range_is_refused(timeout_s):
    with pytest.raises(UsageError, match=r"above 0 and at most 1e\+07, given"):
        Options(("reference",), timeout_s=timeout_s)


@pytest.mark.parametrize("timeout_s", [0.1, LONGEST_TIMEOUT_S])
def test_a_time_limit_in_range_is_kept(timeout_s):
    assert Options(("reference",), timeout_s=timeout_s).timeout_s == timeout_s
