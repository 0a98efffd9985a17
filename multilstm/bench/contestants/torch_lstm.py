"""`torch.nn.LSTM`, `GRU` and `RNN`, without Keras: oneDNN on a CPU, cuDNN on a GPU.

The parameters of recurrent layers stay in PyTorch's own layout, as in a user's module.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, final

import torch

from multilstm.bench.contestants.base import AbstractContestant, Run, named_outputs, prefixed
from multilstm.bench.contestants.stack import Stack, in_one_direction, stack_of
from multilstm.bench.modes import GRADIENT, STREAM, Mode
from multilstm.engines.torch_lstm_forward import ForwardPass, loss_value
from multilstm.engines.torch_lstm_modules import CLASSES, check_known
from multilstm.errors import UnsupportedError
from multilstm.frameworks import torch as torch_platform
from multilstm.jobs.dtypes import MIXED, stored
from multilstm.jobs.job import Batch, Job
from multilstm.spec import GRU, Graph, SimpleRNN
from multilstm.spec.arrays import AnyState, Array, as_state
from multilstm.spec.optimizers import Adam, Optimizer
from multilstm.spec.schedules import Schedule


@final
class TorchLSTMContestant(AbstractContestant):
    """One module for each recurrent layer and direction."""

    platform = torch_platform

    def prepare(self, job: Job, mode: Mode) -> Run:
        check_known(job.spec)
        if job.dtype in MIXED:
            raise UnsupportedError(f"it knows no {job.dtype}, which is a policy of Keras")
        if any(isinstance(layer, GRU) for layer in job.spec.recurrent.values()):
            raise UnsupportedError("its GRU has its gates in another order, in which this benchmark keeps no weights")
        if job.spec.statistics:
            raise UnsupportedError("it keeps no running statistics of BatchNormalization here")
        program = _Program(job, torch_platform.NAMES[self.device])
        call, answers = program.called(mode)
        return Run(call, answers, lambda: torch_platform.implementation(program.watched(mode)))

    def product(self, left: Array, right: Array) -> Callable[[], Any]:
        tensors = [torch.from_numpy(array).to(torch_platform.NAMES[self.device]) for array in (left, right)]
        return lambda: torch_platform.ready(torch.matmul(*tensors))

    def versions(self) -> dict[str, str]:
        return torch_platform.versions()


class _Modules:
    """The recurrent modules, which own their weights; see `RecurrentModules` for the meaning of `call`."""

    def __init__(self, spec: Graph, dtype: Any, device: str) -> None:
        self.dtype, self._layers = dtype, spec.recurrent
        self.modules: dict[str, Any] = {
            name: CLASSES[type(layer)](
                spec.weight_shapes[f"{name}/kernel"][0],
                layer.units,
                bias=layer.use_bias,
                batch_first=True,
                **({"nonlinearity": layer.activation} if isinstance(layer, SimpleRNN) else {}),
            ).to(device, dtype)
            for name, layer in spec.recurrent.items()
        }

    def call(self, name: str, weights: Mapping[str, Any], sequence: Any, start: AnyState) -> tuple[Any, AnyState]:
        """Run one layer over a batch of sequences."""
        hidden, *cell = (state[None] for state in start)
        outputs, last = self.modules[name](sequence, (hidden, *cell) if cell else hidden)
        states = last if cell else [last]
        return outputs, self._layers[name].state_type._make(state[0] for state in states)


class _Program:
    """A model with its trained weights as PyTorch's parameters."""

    def __init__(self, job: Job, device: str) -> None:
        self._job, self._device, self._dtype = job, device, getattr(torch, stored(job.dtype))
        self._modules = _Modules(job.spec, self._dtype, device)
        self._weights: dict[str, Any] = {}  # of all layers but the recurrent ones
        self._trained: dict[str, Any] = {}  # all parameters that the loss is differentiated by
        for name, array in job.weights.items():
            self._adopt(name, self._tensor(array))
        self._slots = {
            f"{name}/{slot}": torch.zeros_like(tensor)
            for name, tensor in self._trained.items()
            for slot in (job.optimizer.slots if job.optimizer is not None else ())
        }
        self._iterations = itertools.count()
        self._states: dict[str, AnyState] = {}  # that stateful layers carry
        self._adam = None if job.spec.constraints else _adam(job.optimizer, list(self._trained.values()))
        self._batches = [self._on_device(step.batch) for step in job.steps]

    def called(self, mode: Mode) -> tuple[Callable[[], Any], Callable[[Any], dict[str, Array]]]:
        """Return the call of a mode and the function that names its answers."""
        batches = [step.batch for step in self._job.steps]
        if mode.step == "update":

            def train() -> None:
                for batch in batches:
                    self._update(*self._on_device(batch))

            return train, lambda _: prefixed("weights", self._all_weights())
        if mode == GRADIENT:
            inputs, targets = self._batches[0]
            return lambda: torch_platform.ready(self._gradients(inputs, targets)[1]), self._named
        if mode == STREAM:
            return self._streamed(stack_of(self._job)), lambda y: named_outputs([[_numpy(y)]])
        if not mode.whole:
            inputs, _ = self._batches[0]
            return lambda: torch_platform.ready(self._forward(inputs)), lambda y: named_outputs([map(_numpy, y)])
        return (
            lambda: [list(map(_numpy, self._forward(self._on_device(batch)[0]))) for batch in batches],
            named_outputs,
        )

    def _streamed(self, given: Stack) -> Callable[[], Any]:
        """Return the call that runs every module on one timestep after the other."""
        modules = [self._modules.modules[layer.prefixes[0].rstrip("/")] for layer in in_one_direction(given)]
        x = self._tensor(given.x)

        def call() -> Any:
            states, outputs = [None] * len(modules), []
            with torch.no_grad():
                for number in range(x.shape[1]):
                    now = x[:, number : number + 1]
                    for index, module in enumerate(modules):
                        now, states[index] = module(now, states[index])
                    outputs.append(torch_platform.ready(now))
            return torch.cat(outputs, 1)

        return call

    def watched(self, mode: Mode) -> Callable[[], Any]:
        """Return a call that shows the operators of the mode and leaves the weights as they are."""
        inputs, targets = self._batches[0]
        return (lambda: self._gradients(inputs, targets)) if mode.trains else (lambda: self._forward(inputs))

    def _forward(self, inputs: Mapping[str, Any]) -> Any:
        with torch.no_grad():
            return self._pass(inputs, training=False)[0]

    def _pass(self, inputs: Mapping[str, Any], training: bool) -> tuple[list[Any], list[Any]]:
        for module in self._modules.modules.values():  # in training mode cuDNN also stores the values for a gradient
            module.train(training)
        run = ForwardPass(self._job.spec, self._weights, self._modules, self._states, {}, training)
        results = run.run(inputs, {})
        stateful = {name for name, layer in self._job.spec.recurrent.items() if layer.stateful}
        self._states = {
            name: as_state(*(array.detach() for array in state))
            for name, state in run.states.items()
            if name in stateful
        }
        return results

    def _gradients(self, inputs: Mapping[str, Any], targets: list[Any]) -> tuple[Any, dict[str, Any]]:
        """Return the loss and its gradient by every parameter."""
        outputs, masks = self._pass(inputs, training=True)
        losses = [
            loss_value(str(self._job.loss), output, target, mask)
            for output, target, mask in zip(outputs, targets, masks, strict=True)
        ]
        loss = sum(losses) + self._job.spec.penalty(self._all_tensors())
        gradients = torch.autograd.grad(loss, list(self._trained.values()), materialize_grads=True)
        return loss, dict(zip(self._trained, gradients, strict=True))

    def _update(self, inputs: Mapping[str, Any], targets: list[Any]) -> None:
        """Update all parameters, and wait for the loss."""
        optimizer = self._job.optimizer
        assert optimizer is not None
        loss, gradients = self._gradients(inputs, targets)
        if self._adam is not None:
            for parameter, gradient in zip(self._trained.values(), gradients.values(), strict=True):
                parameter.grad = gradient
            for group in self._adam.param_groups:
                group["eps"] = _torch_epsilon(optimizer, next(self._iterations))
            self._adam.step()
            loss.item()
            return
        coefficients = optimizer.coefficients(next(self._iterations))
        with torch.no_grad():
            for name, gradient in optimizer.clip(gradients).items():
                slots = {slot: self._slots[f"{name}/{slot}"] for slot in optimizer.slots}
                weight, slots = optimizer.step(self._trained[name], gradient, slots, coefficients)
                constraint = self._job.spec.constraints.get(name)
                self._trained[name].copy_(weight if constraint is None else constraint(weight))
                self._slots.update({f"{name}/{slot}": tensor for slot, tensor in slots.items()})
        loss.item()

    def _adopt(self, name: str, tensor: Any) -> None:
        """Make a weight a parameter of its module, or one of `_weights`; both share the tensor with `_trained`."""
        layer, _, weight = name.rpartition("/")
        module = self._modules.modules.get(layer)
        if module is None:
            self._weights[name] = parameter = tensor
        else:
            parameter = getattr(module, _PARAMETERS[weight])
            with torch.no_grad():
                parameter.copy_(tensor.T)
                if weight == "bias":
                    module.bias_hh_l0.zero_()  # Keras has no second bias; it is no part of `_trained` either
        if name in self._job.spec.trainable_weights:
            self._trained[name] = parameter.requires_grad_()

    def _all_tensors(self) -> dict[str, Any]:
        """Return all weights in Keras's layout."""
        recurrent = {
            f"{layer}/{weight}": getattr(module, parameter).T
            for layer, module in self._modules.modules.items()
            for weight, parameter in _PARAMETERS.items()
            if hasattr(module, parameter)
        }
        return {**self._weights, **recurrent}

    def _all_weights(self) -> dict[str, Array]:
        return {name: _numpy(tensor) for name, tensor in self._all_tensors().items()}

    def _named(self, gradients: Mapping[str, Any]) -> dict[str, Array]:
        """Return gradients in Keras's layout."""
        return prefixed(
            "gradient",
            {
                name: _numpy(gradient.T if name.rpartition("/")[0] in self._modules.modules else gradient)
                for name, gradient in gradients.items()
            },
        )

    def _on_device(self, batch: Batch) -> tuple[dict[str, Any], list[Any]]:
        """Return inputs and targets as tensors."""
        inputs = {name: self._tensor(array) for name, array in batch.inputs.items()}
        return inputs, [self._tensor(array) for array in batch.targets]

    def _tensor(self, array: Array) -> Any:
        dtype = torch.int64 if array.dtype.kind in "iu" else self._dtype
        return torch.tensor(array, dtype=dtype, device=self._device)


def _adam(optimizer: Optimizer | None, parameters: list[Any]) -> Any:
    """Return PyTorch's own Adam for a plain one, or None. See `_torch_epsilon`."""
    if optimizer is None or optimizer != Adam(optimizer.learning_rate) or isinstance(optimizer.learning_rate, Schedule):
        return None
    betas = (optimizer.beta_1, optimizer.beta_2)
    return torch.optim.Adam(parameters, optimizer.learning_rate, betas, optimizer.epsilon)


def _torch_epsilon(optimizer: Optimizer, iteration: int) -> float:
    """Return the epsilon with which PyTorch's Adam makes Keras's update.

    Let v be the second moment and c = sqrt(1 - beta_2^t) its correction. Keras divides by sqrt(v) + epsilon, PyTorch by
    sqrt(v) + c * epsilon, else both updates are the same. Sources: keras/src/optimizers/adam.py, torch/optim/adam.py.
    With Keras's number PyTorch changes half of the numbers of a wide LSTM by a seventh more in the first update.

    Args:
        optimizer: an Adam.
        iteration: the number of updates before this one.
    """
    assert isinstance(optimizer, Adam)
    return float(optimizer.epsilon / math.sqrt(1.0 - optimizer.beta_2 ** (iteration + 1)))


_PARAMETERS = {"kernel": "weight_ih_l0", "recurrent_kernel": "weight_hh_l0", "bias": "bias_ih_l0"}


def _numpy(tensor: Any) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array
