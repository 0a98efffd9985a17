"""State dicts of PyTorch, and weights of ONNX under the same names: tensors without an architecture.

Modules are assigned to the layers of a spec by equal names, else in the order of the file. Safetensors files are sorted
by name, so there the shapes must leave one assignment. An LSTM module of several layers gives one layer of the spec for
each. PyTorch holds each weight transposed, and two biases, which are added in an LSTM and an RNN. Gates of its LSTM
have Keras's order; those of its GRU are r, z, n, Keras's z, r, h
(https://pytorch.org/docs/stable/generated/torch.nn.GRU.html).
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from multilstm.errors import InputError, listed, shown
from multilstm.files.stores import Assigned, checked, leaves, weights_by_layer
from multilstm.spec import GRU, LSTM, Conv1D, Conv2D, Dense, DepthwiseConv2D, Graph, SimpleRNN
from multilstm.spec.arrays import Array
from multilstm.spec.dialects import Part
from multilstm.spec.layer_base import Layer

__all__ = ["Formula", "StateDict"]

_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)(?:_l(\d+)(_reverse)?)?")
ORDER = ("weight", "bias", "running_mean", "running_var")  # of a module's parameters, as Keras's layers have them
EPSILON = 1e-5
LINEAR = {"weight", "bias"}
# PyTorch's class of each recurrent layer, and the values of the arguments that each class has.
CLASSES: Mapping[type, str] = {LSTM: "LSTM", GRU: "GRU", SimpleRNN: "RNN"}
KERAS = {name: layer.__name__ for layer, name in CLASSES.items()}
Formula = Mapping[str, tuple[object, ...]]  # the values of an argument that a layer may have
KNOWN: Mapping[str, Formula] = {
    "LSTM": {"activation": ("tanh",), "recurrent_activation": ("sigmoid",)},
    "GRU": {"activation": ("tanh",), "recurrent_activation": ("sigmoid",), "reset_after": (True,)},
    "RNN": {"activation": ("tanh", "relu")},
}
LOSSES = ("loss", "criterion", "metric")  # modules of this name hold no weights of the model


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

    def converted(self, layer: Layer) -> list[Array]:
        """Return the weights in the layout and order of a layer of Keras."""
        if not self.is_recurrent:
            names = sorted(self.parameters, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
            arrays = [(name, self.parameters[name]) for name in names if self.parameters[name].ndim]
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
        return [array.shape for array in self.converted(spec.layer(layer))] == shapes

    def described(self) -> str:
        """Return the module in words, an LSTM with its sizes."""
        if not self.is_recurrent:
            shapes = " ".join(f"{name} {list(array.shape)}" for name, array in self.parameters.items())
            return f"{shown(self.name)} ({shapes})"
        directions = "both directions" if "weight_hh_reverse" in self.parameters else "one direction"
        features = self.parameters["weight_ih"].shape[-1]
        return f"{shown(self.name)} ({self.kind}: {features} features, {self.units} units, {directions})"


@dataclasses.dataclass(frozen=True)
class StateDict:
    """The tensors of a PyTorch model by name.

    Attributes:
        tensors: the tensors.
        ordered: whether the file keeps the order in which the model holds its modules.
        notes: sentences on the modules.
        formulas: the arguments of the recurrent modules by name, if the file states them; None: those of PyTorch.
    """

    tensors: Mapping[str, Array]
    ordered: bool
    notes: tuple[str, ...] = ()
    formulas: Mapping[str, Formula] | None = None

    def assign(self, spec: Graph, parts: Sequence[Part]) -> Assigned:
        """Return the weights of the modules; see the docstring of this file."""
        modules = list(self._modules())
        left_out = [module.name for module in modules if _of_a_loss(module)]
        modules = [module for module in modules if module.name not in left_out]
        wanted = weights_by_layer(spec)
        order = [leaf.name for leaf in leaves(parts) if leaf.name in wanted]
        if len(modules) != len(order):
            raise InputError(
                f"the file holds {len(modules)} modules with weights: {self.described()}; the architecture has "
                f"{len(order)} layers with weights: {listed(map(shown, order))}; give a spec with one layer for each"
            )
        modules, words = self._sorted(spec, modules, order, wanted)
        weights: dict[str, Array] = {}
        for name, module in zip(order, modules, strict=True):
            module.check(spec.layer(name), None if self.formulas is None else self.formulas.get(module.name, {}))
            weights |= checked(
                spec, name, wanted[name], module.converted(spec.layer(name)), f" (read from {shown(module.name)})"
            )
        pairs = (f"{module.name} to {name}" for name, module in zip(order, modules, strict=True))
        notes = [f"modules were assigned {words}: {listed(pairs)}; the two biases of each LSTM and RNN were added"]
        notes += _twins(modules) if words == "in order" else []
        notes += _epsilons([spec.layer(name) for name in order]) if self.formulas is None else []
        notes += [f"left out, as parts of a loss: {listed(left_out)}"] if left_out else []
        return Assigned({name: weights[name] for name in spec.weight_shapes}, (*notes, *self.notes))

    def _sorted(
        self, spec: Graph, modules: list[Module], order: list[str], wanted: Mapping[str, list[str]]
    ) -> tuple[list[Module], str]:
        """Return the modules in the order of the layers, and the way by which it was found."""
        named = {module.name: module for module in modules}
        if set(named) == set(order):
            return [named[name] for name in order], "by name"
        if self.ordered:
            return modules, "in order"
        groups: dict[str, list[Module]] = {}
        for module in modules:
            groups.setdefault(module.group, []).append(module)
        fitting = list(itertools.islice(_arrangements(spec, list(groups.values()), order, wanted), 2))
        equal = len({_signature(group) for group in groups.values()}) < len(groups)
        if len(fitting) > 1 or (fitting and equal):
            raise InputError(
                f"the modules fit the layers in more than one way, and this file is sorted by name: "
                f"{self.described()}; give the layers the names of the modules, or save the state dict with torch.save"
            )
        if not fitting:
            return modules, "in order"  # the check of the shapes names the first that does not fit
        return fitting[0], "by shape"

    def described(self) -> str:
        """Return the modules in words, and the source of the plain stack that they may be."""
        modules = list(self._modules())
        text = listed(module.described() for module in modules) or "no tensors"
        stack = [module for module in modules if not _of_a_loss(module)] if self.ordered else []
        sources = dict.fromkeys(source for each in (False, True) if (source := plain_stack(stack, each_timestep=each)))
        if not sources:
            return text
        command = f'python -c "from multilstm import *; print({next(iter(sources))}.to_json())" > model.json'
        return (
            f"{text}; plain stacks that fit, to be compared with your model: {' or '.join(sources)}; for the first: "
            f"{command}, then --architecture model.json"
        )

    def _modules(self) -> Iterator[Module]:
        modules: dict[str, dict[int, dict[str, Array]]] = {}  # by name and number of the layer
        for name, array in self.tensors.items():
            module, _, parameter = name.rpartition(".")
            layers = modules.setdefault(module, {})
            match = _RECURRENT.fullmatch(parameter)
            if match is None:
                layers.setdefault(0, {})[parameter] = array
                continue
            if match[2] == "hr":
                raise InputError(f"{shown(module)} is an LSTM with proj_size, which multilstm does not execute")
            layers.setdefault(int(match[3] or 0), {})[f"{match[1]}_{match[2]}{match[4] or ''}"] = array
        for module, layers in modules.items():
            for number in sorted(layers):  # a dict that was sorted by name has layer 10 before layer 2
                place = f"{module} layer {number}".lstrip() if max(layers) else module
                parameters = layers[number]
                if any(name.startswith(("weight_ih", "weight_hh", "bias_ih", "bias_hh")) for name in parameters):
                    _check_recurrent(place, parameters)
                yield Module(place, parameters, module)


def _arrangements(
    spec: Graph, groups: list[list[Module]], order: Sequence[str], wanted: Mapping[str, Sequence[str]]
) -> Iterator[list[Module]]:
    """Yield the orders of groups, whose modules stay together, in which all modules fit the layers of `order`."""
    if not groups:
        yield []
    tried = set()
    for number, group in enumerate(groups):
        signature = _signature(group)
        if signature in tried:  # an equal group leads to the same shapes, and many of them to endless arrangements
            continue
        tried.add(signature)
        if all(module.fits(spec, layer, wanted[layer]) for module, layer in zip(group, order, strict=False)):
            others = groups[:number] + groups[number + 1 :]
            for rest in _arrangements(spec, others, order[len(group) :], wanted):
                yield [*group, *rest]


def _signature(group: Sequence[Module]) -> tuple[Any, ...]:
    return tuple(module.shapes for module in group)


def _of_a_loss(module: Module) -> bool:
    return any(word in module.name.lower() for word in LOSSES)


def _twins(modules: Sequence[Module]) -> list[str]:
    """Return a note where modules of equal shapes could change places."""
    for number, module in enumerate(modules):
        later = modules[number + 1 :]
        others = [other for other in later if other.shapes == module.shapes and other.group != module.group]
        if others:
            return [
                f"{module.name} and {others[0].name} have the same shapes, so that only the order of the file decides; "
                f"to be sure, give the layers the names of the modules"
            ]
    return []


def _epsilons(layers: Sequence[Layer]) -> list[str]:
    """Return notes on normalizations whose epsilon, which a state dict does not hold, is not that of PyTorch."""
    values = {layer.label: getattr(layer, "epsilon", EPSILON) for layer in layers}
    return [
        f"{label} has epsilon={value}, PyTorch's default is {EPSILON}; compare it with your model"
        for label, value in values.items()
        if value != EPSILON
    ]


def plain_stack(modules: Sequence[Module], *, each_timestep: bool) -> str:
    """Return the Python source of the stack that modules form by their sizes; empty where they form none.

    A state dict does not hold which timesteps a module takes, nor activations.

    Args:
        modules: the modules in the order of the model.
        each_timestep: whether the last recurrent layer returns every timestep.
    """
    last = max((number for number, module in enumerate(modules) if module.is_recurrent), default=-1)
    lines: list[str] = []
    size = features = 0
    for number, module in enumerate(modules):
        weight = module.parameters.get("weight_ih", module.parameters.get("weight"))
        names = set(module.parameters)
        if weight is None or weight.ndim != 2:
            return ""
        if names == {"weight"} and not number and last > 0:
            entries, size = weight.shape
            lines.append(f"Embedding({entries}, {size})")
            continue
        if size not in (0, weight.shape[1]) or not (module.kind in KERAS if module.is_recurrent else names <= LINEAR):
            return ""
        features = features or weight.shape[1]
        no_bias = "" if names & {"bias", "bias_ih"} else ", use_bias=False"
        if not module.is_recurrent:
            size = weight.shape[0]
            lines.append(f"Dense({size}{no_bias})")
            continue
        both = "weight_hh_reverse" in names
        sequences = ", return_sequences=True" if number < last or each_timestep else ""
        layer = f"{KERAS[module.kind]}({module.units}{sequences}{no_bias})"
        lines.append(f"Bidirectional({layer})" if both else layer)
        size = module.units * (2 if both else 1)
    if last < 0:
        return ""
    shape = "(None,), input_dtype='int32'" if lines[0].startswith("Embedding") else f"(None, {features})"
    return f"Sequential([{', '.join(lines)}], input_shape={shape})"


def _check_recurrent(place: str, parameters: Mapping[str, Array]) -> None:
    """Raise InputError for a recurrent module without all of its matrices, or with biases that cannot be added."""
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
