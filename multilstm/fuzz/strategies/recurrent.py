"""Strategies of recurrent layers: every class of the spec's table, alone or in a Bidirectional."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from multilstm.fuzz.strategies.arguments import FLAG, Draw, mostly, training_arguments
from multilstm.fuzz.strategies.places import Place, Setting
from multilstm.spec import GRU, LSTM, Bidirectional, SimpleRNN
from multilstm.spec.layers import ACTIVATIONS, MERGE_MODES, Recurrent

__all__ = ["bidirectional", "recurrent", "recurrent_place"]

LONGEST_UNROLLED = 8  # timesteps
OPTIONS: dict[str, Any] = {
    "activation": mostly("tanh", ACTIVATIONS),
    "recurrent_activation": mostly("sigmoid", ACTIVATIONS),
    "use_bias": mostly(True, (True, False)),
    "go_backwards": FLAG,
    "reset_after": mostly(True, (False,)),
    "use_cudnn": mostly("auto", (False,)),
    "zero_output_for_mask": FLAG,
    "implementation": mostly(2, (1,)),
}


@st.composite
def recurrent(
    draw: Draw,
    setting: Setting,
    place: Place,
    sequences: bool,
    states: bool = False,
    kind: type[Recurrent] | None = None,
    units: int | None = None,
) -> Recurrent:
    """Draw an LSTM, a GRU or a SimpleRNN.

    Args:
        draw: Hypothesis's function.
        setting: the decisions for the model.
        place: the input, which decides whether the layer may be unrolled.
        sequences: whether it returns sequences.
        states: whether it returns its states.
        kind: its class; None: any.
        units: its size; None: any.
    """
    kind = kind or draw(st.sampled_from((LSTM, GRU, SimpleRNN)))
    names = [field.name for field in dataclasses.fields(kind)]
    chosen = {name: draw(strategy) for name, strategy in OPTIONS.items() if name in names}
    if setting.trained and draw(FLAG):
        chosen |= training_arguments(draw, kind)
    short = place.shape[1] is not None and place.sizes[1] <= LONGEST_UNROLLED
    arguments: Any = {
        **chosen,
        "units": units or draw(st.integers(1, 4)),
        "return_sequences": sequences,
        "return_state": states,
        "stateful": setting.stateful and draw(FLAG),
        "unroll": short and draw(FLAG),
    }
    return kind(**arguments)


@st.composite
def bidirectional(draw: Draw, setting: Setting, place: Place, sequences: bool, states: bool = False) -> Bidirectional:
    """Draw a Bidirectional, which may return two outputs."""
    layer = draw(recurrent(setting, place, sequences, states))
    frozen: Any = {} if layer.trainable else {"trainable": draw(st.booleans())}
    inner = dataclasses.replace(layer, go_backwards=False)
    return Bidirectional(inner, merge_mode=draw(st.sampled_from(MERGE_MODES)), **frozen)


@st.composite
def recurrent_place(draw: Draw, setting: Setting, place: Place, sequences: bool) -> Place:
    """Draw the only output of a recurrent layer behind a place."""
    if draw(st.integers(0, 2)):
        return place.then(draw(recurrent(setting, place, sequences)))[0]
    layer = draw(bidirectional(setting, place, sequences))
    if layer.merge_mode is None:
        layer = dataclasses.replace(layer, merge_mode="concat")
    return place.then(layer)[0]
