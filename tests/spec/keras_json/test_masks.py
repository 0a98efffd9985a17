"""Masks in Keras 3's JSON: those that the layers derive are left out, and every other one is refused."""

import copy
import json

import pytest

from multilstm.errors import SpecError
from multilstm.spec import LSTM, Add, Attention, Concatenate, Embedding, Input, Masking, Model, from_json


def tensor(layer, shape, output=0):
    return {"class_name": "__keras_tensor__", "config": {"shape": shape, "keras_history": [layer, 0, output]}}


TOKENS, FEATURES, BITS = [None, 4], [None, 4, 3], [None, 4]


def operation(kind, name, *args, **config):
    return {
        "module": "keras.src.ops.numpy", "class_name": kind, "name": name, "config": {"name": name, **config},
        "registered_name": kind, "inbound_nodes": [{"args": list(args), "kwargs": {}}],
    }  # fmt: skip


def with_mask(model, operations, mask, layer="a"):
    """Return the JSON of a model as Keras writes it: with operations, and the mask of a call."""
    data = copy.deepcopy(json.loads(model.to_json()))
    data["config"]["layers"] += operations
    (entry,) = (entry for entry in data["config"]["layers"] if entry["name"] == layer)
    entry["inbound_nodes"][0]["kwargs"] |= {"mask": mask, "training": False}
    return data


def tokens_model():
    x = Input((4,), dtype="int32", name="x")
    return Model(x, LSTM(2, name="a")(Embedding(9, 3, mask_zero=True, name="e")(x)))


def features_model(*layers):
    x = y = Input((4, 3), name="x")
    for layer in (*layers, Masking(2.0, name="m"), LSTM(2, name="a")):
        y = layer(y)
    return Model(x, y)


def attention_model(value_mask):
    x = Input((4,), dtype="int32", name="x")
    query = Embedding(9, 3, mask_zero=True, name="query")(x)
    value = Embedding(9, 3, mask_zero=value_mask, name="value")(x)
    return Model(x, Attention(name="a")([query, value]))


def sum_of(count, kept):
    """Return a sum of masked embeddings below an LSTM, and the "or" of the first `kept` masks of them."""
    tokens = [Input((4,), dtype="int32", name=f"x{n}") for n in range(count)]
    total = Add(name="add")([Embedding(9, 3, mask_zero=True, name=f"e{n}")(x) for n, x in enumerate(tokens)])
    model = Model(tokens, LSTM(2, name="a")(total))
    bits = [operation("NotEqual", f"ne{n}", tensor(f"x{n}", TOKENS), 0) for n in range(kept)]
    joined = [
        operation("LogicalOr", f"or{n}", tensor(f"or{n - 1}" if n > 1 else "ne0", BITS), tensor(f"ne{n}", BITS))
        for n in range(1, kept)
    ]
    return model, [*bits, *joined], tensor(f"or{kept - 1}", BITS)


def joined_model(size=5):
    """Return two inputs, the first under a Masking, that are joined along the timesteps below an LSTM."""
    x, y = Input((4, 3), name="x"), Input((size, 3), name="y")
    return Model([x, y], LSTM(2, name="a")(Concatenate(1, name="c")([Masking(2.0, name="m")(x), y])))


def joined(*order, ones="y", axis=1):
    """Return the operations of Keras for the mask of `joined_model`, the pieces in an order."""
    return [
        operation("NotEqual", "ne", tensor("x", FEATURES), 2.0),
        operation("Any", "bits", tensor("ne", FEATURES), axis=-1, keepdims=False),
        operation("ExpandDims", "wide", tensor("bits", BITS), axis=-1),
        operation("ZerosLike", "zeros", tensor("m", FEATURES)),
        operation("LogicalOr", "masked", tensor("wide", [None, 4, 1]), tensor("zeros", FEATURES)),
        operation("OnesLike", "ones", tensor(ones, FEATURES if ones == "x" else [None, 5, 3])),
        operation("Concatenate", "joined", [tensor(name, [None, 9, 3]) for name in order], axis=axis),
        operation("Any", "any", tensor("joined", [None, 9, 3]), axis=-1, keepdims=False),
    ]


def wrong_shape(name, shape):
    """Return the operations and the mask of `features_model`, with another shape of a tensor."""
    written = {"x": FEATURES, "ne": FEATURES, "any": BITS, name: shape}
    return [
        operation("NotEqual", "ne", tensor("x", written["x"]), 2.0),
        operation("Any", "any", tensor("ne", written["ne"]), axis=-1, keepdims=False),
    ], tensor("any", written["any"])


NOT_ZERO = operation("NotEqual", "ne", tensor("x", TOKENS), 0)
DIFFERS = operation("NotEqual", "ne", tensor("x", FEATURES), 2.0)
ANY = operation("Any", "any", tensor("ne", FEATURES), axis=-1, keepdims=False)


def twice(kind, first="any", second="any"):
    return [DIFFERS, ANY, operation(kind, "two", tensor(first, BITS), tensor(second, BITS))]


ACCEPTED = {
    "embedding": (tokens_model(), [NOT_ZERO], tensor("ne", BITS)),
    "masking": (features_model(), [DIFFERS, ANY], tensor("any", BITS)),
    "converted": (
        features_model(),
        [DIFFERS, ANY, operation("ConvertToTensor", "c", tensor("any", BITS))],
        tensor("c", BITS),
    ),
    "no mask": (features_model(), [], None),
    "joined along the timesteps": (joined_model(), joined("masked", "ones"), tensor("any", [None, 9])),
    "joined from the end of the axes": (joined_model(), joined("masked", "ones", axis=-2), tensor("any", [None, 9])),
    "of both inputs": (attention_model(True), [NOT_ZERO], [tensor("ne", BITS), tensor("ne", BITS)]),
    "of one input": (attention_model(False), [NOT_ZERO], [tensor("ne", BITS), None]),
    "or of 20": sum_of(20, 20),
    "or with itself": (features_model(), twice("LogicalOr"), tensor("two", BITS)),
    "and with itself": (features_model(), twice("LogicalAnd"), tensor("two", BITS)),
    "and with ones": (
        features_model(),
        [*twice("LogicalAnd", second="ones"), operation("OnesLike", "ones", tensor("any", BITS))],
        tensor("two", BITS),
    ),
}


@pytest.mark.parametrize(("model", "operations", "mask"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_derived_mask_is_left_out(model, operations, mask):
    assert from_json(with_mask(model, operations, mask)) == model


REFUSED = {
    "joined in another order": (joined_model(), joined("ones", "masked"), tensor("any", [None, 9])),
    "joined twice": (joined_model(), joined("masked", "ones", "ones"), tensor("any", [None, 9])),
    "joined with other timesteps": (joined_model(), joined("masked", "ones", ones="x"), tensor("any", [None, 9])),
    "joined features": (joined_model(4), joined("masked", "ones", ones="x", axis=-1), tensor("any", BITS)),
    "a piece alone": (joined_model(), joined("masked"), tensor("any", BITS)),
    "another rank": (features_model(), *wrong_shape("x", [None, 4])),
    "another number of features": (features_model(), *wrong_shape("x", [None, 4, 2])),
    "more timesteps": (features_model(), *wrong_shape("x", [None, 5, 3])),
    "no shape": (features_model(), *wrong_shape("x", None)),
    "a number as shape": (features_model(), *wrong_shape("x", 3)),
    "tokens of three axes": (
        tokens_model(),
        [operation("NotEqual", "ne", tensor("x", FEATURES), 0), ANY],
        tensor("any", BITS),
    ),
    "other token": (tokens_model(), [operation("NotEqual", "ne", tensor("x", TOKENS), 1)], tensor("ne", BITS)),
    "other value": (
        features_model(), [operation("NotEqual", "ne", tensor("x", FEATURES), 0.0), ANY], tensor("any", BITS),
    ),
    "other tensor": (
        features_model(LSTM(3, return_sequences=True, name="below")), [DIFFERS, ANY], tensor("any", BITS),
    ),
    "features": (features_model(), [DIFFERS], tensor("ne", FEATURES)),
    "any over time": (
        features_model(), [DIFFERS, operation("Any", "any", tensor("ne", FEATURES), axis=1)], tensor("any", BITS),
    ),
    "any over all axes": (
        features_model(), [DIFFERS, operation("Any", "any", tensor("ne", FEATURES))], tensor("any", BITS),
    ),
    "null for the value": (attention_model(True), [NOT_ZERO], [tensor("ne", BITS), None]),
    "null for query and value": (attention_model(True), [NOT_ZERO], [None, None]),
    "too few": (attention_model(True), [NOT_ZERO], [tensor("ne", BITS)]),
    "too many": (attention_model(True), [NOT_ZERO], [tensor("ne", BITS)] * 3),
    "an empty list": (tokens_model(), [NOT_ZERO], []),
    "or of 19 of 20": sum_of(20, 19),
    "a number beyond float64": (
        features_model(), [operation("NotEqual", "ne", tensor("x", FEATURES), 10**400), ANY], tensor("any", BITS),
    ),
    "a call before the first": (
        features_model(), [DIFFERS, ANY],
        {"class_name": "__keras_tensor__", "config": {"shape": BITS, "keras_history": ["any", -1, 0]}},
    ),
    "zeros": (features_model(), [operation("ZerosLike", "z", tensor("x", BITS))], tensor("z", BITS)),
    "ones": (features_model(), [operation("OnesLike", "o", tensor("x", BITS))], tensor("o", BITS)),
    "and with zeros": (
        features_model(),
        [*twice("LogicalAnd", second="zeros"), operation("ZerosLike", "zeros", tensor("any", BITS))],
        tensor("two", BITS),
    ),
    "an input": (features_model(), [], tensor("x", BITS)),
    "nothing": (features_model(), [], tensor("nowhere", BITS)),
    "a number": (features_model(), [], 3),
    "a circle": (
        features_model(),
        [operation("LogicalOr", "p", tensor("q", BITS)), operation("LogicalOr", "q", tensor("p", BITS))],
        tensor("p", BITS),
    ),
    "a text": (features_model(), [operation("NotEqual", "ne", tensor("x", FEATURES), "0"), ANY], tensor("any", BITS)),
    "no arguments": (features_model(), [operation("NotEqual", "ne")], tensor("ne", BITS)),
    "a mask where none is derived": (
        features_model(LSTM(3, return_sequences=True, name="a0")), [NOT_ZERO], tensor("ne", BITS), "a0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_another_mask_is_refused(case):
    with pytest.raises(SpecError, match="mask"):
        from_json(with_mask(*case))


def test_two_operations_of_one_name_are_refused():
    other = operation("NotEqual", "ne", tensor("x", FEATURES), 3.0)
    with pytest.raises(SpecError, match="no other operation"):
        from_json(with_mask(features_model(), [other, DIFFERS, ANY], tensor("any", BITS)))


def test_an_operation_on_features_is_no_layer():
    data = with_mask(features_model(), [DIFFERS, ANY], tensor("any", BITS))
    (entry,) = (entry for entry in data["config"]["layers"] if entry["name"] == "a")
    entry["inbound_nodes"][0]["args"] = [tensor("ne", FEATURES)]
    with pytest.raises(SpecError, match=r"operation 'ne': given 'NotEqual', an operation of keras.ops"):
        from_json(data)


def test_a_mask_that_doubles_with_every_operation_is_read_in_no_time():
    doubling = [operation("LogicalOr", f"or{n}", *[tensor(f"or{n - 1}" if n else "any", BITS)] * 2) for n in range(90)]
    assert from_json(with_mask(features_model(), [DIFFERS, ANY, *doubling], tensor("or89", BITS))) == features_model()


def test_joins_of_joins_do_not_double_the_work():
    x = Input((4, 3), name="x")
    y = Masking(2.0, name="m")(x)
    for _ in range(25):
        y = Concatenate(1)([y, y])
    with pytest.raises(SpecError, match="mask that its layers derive"):
        from_json(with_mask(Model(x, LSTM(2, name="a")(y)), [DIFFERS, ANY], tensor("any", BITS)))
