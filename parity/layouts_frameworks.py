"""The LSTMs of other frameworks, executed in float64 on the weights of a drawn problem.

Each function of `FRAMEWORKS` takes a problem and returns sequence, states and gradients, these in Keras's layout.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from layouts_drawn import Answers, Problem, answers_of, as_job, sizes

from multilstm.conversion import DIALECTS, from_dialect, to_dialect
from multilstm.spec.arrays import State
from multilstm.workers import WorkerPool

OPSET = 22


class Framework(NamedTuple):
    """One class of a framework that computes an LSTM.

    Attributes:
        dialect: the layout of its weights.
        module: the module that must be installed.
        answers: executes a problem.
    """

    dialect: str
    module: str
    answers: Callable[[Problem], Answers]

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


def keras(pool: WorkerPool, problem: Problem) -> Answers:
    """Execute plain Keras on PyTorch, in a process of its own."""
    spec, job = as_job(problem)
    return answers_of(problem, spec, pool.execute("keras-torch", job))


def torch_lstm(problem: Problem) -> Answers:
    import torch

    lstm = torch.nn.LSTM(
        problem.inputs.shape[-1], problem.units, len(problem.stack), problem.use_bias, batch_first=True,
        bidirectional=problem.directions == 2, dtype=torch.float64,
    )  # fmt: skip
    start = _tensors([np.stack(arrays) for arrays in zip(*problem.flat_states, strict=True)])
    x = _tensors([problem.inputs])[0]
    return _of_torch("torch", lstm, problem, x, start, lambda: lstm(x, tuple(start)), _rows)


def torch_cell(problem: Problem) -> Answers:
    import torch

    cell = torch.nn.LSTMCell(problem.inputs.shape[-1], problem.units, problem.use_bias, dtype=torch.float64)
    start = _tensors(problem.states[0][0])
    x = _tensors([problem.inputs])[0]

    def call() -> tuple[Any, Any]:
        carry, outputs = tuple(start), []
        for timestep in range(x.shape[1]):
            carry = cell(x[:, timestep], carry)
            outputs.append(carry[0])
        return torch.stack(outputs, 1), carry

    return _of_torch("torch-cell", cell, problem, x, start, call, lambda pair: [State(*pair)])


def linen(cell_class: str) -> Callable[..., Any]:
    def forward(arrays: Any, x: Any, flat: Any) -> Any:
        import flax.linen as nn

        (state,) = flat
        rnn = nn.RNN(getattr(nn, cell_class)(state.hidden.shape[1], param_dtype=x.dtype), return_carry=True)
        variables = {"params": {"cell": _nested(arrays)}}
        (cell, hidden), sequence = rnn.apply(variables, x, initial_carry=(state.cell, state.hidden))
        return sequence, [State(hidden, cell)]

    return forward


def nnx(cell_class: str) -> Callable[..., Any]:
    def forward(arrays: Any, x: Any, flat: Any) -> Any:
        from flax import nnx

        (state,) = flat
        cell = getattr(nnx, cell_class)(x.shape[-1], state.hidden.shape[1], param_dtype=x.dtype, rngs=nnx.Rngs(0))
        for path, array in arrays.items():
            module, leaf = path.split("/")
            getattr(getattr(cell, module), leaf)[...] = array
        start = (state.cell, state.hidden)
        (end, hidden), sequence = nnx.RNN(cell, return_carry=True)(x, initial_carry=start)
        return sequence, [State(hidden, end)]

    return forward


def equinox(arrays: Any, x: Any, flat: Any) -> Any:
    import equinox as eqx
    import jax

    (state,) = flat
    options = {"use_bias": "bias" in arrays, "key": jax.random.key(0), "dtype": x.dtype}
    cell = eqx.nn.LSTMCell(x.shape[-1], state.hidden.shape[1], **options)
    names = ("weight_ih", "weight_hh", *(["bias"] if "bias" in arrays else []))
    cell = eqx.tree_at(lambda c: [getattr(c, name) for name in names], cell, [arrays[name] for name in names])

    def over_time(x: Any, hidden: Any, end: Any) -> Any:
        def step(carry: Any, x_t: Any) -> Any:
            carry = cell(x_t, carry)
            return carry, carry[0]

        return jax.lax.scan(step, (hidden, end), x)

    (hidden, end), sequence = jax.vmap(over_time)(x, *state)
    return sequence, [State(hidden, end)]


def haiku(arrays: Any, x: Any, flat: Any) -> Any:
    import haiku as hk

    (state,) = flat

    def program(x: Any, start: Any) -> Any:
        return hk.dynamic_unroll(hk.LSTM(state.hidden.shape[1]), x, start, time_major=False)

    params = {f"lstm/{module}": leaves for module, leaves in _nested(arrays).items()}
    sequence, end = hk.without_apply_rng(hk.transform(program)).apply(params, x, hk.LSTMState(*state))
    return sequence, [State(end.hidden, end.cell)]


@functools.cache
def jax_rnn(layers: int, directions: int) -> Callable[..., Any]:
    def forward(arrays: Any, x: Any, flat: Any) -> Any:
        import jax.numpy as jnp
        from jax.experimental import rnn

        hidden, cell = (jnp.stack(arrays) for arrays in zip(*flat, strict=True))
        given = x.shape[-1], hidden.shape[-1], layers, directions == 2
        unpacked = rnn.unpack_lstm_weights(arrays["weights"], *given)
        lengths = jnp.full((len(x),), x.shape[1], jnp.int32)
        sequence, *ends = rnn.lstm_ref(x, hidden, cell, *unpacked, lengths, *given[:3], 0.0, given[3])
        return sequence, [State(*pair) for pair in zip(*ends, strict=True)]

    return forward


def onnx(problem: Problem) -> Answers:
    """Execute a node of ONNX by the evaluator of the package `onnx`, which has no gradients."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    inputs = ["x", "W", "R", "B" if problem.use_bias else "", "", "h", "c"]
    direction = "bidirectional" if problem.directions == 2 else "forward"
    node = helper.make_node("LSTM", inputs, ["Y", "Yh", "Yc"], hidden_size=problem.units, direction=direction)
    kinds = [
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, None) for name in names if name]
        for names in (inputs, node.output)
    ]
    graph = helper.make_graph([node], "g", *kinds)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    hidden, cell = (np.stack(arrays) for arrays in zip(*problem.flat_states, strict=True))
    feed = {**to_dialect(problem.stack, "onnx"), "x": problem.inputs.swapaxes(0, 1), "h": hidden, "c": cell}
    sequence, *ends = ReferenceEvaluator(model).run(None, feed)
    sequence = np.concatenate([sequence[:, k].swapaxes(0, 1) for k in range(problem.directions)], axis=-1)
    return Answers(sequence, [State(*pair) for pair in zip(*ends, strict=True)])


def tensorflow_1(problem: Problem) -> Answers:
    import tensorflow as tf
    from tf_keras.src.layers.rnn import legacy_cells

    cell = legacy_cells.LSTMCell(problem.units, dtype=tf.float64)
    x, (hidden, end) = tf.constant(problem.inputs), map(tf.constant, problem.states[0][0])
    cell.build((len(x), x.shape[-1]))
    arrays = to_dialect(problem.stack, "tf1")
    cell.set_weights([arrays["kernel"], arrays["bias"]])
    with tf.GradientTape() as tape:
        tape.watch((x, hidden, end))
        state, outputs = legacy_cells.LSTMStateTuple(end, hidden), []
        for timestep in range(x.shape[1]):
            output, state = cell(x[:, timestep], state)
            outputs.append(output)
        sequence = tf.stack(outputs, 1)
        loss = tf.reduce_mean((sequence - problem.target) ** 2)
    weights, *others = tape.gradient(loss, [cell.weights, x, hidden, end])
    names = ("kernel", "bias")
    gradients = from_dialect(
        dict(zip(names, (array.numpy() for array in weights), strict=True)), "tf1", gradients=True
    )  # fmt: skip
    of_inputs, *of_states = (array.numpy() for array in others)
    return Answers(
        sequence.numpy(), [State(state.h.numpy(), state.c.numpy())], gradients, of_inputs, [State(*of_states)]
    )


def by_jax(dialect: str, forward: Callable[..., Any], problem: Problem) -> Answers:
    """Return the answers of `forward(arrays, x, flat states) -> sequence, flat states`, differentiated by JAX."""
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        arrays = {name: jnp.asarray(array) for name, array in to_dialect(problem.stack, dialect).items()}
        of, (sequence, ends) = _differentiated(forward)(
            arrays, jnp.asarray(problem.inputs), problem.flat_states, problem.target
        )
        of_weights = {name: np.asarray(array) for name, array in of[0].items()}
        gradients = from_dialect(of_weights, dialect, gradients=True, **sizes(problem, dialect))
        return Answers(sequence, ends, gradients, of[1], of[2])


@functools.cache
def _differentiated(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return the compiled gradient of a forward pass; it is kept, so a shape is compiled once."""
    import jax
    import jax.numpy as jnp

    def loss(arrays: Any, x: Any, flat: Any, target: Any) -> Any:
        sequence, ends = forward(arrays, x, flat)
        return jnp.mean((sequence - target) ** 2), (sequence, ends)

    return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))


def _packed(problem: Problem) -> Answers:
    return by_jax("jax-rnn", jax_rnn(len(problem.stack), problem.directions), problem)


def _jax(dialect: str, module: str, forward: Callable[..., Any]) -> Framework:
    return Framework(dialect, module, functools.partial(by_jax, dialect, forward))


FRAMEWORKS: dict[str, Framework] = {
    "torch": Framework("torch", "torch", torch_lstm),
    "torch-cell": Framework("torch-cell", "torch", torch_cell),
    "flax-linen": _jax("flax-linen", "flax", linen("LSTMCell")),
    "flax-linen (optimized)": _jax("flax-linen", "flax", linen("OptimizedLSTMCell")),
    "flax-nnx": _jax("flax-nnx", "flax", nnx("LSTMCell")),
    "flax-nnx-optimized": _jax("flax-nnx-optimized", "flax", nnx("OptimizedLSTMCell")),
    "equinox": _jax("equinox", "equinox", equinox),
    "haiku": _jax("haiku", "haiku", haiku),
    "jax-rnn": Framework("jax-rnn", "jax", _packed),
    "onnx": Framework("onnx", "onnx", onnx),
    "tf1": Framework("tf1", "tf_keras", tensorflow_1),
}
"""The executed classes that run in this process; plain Keras needs a process of its own, see `all_frameworks`."""


def all_frameworks(pool: WorkerPool) -> dict[str, Framework]:
    """Return `FRAMEWORKS` and plain Keras, which runs in the pool."""
    return {"keras": Framework("keras", "keras", functools.partial(keras, pool)), **FRAMEWORKS}


def without_a_framework() -> Iterator[str]:
    """Yield the dialects that the table calls executed, and that no framework executes."""
    covered = {"keras", *(framework.dialect for framework in FRAMEWORKS.values())}
    yield from (name for name, row in DIALECTS.items() if row.executed != (name in covered))


def _nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of arrays whose names are paths of two names."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        module, leaf = path.split("/")
        tree.setdefault(module, {})[leaf] = array
    return tree


def _tensors(arrays: Any) -> list[Any]:
    import torch

    return [torch.tensor(array, requires_grad=True) for array in arrays]


def _rows(pair: tuple[Any, Any]) -> list[State]:
    """Return the states of every layer and direction, of arrays `[layers * directions, batch, units]`."""
    return [State(*both) for both in zip(*pair, strict=True)]


def _of_torch(
    dialect: str,
    module: Any,
    problem: Problem,
    x: Any,
    start: list[Any],
    call: Callable[[], tuple[Any, Any]],
    states: Callable[[Any], list[State]],
) -> Answers:
    """Return the answers of a module of PyTorch, whose `call` returns the sequence and the pair of states."""
    import torch

    arrays: Mapping[str, np.ndarray] = to_dialect(problem.stack, dialect)
    module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    sequence, ends = call()
    torch.mean((sequence - torch.tensor(problem.target)) ** 2).backward()
    of_weights = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    return Answers(
        sequence.detach().numpy(),
        states(tuple(tensor.detach().numpy() for tensor in ends)),
        from_dialect(of_weights, dialect, gradients=True),
        x.grad.numpy(),
        states(tuple(tensor.grad.numpy() for tensor in start)),
    )
