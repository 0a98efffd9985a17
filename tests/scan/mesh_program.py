"""The numbers that `test_mesh.py` compares, computed on one device and over a mesh of all of them.

    python mesh_program.py FOLDER

Writes `FOLDER/mesh.json`: max|actual - desired| / max|desired| by case and quantity, and the facts that are not
numbers.
"""

import functools
import json
import pathlib
import sys

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from multilstm.errors import InputError
from multilstm.scan import BucketedModel, Dropout, LSTMParams, State, bidirectional, lstm, model
from multilstm.scan.loops import split
from multilstm.scan.parallel import data_parallel_mesh
from multilstm.spec import LSTM, Dense, Sequential
from multilstm.spec.optimizers import SGD, Adam

BATCH, TIMESTEPS, FEATURES, UNITS = 8, 7, 3, 6  # two rows a device
RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(0.0, 0.6, shape)


PARAMS = LSTMParams(draw(FEATURES, 4 * UNITS), draw(UNITS, 4 * UNITS), draw(4 * UNITS))
X, STATE = draw(BATCH, TIMESTEPS, FEATURES), State(draw(BATCH, UNITS), draw(BATCH, UNITS))
COTANGENTS = (draw(BATCH, TIMESTEPS, UNITS), State(draw(BATCH, UNITS), draw(BATCH, UNITS)))
# The first device has no timestep at all, the last one all of them.
LENGTHS = np.array([0, 0, 3, 1, 5, 2, 7, 7])
MASK = RNG.integers(0, 2, (BATCH, TIMESTEPS)).astype(bool)


def dropout(*gates):
    return Dropout(*(RNG.integers(0, 2, (*gates, BATCH, size)) * 2.0 for size in (FEATURES, UNITS)))


def both_ways(params, x, state, **options):
    output, *states = bidirectional(params, params._replace(bias=-params.bias), x, state, state, **options)
    return output[..., :UNITS] + output[..., UNITS:] ** 2, jax.tree.map(lambda one, other: one + other**2, *states)


CASES = {
    "nothing_else": (lstm, {}, {}),
    "mask": (lstm, {"mask": MASK}, {}),
    "lengths": (lstm, {"lengths": LENGTHS}, {}),
    "one_length": (lstm, {"lengths": np.array(5)}, {}),
    "dropout": (lstm, {"dropout": dropout()}, {}),
    "dropout_lengths": (lstm, {"dropout": dropout(4), "lengths": LENGTHS}, {}),
    "checkpoint_mask": (lstm, {"mask": MASK}, {"checkpoint": 3}),
    "plain_gradient_mask": (lstm, {"mask": MASK}, {"custom_gradient": False}),
    "bidirectional_mask": (both_ways, {"mask": MASK}, {}),
}


@functools.partial(jax.jit, static_argnums=(0, 1))
def everything(run, options, params, x, state, given, cotangents):
    found, pull = jax.vjp(lambda *arguments: run(*arguments, **given, **dict(options)), params, x, state)
    return found, pull(cotangents)


def quantities(run, given, options):
    found = everything(run, tuple(options.items()), PARAMS, X, STATE, given, COTANGENTS)
    (sequence, last), (params, x, state) = found
    return {"sequence": sequence, "state": last, "gradient_params": params, "gradient_x": x, "gradient_state": state}


def distance(actual, desired):
    found = []
    for one, other in zip(*map(jax.tree.leaves, (actual, desired)), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape
        assert one.dtype == other.dtype == np.float64
        assert np.abs(other).max() > 1e-6
        found.append(float(np.abs(one - other).max() / np.abs(other).max()))
    return max(found)


def refusals(mesh):
    two_axes = jax.sharding.Mesh(mesh.devices.reshape(2, 2), ("batch", "model"))
    found = {}
    for name, options, rows in (("batch", {"mesh": mesh}, 7), ("axes", {"mesh": two_axes}, 8)):
        try:
            lstm(PARAMS, X[:rows], **options)
        except InputError as error:
            found[name] = str(error)
    return found


AUTO = ("nothing_else", "mask", "lengths", "dropout_lengths", "plain_gradient_mask")
ODD = 9  # rows, which four devices do not divide


def of_rows(given):
    """Return arrays of a case for `ODD` rows: the last one is the first of the case again."""
    order = [*range(BATCH), 0]

    def take(array):
        return array[:, order] if array.ndim == 3 else array[order]

    return jax.tree.map(take, given)


def of_auto():
    """Return the distances of `mesh="auto"` from one device, with rows that the devices do not divide."""
    x, state, *cotangents = (
        draw(ODD, TIMESTEPS, FEATURES), State(draw(ODD, UNITS), draw(ODD, UNITS)), draw(ODD, TIMESTEPS, UNITS),
        State(draw(ODD, UNITS), draw(ODD, UNITS)),
    )  # fmt: skip
    distances = {}
    for name in AUTO:
        run, given, options = CASES[name]
        over, alone = (
            everything(run, (*options.items(), ("mesh", mesh)), PARAMS, x, state, of_rows(given), tuple(cotangents))
            for mesh in ("auto", None)
        )
        distances[name] = distance(over, alone)
    return distances


def of_model():
    """Return the distance of weights and loss after two training steps with `mesh="auto"` from those on one device."""
    spec = Sequential([LSTM(UNITS, return_sequences=True), LSTM(2), Dense(2)], input_shape=(None, FEATURES))
    rng, adam = np.random.default_rng(1), Adam()
    weights = {name: rng.normal(0, 0.5, shape) for name, shape in spec.weight_shapes.items()}
    slots = {f"{name}/{slot}": np.zeros(weights[name].shape) for name in weights for slot in adam.slots}
    x, target = rng.normal(size=(ODD, TIMESTEPS, FEATURES)), rng.normal(size=(ODD, 2))
    results = []
    for mesh in ("auto", None):
        functions, state = BucketedModel(model(spec, mesh=mesh)), (weights, slots)
        for number in range(2):
            *state, loss, _ = functions.train_step(
                *state, adam.coefficients(number), {next(iter(spec.inputs)): x}, [target], optimizer=adam,
                loss="mean_squared_error",
            )  # fmt: skip
        results.append((state[0], loss))
    return distance(*results)


def of_carried_states():
    """Return the distance from one device of a program that carries states, and splits some of its batches.

    The weights are on the third device at first.
    """
    spec = Sequential([LSTM(UNITS, return_sequences=True)], input_shape=(None, FEATURES))
    rng = np.random.default_rng(2)
    weights = {name: rng.normal(0, 0.5, shape) for name, shape in spec.weight_shapes.items()}
    slots = {f"{name}/momentum": np.zeros(array.shape) for name, array in weights.items()}
    batches = [rng.normal(size=(BATCH, timesteps, FEATURES)) for timesteps in (TIMESTEPS, 20, 3, 40)]
    results, optimizer = [], SGD(0.1, momentum=0.9)
    split._WORTH_SPLITTING = BATCH * 17 * UNITS  # a bucket of 16 timesteps is not split
    for mesh in ("auto", None):
        functions, trained, states = BucketedModel(model(spec, mesh=mesh)), (weights, slots), None
        if mesh == "auto":
            trained = (jax.device_put(weights, jax.devices()[2]), slots)
        for number, x in enumerate(batches):
            target = np.tile(x, 2)[..., :UNITS]
            *trained, loss, evaluation = functions.train_step(
                *trained, optimizer.coefficients(number), {next(iter(spec.inputs)): x}, [target],
                states=states, optimizer=optimizer, loss="mean_squared_error",
            )  # fmt: skip
            states = evaluation.states
        results.append((trained[0], loss, states))
    split._WORTH_SPLITTING = 0
    return distance(*results)


def of_own_meshes():
    """Return the distances from one device where the user's program has shared the devices out."""
    mesh, third = data_parallel_mesh(), jax.devices()[2]
    explicit = jax.make_mesh((mesh.size,), ("rows",), axis_types=(AxisType.Explicit,))

    def auto(x, params=PARAMS):
        return lstm(params, x, mesh="auto")[0]

    def gradient(run, params):
        return jax.grad(lambda params: (run(X, params) ** 2).sum())(params)

    by_rows = {"mesh": mesh, "in_specs": PartitionSpec("batch"), "out_specs": PartitionSpec("batch")}
    with jax.set_mesh(explicit):
        inside = auto(X)
    alone = lstm(PARAMS, X)[0]
    return {
        "shard_map": distance(jax.shard_map(auto, check_vma=False, **by_rows)(X), alone),
        "set_mesh": distance(inside, alone),
        "pmap": distance(jax.pmap(auto)(np.stack([X] * mesh.size))[1], alone),
        "explicit_mesh": distance(lstm(PARAMS, X, mesh=explicit)[0], alone),
        "explicit_array": distance(auto(jax.device_put(X, NamedSharding(explicit, PartitionSpec("rows")))), alone),
        "gradient_of_placed": distance(
            gradient(auto, jax.device_put(PARAMS, third)), gradient(lambda x, params: lstm(params, x)[0], PARAMS)
        ),
    }


def main(folder):
    jax.config.update("jax_enable_x64", True)
    mesh, distances = data_parallel_mesh(), {}
    for name, (run, given, options) in CASES.items():
        over = quantities(run, given, {**options, "mesh": mesh})
        alone = quantities(run, given, options)
        distances[name] = {quantity: distance(over[quantity], alone[quantity]) for quantity in alone}
    sequence = lstm(PARAMS, X, mesh=mesh)[0]
    split._WORTH_SPLITTING, split._WORTH_SHARING = 0, 2  # so that `auto` splits sizes of a test
    facts = {
        "distances": distances,
        "devices": mesh.size,
        "rows": [list(shard.data.shape) for shard in sequence.addressable_shards],
        "refusals": refusals(mesh),
        "auto": of_auto(),
        "model": of_model(),
        "own_meshes": of_own_meshes(),
        "carried": of_carried_states(),
        "devices_of_auto": len(lstm(PARAMS, draw(ODD, TIMESTEPS, FEATURES), mesh="auto")[0].sharding.device_set),
        "devices_of_few": len(lstm(PARAMS, draw(7, TIMESTEPS, FEATURES), mesh="auto")[0].sharding.device_set),
        "devices_of_placed": [
            device.id for device in lstm(PARAMS, jax.device_put(X, jax.devices()[2]), mesh="auto")[0].devices()
        ],
    }
    (pathlib.Path(folder) / "mesh.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
