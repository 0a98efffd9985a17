"""Recurrent modules of PyTorch for the recurrent layers of a spec: `torch.nn.LSTM`, `torch.nn.GRU`, `torch.nn.RNN`.

PyTorch's matrices are transposed, and each module has two biases. The gates of its LSTM have the same slots as Keras's
(i, f, g, o against i, f, c, o). The second bias of LSTM and RNN is zero here. The gates of its GRU are r, z, n; those
of Keras are z, r, h. PyTorch has only Keras's form `reset_after=True`, in which both have two biases.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, final

import torch

from multilstm.errors import UnsupportedError
from multilstm.frameworks import torch as torch_platform
from multilstm.frameworks.kernels import of_aten
from multilstm.spec import GRU, LSTM, Graph, SimpleRNN
from multilstm.spec.arrays import AnyState
from multilstm.spec.layers import Recurrent

CLASSES: Mapping[type[Recurrent], Any] = {LSTM: torch.nn.LSTM, GRU: torch.nn.GRU, SimpleRNN: torch.nn.RNN}
# The values of the arguments that PyTorch's classes have, by class.
KNOWN: Mapping[type[Recurrent], Mapping[str, tuple[object, ...]]] = {
    LSTM: {"activation": ("tanh",), "recurrent_activation": ("sigmoid",)},
    GRU: {"activation": ("tanh",), "recurrent_activation": ("sigmoid",), "reset_after": (True,)},
    SimpleRNN: {"activation": ("tanh", "relu")},
}


def check_known(spec: Graph) -> None:
    """Raise UnsupportedError for a recurrent layer without a class of PyTorch, or with an argument that it lacks."""
    for name, layer in spec.recurrent.items():
        if type(layer) not in CLASSES:
            raise UnsupportedError(
                f"torch-lstm: it does not compute {layer.class_name} {name!r}; leave the engine torch-lstm out"
            )
        for argument, values in KNOWN[type(layer)].items():
            if (value := getattr(layer, argument)) not in values:
                raise UnsupportedError(
                    f"torch-lstm: {layer.class_name} {name!r} has {argument}={value!r}; {module_name(layer)} has "
                    f"only {' and '.join(map(repr, values))}; leave the engine torch-lstm out for this model"
                )


def module_name(layer: Recurrent) -> str:
    """Return PyTorch's class of a layer: `torch.nn.GRU`."""
    return f"torch.nn.{CLASSES[type(layer)].__name__}"


@final
class RecurrentModules:
    """One module of PyTorch for every recurrent layer of a model.

    Attributes:
        dtype: of their parameters.
        kernels: the kernels that PyTorch dispatched for them.
    """

    def __init__(self, spec: Graph, device: Any, dtype: Any) -> None:
        self.dtype = dtype
        self.kernels: set[str] = set()
        self._watched: set[tuple[Any, ...]] = set()  # the kinds of calls whose kernel is known
        self._layers = spec.recurrent
        self._modules = {
            name: CLASSES[type(layer)](
                spec.weight_shapes[f"{name}/kernel"][0],
                layer.units,
                bias=layer.use_bias,
                batch_first=True,
                **({"nonlinearity": layer.activation} if isinstance(layer, SimpleRNN) else {}),
            ).to(device, dtype)
            for name, layer in spec.recurrent.items()
        }

    @property
    def classes(self) -> str:
        """The names of the classes that run, or `torch.nn.LSTM` without a recurrent layer."""
        return ", ".join(dict.fromkeys(map(module_name, self._layers.values()))) or "torch.nn.LSTM"

    def parameter_counts(self) -> dict[str, int]:
        """Return PyTorch's counts by layer, without a second bias that is zero and not trained."""
        return {
            name: sum(
                array.numel()
                for key, array in module.named_parameters()
                if isinstance(self._layers[name], GRU) or not key.startswith("bias_hh")
            )
            for name, module in self._modules.items()
        }

    def call(self, name: str, weights: Mapping[str, Any], sequence: Any, start: AnyState) -> tuple[Any, AnyState]:
        """Run one layer over a batch of sequences, and note its kernel.

        Args:
            name: of the layer.
            weights: all weights of the model by `layer/weight`, in Keras's layout.
            sequence: `[batch, timesteps, features]`, in the order of processing.
            start: the initial state, each `[batch, units]`.

        Returns:
            The outputs `[batch, timesteps, units]`, and the state after the last timestep.
        """
        layer, module = self._layers[name], self._modules[name]
        parameters = _parameters(layer, {key: weights[f"{name}/{key}"] for key in layer.weight_shapes(sequence.shape)})
        hidden, *cell = (state[None].contiguous() for state in start)
        arguments = sequence.contiguous(), (hidden, *cell) if cell else hidden
        call = functools.partial(torch.func.functional_call, module, parameters, arguments)
        kind = name, sequence.shape, torch.is_grad_enabled()
        if kind in self._watched:
            outputs, last = call()
        else:
            (outputs, last), operators = torch_platform.watch(call)
            self.kernels.add(of_aten(operators))
            self._watched.add(kind)
        return outputs, layer.state_type._make(state[0] for state in (last if cell else [last]))


def _parameters(layer: Recurrent, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of PyTorch's module.

    All are copies: cuDNN moves them into one block of memory, and accepts no transposed view. A second bias that Keras
    lacks is new and zero in every call, so that nothing can train it.
    """
    ordered = {name: _gates_of_torch(layer, weight) for name, weight in weights.items()}
    parameters = {
        f"weight_{short}_l0": ordered[weight].T.clone(memory_format=torch.contiguous_format)
        for short, weight in (("ih", "kernel"), ("hh", "recurrent_kernel"))
    }
    if layer.use_bias:
        bias = ordered["bias"].clone()
        first, second = bias if bias.ndim == 2 else (bias, torch.zeros_like(bias))
        parameters |= {"bias_ih_l0": first.clone(), "bias_hh_l0": second.clone()}
    return parameters


def _gates_of_torch(layer: Recurrent, weight: Any) -> Any:
    """Return a weight with its gates in PyTorch's order."""
    if not isinstance(layer, GRU):
        return weight
    z, r, h = weight.chunk(3, dim=-1)
    return torch.cat([r, z, h], dim=-1)
