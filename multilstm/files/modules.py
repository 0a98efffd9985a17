"""One module of a state dict: the names that its tensors may have, its class, and its weights in Keras's layout.

Each tensor enters a weight, or is one of the few that change no answer. Others, such as peepholes, learned states or
masks of pruned weights, mean another formula, and are refused by their names.

PyTorch holds each weight transposed, and two biases, which are added in an LSTM and an RNN. Gates of its LSTM have
Keras's order; those of its GRU are r, z, n, Keras's z, r, h
(https://pytorch.org/docs/stable/generated/torch.nn.GRU.html).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.spec import GRU, LSTM, Conv1D, Conv2D, Dense, DepthwiseConv2D, Graph, SimpleRNN
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import Layer

__all__ = ["KERAS", "NEUTRAL", "Formula", "Module", "check_recurrent"]

ORDER = ("weight", "bias", "running_mean", "running_var")  # of a module's parameters, as Keras's layers have them
# The weights of Keras that take some of these; the others take `weight`, or a parameter of another name.
ROLES = {"bias": ("bias", "beta"), "running_mean": ("moving_mean",), "running_var": ("moving_variance",)}
NEUTRAL = ("num_batches_tracked", "n_averaged")  # counts of updates, which no answer depends on
PARAMETERS = tuple(f"{kind}_{part}" for kind in ("weight", "bias") for part in ("ih", "hh"))  # of a recurrent module
# PyTorch's class of each recurrent layer, and the values of the arguments that each class has.
CLASSES: Mapping[type, str] = {LSTM: "LSTM", GRU: "GRU", SimpleRNN: "RNN"}
KERAS = {name: layer.__name__ for layer, name in CLASSES.items()}
Formula = Mapping[str, tuple[object, ...]]  # the values of an argument that a layer may have
KNOWN: Mapping[str, Formula] = {
    "LSTM": {"activation": ("tanh",), "recurrent_activation": ("sigmoid",)},
    "GRU": {"activation": ("tanh",), "recurrent_activation": ("sigmoid",), "reset_after": (True,)},
    "RNN": {"activation": ("tanh", "relu")},
}


@dataclasses.dataclass(frozen=True)
class Module:
    """One module with parameters, or one layer of an LSTM module.

    Attributes:
        name: the module in the file; for an LSTM of several layers with `layer K`.
        parameters: its tensors by their own name: `weight`, `bias_ih`, `weight_hh_reverse`, ...
        group: the module in the file, which the layers of one LSTM module share.
    """

    name: str
    parameters: Mapping[str, Array]
    group: str

    @property
    def is_recurrent(self) -> bool:
        """Whether it has the weights of a recurrent layer."""
        return "weight_hh" in self.parameters

    @property
    def units(self) -> int:
        """The size of the hidden state of a recurrent module."""
        return int(self.parameters["weight_hh"].shape[1])

    @property
    def kind(self) -> str:
        """The class of a recurrent module, by the number of its gates."""
        rows = self.parameters["weight_hh"].shape[0]
        return {4: "LSTM", 3: "GRU", 1: "RNN"}.get(rows // max(self.units, 1), "recurrent layer")

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The names and shapes of the tensors."""
        return tuple(sorted((name, array.shape) for name, array in self.parameters.items()))

    def check(self, layer: Layer, formula: Formula | None) -> None:
        """Raise InputError for a layer that computes another formula than the module, whatever its shapes.

        A kernel under another name than PyTorch's may be that of another program. Its shape shows its layout, unless
        it is the same in both layouts, such as that of a square matrix.

        Args:
            layer: the layer that takes the weights.
            formula: the arguments of a recurrent module, if the file states them; None: those of PyTorch.
        """
        kinds = {CLASSES.get(type(part), part.class_name) for part in layer.recurrent.values()}
        if self.is_recurrent and self.kind not in kinds:
            raise InputError(f"{layer.label} takes no weights of {self.described()}; expected those of its own class")
        if not self.is_recurrent and kinds:
            expected = f"a{'n' if kinds != {'GRU'} else ''} {listed(kinds)}"
            raise InputError(f"{layer.label} takes no weights of {self.described()}; expected those of {expected}")
        for name, array in self.parameters.items():
            if _has_kernel(layer) and name != "weight" and _has_both_layouts(array):
                raise InputError(
                    f"{layer.label} takes {shown(f'{self.name}.{name}'.lstrip('.'))} {list(array.shape)}, which may be "
                    f"in PyTorch's layout or in Keras's; expected the name weight, and PyTorch's layout, outputs "
                    f"first; rename it, and transpose it if its inputs come first"
                )
        for part in layer.recurrent.values():
            for argument, values in (KNOWN[self.kind] if formula is None else formula).items():
                if (value := getattr(part, argument)) not in values:
                    owner = f"PyTorch's {self.kind}" if formula is None else shown(self.name)
                    raise InputError(
                        f"{layer.label} has {argument}={value!r}; {owner} has {' or '.join(map(repr, values))}; change "
                        f"the architecture"
                    )

    def check_roles(self, layer: Layer, names: Sequence[str]) -> None:
        """Raise InputError unless each tensor of a module without states enters a weight of its own meaning.

        Args:
            layer: the layer that takes the weights.
            names: its weights.
        """
        if self.is_recurrent:
            return
        tensors = self._ordered(names)
        weights = [name.rpartition("/")[2] for name in names]
        if len(tensors) != len(names) or not all(map(self._may_be, tensors, weights)):
            raise InputError(
                f"{layer.label} has the weights {listed(names)}, but the module is {self.described()}; expected one "
                f"tensor for each weight, by PyTorch's names {listed(ORDER)}; the file may be of another formula"
            )

    def _may_be(self, tensor: str, weight: str) -> bool:
        """Whether a tensor may enter a weight, by its name; one of an unknown name by its shape, if it alone has it."""
        if tensor in ORDER:
            roles = ROLES.get(tensor, ())
            return weight in roles or (not roles and not any(weight in others for others in ROLES.values()))
        shape = self.parameters[tensor].shape
        return tensor == weight or sum(array.shape == shape for array in self.parameters.values()) == 1

    def _ordered(self, names: Sequence[str]) -> list[str]:
        """Return the names of the tensors in the order of the weights of a layer."""
        if set(self.parameters) == set(names):
            return list(names)
        return sorted(self.parameters, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def converted(self, layer: Layer, names: Sequence[str]) -> list[Array]:
        """Return the weights in the layout and order of a layer of Keras, whose weights have `names`."""
        if not self.is_recurrent:
            arrays = [(name, self.parameters[name]) for name in self._ordered(names)]
            return [_transposed(name, array) if _has_kernel(layer) else array for name, array in arrays]
        weights = []
        is_gru = self.kind == "GRU"
        has_both = is_gru and all(getattr(part, "reset_after", True) for part in layer.recurrent.values())
        for direction in ("", "_reverse") if "weight_hh_reverse" in self.parameters else ("",):
            parameters = {
                name: _keras_gates(array) if is_gru else array
                for name, array in self.parameters.items()
                if name.endswith("_reverse") == bool(direction)
            }
            weights += [parameters[f"weight_{part}{direction}"].T for part in ("ih", "hh")]
            biases = [parameters.get(f"bias_{part}{direction}") for part in ("ih", "hh")]
            if biases[0] is not None and biases[1] is not None:
                weights.append(np.stack(biases) if has_both else biases[0] + biases[1])  # type: ignore[arg-type]
        return weights

    def fits(self, spec: Graph, layer: str, names: Sequence[str]) -> bool:
        """Whether the weights have the shapes of a layer."""
        shapes = [spec.weight_shapes[f"{layer}/{name}"] for name in names]
        return [array.shape for array in self.converted(spec.layer(layer), names)] == shapes

    def described(self) -> str:
        """Return the module in words, an LSTM with its sizes."""
        if not self.is_recurrent:
            shapes = " ".join(f"{name} {list(array.shape)}" for name, array in self.parameters.items())
            return f"{shown(self.name)} ({shapes})"
        directions = "both directions" if "weight_hh_reverse" in self.parameters else "one direction"
        features = self.parameters["weight_ih"].shape[-1]
        return f"{shown(self.name)} ({self.kind}: {features} features, {self.units} units, {directions})"


def check_recurrent(place: str, parameters: Mapping[str, Array]) -> None:
    """Raise InputError for a recurrent module of another formula, without a matrix, or whose biases cannot be added."""
    others = [name for name in parameters if name.removesuffix("_reverse") not in PARAMETERS]
    if others:
        raise InputError(
            f"{shown(place)} has {listed(map(shown, others))} beside the weights of a recurrent layer; no layer takes "
            f"them, since they mean another formula; expected {listed(PARAMETERS)} alone"
        )
    directions = ("", "_reverse") if any(name.endswith("_reverse") for name in parameters) else ("",)
    for direction in directions:
        for part in ("ih", "hh"):
            name = f"weight_{part}{direction}"
            if name not in parameters or parameters[name].ndim != 2:
                raise InputError(f"{shown(place)} has no matrix {name}; the state dict is incomplete")
        biases = [parameters.get(f"bias_{part}{direction}") for part in ("ih", "hh")]
        shapes = [None if bias is None else bias.shape for bias in biases]
        rows = parameters[f"weight_hh{direction}"].shape[:1]
        if shapes not in ([None, None], [rows, rows]):
            raise InputError(
                f"{shown(place)}: bias_ih{direction} and bias_hh{direction} have the shapes {shapes[0]} and "
                f"{shapes[1]}; expected {rows} for both, or no bias; the state dict is broken"
            )


def _keras_gates(array: Array) -> Array:
    """Return a parameter of a GRU, which holds the gates r, z, n along its first axis, in Keras's order z, r, h."""
    if len(array) % 3:
        return array  # the check of the shapes names it
    r, z, h = np.split(array, 3)
    return np.concatenate([z, r, h])


def _has_kernel(layer: Layer) -> bool:
    """Whether a layer multiplies by its first weight, which PyTorch holds transposed; a table or a scale stays."""
    return isinstance(layer.wrapped or layer, Dense | Conv1D | Conv2D | DepthwiseConv2D)


def _has_both_layouts(array: Array) -> bool:
    """Whether an array has the same shape in the layouts of PyTorch and Keras, and other values."""
    other = _transposed("weight", array)
    return other.shape == array.shape and not np.array_equal(other, array, equal_nan=True)


def _transposed(name: str, array: Array) -> Array:
    """Return a weight of a Linear or a convolution in Keras's layout: inputs before outputs, positions first."""
    if name != "weight" or array.ndim < 2:
        return array
    return np.moveaxis(array, (0, 1), (-1, -2))
