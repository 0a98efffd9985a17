"""The two inference models of an encoder-decoder: decoding step by step gives the training model's answers."""

import dataclasses

import numpy as np
import pytest
from small_models import run, weights_of

import multilstm
from multilstm.cli.app import app
from multilstm.conversion.inference import inference_graphs
from multilstm.errors import InputError, ParityError, UnsupportedError
from multilstm.files import LoadedModel, Provenance, load_model
from multilstm.files.compiled import Compiled
from multilstm.jobs.job import Batch, Step
from multilstm.spec import (
    GRU,
    LSTM,
    Activation,
    AdditiveAttention,
    Attention,
    Bidirectional,
    Concatenate,
    Conv1D,
    Dense,
    Dot,
    Dropout,
    Embedding,
    Input,
    LayerNormalization,
    Model,
    RepeatVector,
    Sequential,
    TimeDistributed,
)
from multilstm.suite import inference, targets
from multilstm.suite.inference import TOLERANCE


def inputs(encoded=(None, 3), decoded=(None, 4)):
    return Input(encoded, name="source"), Input(decoded, name="target")


def official(recurrent=LSTM, layers=1, mask_zero=False, timesteps=None):
    """Return the example of keras#12365, with an Embedding for each language."""
    source, target = (Input((timesteps,), dtype="int32", name=name) for name in ("source", "target"))
    x, y = Embedding(11, 4, mask_zero=mask_zero)(source), Embedding(9, 3, mask_zero=mask_zero)(target)
    for number in range(layers):
        x, *states = recurrent(5, return_sequences=True, return_state=True, name=f"encoder_{number}")(x)
        y = recurrent(5, return_sequences=True, name=f"decoder_{number}")(y, initial_state=states)
    return Model([source, target], Dense(9, "softmax")(y))


def states_as_outputs():
    """Return a model that also returns its last states, one of them of a single unit."""
    source, target = inputs()
    _, *states = LSTM(5, return_state=True)(source)
    sequence = LSTM(5, return_sequences=True)(target, initial_state=states)
    last, hidden, cell = LSTM(1, return_sequences=True, return_state=True)(sequence)
    return Model([source, target], [hidden, last, Dense(2)(cell)])


def attention(look_up):
    source, target = inputs()
    sequence, *states = LSTM(5, return_sequences=True, return_state=True, name="encoder")(source)
    decoded = LSTM(5, return_sequences=True, name="decoder")(target, initial_state=states)
    return Model([source, target], TimeDistributed(Dense(2))(Concatenate()([decoded, look_up(decoded, sequence)])))


def products(decoded, sequence):
    """Return Luong's attention, written with Dot."""
    scores = Activation("softmax")(Dot((2, 2))([decoded, sequence]))
    return Dot((2, 1))([scores, sequence])


def bidirectional_encoder():
    source, target = inputs()
    _, *states = Bidirectional(LSTM(3, return_state=True))(source)
    start = [Concatenate()(states[0::2]), Dense(6, "tanh")(Concatenate()(states[1::2]))]
    decoded = LSTM(6, return_sequences=True, name="decoder")(target, initial_state=start)
    second = LSTM(2, return_sequences=True, return_state=True, name="second")(
        LayerNormalization()(Dropout(0.2)(decoded))
    )
    return Model([source, target], [Dense(2)(second[0]), decoded, Dense(1)(states[0])])


MODELS = {
    "states_as_outputs": states_as_outputs(),
    "lstm": official(),
    "gru": official(GRU),
    "two_layers_with_masks": official(layers=2, mask_zero=True),
    "fixed_length": official(timesteps=6),
    "attention": attention(lambda decoded, sequence: Attention()([decoded, sequence])),
    "additive_attention": attention(lambda decoded, sequence: AdditiveAttention()([decoded, sequence])),
    "dot": attention(products),
    "bidirectional_encoder": bidirectional_encoder(),
}


@pytest.mark.parametrize("name", MODELS)
def test_decoding_step_by_step_gives_the_answers_of_the_training_model(name):
    spec = MODELS[name]
    models = multilstm.inference_models(spec)
    assert models.difference <= TOLERANCE
    assert models.timesteps == (6 if name == "fixed_length" else 7)
    kept = {name for model in models.parts.values() for name in model.weights}
    left_out = {"dense_2/kernel", "dense_2/bias"} if name == "bidirectional_encoder" else set()
    assert kept == set(spec.weight_shapes) - left_out


def test_inputs_and_outputs_have_the_names_of_the_layers():
    models = inference_graphs(MODELS["attention"])
    assert list(models.encoder.inputs) == ["source"]
    assert models.encoder.output_shapes == ((None, None, 5), (None, 5), (None, 5))
    assert models.handed == ("encoder_output", "decoder_hidden", "decoder_cell")
    assert list(models.decoder.inputs) == ["target", *models.handed]
    assert models.decoder.output_shapes == ((None, None, 2), (None, 5), (None, 5))
    assert list(models.notes(MODELS["attention"])) == []


def test_notes_name_zeros_masks_and_outputs_that_are_left_out():
    notes = "; ".join(inference_graphs(MODELS["bidirectional_encoder"]).notes(MODELS["bidirectional_encoder"]))
    assert notes == (
        "the first call of the decoder takes zeros for 'second_hidden', 'second_cell'; outputs that do not depend on "
        "the decoder are left out: number 2"
    )
    assert "a masked timestep keeps the states" in "".join(
        inference_graphs(MODELS["two_layers_with_masks"]).notes(MODELS["two_layers_with_masks"])
    )


SEED = 1  # of weights with which the decoder writes several tokens


def test_keras_12365_a_greedy_loop_writes_what_the_training_model_predicts():
    """Without the proof of the suite: a loop as a user writes it."""
    spec = MODELS["lstm"]
    weights = weights_of(spec, seed=SEED, scale=3.0)
    models = multilstm.inference_models(spec, weights=weights)

    def answer(graph, weights, arrays):
        return run(graph, Step("forward", Batch(arrays), keep=("outputs",)), weights=weights).answers[0].outputs

    source = np.array([[3, 1, 4, 1, 5]], np.int32)
    encoded = answer(models.encoder.spec, models.encoder.weights, {"source": source})
    states = dict(zip(models.graphs.handed, encoded, strict=True))
    written, token = [], 1
    for _ in range(6):
        fed = {"target": np.array([[token]], np.int32), **states}
        scores, *ends = answer(models.decoder.spec, models.decoder.weights, fed)
        states = dict(zip(models.graphs.states, ends, strict=True))
        token = int(scores[0, 0].argmax())
        written.append(token)
    forced = answer(spec, weights, {"source": source, "target": np.array([[1, *written[:-1]]], np.int32)})[0]
    assert forced[0].argmax(axis=-1).tolist() == written
    assert len(set(written)) > 1


def test_both_models_keep_the_origin_of_the_file_and_have_notes():
    origin = Provenance("Keras 3 archive (.keras)", "Keras", "3.15.1", generation=3)
    spec = MODELS["bidirectional_encoder"]
    models = multilstm.inference_models(LoadedModel(spec, weights_of(spec), origin))
    sentence = "The model is from Keras 3.15.1: Keras 3 archive (.keras), cut to its"
    assert [model.provenance.sentence for model in models.parts.values()] == [
        f"{sentence} encoder.", f"{sentence} decoder."
    ]  # fmt: skip
    assert models.decoder.provenance.generation == 3
    assert models.notes == tuple(models.graphs.notes(spec))


def test_weights_that_do_not_fit_are_refused():
    weights = weights_of(MODELS["lstm"])
    with pytest.raises(InputError, match="dense/bias"):
        multilstm.inference_models(MODELS["lstm"], weights={**weights, "dense/bias": np.zeros(3)})


def decoder_of(layer, *after):
    """Return a model whose decoder is `layer`, and the layers after it."""
    source, target = inputs()
    _, *states = LSTM(4, return_state=True)(source)
    decoded = layer(target, initial_state=states)
    for layer in after:
        decoded = layer(decoded)
    return Model([source, target], decoded)


def joined(make):
    source, target = inputs((5, 4), (5, 4))
    sequence, *states = LSTM(4, return_sequences=True, return_state=True, name="encoder")(source)
    decoded = LSTM(4, return_sequences=True, name="decoder")(target, initial_state=states)
    return Model([source, target], make(sequence, states, decoded))


def masked_attention():
    source, target = Input((None,), dtype="int32"), Input((None, 4))
    sequence, *states = LSTM(4, return_sequences=True, return_state=True)(Embedding(5, 3, mask_zero=True)(source))
    decoded = LSTM(4, return_sequences=True)(target, initial_state=states)
    return Model([source, target], Attention(name="looks")([decoded, sequence]))


def states_as_inputs():
    target, hidden, cell = Input((None, 4)), Input((4,), name="hidden"), Input((4,), name="cell")
    return Model([target, hidden, cell], LSTM(4, return_sequences=True)(target, initial_state=[hidden, cell]))


def one_input():
    source = Input((None, 4))
    sequence, *states = LSTM(4, return_sequences=True, return_state=True)(source)
    return Model(source, LSTM(4, return_sequences=True)(sequence, initial_state=states))


def called_twice():
    source, target = inputs((None, 4), (None, 4))
    _, *states = LSTM(4, return_state=True)(source)
    decoder = LSTM(4, return_sequences=True, name="decoder")
    return Model([source, target], decoder(decoder(target, initial_state=states)))


REFUSED = {
    "no_states": (lambda: Sequential([LSTM(4)], (None, 3)), "no recurrent layer starts from tensors of the graph"),
    "one_input": (one_input, "expected a decoder that reads an input of its own"),
    "states_as_inputs": (states_as_inputs, "starts from the model's input 'hidden', so there is no encoder"),
    "last_output": (lambda: decoder_of(LSTM(4, name="d")), "'d' returns its last output alone"),
    "backwards": (lambda: decoder_of(LSTM(4, return_sequences=True, go_backwards=True)), "from its end"),
    "convolution": (
        lambda: decoder_of(LSTM(4, return_sequences=True), Conv1D(2, 3, padding="causal", name="conv")),
        "'conv' computes with several timesteps",
    ),
    "reads_both_ways": (
        lambda: decoder_of(LSTM(4, return_sequences=True), Bidirectional(LSTM(4), name="both")),
        "'both' reads the sequence of the decoder from its end too",
    ),
    "self_attention": (
        lambda: joined(lambda sequence, states, decoded: Attention(name="looks")([decoded, decoded])),
        "'looks' relates timesteps of the decoder to each other",
    ),
    "aligned": (
        lambda: joined(lambda sequence, states, decoded: Concatenate(name="join")([decoded, sequence])),
        "'join' joins the timesteps of the decoder with those of LSTM 'encoder'",
    ),
    "repeated": (
        lambda: joined(
            lambda sequence, states, decoded: Concatenate()([decoded, RepeatVector(5, name="r")(states[0])])
        ),
        "with those of RepeatVector 'r'",
    ),
    "masked_attention": (masked_attention, "'looks' needs the mask of"),
    "called_twice": (called_twice, "'decoder' is called several times"),
}


@pytest.mark.parametrize("label", REFUSED)
def test_another_shape_is_refused_by_name(label):
    make, message = REFUSED[label]
    with pytest.raises(UnsupportedError, match=message):
        inference_graphs(make())


def swapped(models):
    states = list(models.states.items())
    return dataclasses.replace(models, handed=(*models.handed[:-2], *reversed(models.handed[-2:])), states=dict(states))


def crossed(models):
    (first, one), (second, other) = models.states.items()
    return dataclasses.replace(models, states={second: one, first: other})


@pytest.mark.parametrize("fault", [swapped, crossed])
def test_wrong_states_fail_the_proof(fault, monkeypatch):
    monkeypatch.setattr(inference, "inference_graphs", lambda spec: fault(inference_graphs(spec)))
    with pytest.raises(ParityError, match="decoding step by step differs from the training model in"):
        multilstm.inference_models(MODELS["lstm"])


def test_the_command_writes_the_models_of_the_python_function(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    (tmp_path / "own_encoder_decoder.py").write_text(
        "from multilstm import LSTM, Dense, Input, Model\n\n\ndef model():\n"
        "    source, target = Input((None, 3)), Input((None, 2))\n"
        "    _, *states = LSTM(4, return_state=True)(source)\n"
        "    decoded = LSTM(4, return_sequences=True, name='decoder')(target, initial_state=states)\n"
        "    return Model([source, target], Dense(2)(decoded))\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["convert", "own_encoder_decoder:model", "port.onnx", "--inference"]
    assert app(arguments, result_action="return_value") == 0
    assert sorted(path.name for path in tmp_path.glob("port*")) == [
        "port_decoder.onnx", "port_decoder.proof.json", "port_encoder.onnx", "port_encoder.proof.json"
    ]  # fmt: skip
    assert "Decoding 7 timesteps one by one gives the outputs and states" in capsys.readouterr().out.replace("\n", " ")
    models = multilstm.inference_models(load_model("own_encoder_decoder:model"))
    for part, model in models.parts.items():
        files = targets.TARGETS["onnx"].files(model.spec, model.weights, Compiled())
        assert (tmp_path / f"port_{part}.onnx").read_bytes() == files[".onnx"]
