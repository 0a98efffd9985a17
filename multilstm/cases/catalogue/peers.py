"""Peer vectors: the numbers that tests of other projects expect of an LSTM, with their source.

Their weights are constants. With constants most wrong gate orders, and every permutation of units, give the right
answer. So these cases pin published numbers and do not replace the sweep. Keras's rnn_test.py has toy cells and no
LSTM. ONNX has six nodes; the one with peepholes is no LSTM of Keras. The engine `torch-lstm` is torch.nn.LSTM on random
weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.cases.case import Case
from multilstm.cases.recipes import GivenBatches
from multilstm.jobs.job import Batch
from multilstm.spec import LSTM, Bidirectional, Graph, Input, Model, Sequential
from multilstm.spec.arrays import Array, State

_KERAS = "https://github.com/keras-team/keras/blob/12ada9a35eedff1abd926690b58e1588ba1c4add/keras/src/layers/rnn/"
_LSTM = f"{_KERAS}lstm_test.py"
_BIDIRECTIONAL = f"{_KERAS}bidirectional_test.py"
_ONNX = "https://github.com/onnx/onnx/blob/main/onnx/backend/test/case/node/lstm.py"


@dataclasses.dataclass(frozen=True)
class Peer:
    """A case, and the numbers that its source expects.

    Attributes:
        case: the case; its description is the source.
        expected: arrays by quantity and number of the step.
        tolerance: the absolute and relative tolerance of the source itself.
    """

    case: Case
    expected: Mapping[tuple[str, int], Array]
    tolerance: float


def peers() -> tuple[Peer, ...]:
    """Return all peer vectors."""
    return (*_correctness(), *_states(), *_masking(), *_bidirectional(), *_onnx())


def _correctness() -> Iterator[Peer]:
    table: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
        "base": ({}, (0.6288687, 0.86899155, 0.9460773)),
        "go_backwards": ({"go_backwards": True}, (0.35622165, 0.74789524, 0.8872726)),
        "unroll": ({"unroll": True}, (0.6288687, 0.86899155, 0.9460773)),
        "unit_forget_bias-False": ({"unit_forget_bias": False}, (0.57019705, 0.8661914, 0.9459622)),
        "use_bias-False": ({"use_bias": False}, (0.54986924, 0.86226785, 0.9443936)),
    }
    for name, (arguments, rows) in table.items():
        for implementation in (1, 2):
            spec = Sequential([LSTM(3, implementation=implementation, **arguments)], input_shape=(6, 4))
            expected = {("output", 0): _columns(rows, 3)}
            yield _keras(f"{name}-implementation-{implementation}", _LSTM, spec, _arange(3, 6, 4), expected)


def _states() -> Iterator[Peer]:
    spec = Sequential([LSTM(4, stateful=True)], input_shape=(3, 4), batch_size=2)
    expected = {("output", 1): _columns((0.3124785, 0.6863672), 4)}
    yield _keras("stateful", _LSTM, spec, _arange(2, 3, 4), expected, count=2)
    table = {False: ((0.20574439, 0.3558822), (0.64930826, 0.66276)),
             True: ((0.13281618, 0.2790356), (0.5839337, 0.5992567))}  # fmt: skip
    for backwards, rows in table.items():
        spec = Sequential([LSTM(2, go_backwards=backwards)], input_shape=(4, 3))
        states = {"lstm": State(_arange(2, 2), _arange(2, 2))}
        name = "initial_state-go_backwards" if backwards else "initial_state"
        yield _keras(name, _LSTM, spec, _arange(2, 4, 3), {("output", 0): np.array(rows)}, states=states)


def _masking() -> Iterator[Peer]:
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    held = ((0.01588910, 0.05552048, 0.11755939, 0.11755939), (0.14185596, 0.28556206, 0.28556206, 0.28556206))
    zeros = ((0.01588910, 0.05552048, 0.11755939, 0.0), (0.14185596, 0.28556206, 0.0, 0.0))
    table: dict[str, tuple[dict[str, Any], Array, Array]] = {
        "unroll": ({"unroll": True}, mask, np.array((0.11755939, 0.28556206))),
        "return_sequences": ({"return_sequences": True}, mask, np.array(held)),
        "zero_output_for_mask": ({"return_sequences": True, "zero_output_for_mask": True}, mask, np.array(zeros)),
        "go_backwards": ({"go_backwards": True}, mask[:, ::-1], np.array((0.15341201, 0.3844719))),
    }
    for name, (arguments, given, rows) in table.items():
        spec = Sequential([LSTM(2, **arguments)], input_shape=(4, 3))
        expected = {("output", 0): np.repeat(rows[..., None], 2, axis=-1)}
        yield _keras(f"mask-{name}", _LSTM, spec, _arange(2, 4, 3), expected, mask=given)


def _bidirectional() -> Iterator[Peer]:
    spec = Sequential([Bidirectional(LSTM(2, stateful=True))], input_shape=(4, 3), batch_size=2)
    rows = np.array(((0.26234663, 0.16959146), (0.6137073, 0.5381646)))
    expected = {("output", 1): np.repeat(rows, 2, axis=-1)}
    yield _keras("bidirectional-stateful", _BIDIRECTIONAL, spec, _arange(2, 4, 3), expected, count=2)

    spec = Sequential([Bidirectional(LSTM(2))], input_shape=(4, 3))
    given = [_arange(2, 2) * factor for factor in (1, 2, 3, 4)]
    states = {"bidirectional/forward": State(*given[:2]), "bidirectional/backward": State(*given[2:])}
    rows = np.array(((0.20794602, 0.4577124, 0.14046375, 0.48191673), (0.6682636, 0.6711909, 0.60943645, 0.60950446)))
    expected = {("output", 0): rows}
    yield _keras("bidirectional-initial_state", _BIDIRECTIONAL, spec, _arange(2, 4, 3), expected, states=states)

    inputs = Input((4, 3))
    spec = Model(inputs, Bidirectional(LSTM(2, return_state=True))(inputs))
    hidden = np.array(((0.1990008, 0.12659755), (0.52335435, 0.44717982)))
    cell = np.array(((0.35567185, 0.2501858), (1.0492687, 0.941473)))
    expected = {("output:0", 0): np.repeat(hidden, 2, axis=-1)}
    for number, direction in enumerate(("forward", "backward")):
        expected["hidden:bidirectional/" + direction, 0] = _columns(hidden[:, number], 2)
        expected["cell:bidirectional/" + direction, 0] = _columns(cell[:, number], 2)
    yield _keras("bidirectional-return_state", _BIDIRECTIONAL, spec, _arange(2, 4, 3), expected)


def _onnx() -> Iterator[Peer]:
    """Yield the nodes of ONNX. Its gates have the order i, o, f, c, which equal gates do not show."""
    long = np.array([[[1, 2], [3, 4], [5, 6]]], np.float32)  # one sequence of three timesteps
    short = long.swapaxes(0, 1)  # three sequences of one timestep
    wide = np.arange(1, 10, dtype=np.float32).reshape(3, 1, 3)
    hidden = (0.09524120390415192, 0.2560644745826721, 0.4032377600669861)
    spec = Sequential([LSTM(3, use_bias=False)], input_shape=(1, 2))
    yield _peer(
        "onnx-defaults",
        _ONNX,
        spec,
        _batches(spec, short),
        {("hidden:lstm", 0): _columns(hidden, 3)},
        (0.1, 0.1, None),
        1e-6,
    )

    hidden = (0.2560644745826721, 0.536727786064148, 0.6672132015228271)
    spec = Sequential([LSTM(4, unit_forget_bias=False)], input_shape=(1, 3))
    expected = {("hidden:lstm", 0): _columns(hidden, 4)}
    yield _peer("onnx-initial_bias", _ONNX, spec, _batches(spec, wide), expected, (0.1, 0.1, 0.1), 1e-6)

    hidden = (0.33369261026382446, 0.6223931908607483, 0.7185789942741394)
    spec = Sequential([LSTM(7, use_bias=False, return_sequences=True)], input_shape=(1, 2))
    expected = {("hidden:lstm", 0): _columns(hidden, 7), ("sequence:lstm", 0): _columns(hidden, 7)[:, None]}
    yield _peer("onnx-batchwise", _ONNX, spec, _batches(spec, short), expected, (0.3, 0.3, None), 1e-6)

    spec = Sequential([LSTM(3, use_bias=False, go_backwards=True)], input_shape=(3, 2))
    expected = {("hidden:lstm", 0): _columns((0.40412503480911255,), 3),
                ("cell:lstm", 0): _columns((0.7970232963562012,), 3)}  # fmt: skip
    yield _peer("onnx-reverse", _ONNX, spec, _batches(spec, long), expected, (0.1, 0.1, None), 1e-6)

    spec = Sequential([Bidirectional(LSTM(3, use_bias=False))], input_shape=(3, 2))
    values = {"forward": (0.9902244210243225, 2.7129130363464355), "backward": (0.9950469732284546, 2.9999771118164062)}
    expected = {}
    for direction, pair in values.items():
        for kind, value in zip(("hidden", "cell"), pair, strict=True):
            expected[f"{kind}:bidirectional/{direction}", 0] = _columns((value,), 3)
    peer = _peer("onnx-bidirectional", _ONNX, spec, _batches(spec, long), expected, (0.5, 0.5, None), 1e-6)
    assert peer.case.weights is not None
    weights = {name: array * (4 if "backward" in name else 1) for name, array in peer.case.weights.items()}
    yield dataclasses.replace(peer, case=dataclasses.replace(peer.case, weights=weights))


def _keras(
    name: str, source: str, spec: Graph, inputs: Array, expected: Mapping[tuple[str, int], Array], **data: Any
) -> Peer:
    return _peer(f"keras-{name}", source, spec, _batches(spec, inputs, **data), expected, (0.01, 0.02, 0.03), 1e-5)


def _peer(
    name: str,
    source: str,
    spec: Graph,
    data: GivenBatches,
    expected: Mapping[tuple[str, int], Array],
    constants: tuple[float, float, float | None],
    tolerance: float,
) -> Peer:
    """Return a peer with constant kernel, recurrent kernel and bias; 1 for the forget gate with unit_forget_bias."""
    weights = {}
    for weight, shape in spec.weight_shapes.items():
        layer, kind = spec.owner(weight)
        value = constants[("kernel", "recurrent", "bias").index(kind)]
        assert value is not None
        weights[weight] = np.full(shape, value, np.float32)
        if kind == "bias" and isinstance(layer, LSTM) and layer.unit_forget_bias:
            weights[weight][layer.units : 2 * layer.units] = 1.0
    return Peer(Case(f"peer-{name}", source, spec, data, weights=weights), expected, tolerance)


def _batches(
    spec: Graph,
    inputs: Array,
    *,
    count: int = 1,
    mask: Array | None = None,
    states: Mapping[str, State] | None = None,
) -> GivenBatches:
    """Return the same batch `count` times."""
    name = next(iter(spec.inputs))
    batch = Batch({name: inputs}, masks={} if mask is None else {name: mask}, states=states or {})
    return GivenBatches((batch,) * count)


def _arange(*shape: int) -> Array:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def _columns(rows: Sequence[float] | Array, units: int) -> Array:
    """Return `[rows]` as `[rows, units]`, with equal units."""
    return np.repeat(np.asarray(rows)[:, None], units, axis=1)
