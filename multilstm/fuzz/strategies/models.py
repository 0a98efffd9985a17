"""Strategies of models: chains of layers, models with states, branches or shared layers, and models inside models."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from multilstm.fuzz.strategies.arguments import FLAG, Draw, training_arguments
from multilstm.fuzz.strategies.joins import JOINS, joined
from multilstm.fuzz.strategies.layers import ROWS, layer_of
from multilstm.fuzz.strategies.places import Place, Setting, source
from multilstm.fuzz.strategies.recurrent import bidirectional, recurrent, recurrent_place
from multilstm.spec import Concatenate, Dense, Embedding, Graph, Masking, Model, from_json, to_json
from multilstm.spec.layers import Recurrent

__all__ = ["chains", "embeddings", "fronts", "graphs", "nested"]

LARGEST_TENSOR = 2000  # numbers; layers that make a tensor larger follow each other in few models


@st.composite
def embeddings(draw: Draw, setting: Setting) -> Embedding:
    """Draw a table of tokens."""
    trained = training_arguments(draw, Embedding) if setting.trained and draw(FLAG) else {}
    return Embedding(draw(st.integers(3, 5)), draw(st.integers(1, 3)), mask_zero=draw(st.booleans()), **trained)


@st.composite
def fronts(draw: Draw, setting: Setting) -> list[Place]:
    """Draw an input, and the place behind the layer that reads it: sequences, tokens, images, or sequences of them."""
    steps, sizes = setting.timesteps, st.integers(1, 3)
    kind = draw(st.sampled_from(("plain", "plain", "masking", "embedding", "image", "image", "frames")))
    if kind == "embedding":
        tokens = source(setting, (steps,), "int32")
        return [tokens, *tokens.then(draw(embeddings(setting)))]
    if kind == "image":
        image = source(setting, (steps, draw(sizes), draw(sizes)))
        return [image, image]
    if kind == "frames":
        frames = source(setting, (steps, draw(sizes), draw(sizes), draw(sizes)))
        return [frames, frames]
    given = source(setting, (steps, draw(sizes)))
    masked = given.then(Masking(draw(st.sampled_from((0.0, -1.0, 0.5)))))[0] if kind == "masking" else given
    return [given, masked]


@st.composite
def _next(draw: Draw, place: Place, setting: Setting, is_last: bool) -> Place:
    """Draw the output of a layer behind a place: as often a recurrent one as any other, where it fits."""
    if place.rank == 3 and draw(st.booleans()):
        sequences = draw(st.booleans()) if is_last else bool(draw(st.integers(0, 3)))
        return draw(recurrent_place(setting, place, sequences))  # type: ignore[no-any-return]
    kinds = [kind for kind, row in ROWS.items() if row.takes(place)]
    joins = [kind for kind, join in JOINS.items() if join.takes(place)]
    kind = draw(st.sampled_from([*kinds, *joins]))
    if kind in JOINS:
        return draw(joined(kind, place, setting))  # type: ignore[no-any-return]
    return place.then(draw(layer_of(kind, place, setting)))[0]


@st.composite
def chains(draw: Draw, setting: Setting) -> Graph:
    """Draw a chain of up to four layers, some of them of branches that grow and join."""
    given, place = draw(fronts(setting))
    for left in reversed(range(draw(st.integers(1, 4)))):
        if place.zeros.size > LARGEST_TENSOR:
            break
        place = draw(_next(place, setting, not left))
    if place is given or (setting.trained and not draw(st.integers(0, 3))):
        place = place.then(Dense(draw(st.integers(2, 3)), "softmax"))[0]
    return Model(given.tensor, place.tensor)


@st.composite
def graphs(draw: Draw, setting: Setting) -> Graph:
    """Draw a functional model: states as outputs or inputs, an encoder and a decoder, branches, or a shared layer."""
    given = source(setting, (setting.timesteps, draw(st.integers(1, 3))))
    place = given.then(Masking(0.5))[0] if draw(FLAG) else given
    kind = draw(st.sampled_from(("states", "both_directions", "given", "decoder", "branches", "shared")))
    return draw(_KINDS[kind](setting, given, place))  # type: ignore[no-any-return]


def _outputs(places: list[Place]) -> list[Any]:
    return [place.tensor for place in places]


@st.composite
def _states(draw: Draw, setting: Setting, given: Place, place: Place) -> Graph:
    layer = draw(recurrent(setting, place, draw(st.booleans()), states=True))
    return Model(given.tensor, _outputs(place.then(layer)))


@st.composite
def _both_directions(draw: Draw, setting: Setting, given: Place, place: Place) -> Graph:
    layer = draw(bidirectional(setting, place, draw(st.booleans()), draw(st.booleans())))
    return Model(given.tensor, _outputs(place.then(layer)))


@st.composite
def _given(draw: Draw, setting: Setting, given: Place, place: Place) -> Graph:
    layer: Recurrent = draw(recurrent(setting, place, draw(st.booleans()), draw(st.booleans())))
    states = [source(setting, (layer.units,), open_=False) for _ in layer.state_names]
    return Model([given.tensor, *_outputs(states)], _outputs(place.then(layer, states=states)))


@st.composite
def _decoder(draw: Draw, setting: Setting, given: Place, place: Place) -> Graph:
    """Draw a decoder that starts from the states of an encoder of its class."""
    encoder: Recurrent = draw(recurrent(setting, place, sequences=False, states=True))
    second = source(setting, (setting.timesteps, draw(st.integers(1, 3))))
    decoder: Recurrent = draw(recurrent(setting, second, draw(st.booleans()), kind=type(encoder)))
    states = place.then(encoder)[1:]
    if encoder.units != decoder.units:
        states = [state.then(Dense(decoder.units, "tanh"))[0] for state in states]
    return Model([given.tensor, second.tensor], _outputs(second.then(decoder, states=states)))


@st.composite
def _branches(draw: Draw, setting: Setting, given: Place, place: Place) -> Graph:
    sequences = draw(st.booleans())
    first, other = (draw(recurrent_place(setting, place, sequences)) for _ in range(2))
    return Model(given.tensor, _outputs(first.then(Concatenate(), other)))


@st.composite
def _shared(draw: Draw, setting: Setting, given: Place, place: Place) -> Graph:
    layer = draw(recurrent(setting, place, draw(st.booleans())))
    second = source(setting, given.sizes[1:])
    first, other = place.then(layer)[0], second.then(layer)[0]
    return Model([given.tensor, second.tensor], _outputs(first.then(Concatenate(), other)))


_KINDS: dict[str, Any] = {
    "states": _states,
    "both_directions": _both_directions,
    "given": _given,
    "decoder": _decoder,
    "branches": _branches,
    "shared": _shared,
}


def nested(spec: Graph) -> Graph:
    """Return a model as it is read from the JSON of a model that calls it: flat, with other names of its inputs."""
    inner = json.loads(to_json(spec))
    if inner["class_name"] == "Sequential":
        return spec
    entries = {entry["name"]: entry for entry in inner["config"]["layers"]}
    names = {name: f"outer_{name}" for name in spec.input_order}
    inputs = [
        {**entries[name], "name": outer, "config": {**entries[name]["config"], "name": outer}}
        for name, outer in names.items()
    ]
    tensors = [
        {
            "class_name": "__keras_tensor__",
            "config": {"shape": entry["config"]["batch_shape"], "keras_history": [entry["name"], 0, 0]},
        }
        for entry in inputs
    ]
    call = {"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}
    model = {**inner, "config": {**inner["config"], "name": "inner"}, "name": "inner", "inbound_nodes": [call]}
    config = {
        "name": "outer",
        "layers": [*inputs, model],
        "input_layers": [[name, 0, 0] for name in names.values()],
        "output_layers": [["inner", 0, number] for number in range(len(spec.outputs))],
    }
    return from_json({**inner, "config": config})
