"""Conditions on which a GPU computes an LSTM with cuDNN or with a loop: one case for each side of each condition.

By its source, Keras uses cuDNN on these conditions:

- The activations are tanh and sigmoid, there is a bias, and the LSTM is not unrolled.
- JAX and PyTorch: there is no mask.
- TensorFlow: a mask is padded on the right, and masks no sequence in all timesteps.
- A Bidirectional is one call of cuDNN if it has no dropout, no carried states and no mask.

PyTorch chooses among cuDNN's algorithms by batch, features and units. On a CPU these cases are like any other.
Options that act alone are cases `option-*`.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator

from multilstm.cases.case import Case
from multilstm.cases.random_batches import MASKS, PADDING, RandomBatches, shortened, trainable
from multilstm.spec import LSTM, Bidirectional, Dense, Graph, Input, Layer, Masking, Model, Sequential

BATCH, TIMESTEPS, FEATURES = 4, 6, 3


SIZES = ((4, 6), (4, 9), (1, 6), (7, 1), (4, 6))  # batch and timesteps, since a plan of cuDNN is for one size


def gpu(full: bool = False) -> Iterator[Case]:
    """Yield the cases; unless `full`, with gradients and training in float64 alone."""
    for case in _cases():
        yield case if full else shortened(case, True)


def _cases() -> Iterator[Case]:
    for kind in MASKS:
        yield _case(f"mask-{kind}", _states(LSTM(4, return_sequences=True, return_state=True)), mask=kind)
    yield _case("mask-right-go_backwards", _one(LSTM(4, return_sequences=True, go_backwards=True)), mask="right")
    masking = Sequential([Masking(PADDING), LSTM(4, return_sequences=True), LSTM(3)], input_shape=(None, FEATURES))
    for kind in ("right", "full_row"):
        yield _case(f"masking-{kind}", masking, mask=kind, by_value=True)
    yield _case("go_backwards", _one(LSTM(4, return_sequences=True, go_backwards=True)))
    yield _case("go_backwards-states", _one(LSTM(4, return_sequences=True, go_backwards=True)), given=True)
    for name, lstm in {
        "": LSTM(4, return_sequences=True),
        "-last": LSTM(4),
        "-dropout": LSTM(4, return_sequences=True, dropout=0.3),
        "-stateful": LSTM(4, return_sequences=True, stateful=True),
        "-no_bias": LSTM(4, return_sequences=True, use_bias=False),
        "-relu": LSTM(4, return_sequences=True, activation="relu"),
    }.items():
        yield _case(f"bidirectional{name}", _one(Bidirectional(lstm)))
    yield _case("bidirectional-states", _one(Bidirectional(LSTM(4, return_sequences=True))), given=True)
    yield _case("bidirectional-mask-right", _one(Bidirectional(LSTM(4, return_sequences=True))), mask="right")
    yield _case("stateful", _one(LSTM(4, return_sequences=True, stateful=True)))
    yield _case("states", _one(LSTM(4, return_sequences=True)), given=True)
    sizes = _case("sizes", _one(LSTM(4, return_sequences=True)), given=True)
    assert isinstance(sizes.forward, RandomBatches)
    forward = dataclasses.replace(sizes.forward, sizes=SIZES)
    yield dataclasses.replace(sizes, description="batches of several sizes in one program", forward=forward)
    # float32 must be within 1e-5 here. The second case has the units and features of a persistent kernel of cuDNN.
    yield _case("steps-100", _one(LSTM(64, return_sequences=True)), batch=8, timesteps=100)
    yield _case("units-128", _one(LSTM(128, return_sequences=True), 128), batch=16, timesteps=10)


def _case(
    name: str,
    spec: Graph,
    *,
    mask: str = "none",
    by_value: bool = False,
    given: bool = False,
    batch: int = BATCH,
    timesteps: int = TIMESTEPS,
) -> Case:
    stateful = any(layer.stateful for layer in spec.recurrent.values())
    states = tuple(spec.recurrent) if given else ()
    seed = zlib.crc32(name.encode())
    data = RandomBatches(spec, batch, timesteps, 3 if stateful else 1, mask, by_value, states, seed=seed)
    return trainable(f"gpu-{name}", f"{name.replace('-', ', ')}: cuDNN or a loop", data)


def _one(layer: Layer, features: int = FEATURES) -> Graph:
    inner = layer.layer if isinstance(layer, Bidirectional) else layer
    assert isinstance(inner, LSTM)
    return Sequential([layer, Dense(2)], input_shape=(None, features), batch_size=BATCH if inner.stateful else None)


def _states(layer: Layer) -> Graph:
    inputs = Input((None, FEATURES))
    return Model(inputs, layer(inputs))
