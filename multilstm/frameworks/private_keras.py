"""Every private or undocumented part of Keras that the package uses.

Each function isolates one part, and names the version in which the part was seen and the reason for its use.
`OVERRIDES` lists the private methods that `multilstm.keras_layers` replaces.

tests/frameworks/test_private_apis.py checks every entry, and explains which feature breaks without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from multilstm.frameworks import kernels


@dataclasses.dataclass(frozen=True)
class Override:
    """A private method of Keras that a class of `multilstm.keras_layers` replaces.

    Attributes:
        owner: name of Keras's class under `keras`, such as `layers.LSTM`.
        method: name of the method.
        parameters: names of its parameters after `self`.
        reason: the fault of Keras's own method.
    """

    owner: str
    method: str
    parameters: tuple[str, ...]
    reason: str


# Seen in Keras 3.15.1.
OVERRIDES = (
    Override(
        "layers.BatchNormalization",
        "_moments",
        ("inputs", "mask"),
        "With a mask, Keras squeezes mean and variance, so that one feature has statistics without an axis.",
    ),
    Override(
        "layers.RNN",
        "_create_state_variables",
        ("batch_size",),
        "Keras creates state variables without distinct names, and PyTorch loses assignments to them under autocast.",
    ),
    Override(
        "layers.RNN",
        "_maybe_config_dropout_masks",
        ("cell", "input_sequence", "input_state"),
        "Keras draws masks in inference too, so that a call of predict changes the masks of the next training.",
    ),
    Override(
        "layers.Bidirectional",
        "_can_attempt_fused_lstm",
        ("mask", "initial_state"),
        "Keras's fused path ignores `go_backwards=True` of the forward layer.",
    ),
    Override(
        "layers.Bidirectional",
        "_can_attempt_fused_gru",
        ("mask", "initial_state"),
        "Keras's fused path ignores `go_backwards=True` of the forward layer.",
    ),
    Override(
        "optimizers.Optimizer",
        "_filter_empty_gradients",
        ("grads", "vars"),
        "Keras skips weights without a gradient, so their weight decay depends on the backend.",
    ),
    Override(
        "optimizers.Optimizer",
        "_apply_weight_decay",
        ("variables",),
        "On TensorFlow, Keras rounds the decay to float32.",
    ),
    Override(
        "optimizers.Optimizer",
        "_get_current_learning_rate",
        (),
        "On TensorFlow, Keras rounds the constants of a schedule to float32.",
    ),
)

FUSED = ("lstm", "bidirectional_lstm", "gru", "bidirectional_gru")  # of `keras.src.backend`
_SLOTS = {
    "momentum": ("_momentums", "momentums"),
    "velocity": ("_velocities",),
    "largest_velocity": ("_velocity_hats",),
    "average_gradient": ("_average_gradients",),
}


def enable_true_float64() -> None:
    """Make Keras compute float64 layers in float64.

    `keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE` in Keras 3.15.1 maps float64 to float32 in `result_type`,
    on every backend but TensorFlow (keras#23704). Keras has no option for it.
    """
    from keras.src.backend.common import dtypes

    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"


def keras_mask(tensor: Any) -> Any:
    """Return the mask that a layer attached to its output, or None.

    `keras.src.backend.get_keras_mask` in Keras 3.15.1. Keras passes this mask on by itself only to a layer that is
    called with a single tensor.
    """
    from keras.src.backend import get_keras_mask

    return get_keras_mask(tensor)


def call_takes(layer: Any, argument: str) -> bool:
    """Return whether the `call` method of a Keras layer has the argument `mask` or `training`.

    `Layer._call_has_mask_arg` and `Layer._call_has_training_arg` in Keras 3.15.1. Keras computes both before it wraps
    `call`, which hides the signature.
    """
    return bool(getattr(layer, f"_call_has_{argument}_arg"))


def layers_inside(layer: Any) -> list[Any]:
    """Return all layers inside a Keras layer, those inside its inner layers included.

    `Layer._flatten_layers` in Keras 3.15.1. The public setter `trainable` reaches the inner layers too, but has no
    effect on TensorFlow where the outer value stays the same.
    """
    return list(layer._flatten_layers(include_self=False))


def store_dropout_mask(cell: Any, kind: str, mask: Any) -> None:
    """Store a dropout mask in the cache of a Keras cell.

    `DropoutRNNCell._dropout_mask` and `._recurrent_dropout_mask` in Keras 3.15.1. A cell draws a mask only if its cache
    is empty, and empties the cache after each call of its layer. A full cache is the only way to pass a mask.

    Args:
        cell: a Keras LSTMCell, GRUCell or SimpleRNNCell.
        kind: `dropout` or `recurrent_dropout`.
        mask: a tensor of the masked values' shape, or one for each gate, stacked.
    """
    setattr(cell, mask_attribute(kind), mask)


def mask_attribute(kind: str) -> str:
    """Return the name of the cache of a dropout mask in a Keras cell; see `store_dropout_mask`."""
    return f"_{kind}_mask"


def has_dropout_mask(cell: Any, kind: str) -> bool:
    """Return whether a dropout mask is stored in the cache of a Keras cell; see `store_dropout_mask`."""
    return getattr(cell, mask_attribute(kind), None) is not None


def saveable() -> Any:
    """Return the base of all objects that Keras's saving visits.

    `keras.src.saving.keras_saveable.KerasSaveable` in Keras 3.15.1. `keras.random.SeedGenerator` does not derive from
    it, so its state is not saved.
    """
    from keras.src.saving.keras_saveable import KerasSaveable

    return KerasSaveable


def optimizer_slots(optimizer: Any, slot: str) -> list[Any]:
    """Return the variables of one slot of a Keras optimizer, in the order of the trainable variables.

    `_momentums` (`momentums` in SGD), `_velocities`, `_velocity_hats` and `_average_gradients` in Keras 3.15.1. Public
    is only the flat list `Optimizer.variables`, whose order differs between optimizers.

    Args:
        optimizer: a built Keras optimizer.
        slot: `momentum`, `velocity`, `largest_velocity` or `average_gradient`.
    """
    name = next(name for name in _SLOTS[slot] if hasattr(optimizer, name))
    return list(getattr(optimizer, name))


def variable_index(optimizer: Any, variable: Any) -> int:
    """Return the position of a trainable variable in the slots of a Keras optimizer.

    `Optimizer._get_variable_index` in Keras 3.15.1. Every optimizer of Keras calls it in `update_step`; it has no
    public equivalent.
    """
    return int(optimizer._get_variable_index(variable))


def learning_rate_schedule(optimizer: Any) -> Any:
    """Return the learning-rate schedule of a Keras optimizer, or None if its rate is not a schedule.

    `Optimizer._learning_rate` in Keras 3.15.1. The public `learning_rate` is the value that the schedule gives now.
    """
    import keras

    rate = optimizer._learning_rate
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


def fused_loop(layer: Any, sequences: Any, initial_state: Any, mask: Any) -> Any:
    """Compute all timesteps of a Keras LSTM or GRU, in their order, on the backend's fused path.

    `keras.src.backend.lstm` and `.gru` in Keras 3.15.1. `inner_loop` of `keras.layers.LSTM` and `keras.layers.GRU` call
    them with the direction of the layer; multilstm reverses the sequences itself.

    Args:
        layer: the Keras layer.
        sequences: `[batch, timesteps, features]`.
        initial_state: the states, each `[batch, units]`: hidden and cell of an LSTM, hidden of a GRU.
        mask: `[batch, timesteps]`, or None.

    Returns:
        The last output, all outputs, and the final states.

    Raises:
        NotImplementedError: where the backend has no fused path for this layer.
    """
    from keras.src import backend

    cell = layer.cell
    is_gru = hasattr(cell, "reset_after")
    return (backend.gru if is_gru else backend.lstm)(
        sequences,
        *initial_state,
        mask,
        kernel=cell.kernel,
        recurrent_kernel=cell.recurrent_kernel,
        bias=cell.bias,
        activation=cell.activation,
        recurrent_activation=cell.recurrent_activation,
        return_sequences=layer.return_sequences,
        go_backwards=False,
        unroll=layer.unroll,
        **({"reset_after": cell.reset_after} if is_gru else {}),
    )


def recurrent_loop(layer: Any, step: Callable[..., Any], sequences: Any, initial_state: Any, mask: Any) -> Any:
    """Compute all timesteps of a Keras recurrent layer, in their order, with the backend's loop.

    `keras.src.backend.rnn` in Keras 3.15.1. `keras.layers.RNN.inner_loop` calls it with the direction of the layer;
    multilstm reverses the sequences itself.

    Args:
        layer: the Keras layer.
        step: maps `(inputs, states)` of one timestep to `(output, states)`.
        sequences: `[batch, timesteps, features]`.
        initial_state: the states before the first timestep.
        mask: `[batch, timesteps]`, or None.

    Returns:
        The last output, all outputs, and the final states.
    """
    from keras.src import backend

    return backend.rnn(
        step,
        sequences,
        initial_state,
        go_backwards=False,
        mask=mask,
        unroll=layer.unroll,
        input_length=sequences.shape[1],
        zero_output_for_mask=layer.zero_output_for_mask,
        return_all_outputs=layer.return_sequences,
    )


@contextlib.contextmanager
def record_keras_paths(fused: Callable[[Callable[[], Any], str], tuple[Any, str]]) -> Iterator[set[str]]:
    """Record which recurrent paths of Keras, or of `torch_recurrent`, are entered inside the `with` block.

    `keras.src.backend.lstm`, `.bidirectional_lstm`, `.gru`, `.bidirectional_gru` and `.rnn` in Keras 3.15.1. Keras
    chooses among them silently, and looks them up by these names at each call. Keras falls back to its loop when the
    fused path raises. An exception without a message means that cuDNN is absent; one with a message is a failure and is
    recorded.

    Args:
        fused: calls the fused path, and returns its result and the name of its kernel. Its second argument is the
            operator of `torch_recurrent`, and empty for a path of Keras.

    Yields:
        The set of entered paths, filled during the block: kernels of the fused path, `kernels.LOOP`,
        `kernels.UNROLLED`, and `not cuDNN (reason)`.
    """
    from keras.src import backend

    entered: set[str] = set()
    # Before Keras 3.15 no Bidirectional is fused.
    paths = [(backend, name, "") for name in FUSED if hasattr(backend, name)]
    if backend.backend() == "torch":
        from multilstm.frameworks import torch_recurrent

        paths += [(torch_recurrent, name, f"torch.{name}") for name in ("lstm", "gru")]
    originals = [(module, name, getattr(module, name)) for module, name, _ in [*paths, (backend, "rnn", "")]]
    loop = backend.rnn

    def recording_fused(path: Callable[..., Any], operator: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            try:
                result, kernel = fused(lambda: path(*arguments, **options), operator)
            except NotImplementedError as error:
                if str(error):
                    entered.add(f"not cuDNN ({str(error).splitlines()[0]})")
                raise
            entered.add(kernel)
            return result

        return call

    def recording_loop(*arguments: Any, **options: Any) -> Any:
        entered.add(kernels.UNROLLED if options.get("unroll") else kernels.LOOP)
        return loop(*arguments, **options)

    try:
        for module, name, operator in paths:
            setattr(module, name, recording_fused(getattr(module, name), operator))
        backend.rnn = recording_loop
        yield entered
    finally:
        for module, name, original in originals:
            setattr(module, name, original)
