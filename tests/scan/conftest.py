"""One small LSTM with random weights, inputs, states and masks, all float64, for the tests of multilstm.scan."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from multilstm import spec
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.scan import LSTMParams, State, lstm

jax.config.update("jax_enable_x64", True)

# Not 5 units: XLA on CPUs with AVX-512 (jaxlib 0.8.3 to 0.10.2 at least) then miscomputes float64 gradients of a
# vmapped plain scan with a batch of 4; they are right with --xla_cpu_max_isa=AVX2.
BATCH, TIMESTEPS, FEATURES, UNITS = 4, 7, 3, 6

MASKS = {
    "none": None,
    "all_true": np.ones((BATCH, TIMESTEPS), bool),
    "right": np.arange(TIMESTEPS) < np.array([[7], [4], [1], [6]]),
    "left": np.arange(TIMESTEPS) >= np.array([[0], [3], [6], [1]]),
    "holes": np.array(
        [[1, 0, 1, 1, 0, 0, 1], [0, 1, 0, 1, 0, 1, 0], [1, 1, 0, 0, 0, 0, 1], [0, 0, 1, 1, 1, 0, 0]], bool
    ),
    "one_empty_sequence": np.array([[1] * 7, [0] * 7, [1] * 5 + [0] * 2, [0] * 2 + [1] * 5], bool),
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Random arrays that fit one another."""

    params: LSTMParams
    x: np.ndarray
    state: State
    sequence_weights: np.ndarray
    state_weights: State

    def objective(self, run):
        """Return a scalar that depends on every output of `run(params, x, state)`, differently on each."""

        def value(params, x, state):
            sequence, last = run(params, x, state)
            return (
                (sequence * self.sequence_weights).sum()
                + (last.hidden**2 * self.state_weights.hidden).sum()
                + (last.cell * self.state_weights.cell).sum()
            )

        return value

    def everything(self, given=None, run=lstm, **options):
        """Return outputs, last state, and gradients by params, x and state of `run`; compile once for each option.

        `given` holds arrays by argument; `options` are everything else.
        """
        cotangents = (self.sequence_weights, self.state_weights)
        return _everything(run, tuple(options.items()), self.params, self.x, self.state, given or {}, cotangents)

    def reference(self, mask=None, **options):
        """Return the results of `everything` from the NumPy reference."""
        layer = spec.LSTM(UNITS, return_sequences=True, use_bias=self.params.bias is not None, **options)
        weights = {name: array for name, array in self.params._asdict().items() if array is not None}
        record = reference_lstm.forward(layer, self.x, mask, weights, self.state, {})
        found = reference_lstm.backward(layer, record, weights, self.sequence_weights, self.state_weights)
        return (record.sequence, record.state), (LSTMParams(**found.weights), found.inputs, found.start)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _everything(run, options, params, x, state, given, cotangents):
    found, pull = jax.vjp(lambda *arguments: run(*arguments, **given, **dict(options)), params, x, state)
    return found, pull(cotangents)


def make_problem(use_bias=True, batch=BATCH, timesteps=TIMESTEPS, scale=0.6, seed=0):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(0.0, scale, shape)

    params = LSTMParams(draw(FEATURES, 4 * UNITS), draw(UNITS, 4 * UNITS), draw(4 * UNITS) if use_bias else None)
    state = State(draw(batch, UNITS), draw(batch, UNITS))
    return Problem(
        params,
        draw(batch, timesteps, FEATURES),
        state,
        draw(batch, timesteps, UNITS),
        State(draw(batch, UNITS), draw(batch, UNITS)),
    )


@pytest.fixture
def problem():
    return make_problem()


@pytest.fixture(name="make_problem")
def _make_problem():
    return make_problem


@pytest.fixture(params=MASKS.values(), ids=[f"mask_{name}" for name in MASKS])
def mask(request):
    return request.param


@pytest.fixture
def holes():
    return MASKS["holes"]


def relative_distance(actual, desired):
    """Return the largest max|actual - desired| / max|desired| over the leaves of two trees of equal structure."""
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    leaves = list(zip(jax.tree.leaves(actual), jax.tree.leaves(desired), strict=True))
    assert leaves
    largest = 0.0
    for left, right in leaves:
        left, right = np.asarray(left), np.asarray(right)
        assert left.shape == right.shape
        assert left.dtype == right.dtype == np.float64
        assert np.isfinite(left).all()
        assert np.isfinite(right).all()
        if right.size:
            largest = max(largest, np.abs(left - right).max() / max(np.abs(right).max(), 1e-300))
    return largest


@pytest.fixture
def distance():
    return relative_distance
