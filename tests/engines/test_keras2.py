"""The engine keras2: tf-keras gives the reference's answers for models of Keras 2, and is refused where it cannot.

tf-keras depends on the package tensorflow. Where tensorflow-cpu is, install it with `--no-deps`.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from marks import needs

from multilstm import LSTM, Sequential, load, parity
from multilstm.cases.catalogue import catalogue
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.registry import ENGINES
from multilstm.errors import UnsupportedError
from multilstm.execution.availability import available
from multilstm.execution.options import Options
from multilstm.execution.part import Part
from multilstm.fuzz import check
from multilstm.fuzz.sample import Sample
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import Bidirectional, Dense, Input, LeakyReLU, Masking, Model
from multilstm.spec.dialects.training import read_training
from multilstm.spec.dialects.versions import version_of
from multilstm.suite.compare_cases import compare_cases
from multilstm.weights.initializers import discriminating_weights

ENGINE = "keras2"
OPTIONS = Options((ENGINE,), ("float64",))  # a file of tf-keras below is compared in float32
CASES = (
    "seed1-stateful",
    "seed3-states",
    "option-recurrent_activation-hard_sigmoid_keras2",
    "option-recurrent_activation-hard_sigmoid",
    "option-activation-gelu",
    "option-implementation-1",
    "option-kernel_regularizer-bidirectional",
    "option-unroll",
    "model-embedding_bidirectional-mask-holes",
    "peer-keras-mask-zero_output_for_mask",
    "peer-keras-initial_state-go_backwards",
)
GRADIENTS = {"gradient", "input_gradient"}
MADE = "tests/files/made/tf_keras-2.21.0"
X = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 4, 3)


@pytest.fixture(scope="module")
def workers(living_pool):
    return living_pool()


@pytest.fixture(scope="module")
def cells(workers):
    cases = [catalogue()[name] for name in CASES]
    return compare_cases(cases, OPTIONS, pool=workers).cells


def job(spec, kind="forward", **more):
    batch = Batch({"input_layer": X}, targets=() if kind == "forward" else (np.ones((2, 5), "float32"),))
    loss = None if kind == "forward" else "mean_squared_error"
    return Job(spec, discriminating_weights(spec), (Step(kind, batch, keep=("outputs",)),), loss=loss, **more)


@needs(ENGINE)
@pytest.mark.parametrize("case", CASES)
def test_keras_2_gives_the_answers_of_the_reference(cells, case):
    judged = [cell for cell in cells if cell.case == case]
    wrong = [cell for cell in judged if cell.verdict not in ("equal", "bitwise", "rounded", "within")]
    assert not wrong, "\n".join(cell.comparison.message for cell in wrong)
    assert {"output", "hidden", "cell"} <= {cell.kind for cell in judged}
    if Part.GRADIENT.is_due(catalogue()[case], "float64", partial=True):
        assert {cell.kind for cell in judged} >= GRADIENTS - ({"input_gradient"} if "embedding" in case else set())
    assert not {cell.kind for cell in judged} & {"loss", "weights", "slots"}, "a partial engine does not train"


@needs(ENGINE)
def test_the_kernel_is_the_loop_of_tf_keras(cells):
    kernels = {str(cell.implementation) for cell in cells if cell.case == "seed3-states" and cell.kind == "output"}
    assert kernels == {"tf.while_loop (tf-keras)"}


def passed_to_a_stateful_layer():
    x = Input((4, 3), batch_size=2, name="input_layer")
    states = LSTM(5, return_state=True)(x)[1:]
    return Model(x, LSTM(5, stateful=True, name="decoder")(x, initial_state=states))


LACKED = "keras2: LSTM 'lstm' has use_cudnn=True, an argument that Keras 2 lacks; expected one of 'auto', False"
REFUSED = {
    "use_cudnn": (job(Sequential([LSTM(5, use_cudnn=True)], input_shape=(4, 3))), LACKED),
    "mixed": (job(Sequential([LSTM(5)], input_shape=(4, 3)), dtype="mixed_float16"), "given mixed_float16"),
    "given_state": (job(passed_to_a_stateful_layer()), "LSTM 'decoder' is stateful and gets its initial state from"),
}


@needs(ENGINE)
@pytest.mark.parametrize("name", REFUSED)
def test_what_keras_2_lacks_is_refused_by_name(workers, name):
    given, words = REFUSED[name]
    with pytest.raises(UnsupportedError, match=words):
        workers.execute(ENGINE, given)


@needs(ENGINE)
def test_dropout_inside_an_lstm_is_refused_in_training_alone(workers):
    spec = Sequential([LSTM(5, dropout=0.5)], input_shape=(4, 3))
    assert workers.execute(ENGINE, job(spec)).answers
    factors = {"lstm/dropout": np.full((2, 3), 2.0, "float32")}
    batch = Batch({"input_layer": X}, targets=(np.ones((2, 5), "float32"),), dropout=factors)
    given = Job(spec, discriminating_weights(spec), (Step("gradient", batch),), loss="mean_squared_error")
    with pytest.raises(UnsupportedError, match="keras2: LSTM 'lstm' trains with dropout"):
        workers.execute(ENGINE, given)


@needs(ENGINE)
def test_the_slope_of_a_leaky_relu_has_another_name(workers):
    spec = Sequential([LSTM(5), LeakyReLU(0.1)], input_shape=(4, 3))
    found, desired = (workers.execute(name, job(spec)).answers[0].outputs[0] for name in (ENGINE, "reference"))
    assert (desired < 0).any()
    np.testing.assert_allclose(found, desired, atol=1e-6)


@needs(ENGINE)
@pytest.mark.usefixtures("kept_workers")
def test_a_file_of_tf_keras_is_compared_on_keras2_by_default():
    model, made = load(f"{MADE}.h5"), np.load(f"{MADE}.npz")
    (x,) = (made[name] for name in made.files if name == "x")
    (y,) = (made[name] for name in made.files if name == "y")
    assert model.provenance.generation == 2
    report = parity(model, x, dtypes=["float32"], against=y)
    report.check()
    assert {cell.engine for cell in report.cells if cell.verdict in ("bitwise", "within")} >= {ENGINE, "recorded"}


@pytest.mark.unit
@pytest.mark.parametrize("generation", [0, 1, 2, 3, None])
def test_it_runs_by_default_for_old_models_alone(generation):
    names, skipped, *_ = available(None, generation=generation)
    assert (ENGINE in {*names, *skipped}) == (generation in (0, 1, 2))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("tensorflow", "command"),
    [
        ("tensorflow-cpu", r"pip install --no-deps 'tf-keras==2\.21\.\*'"),
        ("tensorflow", r"pip install 'multilstm\[keras2\]'"),
    ],
)
def test_the_message_has_the_command_that_keeps_tensorflow(monkeypatch, tensorflow, command):
    monkeypatch.setattr("multilstm.engines.registry.is_distributed", lambda package: package == tensorflow)
    monkeypatch.setattr("multilstm.engines.registry.not_installed", lambda modules: ("tf_keras",))
    with pytest.raises(Exception, match=f"engine 'keras2' needs tf_keras, not installed here; .*: {command}"):
        ENGINES[ENGINE].require()


# Arguments that float32 represents exactly: tf-keras keeps them in it.
LEGACY = {
    "rmsprop": ("RMSprop", {"learning_rate": 2**-7, "rho": 0.875, "epsilon": 2**-23}),
    "rmsprop_decay": ("RMSprop", {"learning_rate": 2**-7, "rho": 0.875, "epsilon": 2**-23, "decay": 2**-5}),
    "rmsprop_centered": ("RMSprop", {"learning_rate": 2**-7, "rho": 0.875, "epsilon": 2**-13, "centered": True}),
    "rmsprop_momentum": ("RMSprop", {"learning_rate": 2**-7, "rho": 0.875, "epsilon": 2**-23, "momentum": 0.5}),
    "adam_decay": (
        "Adam", {"learning_rate": 2**-7, "beta_1": 0.875, "beta_2": 0.96875, "epsilon": 2**-23, "decay": 2**-5},
    ),
    "sgd_clipnorm": ("SGD", {"learning_rate": 2**-3, "momentum": 0.875, "nesterov": True, "clipnorm": 0.5}),
}  # fmt: skip


@pytest.fixture(scope="module")
def legacy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("legacy")
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(100, 2, 3)) * np.logspace(-7, 0, 100)[:, None, None]  # small ones, too
    question = {"optimizers": LEGACY, "weight": np.ones((2, 3)).tolist(), "gradients": gradients.tolist()}
    (folder / "ask.json").write_text(json.dumps(question))
    program = pathlib.Path(__file__).with_name("legacy_optimizers.py")
    command = [sys.executable, str(program), str(folder / "ask.json"), str(folder / "answer.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return gradients, json.loads((folder / "answer.json").read_text())


@needs(ENGINE)
@pytest.mark.parametrize("name", LEGACY)
def test_the_old_rules_are_those_of_legacy_optimizers(legacy, name):
    gradients, answers = legacy
    config = {"optimizer_config": {"class_name": LEGACY[name][0], "config": answers[name]["config"]}, "loss": "mse"}
    rule = read_training(config, version_of({"keras_version": "2.9.0"}, None)[0], ("head",)).optimizer
    weight, slots = np.ones((2, 3)), {slot: np.zeros((2, 3)) for slot in rule.slots}
    for iteration, gradient in enumerate(gradients):
        weight, slots = rule.step(weight, rule.clip({0: gradient})[0], slots, rule.coefficients(iteration))
    np.testing.assert_allclose(weight, answers[name]["weight"], rtol=0, atol=1e-12)


@needs(ENGINE)
@pytest.mark.usefixtures("kept_workers")
def test_a_bidirectional_has_activations_that_keras_2_lacks():
    """tf-keras makes its second layer from the name of the activation."""
    source, names = Input((None, 3)), ("mish", "gelu", "hard_sigmoid", "hard_silu", "log_softmax", "leaky_relu")
    spec = Model(source, [Bidirectional(LSTM(2, activation=name))(source) for name in names])
    check(Sample(spec, 2, 4), ENGINE, "float64", "portable")


@needs(ENGINE)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_the_crossentropy_is_that_of_the_outputs(workers, activation, masked):
    layers = [Masking(-1.0)] if masked else []
    head = Dense(5, activation=activation)
    spec = Sequential([*layers, LSTM(3, return_sequences=True), head], input_shape=(4, 3))
    inputs = X.astype("float64")
    inputs[0, 2:] = -1.0
    batch = Batch({"input_layer": inputs}, targets=(np.linspace(0.0, 2.0, 40).reshape(2, 4, 5),))
    step = Step("gradient", batch, keep=("gradients",))
    weights = {name: array.astype("float64") for name, array in discriminating_weights(spec).items()}
    given = Job(spec, weights, (step,), "float64", loss="categorical_crossentropy")
    desired = Executor(ReferenceEngine()).execute(given).answers[0]
    actual = workers.execute(ENGINE, given).answers[0]
    for name, gradient in desired.gradients.items():
        np.testing.assert_allclose(actual.gradients[name], gradient, rtol=1e-9, atol=1e-12)
