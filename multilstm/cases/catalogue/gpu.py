"""What decides on a GPU whether cuDNN computes an LSTM, or a loop: one case for each side of each decision.

By Keras's source: no activation but tanh and sigmoid, a bias, not unrolled; on JAX and PyTorch no mask; on TensorFlow
none that is not padded on the right, and no row that is masked throughout; a Bidirectional is one call of cuDNN without
dropout, states to carry, or a mask. PyTorch chooses among cuDNN's algorithms by batch, features and units. On a CPU the
cases are cases like any other. Options that act alone are under `option-`; parity/README.md lists which.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator

from multilstm.cases.case import Case
from multilstm.cases.random_batches import MASKS, PADDING, Drawn, shortened, trainable
from multilstm.jobs.job import Batch
from multilstm.spec import LSTM, Bidirectional, Dense, Graph, Input, Layer, Masking, Model, Sequential

BATCH, TIMESTEPS, FEATURES = 4, 6, 3


@dataclasses.dataclass(frozen=True)
class OfEachSize:
    """A batch of each size, one after the other through one program, as cuDNN's plans are for one size.

    Attributes:
        data: what draws them.
        sizes: sequences and timesteps of each batch.
    """

    data: Drawn
    sizes: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.sizes)

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """The same batches in every epoch."""
        for size, timesteps in self.sizes:
            yield from dataclasses.replace(self.data, size=size, timesteps=timesteps).batches(epoch)


def gpu(full: bool = False) -> Iterator[Case]:
    """All of them; unless `full`, with gradients and training in float64 alone."""
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
    assert isinstance(sizes.forward, Drawn)
    each = OfEachSize(sizes.forward, ((4, 6), (4, 9), (1, 6), (7, 1), (4, 6)))
    yield dataclasses.replace(sizes, description="batches of other sizes, through one program", forward=each)
    # float32 must be within 1e-5 here; the second has the units and features of a persistent kernel of cuDNN.
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
    stateful = any(lstm.stateful for lstm in spec.lstms.values())
    states = tuple(spec.lstms) if given else ()
    seed = zlib.crc32(name.encode())
    data = Drawn(spec, batch, timesteps, 3 if stateful else 1, mask, by_value, states, seed=seed)
    return trainable(f"gpu-{name}", f"{name.replace('-', ', ')}: cuDNN or a loop", data)


def _one(layer: Layer, features: int = FEATURES) -> Graph:
    inner = layer.layer if isinstance(layer, Bidirectional) else layer
    assert isinstance(inner, LSTM)
    return Sequential([layer, Dense(2)], input_shape=(None, features), batch_size=BATCH if inner.stateful else None)


def _states(layer: Layer) -> Graph:
    inputs = Input((None, FEATURES))
    return Model(inputs, layer(inputs))
