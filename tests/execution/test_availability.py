"""The names of engines that a run accepts."""

import pytest

from multilstm.errors import UsageError
from multilstm.execution.availability import available
from multilstm.execution.options import Options


@pytest.mark.parametrize("engines", [(), []], ids=["tuple", "list"])
def test_no_engine_is_refused(engines):
    """A list that a caller filtered until nothing is left means no engine, and not all of them."""
    with pytest.raises(UsageError, match=r"no engine is given; expected some of .*jax-scan.*, or None for all"):
        available(engines)


def test_text_is_one_name():
    assert available("reference").engines == ("reference",)
    assert Options("reference", "float64", quantities="hidden").quantities == ("hidden",)
    with pytest.raises(UsageError, match=r"unknown engine 'jax'.*did you mean jax-scan or keras-jax"):
        available("jax")


def test_none_means_all_but_the_judge():
    assert "reference" not in available(None).engines


def test_engines_are_left_out_without_naming_the_others():
    found = available(None, without=("keras-torch", "jax-scan"))
    assert not {"keras-torch", "jax-scan"} & set(found.engines)
    assert found.skipped["keras-torch"] == "left out"
    assert not found.named


@pytest.mark.parametrize(
    ("engines", "without", "message"),
    [(("jax-scan",), ("keras-torch",), "give one of them"), (None, ("keras",), "unknown engine 'keras'")],
    ids=["both", "unknown"],
)
def test_engines_that_cannot_be_left_out_are_refused(engines, without, message):
    with pytest.raises(UsageError, match=message):
        available(engines, without=without)
