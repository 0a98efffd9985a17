"""Jobs and results: what crosses the process boundary, and what an engine takes and gives.

A job is a model spec, its weights, and a list of steps over batches. It is complete: it holds every number that
matters (weights, optimizer slots, carried states, dropout masks), so that any engine in any process can execute it,
and a long training may be cut into several jobs. All arrays are NumPy arrays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from multilstm.errors import UnsupportedError, UsageError, choice
from multilstm.spec import Graph, from_json, to_json
from multilstm.state import State
from multilstm.training import LOSSES, Optimizer, optimizer_from_dict, optimizer_to_dict

Array = np.ndarray
StepKind = Literal["forward", "gradient", "update", "evaluate"]
MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}  # Keras's policies: what computes in what
DTYPES = (
    "float32",
    "float64",
    *MIXED,
    "tf32",
)  # tf32: arrays in float32, whose products a GPU rounds to ten bits of mantissa
LAYERS = ("portable", "plain")
DEVICES = ("cpu", "gpu")


@dataclasses.dataclass(frozen=True)
class Batch:
    """The arrays of one step.

    Attributes:
        inputs: for every input layer, by name, an array `[batch, ...]`.
        targets: for every output of the model, in order, an array of the output's shape; empty without a loss.
        masks: for inputs by name, boolean `[batch, timesteps]`, True where a timestep counts; as `model(x, mask=...)`.
        states: initial states by LSTM (see `Graph.lstms`), each `[batch, units]`; they win over carried ones.
        dropout: masks in training steps, 0 where something is dropped, else 1 / (1 - rate): for a Dropout layer by its
            name, of its input's shape; for an LSTM `lstm/dropout` on its inputs and `lstm/recurrent_dropout` on its
            hidden states, `[batch, size]`, or `[4, batch, size]` if each gate has its own (see `multilstm.dropout`).
    """

    inputs: Mapping[str, Array]
    targets: tuple[Array, ...] = ()
    masks: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    states: Mapping[str, State] = dataclasses.field(default_factory=dict)
    dropout: Mapping[str, Array] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of sequences."""
        return len(next(iter(self.inputs.values())))


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do with a batch.

    Attributes:
        kind: `forward`: inference. `evaluate`: inference and loss. `gradient`: loss and gradients in training mode,
            weights untouched. `update`: one step of training.
        batch: the arrays.
        reset: sets all carried states to zero before the step.
        keep: which arrays of the answer come back: `outputs`, `sequences` (the last outputs too), `states`, `gradients`
            (of weights, inputs and given states), `weights`, `slots`.
    """

    kind: StepKind
    batch: Batch
    reset: bool = False
    keep: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Job:
    """One model, its weights, and what to do with them, one step after the other.

    Attributes:
        spec: the model.
        weights: every weight by `layer/weight`, in Keras's layout.
        steps: what to do.
        dtype: the dtype of weights, states and computation; arrays are rounded to it first. Under Keras's mixed
            policies layers compute in half precision, and everything is kept, goes in and comes out in float32.
            `float32` is IEEE's on every device; `tf32` is the same with products in TF32, on a GPU.
        layers: for the Keras engines: `plain` (exactly Keras's layers) or `portable` (multilstm.keras_layers).
        device: `cpu` or `gpu`.
        loss: the loss of every output; needed by all steps but `forward`.
        loss_scale: what the loss is multiplied by before it is differentiated, and gradients divided by; what comes out
            is scaled by nothing. A power of two, with which float16 keeps small gradients, as in Keras's trainer.
        optimizer: needed by `update`.
        slots: the optimizer's arrays as `layer/weight/slot`; None: zeros.
        iteration: how many updates were made before.
        carried: the states that stateful layers begin with; missing ones are zero.
    """

    spec: Graph
    weights: Mapping[str, Array]
    steps: tuple[Step, ...]
    dtype: str = "float32"
    layers: str = "portable"
    device: str = "cpu"
    loss: str | None = None
    loss_scale: float = 1.0
    optimizer: Optimizer | None = None
    slots: Mapping[str, Array] | None = None
    iteration: int = 0
    carried: Mapping[str, State] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, given, known in (
            ("dtype", self.dtype, DTYPES),
            ("layers", self.layers, LAYERS),
            ("device", self.device, DEVICES),
            ("loss", self.loss, (*LOSSES, None)),
        ):
            if given not in known:
                raise UsageError(choice(what, given, known))
        check_dtype(self.dtype, self.device)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one step gave.

    Attributes:
        loss: the scalar loss, the penalties of regularizers included; or None for `forward`.
        accuracy: the share of equal argmax over the last axis, outputs against targets, masked timesteps included.
        outputs: the model's outputs, in order.
        sequences: for every LSTM layer with return_sequences, what it returned, `[batch, timesteps, units]`.
        last_outputs: for every other LSTM layer, what it returned, `[batch, units]`.
        states: for every LSTM, its state after the last timestep, each `[batch, units]`.
        gradients: for every weight that is trained, the gradient of the loss, of the weight's shape.
        input_gradients: for every input of floats, the gradient of the loss, of the input's shape.
        state_gradients: for every LSTM whose initial state the batch gives, that state's gradient. Stateful LSTMs have
            none: their states are carried, and what is carried is not differentiated.
        weights: every weight after the step.
        slots: the optimizer's arrays after the step, as `layer/weight/slot`.
    """

    loss: float | None = None
    accuracy: float | None = None
    outputs: tuple[Array, ...] = ()
    sequences: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    last_outputs: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    states: Mapping[str, State] = dataclasses.field(default_factory=dict)
    gradients: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    input_gradients: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    state_gradients: Mapping[str, State] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    slots: Mapping[str, Array] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a job gave.

    Attributes:
        answers: one for every step.
        weights: after the last step.
        slots: the optimizer's arrays after the last step, as `layer/weight/slot`.
        carried: the states of stateful layers after the last step.
        parameter_counts: by layer, as the framework counts them itself.
        implementation: what really computed the LSTMs.
        seconds: the time that the job took inside its engine, compilation included.
    """

    answers: tuple[Answer, ...]
    weights: Mapping[str, Array]
    slots: Mapping[str, Array]
    carried: Mapping[str, State]
    parameter_counts: Mapping[str, int]
    implementation: str
    seconds: float


def stored(dtype: str) -> str:
    """The dtype of the arrays of a job: of its weights and of all that goes in and comes out."""
    return "float32" if dtype in MIXED or dtype == "tf32" else dtype


def device_dtypes(device: str) -> tuple[str, ...]:
    """The dtypes in which a device computes."""
    return tuple(dtype for dtype in DTYPES if dtype != "tf32" or device == "gpu")


def check_dtype(dtype: str, device: str) -> None:
    """Returns if the device has the dtype.

    Raises:
        UnsupportedError: for tf32 on a CPU.
    """
    if dtype not in device_dtypes(device):
        raise UnsupportedError(
            f"tf32 is how GPUs round products of float32; given device {device!r}, expected 'gpu' (--device gpu)"
        )


def job_to_tree(job: Job) -> dict[str, Any]:
    """The job as dicts, lists, strings, numbers and arrays."""
    tree = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    tree["spec"] = to_json(job.spec)
    tree["optimizer"] = optimizer_to_dict(job.optimizer) if job.optimizer is not None else None
    tree["steps"] = [{**_shallow(step), "batch": _shallow(step.batch)} for step in job.steps]
    return tree


def job_from_tree(tree: dict[str, Any]) -> Job:
    """The job that `job_to_tree` wrote."""
    steps = []
    for step in tree["steps"]:
        batch = dict(step["batch"])
        batch["targets"] = tuple(batch["targets"])
        batch["states"] = _states(batch["states"])
        steps.append(Step(step["kind"], Batch(**batch), step["reset"], tuple(step["keep"])))
    optimizer = tree["optimizer"]
    return Job(
        **{
            **tree,
            "spec": from_json(tree["spec"]),
            "steps": tuple(steps),
            "optimizer": optimizer_from_dict(optimizer) if optimizer is not None else None,
            "carried": _states(tree["carried"]),
        }
    )


def result_to_tree(result: Result) -> dict[str, Any]:
    """The result as dicts, lists, strings, numbers and arrays."""
    return {**_shallow(result), "answers": [_shallow(answer) for answer in result.answers]}


def result_from_tree(tree: dict[str, Any]) -> Result:
    """The result that `result_to_tree` wrote."""
    answers = tuple(
        Answer(
            **{
                **answer,
                "outputs": tuple(answer["outputs"]),
                "states": _states(answer["states"]),
                "state_gradients": _states(answer["state_gradients"]),
            }
        )
        for answer in tree["answers"]
    )
    return Result(**{**tree, "answers": answers, "carried": _states(tree["carried"])})


def _shallow(data: Any) -> dict[str, Any]:
    return {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}


def _states(tree: Mapping[str, Any]) -> dict[str, State]:
    return {name: State(*pair) for name, pair in tree.items()}
