"""XLA's flags: two lists merge by the names of flags, and a flag is set only where jaxlib accepts it."""

import importlib.metadata

import pytest

from multilstm.frameworks import xla_flags
from multilstm.frameworks.xla_flags import EXACT_SUMS, WIDE_VECTORS, XlaFlag


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        ("", "--a=1", "--a=1"),
        ("--a=1", "", "--a=1"),
        ("--a=1", "--b=2", "--a=1 --b=2"),
        ("--a=1", "--a=2 --b=2", "--a=1 --b=2"),
        ("--a_longer=1", "--a=2", "--a_longer=1 --a=2"),
        ("--b=--a", "--a=2", "--b=--a --a=2"),
        ("--a", "--a=2", "--a"),
    ],
    ids=["first_empty", "second_empty", "two_names", "same_name", "name_is_a_prefix", "name_is_a_value", "no_value"],
)
def test_flags_merge_by_their_names(first, second, merged):
    assert xla_flags.merge(first, second) == merged


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.8.3", {}),
        ("0.9.0", {"XLA_FLAGS": str(WIDE_VECTORS)}),
        ("0.9.1", {"XLA_FLAGS": f"{EXACT_SUMS} {WIDE_VECTORS}"}),
        ("0.11.0", {}),
        (None, {}),
    ],
)
def test_a_flag_is_set_only_where_jaxlib_accepts_it(monkeypatch, version, expected):
    def installed(package):
        if version is None:
            raise importlib.metadata.PackageNotFoundError(package)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)
    assert xla_flags.variables(EXACT_SUMS, WIDE_VECTORS) == expected


def test_a_flag_is_written_as_xla_reads_it():
    assert str(XlaFlag("xla_one", "2")) == "--xla_one=2"
