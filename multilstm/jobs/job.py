"""Jobs and results: the input and the output of an engine, which cross the process border.

A job is a model spec, its weights, and a list of steps over batches. It is complete: it holds weights, optimizer slots,
carried states and dropout masks. So any engine in any process can execute it, and a long training may be cut into
several jobs. All arrays are NumPy arrays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from multilstm.errors import UsageError, choice
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.jobs.dtypes import DEVICES, DTYPES, check_dtype
from multilstm.jobs.implementation import Implementation
from multilstm.spec import Graph
from multilstm.spec.arrays import AnyState, Array
from multilstm.spec.optimizers import LOSSES, Optimizer

__all__ = ["LAYERS", "Answer", "Batch", "Job", "Result", "Step", "StepKind"]

StepKind = Literal["forward", "gradient", "update", "evaluate"]
LAYERS = ("portable", "plain")


@dataclasses.dataclass(frozen=True)
class Batch:
    """The arrays of one step.

    Attributes:
        inputs: for every input layer, by name, an array `[batch, ...]`.
        targets: for every output of the model, in order, an array of the output's shape; empty without a loss.
        masks: for inputs by name, boolean `[batch, timesteps]`, True where a timestep counts; as `model(x, mask=...)`.
        states: initial states by recurrent layer (`Graph.recurrent`), each `[batch, units]`; they replace carried ones.
        dropout: masks in training steps, by the names and of the shapes of `dropout_masks`: 0 where a number is
            dropped, else 1 / (1 - rate). A mask that is missing is drawn from the seed of its layer.
    """

    inputs: Mapping[str, Array]
    targets: tuple[Array, ...] = ()
    masks: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    states: Mapping[str, AnyState] = dataclasses.field(default_factory=dict)
    dropout: Mapping[str, Array] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of sequences."""
        return len(next(iter(self.inputs.values())))


@dataclasses.dataclass(frozen=True)
class Step:
    """One computation with a batch.

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
    """One model, its weights, and the steps to compute with them, in order.

    Attributes:
        spec: the model.
        weights: every weight by `layer/weight`, in Keras's layout.
        steps: the computations, in order.
        dtype: the dtype of weights, states and computation; arrays are rounded to it first. Under Keras's mixed
            policies layers compute in half precision, and everything is kept, goes in and comes out in float32.
            `float32` is IEEE's on every device; `tf32` is the same with products in TF32, on a GPU.
        layers: for the Keras engines: `plain` (exactly Keras's layers) or `portable` (multilstm.keras_layers).
        device: `cpu` or `gpu`.
        loss: the loss of every output; needed by all steps but `forward`.
        loss_scale: a power of two. The loss is multiplied by it before it is differentiated, and gradients are divided
            by it, so that results are unscaled. With it float16 keeps small gradients, as in Keras's trainer.
        optimizer: needed by `update`.
        slots: the optimizer's arrays as `layer/weight/slot`; None: zeros.
        iteration: the number of updates made before.
        carried: the states that stateful layers begin with; missing ones are zero.
        faults: for the reference alone, the faults of plain Keras and the semantics of older versions that it computes,
            by their names in `multilstm.engines.reference.faults`.
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
    carried: Mapping[str, AnyState] = dataclasses.field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for argument, name, known in (
            ("dtype", self.dtype, DTYPES),
            ("layers", self.layers, LAYERS),
            ("device", self.device, DEVICES),
            ("loss", self.loss, (*LOSSES, None)),
        ):
            if not isinstance(name, str | None) or name not in known:
                raise UsageError(choice(argument, name, known))
        check_dtype(self.dtype, self.device)

    @property
    def draws_dropout(self) -> bool:
        """Whether a program may draw all dropout masks: no step gives one, and every layer that drops has a seed."""
        given = any(step.batch.dropout for step in self.steps)
        return not given and all(mask.seed is not None for mask in dropout_masks(self.spec))


@dataclasses.dataclass(frozen=True)
class Answer:
    """The results of one step.

    Attributes:
        loss: the scalar loss, the penalties of regularizers included; or None for `forward`.
        accuracy: the share of equal argmax over the last axis, outputs against targets, masked timesteps included.
        outputs: the model's outputs, in order.
        sequences: the output of every recurrent layer with return_sequences, `[batch, timesteps, units]`.
        last_outputs: the output of every other recurrent layer, `[batch, units]`.
        states: for every recurrent layer, its state after the last timestep, each `[batch, units]`.
        gradients: for every weight that is trained, the gradient of the loss, of the weight's shape.
        input_gradients: for every input of floats, the gradient of the loss, of the input's shape.
        state_gradients: for every recurrent layer whose initial state the batch gives, that state's gradient. Stateful
            layers have none: carried states are not differentiated.
        weights: every weight after the step.
        slots: the optimizer's arrays after the step, as `layer/weight/slot`.
    """

    loss: float | None = None
    accuracy: float | None = None
    outputs: tuple[Array, ...] = ()
    sequences: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    last_outputs: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    states: Mapping[str, AnyState] = dataclasses.field(default_factory=dict)
    gradients: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    input_gradients: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    state_gradients: Mapping[str, AnyState] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    slots: Mapping[str, Array] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Result:
    """The results of a job.

    Attributes:
        answers: one for every step.
        weights: after the last step.
        slots: the optimizer's arrays after the last step, as `layer/weight/slot`.
        carried: the states of stateful layers after the last step.
        parameter_counts: by layer, as the framework counts them itself.
        implementation: the kernel that computed the recurrent layers.
        seconds: the time that the job took inside its engine, compilation included.
    """

    answers: tuple[Answer, ...]
    weights: Mapping[str, Array]
    slots: Mapping[str, Array]
    carried: Mapping[str, AnyState]
    parameter_counts: Mapping[str, int]
    implementation: Implementation
    seconds: float
