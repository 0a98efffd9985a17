"""Batches that no engine may accept, as data, and plain Keras's answers to them.

`KERAS_BACKEND=... python bad_input.py ANSWER.json` writes the answer to every batch: an exception, `not finite`,
or None.
"""

import json
import sys

import numpy as np

from multilstm.jobs.job import Batch
from multilstm.spec import LSTM, Embedding, Input, Model, Sequential
from multilstm.spec.arrays import State

SPECS = {
    "any": Sequential([LSTM(2, return_sequences=True)], input_shape=(None, 3)),
    "fixed": Sequential([LSTM(2, return_sequences=True)], input_shape=(4, 3)),
    "stateful": Sequential([LSTM(2, return_sequences=True, stateful=True)], input_shape=(None, 3), batch_size=2),
    "tokens": Sequential([Embedding(5, 3), LSTM(2, return_sequences=True)], input_shape=(None,), input_dtype="int32"),
}
_first, _second = Input((None, 3), name="first"), Input((None, 3), name="second")
SPECS["two"] = Model([_first, _second], [LSTM(2)(_first), LSTM(2)(_second)])


def ones(*shape):
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def one(array, **more):
    return Batch({"input_layer": array}, **more)


def start(hidden, cell=None):
    return {"lstm": State(ones(*hidden), ones(*(hidden if cell is None else cell)))}


def mask(*shape):
    kept = np.ones(shape, bool)
    kept[..., -1] = False
    return {"input_layer": kept}


# By name: the spec, the batch, and a pattern of the error message.
BAD = {
    "one_feature_more": ("any", one(ones(2, 4, 4)), r"shape is \(2, 4, 4\), expected \(any, any, 3\)"),
    "one_feature_less": ("any", one(ones(2, 4, 2)), r"shape is \(2, 4, 2\), expected \(any, any, 3\)"),
    "one_feature_instead_of_three": ("any", one(ones(2, 4, 1)), r"shape is \(2, 4, 1\), expected \(any, any, 3\)"),
    "no_axis_of_features": ("any", one(ones(2, 4)), r"shape is \(2, 4\), expected \(any, any, 3\)"),
    "no_axis_of_sequences": ("any", one(ones(4, 3)), r"shape is \(4, 3\), expected \(any, any, 3\)"),
    "one_axis_more": ("any", one(ones(2, 4, 3, 1)), r"shape is \(2, 4, 3, 1\), expected \(any, any, 3\)"),
    "one_timestep_more": ("fixed", one(ones(2, 5, 3)), r"shape is \(2, 5, 3\), expected \(any, 4, 3\)"),
    "one_timestep_less": ("fixed", one(ones(2, 3, 3)), r"shape is \(2, 3, 3\), expected \(any, 4, 3\)"),
    "stateful_one_sequence_more": ("stateful", one(ones(3, 4, 3)), r"shape is \(3, 4, 3\), expected \(2, any, 3\)"),
    "stateful_one_sequence_less": ("stateful", one(ones(1, 4, 3)), r"shape is \(1, 4, 3\), expected \(2, any, 3\)"),
    "state_of_one_unit_more": (
        "any", one(ones(2, 4, 3), states=start((2, 3))), r"hidden state has shape \(2, 3\), expected \(2, 2\)",
    ),
    "state_of_one_unit_less": (
        "any", one(ones(2, 4, 3), states=start((2, 1))), r"hidden state has shape \(2, 1\), expected \(2, 2\)",
    ),
    "state_of_one_sequence": (
        "any", one(ones(3, 4, 3), states=start((1, 2))), r"hidden state has shape \(1, 2\), expected \(3, 2\)",
    ),
    "state_of_other_sequences": (
        "any", one(ones(3, 4, 3), states=start((2, 2))), r"hidden state has shape \(2, 2\), expected \(3, 2\)",
    ),
    "cell_of_one_unit_more": (
        "any", one(ones(2, 4, 3), states=start((2, 2), (2, 3))), r"cell state has shape \(2, 3\), expected \(2, 2\)",
    ),
    "mask_one_timestep_more": ("any", one(ones(2, 4, 3), masks=mask(2, 5)), r"shape is \(2, 5\), expected \(2, 4\)"),
    "mask_one_timestep_less": ("any", one(ones(2, 4, 3), masks=mask(2, 3)), r"shape is \(2, 3\), expected \(2, 4\)"),
    "mask_of_other_sequences": ("any", one(ones(2, 4, 3), masks=mask(3, 4)), r"shape is \(3, 4\), expected \(2, 4\)"),
    "mask_of_one_sequence": ("any", one(ones(2, 4, 3), masks=mask(1, 4)), r"shape is \(1, 4\), expected \(2, 4\)"),
    "mask_of_timesteps_alone": ("any", one(ones(2, 4, 3), masks=mask(4)), r"shape is \(4,\), expected \(2, 4\)"),
    "token_beyond_the_vocabulary": ("tokens", one(np.array([[1, 5]], np.int32)), "token 5 .*expected 0 to 4"),
    "token_below_zero": ("tokens", one(np.array([[1, -1]], np.int32)), "token -1 .*expected 0 to 4"),
    "inputs_of_different_batches": (
        "two", Batch({"first": ones(2, 4, 3), "second": ones(3, 4, 3)}), "different numbers of sequences",
    ),
    "input_missing": ("two", Batch({"first": ones(2, 4, 3)}), "input: 'second' is missing"),
}  # fmt: skip


def main(path):
    """Run every batch through plain Keras and write the answers to `path`."""
    import keras

    from multilstm.engines.keras.keras3_toolkit import Keras3Toolkit
    from multilstm.engines.keras.model import KerasModel

    answers = {}
    for name, (key, batch, _) in BAD.items():
        spec = SPECS[key]
        model = KerasModel(spec, "float32", Keras3Toolkit(portable=False), tuple(batch.states)).model
        values = dict(batch.inputs)
        for lstm, state in batch.states.items():
            values |= {f"{lstm}.{part}": array for part, array in state._asdict().items()}
        given = {tensor.name for tensor in model.inputs} & set(values)
        inputs = {key: keras.ops.convert_to_tensor(values[key]) for key in sorted(given)}
        masks = [batch.masks.get(tensor.name) for tensor in model.inputs]
        masks = [None if each is None else keras.ops.convert_to_tensor(each) for each in masks]
        try:
            ordered = [inputs[tensor.name] for tensor in model.inputs if tensor.name in inputs]
            outputs = model(ordered, mask=masks)
            answers[name] = None
            if not all(np.isfinite(keras.ops.convert_to_numpy(output)).all() for output in outputs):
                answers[name] = "not finite"
        except Exception as error:
            answers[name] = f"{type(error).__name__}: {error}"
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(answers, stream)


if __name__ == "__main__":
    main(sys.argv[1])
