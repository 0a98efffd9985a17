"""The graphs of the two inference models of an encoder-decoder: its training graph, cut where the decoder begins.

In training, the decoder reads the target sequence as an input of the model (teacher forcing). For inference, the
encoder runs once, and the decoder runs on one timestep after the other, from the states of the timestep before. The
decoder's inputs are the inputs of the model from which no initial state is computed. Each call that depends on them
belongs to the decoder, all others to the encoder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from multilstm.errors import UnsupportedError, listed, shown
from multilstm.spec import (
    AdditiveAttention,
    Attention,
    BatchNormalization,
    Bidirectional,
    Call,
    Dot,
    Graph,
    InputLayer,
    Layer,
    Ref,
)
from multilstm.spec.layers.recurrent import Recurrent
from multilstm.spec.names import unused
from multilstm.spec.subgraph import pruned

__all__ = ["InferenceGraphs", "inference_graphs"]


@dataclasses.dataclass(frozen=True)
class InferenceGraphs:
    """Encoder and decoder of a training model, with the names of its layers.

    The inputs of the decoder are those of the training model, then `handed`, then `fresh`. Its outputs are those of the
    training model, then the states in the order of `states`.

    Attributes:
        encoder: its outputs are the tensors for the inputs `handed` of the decoder, in this order.
        decoder: it takes sequences of any length, of one timestep too.
        tokens: the inputs of the decoder that have timesteps of their own.
        handed: the inputs of the decoder that the encoder computes.
        states: the inputs of the decoder that take the states of the timestep before, in the order of its outputs. Each
            has its layer and the name of the state, such as `hidden`.
        fresh: those of `states` that begin at zero, since the training model gives them no initial state.
        outputs: the numbers of the outputs of the training model that the decoder has.
    """

    encoder: Graph
    decoder: Graph
    tokens: tuple[str, ...]
    handed: tuple[str, ...]
    states: Mapping[str, tuple[str, str]]
    fresh: tuple[str, ...]
    outputs: tuple[int, ...]

    def notes(self, spec: Graph) -> Iterator[str]:
        """Yield sentences, without a full stop, on the use of the models and their differences from `spec`."""
        if self.fresh:
            yield f"the first call of the decoder takes zeros for {listed(map(shown, self.fresh))}"
        left_out = [number for number in range(len(spec.outputs)) if number not in self.outputs]
        if left_out:
            yield f"outputs that do not depend on the decoder are left out: number {listed(left_out)}"
        masked = _masked(self.decoder)
        if any(ref in masked for ref in self.decoder.outputs):
            yield (
                "a masked timestep keeps the states; a recurrent layer of the decoder then returns 0, where that of "
                "the training model repeats its last output"
            )


def inference_graphs(spec: Graph) -> InferenceGraphs:
    """Cut the training model of an encoder-decoder into the graphs of its two inference models.

    Raises:
        UnsupportedError: for a model without such a border, and for a layer of the decoder that needs more than one
            timestep. The message names the layer and the reason.
    """
    sources = _sources(spec)
    starting = {name for call in spec.calls for ref in call.initial_state for name in sources[ref.call]}
    if not any(call.initial_state for call in spec.calls):
        raise _refused(spec, "no recurrent layer starts from tensors of the graph", "initial_state=... in a decoder")
    tokens = tuple(name for name in spec.input_order if name not in starting)
    of_decoder = [index for index in range(len(spec.calls)) if sources[index] & set(tokens)]
    if not tokens or not any(spec.calls[index].initial_state for index in of_decoder):
        raise _refused(
            spec,
            f"initial states depend on all of its inputs that reach a decoder ({listed(map(shown, spec.input_order))})",
            "a decoder that reads an input of its own",
        )
    masked = _masked(spec)
    for index in of_decoder:
        for reason in _reasons(spec, index, set(of_decoder), masked):
            raise UnsupportedError(f"inference models: {spec.layer(spec.calls[index].layer).label} {reason}")
    _check_once(spec, of_decoder)
    return _Cut(spec, tokens, of_decoder).graphs()


class _Cut:
    """The decoder of a training model in the making.

    Args:
        spec: the training model.
        tokens: the inputs of the decoder.
        of_decoder: the numbers of its calls.
    """

    def __init__(self, spec: Graph, tokens: tuple[str, ...], of_decoder: Sequence[int]) -> None:
        self.spec = spec
        self.tokens = tokens
        self.of_decoder = of_decoder
        self.layers: dict[str, Layer] = {}
        self.calls: list[Call] = []
        self.place: dict[Ref, Ref] = {}  # of each tensor in the decoder
        self.names = {str(layer.name) for layer in spec.layers}

    def graphs(self) -> InferenceGraphs:
        """Return both graphs."""
        spec, inner = self.spec, set(self.of_decoder)
        calls = [spec.calls[index] for index in self.of_decoder]
        for index in self.of_decoder:
            if spec.calls[index].layer in self.tokens:
                self._copied_input(index)
        border = dict.fromkeys(ref for call in calls for ref in call.inputs if ref.call not in inner)
        shared = [ref for ref in border if spec.calls[ref.call].layer in spec.inputs]
        for ref in shared:
            self._copied_input(ref.call)
        contexts = [ref for ref in border if ref not in shared]
        handed = {self._new_input(ref, spec.calls[ref.call].layer): ref for ref in contexts}
        starts: dict[int, tuple[str, ...]] = {}
        fresh: list[str] = []
        for index in sorted(self.of_decoder, key=lambda index: not spec.calls[index].initial_state):
            layer, call = spec.layer(spec.calls[index].layer), spec.calls[index]
            if isinstance(layer, Recurrent):
                starts[index] = tuple(self._state_input(index, layer))
                handed |= dict(zip(starts[index], call.initial_state, strict=False))
                fresh += [] if call.initial_state else starts[index]
        for index in self.of_decoder:
            if spec.calls[index].layer not in self.tokens:
                self._copied_call(index, starts.get(index, ()))
        encoder = pruned(spec, spec.calls, tuple(handed.values()))
        assert encoder is not None
        outputs = tuple(number for number, ref in enumerate(spec.outputs) if ref.call in inner)
        ends = [Ref(self.place[Ref(index)].call, 1 + k) for index, names in starts.items() for k in range(len(names))]
        decoder = Graph(
            f"{spec.name}_decoder",
            tuple(self.layers.values()),
            tuple(self.calls),
            (*(self.place[spec.outputs[number]] for number in outputs), *ends),
            input_order=tuple(name for name, layer in self.layers.items() if isinstance(layer, InputLayer)),
        )
        states = {
            name: (spec.calls[index].layer, kind)
            for index, names in starts.items()
            for name, kind in zip(names, spec.layer(spec.calls[index].layer).state_names, strict=True)
        }
        encoder = dataclasses.replace(encoder, name=f"{spec.name}_encoder")
        return InferenceGraphs(encoder, decoder, self.tokens, tuple(handed), states, tuple(fresh), outputs)

    def _copied_input(self, index: int) -> None:
        """Take over an input of the training model, with any number of timesteps if it has timesteps of its own."""
        layer = self.spec.layer(self.spec.calls[index].layer)
        assert isinstance(layer, InputLayer)
        if layer.name in self.tokens:
            layer = dataclasses.replace(layer, shape=(None, *layer.shape[1:]))
        self._add(layer, Call(str(layer.name)), Ref(index))

    def _new_input(self, ref: Ref, name: str) -> str:
        """Add an input for a tensor that the encoder computes, and return its name."""
        batch, *shape = self.spec.tensor_shapes[ref]
        layer = InputLayer(tuple(shape), batch, name=self._unique(f"{name}_output"))
        self._add(layer, Call(str(layer.name)), ref)
        return str(layer.name)

    def _state_input(self, index: int, layer: Recurrent) -> Iterator[str]:
        """Add the inputs for the states of a recurrent layer, and yield their names."""
        call = self.spec.calls[index]
        shapes = layer.state_shapes(self.spec.tensor_shapes[call.inputs[0]])
        for name, (batch, *shape) in zip(layer.state_names, shapes, strict=True):
            state = InputLayer(tuple(shape), batch, name=self._unique(f"{layer.name}_{name}"))
            self._add(state, Call(str(state.name)), None)
            yield str(state.name)

    def _copied_call(self, index: int, states: Sequence[str]) -> None:
        """Take over a call; a recurrent one starts from its inputs `states`, and returns its states."""
        call, layer = self.spec.calls[index], self.spec.layer(self.spec.calls[index].layer)
        if isinstance(layer, Recurrent):
            layer = dataclasses.replace(layer, return_state=True)  # type: ignore[call-arg]
        numbers = {call.layer: number for number, call in enumerate(self.calls)}
        initial = tuple(Ref(numbers[name]) for name in states)
        self._add(layer, Call(call.layer, tuple(self.place[ref] for ref in call.inputs), initial), Ref(index))
        for output in range(1, layer.output_count):
            self.place[Ref(index, output)] = Ref(len(self.calls) - 1, output)

    def _add(self, layer: Layer, call: Call, ref: Ref | None) -> None:
        self.layers[str(layer.name)] = layer
        if ref is not None:
            self.place[ref] = Ref(len(self.calls))
        self.calls.append(call)

    def _unique(self, name: str) -> str:
        return unused(name, self.names, 0)


def _sources(spec: Graph) -> list[set[str]]:
    """Return the inputs of the model on which each call depends."""
    sources: list[set[str]] = []
    for call in spec.calls:
        own = {call.layer} if call.layer in spec.inputs else set()
        sources.append(own.union(*(sources[ref.call] for ref in (*call.inputs, *call.initial_state))))
    return sources


def _masked(spec: Graph) -> set[Ref]:
    """Return the tensors that have a mask."""
    masks: dict[Ref, bool] = {}
    for index, call in enumerate(spec.calls):
        layer = spec.layer(call.layer)
        mask = None
        if not isinstance(layer, InputLayer):
            arrays = [np.zeros((1,) * len(spec.tensor_shapes[ref])) for ref in call.inputs]
            mask = layer.output_mask(arrays, [np.ones((1, 1), bool) if masks[ref] else None for ref in call.inputs])
        for output in range(layer.output_count):
            masks[Ref(index, output)] = mask is not None and output < layer.masked_outputs
    return {ref for ref, has_mask in masks.items() if has_mask}


def _reasons(spec: Graph, index: int, inner: set[int], masked: set[Ref]) -> Iterator[str]:
    """Yield the reasons why a call of the decoder cannot run on one timestep after the other."""
    call = spec.calls[index]
    layer = spec.layer(call.layer)
    if isinstance(layer, Recurrent):
        yield from _of_recurrent(spec, call, layer)
    elif isinstance(layer, Bidirectional):
        yield "reads the sequence of the decoder from its end too, which is unknown while decoding"
    elif layer.recurrent:
        yield "is a wrapper around a recurrent layer, whose states are not passed on"
    border = [ref for ref in call.inputs if ref.call not in inner]
    looks_up = isinstance(layer, Attention | AdditiveAttention | Dot) and call.inputs[0] not in border
    if looks_up and len(border) < len(call.inputs) - 1:
        yield "relates timesteps of the decoder to each other; only the encoder's timesteps can be looked up"
    elif layer.mixes_timesteps and not looks_up and not isinstance(layer, BatchNormalization):
        yield "computes with several timesteps of the decoder at once"
    for ref in border:
        source = spec.layer(spec.calls[ref.call].layer).label
        if ref in masked:
            yield f"needs the mask of {source}, which an input of the decoder does not have"
        elif not looks_up and len(spec.tensor_shapes[ref]) > 2:
            yield f"joins the timesteps of the decoder with those of {source}, which have other numbers while decoding"


def _of_recurrent(spec: Graph, call: Call, layer: Recurrent) -> Iterator[str]:
    if layer.stateful:
        yield "is stateful, so it carries its states by itself"
    if layer.go_backwards:
        yield "reads the sequence of the decoder from its end, which is unknown while decoding"
    if not layer.return_sequences:
        yield "returns its last output alone; expected return_sequences=True, an output for each timestep"
    for ref in call.initial_state:
        source = spec.calls[ref.call].layer
        if source in spec.inputs:
            yield f"starts from the model's input {shown(source)}, so there is no encoder to cut off"


def _check_once(spec: Graph, of_decoder: Sequence[int]) -> None:
    """Raise UnsupportedError for a recurrent layer that the decoder calls twice: it has several states."""
    called: set[str] = set()
    for index in of_decoder:
        layer = spec.layer(spec.calls[index].layer)
        if isinstance(layer, Recurrent) and str(layer.name) in called:
            raise UnsupportedError(
                f"inference models: {layer.label} is called several times, as in a loop over timesteps; expected one "
                f"call over the whole sequence"
            )
        called.add(str(layer.name))


def _refused(spec: Graph, reason: str, expected: str) -> UnsupportedError:
    return UnsupportedError(
        f"inference models: model {shown(spec.name)} is no encoder-decoder with teacher forcing: {reason}; expected "
        f"{expected}"
    )
