"""JAX's strict modes around this package: they check a user's code, and not the functions of `multilstm.scan`.

`numpy_rank_promotion="raise"` and `numpy_dtype_promotion="strict"` find a broadcast or a promotion that was not meant.
Those of this package are meant: its arguments are checked, and nothing of a user's is broadcast.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax

__all__ = ["usual_promotion"]


@contextlib.contextmanager
def usual_promotion() -> Iterator[None]:
    """Broadcast and promote as JAX does by default, inside of the `with` block or the decorated function."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
