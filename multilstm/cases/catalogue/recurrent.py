"""GRU, SimpleRNN and ConvLSTM2D: options, kinds of mask, states, dropout, penalties, and states that layers pass.

Each model returns many layers that read one input, so that one compiled program tests them all. A comparison names the
layer that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from multilstm.cases.case import Case
from multilstm.cases.random_batches import RandomBatches, shortened, trainable
from multilstm.spec import (
    GRU,
    L1,
    L2,
    LSTM,
    Bidirectional,
    ConvLSTM2D,
    Dense,
    Flatten,
    Graph,
    Input,
    Layer,
    MaxNorm,
    Model,
    NonNeg,
    SimpleRNN,
    TimeDistributed,
    UnitNorm,
)
from multilstm.spec.optimizers import Adam

BATCH, TIMESTEPS, FEATURES, UNITS = 3, 5, 3, 4
IMAGE = (4, 3, 2)  # rows, columns, channels
MASKED = ("none", "left", "full_row")


def recurrent(full: bool = False) -> Iterator[Case]:
    """Yield the cases of all models."""
    for number, (name, (make, kinds)) in enumerate(MODELS.items()):
        spec = make()
        stateful = any(layer.stateful for layer in spec.recurrent.values())
        for place, kind in enumerate(kinds):
            data = RandomBatches(
                spec,
                BATCH,
                TIMESTEPS,
                2 if stateful else 1,
                kind,
                states=tuple(spec.recurrent) if name.endswith("states") else (),
                seed=9500 + 10 * number + place,
            )
            suffix = "" if kind == "none" else f"-mask-{kind}"
            case = trainable(
                f"recurrent-{name}{suffix}", f"{name.replace('_', ' ')}, mask {kind}", data, Adam(), number
            )
            yield case if full else shortened(case, place == len(kinds) - 1)


def _parallel(layers: list[Layer], timesteps: int | None = None, batch: int | None = None) -> Graph:
    """Return a model in which all layers read its input, and whose outputs are theirs."""
    x = Input((timesteps, FEATURES), batch)
    outputs: list[Any] = []
    for layer in layers:
        made = layer(x)
        outputs += made if isinstance(made, list) else [made]
    return Model(x, outputs)


def _options(kind: type[GRU | SimpleRNN], gates: list[dict[str, Any]]) -> Graph:
    """Return every option of a layer, and those of its gates."""
    options: list[dict[str, Any]] = [
        {"return_sequences": True, "return_state": True},
        {"activation": "relu", "return_state": True},
        {"return_sequences": True, "go_backwards": True, "use_bias": False},
        {"return_sequences": True, "zero_output_for_mask": True},
        {"zero_output_for_mask": True, "go_backwards": True},
    ]
    around = Bidirectional(kind(UNITS, return_sequences=True, return_state=True))
    return _parallel([*(kind(UNITS, **each) for each in (*options, *gates)), around])


def _gru() -> Graph:
    gates: list[dict[str, Any]] = [
        {"reset_after": False, "return_sequences": True},
        {"reset_after": False, "use_bias": False, "recurrent_activation": "softsign"},
        {"implementation": 1, "recurrent_activation": "hard_sigmoid_keras2", "return_sequences": True},
    ]
    return _options(GRU, gates)


def _simple_rnn() -> Graph:
    return _options(SimpleRNN, [{"activation": "softplus", "return_sequences": True}])


def _unroll() -> Graph:
    options: dict[str, Any] = {"unroll": True, "return_sequences": True}
    layers: list[Layer] = [
        GRU(UNITS, **options),
        GRU(UNITS, reset_after=False, go_backwards=True, zero_output_for_mask=True, **options),
        SimpleRNN(UNITS, **options),
        SimpleRNN(UNITS, unroll=True, zero_output_for_mask=True),
    ]
    return _parallel(layers, TIMESTEPS)


def _states() -> Graph:
    layers: list[Layer] = [
        GRU(UNITS, return_sequences=True),
        GRU(UNITS, go_backwards=True),
        SimpleRNN(UNITS, return_sequences=True),
        SimpleRNN(UNITS, activation="relu", return_state=True),
        Bidirectional(GRU(UNITS, return_sequences=True)),
        Bidirectional(SimpleRNN(UNITS), "mul"),
    ]
    return _parallel(layers)


def _before_states() -> Graph:
    return _parallel([GRU(UNITS, reset_after=False, return_sequences=True), GRU(UNITS, reset_after=False)])


def _stateful() -> Graph:
    layers: list[Layer] = [
        GRU(UNITS, stateful=True, return_sequences=True),
        GRU(UNITS, stateful=True, reset_after=False, return_state=True),
        SimpleRNN(UNITS, stateful=True),
        Bidirectional(GRU(UNITS, stateful=True)),
    ]
    return _parallel(layers, batch=BATCH)


def _dropout() -> Graph:
    layers: list[Layer] = [
        GRU(UNITS, dropout=0.3),
        GRU(UNITS, dropout=0.3, implementation=1),
        GRU(UNITS, dropout=0.2, recurrent_dropout=0.4, return_sequences=True),
        GRU(UNITS, recurrent_dropout=0.4, reset_after=False, return_sequences=True),
        SimpleRNN(UNITS, dropout=0.2, recurrent_dropout=0.4, return_sequences=True),
        Bidirectional(GRU(UNITS, dropout=0.3, recurrent_dropout=0.2)),
    ]
    return _parallel(layers)


def _penalties() -> Graph:
    layers: list[Layer] = [
        GRU(UNITS, kernel_regularizer=L1(0.01), recurrent_regularizer=L2(0.02), bias_regularizer=L2(0.03)),
        GRU(UNITS, kernel_constraint=MaxNorm(0.6), recurrent_constraint=NonNeg(), bias_constraint=UnitNorm()),
        SimpleRNN(UNITS, kernel_regularizer=L2(0.01), bias_constraint=UnitNorm()),
        GRU(UNITS, trainable=False),
    ]
    return _parallel(layers)


def _encoder_decoder() -> Graph:
    """Return layers that start from the states of others, also of other classes."""
    x = Input((None, FEATURES))
    sequence, state = GRU(UNITS, return_sequences=True, return_state=True)(x)
    _, hidden, _ = LSTM(UNITS, return_state=True)(x)
    decoded = GRU(UNITS, return_sequences=True)(sequence, initial_state=[state])
    plain = SimpleRNN(UNITS)(sequence, initial_state=[state])
    crossed = GRU(UNITS, reset_after=False)(sequence, initial_state=[hidden])
    both = Bidirectional(GRU(UNITS))(sequence, initial_state=[state, hidden])
    return Model(x, [Dense(2)(decoded), plain, crossed, both])


def _images(layers: list[Layer], batch: int | None = None) -> Graph:
    """Return a model in which all layers read images; a loss with a mask of timesteps needs flat ones."""
    x = Input((TIMESTEPS, *IMAGE), batch)
    outputs: list[Any] = []
    for layer in layers:
        made = layer(x)
        first, *states = made if isinstance(made, list) else [made]
        flat = (
            TimeDistributed(Flatten()) if any(part.return_sequences for part in layer.recurrent.values()) else Flatten()
        )
        outputs += [flat(first), *states]
    return Model(x, outputs)


def _conv_lstm() -> Graph:
    options: dict[str, Any] = {"kernel_regularizer": L2(0.01), "recurrent_constraint": MaxNorm(0.6)}
    layers: list[Layer] = [
        ConvLSTM2D(2, 3, return_sequences=True, return_state=True, **options),
        ConvLSTM2D(2, (2, 3), (2, 1), "same", activation="relu", go_backwards=True, return_sequences=True),
        ConvLSTM2D(3, 2, dilation_rate=2, recurrent_activation="hard_sigmoid_keras2", use_bias=False),
        ConvLSTM2D(2, 2, unroll=True, zero_output_for_mask=True),
        Bidirectional(ConvLSTM2D(2, 2, return_sequences=True), "sum"),
    ]
    return _images(layers)


def _conv_lstm_states() -> Graph:
    return _images([ConvLSTM2D(2, 2, return_sequences=True), Bidirectional(ConvLSTM2D(2, 2))])


def _conv_lstm_carried() -> Graph:
    """Return a layer that carries its states, one with dropout, and one that starts from the states of another."""
    x = Input((TIMESTEPS, *IMAGE), BATCH)
    sequence, *states = ConvLSTM2D(2, 2, padding="same", return_sequences=True, return_state=True)(x)
    decoded = ConvLSTM2D(2, 3, padding="same")(sequence, initial_state=states)
    others = [ConvLSTM2D(2, 2, stateful=True), ConvLSTM2D(2, 2, dropout=0.3, recurrent_dropout=0.4)]
    return Model(x, [Flatten()(output) for output in (decoded, *(layer(x) for layer in others))])


# By name: the model, and its kinds of mask, which the inputs bring with them; the last kind is trained.
MODELS: dict[str, tuple[Callable[[], Graph], tuple[str, ...]]] = {
    "gru": (_gru, MASKED),
    "simple_rnn": (_simple_rnn, MASKED),
    "unroll": (_unroll, ("holes",)),
    "states": (_states, ("none",)),
    "before-states": (_before_states, ("holes",)),
    "stateful": (_stateful, ("right",)),
    "dropout": (_dropout, ("none",)),
    "penalties": (_penalties, ("none",)),
    "encoder_decoder": (_encoder_decoder, ("holes",)),
    "conv_lstm": (_conv_lstm, ("full_row",)),
    "conv_lstm-states": (_conv_lstm_states, ("holes",)),
    "conv_lstm-carried": (_conv_lstm_carried, ("none",)),
}
