"""Units added to an LSTM, so that its gates fill the vectors of a CPU.

A CPU computes 8 or 16 units at once, and the rest of a row one by one. There a transcendental function takes 2.4 ns in
place of 0.45. With zeros for weights and states, the added units change no other unit, no output and no gradient.
`WIDTHS` of `plan.py` decides where they pay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from multilstm.scan.dropout import Dropout
from multilstm.scan.loops.problem import LoopOptions, Problem
from multilstm.spec.arrays import State

Loop: TypeAlias = Callable[[LoopOptions, Problem], tuple[jax.Array, State]]


def with_full_vectors(options: LoopOptions, loop: Loop, problem: Problem) -> tuple[jax.Array, State]:
    """Run the loop with the units of the plan, and return the results of the LSTM's own units.

    Args:
        options: with the plan, whose forward pass and gradient may have other widths.
        loop: as `run` in `recurrence.py`.
        problem: the arrays, with an initial state.
    """
    forward, gradient = options.plan.forward.width, options.plan.gradient.width
    if forward == gradient or not options.custom_gradient:
        return _run(options, loop, gradient, problem)

    by_mode = jax.custom_vjp(lambda problem: _run(options, loop, forward, problem))
    by_mode.defvjp(
        lambda problem: jax.vjp(lambda problem: _run(options, loop, gradient, problem), problem),
        lambda pull, cotangents: pull(cotangents),
    )
    return by_mode(problem)  # type: ignore[no-any-return]


def _run(options: LoopOptions, loop: Loop, width: int, problem: Problem) -> tuple[jax.Array, State]:
    units = problem.params.recurrent_kernel.shape[0]
    if width <= units:
        return loop(options, problem)
    sequence, state = loop(options.counting(units), _filled(problem, units, width))
    return jax.tree.map(lambda array: array[..., :units], (sequence, state))  # type: ignore[no-any-return]


def _filled(problem: Problem, units: int, width: int) -> Problem:
    """Return the problem with `width` units in place of `units`."""

    def last(array: Any) -> Any:
        return jnp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, width - units)])

    def gates(array: Any) -> Any:
        return last(array.reshape(*array.shape[:-1], 4, units)).reshape(*array.shape[:-1], 4 * width)

    params, dropout, state = problem.params, problem.dropout, problem.state
    assert state is not None
    return problem._replace(
        params=params._replace(
            kernel=gates(params.kernel),
            recurrent_kernel=jnp.pad(gates(params.recurrent_kernel), [(0, width - units), (0, 0)]),
            bias=None if params.bias is None else gates(params.bias),
        ),
        state=State(last(state.hidden), last(state.cell)),
        dropout=Dropout(dropout.inputs, None if dropout.hidden is None else last(dropout.hidden)),
    )
