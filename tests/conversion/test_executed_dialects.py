"""The rows of the table of layouts, executed: each framework's own LSTM gives the reference's answers in float64.

Sequence, hidden and cell state, and the gradients of weights, inputs and initial states are compared. All weights and
states are random.
"""

import importlib.util

import numpy as np
import pytest
from small_models import KEEP
from small_models import run as run_reference

from multilstm.conversion import DIALECTS, LSTMWeights, from_dialect, to_dialect
from multilstm.jobs.job import Batch, Step
from multilstm.spec import LSTM, Bidirectional, Sequential
from multilstm.spec.arrays import State

jax = pytest.importorskip("jax")
jnp = jax.numpy
jax.config.update("jax_enable_x64", True)
BATCH, TIMESTEPS = 3, 6
TOLERANCE = 1e-12


def drawn(seed, layers=1, directions=1, use_bias=True):
    """Return a stack of random weights, inputs, initial states [layers][directions], and targets."""
    rng = np.random.default_rng(seed)
    features, units = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    stack = []
    for number in range(layers):
        size = units * directions if number else features
        shapes = (size, 4 * units), (units, 4 * units), (4 * units,)
        stack.append([LSTMWeights(*(rng.normal(size=s) for s in shapes[: 2 + use_bias])) for _ in range(directions)])
    x, target = rng.normal(size=(BATCH, TIMESTEPS, features)), rng.normal(size=(BATCH, TIMESTEPS, units * directions))
    states = [[State(*rng.normal(size=(2, BATCH, units))) for _ in layer] for layer in stack]
    return stack, x, states, target


def reference(stack, x, states, target):
    """Return the reference's sequence, states and gradients, in the order of `answers`."""
    layers, weights, named = [], {}, {}
    for number, (layer, starts) in enumerate(zip(stack, states, strict=True)):
        lstm = LSTM(layer[0].units, return_sequences=True, use_bias=layer[0].bias is not None, name=f"l{number}")
        both = len(layer) == 2
        layers.append(Bidirectional(lstm, name=f"l{number}") if both else lstm)
        for place, cell, start in zip(("/forward", "/backward") if both else ("",), layer, starts, strict=True):
            named[f"l{number}{place}"] = start
            weights |= {f"l{number}{place}/{k}": v for k, v in cell._asdict().items() if v is not None}
    spec = Sequential(layers, input_shape=(None, x.shape[-1]))
    batch = Batch({next(iter(spec.inputs)): x}, targets=(target,), states=named)
    answer = run_reference(spec, Step("gradient", batch, keep=KEEP), weights=weights).answers[0]
    gradients = [
        [
            LSTMWeights(*(answer.gradients.get(f"{place}/{k}") for k in LSTMWeights._fields))
            for place in named
            if place.split("/")[0] == f"l{number}"
        ]
        for number in range(len(stack))
    ]
    return (
        answer.outputs[0],
        [answer.states[place] for place in named],
        gradients,
        next(iter(answer.input_gradients.values())),
        [answer.state_gradients[place] for place in named],
    )


def assert_equal(actual, desired):
    """Compare the five parts; gradients of weights in Keras's layout."""
    np.testing.assert_allclose(actual[0], desired[0], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(np.asarray(actual[1]), np.asarray(desired[1]), rtol=0, atol=TOLERANCE)
    for layer, layer_desired in zip(actual[2], desired[2], strict=True):
        for cell, cell_desired in zip(layer, layer_desired, strict=True):
            for name, array, array_desired in zip(LSTMWeights._fields, cell, cell_desired, strict=True):
                if array_desired is not None:
                    np.testing.assert_allclose(array, array_desired, rtol=0, atol=TOLERANCE, err_msg=name)
    np.testing.assert_allclose(actual[3], desired[3], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(np.asarray(actual[4]), np.asarray(desired[4]), rtol=0, atol=TOLERANCE)


def by_jax(forward, dialect, stack, x, states, target, **sizes):
    """Return the answers of `forward(arrays, x, flat states) -> sequence, flat states`, differentiated by JAX."""
    arrays = jax.tree.map(jnp.asarray, to_dialect(stack, dialect))
    flat = [state for layer in states for state in layer]

    def loss(arrays, x, flat):
        sequence, ends = forward(arrays, x, flat)
        return jnp.mean((sequence - target) ** 2), (sequence, ends)

    of, (sequence, ends) = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(arrays, jnp.asarray(x), flat)
    gradients = from_dialect(jax.tree.map(np.asarray, of[0]), dialect, gradients=True, **sizes)
    return sequence, ends, gradients, of[1], of[2]


def nested(arrays):
    """Return the tree of arrays whose names are paths."""
    tree = {}
    for path, array in arrays.items():
        *parents, leaf = path.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = array
    return tree


def linen(cell_class):
    def forward(arrays, x, flat):
        nn = pytest.importorskip("flax.linen")
        (state,) = flat
        rnn = nn.RNN(getattr(nn, cell_class)(state.hidden.shape[1], param_dtype=jnp.float64), return_carry=True)
        variables = {"params": {"cell": nested(arrays)}}
        (cell, hidden), sequence = rnn.apply(variables, x, initial_carry=(state.cell, state.hidden))
        return sequence, [State(hidden, cell)]

    return forward


def nnx(cell_class):
    def forward(arrays, x, flat):
        nnx = pytest.importorskip("flax.nnx")
        (state,) = flat
        cell = getattr(nnx, cell_class)(x.shape[-1], state.hidden.shape[1], param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        for path, array in arrays.items():
            module, leaf = path.split("/")
            getattr(getattr(cell, module), leaf)[...] = array
        start = (state.cell, state.hidden)
        (end, hidden), sequence = nnx.RNN(cell, return_carry=True)(x, initial_carry=start)
        return sequence, [State(hidden, end)]

    return forward


def equinox(arrays, x, flat):
    eqx = pytest.importorskip("equinox")
    (state,) = flat
    bias = "bias" in arrays
    cell = eqx.nn.LSTMCell(x.shape[-1], state.hidden.shape[1], use_bias=bias, key=jax.random.key(0), dtype=jnp.float64)
    names = ("weight_ih", "weight_hh", *(["bias"] if bias else []))
    cell = eqx.tree_at(lambda c: [getattr(c, name) for name in names], cell, [arrays[name] for name in names])

    def over_time(x, hidden, end):
        def step(carry, x_t):
            carry = cell(x_t, carry)
            return carry, carry[0]

        return jax.lax.scan(step, (hidden, end), x)

    (hidden, end), sequence = jax.vmap(over_time)(x, *state)
    return sequence, [State(hidden, end)]


def haiku(arrays, x, flat):
    hk = pytest.importorskip("haiku")
    (state,) = flat

    def program(x, start):
        return hk.dynamic_unroll(hk.LSTM(state.hidden.shape[1]), x, start, time_major=False)

    params = {f"lstm/{module}": leaves for module, leaves in nested(arrays).items()}
    sequence, end = hk.without_apply_rng(hk.transform(program)).apply(params, x, hk.LSTMState(*state))
    return sequence, [State(end.hidden, end.cell)]


def jax_rnn(layers, directions):
    def forward(arrays, x, flat):
        from jax.experimental import rnn

        hidden, cell = (jnp.stack(arrays) for arrays in zip(*flat, strict=True))
        sizes = x.shape[-1], hidden.shape[-1], layers, directions == 2
        unpacked = rnn.unpack_lstm_weights(arrays["weights"], *sizes)
        lengths = jnp.full((len(x),), x.shape[1], jnp.int32)
        sequence, *ends = rnn.lstm_ref(x, hidden, cell, *unpacked, lengths, *sizes[:3], 0.0, sizes[3])
        return sequence, [State(*pair) for pair in zip(*ends, strict=True)]

    return forward


JAX = {
    "flax-linen": linen("LSTMCell"),
    "flax-linen-optimized": linen("OptimizedLSTMCell"),
    "flax-nnx": nnx("LSTMCell"),
    "flax-nnx-optimized": nnx("OptimizedLSTMCell"),
    "equinox": equinox,
    "haiku": haiku,
}


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", JAX)
def test_a_cell_of_jax_gives_the_answers_of_the_reference(name, seed, use_bias):
    dialect = "flax-linen" if name.startswith("flax-linen") else name
    problem = drawn(seed, use_bias=use_bias)
    assert_equal(by_jax(JAX[name], dialect, *problem), reference(*problem))


@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_packed_weights_of_jax_give_the_answers_of_the_reference(layers, directions):
    stack, x, *_ = problem = drawn(layers + 2 * directions, layers, directions)
    sizes = {"features": x.shape[-1], "units": stack[0][0].units, "layers": layers, "directions": directions}
    assert_equal(by_jax(jax_rnn(layers, directions), "jax-rnn", *problem, **sizes), reference(*problem))


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (1, 2), (2, 1), (3, 2)])
def test_pytorch_gives_the_answers_of_the_reference(layers, directions, use_bias):
    torch = pytest.importorskip("torch")
    stack, x, states, target = problem = drawn(10 * layers + directions, layers, directions, use_bias)
    options = {"num_layers": layers, "bidirectional": directions == 2, "bias": use_bias}
    lstm = torch.nn.LSTM(x.shape[-1], stack[0][0].units, batch_first=True, dtype=torch.float64, **options)
    lstm.load_state_dict({name: torch.tensor(array) for name, array in to_dialect(stack, "torch").items()})
    flat = [state for layer in states for state in layer]
    start = [torch.tensor(np.stack(arrays), requires_grad=True) for arrays in zip(*flat, strict=True)]
    x = torch.tensor(x, requires_grad=True)
    sequence, ends = lstm(x, tuple(start))
    torch.mean((sequence - torch.tensor(target)) ** 2).backward()
    of_weights = {name: parameter.grad.numpy() for name, parameter in lstm.named_parameters()}
    ends, of_states = (
        [State(*pair) for pair in zip(*(t.detach().numpy() for t in tensors), strict=True)]
        for tensors in (ends, [tensor.grad for tensor in start])
    )
    gradients = from_dialect(of_weights, "torch", gradients=True)
    assert_equal((sequence.detach().numpy(), ends, gradients, x.grad.numpy(), of_states), reference(*problem))


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
def test_a_cell_of_pytorch_gives_the_answers_of_the_reference(use_bias):
    torch = pytest.importorskip("torch")
    stack, x, states, target = problem = drawn(5, use_bias=use_bias)
    cell = torch.nn.LSTMCell(x.shape[-1], stack[0][0].units, bias=use_bias, dtype=torch.float64)
    cell.load_state_dict({name: torch.tensor(array) for name, array in to_dialect(stack, "torch-cell").items()})
    start = carry = tuple(torch.tensor(array, requires_grad=True) for array in states[0][0])
    x, outputs = torch.tensor(x, requires_grad=True), []
    for timestep in range(TIMESTEPS):
        carry = cell(x[:, timestep], carry)
        outputs.append(carry[0])
    sequence = torch.stack(outputs, 1)
    torch.mean((sequence - torch.tensor(target)) ** 2).backward()
    of_weights = {name: parameter.grad.numpy() for name, parameter in cell.named_parameters()}
    ends, of_states = ([State(*(t.detach().numpy() for t in c))] for c in (carry, [t.grad for t in start]))
    gradients = from_dialect(of_weights, "torch-cell", gradients=True)
    assert_equal((sequence.detach().numpy(), ends, gradients, x.grad.numpy(), of_states), reference(*problem))


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("directions", [1, 2])
def test_onnx_gives_the_answers_of_the_reference(directions, use_bias):
    """ONNX's own evaluator computes in float64; it has no gradients."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    stack, x, states, _ = problem = drawn(20 + directions, 1, directions, use_bias)
    arrays = to_dialect(stack, "onnx")
    inputs = ["x", "W", "R", "B" if use_bias else "", "", "h", "c"]
    options = {"hidden_size": stack[0][0].units, "direction": "bidirectional" if directions == 2 else "forward"}
    node = onnx.helper.make_node("LSTM", inputs, ["Y", "Yh", "Yc"], **options)
    infos = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.DOUBLE, None) for n in (*filter(None, inputs),)]
    outputs = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.DOUBLE, None) for n in node.output]
    graph = onnx.helper.make_graph([node], "g", infos, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)])
    hidden, cell = (np.stack(arrays) for arrays in zip(*states[0], strict=True))
    feed = {**arrays, "x": x.swapaxes(0, 1), "h": hidden, "c": cell}
    sequence, *ends = ReferenceEvaluator(model).run(None, feed)
    desired = reference(*problem)
    sequence = np.concatenate([sequence[:, k].swapaxes(0, 1) for k in range(directions)], axis=-1)
    np.testing.assert_allclose(sequence, desired[0], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(np.stack(ends, 1), np.asarray(desired[1]), rtol=0, atol=TOLERANCE)


def test_every_executed_row_has_a_test():
    tested = {*JAX, "jax-rnn", "torch", "torch-cell", "onnx", "keras", "tf1"} - {"flax-linen-optimized"}
    assert tested == {name for name, row in DIALECTS.items() if row.executed}


@pytest.mark.filterwarnings("ignore:.*rnn_cell.LSTMCell.* is deprecated:UserWarning")
@pytest.mark.skipif(importlib.util.find_spec("tf_keras") is None, reason="tf_keras is not installed")
def test_the_cell_of_tensorflow_1_gives_the_answers_of_the_reference():
    import tensorflow as tf
    from tf_keras.src.layers.rnn import legacy_cells

    stack, x, states, _ = problem = drawn(31)
    cell = legacy_cells.LSTMCell(stack[0][0].units, dtype=tf.float64)
    arrays = to_dialect(stack, "tf1")
    cell.build((BATCH, x.shape[-1]))
    cell.set_weights([arrays["kernel"], arrays["bias"]])
    state, outputs = legacy_cells.LSTMStateTuple(states[0][0].cell, states[0][0].hidden), []
    for timestep in range(TIMESTEPS):
        output, state = cell(tf.constant(x[:, timestep]), state)
        outputs.append(output.numpy())
    desired = reference(*problem)
    np.testing.assert_allclose(np.stack(outputs, 1), desired[0], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose([state.h, state.c], desired[1][0], rtol=0, atol=TOLERANCE)
