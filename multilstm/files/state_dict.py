"""State dicts of PyTorch, and weights of ONNX under the same names: tensors without an architecture.

Modules are assigned to the layers of a spec by equal names, else in the order of the file. Safetensors files are sorted
by name, so there the shapes must leave one assignment. An LSTM module of several layers gives one layer of the spec for
each.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multilstm.errors import InputError, listed, shown
from multilstm.files.modules import KERAS, NEUTRAL, Formula, Module, check_recurrent
from multilstm.files.parsers.parsed import words
from multilstm.files.stores import Assigned, checked, leaves, weights_by_layer
from multilstm.spec import Graph
from multilstm.spec.arrays import Array
from multilstm.spec.dialects import Part
from multilstm.spec.layer_base import Layer

__all__ = ["Formula", "StateDict"]

_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)(?:_l(\d+)(_reverse)?)?")
# A word in the name of a module that holds no weights of the model, unless a layer has that name.
LOSSES = re.compile(r"loss(es|fn)?|criteri(on|a)|metrics?")
EPSILON = 1e-5
LINEAR = {"weight", "bias"}


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
        wanted = weights_by_layer(spec)
        order = [leaf.name for leaf in leaves(parts) if leaf.name in wanted]
        losses = [module.name for module in modules if _of_a_loss(module) and module.name not in order]
        left_out = losses if len(modules) - len(losses) == len(order) else []
        modules = [module for module in modules if module.name not in left_out]
        if len(modules) != len(order):
            raise InputError(
                f"the file holds {len(modules)} modules with weights: {self.described()}; the architecture has "
                f"{len(order)} layers with weights: {listed(map(shown, order))}; give a spec with one layer for each"
            )
        modules, way = self._sorted(spec, modules, order, wanted)
        weights: dict[str, Array] = {}
        for name, module in zip(order, modules, strict=True):
            module.check(spec.layer(name), None if self.formulas is None else self.formulas.get(module.name, {}))
            module.check_roles(spec.layer(name), wanted[name])
            arrays = module.converted(spec.layer(name), wanted[name])
            weights |= checked(spec, name, wanted[name], arrays, f" (read from {shown(module.name)})")
        pairs = (f"{module.name} to {name}" for name, module in zip(order, modules, strict=True))
        notes = [f"modules were assigned {way}: {listed(pairs)}; the two biases of each LSTM and RNN were added"]
        notes += _twins(modules) if way == "in order" else []
        notes += _epsilons([spec.layer(name) for name in order]) if self.formulas is None else []
        notes += [f"left out, as parts of a loss: {listed(left_out)}"] if left_out else []
        counts = [name for name, array in self.tensors.items() if _is_neutral(name, array)]
        notes += [f"left out, as counts that change no answer: {listed(counts)}"] if counts else []
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
            if _is_neutral(name, array):
                continue
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
                    check_recurrent(place, parameters)
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
    return any(LOSSES.fullmatch(word) for word in words(module.name))


def _is_neutral(name: str, array: Array) -> bool:
    return name.rpartition(".")[2] in NEUTRAL and not array.ndim


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
