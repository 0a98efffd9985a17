"""The run of a jitted function, for all contestants on JAX."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from multilstm.bench.contestants.base import Run
from multilstm.frameworks import jax as jax_platform
from multilstm.spec.arrays import Array

__all__ = ["Compiled", "jax_product", "jitted_run"]


class Compiled:
    """A jitted function that is traced and compiled before its first call.

    Args:
        jitted: the function under `jax.jit`.
        arguments: arguments of the shapes with which it will be called.
    """

    def __init__(self, jitted: Any, arguments: tuple[Any, ...]) -> None:
        self._jitted, self._arguments = jitted, arguments
        self._compiled: Any = None

    def compile(self) -> dict[str, float]:
        """Trace and compile; return the seconds of both."""
        begin = time.perf_counter()
        lowered = self._jitted.lower(*self._arguments)
        traced = time.perf_counter()
        self._compiled = lowered.compile()
        return {"trace_s": traced - begin, "compile_s": time.perf_counter() - traced}

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function, and wait for its values."""
        return jax.block_until_ready(self._compiled(*arguments))

    def implementation(self) -> str:
        """Return the kernel in the compiled program."""
        return jax_platform.implementation(self._compiled)

    def text(self) -> str:
        """Return the compiled program as text."""
        return self._compiled.as_text() or ""

    def program_bytes(self) -> int | None:
        """Return the memory of the program besides its arguments and results."""
        analysis = self._compiled.memory_analysis()
        return None if analysis is None else int(analysis.temp_size_in_bytes)


def jitted_run(jitted: Any, arguments: tuple[Any, ...], answers: Callable[[Any], dict[str, Array]]) -> Run:
    """Return a run that calls the jitted function with the same arguments every time."""
    compiled = Compiled(jitted, arguments)
    return Run(
        lambda: compiled(*arguments),
        answers,
        compiled.implementation,
        compile=compiled.compile,
        program_bytes=compiled.program_bytes,
    )


def jax_product(left: Array, right: Array) -> Callable[[], Any]:
    """Return a function that multiplies two matrices under `jax.jit`."""
    product, arguments = jax.jit(jnp.matmul), jax.device_put((left, right))
    return lambda: jax.block_until_ready(product(*arguments))
