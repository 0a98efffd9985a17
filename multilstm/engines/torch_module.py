"""Engine `torch-module`: the PyTorch source into which `multilstm.conversion` translates a spec, executed.

The engine proves the conversion: source and state dict are those that `multilstm convert` writes. Outputs, states and
gradients are compared like those of every engine. A module of PyTorch trains two biases where Keras has one, so the
engine computes no updates.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import torch

from multilstm.conversion.torch.source import module_names, torch_source
from multilstm.conversion.torch.state import TorchState
from multilstm.engines.base import AbstractEngine
from multilstm.engines.converted import AbstractConvertedProgram, class_of
from multilstm.engines.torch_lstm_forward import loss_value
from multilstm.frameworks import torch as torch_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec import Bidirectional
from multilstm.spec.arrays import AnyState, Array, as_state

LOOP_NAME = "Python loop of the converted module"


@final
class TorchModuleEngine(AbstractEngine):
    """Executes the modules that specs are converted into."""

    platform = torch_platform

    def __init__(self) -> None:
        torch_platform.set_tf32(False)

    def prepare(self, job: Job) -> TorchModuleProgram:
        """Return a program on the CPU, or on a CUDA device."""
        return TorchModuleProgram(job)

    def operations(self) -> Operations:
        """Return the operations of eager PyTorch."""
        return torch_platform.operations()


@final
class TorchModuleProgram(AbstractConvertedProgram):
    """One converted model. Hooks of its recurrent modules record sequences and states."""

    engine: ClassVar = "torch-module"
    no_update: ClassVar = "a module of PyTorch trains two biases where Keras has one"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._dtype = getattr(torch, stored(job.dtype))
        self._device = torch.device("cuda" if job.device == "gpu" else "cpu")
        self._names = module_names(job.spec)
        self._state = TorchState(job.spec)
        self._module = class_of(self.source(torch_source))().to(device=self._device, dtype=self._dtype)
        for part in self._module.modules():
            if hasattr(part, "p"):  # a Dropout, whose masks are random
                part.p = 0.0
        self._answers: dict[str, Any] = {}
        self._starts: dict[str, Any] = {}
        for layer, attribute in self._names.items():
            if job.spec.layer(layer).state_names:
                module = getattr(self._module, attribute)
                module.register_forward_pre_hook(functools.partial(self._start, layer))
                module.register_forward_hook(functools.partial(self._record, layer))

    @property
    def implementation(self) -> Implementation:
        """The classes of the recurrent modules."""
        layers = [
            getattr(self._module, name) for layer, name in self._names.items() if self._spec.layer(layer).state_names
        ]
        names = {f"torch.nn.{type(m).__name__}" if isinstance(m, torch.nn.RNNBase) else LOOP_NAME for m in layers}
        return Implementation(", ".join(sorted(names)) or "no recurrent layer ran")

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Load the state dict of the weights."""
        state = self.arrays(self._state, weights)
        self._module.load_state_dict({name: torch.tensor(np.array(array)) for name, array in state.items()})

    def weights(self) -> dict[str, Array]:
        """Return all weights, in Keras's layout."""
        return self._state.to_keras({name: _numpy(array) for name, array in self._module.state_dict().items()})

    def parameter_counts(self) -> dict[str, int]:
        """Return PyTorch's counts by layer, statistics included, without a second bias that Keras lacks."""
        shapes = self._spec.weight_shapes
        counts = {}
        for layer, attribute in self._names.items():
            module = getattr(self._module, attribute, None)
            sizes = [tensor.numel() for tensor in module.state_dict().values() if tensor.ndim] if module else []
            second = [] if module is None else [n for n, _ in module.named_parameters() if n.startswith("bias_hh")]
            own = [name for name in shapes if name.split("/")[0] == layer and name.endswith("bias")]
            lacks = [name for name in own if len(shapes[name]) == 1] if second else []
            counts[layer] = sum(sizes) - sum(shapes[name][0] for name in lacks)
        return counts

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step; see `AbstractProgram.step`."""
        self.check_step(kind, batch)
        torch_platform.set_tf32(self._tf32)
        self._answers.clear()
        inputs = {name: self._tensor(batch.inputs[name]) for name in self._spec.inputs}
        self._starts = {name: as_state(*map(self._tensor, state)) for name, state in states.items()}
        float_inputs, given_states = self._spec.sources(states)
        sources = [inputs[name] for name in float_inputs] + [t for name in given_states for t in self._starts[name]]
        if kind == "gradient":
            for tensor in sources:
                tensor.requires_grad_()
        self._module.train(kind == "gradient")
        before = {name: tensor.clone() for name, tensor in self._module.named_buffers()}
        with torch.set_grad_enabled(kind == "gradient"):
            outputs = self._module(*inputs.values())
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            loss = None if kind == "forward" else self._total_loss(outputs, batch)
        self.places = {torch_platform.place(output) for output in outputs}
        weights, others = self._gradients(loss, sources) if kind == "gradient" else ({}, [])
        for name, tensor in self._module.named_buffers():  # only an update changes statistics
            tensor.copy_(before[name])
        of_states = {}
        for name in given_states if kind == "gradient" else ():
            count = len(self._starts[name])
            of_states[name] = as_state(*others[len(float_inputs) :][:count])
            del others[len(float_inputs) : len(float_inputs) + count]
        return Answer(
            loss=None if loss is None else loss.item(),
            outputs=tuple(map(_numpy, outputs)),
            gradients=weights,
            input_gradients=dict(zip(float_inputs, others, strict=True)) if kind == "gradient" else {},
            state_gradients=of_states,
            **self._recorded(),
        )

    def _tensor(self, array: Array) -> Any:
        array = np.asarray(array)
        dtype = torch.int64 if array.dtype.kind in "iu" else self._dtype
        return torch.tensor(array, dtype=dtype, device=self._device)

    def _total_loss(self, outputs: tuple[Any, ...], batch: Batch) -> Any:
        """Return the sum of the losses of all outputs; penalties of weights are in no module."""
        pairs = zip(outputs, batch.targets, strict=True)
        return sum(loss_value(str(self._loss), output, self._tensor(target), None) for output, target in pairs)

    def _gradients(self, loss: Any, sources: list[Any]) -> tuple[dict[str, Array], list[Array]]:
        """Return the gradients of the trained weights in Keras's layout, and those of `sources` in their order."""
        parameters = dict(self._module.named_parameters())
        arguments = [*parameters.values(), *sources]
        gradients = torch.autograd.grad(loss, arguments, materialize_grads=True)
        self.places |= {torch_platform.place(gradient) for gradient in gradients}
        arrays = list(map(_numpy, gradients))
        state = dict(zip(parameters, arrays[: len(parameters)], strict=True))
        return self._state.to_keras(state, gradients=True), arrays[len(parameters) :]

    def _start(self, layer: str, module: Any, arguments: Any) -> Any:
        """Let a recurrent module start at the given states of its layer; None leaves its arguments alone."""
        places = [f"{layer}/{direction}".rstrip("/") for direction in self._spec.layer(layer).recurrent]
        if not any(place in self._starts for place in places):
            return None
        states = [self._starts[place] for place in places]
        fields = tuple(torch.stack(field) for field in zip(*states, strict=True))
        return arguments[0], fields if len(fields) > 1 else fields[0]

    def _record(self, layer: str, module: Any, arguments: Any, answer: Any) -> None:
        self._answers[layer] = answer

    def _recorded(self) -> dict[str, Any]:
        """Return sequences, last outputs and states as the hooks saw them, by recurrent layer."""
        sequences, last_outputs, states = {}, {}, {}
        for name, (sequence, ends) in self._answers.items():
            layer = self._spec.layer(name)
            places = [f"{name}/{direction}".rstrip("/") for direction in layer.recurrent]
            fields = ends if isinstance(ends, tuple) else (ends,)
            for direction, place in enumerate(places):
                inner = self._spec.recurrent[place]
                states[place] = as_state(*(_numpy(field[direction]) for field in fields))
                half = sequence[..., direction * inner.units : (direction + 1) * inner.units]
                if isinstance(layer, Bidirectional) and direction:
                    half = half.flip(1)
                if inner.return_sequences:
                    sequences[place] = _numpy(half)
                else:
                    last_outputs[place] = _numpy(half[:, -1])
        return {"sequences": sequences, "last_outputs": last_outputs, "states": states}


def _numpy(tensor: Any) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array
