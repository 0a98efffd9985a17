"""A program on Keras with PyTorch: it writes models as `.keras` files, executes the files, and prints the distances.

tests/engines/test_saved.py runs it once, in a process of its own.
"""

import dataclasses
import json
import os
import pathlib
import sys
import tempfile

import numpy as np

from multilstm.cases.model_case import model_case
from multilstm.conversion.keras_file import keras_config
from multilstm.engines.executor import Executor
from multilstm.engines.keras.saved import SavedKerasEngine
from multilstm.engines.keras.writer import serve
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.registry import CONVERTED
from multilstm.errors import MultilstmError
from multilstm.files.compiled import OptimizerState
from multilstm.jobs.job import Job, Step
from multilstm.spec import (
    GRU,
    L2,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    Model,
    Sequential,
    SimpleRNN,
    TimeDistributed,
    to_json,
)
from multilstm.spec.optimizers import Adam, RMSpropKeras2
from multilstm.spec.training import Training, compile_config
from multilstm.suite.conversion import without_dropout
from multilstm.suite.keras_file import check_read_back
from multilstm.suite.updates import update_job

KEEP = ("outputs", "sequences", "states", "gradients")
OLD = "hard_sigmoid_keras2"


def encoder_decoder():
    """Return a model whose layers Keras saves in another order, with two inputs and two outputs."""
    decoded, encoded = Input((None, 4), name="decoded"), Input((None, 3), name="encoded")
    deep = Dense(3, name="deep")(Dense(5, name="shallow")(decoded))
    _, hidden, cell = LSTM(5, return_state=True, name="encoder")(encoded)
    sequence = LSTM(5, return_sequences=True, name="decoder")(deep, initial_state=[hidden, cell])
    return Model([decoded, encoded], [Dense(2, "softmax", name="head")(sequence), Dense(1, name="first")(hidden)])


MODELS = {
    "encoder_decoder": encoder_decoder(),
    "masked": Sequential(
        [Embedding(9, 4, mask_zero=True), Bidirectional(LSTM(3, return_sequences=True)), LSTM(2), Dense(2)], (None,),
        input_dtype="int32",
    ),
    "old": Sequential(
        [Masking(), LSTM(3, return_sequences=True, recurrent_activation=OLD, implementation=1, dropout=0.2),
         Bidirectional(LSTM(2, recurrent_activation=OLD, implementation=1, dropout=0.2)), Dense(2, OLD)], (None, 3),
    ),
    "others": Sequential(
        [GRU(3, return_sequences=True, kernel_regularizer=L2(0.1)), TimeDistributed(Dense(4)), Dropout(0.5),
         BatchNormalization(), SimpleRNN(2, go_backwards=True)], (5, 3),
    ),
    "stateful": Sequential([LSTM(3, stateful=True), Dense(2)], (4, 3), batch_size=2),
}  # fmt: skip


def written(spec, case, training=None, state=None):
    """Write a model, and let the engine execute its file."""
    state = state or OptimizerState()
    message = {
        "spec": to_json(spec), "config": keras_config(spec), "weights": dict(case.initial_weights),
        "training": training, "slots": dict(state.slots), "iteration": state.iteration,
    }  # fmt: skip
    path = pathlib.Path(tempfile.mkdtemp(), "model.keras")
    path.write_bytes(serve()(message)["file"].tobytes())
    os.environ[CONVERTED] = str(path)
    return path


def distances(actual, desired, found, prefix):
    """Add the largest distance of each kind of arrays; another set of names is an infinite one."""
    for kind in ("outputs", "sequences", "last_outputs", "states", "gradients", "input_gradients"):
        mine, theirs = (getattr(answer, kind) for answer in (actual, desired))
        mine, theirs = (dict(enumerate(one)) if isinstance(one, tuple) else one for one in (mine, theirs))
        largest = 0.0 if set(mine) == set(theirs) else float("inf")
        for name in set(mine) & set(theirs):
            pairs = zip(np.atleast_1d(mine[name]), np.atleast_1d(theirs[name]), strict=True)
            largest = max([largest, *(float(np.abs(a - b).max(initial=0.0)) for a, b in pairs)])
        found[f"{prefix}/{kind}"] = max(found.get(f"{prefix}/{kind}", 0.0), largest)


def forward_and_gradient(name, spec, found):
    case = model_case(spec.with_layers(without_dropout))
    check_read_back(written(spec, case), spec, case.initial_weights)
    steps = [*case.forward_steps(), *(() if name == "stateful" else case.gradient_steps())]  # PyTorch cannot train it
    steps = [dataclasses.replace(step, keep=KEEP) for step in steps]
    for dtype in ("float32", "float64"):
        job = Job(case.spec, case.initial_weights, tuple(steps), dtype, "plain", loss=case.loss)
        actual, desired = (Executor(engine()).execute(job) for engine in (SavedKerasEngine, ReferenceEngine))
        assert actual.parameter_counts == desired.parameter_counts
        for mine, theirs in zip(actual.answers, desired.answers, strict=True):
            distances(mine, theirs, found, f"{name}/{dtype}")


def updates(found):
    """The optimizer and the loss of a file, with arrays of an earlier training."""
    spec = Sequential([Masking(), LSTM(3, return_sequences=True), Dense(2, "softmax")], (5, 3))
    case = model_case(spec)
    rng = np.random.default_rng(0)
    training = Training(RMSpropKeras2(2**-7, centered=True), ("CategoricalCrossentropy",), counts_padding=True)
    slots = {
        f"{weight}/{slot}": rng.uniform(0.1, 0.2, spec.weight_shapes[weight]).astype(np.float32)
        for weight in spec.trainable_weights
        for slot in training.optimizer.slots
    }
    state = OptimizerState(slots, 7)
    job = update_job(case, training, state, 30)
    planted = dataclasses.replace(training, optimizer=RMSpropKeras2(2**-6, centered=True))
    for label, given in (("meant", training), ("planted", planted)):
        written(spec, case, compile_config(given), state)
        actual = Executor(SavedKerasEngine()).execute(dataclasses.replace(job, layers="plain", faults=()))
        desired = Executor(ReferenceEngine()).execute(job)
        for kind in ("weights", "slots"):
            mine, theirs = getattr(actual, kind), getattr(desired, kind)
            found[f"{label}/{kind}"] = max(float(np.abs(mine[key] - theirs[key]).max()) for key in theirs)


def refusals(found):
    """Messages for a file of other numbers, of other layers, and of an optimizer that only PyTorch loads."""
    spec = MODELS["stateful"]
    case = model_case(spec)
    weights = {name: array + np.float32(name.endswith("bias")) for name, array in case.initial_weights.items()}
    path = written(spec, dataclasses.replace(case, weights=weights))
    other = Sequential([LSTM(3, stateful=True, unroll=True), Dense(2)], (4, 3), batch_size=2)
    step = Step("forward", next(case.forward.batches()), keep=KEEP)
    engine = Executor(SavedKerasEngine())
    for name, call in {
        "read_numbers": lambda: check_read_back(path, spec, case.initial_weights),
        "read_layers": lambda: check_read_back(path, other, weights),
        "executed_numbers": lambda: engine.execute(Job(spec, case.initial_weights, (step,), layers="plain")),
        "optimizer": lambda: written(spec, case, compile_config(Training(Adam(), ("MeanSquaredError",)))),
    }.items():
        try:
            call()
        except MultilstmError as error:
            found[f"refused/{name}"] = f"{type(error).__name__}: {error}"


def main(path):
    found = {}
    for name, spec in MODELS.items():
        forward_and_gradient(name, spec, found)
    updates(found)
    refusals(found)
    pathlib.Path(path).write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
