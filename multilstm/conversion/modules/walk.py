"""The walk over a spec that writes a module: a constructor for each layer, and a line for each of its calls.

A subclass writes what differs between frameworks: classes, heads of methods, and recurrent layers.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import ClassVar

from multilstm.conversion.modules.formatting import docstring, returned, signature, wrapped
from multilstm.conversion.modules.masks import Mask, masked_layers, masks_of
from multilstm.conversion.modules.names import identifier
from multilstm.conversion.modules.parts import Part
from multilstm.spec import Graph, Masking
from multilstm.spec.graph import Call, Ref
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import InputLayer
from multilstm.spec.shapes import Shape

__all__ = ["CLASS_NAME", "AbstractSource"]

CLASS_NAME = "Model"
LONGEST_STATE = 30  # letters of the variable of a state


class AbstractSource(abc.ABC):
    """The source of one module.

    Class variables:
        taken: names that no variable may have.
        where: the function that selects by a mask.
        concatenate: the expression that joins tensors, for their last axis.
        call_name: the method that computes.
        tensor: the type of a tensor.
    """

    taken: ClassVar[frozenset[str]]
    where: ClassVar[str]
    concatenate: ClassVar[str]
    call_name: ClassVar[str]
    tensor: ClassVar[str]

    def __init__(self, spec: Graph, attributes: dict[str, str]) -> None:
        self._spec, self._attributes = spec, attributes
        self._names = set(self.taken)
        self._tensors: dict[Ref, str] = {}
        self._read = {ref for call in spec.calls for ref in (*call.inputs, *call.initial_state)} | set(spec.outputs)
        self._masks = masks_of(spec)
        self._masked = masked_layers(spec)
        self._used = {self._masks[call.inputs[0]] for call in spec.calls if call.layer in self._masked}
        self._mask_names: dict[Mask, str] = {}

    def source(self) -> str:
        """Return the whole source.

        Raises:
            UnsupportedError: for a layer or an option that the framework lacks, with its name.
        """
        return "\n".join(self._lines()) + "\n"

    @property
    @abc.abstractmethod
    def base(self) -> str:
        """The class of modules."""

    @abc.abstractmethod
    def imports(self, text: str) -> Iterator[str]:
        """Yield the imports that a text needs."""

    @abc.abstractmethod
    def helpers(self, text: str) -> Iterator[str]:
        """Yield the sources of the functions and classes that the text of `Model` uses."""

    @abc.abstractmethod
    def constructor_head(self, constructors: str) -> Iterator[str]:
        """Yield the lines before the constructors of the modules.

        Args:
            constructors: their lines; empty without any.
        """

    @abc.abstractmethod
    def parameters(self, names: Sequence[str], text: str) -> tuple[list[str], str]:
        """Return the parameters of the method that computes, and the annotation of its result.

        Args:
            names: the variables of the inputs.
            text: the body of the method.
        """

    @abc.abstractmethod
    def part(self, layer: Layer, shapes: Sequence[Shape]) -> Part:
        """Return a layer without a state as source.

        Args:
            layer: the layer.
            shapes: of its inputs, the batch in front.

        Raises:
            UnsupportedError: for a layer, or an option, that has no counterpart.
        """

    @abc.abstractmethod
    def recurrent_constructor(self, layer: Layer, features: int) -> str:
        """Return the constructor of a recurrent layer, for inputs of some features."""

    @abc.abstractmethod
    def recurrent_call(self, number: int, call: Call, layer: Layer, x: str) -> Iterator[str]:
        """Yield the lines of one call of a recurrent layer, and record the variables of its outputs and states."""

    def _lines(self) -> Iterator[str]:
        constructors, body = list(self._constructors()), list(self._body())
        places = {call.layer: Ref(number) for number, call in enumerate(self._spec.calls)}
        inputs = [self._tensors[places[name]] for name in self._spec.inputs]
        parameters, returns = self.parameters(inputs, "\n".join(body))
        model = [f"class {CLASS_NAME}({self.base}):", *docstring(self._summary()), ""]
        if head := list(self.constructor_head("\n".join(constructors))):
            model += [*head, *constructors, ""]
        model += [*signature(self.call_name, ["self", *parameters], returns), *body]
        helpers = list(self.helpers("\n".join(model)))
        yield from self.imports("\n".join([*helpers, *model]))
        for block in (*helpers, "\n".join(model)):
            yield from ("", "", block.rstrip())

    def _summary(self) -> str:
        def sizes(shape: Shape) -> str:
            return f"[{', '.join(['batch', *('*' if size is None else str(size) for size in shape[1:])])}]"

        inputs = [sizes(layer.output_shapes()[0]) for layer in self._spec.inputs.values()]
        return f"Maps {' and '.join(inputs)} to {' and '.join(map(sizes, self._spec.output_shapes))}."

    def _constructors(self) -> Iterator[str]:
        for name, attribute in self._attributes.items():
            layer, features = self._spec.layer(name), self._spec.layer_inputs[name][-1]
            if layer.state_names:
                constructor = self.recurrent_constructor(layer, int(features or 0))
            elif isinstance(layer, Masking):
                continue
            else:
                call = next(call for call in self._spec.calls if call.layer == name)
                constructor = self.part(layer, self._shapes(call)).module
            if constructor:
                yield from wrapped(f"        self.{attribute} = {constructor}")

    def _shapes(self, call: Call) -> list[Shape]:
        return [self._spec.tensor_shapes[ref] for ref in call.inputs]

    def _body(self) -> Iterator[str]:
        for number, call in enumerate(self._spec.calls):
            if call.layer in self._spec.inputs:
                name = "x" if len(self._spec.inputs) == 1 else call.layer
                self._tensors[Ref(number)] = self.name(name)
        for number, call in enumerate(self._spec.calls):
            layer = self._spec.layer(call.layer)
            if isinstance(layer, InputLayer):
                continue
            inputs = [self._tensors[ref] for ref in call.inputs]
            mask = self._masks[Ref(number)]
            if layer.state_names:
                yield from self.recurrent_call(number, call, layer, inputs[0])
                continue
            if mask is not None and mask.layer == call.layer and (mask in self._used or isinstance(layer, Masking)):
                yield from self._mask(mask, layer, inputs[0])
            if isinstance(layer, Masking):
                expression = f"{self.where}({self._mask_names[mask]}[..., None], {inputs[0]}, 0.0)"  # type: ignore[index]
            else:
                expression = self.part(layer, self._shapes(call)).call.format(
                    *inputs, m=f"self.{self._attributes[call.layer]}"
                )
            output = self.output(number, call)
            if expression != output:
                yield from wrapped(f"        {output} = {expression}")
        yield from returned([self._tensors[ref] for ref in self._spec.outputs])

    def _mask(self, mask: Mask, layer: Layer, x: str) -> Iterator[str]:
        """Yield the line that makes a mask."""
        name = self._mask_names[mask] = self.name("mask" if self.is_chain else f"{layer.name}_mask")
        if isinstance(layer, Masking):
            yield f"        {name} = ({x} != {layer.mask_value}).any(-1)"
        else:
            yield f"        {name} = {x} != 0"

    def merged(self, parts: Sequence[str], merge: str) -> str:
        """Return the expression that merges the outputs of two directions."""
        return {
            "concat": self.concatenate.format(", ".join(parts)),
            "sum": " + ".join(parts),
            "mul": " * ".join(parts),
            "ave": f"({' + '.join(parts)}) / 2",
        }[merge]

    @property
    def result(self) -> str:
        """The annotation of the outputs."""
        count = len(self._spec.outputs)
        return self.tensor if count == 1 else f"tuple[{', '.join([self.tensor] * count)}]"

    def name(self, text: str) -> str:
        """Return a new variable."""
        return identifier(text, self._names)

    def name_of_state(self, layer: str, *words: str) -> str:
        """Return a new variable for a state; a long name of its layer is left out."""
        text = "_".join(words if self.is_chain or len("_".join([layer, *words])) > LONGEST_STATE else [layer, *words])
        return identifier(text, self._names, LONGEST_STATE)

    def output(self, number: int, call: Call) -> str:
        """Return the variable of the output of a call: that of the input, `x`, in a plain chain of layers."""
        name = "x" if self.is_chain else self.name(call.layer)
        self._tensors[Ref(number)] = name
        return name

    @property
    def is_chain(self) -> bool:
        """Whether every tensor is read by the next call alone, so that one variable serves all."""
        calls = self._spec.calls
        return len(self._spec.inputs) == 1 == len(self._spec.outputs) and all(
            call.inputs == (Ref(number - 1),) and not call.initial_state for number, call in enumerate(calls) if number
        )
