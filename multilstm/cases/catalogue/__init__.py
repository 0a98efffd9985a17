"""The catalogue: every case by its name.

The first word of a name is its family. `FAMILIES` describes each family.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from multilstm.cases.case import Case
from multilstm.cases.catalogue.dropout import dropout
from multilstm.cases.catalogue.gpu import gpu
from multilstm.cases.catalogue.issues import issues
from multilstm.cases.catalogue.layers import layers
from multilstm.cases.catalogue.models import models
from multilstm.cases.catalogue.optimizers import optimizers
from multilstm.cases.catalogue.options import options
from multilstm.cases.catalogue.peers import peers
from multilstm.cases.catalogue.recurrent import recurrent
from multilstm.cases.catalogue.seeds import seeds
from multilstm.cases.catalogue.selection import matching
from multilstm.cases.catalogue.sweep import sweep
from multilstm.cases.families import FAMILIES, SEEDS, family_of

__all__ = ["FAMILIES", "SEEDS", "catalogue", "family_of", "select"]


@functools.cache
def catalogue(full: bool = False) -> Mapping[str, Case]:
    """Return all cases by name, in order.

    Args:
        full: whether programs are full and every case has gradients and a training. Otherwise programs are shortened,
            and some small cases have a forward pass alone. The remaining ones hold every pair of options, and every
            option that acts in training alone; their gradients and training are in float64.
    """
    of_peers = (peer.case for peer in peers())
    cases: dict[str, Case] = {}
    of_options = (
        *options(full),
        *sweep(full),
        *models(full),
        *layers(full),
        *recurrent(full),
        *dropout(),
        *issues(full),
    )
    for case in (*seeds(full), *of_options, *gpu(full), *optimizers(full), *of_peers):
        if case.name in cases:
            raise AssertionError(f"two cases have the name {case.name!r}")
        cases[case.name] = case
    return cases


def select(patterns: tuple[str, ...], full: bool = False) -> tuple[Case, ...]:
    """Return the cases whose names match one of the patterns, in the catalogue's order.

    Args:
        patterns: names, or globs such as `seed1*`. Without any: the seed programs, or all cases if `full`.
        full: see `catalogue`.

    Raises:
        UsageError: for a pattern that matches no case.
    """
    if not patterns and not full:
        return seeds()
    cases = catalogue(full)
    return tuple(cases[name] for name in matching("case", patterns, cases.keys(), _shown(cases)))


def _shown(cases: Mapping[str, Case]) -> list[str]:
    """Return the names of the seed programs, and a glob for each other family."""
    return list(dict.fromkeys(name if case.family in SEEDS else f"{case.family}-*" for name, case in cases.items()))
