import re
import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multilstm import spec as multilstm_spec
from multilstm.spec import GRU, LSTM, Bidirectional, Dense, Input, Model, Sequential, SimpleRNN, TimeDistributed
from multilstm.spec.summary import summary

SAME_SOURCE = Path(__file__).with_name("same_source.py")
MODELS = {name: build(multilstm_spec) for name, build in runpy.run_path(str(SAME_SOURCE))["MODELS"].items()}

STATEFUL = """\
Model sequential: a stack of layers

Layer (type)                        Output shape                      Parameters
--------------------------------------------------------------------------------
input_layer (Input)                 (200, any, 100)

lstm (LSTM)                         (200, any, 100)                       80,400
    80,400 = 4*(features*units + units*units + units)
           = 4*(100*100 + 100*100 + 100)
    weights: kernel (100, 4*100); recurrent_kernel (100, 4*100); bias (4*100,)
    states: hidden (200, 100); cell (200, 100)
    returns every timestep; keeps its states from batch to batch (stateful)

lstm_1 (LSTM)                       (200, 100)                            80,400
    80,400 = 4*(features*units + units*units + units)
           = 4*(100*100 + 100*100 + 100)
    weights: kernel (100, 4*100); recurrent_kernel (100, 4*100); bias (4*100,)
    states: hidden (200, 100); cell (200, 100)
    returns the last timestep; starts every batch from zero states

dense (Dense)                       (200, 2)                                 202
    202 = features*units + units
        = 100*2 + 2
    weights: kernel (100, 2); bias (2,)
    activation softmax
--------------------------------------------------------------------------------
Total (628.9 KiB in float32)                                             161,002

4*units: the four gates of an LSTM side by side: input, forget, cell, output.
any: may vary, since no parameter depends on it: timesteps of input_layer."""


def test_a_stateful_stack():
    layers = [LSTM(100, return_sequences=True, stateful=True), LSTM(100), Dense(2, activation="softmax")]
    assert summary(Sequential(layers, input_shape=(None, 100), batch_size=200)) == STATEFUL


FUNCTIONAL = """\
Model encoder_decoder: a graph of layers

Layer (type)                        Output shape                      Parameters
--------------------------------------------------------------------------------
dec (Input)                         (any, any, 2)

enc (Input)                         (any, any, 3)

e (LSTM)                            (any, 4)                                 128
                                    (any, 4)
                                    (any, 4)
    128 = 4*(features*units + units*units + units)
        = 4*(3*4 + 4*4 + 4)
    weights: kernel (3, 4*4); recurrent_kernel (4, 4*4); bias (4*4,)
    states: hidden (any, 4); cell (any, 4)
    returns the last timestep and its states;
      starts every batch from zero states
    takes enc

d (LSTM)                            (any, any, 4)                            112
    112 = 4*(features*units + units*units + units)
        = 4*(2*4 + 4*4 + 4)
    weights: kernel (2, 4*4); recurrent_kernel (4, 4*4); bias (4*4,)
    states: hidden (any, 4); cell (any, 4)
    returns every timestep
    takes dec
    starts from hidden of e; cell of e
--------------------------------------------------------------------------------
Total (960 bytes in float32)                                                 240

Outputs: d (any, any, 4); hidden of e (any, 4).
4*units: the four gates of an LSTM side by side: input, forget, cell, output.
any: may vary, since no parameter depends on it: batch size and timesteps of
  dec; batch size and timesteps of enc."""


def test_a_graph_of_layers():
    assert summary(MODELS["encoder_decoder"]) == FUNCTIONAL


PENALISED = """\
e (Embedding)                       (any, any, 4)                            100
    100 = input_dim*output_dim
        = 25*4
    weights: embeddings (25, 4)
    embeddings_regularizer L2(l2=0.01);
      embeddings_constraint MaxNorm(max_value=3.0, axis=1)
"""


def test_regularizers_and_constraints_of_a_layer():
    assert PENALISED in summary(MODELS["penalised"])


def test_a_spec_is_one_line_in_a_notebook():
    stack = Sequential([Bidirectional(LSTM(8, return_sequences=True)), GRU(4), Dense(2)], (None, 5), name="it's\n")
    assert repr(stack) == (
        r"<Sequential 'it's\n': Bidirectional(LSTM(8)) -> GRU(4) -> Dense(2); (any, any, 5) -> (any, 2)>"
    )
    x, y = Input((None, 3)), Input((4, 3), batch_size=2)
    assert repr(Model([x, y], [LSTM(3)(x), LSTM(2)(y)], name="two")) == (
        "<Model 'two': LSTM(3), LSTM(2); (any, any, 3), (2, 4, 3) -> (any, 3), (2, 2)>"
    )
    assert ": Dense(1) -> " in repr(deep := Sequential([*(Dense(1) for _ in range(9)), Dense(7)], (1,)))
    assert repr(deep).endswith("-> Dense(1) -> 2 more layers; (any, 1) -> (any, 7)>")


def test_names_untrained_layers():
    text = summary(MODELS["partly_frozen"])
    assert text.count("    not trained\n") == 3
    assert re.search(r"^Trainable +3$", text, re.MULTILINE)
    assert "of which" not in summary(MODELS["penalised"])


def unbroken(text):
    """Return the text without line breaks and columns."""
    return " ".join(text.split())


def assert_fits(text):
    for line in text.split("\n"):
        assert len(line) <= 80
        assert line == line.rstrip()
        assert line.isprintable()


@pytest.mark.parametrize("graph", MODELS.values(), ids=MODELS)
def test_fits_and_shows_every_name_and_count(graph):
    text = summary(graph)
    assert_fits(text)
    for layer in graph.layers:
        kind = "Input" if layer.name in graph.inputs else type(layer).__name__
        row = next(line for line in text.split("\n") if line.startswith(f"{layer.name} ({kind}) "))
        count = graph.parameter_counts.get(layer.name)
        assert row.endswith("" if count is None else f" {count:,}")
    assert re.search(rf"^Total .* {graph.parameter_count:,}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (LSTM(2), "returns the last timestep; starts every batch from zero states"),
        (LSTM(2, return_sequences=True, go_backwards=True), "returns every timestep; reads backwards; starts every"),
        (LSTM(2, return_state=True), "returns the last timestep and its states"),
        (LSTM(2, use_bias=False), "20 = "),
        (LSTM(2, recurrent_activation="hard_sigmoid"), "returns the last timestep; recurrent activation hard_sigmoid"),
        (LSTM(2, "relu", go_backwards=True), "reads backwards; activation relu; starts every"),
        (LSTM(2, activation=None), "activation linear; starts every"),
        (LSTM(2, dropout=0.2), "returns the last timestep; in training, drops 0.2 of its input; starts every"),
        (LSTM(2, dropout=0.2, implementation=1), "of its input; each gate has its own dropout mask; starts every"),
        (
            GRU(2, recurrent_dropout=0.25),
            "drops 0.25 of its recurrent state; each gate has its own dropout mask; starts",
        ),
        (GRU(2, recurrent_activation="relu"), "returns the last timestep; recurrent activation relu; starts every"),
        (SimpleRNN(2, "relu", dropout=0.5), "activation relu; in training, drops 0.5 of its input; starts every"),
        (LSTM(2, return_sequences=True, zero_output_for_mask=True), "masked timesteps return zero; starts every"),
        (Bidirectional(GRU(2, "relu")), "merged by concat; returns the last timestep; activation relu; starts every"),
        (Bidirectional(LSTM(2)), "two LSTMs, forward and backward, merged by concat; returns the last timestep"),
        (Bidirectional(LSTM(2)), "weights, in each direction: kernel (3, 4*2); recurrent_kernel (2, 4*2)"),
        (Bidirectional(LSTM(2)), "states, in each direction: hidden (any, 2); cell (any, 2)"),
        (Bidirectional(LSTM(2), None), "two LSTMs, forward and backward, returned apart"),
        (TimeDistributed(Dense(2)), "a Dense with the same weights at every timestep"),
        (Dense(2, "relu"), "activation relu"),
        (multilstm_spec.Dropout(0.25), "in training, drops 0.25 of its input"),
        (multilstm_spec.Activation("tanh"), "activation tanh"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:40],
)
def test_states_the_meaning_of_arguments(layer, words):
    if words == "20 = ":
        words = "40 = 4*(features*units + units*units)"
    assert words in unbroken(summary(Sequential([layer], input_shape=(None, 3))))


@pytest.mark.parametrize(("shape", "dtype", "words"), [
    ((None, 3), "float32", "batch size and timesteps of input_layer."),
    ((7, 3), "float32", "batch size of input_layer."),
    ((7, None, 3), "float32", "batch size and dimension 2 of input_layer."),
])  # fmt: skip
def test_names_the_sizes_that_may_vary(shape, dtype, words):
    text = summary(Sequential([Dense(2)], input_shape=shape, input_dtype=dtype))
    assert unbroken(text).endswith(f"any: may vary, since no parameter depends on it: {words}")


def test_omits_the_line_of_varying_sizes_where_all_are_fixed():
    assert "any" not in summary(Sequential([Dense(2)], input_shape=(3,), batch_size=4))


def test_numbers_the_calls_of_a_shared_layer():
    text = summary(MODELS["shared"])
    assert "    in call 1, takes left\n" in text
    assert "    in call 3, takes shared (call 2)\n" in text
    assert "takes again; shared (call 3); again (call 2); shared\n" in text


def test_names_the_outputs_of_both_directions():
    text = summary(MODELS["both_directions_apart"])
    for name in ("forward output", "backward output", "forward hidden", "backward cell"):
        assert f"{name} of both" in text


HOSTILE = ["\x1b[31mred", "a\nb", "\r", "\x00", "\u202eevil", "\x9b2J", "a\tb", "[/bold]".replace("/", ""), "{}", "%s"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_escapes_names(name):
    x = Input((None, 3), name=name)
    text = summary(Model(x, LSTM(2, name=name + "1")(x), name=name))
    assert_fits(text)
    assert repr(name)[1:-1] in text


@pytest.mark.parametrize("name", ["a" * 1000, "a b " * 200, "名" * 100, "e\u0301" * 100, "(" * 100, ") (" * 50])
def test_cuts_long_names(name):
    x = Input((None, 3), name=name)
    text = summary(Model(x, LSTM(2, name=name + "1")(x), name=name))
    assert_fits(text)
    assert "..." in text


def test_wide_characters_take_two_columns():
    row = summary(Sequential([LSTM(2, name="名" * 30)], input_shape=(None, 3))).split("\n")[6]
    assert row.startswith("名" * 12)
    assert sum(2 if char == "名" else 1 for char in row) <= 80
    assert row.endswith(" 48")


def test_the_largest_sizes_fit():
    size = 2**31 - 1
    assert_fits(summary(Sequential([LSTM(size)], input_shape=(size, size), batch_size=size)))


def test_a_model_without_parameters():
    text = summary(Sequential([multilstm_spec.Dropout(0.5)], input_shape=(3,)))
    assert re.search(r"^Total \(0 bytes in float32\) +0$", text, re.MULTILINE)


def test_many_layers_are_fast_enough():
    assert summary(Sequential([Dense(3) for _ in range(5000)], input_shape=(3,))).count("features*units") == 5000


@settings(deadline=None, max_examples=200, database=None)
@given(st.text(min_size=1).filter(lambda name: "/" not in name), st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_any_name_and_size_fit(name, units, features):
    x = Input((None, features), name=name)
    assert_fits(summary(Model(x, LSTM(units, return_state=True, name=name + "1")(x), name=name)))
