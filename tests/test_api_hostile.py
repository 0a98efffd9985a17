"""Arguments of wrong types at `run` and `parity`: each is refused by name, in one line, before anything runs."""

import numpy as np
import pytest
from hostile_values import assert_short_line, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multilstm import Adam, parity, run
from multilstm.api import comparison
from multilstm.errors import InputError, MultilstmError
from multilstm.spec import LSTM, Dense, Sequential
from multilstm.spec.arrays import State
from multilstm.weights.initializers import discriminating_weights

SPEC = Sequential([LSTM(5, name="a", return_sequences=True, dropout=0.5), Dense(2)], input_shape=(None, 3))
X, Y = np.ones((2, 4, 3), "float32"), np.ones((2, 4, 2), "float32")
WEIGHTS, STATE = discriminating_weights(SPEC), State(np.zeros((2, 5)), np.zeros((2, 5)))
MASKED = np.ma.masked_array(X, np.zeros(X.shape, bool))
RUN = {"spec": SPEC, "engine": "reference", "inputs": X}
PARITY = {
    "spec": SPEC, "inputs": X, "targets": Y, "loss": "mean_squared_error", "optimizer": Adam(),
    "engines": ["reference"], "dtypes": ["float32"],
}  # fmt: skip
BAD = {
    "number": 3,
    "text": "x",
    "bytes": b"x",
    "list": [],
    "dict": {"a": 1},
    "keys": {3: 1},
    "set": {1},
    "object": object(),
    "type": int,
    "function": len,
    "ragged": [[1.0, 2.0], [3.0]],
    "masked": MASKED,
    "list_of_masked": [MASKED[0], MASKED[1]],
    "objects": np.full(X.shape, None),
    "texts": np.full(X.shape, "a"),
    "complex": X.astype(complex),
    "80_bits": X.astype("g"),
    "nan": float("nan"),
    "fraction": 1.5,
    "negative": -1,
    "true": True,
    "huge": 10**400,
}


def calls():
    """Yield a name and a function of one value for every argument."""
    for function, good, names in (
        (run, RUN, "spec engine inputs weights states mask dtype layers device"),
        (parity, PARITY, "spec inputs targets loss optimizer weights states mask dropout engines dtypes layers device"),
        (parity, PARITY, "atol rtol any_tolerance"),
    ):
        for name in names.split():
            yield f"{function.__name__}-{name}", lambda v, f=function, g=good, n=name: f(**{**g, n: v})
    yield "run-inputs.x", lambda value: run(**{**RUN, "inputs": {"input_layer": value}})
    yield "run-mask.x", lambda value: run(**RUN, mask={"input_layer": value})
    yield "run-weights.x", lambda value: run(**RUN, weights={**WEIGHTS, "a/kernel": value})
    yield "run-states.x", lambda value: run(**RUN, states={"a": value})
    yield "run-states.hidden", lambda value: run(**RUN, states={"a": STATE._replace(hidden=value)})
    yield "parity-targets[0]", lambda value: parity(**{**PARITY, "targets": [value]})
    yield "parity-engines[0]", lambda value: parity(**{**PARITY, "engines": [value]})
    yield "parity-dtypes[0]", lambda value: parity(**{**PARITY, "dtypes": [value]})
    yield "parity-dropout.x", lambda value: parity(**PARITY, dropout={"a/inputs": value})


CALLS = dict(calls())
MAY = {"any_tolerance": {"true"}, "engines": {"list"}}  # values that may be


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch):
    """Fail if a call goes so far as to compute."""

    def fail(*_, **__):
        pytest.fail("the call was not refused")

    monkeypatch.setattr(comparison, "WorkerPool", fail)
    monkeypatch.setattr(comparison, "compare_cases", fail)


@pytest.mark.parametrize("place", CALLS)
def test_a_value_of_a_wrong_type_is_refused_in_one_line(place):
    for label, value in BAD.items():
        if label not in MAY.get(place.partition("-")[2], ()):
            with pytest.raises(MultilstmError) as raised:
                CALLS[place](value)
            assert_short_line(str(raised.value))


@pytest.mark.parametrize("value", [3, 1.5, "x", [], {}, object()], ids=lambda value: type(value).__name__)
def test_targets_of_another_type_are_refused_by_name(value):
    with pytest.raises(InputError, match=r"targets: given .*, expected a NumPy array, or a list with one for each out"):
        parity(**{**PARITY, "targets": value})


lists = st.recursive(st.floats() | st.text(max_size=1) | st.none(), lambda inner: st.lists(inner), max_leaves=8)
ARRAYS = [place for place in CALLS if place.endswith((".x", ".hidden", "[0]", "-inputs", "-mask"))]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ARRAYS), st.lists(lists))
def test_any_nested_list_of_a_wrong_shape_is_refused_in_one_line(place, value):
    _, message = outcome(CALLS[place], value)
    assert message is not None
    assert_short_line(message)
