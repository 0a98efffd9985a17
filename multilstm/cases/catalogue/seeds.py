"""The five seed programs, which were written to learn how an LSTM behaves, as cases.

A shortened program has fewer sequences, batches or lengths, and is otherwise the same; `full=True` gives the full one.
When shortened variants share layers and optimizer, only the first runs the 100 updates.
"""

from __future__ import annotations

from dataclasses import replace

from multilstm.cases.case import Case, Evaluate, Fit
from multilstm.cases.recipes import DelayedSum, Sequences, Tokens
from multilstm.spec import (
    LSTM,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Input,
    Layer,
    Masking,
    Model,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.optimizers import Adam, RMSprop

PROGRAMS = ("seed1-stateful", "seed2-stacked", "seed3-states", "seed4-one-feature", "seed5")  # one variant of each
NO_UPDATES = "without the 100 updates"  # another variant makes them, or a case of `optimizers.py`


def seeds(full: bool = False) -> tuple[Case, ...]:
    """Return the five seed programs with their variants; shortened unless `full`."""
    return (
        variable_length("seed1-stateful", full, stateful=True),
        variable_length("seed1-stateless", full, stateful=False),
        stacked_classifier(),
        integer_coded("seed2-integers", full, embedded=False),
        integer_coded("seed2-embedding", full, embedded=True),
        functional_states(),
        states_from_outside("seed3-states", 8, 8, trained=True),
        states_from_outside("seed3-units", 8, 5, trained=False),
        both_states(),
        many_features("seed4-one-feature", 1),
        many_features("seed4-two-features", 2),
        new_length_every_batch("seed5", full, in_place=True),
        new_length_every_batch("seed5-copied", full, in_place=False),
        new_length_every_batch("seed5-masked", full, in_place=False, masked=True),
    )


def variable_length(name: str, full: bool, *, stateful: bool) -> Case:
    """Return program 1: one model for sequences of any length, with or without a carried state."""
    batch = 200 if full else 20
    spec = Sequential(
        [LSTM(100, return_sequences=True, stateful=stateful), LSTM(100), Dense(2, activation="softmax")],
        input_shape=(None, 100),
        batch_size=batch,
    )

    def data(batches: int, timesteps: int, seed: int) -> Sequences:
        return Sequences(batches * batch, timesteps, 100, batch, targets=((2,),), seed=seed)

    held_out = data(1, 50, seed=104)
    return Case(
        name,
        "any length, state carried from batch to batch" if stateful else "any length, no state carried",
        spec,
        forward=data(2, 50, seed=101),
        loss="categorical_crossentropy",
        optimizer=RMSprop(),
        training=(
            *(Fit(data(5, timesteps, seed=101), validation=held_out) for timesteps in (50, 10, 60)),
            Evaluate(held_out),
        ),
        updates_on=data(5, 10, seed=101) if full or stateful else None,
        shortened="" if full else f"batches of 20 instead of 200 sequences{'' if stateful else f', {NO_UPDATES}'}",
        seed=1,
    )


def _classifier(first: tuple[Layer, ...], classes: int, input_shape: tuple[int, ...], dtype: str) -> Graph:
    stack = (LSTM(32, return_sequences=True), LSTM(32, return_sequences=True), LSTM(32))
    return Sequential([*first, *stack, Dense(classes, activation="softmax")], input_shape, input_dtype=dtype)


def stacked_classifier() -> Case:
    """Return program 2: three layers on [1000, 8, 16]; the labels are uniform in [0, 1), as published."""

    def data(count: int, batch: int, seed: int) -> Sequences:
        return Sequences(count, 8, 16, batch, targets=((10,),), labels="uniform", seed=seed)

    return Case(
        "seed2-stacked",
        "three stacked layers, labels that do not sum to one",
        _classifier((), 10, (8, 16), "float32"),
        forward=data(64, 64, seed=201),
        loss="categorical_crossentropy",
        optimizer=RMSprop(),
        training=(Fit(data(1000, 64, seed=201), epochs=5, validation=data(100, 100, seed=202)),),
        updates_on=data(1000, 64, seed=201),
        seed=2,
    )


def integer_coded(name: str, full: bool, *, embedded: bool) -> Case:
    """Return program 2 on integers: 25 characters, length 31, `[n, 31]` as one feature, or through an Embedding."""
    data = Tokens(320, 31, 25, 64, as_feature=not embedded, seed=203)
    shape, dtype = ((31,), "int32") if embedded else ((31, 1), "float32")
    return Case(
        name,
        "25 characters through an Embedding" if embedded else "25 characters as one feature, [n, 31, 1]",
        _classifier((Embedding(25, 16),) if embedded else (), 25, shape, dtype),
        forward=Tokens(64, 31, 25, 64, as_feature=not embedded, seed=203),
        loss="categorical_crossentropy",
        optimizer=RMSprop(),
        training=(Fit(data),),
        updates_on=data if full else None,
        shortened="" if full else NO_UPDATES,
        seed=3,
    )


def functional_states() -> Case:
    """Return program 2 as a functional model of three outputs: the sequence and both states."""
    inputs = Input((2, 3))
    outputs = LSTM(1, return_sequences=True, return_state=True)(inputs)
    return Case(
        "seed2-functional",
        "sequence, hidden and cell state as outputs",
        Model(inputs, outputs),
        forward=Sequences(4, 2, 3, 4, targets=((2, 1), (1,), (1,)), labels="uniform", seed=204),
        loss="mean_squared_error",
        seed=4,
    )


def states_from_outside(name: str, first: int, second: int, *, trained: bool) -> Case:
    """Return program 3: the states of both layers, one of them stateless, are set before every batch and read back."""
    spec = Sequential(
        [
            LSTM(first, return_sequences=True, stateful=True),
            LSTM(second, return_sequences=True),
            Dropout(0.2),
            TimeDistributed(Dense(2, activation="softmax")),
        ],
        input_shape=(96, 2),
        batch_size=10,
    )

    def data(count: int, seed: int) -> Sequences:
        return Sequences(
            count,
            96,
            2,
            10,
            targets=((96, 2),),
            states=(("lstm", first), ("lstm_1", second)),
            dropout=spec,
            seed=seed,
        )

    return Case(
        name,
        f"states set before every batch and read back, units {first} and {second}",
        spec,
        forward=data(20, seed=301),
        loss="mean_squared_error",
        optimizer=Adam(),
        training=(Fit(data(100, seed=301)),) if trained else (),
        updates_on=data(100, seed=301) if trained else None,
        seed=5,
    )


def both_states() -> Case:
    """Return the small program 3: the hidden and the cell state after five timesteps."""
    inputs = Input((5, 1), batch_size=2)
    outputs = LSTM(8, return_state=True)(inputs)
    return Case(
        "seed3-both-states",
        "both states of one layer after five timesteps",
        Model(inputs, outputs[1:]),
        forward=Sequences(2, 5, 1, 2, targets=((8,), (8,)), labels="uniform", seed=302),
        loss="mean_squared_error",
        seed=6,
    )


def many_features(name: str, features: int) -> Case:
    """Return program 4: one unit; every feature adds four weights, the number of timesteps adds none."""
    return Case(
        name,
        f"one unit on {features} feature{'s' if features > 1 else ''}: "
        f"4*({features}*1 + 1*1 + 1) = {4 * (features + 2)} parameters",
        Sequential([LSTM(1)], input_shape=(None, features)),
        forward=Sequences(3, 7, features, 3, targets=((1,),), labels="uniform", seed=401),
        loss="mean_squared_error",
        seed=7,
    )


def new_length_every_batch(name: str, full: bool, *, in_place: bool, masked: bool = False) -> Case:
    """Return program 5: every batch has a new length; see `DelayedSum` for the task, as published and as meant."""
    stack = [
        *([Masking(-1.0)] if masked else []),
        LSTM(32, return_sequences=True),
        LSTM(8, return_sequences=True),
        TimeDistributed(Dense(2, activation="sigmoid")),
    ]
    variant = "masked" if masked else "as published: the sum is in the input" if in_place else "the input is unchanged"
    lengths = tuple(range(10, 100)) if full else (10, 99)

    def data(sequences: int, steps: int, seed: int) -> DelayedSum:
        return DelayedSum(sequences, steps, lengths, in_place, padded=masked, seed=seed)

    return Case(
        name,
        f"a new length in every batch, {variant}",
        Sequential(stack, input_shape=(None, 5)),
        forward=data(1000 if full else 100, 2, seed=501),
        loss="categorical_crossentropy",
        optimizer=Adam(),
        training=(Fit(data(1000, 30, seed=501), epochs=10) if full else Fit(data(100, 5, seed=501), epochs=2),),
        # The full program makes 300 updates. One length is enough: an update does not depend on it, and the program's
        # gradients cover both lengths.
        updates_on=replace(data(100, 5, seed=501), lengths=(10,)) if in_place and not full else None,
        shortened="" if full else "10 of 300 batches, of 100 instead of 1000 sequences, 2 of 90 lengths",
        seed=8,
    )
