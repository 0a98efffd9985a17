"""The difference of two models: options with their effect, weights, answers, renamed and missing layers."""

import numpy as np
import pytest

from multilstm.compare import Quantity
from multilstm.spec import (
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    Model,
    Sequential,
    TimeDistributed,
)
from multilstm.suite.difference import _distance, compare_models, with_inputs_of
from multilstm.suite.hidden_masks import exercising_case
from multilstm.weights import discriminating_weights


def model(*layers, features=3):
    return Sequential(list(layers), input_shape=(None, features))


def stack(**options):
    return model(LSTM(4, return_sequences=True, name="a", **options), LSTM(3, name="b"), Dense(2, name="d"))


def difference(first, second, weights=None, other_weights=None):
    case = exercising_case(first, 3, 7, weights)
    return compare_models(case, second, discriminating_weights(second) if other_weights is None else other_weights)


def test_equal_models_are_the_same():
    found = difference(stack(), stack())
    assert found.same
    assert found.sentence == "Same model: equal layers, weights and answers."
    assert set(found.answers.values()) == {0.0}


def ending_in(*names):
    """A model whose outputs are some of its three tensors."""
    x = Input((None, 3), name="x")
    lower = LSTM(4, return_sequences=True, name="a")(x)
    upper = LSTM(2, return_sequences=True, name="b")(lower)
    tensors = {"lower": lower, "upper": upper, "head": Dense(2, name="d")(upper)}
    return Model(x, [tensors[name] for name in names])


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (("lower", "head"), ("head", "lower"), "Outputs have other shapes."),
        (("upper", "head"), ("head", "upper"), "Outputs differ by"),
        (("head",), ("head", "upper"), "The models have 1 and 2 outputs."),
        (("head", "upper", "lower"), ("head", "upper"), "The models have 3 and 2 outputs."),
    ],
    ids=["other_shapes", "exchanged", "further", "fewer"],
)
def test_models_with_the_same_layers_and_other_outputs_are_not_the_same(first, second, words):
    found = difference(ending_in(*first), ending_in(*second))
    assert not found.options
    assert not found.weights
    assert not found.same
    assert words in found.sentence


@pytest.mark.parametrize(
    ("first", "second", "desired"),
    [
        ([1.0, np.nan], [1.0, np.nan], 0.0),
        ([1.0, np.inf], [1.0, np.inf], 0.0),
        ([1.0, 2.0], [1.0, np.nan], np.nan),
        ([1.0, 2.0], [1.0, np.inf], np.inf),
        ([1.0, 2.0], [1.5, 2.0], 0.5),
    ],
    ids=["nan_in_both", "inf_in_both", "nan_in_one", "inf_in_one", "numbers"],
)
def test_the_distance_of_answers_counts_every_batch(first, second, desired):
    arrays = [[np.zeros(2), np.array(values)] for values in (first, second)]
    np.testing.assert_equal(_distance(*arrays), desired)
    np.testing.assert_equal(_distance(*(batches[::-1] for batches in arrays)), desired)


@pytest.mark.parametrize(
    ("option", "value"),
    [("recurrent_activation", "hard_sigmoid"), ("go_backwards", True), ("activation", "relu"), ("use_cudnn", False)],
)
def test_an_option_is_listed_with_its_effect_alone(option, value):
    found = difference(stack(), stack(**{option: value}))
    (change,) = found.options
    assert (change.layer, change.option, change.second) == ("LSTM 'a'", option, value)
    largest = found.answers[Quantity("output")]
    assert change.effect == largest
    assert (largest > 1e-3) is (option != "use_cudnn")
    assert not found.same


def test_options_inside_of_a_wrapper_are_compared():
    first, second = (model(Bidirectional(LSTM(2, recurrent_activation=name))) for name in ("sigmoid", "hard_sigmoid"))
    (change,) = difference(first, second).options
    assert change.option == "layer.recurrent_activation"
    assert change.effect > 1e-3


def test_an_option_that_changes_shapes_has_no_effect_in_numbers():
    found = difference(model(LSTM(4)), model(LSTM(5)))
    assert [(change.option, change.effect) for change in found.options] == [("units", None)]
    assert {(change.name, change.largest) for change in found.weights} == {
        ("lstm/kernel", None), ("lstm/recurrent_kernel", None), ("lstm/bias", None),
    }  # fmt: skip
    assert "Outputs have other shapes." in found.sentence
    assert found.parameters == (128, 180)


def test_one_weight_is_listed_with_its_largest_difference():
    weights = discriminating_weights(stack())
    kernel = weights["b/kernel"].copy()
    kernel[1, 2] += 0.25
    found = difference(stack(), stack(), other_weights={**weights, "b/kernel": kernel})
    assert [(change.name, pytest.approx(change.largest)) for change in found.weights] == [("b/kernel", 0.25)]
    assert found.answers[Quantity("sequence", "a")] == 0
    assert found.answers[Quantity("output")] > 0
    assert found.sentence.startswith("1 weight differs. Outputs differ by ")


def test_a_weight_that_is_no_number_in_one_model_is_listed():
    spec = Sequential([Embedding(1000, 4, name="e"), LSTM(3)], input_shape=(None,), input_dtype="int32")
    weights = discriminating_weights(spec)
    other = {**weights, "e/embeddings": weights["e/embeddings"].copy()}
    other["e/embeddings"][999] = np.nan  # a token that the inputs hardly hold
    assert [change.name for change in difference(spec, spec, weights, other).weights] == ["e/embeddings"]


def dropping(*, before):
    """A model with a Dropout before a Dense, or behind it."""
    x = Input((None, 3), name="x")
    drop, dense = Dropout(0.5, name="drop"), Dense(2, name="d")
    return Model(x, LSTM(3, name="a")(dense(drop(x)) if before else drop(dense(x))))


def test_layers_that_are_called_on_other_tensors_are_not_the_same_though_inference_is():
    found = difference(dropping(before=True), dropping(before=False))
    assert set(found.answers.values()) == {0.0}
    assert not found.same
    assert found.sentence == "The models call their layers on other tensors. Outputs are equal."


def test_answers_stand_in_the_order_of_the_model():
    found = difference(stack(), stack(go_backwards=True))
    places = [quantity.where for quantity in found.answers]
    assert places.index("a") < places.index("b") < places.index("")


def test_layers_of_other_names_correspond_by_their_order():
    weights = discriminating_weights(stack())
    second = model(LSTM(4, return_sequences=True), LSTM(3), Dense(2))
    names = {"a": "lstm", "b": "lstm_1", "d": "dense"}
    renamed = {f"{names[layer]}/{weight}": weights[f"{layer}/{weight}"] for layer, _, weight in
               (name.partition("/") for name in weights)}  # fmt: skip
    found = difference(stack(), second, weights, renamed)
    assert found.same
    assert set(found.renamed) == set(names.items())


def test_layers_of_one_model_alone_are_listed():
    found = difference(stack(), model(Masking(name="m"), *stack().layers[1:3], Dropout(0.5), *stack().layers[3:]))
    assert found.only_first == ()
    assert found.only_second == ("Masking 'm'", "Dropout 'dropout'")
    assert found.answers[Quantity("output")] == 0  # neither a mask of no timestep nor dropout acts here


@pytest.mark.parametrize("swapped", [False, True], ids=["first", "second"])
def test_the_inputs_exercise_the_masks_of_both_models(swapped):
    models = [model(LSTM(4), Dense(2)), model(Masking(), LSTM(4), Dense(2))]
    first, second = reversed(models) if swapped else models
    case = with_inputs_of(*(exercising_case(spec, 3, 7, None) for spec in (first, second)))
    found = compare_models(case, second, discriminating_weights(second))
    assert found.answers[Quantity("output")] > 1e-3


def test_inputs_of_other_shapes_are_left_out():
    first, second = model(LSTM(4)), model(LSTM(4), features=5)
    case = exercising_case(first, 3, 7, None)
    assert with_inputs_of(case, exercising_case(second, 3, 7, None)) is case


def test_a_model_with_other_inputs_gives_no_answers():
    tokens = Sequential([Embedding(5, 3), LSTM(4)], input_shape=(None,), input_dtype="int32")
    found = difference(model(LSTM(4)), tokens)
    assert found.answers == {}
    assert not found.same
    assert "does not take the inputs of the first" in found.sentence


def test_states_of_the_inputs_reach_both_models():
    from multilstm.cases.given_inputs import given_batches
    from multilstm.cases.model_case import example_case

    first, second = model(LSTM(4, name="a")), model(LSTM(4, name="b"))
    state = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    arrays = {"input_layer": np.ones((2, 3, 3), np.float32), "hidden:a": state, "cell:a": -state}
    weights = discriminating_weights(first)
    case = example_case(first, given_batches(first, arrays), "given", weights)
    others = {name.replace("a/", "b/"): array for name, array in weights.items()}
    assert compare_models(case, second, others).same


def test_an_option_inside_of_a_model_is_named_with_its_effect():
    def documents(activation):
        words = Sequential([LSTM(3, activation=activation, name="a"), Dense(2, name="d")], (None, 3), name="words")
        return Sequential([TimeDistributed(words, name="each"), LSTM(2, name="b")], (None, None, 3))

    (change,) = difference(documents("tanh"), documents("relu")).options
    assert change[:4] == ("TimeDistributed 'each'", "layer.graph.a.activation", "tanh", "relu")
    assert change.effect > 1e-3
