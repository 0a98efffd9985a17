"""What every contestant that jits a function does with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from multilstm.bench.contestants.base import Run
from multilstm.frameworks import jax as jax_platform
from multilstm.spec.arrays import Array


def jitted_run(jitted: Any, arguments: tuple[Any, ...], arrays: Callable[[Any], dict[str, Array]]) -> Run:
    """The call of a jitted function, waited for, and what its compiled program holds."""
    return Run(
        lambda: jax.block_until_ready(jitted(*arguments)),
        arrays,
        lambda: jax_platform.implementation(jitted.lower(*arguments).compile()),
    )
