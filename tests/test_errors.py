"""The helpers of error messages: values and lists of any size become one short line."""

import numpy as np
import pytest

from multilstm.errors import VALUE_LIMIT, choice, listed, shown
from multilstm.jobs.dtypes import DTYPES


class Broken:
    def __repr__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000, list(range(10_000)), {n: [n] * 99 for n in range(99)}, 10**5000, np.zeros((99, 99)), b"x" * 999,
     [[["y" * 99] * 99] * 99] * 99, Broken(), "a\nb", {"a": {"b": {"c": {"d": "e" * 500}}}}],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_is_one_short_line(value):
    text = shown(value)
    assert len(text) <= VALUE_LIMIT
    assert "\n" not in text


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "name", (1, 2), ["a"], {"a": 1}, 10**30], ids=repr)
def test_a_small_value_is_its_repr(value):
    assert shown(value) == repr(value)


def test_long_lists_of_names_end_with_a_count():
    assert listed(["a", 2, None]) == "a, 2, None"
    assert listed([]) == ""
    assert listed(range(40)).endswith("38, 39")
    assert listed(range(1_041)).endswith("38, 39, and 1,001 more")


@pytest.mark.parametrize("name", ["a\n::error::b", "\x1b[31m", "\u202e", "a\rb"], ids=ascii)
def test_a_name_in_a_list_stays_on_its_line(name):
    assert listed(["a", name]) == f"a, {name!r}"


def test_a_choice_names_the_given_and_the_known_names():
    assert choice("engine", "jaxx", ("jax-scan", "reference")) == (
        "unknown engine 'jaxx': expected one of jax-scan, reference"
    )
    assert choice("engine", "pytorch", ("jax-scan", "torch-lstm", "keras-torch")).endswith(
        "keras-torch; did you mean torch-lstm or keras-torch?"
    )
    assert choice("case", "a\x1b[31", ["a\x1b[31m"]).endswith(r"did you mean 'a\x1b[31m'?")
    assert len(choice("case", "x" * 10_000, map(str, range(10_000)))) < 500


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("fp32", "float32"), ("float", "float32 or float64"), ("FP64", "float64"), ("double", "float64"),
        ("bf16", "mixed_bfloat16"), ("fp16", "mixed_float16"), ("float16", "mixed_float16"),
        ("tf", "tf32"), ("mixed_fp16", "mixed_float16 or mixed_bfloat16"),
    ],
)  # fmt: skip
def test_a_dtype_is_suggested_by_its_other_names(given, meant):
    assert choice("dtype", given, DTYPES).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("jax", "jax-scan or keras-jax"), ("Torch", "torch-lstm or keras-torch"), ("jax-scn", "jax-scan")],
)
def test_names_that_contain_the_text_are_suggested_first(given, meant):
    assert choice("engine", given, ("flax", "keras-jax", "jax-scan", "keras-torch", "torch-lstm")).endswith(
        f"; did you mean {meant}?"
    )
    assert "did you mean" not in choice("engine", "x", ("flax", "keras-jax"))
