"""The explanation of a divergence, on engines that are the reference with a fault; no framework is needed."""

import dataclasses

import numpy as np
import pytest

from multilstm.cases.case import Case
from multilstm.compare import Quantity, tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import UnsupportedError, WorkerError
from multilstm.execution.execution import Execution
from multilstm.execution.options import Options
from multilstm.explain import cause, explain, explain_error, first_block
from multilstm.explain.gate import gates_of
from multilstm.explain.side_by_side import Sides
from multilstm.explain.timestep import IsolatedLSTM
from multilstm.fuzz.sample import Sample
from multilstm.fuzz.strategies import draw_samples
from multilstm.spec import LSTM, Bidirectional, Dense, Input, Masking, Model, Sequential
from multilstm.spec.layers import ACTIVATIONS

true_forward = reference_lstm.forward


class Pool:
    """A pool without processes: the reference computes here, and its answers have the job's dtype."""

    def __init__(self, change=None, blur=0.0):
        self.change, self.blur, self.jobs = change, blur, 0

    def execute(self, engine, job):
        self.jobs += 1
        with pytest.MonkeyPatch.context() as patch:
            if self.change is not None:
                patch.setattr(reference_lstm, "forward", self.change)
            result = Executor(ReferenceEngine()).execute(job)
        rng = np.random.default_rng(0)

        def blurred(array):
            return (array * (1 + self.blur * rng.uniform(-1, 1, array.shape))).astype(job.dtype)

        answers = (
            dataclasses.replace(
                answer,
                outputs=tuple(blurred(array) for array in answer.outputs),
                states={name: type(state)(*map(blurred, state)) for name, state in answer.states.items()},
            )
            for answer in result.answers
        )
        return dataclasses.replace(result, answers=tuple(answers))


def nudged(layer, inputs, mask, weights, start, dropout):
    """Run the forward pass with one wrong kernel weight, of gate f of the second unit, in layers of three units."""
    if layer.units != 3:
        return true_forward(layer, inputs, mask, weights, start, dropout)
    kernel = weights["kernel"].copy()
    kernel[0, 4] += 0.1
    return true_forward(layer, inputs, mask, {**weights, "kernel": kernel}, start, dropout)


def explained(spec, pool, dtype="float64", **options):
    case = Sample(spec, batch=2, timesteps=5, **options).case("sample")
    return explain(Execution(pool, "keras-jax", case, dtype, Options(("keras-jax",), (dtype,))))


STACK = Sequential([LSTM(2, return_sequences=True), LSTM(3, return_sequences=True), LSTM(4), Dense(1)], (None, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_layer_timestep_row_unit_and_gate_are_named(dtype):
    finding = explained(STACK, Pool(nudged), dtype)
    assert (finding.cause, finding.layer, finding.timestep, finding.row) == ("semantics", "LSTM 'lstm_1'", 1, 0)
    assert (finding.gate, finding.unit) == ("f", 1)
    assert abs(finding.actual - finding.desired) > 1e-4
    assert finding.dtype == "float64"  # where the cause shows most clearly


def test_backwards_the_first_timestep_is_the_last():
    spec = Sequential([LSTM(3, go_backwards=True)], (None, 2))
    assert explained(spec, Pool(nudged)).timestep == 3  # the cell state is zero before timestep 4: gate f does not act


def test_the_direction_of_a_bidirectional_layer_is_named():
    def change(layer, *arguments):
        return nudged(layer, *arguments) if layer.go_backwards else true_forward(layer, *arguments)

    finding = explained(Sequential([Bidirectional(LSTM(3, return_sequences=True))], (None, 2)), Pool(change))
    assert (finding.layer, finding.timestep, finding.gate) == ("Bidirectional 'bidirectional' (backward)", 3, "f")


def test_a_wrong_input_of_a_layer_is_not_a_wrong_layer():
    """A mask is lost between two layers. Alone, the second layer agrees."""

    def change(layer, inputs, mask, *arguments):
        return true_forward(
            layer, inputs, None if layer.units == 4 and inputs.shape[-1] == 3 and fed[0] else mask, *arguments
        )

    fed = [True]
    pool = Pool(change)
    execute = pool.execute

    def execute_alone(engine, job):
        fed[0] = len(job.spec.layers) > 2
        return execute(engine, job)

    pool.execute = execute_alone
    mask = ((True,) * 5, (True, True, False, True, True))
    spec = Sequential([Masking(0.5), LSTM(3, return_sequences=True), LSTM(4)], (None, 2))
    finding = explained(spec, pool, mask=mask)
    assert finding.layer == "LSTM 'lstm_1'"
    assert finding.row == 1
    assert "its input, mask or state differs" in str(finding)


@pytest.mark.parametrize(
    ("dtype", "blur", "expected"),
    [
        ("float64", 1e-15, ""),
        ("float64", 3e-8, "precision"),
        ("float64", 1e-3, "semantics"),
        ("float32", 1e-3, "precision"),
    ],
)
def test_causes(dtype, blur, expected):
    case = Sample(STACK, batch=2, timesteps=5).case("sample")
    assert cause(Execution(Pool(blur=blur), "keras-jax", case, dtype, Options(("keras-jax",), (dtype,)))) == expected


def test_rounding_that_a_model_amplifies_is_rounding():
    """With a factor of a million in front, one unit in the last place of an input is far outside of the row."""
    layers = [Dense(1, use_bias=False), LSTM(1, activation="linear", use_bias=False)]
    spec = Sequential(layers, (6, 1))
    case = Sample(spec, batch=2, timesteps=6).case("sample")
    weights = {name: array * (1e3 if name == "dense/kernel" else 4) for name, array in case.weights.items()}
    case = dataclasses.replace(case, weights=weights)
    options = Options(("keras-jax",), ("float64",), atol=1e-18, rtol=0.0)
    assert cause(Execution(Pool(blur=1e-16), "keras-jax", case, "float64", options)) == "rounding"


def test_a_difference_in_float32_only_is_one_of_precision():
    class Coarse(Pool):
        def execute(self, engine, job):
            self.blur = 1e-3 if job.dtype == "float32" else 0.0
            return super().execute(engine, job)

    assert explained(STACK, Coarse(), "float32").cause == "precision"
    assert explained(STACK, Coarse(), "float32").dtype == "float32"


@pytest.mark.parametrize("error", [UnsupportedError("no masks"), WorkerError("it crashed", kind="crash")], ids=repr)
def test_an_engine_that_refuses_or_crashes_during_the_explanation(error):
    class Raising(Pool):
        def execute(self, engine, job):
            raise error

    finding = explained(STACK, Raising())
    assert finding.cause == ("unsupported" if isinstance(error, UnsupportedError) else "crash")
    assert str(error) in str(finding)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnsupportedError("no relu"), "unsupported: first in LSTM 'second'; no relu"),
        (WorkerError("it crashed", kind="crash"), "crash: first in LSTM 'second'"),
    ],
    ids=["unsupported", "crash"],
)
def test_the_layer_that_raises_is_named(error, expected):
    class Raising(Pool):
        def execute(self, engine, job):
            if any(lstm.activation == "relu" for lstm in job.spec.lstms.values()):
                raise error
            return super().execute(engine, job)

    layers = [LSTM(2, return_sequences=True), LSTM(2, "relu", return_sequences=True, name="second"), LSTM(3), Dense(2)]
    case = Sample(Sequential(layers, (None, 2)), 2, 3, states=("lstm", "second")).case("sample")
    options = Options(("keras-jax",), ("float64",))
    assert str(explain_error(Execution(Raising(), "keras-jax", case, "float64", options))) == expected


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("role", ["activation", "recurrent_activation"])
def test_gates_are_found_from_answers_alone(role, name):
    """All activations, with and without a bias, forward and backward."""
    rng = np.random.default_rng(0)
    layer = LSTM(3, use_bias=name != "softsign", go_backwards=name == "elu", **{role: name})
    spec = Model(source := Input((4, 2)), layer(source))
    weights = {key.split("/")[1]: rng.uniform(-1, 1, shape) for key, shape in spec.weight_shapes.items()}
    sides = Sides(Execution(Pool(), "keras-jax", None, "float64", Options(("keras-jax",))))
    lstm = IsolatedLSTM(sides, layer, weights, rng.uniform(-1, 1, (6, 4, 2)), None, None, False)
    for gate, (actual, desired) in gates_of(lstm, 2).items():
        np.testing.assert_allclose(actual, desired, rtol=1e-12, atol=1e-13, err_msg=gate)
        assert np.abs(desired).max() > 1e-3


def test_a_gradient_names_weight_and_gate():
    spec = Sequential([LSTM(2)], (None, 3))
    row = tolerance("float64", "cpu", "gradient")
    desired = np.arange(24.0).reshape(3, 8)
    actual = desired.copy()
    actual[1, 5] += 1
    text = first_block(spec, Quantity("gradient", "lstm/kernel"), actual, desired, row)
    assert text == "the gradient of lstm/kernel is wrong in gate c (1 of 6 values)"
    assert first_block(spec, Quantity("gradient", "lstm/kernel"), desired, desired, row) == ""


def test_case_weights_may_come_from_its_seed():
    sample = Sample(STACK, batch=2, timesteps=5)
    case = Case("seeded", "", STACK, sample, seed=3)
    assert (
        explain(Execution(Pool(nudged), "keras-jax", case, "float64", Options(("keras-jax",)))).layer == "LSTM 'lstm_1'"
    )


def mask_ignored(layer, inputs, mask, *arguments):
    return true_forward(layer, inputs, None, *arguments)


def state_ignored(layer, inputs, mask, weights, start, dropout):
    return true_forward(layer, inputs, mask, weights, None, dropout)


def reversed_in_time(layer, *arguments):
    return true_forward(dataclasses.replace(layer, go_backwards=not layer.go_backwards), *arguments)


def first_output_doubled(layer, *arguments):
    """In sequences of three timesteps and more, the first output is wrong; no state is."""
    record = true_forward(layer, *arguments)
    outputs = record.outputs.copy()
    outputs[1] *= 1 + (len(outputs) > 3)
    return dataclasses.replace(record, outputs=outputs)


def test_a_later_timestep_that_changes_an_earlier_one_is_named():
    finding = explained(Sequential([LSTM(2, return_sequences=True)], (None, 2)), Pool(first_output_doubled))
    assert (finding.timestep, finding.gate) == (0, "output")
    assert finding.actual == pytest.approx(2 * finding.desired)
    assert "a later timestep changes it" in str(finding)


FAULTS = {
    "output": first_output_doubled,
    "mask": mask_ignored,
    "state": state_ignored,
    "time": reversed_in_time,
    "weight": nudged,
}


class Recording(Pool):
    """A faulty engine that records the first LSTM whose output or state its fault changes.

    Only the first job is recorded: the case's model with the outputs of all layers.
    """

    def __init__(self, fault):
        super().__init__(self.compare)
        self.fault, self.job, self.first = fault, None, None

    def execute(self, engine, job):
        self.job = job if self.jobs == 0 else None
        return super().execute(engine, job)

    def compare(self, layer, *arguments):
        wrong, right = (forward(layer, *arguments) for forward in (self.fault, true_forward))
        if self.job is not None and self.first is None and differ(layer, wrong, right):
            self.first = next(name for name, lstm in self.job.spec.lstms.items() if lstm == layer)
        return wrong


def differ(layer, wrong, right):
    outputs = [record.sequence if layer.return_sequences else record.outputs[-1] for record in (wrong, right)]
    row = tolerance("float64", "cpu", "hidden")
    pairs = [outputs, (wrong.hidden[-1], right.hidden[-1]), (wrong.cell[-1], right.cell[-1])]
    return not all(np.allclose(*pair, rtol=row.rtol, atol=row.atol, equal_nan=False) for pair in pairs)


@pytest.fixture(scope="module")
def drawn():
    """Return drawn models with LSTMs: masks, states from anywhere, stateful batches, wrappers, shared layers."""
    return [sample for seed in range(2) for sample in draw_samples(seed, 60) if sample.spec.lstms]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_wrong_layer_of_any_model_is_named(drawn, fault):
    explained_cases = 0
    for sample in drawn:
        pool = Recording(FAULTS[fault])
        case = sample.case("drawn")
        finding = explain(Execution(pool, "keras-jax", case, "float64", Options(("keras-jax",), ("float64",))))
        if finding.layer is None:
            assert "the model agrees" in str(finding)
            continue
        layer, _, direction = pool.first.partition("/")
        kind = "Bidirectional" if direction else "LSTM"
        assert finding.layer == f"{kind} {layer!r}" + (f" ({direction})" if direction else ""), (finding, sample)
        assert finding.actual != finding.desired
        explained_cases += 1
    assert explained_cases


@dataclasses.dataclass
class Incomplete(Pool):
    """An engine that leaves something out of its answers."""

    leave_out: str

    def execute(self, engine, job):
        self.change, self.blur, self.jobs = None, 0.0, 0
        result = super().execute(engine, job)
        changes = {
            "states": lambda answer: dataclasses.replace(answer, states={}),
            "outputs": lambda answer: dataclasses.replace(answer, outputs=answer.outputs[:-1]),
        }
        if self.leave_out == "answers":
            return dataclasses.replace(result, answers=result.answers[:-1])
        return dataclasses.replace(result, answers=tuple(map(changes[self.leave_out], result.answers)))


@pytest.mark.parametrize(
    ("leave_out", "message"),
    [
        (
            "states",
            "engine 'keras-jax' returned no state of lstm, lstm_1, lstm_2, expected every state of every recurrent",
        ),
        ("outputs", "engine 'keras-jax' returned 3 outputs, expected 4"),
        ("answers", "engine 'keras-jax' returned 0 answers, expected 1"),
    ],
)
def test_an_incomplete_answer_is_an_error_of_the_engine(leave_out, message):
    finding = explained(STACK, Incomplete(leave_out))
    assert finding.cause == "crash"
    assert message in str(finding)
    case = Sample(STACK, batch=2, timesteps=5).case("sample")
    with pytest.raises(WorkerError, match=message) as raised:
        cause(Execution(Incomplete(leave_out), "keras-jax", case, "float64", Options(("keras-jax",))))
    assert raised.value.kind == "exception"
