"""The version of Keras that wrote a file: stated by the file or the caller, or inferred from the form of the file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from multilstm.errors import shown
from multilstm.spec.json_values import refuse

__all__ = ["Version", "is_version", "version_of"]

# Numbers, and suffixes of builds such as 2.2.4-tf, 2.13.1rc0 and 3.0.0.dev20231201.
_VERSION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6}){0,4})(?:[-.]?(?:tf|rc|dev|post|a|b)[0-9]{0,12}){0,2}")

# Arguments and classes that only Keras 0.3 to 1.2 wrote.
_KERAS1_ARGUMENTS = frozenset(
    {"inner_activation", "inner_init", "init", "W_regularizer", "b_regularizer", "W_constraint", "b_constraint", "p"}
    | {"nb_filter", "border_mode", "consume_less", "forget_bias_init", "pool_length", "beta_init"}
)
_KERAS1_CLASSES = frozenset({"Merge", "TimeDistributedDense", "Highway", "MaxoutDense", "Convolution1D"})
# Classes, arguments and forms that Keras 3 never writes.
_KERAS2_CLASSES = frozenset({"CuDNNLSTM", "CuDNNGRU"})
_KERAS2_ARGUMENTS = frozenset({"time_major", "batch_input_shape", "input_length"})


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of Keras.

    Attributes:
        text: as the file has it: `2.2.4-tf`.
        number: its leading numbers; a single one where the version was inferred from the form.
        tensorflow: whether it is the Keras inside TensorFlow, or tf-keras.
    """

    text: str
    number: tuple[int, ...]
    tensorflow: bool = False

    @property
    def is_old(self) -> bool:
        """Whether it is before Keras 3."""
        return self.number < (3,)

    @property
    def recurrent_activation(self) -> str | None:
        """The default of LSTM and GRU; None where the version alone does not decide it."""
        if self.tensorflow:  # in TensorFlow 1, hard_sigmoid; 2.2.4-tf is TensorFlow 1.13 to 2.1
            return None if self.number < (2, 3) else "sigmoid"
        if self.number in ((1,), (0,)) or (len(self.number) > 1 and self.number < (2, 3)):
            return "hard_sigmoid"
        return "sigmoid" if self.number >= (2, 3) else None

    @property
    def implementation(self) -> int:
        """The default of LSTM and GRU: 1 draws a dropout mask for each gate, 2 one for all."""
        return 1 if not self.tensorflow and self.number < (2, 3) else 2

    @property
    def epsilon_is_outside(self) -> bool:
        """Whether RMSprop without a momentum adds epsilon outside of the root."""
        return self.number < (2, 11)

    @property
    def clips_all_weights_together(self) -> bool:
        """Whether `clipnorm` limits the norm of all gradients together."""
        return not self.tensorflow and self.number < (2, 4)

    @property
    def has_decay(self) -> bool:
        """Whether the learning rate decays by the optimizer's argument `decay`."""
        return self.number < (2, 11)

    @property
    def loss_counts_padding(self) -> bool:
        """Whether the mean of a masked loss counts masked timesteps: Keras 2.3, TensorFlow 2.0 to 2.9."""
        return self.number < (2, 10) if self.tensorflow else (2, 3) <= self.number < (2, 4)

    @property
    def takes_hinge_labels_as_they_are(self) -> bool:
        """Whether `hinge` keeps labels of 0 and 1; 2.2.4-tf is TensorFlow 1.13, which does, to 2.1."""
        return self.number <= (2, 2, 4) if self.tensorflow else self.number < (2, 3)

    @property
    def sums_activity_penalties(self) -> bool:
        """Whether the penalty of an `activity_regularizer` is not divided by the number of sequences of a batch."""
        return self.number < (2, 2, 4) if self.tensorflow else self.number < (2, 4)

    @property
    def normalizes_frozen_layers_by_batches(self) -> bool:
        """Whether a BatchNormalization that is not trained uses the batch in training; 2.2.4-tf may be TensorFlow 1."""
        return self.number <= (2, 2, 4) if self.tensorflow else self.number < (2, 4)

    def corrects_variance(self, rank: int) -> bool:
        """Whether the moving variance of a BatchNormalization is of variances times n / (n - 1).

        Args:
            rank: the number of dimensions of the input; TensorFlow has a kernel of its own for four of them.
        """
        return rank == 4 if self.tensorflow else (2, 1, 4) <= self.number < (2, 4)

    @property
    def returns_state_before_first_timestep(self) -> bool:
        """Whether a masked timestep before the first kept one returns the initial hidden state, and not zeros."""
        return not self.tensorflow and self.number < (2, 3)

    @property
    def averages_deviations(self) -> bool:
        """Whether a BatchNormalization has moving averages of deviations, not of variances."""
        return self.number < (1, 0, 6)

    def of_optimizer(self, arguments: Mapping[str, Any]) -> Version:
        """Return the version whose rules an optimizer follows: 2.10 for a legacy one of a later Keras 2.

        Args:
            arguments: the config of the optimizer. Legacy ones alone have `decay` in it.
        """
        is_legacy = arguments.get("is_legacy_optimizer", "decay" in arguments)
        return dataclasses.replace(self, number=(2, 10)) if is_legacy and (2, 11) <= self.number < (3,) else self

    @property
    def pads_bidirectional_with_zeros(self) -> bool:
        """Whether a Bidirectional returns zeros at masked timesteps; before, it repeats the output before."""
        return self.tensorflow or self.number >= (2, 4)


def is_version(value: object) -> bool:
    """Whether a value is a version: ASCII digits and dots, with at most a known suffix such as `-tf` or `rc1`."""
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def version_of(model: Mapping[str, Any], given: str | None) -> tuple[Version, str | None]:
    """Return the version of a file, and a note if it was inferred from the form, or None.

    Args:
        model: the JSON of a model, with `class_name` and `config`; a `keras_version` that is no version is unknown.
        given: the version from elsewhere, as from an attribute of a file; it precedes the one in the JSON.

    Raises:
        SpecError: for a given version that is not one.
    """
    text = model.get("keras_version") if given is None else given
    match = _VERSION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        if given is not None:
            refuse("keras_version", given, 'a version such as "2.2.4"')
        return _inferred(model)
    number = tuple(int(part) for part in match[1].split("."))
    return Version(match[0], number, match[0].endswith("-tf") or (2, 4) <= number < (3,)), None


def _inferred(model: Mapping[str, Any]) -> tuple[Version, str | None]:
    if "class_name" not in model and model.get("name") in ("Sequential", "Graph"):
        return Version("0", (0,)), _note("0", "its layers have no class_name")
    if model.get("class_name") == "Graph":
        return Version("1", (1,)), _note("1", "it is a Graph")
    for config, class_name in _layers(model):
        sign = next((key for key in config if key in _KERAS1_ARGUMENTS), None)
        if class_name in _KERAS1_CLASSES or sign:
            return Version("1", (1,)), _note("1", f"it has {shown(sign or class_name)}")
    return _inferred_of_2(model)


def _inferred_of_2(model: Mapping[str, Any]) -> tuple[Version, str | None]:
    if model.get("class_name") == "Sequential" and isinstance(model.get("config"), list):
        return Version("2", (2, 2)), _note("2.2.2 or older", "the config of its Sequential is a list")
    for entry in _entries(model):
        nodes = entry.get("inbound_nodes")
        config = entry.get("config")
        signs = [key for key in config if key in _KERAS2_ARGUMENTS] if isinstance(config, Mapping) else []
        signs += ["inbound_nodes"] if isinstance(nodes, list) and nodes and isinstance(nodes[0], list) else []
        signs += [entry["class_name"]] if entry.get("class_name") in list(_KERAS2_CLASSES) else []
        if signs and "module" in entry:
            return Version("2", (2, 12), tensorflow=True), _note("2.12 or newer", f"it has {signs[0]} and modules")
        if signs:
            return Version("2", (2,)), _note("2", f"it has {signs[0]}")
    return Version("3", (3,)), None


def _note(version: str, reason: str) -> str:
    return f"the file names no version of Keras and is read as one of Keras {version}: {reason}"


def _entries(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of the layers, and of the layers inside wrappers."""
    config = model.get("config")
    entries = config.get("layers") if isinstance(config, Mapping) else config
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        if isinstance(entry, Mapping):
            yield entry
            inner = entry.get("config")
            inner = inner.get("layer") if isinstance(inner, Mapping) else None
            if isinstance(inner, Mapping):
                yield inner


def _layers(model: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the config and the class of each layer."""
    for entry in _entries(model):
        config, name = entry.get("config"), entry.get("class_name")
        if isinstance(config, Mapping):
            yield config, name if isinstance(name, str) else ""
