"""Training with dropout whose masks every engine draws from the seeds of the layers; no mask is given."""

from __future__ import annotations

from multilstm.cases.case import Case, Fit
from multilstm.cases.recipes import Sequences
from multilstm.spec import (
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Graph,
    Input,
    Model,
    Sequential,
    SpatialDropout1D,
    TimeDistributed,
)
from multilstm.spec.optimizers import SGD, Adam

FEATURES, TIMESTEPS = 3, 5


def dropout() -> tuple[Case, ...]:
    """Return the cases."""
    kinds = Sequences(8, TIMESTEPS, FEATURES, 4, targets=((2,),) * 3, labels="uniform", seed=901)
    states = Sequences(
        8, TIMESTEPS, 2, 4, targets=((TIMESTEPS, 2),), states=(("lstm", 3), ("lstm_1", 2)), labels="one_hot", seed=902
    )
    return (
        Case(
            "dropout-kinds",
            "100 updates with every kind of dropout, in both implementations and directions, from one seed",
            _kinds(),
            forward=kinds,
            loss="mean_squared_error",
            optimizer=SGD(0.1),
            training=(Fit(kinds),),
            updates_on=kinds,
            trained_in=("float64",),
            seed=9,
        ),
        Case(
            "dropout-states",
            "100 updates of a small program 3 with a Dropout, from one seed",
            _states(),
            forward=states,
            loss="mean_squared_error",
            optimizer=Adam(),
            training=(Fit(states),),
            updates_on=states,
            trained_in=("float64",),
            seed=10,
        ),
    )


def _kinds() -> Graph:
    """Return layers side by side; the first output has passed a Dropout and a SpatialDropout1D too."""
    x = Input((TIMESTEPS, FEATURES), name="input_layer")
    dropped = SpatialDropout1D(0.2)(TimeDistributed(Dropout(0.1))(Dropout(0.2)(x)))
    outputs = (
        LSTM(2, dropout=0.3)(dropped),
        LSTM(2, dropout=0.4, implementation=1)(x),
        Bidirectional(LSTM(1, dropout=0.3, recurrent_dropout=0.4))(x),
    )
    return Model(x, list(outputs)).with_seeds(11)


def _states() -> Graph:
    stack = [
        LSTM(3, return_sequences=True, stateful=True),
        LSTM(2, return_sequences=True),
        Dropout(0.2),
        TimeDistributed(Dense(2, activation="softmax")),
    ]
    return Sequential(stack, input_shape=(TIMESTEPS, 2), batch_size=4).with_seeds(12)
