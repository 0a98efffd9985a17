"""The parameters of the module that `flax_source` writes, and the way back to Keras's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from multilstm.conversion.flax.api import LINEN, Api
from multilstm.conversion.flax.source import module_names
from multilstm.conversion.modules.masks import masked_layers
from multilstm.conversion.modules.state import AbstractState, directions_of, exchanged_gates
from multilstm.conversion.stack import LSTMWeights, from_dialect, to_dialect
from multilstm.spec import GRU, LSTM, BatchNormalization, Bidirectional, Embedding, Graph, LayerNormalization
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import Recurrent

__all__ = ["FlaxState", "further_parameters"]

NORMALIZATION = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
STATISTICS = ("mean", "var")


def further_parameters(spec: Graph, api: Api) -> dict[str, int]:
    """Return the number of parameters that the module has more than Keras, by layer; negative for fewer."""
    counts = dict.fromkeys(spec.layer_inputs, 0)
    for place, layer in spec.recurrent.items():
        size = layer.gate_count * layer.units
        if isinstance(layer, GRU) and layer.reset_after and api is LINEN:
            counts[place.split("/")[0]] += layer.units * (4 - (6 if layer.use_bias else 0))
        elif not layer.use_bias:
            counts[place.split("/")[0]] += size
    return counts


@final
class FlaxState(AbstractState):
    """The parameters of one module by path: `lstm.cell.dense_i.kernel`."""

    def __init__(self, spec: Graph, api: Api) -> None:
        super().__init__(spec, module_names(spec))
        self._api, self._masked = api, masked_layers(spec)

    def full_name(self, attribute: str, name: str) -> str:
        """Return the path of an array, with its collection for linen."""
        start = self._api.statistics if self.is_statistic(name) else self._api.parameters
        return f"{start}{attribute}.{name}"

    def is_statistic(self, name: str) -> bool:
        """Whether an array is a statistic of a BatchNorm."""
        return name in STATISTICS

    def of_layer(self, layer: Layer, weights: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the arrays of a layer's module; see `AbstractState.of_layer`."""
        if layer.state_names:
            inner = next(iter(layer.recurrent.values()))
            arrays: dict[str, Array] = {}
            for keras, path in zip(directions_of(layer), self._cells(layer), strict=True):
                own = {name.removeprefix(keras): array for name, array in weights.items() if name.startswith(keras)}
                arrays |= {f"{path}{name}": array for name, array in self._to_cell(inner, own, gradients).items()}
            return arrays
        names = _names(layer)
        return {names.get(name, name): array for name, array in weights.items()}

    def to_layer(self, layer: Layer, arrays: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the inverse of `of_layer`."""
        if layer.state_names:
            inner = next(iter(layer.recurrent.values()))
            weights: dict[str, Array] = {}
            for keras, path in zip(directions_of(layer), self._cells(layer), strict=True):
                own = {name.removeprefix(path): array for name, array in arrays.items() if name.startswith(path)}
                weights |= {f"{keras}{name}": array for name, array in self._of_cell(inner, own, gradients).items()}
            return weights
        names = {flax: keras for keras, flax in _names(layer).items()}
        return {names.get(name, name): array for name, array in arrays.items()}

    def _cells(self, layer: Layer) -> list[str]:
        """Return the path of the cell of each direction, with a dot at its end."""
        cell = "cell.cell." if layer.name in self._masked else "cell."
        return [f"forward_rnn.{cell}", f"backward_rnn.{cell}"] if isinstance(layer, Bidirectional) else [cell]

    def _to_cell(self, layer: Recurrent, weights: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the parameters of a cell from Keras's weights in one direction."""
        if isinstance(layer, LSTM):
            stack = LSTMWeights(weights["kernel"], weights["recurrent_kernel"], weights.get("bias"))
            arrays = to_dialect(stack, self._api.lstm, gradients=gradients)
            return {name.replace("/", "."): array for name, array in arrays.items()}
        kernel, recurrent = (exchanged_gates(layer, weights[name]) for name in ("kernel", "recurrent_kernel"))
        bias = exchanged_gates(layer, weights["bias"]) if layer.use_bias else np.zeros(kernel.shape[-1], kernel.dtype)
        if self._api is not LINEN:
            first, *second = list(bias) if bias.ndim == 2 else [bias]
            arrays = {"dense_i.kernel": kernel, "dense_i.bias": first, "dense_h.kernel": recurrent}
            return arrays | ({"dense_h.bias": second[0]} if second else {})
        if not isinstance(layer, GRU):
            return {"i.kernel": kernel, "i.bias": bias, "h.kernel": recurrent}
        return _linen_gru(layer, kernel, recurrent, bias, gradients)

    def _of_cell(self, layer: Recurrent, arrays: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
        """Return the inverse of `_to_cell`; a bias that Keras lacks is left out."""
        if isinstance(layer, LSTM):
            named = {name.replace(".", "/"): array for name, array in arrays.items()}
            ((weights,),) = from_dialect(named, self._api.lstm, gradients=gradients)
            keras = weights._asdict()
        elif self._api is not LINEN or not isinstance(layer, GRU):
            i, h = ("i", "h") if self._api is LINEN else ("dense_i", "dense_h")
            keras = {"kernel": arrays[f"{i}.kernel"], "recurrent_kernel": arrays[f"{h}.kernel"]}
            biases = [arrays[f"{dense}.bias"] for dense in (i, h) if f"{dense}.bias" in arrays]
            keras["bias"] = np.stack(biases) if len(biases) > 1 else biases[0]
        else:
            keras = _keras_gru(layer, arrays, gradients)
        names = ("kernel", "recurrent_kernel", *(["bias"] if layer.use_bias else []))
        return {name: exchanged_gates(layer, keras[name]) for name in names}


def _names(layer: Layer) -> Mapping[str, str]:
    """Return Flax's names of a layer's weights by Keras's, where they differ."""
    if isinstance(layer, Embedding):
        return {"embeddings": "embedding"}
    return NORMALIZATION if isinstance(layer, LayerNormalization | BatchNormalization) else {}


def _linen_gru(layer: GRU, kernel: Array, recurrent: Array, bias: Array, gradients: bool) -> dict[str, Array]:
    """Return the parameters of linen's GRUCell, an array for each gate.

    Gates r and z have one bias, the sum of Keras's two, whose gradients are both that of the sum.
    """
    arrays: dict[str, Array] = {}
    if layer.reset_after and not layer.use_bias:
        bias = np.stack([bias, bias])
    first, second = bias if layer.reset_after else (bias, np.zeros_like(bias))
    parts = (np.split(array, 3, axis=-1) for array in (kernel, recurrent, first, second))
    for gate, i, h, b, b_h in zip("rzn", *parts, strict=True):
        folded = b if gradients or gate == "n" else b + b_h
        arrays |= {f"i{gate}.kernel": i, f"i{gate}.bias": folded, f"h{gate}.kernel": h}
        if gate == "n" and layer.reset_after:
            arrays["hn.bias"] = b_h
    return arrays


def _keras_gru(layer: GRU, arrays: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
    """Return the inverse of `_linen_gru`, in Flax's order of gates; the second bias of r and z is zero."""
    kernel, recurrent, bias = (
        np.concatenate([arrays[name.format(gate)] for gate in "rzn"], axis=-1)
        for name in ("i{}.kernel", "h{}.kernel", "i{}.bias")
    )
    if layer.reset_after:
        r, z, _ = np.split(bias, 3)
        others = [r, z] if gradients else [np.zeros_like(r), np.zeros_like(z)]
        bias = np.stack([bias, np.concatenate([*others, arrays["hn.bias"]])])
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
