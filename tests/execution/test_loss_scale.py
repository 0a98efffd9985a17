"""A loss that is scaled before it is differentiated: float16 keeps its gradients, and no other number changes."""

import dataclasses

import numpy as np
import pytest

from multilstm import L2, LSTM, Adam, Dense, Embedding, Sequential, parity
from multilstm.engines.registry import ENGINES
from multilstm.execution import execution
from multilstm.jobs.job import Batch, Job, Step
from multilstm.weights.initializers import discriminating_weights

pytestmark = pytest.mark.usefixtures("kept_workers")

DIFFERENTIATING = [
    pytest.param(name, marks=pytest.mark.skipif(bool(row.missing), reason=f"{', '.join(row.missing)} is not installed"))
    for name, row in ENGINES.items()
    if name != "reference" and not row.partial
]
RNG = np.random.default_rng(5)


def batch(*shapes):
    return Batch({"input_layer": np.zeros((shapes[0][0], 2))}, tuple(np.zeros(shape) for shape in shapes))


@pytest.mark.parametrize(
    ("shapes", "scale"),
    [
        pytest.param([(1, 5)], 1.0, id="one"),
        pytest.param([(3, 2)], 2.0, id="sequences"),
        pytest.param([(3, 7, 2)], 16.0, id="timesteps"),
        pytest.param([(4, 8, 3)], 32.0, id="a_power_of_two"),
        pytest.param([(4, 2), (4, 9, 2)], 32.0, id="the_largest_output"),
        pytest.param([(1000, 90, 5)], 65536.0, id="seed5"),
        pytest.param([(2, 0, 3)], 1.0, id="no_timestep"),
    ],
)
def test_scale_is_the_power_of_two_below_the_number_of_terms(shapes, scale):
    assert execution.loss_scale(batch(*shapes)) == scale


@pytest.mark.parametrize("kind", ["gradient", "update", "evaluate"])
@pytest.mark.parametrize("engine", DIFFERENTIATING)
def test_nothing_that_comes_out_is_scaled(pool, engine, kind):
    spec = Sequential(
        [Embedding(5, 3), LSTM(4, kernel_regularizer=L2(0.1)), Dense(2, activation="softmax")],
        input_shape=(6,),
        input_dtype="int32",
    )
    data = Batch({"input_layer": RNG.integers(0, 5, (3, 6))}, (RNG.dirichlet(np.ones(2), 3),))
    step = Step(kind, data, keep=("outputs", "gradients", "weights", "slots"))
    job = Job(spec, discriminating_weights(spec), (step,), "float64", loss="categorical_crossentropy")
    job = dataclasses.replace(job, optimizer=Adam(0.1))
    once, scaled = (pool.execute(engine, dataclasses.replace(job, loss_scale=scale)).answers[0] for scale in (1, 2**15))
    assert scaled.loss == once.loss
    assert set(once.gradients) == (set(spec.weight_shapes) if kind == "gradient" else set())
    for name in ("gradients", "weights", "slots"):
        for key, array in getattr(once, name).items():
            np.testing.assert_array_equal(getattr(scaled, name)[key], array, err_msg=key)


@pytest.mark.parametrize("engine", DIFFERENTIATING)
def test_float16_keeps_the_gradients_of_a_mean_over_many_timesteps(monkeypatch, engine):
    spec = Sequential([LSTM(3, return_sequences=True), Dense(2, activation="softmax")], input_shape=(20, 2))
    inputs = np.random.default_rng(5).normal(size=(4000, 20, 2))
    targets = np.random.default_rng(6).dirichlet(np.ones(2), (4000, 20))

    def used():
        """Return the largest share of its row that a gradient uses."""
        report = parity(
            spec,
            inputs,
            targets=targets,
            loss="categorical_crossentropy",
            engines=(engine,),
            dtypes=("mixed_float16",),
        )
        return max(cell.comparison.share for cell in report.cells if "gradient" in cell.kind)

    scaled = used()
    monkeypatch.setattr(execution, "loss_scale", lambda _: 1.0)
    assert scaled < 0.2
    assert used() > 2 * 0.2
