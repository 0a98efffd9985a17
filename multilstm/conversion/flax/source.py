"""A spec as a Flax module: readable source that needs nothing but Flax and JAX.

A name from a file enters the source as an identifier made of letters, digits and underscores, never as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, final

from multilstm.conversion.flax.api import NNX, Api
from multilstm.conversion.flax.cells import HELPERS
from multilstm.conversion.flax.layers import part, refused
from multilstm.conversion.flax.recurrent import constructor
from multilstm.conversion.modules.formatting import fits, wrapped
from multilstm.conversion.modules.names import attribute_names
from multilstm.conversion.modules.parts import Part
from multilstm.conversion.modules.walk import AbstractSource
from multilstm.spec import Bidirectional, Graph
from multilstm.spec.graph import Call, Ref
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import Recurrent
from multilstm.spec.shapes import Shape

__all__ = ["flax_source", "module_names", "reserved_attributes"]

IMPORTED = {"jax", "jnp", "nnx", "nn", "partial", "self", "train", "rngs"}


def flax_source(spec: Graph, api: Api) -> str:
    """Return the source of a Python module with the class `Model`, which computes as the spec does.

    Args:
        spec: any model. Its weights are not in the source: see `flax_state`.
        api: the API of Flax.

    Raises:
        UnsupportedError: for a layer or an option that Flax's modules lack, with its name.
    """
    return _Source(spec, api).source()


def module_names(spec: Graph) -> dict[str, str]:
    """Return the attribute of the class by layer, for every layer but the inputs."""
    return attribute_names(spec, reserved_attributes() | IMPORTED)


def reserved_attributes() -> set[str]:
    """Return names that an attribute of a module of nnx or linen must not have."""
    return {
        "train", "eval", "sow", "perturb", "set_attributes", "iter_modules", "iter_children", "set_view",
        "apply", "bind", "unbind", "clone", "copy", "get_variable", "has_rng", "has_variable", "init", "variable",
        "init_with_output", "is_initializing", "is_mutable_collection", "lazy_init", "make_rng", "module_paths", "name",
        "param", "params", "parent", "path", "put_variable", "scope", "setup", "tabulate", "variables",
    }  # fmt: skip


@final
class _Source(AbstractSource):
    """The lines of one module."""

    taken: ClassVar = frozenset(IMPORTED | {"with_mask"})
    where: ClassVar = "jnp.where"
    concatenate: ClassVar = "jnp.concatenate([{}], axis=-1)"
    call_name: ClassVar = "__call__"
    tensor: ClassVar = "jax.Array"

    def __init__(self, spec: Graph, api: Api) -> None:
        super().__init__(spec, module_names(spec))
        self._api = api

    @property
    def base(self) -> str:
        return f"{self._api.prefix}.Module"

    def imports(self, text: str) -> Iterator[str]:
        functions = [f"from functools import {name}" for name in ("partial",) if f"{name}(" in text]
        standard = [*functions, *(["from typing import Any"] if "Any" in text else [])]
        yield from [*standard, ""] if standard else []
        yield from () if self._api is NNX else ("import flax.linen as nn",)
        yield "import jax"
        yield from ("import jax.numpy as jnp",) if "jnp." in text else ()
        yield from ("from flax import nnx",) if self._api is NNX else ()

    def helpers(self, text: str) -> Iterator[str]:
        yield from (source for name, source in HELPERS[self._api.name].items() if f"{name}(" in text)

    def constructor_head(self, constructors: str) -> Iterator[str]:
        if self._api is NNX:
            yield "    def __init__(self, *, rngs: nnx.Rngs) -> None:"
            yield from () if constructors else ("        pass",)
        elif constructors:
            yield "    def setup(self) -> None:"

    def parameters(self, names: Sequence[str], text: str) -> tuple[list[str], str]:
        mode = ["*", "train: bool = False"] if "=not train" in text else []
        return [*(f"{name}: {self.tensor}" for name in names), *mode], self.result

    def part(self, layer: Layer, shapes: Sequence[Shape]) -> Part:
        return part(layer, shapes, self._api)

    def recurrent_constructor(self, layer: Layer, features: int) -> str:
        return constructor(layer, features, layer.name in self._masked, self._api)

    def recurrent_call(self, number: int, call: Call, layer: Layer, x: str) -> Iterator[str]:
        inner: Recurrent = next(iter(layer.recurrent.values()))
        start = self._start(inner, call)
        mask = self._mask_of(call, x)
        source = f"with_mask({x}, {mask})" if mask else x
        states = self._states(number, call, layer, inner)
        if isinstance(layer, Bidirectional):
            if mask and start and not inner.return_sequences:
                raise refused(layer, "its mask together with an initial state", "its last output is not its state")
            yield from self._bidirectional(number, call, layer, [source, *start], mask, states)
            return
        is_read = Ref(number) in self._read
        module = f"self.{self._attributes[call.layer]}"
        output = self.output(number, call) if is_read else "_"
        zeros = list(self._zeros(output, inner, mask, bool(start))) if is_read else []
        last = f"        {output} = {output}[:, -1]" if is_read and not inner.return_sequences else ""
        if any(name != "_" for name in states):
            carry = f"({states[1]}, {states[0]})" if len(states) > 1 else states[0]
            right = f"{module}({', '.join([source, *start, 'return_carry=True'])})"
            if fits(f"        {carry}, {output} = {module}("):
                yield from wrapped(f"        {carry}, {output} = {right}")
            else:
                name = self.name("carry")
                yield from wrapped(f"        {name}, {output} = {right}")
                yield f"        {carry[1:-1]} = {name}"
        else:
            line = f"        {output} = {module}({', '.join([source, *start])})"
            if last and not zeros and fits(f"{line}[:, -1]"):
                line, last = f"{line}[:, -1]", ""
            yield from wrapped(line)
        yield from (*zeros, *([last] if last else []))

    def _zeros(self, output: str, layer: Recurrent, mask: str, has_start: bool) -> Iterator[str]:
        """Yield the lines that set the sequence of one direction to zero at masked timesteps."""
        ordered = f"{mask}[:, ::-1]" if layer.go_backwards else mask
        if mask and layer.zero_output_for_mask:
            yield from wrapped(f"        {output} = jnp.where({ordered}[..., None], {output}, 0.0)")
        elif mask and has_start:  # before the first timestep that counts, Keras's output is 0
            begun = f"{ordered}.cumsum(1)[..., None] > 0"
            yield from wrapped(f"        {output} = jnp.where({begun}, {output}, 0.0)")

    def _bidirectional(
        self, number: int, call: Call, layer: Bidirectional, arguments: list[str], mask: str, states: list[str]
    ) -> Iterator[str]:
        """Yield the lines of a layer with two directions."""
        inner, count = layer.layer, layer.layer.state_count
        module = f"self.{self._attributes[call.layer]}"
        ends = [states[direction * count] for direction in range(2)]
        sequence = "_"
        if inner.return_sequences:
            sequence = self.output(number, call) if layer.merge_mode else self.name(f"{call.layer}_both")
        if any(name != "_" for name in states):
            right = f"{module}({', '.join([*arguments, 'return_carry=True'])})"
            carries = [self.name("forward"), self.name("backward")] if count > 1 else ends
            yield from wrapped(f"        ({', '.join(carries)}), {sequence} = {right}")
            for direction, carry in enumerate(carries if count > 1 else []):
                hidden, cell = states[direction * count :][:count]
                if {hidden, cell} != {"_"}:
                    yield f"        {cell}, {hidden} = {carry}"
        else:
            yield from wrapped(f"        {sequence} = {module}({', '.join(arguments)})")
        if inner.return_sequences and mask:
            yield from wrapped(f"        {sequence} = jnp.where({mask}[..., None], {sequence}, 0.0)")
        yield from self._merged(number, call, layer, sequence, ends)

    def _merged(self, number: int, call: Call, layer: Bidirectional, sequence: str, ends: list[str]) -> Iterator[str]:
        """Yield the line that merges the outputs of both directions, or divides them."""
        if layer.merge_mode is None:
            if layer.layer.return_sequences:
                ends = [self.name(f"{call.layer}_forward"), self.name(f"{call.layer}_backward")]
                yield from wrapped(f"        {', '.join(ends)} = jnp.split({sequence}, 2, axis=-1)")
            self._tensors |= {Ref(number, direction): name for direction, name in enumerate(ends)}
        elif layer.layer.return_sequences:
            if layer.merge_mode == "ave":
                yield f"        {sequence} = {sequence} / 2"
        elif Ref(number) in self._read:
            expression = self.merged(ends, layer.merge_mode)
            yield from wrapped(f"        {self.output(number, call)} = {expression}")

    def _mask_of(self, call: Call, x: str) -> str:
        """Return the mask of a call as an expression; empty for a layer that no mask reaches."""
        mask = self._masks[call.inputs[0]]
        if mask is not None:
            return self._mask_names[mask]
        return f"jnp.ones({x}.shape[:2])" if call.layer in self._masked else ""

    def _states(self, number: int, call: Call, layer: Layer, inner: Recurrent) -> list[str]:
        """Return a variable for each state of each direction, hidden first, and `_` where nothing reads it."""
        both = isinstance(layer, Bidirectional)
        reads_ends = (
            both
            and not inner.return_sequences
            and any(Ref(number, output) in self._read for output in range(layer.masked_outputs))
        )
        names = []
        for place, (direction, field) in enumerate((d, f) for d in layer.recurrent for f in inner.state_names):
            ref = Ref(number, layer.masked_outputs + place)
            read = (inner.return_state and ref in self._read) or (reads_ends and field == inner.state_names[0])
            words = [direction, field] if both else [field]
            names.append(self.name_of_state(call.layer, *words) if read else "_")
            if inner.return_state:
                self._tensors[ref] = names[-1]
        return names

    def _start(self, inner: Recurrent, call: Call) -> list[str]:
        """Return the argument for the initial states; empty without any."""
        names = [self._tensors[ref] for ref in call.initial_state]
        if not names:
            return []
        count = inner.state_count
        carries = [names[place : place + count] for place in range(0, len(names), count)]
        written = [f"({', '.join(reversed(carry))})" if count > 1 else carry[0] for carry in carries]
        return [f"initial_carry={written[0]}" if len(written) == 1 else f"initial_carry=({', '.join(written)})"]
