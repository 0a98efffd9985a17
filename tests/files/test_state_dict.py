"""State dicts onto a spec: formulas that differ although shapes fit, twins, and the source of a plain stack."""

import time

import numpy as np
import pytest

import multilstm
from multilstm import (
    GRU,
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Embedding,
    LayerNormalization,
    Sequential,
    SimpleRNN,
    TimeDistributed,
)
from multilstm.errors import InputError
from multilstm.files.state_dict import StateDict
from multilstm.files.stores import parts_of


def lstm(prefix, features, units, *, both=False, bias=True, gates=4, layer=0):
    rng = np.random.default_rng(len(prefix))
    shapes = {"weight_ih": (gates * units, features), "weight_hh": (gates * units, units)}
    shapes |= {"bias_ih": (gates * units,), "bias_hh": (gates * units,)} if bias else {}
    suffixes = ("", "_reverse") if both else ("",)
    return {f"{prefix}{name}_l{layer}{end}": rng.normal(size=s) for end in suffixes for name, s in shapes.items()}


def linear(prefix, features, units):
    return {f"{prefix}weight": np.ones((units, features)), f"{prefix}bias": np.ones(units)}


def assigned(tensors, spec, **options):
    return StateDict(tensors, **{"ordered": True, **options}).assign(spec, parts_of(spec))


ONE = Sequential([LSTM(4)], input_shape=(None, 5))
OTHER_FORMULAS = {
    "gru": (lstm("", 5, 4, gates=3), ONE, r"LSTM 'lstm' takes no weights of '' \(GRU: 5 features, 4 units"),
    "linear": (linear("", 5, 4), ONE, "takes no weights of"),
    "lstm_for_dense": (lstm("", 5, 4), Sequential([Dense(4)], input_shape=(None, 5)), "Dense 'dense' takes no weights"),
    "activation": (
        lstm("", 5, 4),
        Sequential([LSTM(4, recurrent_activation="hard_sigmoid")], input_shape=(None, 5)),
        "has recurrent_activation='hard_sigmoid'; PyTorch's LSTM has 'sigmoid'",
    ),
    "reset_before": (
        lstm("", 5, 4, gates=3),
        Sequential([GRU(4, reset_after=False)], input_shape=(None, 5)),
        "has reset_after=False; PyTorch's GRU has True",
    ),
    "rnn_for_gru": (lstm("", 5, 4, gates=1), Sequential([GRU(4)], input_shape=(None, 5)), "GRU 'gru' takes no weights"),
    "one_direction": (
        lstm("", 5, 4),
        Sequential([Bidirectional(LSTM(4, activation="relu"))], input_shape=(None, 5)),
        "has activation='relu'; PyTorch's LSTM has 'tanh'",
    ),
}


@pytest.mark.parametrize(("tensors", "spec", "message"), OTHER_FORMULAS.values(), ids=OTHER_FORMULAS)
def test_refuses_a_layer_of_another_formula(tensors, spec, message):
    with pytest.raises(InputError, match=message):
        assigned(tensors, spec)


BIASES = {"missing": None, "of_one_number": np.ones(1), "other_size": np.ones(12), "matrix": np.ones((16, 1))}


@pytest.mark.parametrize("bias", BIASES.values(), ids=BIASES)
@pytest.mark.parametrize("name", ["bias_ih_l0", "bias_hh_l0", "bias_hh_l0_reverse"])
def test_refuses_biases_that_cannot_be_added(name, bias):
    tensors = {**lstm("", 5, 4, both=True), name: bias}
    spec = Sequential([Bidirectional(LSTM(4))], input_shape=(None, 5))
    with pytest.raises(InputError, match=r"have the shapes .* expected \(16,\) for both, or no bias"):
        assigned({key: array for key, array in tensors.items() if array is not None}, spec)


@pytest.mark.parametrize("left_out", ["weight_ih_l0", "weight_hh_l0"])
def test_refuses_a_recurrent_module_without_a_matrix(left_out):
    tensors = {name: array for name, array in lstm("", 5, 4).items() if name != left_out}
    with pytest.raises(InputError, match=f"has no matrix {left_out.removesuffix('_l0')}"):
        assigned(tensors, ONE)


@pytest.mark.parametrize("both", [False, True], ids=["one", "both"])
def test_a_gru_gives_its_gates_in_keras_s_order_and_both_biases(both):
    tensors = lstm("", 5, 4, gates=3, both=both)
    layer = GRU(4, name="a")
    spec = Sequential([Bidirectional(layer, name="a") if both else layer], input_shape=(None, 5))
    weights = assigned(tensors, spec).weights
    for direction, end in (("/forward", ""), ("/backward", "_reverse")) if both else (("", ""),):
        for short, name in (("ih", "kernel"), ("hh", "recurrent_kernel")):
            r, z, n = np.split(tensors[f"weight_{short}_l0{end}"], 3)
            np.testing.assert_array_equal(weights[f"a{direction}/{name}"], np.hstack([z.T, r.T, n.T]))
        biases = [np.split(tensors[f"bias_{short}_l0{end}"], 3) for short in ("ih", "hh")]
        desired = [np.concatenate([z, r, n]) for r, z, n in biases]
        np.testing.assert_array_equal(weights[f"a{direction}/bias"], desired)


def test_an_rnn_gives_the_sum_of_its_biases():
    tensors = lstm("", 5, 4, gates=1)
    weights = assigned(tensors, Sequential([SimpleRNN(4, "relu", name="a")], input_shape=(None, 5))).weights
    np.testing.assert_array_equal(weights["a/bias"], tensors["bias_ih_l0"] + tensors["bias_hh_l0"])
    np.testing.assert_array_equal(weights["a/kernel"], tensors["weight_ih_l0"].T)


HEAD = linear("fc.", 4, 2)
STACK = Sequential([LSTM(4, name="rnn"), Dense(2, name="fc")], input_shape=(None, 5))
FURTHER = {
    "peepholes": ({"rnn.weight_ci": np.ones(4)}, "'rnn' has 'weight_ci' beside the weights of a recurrent layer"),
    "learned_states": ({"rnn.h0": np.ones((1, 1, 4)), "rnn.c0": np.ones((1, 1, 4))}, "'rnn' has 'h0', 'c0' beside"),
    "mask": ({"rnn.weight_hh_l0_mask": np.ones((16, 4))}, "'rnn' has 'weight_hh_l0_mask' beside"),
    "weight_drop": ({"rnn.weight_hh_l0_raw": np.ones((16, 4))}, "'rnn' has 'weight_hh_l0_raw' beside"),
    "number": ({"rnn.scale": np.float64(5)}, "'rnn' has 'scale' beside"),
    "scale_of_a_linear": ({"fc.scale": np.float64(5)}, r"weights kernel, bias, but the module is 'fc' .* scale \[\]"),
    "mask_of_a_linear": ({"fc.weight_mask": np.ones((2, 4))}, r"'fc' .* weight_mask \[2, 4\]"),
}


@pytest.mark.parametrize(("further", "message"), FURTHER.values(), ids=FURTHER)
def test_refuses_a_tensor_that_enters_no_weight(further, message):
    with pytest.raises(InputError, match=message):
        assigned({**lstm("rnn.", 5, 4), **HEAD, **further}, STACK)


NORM = Sequential([LayerNormalization()], input_shape=(None, 4))
WRONG_ROLES = {
    "statistics": ({"running_mean": np.ones(4), "running_var": np.ones(4)}, NORM),
    "alphabet": ({"alpha": np.ones(4), "shift": np.ones(4)}, NORM),
    "scale_as_shift": ({"weight": np.ones(4)}, Sequential([LayerNormalization(scale=False)], input_shape=(None, 4))),
}


@pytest.mark.parametrize(("tensors", "spec"), WRONG_ROLES.values(), ids=WRONG_ROLES)
def test_refuses_a_tensor_whose_meaning_is_that_of_another_weight(tensors, spec):
    with pytest.raises(InputError, match="expected one tensor for each weight, by PyTorch's names"):
        assigned({f"norm.{name}": array for name, array in tensors.items()}, spec)


def test_takes_the_names_of_keras_whatever_their_alphabet():
    weights = assigned({"norm.beta": np.zeros(4), "norm.gamma": np.ones(4)}, NORM).weights
    assert [array[0] for array in weights.values()] == [1, 0]


def test_notes_the_counts_that_change_no_answer():
    counts = {"n_averaged": np.int64(3), "fc.num_batches_tracked": np.int64(7)}
    notes = assigned({**counts, **lstm("rnn.", 5, 4), **HEAD}, STACK).notes
    assert "left out, as counts that change no answer: n_averaged, fc.num_batches_tracked" in notes


@pytest.mark.parametrize("name", ["geometric_lstm", "symmetric", "glossary", "lossless"])
def test_a_module_is_no_part_of_a_loss_by_some_letters(name):
    tensors = {**lstm(f"{name}.", 5, 4), **HEAD}
    assert set(assigned(tensors, STACK).weights) == set(STACK.weight_shapes)
    one = Sequential([Dense(2)], input_shape=(None, 4))
    with pytest.raises(InputError, match="the file holds 2 modules"):
        assigned(tensors, one)


def test_a_module_with_the_name_of_a_layer_is_no_part_of_a_loss():
    spec = Sequential([LSTM(4, name="metric"), Dense(2, name="fc")], input_shape=(None, 5))
    assert "by name" in assigned({**lstm("metric.", 5, 4), **HEAD}, spec).notes[0]


@pytest.mark.parametrize("name", ["loss", "net.triplet_loss", "tripletLoss", "criterion", "metrics.1"])
def test_a_part_of_a_loss_is_left_out(name):
    tensors = {**lstm("rnn.", 5, 4), **HEAD, f"{name}.weight": np.ones(3)}
    assert f"left out, as parts of a loss: {name}" in assigned(tensors, STACK).notes


def test_other_programs_than_pytorch_may_have_other_activations():
    spec = Sequential([LSTM(4, recurrent_activation="hard_sigmoid_keras2")], input_shape=(None, 5))
    assert (
        len(assigned(lstm("", 5, 4), spec, formulas={"": {"recurrent_activation": ("hard_sigmoid_keras2",)}}).weights)
        == 3
    )


TWINS = {**lstm("rnn.", 5, 4), **linear("a.", 4, 4), **linear("b.", 4, 4)}


def test_names_modules_of_equal_shapes_that_only_the_order_tells_apart():
    spec = Sequential([LSTM(4), Dense(4), Dense(4)], input_shape=(None, 5))
    assert "a and b have the same shapes, so that only the order of the file decides" in assigned(TWINS, spec).notes[1]
    named = Sequential([LSTM(4, name="rnn"), Dense(4, name="b"), Dense(4, name="a")], input_shape=(None, 5))
    assert not any("same shapes" in note for note in assigned(TWINS, named).notes)


def test_layers_of_one_lstm_are_no_twins():
    tensors = {**lstm("rnn.", 4, 4), **lstm("rnn.", 4, 4, layer=1)}
    spec = Sequential([LSTM(4, return_sequences=True), LSTM(4)], input_shape=(None, 4))
    assert not any("same shapes" in note for note in assigned(tensors, spec).notes)


def test_many_equal_modules_of_a_sorted_file_are_compared_in_a_short_time():
    tensors = {key: array for k in range(30) for key, array in linear(f"m{k}.", 4, 4).items()}
    layers = [*(Dense(4) for _ in range(29)), Dense(3)]
    start = time.process_time()
    with pytest.raises(InputError, match="kernel has the shape"):
        assigned(tensors, Sequential(layers, input_shape=(None, 4)), ordered=False)
    with pytest.raises(InputError, match="in more than one way"):
        assigned(tensors, Sequential([Dense(4) for _ in range(30)], input_shape=(None, 4)), ordered=False)
    assert time.process_time() - start < 2


STACKS = {
    "layers": (
        {**lstm("m.rnn.", 5, 4), **lstm("m.rnn.", 4, 4, layer=1), **linear("m.fc.", 4, 3)},
        "Sequential([LSTM(4, return_sequences=True), LSTM(4), Dense(3)], input_shape=(None, 5))",
    ),
    "both": (lstm("", 5, 4, both=True), "Sequential([Bidirectional(LSTM(4))], input_shape=(None, 5))"),
    "gru": (lstm("", 5, 4, gates=3), "Sequential([GRU(4)], input_shape=(None, 5))"),
    "rnn": (lstm("", 5, 4, gates=1), "Sequential([SimpleRNN(4)], input_shape=(None, 5))"),
    "no_bias": (lstm("", 5, 4, bias=False), "Sequential([LSTM(4, use_bias=False)], input_shape=(None, 5))"),
    "embedding": (
        {"e.weight": np.ones((9, 5)), **lstm("rnn.", 5, 4), **linear("fc.", 4, 2)},
        "Sequential([Embedding(9, 5), LSTM(4), Dense(2)], input_shape=(None,), input_dtype='int32')",
    ),
    "loss": (
        {**lstm("rnn.", 5, 4), "loss.weight": np.ones(3)},
        "Sequential([LSTM(4)], input_shape=(None, 5))",
    ),
}


@pytest.mark.parametrize(("tensors", "source"), STACKS.values(), ids=STACKS)
def test_suggests_the_source_of_a_plain_stack_that_takes_the_weights(tensors, source):
    text = StateDict(tensors, ordered=True).described()
    first, command = text.partition("to be compared with your model: ")[2].split("; for the first: ")
    assert first.split(" or ")[0] == source
    assert command == (
        f'python -c "from multilstm import *; print({source}.to_json())" > model.json, then --architecture model.json'
    )
    for stack in first.split(" or "):
        spec = eval(stack, {name: getattr(multilstm, name) for name in multilstm.__all__})
        assert list(assigned(tensors, spec).weights) == list(spec.weight_shapes)


def test_suggests_a_stack_that_returns_every_timestep():
    text = StateDict({**lstm("rnn.", 5, 4), **linear("fc.", 4, 2)}, ordered=True).described()
    assert " or Sequential([LSTM(4, return_sequences=True), Dense(2)], input_shape=(None, 5)); for" in text


NO_STACKS = {
    "sizes": {**lstm("a.", 5, 4), **lstm("b.", 5, 3)},
    "no_lstm": linear("a.", 5, 4),
    "convolution": {"c.weight": np.ones((5, 3, 2)), **lstm("rnn.", 5, 4)},
    "attention": {**lstm("rnn.", 5, 4), "a.in_proj_weight": np.ones((12, 4))},
}


@pytest.mark.parametrize("tensors", NO_STACKS.values(), ids=NO_STACKS)
def test_suggests_nothing_where_the_sizes_do_not_follow_each_other(tensors):
    assert "Sequential" not in StateDict(tensors, ordered=True).described()


def test_suggests_nothing_for_a_file_that_is_sorted_by_name():
    assert "Sequential" not in StateDict(lstm("", 5, 4), ordered=False).described()


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5])
def test_names_an_epsilon_that_is_not_that_of_pytorch(epsilon):
    tensors = {**lstm("rnn.", 5, 4), "norm.weight": np.arange(4.0), "norm.bias": np.arange(4.0) + 7}
    spec = Sequential([LSTM(4), LayerNormalization(epsilon=epsilon)], input_shape=(None, 5))
    result = assigned(tensors, spec)
    np.testing.assert_array_equal(result.weights["layer_normalization/beta"], tensors["norm.bias"])
    assert any("has epsilon=0.001, PyTorch's default is 1e-05" in note for note in result.notes) == (epsilon == 1e-3)


def test_layers_of_one_lstm_are_taken_by_their_numbers():
    names = sorted(name for layer in range(12) for name in lstm("rnn.", 4, 4, layer=layer))  # rnn.bias_hh_l10 before l2
    tensors = {name: np.full((16, 4) if "weight" in name else 16, int(name.split("_l")[1])) for name in names}
    tensors = {name: array.astype(float) for name, array in tensors.items()}
    spec = Sequential([LSTM(4, return_sequences=True, name=f"a{layer}") for layer in range(12)], input_shape=(None, 4))
    for ordered in (True, False):
        weights = assigned(tensors, spec, ordered=ordered).weights
        assert [weights[f"a{layer}/kernel"][0, 0] for layer in range(12)] == list(range(12))


def test_a_scale_over_timesteps_and_features_stays_as_it_is():
    scale = np.arange(16.0).reshape(4, 4)
    spec = Sequential([LSTM(4, return_sequences=True), LayerNormalization(axis=(1, 2), name="n")], input_shape=(4, 5))
    tensors = {**lstm("rnn.", 5, 4), "n.weight": scale, "n.bias": scale + 1}
    weights = assigned(tensors, spec).weights
    np.testing.assert_array_equal(weights["n/gamma"], scale)
    np.testing.assert_array_equal(weights["n/beta"], scale + 1)


@pytest.mark.parametrize("reset_after", [False, True])
def test_a_gru_of_another_program_must_have_the_arguments_of_its_file(reset_after):
    tensors = lstm("", 5, 4, gates=3)
    formulas = {"": {"activation": ("tanh",), "reset_after": (reset_after,)}}
    spec = Sequential([GRU(4, reset_after=reset_after, name="a")], input_shape=(None, 5))
    bias = assigned(tensors, spec, formulas=formulas).weights["a/bias"]
    gates = [np.split(tensors[f"bias_{short}_l0"], 3) for short in ("ih", "hh")]
    biases = [np.concatenate([z, r, n]) for r, z, n in gates]
    np.testing.assert_array_equal(bias, np.stack(biases) if reset_after else sum(biases))
    other = Sequential([GRU(4, reset_after=not reset_after)], input_shape=(None, 5))
    with pytest.raises(InputError, match=f"has reset_after={not reset_after}; '' has {reset_after}"):
        assigned(tensors, other, formulas=formulas)


KERNELS = {
    "dense": (Dense(3, use_bias=False), (None, 3), (3, 3)),
    "each_timestep": (TimeDistributed(Dense(3, use_bias=False)), (4, 3), (3, 3)),
    "convolution": (Conv1D(3, 3, use_bias=False), (4, 3), (3, 3, 3)),
}


@pytest.mark.parametrize("name", ["kernel", "original", "w", "fc.Weight", "0.weight_g"])
@pytest.mark.parametrize(("layer", "shape", "size"), KERNELS.values(), ids=KERNELS)
def test_refuses_a_kernel_of_another_name_that_fits_both_layouts(layer, shape, size, name):
    tensors = {name: np.random.default_rng(0).normal(size=size)}
    with pytest.raises(InputError, match=f"takes '{name}' .* in PyTorch's layout or in Keras's; expected the name wei"):
        assigned(tensors, Sequential([layer], input_shape=shape))


def test_takes_a_kernel_of_another_name_whose_layout_is_plain():
    rng = np.random.default_rng(0)
    kernel, even = rng.normal(size=(3, 2)), np.eye(3)
    dense = Sequential([Dense(2, use_bias=False)], input_shape=(3,))
    assert np.array_equal(assigned({"kernel": kernel}, dense).weights["dense/kernel"], kernel)
    square = Sequential([Dense(3, use_bias=False)], input_shape=(3,))
    assert np.array_equal(assigned({"kernel": even}, square).weights["dense/kernel"], even)
    assert np.array_equal(assigned({"weight": (w := rng.normal(size=(3, 3)))}, square).weights["dense/kernel"], w.T)


def test_a_square_table_of_another_name_stays_as_it_is():
    table = np.random.default_rng(0).normal(size=(3, 3))
    spec = Sequential([Embedding(3, 3)], input_shape=(None,), input_dtype="int32")
    assert np.array_equal(assigned({"table": table}, spec).weights["embedding/embeddings"], table)
