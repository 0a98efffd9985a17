"""The state dict of the module that `torch_source` writes, and the way back to Keras's weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from multilstm.conversion.stack import LSTMWeights, from_dialect, to_dialect
from multilstm.conversion.torch.source import module_names
from multilstm.errors import InputError, listed, shown
from multilstm.spec import GRU, LSTM, Bidirectional, Conv1D, Dense, Embedding, Graph, TimeDistributed
from multilstm.spec.arrays import Array, as_array, by_name
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import Recurrent

__all__ = ["keras_weights", "torch_state"]

NORMALIZATION = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
STATISTICS = ("running_mean", "running_var")
COUNTER = "num_batches_tracked"  # of a BatchNorm; it has no counterpart in Keras


def torch_state(spec: Graph, weights: Mapping[str, Array], *, gradients: bool = False) -> dict[str, Array]:
    """Return the state dict of the module of a spec.

    Args:
        spec: the model.
        weights: every weight by `layer/weight`, in Keras's layout.
        gradients: whether the arrays are gradients, or optimizer slots, of the trained weights.

    Returns:
        Arrays by the names of `Model().state_dict()`.
    """
    state: dict[str, Array] = {}
    for name, attribute in module_names(spec).items():
        own = _of_layer(spec, weights, name)
        if own:
            converted = _to_torch(spec.layer(name), own, gradients)
            state |= {f"{attribute}.{parameter}": np.ascontiguousarray(array) for parameter, array in converted.items()}
    return state


def keras_weights(spec: Graph, state: Mapping[str, Array], *, gradients: bool = False) -> dict[str, Array]:
    """Return every weight by `layer/weight` in Keras's layout: the inverse of `torch_state`.

    With `gradients`, those of weights that are not trained are left out.

    Raises:
        InputError: for missing or unknown names, or other shapes than those of the module.
    """
    arrays = {name: as_array(f"array {name!r}", array) for name, array in by_name("state", state).items()}
    zeros = {name: np.zeros(shape, np.float32) for name, shape in spec.weight_shapes.items()}
    state = torch_state(spec, zeros, gradients=gradients)
    wanted = {name: array.shape for name, array in state.items() if not name.endswith(COUNTER)}
    if gradients:
        wanted = {name: shape for name, shape in wanted.items() if name.rpartition(".")[2] not in STATISTICS}
    unknown = sorted(name for name in set(arrays) - set(wanted) if not name.endswith(COUNTER))
    missing = sorted(set(wanted) - set(arrays))
    if unknown or missing:
        raise InputError(
            f"the state dict is not that of the model; missing: {listed(map(shown, missing)) or 'none'}; unknown: "
            f"{listed(map(shown, unknown)) or 'none'}"
        )
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise InputError(
                f"the state dict holds {shown(name)} with the shape {arrays[name].shape}, expected {shape}"
            )
    weights: dict[str, Array] = {}
    for name, attribute in module_names(spec).items():
        own = {key.removeprefix(f"{attribute}."): arrays[key] for key in wanted if key.rpartition(".")[0] == attribute}
        if own:
            weights |= {
                f"{name}/{weight}": array for weight, array in _to_keras(spec.layer(name), own, gradients).items()
            }
    return {name: weights[name] for name in (spec.trainable_weights if gradients else spec.weight_shapes)}


def _of_layer(spec: Graph, weights: Mapping[str, Array], layer: str) -> dict[str, Array]:
    """Return the weights of a layer by their own names."""
    names = [name for name in spec.weight_shapes if name.split("/")[0] == layer and name in weights]
    return {name.removeprefix(f"{layer}/"): weights[name] for name in names}


def _inner(layer: Layer) -> Layer:
    return layer.layer if isinstance(layer, TimeDistributed) else layer


def _to_torch(layer: Layer, weights: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
    layer = _inner(layer)
    if layer.state_names:
        inner: Recurrent = next(iter(layer.recurrent.values()))
        prefixes = ("forward/", "backward/") if isinstance(layer, Bidirectional) else ("",)
        if isinstance(inner, LSTM):
            cells = [
                LSTMWeights(
                    weights[f"{prefix}kernel"], weights[f"{prefix}recurrent_kernel"], weights.get(f"{prefix}bias")
                )
                for prefix in prefixes
            ]
            return to_dialect([cells], "torch", gradients=gradients)
        return {
            f"{name}_l0{suffix}": array
            for prefix, suffix in zip(prefixes, ("", "_reverse"), strict=False)
            for name, array in _cell(
                inner, {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}, gradients
            ).items()
        }
    if isinstance(layer, Embedding):
        return {"weight": weights["embeddings"]}
    if isinstance(layer, Dense | Conv1D):
        kernel = weights["kernel"].T
        return {"weight": kernel, **({"bias": weights["bias"]} if "bias" in weights else {})}
    state = {NORMALIZATION[name]: array for name, array in weights.items()}
    return {**state, COUNTER: np.zeros((), np.int64)} if "moving_mean" in weights else state


def _to_keras(layer: Layer, state: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
    layer = _inner(layer)
    if layer.state_names:
        inner: Recurrent = next(iter(layer.recurrent.values()))
        prefixes = ("forward/", "backward/") if isinstance(layer, Bidirectional) else ("",)
        if isinstance(inner, LSTM):
            (cells,) = from_dialect(state, "torch", gradients=gradients)
            return {
                f"{prefix}{name}": array
                for prefix, cell in zip(prefixes, cells, strict=True)
                for name, array in cell._asdict().items()
                if array is not None
            }
        weights: dict[str, Array] = {}
        for prefix, suffix in zip(prefixes, ("_l0", "_l0_reverse"), strict=False):
            own = {key.removesuffix(suffix): array for key, array in state.items() if key.endswith(suffix)}
            weights |= {f"{prefix}{name}": array for name, array in _from_cell(inner, own, gradients).items()}
        return weights
    if isinstance(layer, Embedding):
        return {"embeddings": state["weight"]}
    if isinstance(layer, Dense | Conv1D):
        return {"kernel": state["weight"].T, **({"bias": state["bias"]} if "bias" in state else {})}
    back = {after: before for before, after in NORMALIZATION.items()}
    return {back[name]: array for name, array in state.items()}


def _cell(layer: Recurrent, weights: Mapping[str, Array], gradients: bool) -> dict[str, Array]:
    """Return the weights of a GRU or a SimpleRNN in one direction: transposed, with two biases, gates r, z, n."""
    turned = {name: _gates(layer, array) for name, array in weights.items()}
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
    return {name: _gates(layer, array) for name, array in weights.items()}


def _gates(layer: Recurrent, array: Array) -> Array:
    """Exchange the first two of a GRU's three gates along the last axis, the whole difference of the two orders."""
    if not isinstance(layer, GRU):
        return array
    first, second, third = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, third], axis=-1)
