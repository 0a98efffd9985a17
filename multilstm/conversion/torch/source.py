"""A spec as a PyTorch module: readable source that needs nothing but PyTorch.

A name from a file enters the source as an identifier made of letters, digits and underscores, never as text.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterator, Sequence

from multilstm.conversion.torch.layers import part, recurrent_part, refused
from multilstm.conversion.torch.loop import LOOP
from multilstm.conversion.torch.masks import Mask, masks_of
from multilstm.spec import Bidirectional, Graph, Masking
from multilstm.spec.graph import Call, Ref
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import InputLayer, Recurrent

__all__ = ["CLASS_NAME", "module_names", "torch_source"]

CLASS_NAME = "Model"
WIDTH, LONGEST = 88, 24  # columns of a line, and letters of a name
TAKEN = {"torch", "nn", "F", "self", "LSTM", CLASS_NAME}


def torch_source(spec: Graph) -> str:
    """Return the source of a Python module with the class `Model(nn.Module)`, which computes as the spec does.

    Args:
        spec: any model. Its weights are not in the source: see `torch_state`.

    Raises:
        UnsupportedError: for a layer or an option that PyTorch's modules lack, with its name.
    """
    return "\n".join(_Source(spec).lines()) + "\n"


def module_names(spec: Graph) -> dict[str, str]:
    """Return the attribute of the class by layer, for every layer but the inputs."""
    taken = reserved_attributes()
    return {name: _identifier(name, taken) for name in spec.layer_inputs}


def reserved_attributes() -> set[str]:
    """Return names that an attribute of a `torch.nn.Module` must not have."""
    return {
        "forward", "train", "eval", "half", "float", "double", "type", "to", "cpu", "cuda", "apply", "modules",
        "children", "parameters", "buffers", "training", "compile", "state_dict", "load_state_dict", "zero_grad",
        "share_memory", "register_buffer", "register_parameter", "register_module", "add_module", "extra_repr",
        "named_parameters", "named_modules", "named_children", "named_buffers", "requires_grad_", "bfloat16", "xpu",
        "ipu", "mtia",
        "get_parameter", "get_buffer", "get_submodule", "set_submodule", "dump_patches", "call_super_init",
        "T_destination", "get_extra_state", "set_extra_state", "to_empty",
        "register_backward_hook", "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
        "register_full_backward_pre_hook", "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook",
        "register_state_dict_post_hook", "register_state_dict_pre_hook",
    }  # fmt: skip


def _identifier(name: str, taken: set[str]) -> str:
    """Return a new identifier for a name, and add it to `taken`."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_").lower()[:LONGEST] or "layer"
    plain = (
        f"layer_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) or keyword.issoftkeyword(plain) else plain
    )
    number, identifier = 1, plain
    while identifier in taken or identifier in TAKEN:
        number += 1
        identifier = f"{plain}_{number}"
    taken.add(identifier)
    return identifier


class _Source:
    """The lines of one module."""

    def __init__(self, spec: Graph) -> None:
        self._spec = spec
        self._modules = module_names(spec)
        self._taken = set(TAKEN)
        self._tensors: dict[Ref, str] = {}
        self._whole: dict[tuple[Ref, ...], str] = {}  # the variable of a state in all directions
        self._read = {ref for call in spec.calls for ref in (*call.inputs, *call.initial_state)} | set(spec.outputs)
        self._masks = masks_of(spec)
        self._mask_names: dict[Mask, str] = {}

    def lines(self) -> Iterator[str]:
        constructors, body = list(self._constructors()), list(self._forward())
        text = "\n".join([*constructors, *body])
        if "torch." in text or " = LSTM(" in text:
            yield "import torch"
        if "F." in text:
            yield "import torch.nn.functional as F"
        yield from ("from torch import nn", "", "")
        if " = LSTM(" in text:
            yield from (*LOOP.splitlines(), "", "")
        yield f"class {CLASS_NAME}(nn.Module):"
        yield from textwrap.wrap(f'"""{self._docstring()}"""', WIDTH, initial_indent="    ", subsequent_indent="    ")
        yield from ("", "    def __init__(self):", "        super().__init__()")
        yield from constructors
        yield ""
        names = [
            self._tensors[Ref(number)]
            for number, call in enumerate(self._spec.calls)
            if call.layer in self._spec.inputs
        ]
        yield f"    def forward(self, {', '.join(names)}):"
        yield from body

    def _docstring(self) -> str:
        shapes = [layer.output_shapes()[0] for layer in self._spec.inputs.values()]
        sizes = [", ".join(["batch", *("*" if size is None else str(size) for size in shape[1:])]) for shape in shapes]
        outputs = [
            ", ".join(["batch", *("*" if size is None else str(size) for size in shape[1:])])
            for shape in self._spec.output_shapes
        ]
        return f"Maps {' and '.join(f'[{s}]' for s in sizes)} to {' and '.join(f'[{s}]' for s in outputs)}."

    def _constructors(self) -> Iterator[str]:
        for name, attribute in self._modules.items():
            layer, features = self._spec.layer(name), self._spec.layer_inputs[name][-1]
            if layer.state_names:
                inner = next(iter(layer.recurrent.values()))
                masked = any(self._masks[call.inputs[0]] is not None for call in self._spec.calls if call.layer == name)
                constructor = recurrent_part(inner, int(features or 0), isinstance(layer, Bidirectional), masked)
            else:
                call = next(call for call in self._spec.calls if call.layer == name)
                constructor = part(layer, [self._spec.tensor_shapes[ref] for ref in call.inputs]).module
            if constructor:
                yield from _wrapped(f"        self.{attribute} = {constructor}")

    def _forward(self) -> Iterator[str]:
        for number, call in enumerate(self._spec.calls):
            if call.layer in self._spec.inputs:
                name = "x" if len(self._spec.inputs) == 1 else call.layer
                self._tensors[Ref(number)] = _identifier(name, self._taken)
        for number, call in enumerate(self._spec.calls):
            layer = self._spec.layer(call.layer)
            if isinstance(layer, InputLayer):
                continue
            inputs = [self._tensors[ref] for ref in call.inputs]
            if layer.state_names:
                yield from self._recurrent(number, call, layer, inputs[0])
                continue
            mask = self._masks[Ref(number)]
            if mask is not None and mask.layer == call.layer:
                yield from self._mask(mask, number, call, inputs[0])
                continue
            source = part(layer, [self._spec.tensor_shapes[ref] for ref in call.inputs])
            output = self._output(number, call)
            line = source.call.format(*inputs, m=f"self.{self._modules[call.layer]}")
            if line != output:
                yield from _wrapped(f"        {output} = {line}")
        outputs = [self._tensors[ref] for ref in self._spec.outputs]
        yield f"        return {', '.join(outputs)}"

    def _mask(self, mask: Mask, number: int, call: Call, x: str) -> Iterator[str]:
        """Yield the lines of a layer that makes a mask."""
        layer = self._spec.layer(call.layer)
        name = self._mask_names[mask] = _identifier("mask" if self._chain else f"{call.layer}_mask", self._taken)
        if isinstance(layer, Masking):
            yield f"        {name} = ({x} != {layer.mask_value}).any(-1)"
            yield f"        {self._output(number, call)} = torch.where({name}[..., None], {x}, 0.0)"
        else:
            yield f"        {name} = {x} != 0"
            yield f"        {self._output(number, call)} = self.{self._modules[call.layer]}({x})"

    def _output(self, number: int, call: Call) -> str:
        """Return the variable of an output: that of the input, `x`, in a plain chain of layers."""
        name = "x" if self._chain else _identifier(call.layer, self._taken)
        self._tensors[Ref(number)] = name
        return name

    @property
    def _chain(self) -> bool:
        """Whether every tensor is read by the next call alone, so that one variable serves all."""
        calls = self._spec.calls
        return len(self._spec.inputs) == 1 == len(self._spec.outputs) and all(
            call.inputs == (Ref(number - 1),) and not call.initial_state for number, call in enumerate(calls) if number
        )

    def _recurrent(self, number: int, call: Call, layer: Layer, x: str) -> Iterator[str]:
        """Yield the lines of a recurrent layer: the call of its module, then its outputs and states."""
        both = isinstance(layer, Bidirectional)
        inner: Recurrent = next(iter(layer.recurrent.values()))
        merge = layer.merge_mode if isinstance(layer, Bidirectional) else "concat"
        start = self._start(inner, call.initial_state, both)
        ends = self._ends(number, call, layer, inner)
        if not inner.return_sequences:
            output = "_"
        elif merge == "concat":
            output = self._output(number, call)
        else:
            output = _identifier(f"{call.layer}_sequence", self._taken)
        mask = self._masks[call.inputs[0]]
        flip = ".flip(1)" if inner.go_backwards else ""
        masked = "" if mask is None else f", mask={self._mask_names[mask]}{flip}"
        right = f"self.{self._modules[call.layer]}({x}{flip}{start}{masked})"
        left = "_" if set(ends) == {"_"} else f"({', '.join(ends)})" if len(ends) > 1 else ends[0]
        yield from _wrapped(f"        {output}, {left} = {right}")
        if mask is not None and (inner.zero_output_for_mask or start) and not inner.return_sequences:
            raise refused(layer, "its mask together with an initial state", "its last output is not its hidden state")
        if mask is not None and inner.zero_output_for_mask:
            name = f"{self._mask_names[mask]}{flip}"
            yield from _wrapped(f"        {output} = torch.where({name}[..., None], {output}, 0.0)")
        if inner.return_sequences and merge == "concat":
            return
        if inner.return_sequences:
            directions = [f"{output}[..., :{inner.units}]", f"{output}[..., {inner.units}:]"]
        else:
            directions = [f"{ends[0]}[{direction}]" for direction in range(2 if both else 1)]
        yield from self._merged(number, call, directions, merge)

    def _ends(self, number: int, call: Call, layer: Layer, inner: Recurrent) -> list[str]:
        """Return a variable for each state of a layer, `[directions, batch, units]`, and `_` where nothing reads it."""
        directions, fields = len(layer.recurrent), len(inner.state_names)
        first = layer.masked_outputs
        refs = [[Ref(number, first + d * fields + f) for d in range(directions)] for f in range(fields)]
        ends = []
        for place, field in enumerate(inner.state_names):
            read = inner.return_state and any(ref in self._read for ref in refs[place])
            read |= not place and not inner.return_sequences and Ref(number) in self._read
            name = _identifier(field if self._chain else f"{call.layer}_{field}", self._taken) if read else "_"
            ends.append(name)
            if inner.return_state:
                self._whole[tuple(refs[place])] = name
                self._tensors |= {ref: f"{name}[{direction}]" for direction, ref in enumerate(refs[place])}
        return ends

    def _start(self, inner: Recurrent, states: Sequence[Ref], both: bool) -> str:
        """Return the argument for the initial states, `[directions, batch, units]` each; empty without any."""
        if not states:
            return ""
        count = len(inner.state_names)
        stacked = []
        for field in range(count):
            refs = tuple(states[field::count])
            names = [self._tensors[ref] for ref in refs]
            new = f"torch.stack([{', '.join(names)}])" if both else f"{names[0]}[None].contiguous()"
            stacked.append(self._whole.get(refs, new))
        return f", ({', '.join(stacked)})" if count > 1 else f", {stacked[0]}"

    def _merged(self, number: int, call: Call, directions: list[str], merge: str | None) -> Iterator[str]:
        """Yield the line that merges the outputs of both directions."""
        if merge is None:
            for index, direction in enumerate(directions):
                self._tensors[Ref(number, index)] = direction
            return
        if Ref(number) not in self._read:
            return
        expression = (
            directions[0]
            if len(directions) == 1
            else {
                "concat": f"torch.cat([{', '.join(directions)}], dim=-1)",
                "sum": " + ".join(directions),
                "mul": " * ".join(directions),
                "ave": f"({' + '.join(directions)}) / 2",
            }[merge]
        )
        yield from _wrapped(f"        {self._output(number, call)} = {expression}")


def _wrapped(line: str) -> Iterator[str]:
    """Yield a line; a longer one is broken inside of its last brackets, or before its operators, as formatters do."""
    indent = " " * (len(line) - len(line.lstrip()))
    start = _last_brackets(line)
    if len(line) <= WIDTH:
        yield line
    elif start is not None and " = " in line and not re.search(r" [+*] ", line[: start + 1]):
        yield line[: start + 1]
        inner = line[start + 1 : -1]
        if len(indent) + 4 + len(inner) <= WIDTH:
            yield f"{indent}    {inner}"
        else:
            yield from (f"{indent}    {argument}," for argument in _arguments(inner))
        yield f"{indent})"
    else:
        left, _, right = line.partition(" = ")
        yield f"{left} = ("
        yield from (f"{indent}    {term}" for term in re.split(r" (?=[+*] )", right))
        yield f"{indent})"


def _last_brackets(line: str) -> int | None:
    """Return the place of the bracket that the last character closes; None where it closes none."""
    depth = 0
    if not line.endswith(")"):
        return None
    for place in range(len(line) - 1, -1, -1):
        depth += (line[place] in ")]") - (line[place] in "([")
        if not depth:
            return place
    return None


def _arguments(text: str) -> list[str]:
    """Return the parts of a text between its commas outside of brackets."""
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append(text[begin:place].strip())
            begin = place + 1
    return [*parts, text[begin:].strip()]
