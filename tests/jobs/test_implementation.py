"""An implementation is a kernel and a detail, and crosses the process border as both."""

import pytest

from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Result
from multilstm.jobs.wire import result_from_tree, result_to_tree


@pytest.mark.parametrize(
    ("implementation", "text"),
    [
        (Implementation("cuDNN", "lstm: one chunk; lstm_1: two"), "cuDNN; lstm: one chunk; lstm_1: two"),
        (Implementation("a; kernel"), "a; kernel"),
        (Implementation(), ""),
    ],
    ids=["both", "kernel_only", "nothing_ran"],
)
def test_an_implementation_as_text_and_across_the_border(implementation, text):
    assert str(implementation) == text
    result = Result((), {}, {}, {}, {}, implementation, 0.0)
    assert result_from_tree(result_to_tree(result)).implementation == implementation
