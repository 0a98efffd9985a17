"""The state dict of the module that `torch_source` writes, and the way back to Keras's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from multilstm.conversion.modules.state import AbstractState, directions_of, exchanged_gates
from multilstm.conversion.stack import LSTMWeights, from_dialect, to_dialect
from multilstm.conversion.torch.source import module_names
from multilstm.spec import GRU, LSTM, Conv1D, Dense, Embedding, Graph
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import Recurrent

__all__ = ["TorchState"]

NORMALIZATION = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
SUFFIXES = ("_l0", "_l0_reverse")  # of the directions
COUNTER = "num_batches_tracked"  # of a BatchNorm; it has no counterpart in Keras


@final
class TorchState(AbstractState):
    """The state dict of one module."""

    def __init__(self, spec: Graph) -> None:
        super().__init__(spec, module_names(spec))

    def is_statistic(self, name: str) -> bool:
        """Whether an array is a statistic of a BatchNorm."""
        return name.rpartition(".")[2] in ("running_mean", "running_var")

    def is_counter(self, name: str) -> bool:
        """Whether an array counts the batches of a BatchNorm."""
        return name.rpartition(".")[2] == COUNTER

    def of_layer(self, layer: Layer, weights: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the arrays of a layer's module; see `AbstractState.of_layer`."""
        if layer.state_names:
            inner: Recurrent = next(iter(layer.recurrent.values()))
            cells = [
                {name.removeprefix(start): array for name, array in weights.items() if name.startswith(start)}
                for start in directions_of(layer)
            ]
            if isinstance(inner, LSTM):
                return to_dialect([[LSTMWeights(**cell) for cell in cells]], "torch", gradients=gradients)
            return {
                f"{name}{suffix}": array
                for cell, suffix in zip(cells, SUFFIXES, strict=False)
                for name, array in _cell(inner, cell, gradients).items()
            }
        if isinstance(layer, Embedding):
            return {"weight": weights["embeddings"]}
        if isinstance(layer, Dense | Conv1D):
            kernel = weights["kernel"].T
            return {"weight": kernel, **({"bias": weights["bias"]} if "bias" in weights else {})}
        state = {NORMALIZATION[name]: array for name, array in weights.items()}
        return {**state, COUNTER: np.zeros((), np.int64)} if "moving_mean" in weights else state

    def to_layer(self, layer: Layer, arrays: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the inverse of `of_layer`."""
        if layer.state_names:
            inner: Recurrent = next(iter(layer.recurrent.values()))
            if isinstance(inner, LSTM):
                (cells,) = from_dialect(arrays, "torch", gradients=gradients)
                return {
                    f"{start}{name}": array
                    for start, cell in zip(directions_of(layer), cells, strict=True)
                    for name, array in cell._asdict().items()
                    if array is not None
                }
            weights: dict[str, Array] = {}
            for start, suffix in zip(directions_of(layer), SUFFIXES, strict=False):
                own = {key.removesuffix(suffix): array for key, array in arrays.items() if key.endswith(suffix)}
                weights |= {f"{start}{name}": array for name, array in _from_cell(inner, own, gradients).items()}
            return weights
        if isinstance(layer, Embedding):
            return {"embeddings": arrays["weight"]}
        if isinstance(layer, Dense | Conv1D):
            return {"kernel": arrays["weight"].T, **({"bias": arrays["bias"]} if "bias" in arrays else {})}
        back = {after: before for before, after in NORMALIZATION.items()}
        return {back[name]: array for name, array in arrays.items()}


def _cell(layer: Recurrent, weights: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
    """Return the weights of a GRU or a SimpleRNN in one direction: transposed, with two biases, gates r, z, n."""
    turned = {name: exchanged_gates(layer, array) for name, array in weights.items()}
    state = {"weight_ih": turned["kernel"].T, "weight_hh": turned["recurrent_kernel"].T}
    if "bias" not in turned:
        return state
    bias = turned["bias"]
    first, second = bias if isinstance(layer, GRU) else (bias, bias if gradients else np.zeros_like(bias))
    return {**state, "bias_ih": first, "bias_hh": second}


def _from_cell(layer: Recurrent, state: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
    weights = {"kernel": state["weight_ih"].T, "recurrent_kernel": state["weight_hh"].T}
    if "bias_ih" in state:
        first, second = state["bias_ih"], state["bias_hh"]
        if isinstance(layer, GRU):
            weights["bias"] = np.stack([first, second])
        else:
            weights["bias"] = first if gradients else first + second
    return {name: exchanged_gates(layer, array) for name, array in weights.items()}
