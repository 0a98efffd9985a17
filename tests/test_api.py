"""`run` and `parity` as a library user calls them."""

import numpy as np
import pytest
from marks import engine_params, is_full, needs

from multilstm import (
    LSTM,
    Adam,
    Bidirectional,
    Dense,
    Dropout,
    Input,
    Masking,
    Model,
    Sequential,
    State,
    discriminating_weights,
    parity,
    run,
)
from multilstm.engines.registry import ENGINES
from multilstm.errors import InputError, ParityError, UsageError
from multilstm.report.report import Report

pytestmark = pytest.mark.usefixtures("kept_workers")

SPEC = Sequential([LSTM(4, return_sequences=True), LSTM(3), Dense(2)], input_shape=(None, 5))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 5)).astype("f4")
needs_jax = needs("jax-scan")


def encoder_decoder():
    source, target = Input((None, 3), name="source"), Input((None, 2), name="target")
    _, hidden, cell = LSTM(4, return_state=True)(source)
    decoded = LSTM(4, return_sequences=True)(target, initial_state=[hidden, cell])
    return Model([source, target], Dense(2, activation="softmax")(decoded))


def test_run_gives_outputs_sequences_and_states_of_every_lstm():
    result = run(SPEC, "reference", X)
    assert result.output.shape == (4, 2)
    assert {name: array.shape for name, array in result.sequences.items()} == {"lstm": (4, 6, 4)}
    assert {name: state.cell.shape for name, state in result.states.items()} == {"lstm": (4, 4), "lstm_1": (4, 3)}
    np.testing.assert_array_equal(result.sequences["lstm"][:, -1], result.states["lstm"].hidden)
    assert dict(result.parameter_counts) == SPEC.parameter_counts


def test_run_goes_on_where_given_states_ended():
    whole = run(SPEC, "reference", X)
    first = run(SPEC, "reference", X[:, :2])
    rest = run(SPEC, "reference", X[:, 2:], states=first.states)
    np.testing.assert_allclose(rest.output, whole.output, atol=1e-7)


def test_run_with_a_mask_leaves_out_masked_values():
    mask = np.array([[1, 1, 1, 0, 0, 0]] * 4, bool)
    np.testing.assert_allclose(
        run(SPEC, "reference", X, mask=mask).output, run(SPEC, "reference", X[:, :3]).output, atol=1e-7
    )


@pytest.mark.parametrize("engine", engine_params())
def test_several_inputs_and_passed_states_agree_on(engine):
    arrays = {"source": X[..., :3], "target": X[:, :4, 3:]}
    spec = encoder_decoder()
    target = np.eye(2, dtype="f4")[RNG.integers(2, size=(4, 4))]
    report = parity(
        spec, arrays, targets=target, loss="categorical_crossentropy", optimizer=Adam(), engines=[engine],
        dtypes=["float64"],
    )  # fmt: skip
    report.check()
    kinds = {cell.kind for cell in report.cells}
    assert {"output", "sequence", "hidden", "cell", "parameter_count"} <= kinds
    assert ("gradient" in kinds) == ENGINES[engine].gradients
    assert ("weights" in kinds) != ENGINES[engine].partial


@pytest.mark.parametrize("engine", engine_params(is_full))
def test_masked_bidirectional_with_given_states_agrees_on(engine):
    spec = Sequential(
        [Masking(), Bidirectional(LSTM(3, return_sequences=True)), LSTM(2, go_backwards=True)], input_shape=(None, 5)
    )
    x = X.copy()
    x[1, 4:] = 0
    x[2, :2] = 0
    state = State(*RNG.uniform(-1, 1, (2, 4, 2)).astype("f4"))
    target = RNG.random((4, 2), dtype="f4")
    parity(
        spec, x, targets=target, loss="mean_squared_error", states={"lstm": state}, engines=[engine], dtypes=["float64"]
    ).check()


@needs_jax
def test_a_dropout_mask_is_an_input():
    spec = Sequential([LSTM(3), Dropout(0.5), Dense(1)], input_shape=(None, 5))
    mask = np.array([[2, 0, 2], [0, 2, 2], [2, 2, 0], [0, 0, 2]], "f4")
    given = {"targets": np.ones((4, 1), "f4"), "loss": "mean_squared_error", "engines": ["jax-scan"]}
    parity(spec, X, dropout={"dropout": mask}, **given).check()
    missing = r"dropout mask 'dropout' is missing in a gradient step; given none; add .* of shape \(4, 3\)"
    with pytest.raises(InputError, match=missing):
        parity(spec, X, **given)


@needs_jax
def test_float64_arrays_are_rounded_for_float32_engines_and_their_reference_alike():
    report = parity(SPEC, X.astype("f8") + 1e-9, engines=["jax-scan"])
    report.check()
    assert {cell.dtype for cell in report.cells} == {"float32", "float64"}


@needs_jax
def test_check_names_engine_quantity_place_and_values():
    report = parity(SPEC, X, engines=["jax-scan"], dtypes=["float32"], atol=0.0)
    with pytest.raises(ParityError, match=r"jax-scan sequential float32 portable: \w+.*: .* worst at \[.*desired"):
        report.check()


def test_an_unknown_engine_is_refused():
    with pytest.raises(UsageError, match="unknown engine 'jax_scan'"):
        parity(SPEC, X, engines=["jax_scan"])


def test_check_refuses_a_report_of_nothing():
    with pytest.raises(ParityError, match="Nothing was compared"):
        Report((), {}).check()


def test_weights_may_be_given():
    np.testing.assert_array_equal(
        run(SPEC, "reference", X, weights=discriminating_weights(SPEC)).output, run(SPEC, "reference", X).output
    )
    weights = discriminating_weights(SPEC, seed=5)
    assert not np.allclose(run(SPEC, "reference", X, weights=weights).output, run(SPEC, "reference", X).output)
    with pytest.raises(InputError, match="lstm/bias"):
        run(SPEC, "reference", X, weights={**weights, "lstm/bias": np.full(16, np.nan, "f4")})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"targets": np.ones((4, 2))}, "targets and loss belong together"),
        ({"loss": "mean_squared_error"}, "targets and loss belong together"),
        ({"optimizer": Adam()}, "an optimizer needs targets and a loss"),
        ({"dtypes": ["float16"]}, "unknown dtype 'float16': expected one of float32, float64"),
        ({"layers": "other"}, "unknown layers 'other': expected one of portable, plain"),
        ({"device": "tpu"}, "unknown device 'tpu': expected one of cpu, gpu"),
        ({"loss": "mae", "targets": np.ones((4, 2))}, "unknown loss 'mae'"),
    ],
    ids=["targets", "loss", "optimizer", "dtype", "layers", "device", "unknown_loss"],
)
def test_usage(options, words):
    with pytest.raises(UsageError, match=words):
        parity(SPEC, X, engines=["reference"], **options)


def test_targets_are_arrays():
    with pytest.raises(InputError, match="targets: expected a NumPy array, or a list with one for each output"):
        parity(SPEC, X, engines=["reference"], targets=[[0.0, 1.0]] * 4, loss="mean_squared_error")


def test_a_model_with_two_inputs_needs_a_dict():
    with pytest.raises(UsageError, match="the model has the inputs source, target"):
        run(encoder_decoder(), "reference", X)


ALONE = {
    "stateful_alone": Sequential([LSTM(4, stateful=True)], input_shape=(6, 5), batch_size=4),
    "stateful_and_dense": Sequential([LSTM(4, stateful=True), Dense(2)], input_shape=(6, 5), batch_size=4),
}


@pytest.mark.parametrize("engine", engine_params(is_full))
@pytest.mark.parametrize("spec", ALONE.values(), ids=ALONE)
def test_a_model_of_one_output_and_no_state_shown_agrees_on(spec, engine):
    target = RNG.random((4, spec.output_shapes[0][-1]), dtype="f4")
    parity(spec, X, targets=target, loss="mean_squared_error", engines=[engine], dtypes=["float64"]).check()


@pytest.mark.parametrize("engine", engine_params(is_full))
def test_a_given_state_wins_over_one_that_the_graph_passes_on(engine):
    inputs = Input((6, 5))
    _, hidden, cell = LSTM(3, return_state=True, name="encoder")(inputs)
    spec = Model(inputs, LSTM(3, return_sequences=True, name="decoder")(inputs, initial_state=[hidden, cell]))
    state = State(*RNG.uniform(-1, 1, (2, 4, 3)).astype("f4"))
    assert not np.allclose(
        run(spec, "reference", X).output, run(spec, "reference", X, states={"decoder": state}).output
    )
    parity(spec, X, states={"decoder": state}, engines=[engine], dtypes=["float64"]).check()


LARGE = Sequential([LSTM(2)], input_shape=(None, 1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"inputs": np.full((2, 3, 1), 1e39)}, r"input 'input_layer': value 1e\+39 at \(0, 0, 0\) is beyond float32"),
        (
            {"states": {"lstm": State(np.zeros((2, 2)), np.full((2, 2), -1e39))}},
            r"layer 'lstm': its cell state: value -1",
        ),
        ({"weights": {**discriminating_weights(LARGE), "lstm/bias": np.full(8, 1e300)}}, r"weight 'lstm/bias': value"),
    ],
    ids=["inputs", "states", "weights"],
)
def test_numbers_beyond_float32_are_refused_there_and_taken_in_float64(arguments, words):
    given = {"inputs": np.ones((2, 3, 1)), **arguments}
    with pytest.raises(InputError, match=words):
        run(LARGE, "reference", **given)
    with pytest.raises(InputError, match=words):
        parity(LARGE, engines=["reference"], **given)
    with np.errstate(over="ignore"):
        assert np.isfinite(run(LARGE, "reference", dtype="float64", **given).output).all()


def test_parity_without_inputs_compares_what_the_command_line_compares():
    report = parity(SPEC, engines=["reference"], dtypes=["float64"])
    report.check()
    assert {"output", "gradient", "weights", "loss"} <= {cell.kind for cell in report.cells}
    assert report.inputs.startswith("2 batches of 3 sequences")


@pytest.mark.parametrize(
    "more", [{"mask": np.ones((4, 6), bool)}, {"against": X, "loss": "mean_squared_error"}], ids=["mask", "against"]
)
def test_data_without_the_inputs_to_which_it_belongs_is_refused(more):
    with pytest.raises(UsageError, match=", ".join(sorted(more, reverse=True)) + ": given without inputs"):
        parity(SPEC, **more)


def test_workers_are_kept_over_calls(living_pool):
    pool = living_pool()
    parity(SPEC, X, engines=["reference"], workers=pool)
    first = pool.pids["reference", "cpu"]
    parity(SPEC, X, engines=["reference"], workers=pool)
    assert pool.pids["reference", "cpu"] == first


@pytest.mark.parametrize("options", [{"engines": []}, {"engines": ()}, {"executor": {}}], ids=str)
def test_no_engine_is_refused(options):
    with pytest.raises(UsageError, match="no engine is given"):
        parity(SPEC, X, **options)
