"""A spec as a PyTorch module: readable source that needs nothing but PyTorch.

A name from a file enters the source as an identifier made of letters, digits and underscores, never as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, final

from multilstm.conversion.modules.formatting import wrapped
from multilstm.conversion.modules.names import attribute_names
from multilstm.conversion.modules.parts import Part
from multilstm.conversion.modules.walk import AbstractSource
from multilstm.conversion.torch.layers import part, recurrent_part, refused
from multilstm.conversion.torch.loop import LOOP
from multilstm.spec import Bidirectional, Graph
from multilstm.spec.graph import Call, Ref
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import Recurrent
from multilstm.spec.shapes import Shape

__all__ = ["module_names", "reserved_attributes", "torch_source"]

IMPORTED = {"torch", "nn", "self"}


def torch_source(spec: Graph) -> str:
    """Return the source of a Python module with the class `Model(nn.Module)`, which computes as the spec does.

    Args:
        spec: any model. Its weights are not in the source: see `TorchState`.

    Raises:
        UnsupportedError: for a layer or an option that PyTorch's modules lack, with its name.
    """
    return _Source(spec, module_names(spec)).source()


def module_names(spec: Graph) -> dict[str, str]:
    """Return the attribute of the class by layer, for every layer but the inputs."""
    return attribute_names(spec, reserved_attributes() | IMPORTED)


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


@final
class _Source(AbstractSource):
    """The lines of one module."""

    taken: ClassVar = frozenset(IMPORTED)
    where: ClassVar = "torch.where"
    concatenate: ClassVar = "torch.cat([{}], dim=-1)"
    call_name: ClassVar = "forward"
    tensor: ClassVar = "torch.Tensor"

    def __init__(self, spec: Graph, attributes: dict[str, str]) -> None:
        super().__init__(spec, attributes)
        self._whole: dict[tuple[Ref, ...], str] = {}  # the variable of a state in all directions

    @property
    def base(self) -> str:
        return "nn.Module"

    def imports(self, text: str) -> Iterator[str]:
        yield from ("from collections.abc import Callable", "") if "Callable[" in text else ()
        yield from ("import torch",) if "torch." in text else ()
        yield from ("import torch.nn.functional as F",) if "F." in text else ()
        yield "from torch import nn"

    def helpers(self, text: str) -> Iterator[str]:
        yield from (LOOP,) if " = LSTM(" in text else ()

    def constructor_head(self, constructors: str) -> Iterator[str]:
        yield from ("    def __init__(self) -> None:", "        super().__init__()")

    def parameters(self, names: Sequence[str], text: str) -> tuple[list[str], str]:
        return [f"{name}: {self.tensor}" for name in names], self.result

    def part(self, layer: Layer, shapes: Sequence[Shape]) -> Part:
        return part(layer, shapes)

    def recurrent_constructor(self, layer: Layer, features: int) -> str:
        inner = next(iter(layer.recurrent.values()))
        return recurrent_part(inner, features, isinstance(layer, Bidirectional), layer.name in self._masked)

    def recurrent_call(self, number: int, call: Call, layer: Layer, x: str) -> Iterator[str]:
        """Yield the lines of a recurrent layer: the call of its module, then its outputs and states."""
        both = isinstance(layer, Bidirectional)
        inner: Recurrent = next(iter(layer.recurrent.values()))
        merge = layer.merge_mode if isinstance(layer, Bidirectional) else "concat"
        start = self._start(inner, call.initial_state, both)
        ends = self._ends(number, call, layer, inner)
        if not inner.return_sequences:
            output = "_"
        elif merge == "concat":
            output = self.output(number, call)
        else:
            output = self.name(f"{call.layer}_sequence")
        mask = self._masks[call.inputs[0]]
        flip = ".flip(1)" if inner.go_backwards else ""
        masked = "" if mask is None else f", mask={self._mask_names[mask]}{flip}"
        right = f"self.{self._attributes[call.layer]}({x}{flip}{start}{masked})"
        left = "_" if set(ends) == {"_"} else f"({', '.join(ends)})" if len(ends) > 1 else ends[0]
        yield from wrapped(f"        {output}, {left} = {right}")
        if mask is not None and (inner.zero_output_for_mask or start) and not inner.return_sequences:
            raise refused(layer, "its mask together with an initial state", "its last output is not its hidden state")
        if mask is not None and inner.zero_output_for_mask:
            name = f"{self._mask_names[mask]}{flip}"
            yield from wrapped(f"        {output} = torch.where({name}[..., None], {output}, 0.0)")
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
            name = self.name(field if self.is_chain else f"{call.layer}_{field}") if read else "_"
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
        expression = directions[0] if len(directions) == 1 else self.merged(directions, merge)
        yield from wrapped(f"        {self.output(number, call)} = {expression}")
