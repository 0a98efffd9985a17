"""Modules whose LSTMs are cells that a function `unroll` of the source runs over time: those of Equinox and Haiku."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from multilstm.conversion.modules.formatting import fits, wrapped
from multilstm.conversion.modules.state import AbstractState, directions_of
from multilstm.conversion.modules.walk import AbstractSource
from multilstm.conversion.stack import LSTMWeights, from_dialect, to_dialect
from multilstm.conversion.target import refusal
from multilstm.spec import LSTM, Bidirectional
from multilstm.spec.arrays import Array
from multilstm.spec.graph import Call, Ref
from multilstm.spec.layer_base import Layer

__all__ = ["AbstractUnrolledSource", "AbstractUnrolledState"]


class AbstractUnrolledSource(AbstractSource):
    """The source of one module.

    Class variables:
        imported: the framework as it is imported.
        target: the name of the target in messages.
        cell_name: the class of the cell in messages.
        unroll: the source of the function `unroll`, without and with a mask.
    """

    where: ClassVar = "jnp.where"
    concatenate: ClassVar = "jnp.concatenate([{}], axis=-1)"
    call_name: ClassVar = "__call__"
    tensor: ClassVar = "jax.Array"
    imported: ClassVar[str] = ""
    target: ClassVar[str]
    cell_name: ClassVar[str]
    unroll: ClassVar[tuple[str, str]]

    @abc.abstractmethod
    def cell(self, layer: LSTM, features: int, name: str) -> str:
        """Return the constructor of a cell.

        Args:
            layer: the layer, one direction of it.
            features: the size of its inputs.
            name: its attribute, with the direction behind it.
        """

    def imports(self, text: str) -> Iterator[str]:
        """Yield the imports of JAX and of the framework."""
        yield from ("from functools import partial", "") if "partial(" in text else ()
        yield from (f"import {self.imported}", "import jax")
        yield from ("import jax.numpy as jnp",) if "jnp." in text else ()

    def helpers(self, text: str) -> Iterator[str]:
        """Yield the function `unroll` where the text calls it."""
        if "unroll(" in text:
            yield self.unroll["mask=" in text]

    def recurrent_constructor(self, layer: Layer, features: int) -> str:
        """Return the constructor of the cell, or of a pair of cells for two directions."""
        inner = next(iter(layer.recurrent.values()))
        if not isinstance(inner, LSTM):
            raise refusal(self.target, inner, "its class", f"LSTMs alone become {self.cell_name}")
        for argument, value in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
            if getattr(inner, argument) != value:
                given = f"{argument}={getattr(inner, argument)!r}"
                raise refusal(self.target, layer, given, f"{self.cell_name} has {value!r}")
        attribute = self._attributes[str(layer.name)]
        if not isinstance(layer, Bidirectional):
            return self.cell(inner, features, attribute)
        cells = [self.cell(inner, features, f"{attribute}_{direction}") for direction in layer.recurrent]
        return f"({', '.join(cells)})"

    def recurrent_call(self, number: int, call: Call, layer: Layer, x: str) -> Iterator[str]:
        """Yield a call of `unroll` for each direction, then the line that merges their outputs."""
        inner = next(iter(layer.recurrent.values()))
        mask = self._masks[call.inputs[0]]
        if mask is not None and call.initial_state:
            raise refusal(self.target, layer, "its mask together with an initial state", "its first outputs differ")
        if mask is not None and inner.zero_output_for_mask and not inner.return_sequences:
            raise refusal(self.target, layer, "zero_output_for_mask=True", "its last output is its hidden state")
        flip = "[:, ::-1]" if inner.go_backwards else ""
        masked = "" if mask is None else f"{self._mask_names[mask]}{flip}"
        both = isinstance(layer, Bidirectional)
        starts = self._starts(call, inner.state_count)
        outputs = []
        for place, (direction, states) in enumerate(self._states(number, call, layer).items()):
            sequence = self._sequence(number, call, layer, direction)
            outputs.append(sequence if inner.return_sequences else states[0])
            module = f"self.{self._attributes[call.layer]}" + (f"[{place}]" if both else "")
            arguments = [module, f"{x}{flip}", *starts[place : place + 1], *([f"mask={masked}"] if masked else [])]
            arguments += ["reverse=True"] if place else []
            end = "_" if set(states) == {"_"} else f"({', '.join(states)})"
            right = f"unroll({', '.join(arguments)})"
            if fits(f"        {sequence}, {end} = unroll("):
                yield from wrapped(f"        {sequence}, {end} = {right}")
            else:
                state = self.name("state")
                yield from wrapped(f"        {sequence}, {state} = {right}")
                yield f"        {end[1:-1]} = {state}"
            if masked and inner.return_sequences and inner.zero_output_for_mask and sequence != "_":
                yield from wrapped(f"        {sequence} = jnp.where({masked}[..., None], {sequence}, 0.0)")
        yield from self._merged(number, call, layer, outputs)

    def _merged(self, number: int, call: Call, layer: Layer, outputs: Sequence[str]) -> Iterator[str]:
        """Yield the line that merges the outputs of both directions."""
        if not isinstance(layer, Bidirectional):
            return
        if layer.merge_mode is None:
            self._tensors |= {Ref(number, place): name for place, name in enumerate(outputs)}
        elif Ref(number) in self._read:
            expression = self.merged(outputs, layer.merge_mode)
            yield from wrapped(f"        {self.output(number, call)} = {expression}")

    def _sequence(self, number: int, call: Call, layer: Layer, direction: str) -> str:
        """Return the variable of the sequence of one direction, and `_` where nothing reads it."""
        inner = next(iter(layer.recurrent.values()))
        if not inner.return_sequences or not any(Ref(number, place) in self._read for place in range(2)):
            return "_"
        if not isinstance(layer, Bidirectional):
            return self.output(number, call)
        return self.name(direction if self.is_chain else f"{call.layer}_{direction}")

    def _states(self, number: int, call: Call, layer: Layer) -> dict[str, list[str]]:
        """Return a variable for each state by direction, hidden first, and `_` where nothing reads it.

        Without sequences, the hidden state is the output.
        """
        inner = next(iter(layer.recurrent.values()))
        both, names = isinstance(layer, Bidirectional), {}
        is_last = not inner.return_sequences and any(Ref(number, n) in self._read for n in range(layer.masked_outputs))
        for place, direction in enumerate(layer.recurrent):
            fields = []
            for offset, field in enumerate(inner.state_names):
                ref = Ref(number, layer.masked_outputs + place * inner.state_count + offset)
                read = inner.return_state and ref in self._read
                words = [direction, field] if both else [field]
                if is_last and not offset and not both:
                    fields.append(self.output(number, call))
                else:
                    used = read or (is_last and not offset)
                    fields.append(self.name_of_state(call.layer, *words) if used else "_")
                if inner.return_state:
                    self._tensors[ref] = fields[-1]
            names[direction] = fields
        return names

    def _starts(self, call: Call, count: int) -> list[str]:
        """Return the argument for the initial states of each direction; empty without any."""
        names = [self._tensors[ref] for ref in call.initial_state]
        return [f"({', '.join(names[place : place + count])})" for place in range(0, len(names), count)]


class AbstractUnrolledState(AbstractState):
    """The arrays of one module.

    Class variables:
        dialect: the row of the table of layouts for the cells.
    """

    dialect: ClassVar[str]

    @abc.abstractmethod
    def names(self, layer: Layer) -> Mapping[str, str]:
        """Return the framework's names of the weights of a layer without a state, by Keras's."""

    @abc.abstractmethod
    def directions(self, layer: Layer) -> tuple[str, ...]:
        """Return the beginnings of the names of a recurrent layer's arrays, by direction."""

    def turned(self, layer: Layer, name: str, array: Array, back: bool) -> Array:
        """Return a weight of a layer without a state in the framework's layout, or in Keras's."""
        return array

    def of_layer(self, layer: Layer, weights: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the arrays of a layer's module; see `AbstractState.of_layer`."""
        if not layer.state_names:
            names = self.names(layer)
            return {names[name]: self.turned(layer, name, array, False) for name, array in weights.items()}
        arrays: dict[str, Array] = {}
        for keras, path in zip(directions_of(layer), self.directions(layer), strict=True):
            cell = {name.removeprefix(keras): array for name, array in weights.items() if name.startswith(keras)}
            stack = LSTMWeights(cell["kernel"], cell["recurrent_kernel"], cell.get("bias"))
            converted = to_dialect(stack, self.dialect, gradients=gradients)
            arrays |= {f"{path}{name}": array for name, array in converted.items()}
        return arrays

    def to_layer(self, layer: Layer, arrays: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the inverse of `of_layer`; a bias that Keras lacks is left out."""
        if not layer.state_names:
            names = {framework: keras for keras, framework in self.names(layer).items()}
            return {names[name]: self.turned(layer, names[name], array, True) for name, array in arrays.items()}
        weights: dict[str, Array] = {}
        for (keras, inner), path in zip(
            zip(directions_of(layer), layer.recurrent.values(), strict=True), self.directions(layer), strict=True
        ):
            cell = {name.removeprefix(path): array for name, array in arrays.items() if name.startswith(path)}
            ((read,),) = from_dialect(cell, self.dialect, gradients=gradients)
            fields = ("kernel", "recurrent_kernel", *(["bias"] if inner.use_bias else []))
            weights |= {f"{keras}{name}": getattr(read, name) for name in fields}
        return weights
