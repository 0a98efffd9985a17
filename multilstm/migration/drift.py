"""The table of drift: what changed in meaning from Keras 1 and 2 to Keras 3, without an error.

The rows were read in the sources of Keras 1.2.2 to 2.11, tf-keras 2.21 and Keras 3.15.1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from multilstm.migration import seen
from multilstm.migration.seen import OldModel
from multilstm.spec.optimizers import RMSprop
from multilstm.spec.schedules import InverseTimeDecay
from multilstm.spec.training import Training

__all__ = ["DRIFTS", "Drift"]


@dataclasses.dataclass(frozen=True)
class Drift:
    """One change of meaning.

    Attributes:
        name: a short name.
        before: the old meaning.
        since: the version that changed it.
        now: the meaning in Keras 3.
        seen: how a model is seen to be touched, in words.
        places: returns the places of a model that the change touches; none: the model is not touched.
        writes: what `migrate` writes, so that the model means the same.
        repaired: whether the written file means the same.
        undone: returns the training as Keras 3 would read the same words; None: the change is not one of training.
    """

    name: str
    before: str
    since: str
    now: str
    seen: str
    places: Callable[[OldModel], Sequence[str]]
    writes: str
    repaired: bool = True
    undone: Callable[[Training], Training] | None = None


def _with_epsilon_inside(training: Training) -> Training:
    fields = {field.name: getattr(training.optimizer, field.name) for field in dataclasses.fields(training.optimizer)}
    return dataclasses.replace(training, optimizer=RMSprop(**fields))


def _clipped_apart(training: Training) -> Training:
    norm = training.optimizer.global_clipnorm
    optimizer = dataclasses.replace(training.optimizer, global_clipnorm=None, clipnorm=norm)
    return dataclasses.replace(training, optimizer=optimizer)


def _without_decay(training: Training) -> Training:
    rate = training.optimizer.learning_rate
    assert isinstance(rate, InverseTimeDecay)
    optimizer = dataclasses.replace(training.optimizer, learning_rate=rate.initial_learning_rate)
    return dataclasses.replace(training, optimizer=optimizer)


def _over_unmasked(training: Training) -> Training:
    return dataclasses.replace(training, counts_padding=False)


DRIFTS: tuple[Drift, ...] = (
    Drift(
        "hard_sigmoid",
        before="`hard_sigmoid` is `clip(0.2 * x + 0.5, 0, 1)`",
        since="3.0",
        now="`hard_sigmoid` is `clip(x / 6 + 0.5, 0, 1)`",
        seen="a layer with the activation `hard_sigmoid`, the default of gates before Keras 2.3",
        places=seen.has_hard_sigmoid,
        writes="`multilstm.keras_layers.activations.hard_sigmoid_keras2`",
    ),
    Drift(
        "mask_per_gate",
        before="`implementation=1`, the default before Keras 2.3, draws a dropout mask for each gate",
        since="3.0, whose files do not hold `implementation`",
        now="all gates share one mask",
        seen="an LSTM or GRU with `dropout`, `implementation=1` and without `recurrent_dropout`",
        places=seen.draws_mask_per_gate_somewhere,
        writes="`multilstm.keras_layers.LSTM` or `GRU`, which keep `implementation=1`",
    ),
    Drift(
        "bidirectional_padding",
        before="a Bidirectional repeats the output before at masked timesteps",
        since="2.4, and all of TensorFlow 2",
        now="it returns zeros there",
        seen="a Bidirectional with `return_sequences` that a mask reaches",
        places=seen.pads_bidirectional,
        writes="nothing: Keras 3 has no such Bidirectional; only masked timesteps differ",
        repaired=False,
    ),
    Drift(
        "first_masked_timesteps",
        before="a masked timestep before the first that is kept returns the initial hidden state",
        since="2.3, and TensorFlow's Keras",
        now="it returns zeros",
        seen="a recurrent layer with a mask that has an initial state or is stateful",
        places=seen.returns_state_before_first_timestep,
        writes="nothing: Keras 3 has no such layer; only these timesteps, and sequences without any other, differ",
        repaired=False,
    ),
    Drift(
        "masked_loss",
        before="the mean of a masked loss counts masked timesteps (Keras 2.3, TensorFlow 2.0 to 2.9)",
        since="2.10, and before Keras 2.3",
        now="it is over the unmasked timesteps",
        seen="a compiled model with an output that carries a mask",
        places=seen.has_masked_loss,
        writes="`multilstm.keras_layers.MeanOverAllTimesteps` around the loss",
        undone=_over_unmasked,
    ),
    Drift(
        "hinge_labels",
        before="`hinge` and `squared_hinge` keep labels of 0 and 1",
        since="2.3, and TensorFlow 1.14",
        now="where all labels are 0 or 1, they become -1 and 1",
        seen="one of these losses",
        places=seen.has_hinge,
        writes="the loss of Keras 3, which is the same for labels of -1 and 1",
        repaired=False,
    ),
    Drift(
        "activity_penalty",
        before="the penalty of an `activity_regularizer` is a sum over the batch",
        since="2.4, and TensorFlow 1.13",
        now="it is that sum divided by the batch size",
        seen="a layer with an `activity_regularizer`, or an ActivityRegularization",
        places=seen.penalizes_activity,
        writes="the same factor: multiply it by your batch size",
        repaired=False,
    ),
    Drift(
        "frozen_normalization",
        before="a BatchNormalization with `trainable=False` normalizes by the batch while the model trains",
        since="2.4, and TensorFlow 2",
        now="it normalizes by its moving statistics",
        seen="a BatchNormalization with `trainable=False`",
        places=seen.is_frozen,
        writes="the same layer; only training differs",
        repaired=False,
    ),
    Drift(
        "moving_deviation",
        before="a BatchNormalization averages the deviations of batches, and divides by them plus epsilon",
        since="1.0.6",
        now="it averages their variances, and divides by the root of them plus epsilon",
        seen="a trained BatchNormalization in Keras 0 or 1",
        places=seen.averages_deviations,
        writes="variances with which predictions are the same; only further training differs",
        repaired=False,
    ),
    Drift(
        "moving_variance",
        before="the moving variance averages the variances of batches times `n / (n - 1)`, for n values of a feature",
        since="2.4 but for inputs of four dimensions, 3.0 for these",
        now="it averages the variances",
        seen="a trained BatchNormalization, in Keras 2.1.4 to 2.3, or with inputs of four dimensions in TensorFlow",
        places=seen.corrects_variance,
        writes="the same layer with its statistics; only further training differs",
        repaired=False,
    ),
    Drift(
        "rmsprop_epsilon",
        before="RMSprop without a momentum divides by `sqrt(velocity) + epsilon`",
        since="2.11",
        now="it divides by `sqrt(velocity + epsilon)`",
        seen="the optimizer RMSprop",
        places=seen.has_rmsprop,
        writes="`multilstm.keras_layers.RMSpropKeras2`",
        undone=_with_epsilon_inside,
    ),
    Drift(
        "clipnorm",
        before="`clipnorm` limits the norm of all gradients together",
        since="2.4, and all of TensorFlow 2",
        now="it limits the norm of each gradient",
        seen="an optimizer with `clipnorm`",
        places=seen.clips_together,
        writes="`global_clipnorm`",
        undone=_clipped_apart,
    ),
    Drift(
        "decay",
        before="`decay` divides the learning rate of update n by `1 + decay * n`",
        since="2.11",
        now="`decay` is ignored with a warning",
        seen="an optimizer with `decay` above 0",
        places=seen.decays,
        writes="`keras.optimizers.schedules.InverseTimeDecay`",
        undone=_without_decay,
    ),
    Drift(
        "other_optimizers",
        before="Adagrad, Adadelta, Adamax and Nadam have the rates 0.01, 1, 0.002 and 0.002, and other formulas",
        since="2.4 for the rates, 2.11 for the formulas",
        now="the default learning rate of each is 0.001",
        seen="one of these optimizers",
        places=seen.uses_unread_optimizer,
        writes="a model without an optimizer: compile it with your choice",
        repaired=False,
    ),
    Drift(
        "training_false",
        before="a layer that is called with `training=False` stays in inference while the model trains",
        since="3.0",
        now="`fit` ignores it: set `trainable=False` of a BatchNormalization, or its `rate` of a Dropout to 0",
        seen="such a call of a layer that computes otherwise in training",
        places=seen.is_held,
        writes="the layer without it; only training differs",
        repaired=False,
    ),
    Drift(
        "reset_states",
        before="`model.reset_states()` sets the states of all layers to zero",
        since="3.0",
        now="a model has no such method: call `layer.reset_state()` of each layer",
        seen="a stateful layer",
        places=seen.is_stateful,
        writes="the same layers; the calls are in your program",
        repaired=False,
    ),
)
