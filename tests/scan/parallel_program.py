"""The numbers that `test_parallel.py` compares, computed in a process of its own: on one device, or over all devices.

    python parallel_program.py alone FOLDER               # ScanModel under jax.jit, nothing of multilstm.scan.parallel
    python parallel_program.py parallel FOLDER            # over all devices, of all processes
    python parallel_program.py parallel FOLDER PROBLEM... # these alone

Each process writes `FOLDER/INDEX.npz` with `problem:rows:...` (its own rows) and `problem:whole:...`, and
`FOLDER/INDEX.json` with the facts that are no arrays.
"""

import dataclasses
import functools
import json
import pathlib
import re
import sys

import jax
import numpy as np

from multilstm.errors import InputError, UsageError
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.scan import State, model
from multilstm.scan.parallel import (
    ParallelModel,
    data_parallel_mesh,
    local_rows,
    local_slice,
    replicate,
    shard_batch,
)
from multilstm.spec import (
    L1L2,
    LSTM,
    Attention,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Input,
    Model,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.optimizers import SGD, Adam, Optimizer, RMSprop
from multilstm.weights.initializers import discriminating_weights

ROWS, TIMESTEPS, STEPS = 16, 6, 4
# How many timesteps count of each sequence: of the first eighth none, of the first half few, of the last all.
LENGTHS = np.array([0, 0, 1, 0, 2, 1, 1, 3, 4, 6, 5, 6, 6, 6, 6, 6])
MASK = np.arange(TIMESTEPS) < LENGTHS[:, None]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A model, how it is trained, and its random batches."""

    spec: Graph
    optimizer: Optimizer
    loss: str
    masked: bool = False
    carries_states: bool = False

    @property
    def start(self):
        weights = {name: np.asarray(array, "float64") for name, array in discriminating_weights(self.spec).items()}
        slots = {f"{name}/{slot}": np.zeros_like(w) for name, w in weights.items() for slot in self.optimizer.slots}
        return weights, slots

    def batch(self, step):
        """Inputs, targets, masks and dropout masks."""
        rng = np.random.default_rng(step)
        embedded = any(isinstance(layer, Embedding) for layer in self.spec.layers)
        inputs = {
            name: rng.integers(1, 7, (ROWS, TIMESTEPS)) * MASK
            if embedded
            else rng.normal(size=(ROWS, TIMESTEPS, layer.shape[-1]))
            for name, layer in self.spec.inputs.items()
        }
        if self.masked:  # masked inputs are NaN
            inputs = {name: np.where(MASK[..., None], x, np.nan) for name, x in inputs.items()}
        shapes = [(ROWS, *(TIMESTEPS if size is None else size for size in s[1:])) for s in self.spec.output_shapes]
        targets = [rng.dirichlet(np.ones(shape[-1]), shape[:-1]) for shape in shapes]
        dropout = {
            mask.name: rng.integers(0, 2, mask.shape) / (1 - mask.rate) for mask in dropout_masks(self.spec, ROWS)
        }
        return inputs, targets, dict.fromkeys(inputs, MASK) if self.masked else None, dropout


def encoder_decoder():
    source, target = Input((None, 3), name="source"), Input((None, 2), name="target")
    encoded, hidden, cell = LSTM(4, return_sequences=True, return_state=True, name="encoder")(source)
    decoded = LSTM(4, return_sequences=True, name="decoder")(target, initial_state=[hidden, cell])
    decoded = Attention(use_scale=True)([decoded, encoded])  # the scale is one number
    return Model([source, target], [Dense(2, name="first")(encoded), Dense(3, name="second")(decoded)])


PROBLEMS = {
    "masked_adam": Problem(
        Sequential(
            [
                TimeDistributed(Dense(5, activation="tanh")),
                Bidirectional(LSTM(4, return_sequences=True)),
                LSTM(5, return_sequences=True, go_backwards=True),
                Dense(2, activation="softmax"),
            ],
            input_shape=(None, 3),
        ),
        Adam(0.01),
        "categorical_crossentropy",
        masked=True,
    ),
    "dropout_rmsprop": Problem(
        Sequential([LSTM(5, dropout=0.2, recurrent_dropout=0.4), Dropout(0.5), Dense(3)], input_shape=(None, 3)),
        RMSprop(0.01, momentum=0.5, centered=True),
        "mean_squared_error",
    ),
    "stateful_sgd": Problem(
        Sequential(
            [LSTM(5, return_sequences=True, stateful=True), LSTM(4, return_sequences=True, stateful=True), Dense(2)],
            input_shape=(TIMESTEPS, 3),
            batch_size=ROWS,
        ),
        SGD(0.1, momentum=0.9, nesterov=True),
        "mean_squared_error",
        masked=True,
        carries_states=True,
    ),
    "embedding_adam": Problem(
        Sequential(
            [
                Embedding(8, 3, mask_zero=True),
                LSTM(4, return_sequences=True),
                Dense(2, activity_regularizer=L1L2(0.1, 0.2)),
            ],
            input_shape=(None,),
        ),
        Adam(0.01),
        "mean_squared_error",
    ),
    "encoder_decoder_sgd": Problem(encoder_decoder(), SGD(0.1), "mean_squared_error"),
}


def run(problem, gradient, train_step, place_weights, place_batch):
    """Return all quantities of some training steps, by `rows:` or `whole:`, step and name."""
    found = {}

    def keep(kind, quantity, tree):
        for path, array in jax.tree_util.tree_flatten_with_path(tree)[0]:
            found[f"{kind}:{quantity}{jax.tree_util.keystr(path)}"] = local_rows(array)

    weights, slots = place_weights(problem.start)
    states = None
    for step in range(STEPS):
        *given, masks, dropout = place_batch(problem.batch(step))
        value, before, gradients = gradient(weights, *given, masks, states, dropout, loss=problem.loss)
        keep("whole", f"gradient{step}", gradients)
        weights, slots, loss, after = train_step(
            weights, slots, problem.optimizer.coefficients(step), *given, masks, states, dropout,
            optimizer=problem.optimizer, loss=problem.loss,
        )  # fmt: skip
        keep("whole", f"loss{step}", [value, loss, before.activity, after.activity])
        for name, of in (("evaluation", before), ("trained", after)):
            keep("rows", f"{name}{step}:output", of.outputs)
            keep("rows", f"{name}{step}:sequence", of.sequences)
            keep("rows", f"{name}{step}:state", of.states)
        states = after.states if problem.carries_states else None
    keep("whole", "weights", weights)
    keep("whole", "slots", slots)
    return found


def alone(problem):
    functions = model(problem.spec)
    return run(
        problem,
        jax.jit(functions.gradient, static_argnames="loss"),
        jax.jit(functions.train_step, static_argnames=("optimizer", "loss")),
        lambda tree: tree,
        lambda tree: tree,
    )


def parallel(problem, mesh):
    functions, own = ParallelModel(model(problem.spec), mesh), local_slice(mesh, ROWS)

    def place(batch):
        *arrays, dropout = batch
        by_gate = {name: dropout.pop(name)[:, own] for name in list(dropout) if dropout[name].shape[0] == 4}
        *arrays, dropout = shard_batch(mesh, jax.tree.map(lambda array: array[own], (*arrays, dropout)))
        return *arrays, dropout | shard_batch(mesh, by_gate, axis=1)

    return run(
        problem,
        functions.gradient,
        functions.train_step,
        lambda tree: replicate(mesh, tree),
        place,
    )


def mean_of_means(problem, shards=8):
    """Return the loss and the gradient that averaging those of equal shares of the rows would give: a fault."""
    inputs, targets, masks, _ = problem.batch(0)
    share = ROWS // shards
    gradient = jax.jit(model(problem.spec).gradient, static_argnames="loss")
    found = []
    for start in range(0, ROWS, share):
        part = jax.tree.map(lambda array, rows=slice(start, start + share): array[rows], (inputs, targets, masks))
        value, _, gradients = gradient(problem.start[0], *part, loss=problem.loss)
        found.append((value, gradients))
    loss, gradients = jax.tree.map(lambda *each: sum(each) / shards, *found)
    return {"whole:loss0[0]": loss, **{f"whole:gradient0['{name}']": array for name, array in gradients.items()}}


def collectives(problem, mesh, functions):
    """Count the sums over devices in one training step: outside of every loop, and inside of one."""
    weights, slots = replicate(mesh, problem.start)
    inputs, targets, masks, _ = shard_batch(mesh, problem.batch(0))
    step = jax.jit(functools.partial(functions.train_step, optimizer=problem.optimizer, loss=problem.loss))
    text = step.lower(weights, slots, problem.optimizer.coefficients(0), inputs, targets, masks).compile().as_text()
    counts, entry = {"outside": 0, "inside": 0, "other": 0}, False
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            entry = line.startswith("ENTRY")
        if re.search(r" all-reduce(-start)?\(", line):
            counts["outside" if entry else "inside"] += 1
        counts["other"] += bool(
            re.search(r" (all-gather|all-to-all|collective-permute|reduce-scatter)(-start)?\(", line)
        )
    return counts


def refusals(mesh):
    """Return the message of each refused call."""
    if jax.process_count() > 1:
        devices, own = jax.devices(), local_slice(mesh, ROWS)
        return words_of(
            {
                "devices_of_one_process": lambda: data_parallel_mesh(jax.local_devices()),
                "mixed_devices": lambda: data_parallel_mesh([*devices[::2], *devices[1::2]]),
                "shape": lambda: shard_batch(mesh, {"x": np.ones((own.stop, 3)), "y": np.ones((own.stop, 1))}),
            }
        )
    functions = ParallelModel(model(PROBLEMS["dropout_rmsprop"].spec), mesh)
    weights = replicate(mesh, PROBLEMS["dropout_rmsprop"].start[0])
    x = shard_batch(mesh, {"input_layer": np.ones((ROWS, TIMESTEPS, 3))})
    two_axes = jax.sharding.Mesh(mesh.devices.reshape(2, -1), ("batch", "model"))
    calls = {
        "rows": lambda: shard_batch(mesh, {"x": np.ones((12, 3))}),
        "unequal_rows": lambda: shard_batch(mesh, {"x": np.ones((16, 3)), "y": np.ones((8, 1))}),
        "placed_and_unequal": lambda: shard_batch(mesh, [x["input_layer"], np.ones((8, 1))]),
        "scalar": lambda: shard_batch(mesh, [np.ones(8), 2.0]),
        "no_second_axis": lambda: shard_batch(mesh, np.ones(8), axis=1),
        "slice": lambda: local_slice(mesh, 12),
        "no_device": lambda: data_parallel_mesh([]),
        "device_twice": lambda: data_parallel_mesh([*jax.devices()[:1], *jax.devices()[:1]]),
        "axes": lambda: shard_batch(two_axes, np.ones(8)),
        "weights_on_host": lambda: functions.apply(PROBLEMS["dropout_rmsprop"].start[0], x),
        "inputs_on_host": lambda: functions.apply(weights, {"input_layer": np.ones((ROWS, TIMESTEPS, 3))}),
        "inputs_whole": lambda: functions.apply(weights, replicate(mesh, x)),
        "states_on_one_device": lambda: functions.apply(
            weights, x, states={"lstm": State(*jax.device_put(np.ones((2, ROWS, 5)), jax.devices()[0]))}
        ),
        "dropout_on_host": lambda: functions.apply(weights, x, dropout={"lstm/dropout": np.ones((4, ROWS, 3))}),
    }
    return words_of(calls)


def words_of(calls):
    found = {}
    for name, call in calls.items():
        try:
            call()
        except (InputError, UsageError) as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def main(mode, folder, *names):
    problems = {name: PROBLEMS[name] for name in names or PROBLEMS}
    jax.config.update("jax_enable_x64", True)
    arrays, facts = {}, {"devices": jax.device_count(), "processes": jax.process_count()}
    if mode == "alone":
        runs = {name: alone(problem) for name, problem in problems.items()}
        runs["mean_of_means"] = mean_of_means(PROBLEMS["masked_adam"])
    else:
        mesh = data_parallel_mesh()
        runs = {name: parallel(problem, mesh) for name, problem in problems.items()}
        if jax.process_count() == 1:
            problem = PROBLEMS["masked_adam"]
            steps = {
                "custom gradient": ParallelModel(model(problem.spec), mesh),
                "plain gradient": ParallelModel(model(problem.spec, custom_gradient=False), mesh),
                "loops split by XLA": model(problem.spec, custom_gradient=False),
            }
            facts["collectives"] = {name: collectives(problem, mesh, functions) for name, functions in steps.items()}
        facts["refusals"] = refusals(mesh)
        own = local_slice(mesh, ROWS)
        rows = np.arange(4.0 * ROWS).reshape(4, ROWS)[:, own]  # along axis 1, as dropout masks for each gate
        facts["rows_of_axis_1"] = bool(np.array_equal(local_rows(shard_batch(mesh, rows, axis=1)), rows))
    for problem, found in runs.items():
        arrays.update({f"{problem}:{name}": np.asarray(array) for name, array in found.items()})
    path = pathlib.Path(folder) / str(jax.process_index())
    np.savez(path.with_suffix(".npz"), **arrays)
    path.with_suffix(".json").write_text(json.dumps({**facts, "modules": sorted(sys.modules)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
