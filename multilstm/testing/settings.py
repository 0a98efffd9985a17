"""The options of a session of pytest, and the names of fixture and markers. It imports nothing beyond pytest."""

from __future__ import annotations

from typing import NamedTuple

import pytest

__all__ = ["DEFAULTS", "ENGINE", "SKIP", "Settings", "keep", "settings_of"]

ENGINE, SKIP, DEFAULTS = "multilstm_engine", "multilstm_skip_engine", "multilstm"


class Settings(NamedTuple):
    """The options of a session; those of the command line replace the ini keys of the same names.

    Attributes:
        engines: the names of the engines; empty: all that are installed.
        device: `cpu` or `gpu`.
        dtypes: the dtypes; empty: the default of `assert_parity`.
        report: the path of the report; empty: none.
    """

    engines: tuple[str, ...]
    device: str
    dtypes: tuple[str, ...]
    report: str


_KEY = pytest.StashKey[Settings]()


def keep(config: pytest.Config, settings: Settings) -> None:
    """Keep the options of a session for `settings_of`."""
    config.stash[_KEY] = settings


def settings_of(config: pytest.Config) -> Settings:
    """Return the options of a session."""
    return config.stash[_KEY]
