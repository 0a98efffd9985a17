"""The run of a jitted function, for all contestants on JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from multilstm.bench.contestants.base import Run
from multilstm.frameworks import jax as jax_platform
from multilstm.spec.arrays import Array


def jitted_run(jitted: Any, arguments: tuple[Any, ...], arrays: Callable[[Any], dict[str, Array]]) -> Run:
    """Return a run that calls the jitted function and waits for its values."""
    return Run(
        lambda: jax.block_until_ready(jitted(*arguments)),
        arrays,
        lambda: jax_platform.implementation(jitted.lower(*arguments).compile()),
    )
