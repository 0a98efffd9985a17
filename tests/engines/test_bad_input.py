"""Every engine refuses, with one message, each batch that plain Keras refuses on any backend or wrongly accepts."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from multilstm.engines.registry import ENGINES
from multilstm.errors import InputError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.weights.initializers import discriminating_weights

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bad_input import BAD, SPECS, one, ones

BACKENDS = ("tensorflow", "jax", "torch")
# Bad batches that plain Keras accepts, by backend; it refuses all others. If Keras comes to refuse one, remove its row.
TAKEN = {
    "one_axis_more": BACKENDS,  # a last axis of one is dropped
    "state_of_one_sequence": ("tensorflow", "torch"),  # and used for every sequence
    "mask_one_timestep_more": ("torch",),  # and cut
    "mask_of_one_sequence": BACKENDS,  # and used for every sequence
    "token_beyond_the_vocabulary": ("jax",),  # and gives NaN
    "token_below_zero": BACKENDS,  # and counted from the end
    "inputs_of_different_batches": BACKENDS,
}


def engine_param(name):
    missing = ENGINES[name].missing
    skip = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")
    return pytest.param(name, marks=skip)


each_engine = pytest.mark.parametrize("engine", [engine_param(name) for name in ENGINES])


def job(spec, batch, kind="forward", **more):
    return Job(spec, more.pop("weights", None) or discriminating_weights(spec), (Step(kind, batch),), **more)


@each_engine
@pytest.mark.parametrize("name", BAD)
def test_refused(pool, engine, name):
    key, batch, words = BAD[name]
    with pytest.raises(InputError, match=words):
        pool.execute(engine, job(SPECS[key], batch))


@each_engine
@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ((), "a gradient step needs targets; given none"),
        ((ones(2, 4, 1),), r"target 0: shape is \(2, 4, 1\), expected \(2, any, 2\)"),
        ((ones(3, 4, 2),), r"target 0: shape is \(3, 4, 2\), expected \(2, any, 2\)"),
        ((ones(2, 4, 2), ones(2, 4, 2)), "2 targets given, expected one for each of 1 outputs"),
    ],
    ids=["none", "one_feature", "other_sequences", "two"],
)
def test_targets_are_refused(pool, engine, targets, words):
    with pytest.raises(InputError, match=words):
        pool.execute(
            engine, job(SPECS["any"], one(ones(2, 4, 3), targets=targets), "gradient", loss="mean_squared_error")
        )


@each_engine
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lstm/kernel": ones(8, 3)}, r"'lstm/kernel': given shape \(8, 3\), expected \(3, 8\).* transposed"),
        ({"lstm/bias": ones(1)}, r"'lstm/bias': given shape \(1,\), expected \(8,\)"),
        ({"lstm/bias": ones(2, 8)}, r"'lstm/bias': given shape \(2, 8\), expected \(8,\)"),
        ({"dense/kernel": ones(2, 2)}, "unknown: 'dense/kernel'"),
    ],
    ids=["transposed", "one_number", "two_biases", "unknown"],
)
def test_weights_are_refused(pool, engine, change, words):
    weights = {**discriminating_weights(SPECS["any"]), **change}
    with pytest.raises(InputError, match=words):
        pool.execute(engine, job(SPECS["any"], one(ones(2, 4, 3)), weights=weights))


@each_engine
def test_after_a_refusal_the_engine_goes_on(pool, engine):
    spec, good = SPECS["any"], one(ones(2, 4, 3))
    first = pool.execute(
        engine, dataclasses.replace(job(spec, good), steps=(Step("forward", good, keep=("outputs",)),))
    )
    with pytest.raises(InputError):
        pool.execute(engine, job(spec, one(ones(2, 4, 4))))
    again = pool.execute(
        engine, dataclasses.replace(job(spec, good), steps=(Step("forward", good, keep=("outputs",)),))
    )
    np.testing.assert_array_equal(again.answers[0].outputs[0], first.answers[0].outputs[0])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return a function from a backend to plain Keras's answer to each batch."""
    found = {}

    def of(backend):
        if backend not in found:
            folder = tmp_path_factory.mktemp(backend)
            environment = {
                **os.environ,
                "KERAS_BACKEND": backend,
                "KERAS_HOME": str(folder),
                "CUDA_VISIBLE_DEVICES": "",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            }
            script = pathlib.Path(__file__).with_name("bad_input.py")
            command = [sys.executable, str(script), str(folder / "answer.json")]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
            assert done.returncode == 0, done.stderr
            found[backend] = json.loads((folder / "answer.json").read_text())
        return found[backend]

    return of


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("backend", BACKENDS)
def test_plain_keras_refuses_it_too(plain, backend, name):
    if not importlib.util.find_spec("keras") or not importlib.util.find_spec(backend):
        pytest.skip(f"keras or {backend} is not installed")
    raised = plain(backend)[name]
    taken = raised in (None, "not finite")
    assert taken == (backend in TAKEN.get(name, ())), raised


def test_every_row_is_a_batch():
    assert set(TAKEN) <= set(BAD)
    assert all(isinstance(batch, Batch) and key in SPECS for key, batch, _ in BAD.values())
