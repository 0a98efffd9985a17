"""Keras's mixed policies on every engine: computed in half precision, kept in float32, inside the rows for it."""

import jax.numpy as jnp
import numpy as np
import pytest

from multilstm import LSTM, Dense, Sequential, parity, run
from multilstm.cases.recipes import Sequences
from multilstm.engines.registry import ENGINES
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.scan import model
from multilstm.spec import Bidirectional, Embedding, Masking
from multilstm.weights.initializers import discriminating_weights

pytestmark = pytest.mark.usefixtures("kept_workers")

EPS = {"mixed_bfloat16": 2**-7, "mixed_float16": 2**-10}
JUDGED = [name for name, row in ENGINES.items() if name != "reference" and not row.partial]
BATCH, TIMESTEPS = 5, 9
RNG = np.random.default_rng(3)
X = RNG.normal(size=(BATCH, TIMESTEPS, 3)).astype("float32")
MASK = np.arange(TIMESTEPS) < np.array([9, 1, 4, 8, 6])[:, None]
TARGETS = {
    name: RNG.dirichlet(np.ones(2), shape).astype("float32")
    for name, shape in {"masked": BATCH, "stateful": (BATCH, TIMESTEPS), "embedded": BATCH}.items()
}
SPECS = {
    "masked": Sequential(
        [Masking(0.0), Bidirectional(LSTM(4, return_sequences=True)), LSTM(5), Dense(2, activation="softmax")],
        input_shape=(None, 3),
    ),
    "stateful": Sequential(
        [LSTM(6, return_sequences=True, stateful=True), Dense(2, activation="softmax")],
        input_shape=(TIMESTEPS, 3),
        batch_size=BATCH,
    ),
    "embedded": Sequential(
        [Embedding(7, 3, mask_zero=True), LSTM(4), Dense(2, activation="softmax")], input_shape=(None,),
        input_dtype="int32",
    ),
}  # fmt: skip
INPUTS = {
    "masked": np.where(MASK[..., None], X, 0),
    "stateful": X,
    "embedded": RNG.integers(0, 7, (BATCH, TIMESTEPS)) * MASK,
}


@pytest.fixture(scope="module")
def judged():
    kept = {}

    def of(name):
        if name not in kept:
            kept[name] = parity(
                SPECS[name], INPUTS[name], targets=TARGETS[name], loss="categorical_crossentropy", dtypes=tuple(MIXED)
            )
        return kept[name]

    return of


@pytest.mark.parametrize("quantity", ["output", "hidden", "cell", "gradient"])
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("dtype", MIXED)
@pytest.mark.parametrize("engine", JUDGED)
def test_the_error_is_that_of_half_precision(judged, engine, dtype, name, quantity):
    if ENGINES[engine].missing:
        pytest.skip(f"{', '.join(ENGINES[engine].missing)} is not installed")
    found = [
        cell for cell in judged(name).cells if (cell.engine, cell.dtype) == (engine, dtype) and cell.kind == quantity
    ]
    assert found
    for cell in found:
        assert cell.verdict in ("within", "bitwise"), cell.comparison.message
    assert max(cell.comparison.max_abs for cell in found) > EPS[dtype] / 100  # float32 would be 1000 times nearer


@pytest.mark.parametrize("dtype", MIXED)
def test_the_partial_engine_refuses_it(judged, dtype):
    found = [cell for cell in judged("stateful").cells if (cell.engine, cell.dtype) == ("torch-lstm", dtype)]
    assert {cell.verdict for cell in found} == {"unsupported"}
    assert f"torch-lstm: {dtype} is Keras's policy" in found[0].comparison.message


@pytest.mark.parametrize("dtype", MIXED)
def test_everything_comes_out_in_float32(dtype):
    assert stored(dtype) == "float32"
    result = run(SPECS["stateful"], "jax-scan", X, dtype=dtype)
    assert result.outputs[0].dtype == result.states["lstm"].cell.dtype == np.float32
    in_half = result.outputs[0].astype(jnp.dtype(MIXED[dtype]))
    np.testing.assert_array_equal(in_half.astype("float32"), result.outputs[0])


@pytest.mark.parametrize("dtype", MIXED.values())
def test_a_scan_model_keeps_float32_weights(dtype):
    spec = SPECS["stateful"]
    weights = {name: np.float32(array) for name, array in discriminating_weights(spec).items()}
    batch = next(Sequences(BATCH, TIMESTEPS, 3, BATCH, targets=((TIMESTEPS, 2),), seed=1).batches())
    inputs = dict(zip(spec.inputs, batch.inputs.values(), strict=True))
    loss, evaluation, gradients = model(spec, dtype=dtype).gradient(
        weights, inputs, batch.targets, loss="categorical_crossentropy"
    )
    assert evaluation.outputs[0].dtype == evaluation.states["lstm"].hidden.dtype == dtype
    assert loss.dtype == "float32"
    assert {array.dtype.name for array in gradients.values()} == {"float32"}
