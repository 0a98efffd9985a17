"""Small models, batches and masks for the tests of the reference."""

import numpy as np

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import Dense, Sequential

BATCH, TIMESTEPS, FEATURES, UNITS, CLASSES = 3, 5, 2, 3, 4
KEEP = ("outputs", "sequences", "states", "gradients")
MASKS = {
    "none": None,
    "right": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]],
    "left": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 0, 0, 1], [1, 1, 0, 1, 0]],
    "full_row": [[1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]],
}


def mask(kind):
    return None if MASKS[kind] is None else np.array(MASKS[kind], bool)


def weights_of(spec, seed=0, scale=0.4):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(scale=scale, size=shape) for name, shape in spec.weight_shapes.items()}


def targets_of(spec, batch=BATCH, timesteps=TIMESTEPS, seed=1):
    rng = np.random.default_rng(seed)
    shapes = [(batch, *(timesteps if size is None else size for size in shape[1:])) for shape in spec.output_shapes]
    return tuple(rng.uniform(0.1, 1.0, shape) for shape in shapes)


def inputs_of(seed=2, batch=BATCH, timesteps=TIMESTEPS):
    return np.random.default_rng(seed).normal(size=(batch, timesteps, FEATURES))


def batch_of(spec, inputs=None, mask_kind="none", **more):
    name = next(iter(spec.inputs))
    masks = {} if mask(mask_kind) is None else {name: mask(mask_kind)}
    inputs = inputs_of() if inputs is None else inputs
    return Batch(inputs={name: inputs}, targets=targets_of(spec), masks=masks, **more)


def run(spec, *steps, weights=None, loss="mean_squared_error", **more):
    job = Job(spec, weights_of(spec) if weights is None else weights, steps, dtype="float64", loss=loss, **more)
    return Executor(ReferenceEngine()).execute(job)


def answer(spec, kind, batch, **more):
    return run(spec, Step(kind, batch, keep=KEEP), **more).answers[0]


def stack(lstm, *after):
    """Return a model with a Dense layer below the LSTM, so that the gradient of the LSTM's inputs matters."""
    return Sequential([Dense(FEATURES, "tanh"), lstm, *(after or (Dense(CLASSES),))], input_shape=(None, FEATURES))


DROPOUTS = {
    "dropout_implementation_1": {"dropout": 0.4, "implementation": 1},
    "dropout_implementation_2": {"dropout": 0.4},
    "recurrent_dropout": {"recurrent_dropout": 0.4},
    "both": {"dropout": 0.3, "recurrent_dropout": 0.4},
}
