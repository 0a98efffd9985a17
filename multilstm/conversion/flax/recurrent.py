"""The constructors of recurrent layers as Flax source."""

from __future__ import annotations

from multilstm.conversion.flax.api import NNX, Api
from multilstm.conversion.flax.layers import refused
from multilstm.conversion.modules.jax_parts import activation_function
from multilstm.spec import GRU, LSTM, Bidirectional, SimpleRNN
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers import Recurrent

__all__ = ["constructor"]

MERGED = {"sum": "jnp.add", "ave": "jnp.add", "mul": "jnp.multiply"}


def constructor(layer: Layer, features: int, masked: bool, api: Api) -> str:
    """Return the constructor of a recurrent layer's module.

    Args:
        layer: an LSTM, GRU or SimpleRNN, or a Bidirectional around one.
        features: the size of its inputs.
        masked: whether a mask reaches it.
        api: the API of Flax.
    """
    directions = list(layer.recurrent.values())
    inner = directions[0]
    cell = _cell(inner, features, api)
    arguments = [f"MaskedCell({cell})" if masked else cell]
    if not isinstance(layer, Bidirectional):
        arguments += ["reverse=True"] if inner.go_backwards else []
        return f"{api.prefix}.RNN({', '.join(arguments)})"
    arguments = [f"{api.prefix}.RNN({arguments[0]})"] * 2
    if inner.return_sequences and layer.merge_mode in MERGED:
        arguments.append(f"merge_fn={MERGED[layer.merge_mode]}")
    return f"{api.prefix}.Bidirectional({', '.join(arguments)})"


def _cell(layer: Recurrent, features: int, api: Api) -> str:
    if not isinstance(layer, LSTM | GRU | SimpleRNN):
        raise refused(layer, "its class", "no cell of Flax is its counterpart")
    arguments = [str(layer.units)]
    if isinstance(layer, LSTM | GRU) and layer.recurrent_activation != "sigmoid":
        arguments.append(f"gate_fn={activation_function(layer.recurrent_activation, api.prefix)}")
    if layer.activation != "tanh":
        arguments.append(f"activation_fn={activation_function(layer.activation, api.prefix)}")
    own = ""
    if isinstance(layer, GRU) and not layer.reset_after:
        own = "ResetBeforeGRUCell"
    elif isinstance(layer, GRU) and layer.use_bias and api is NNX:
        own = "TwoBiasGRUCell"
    name = own or {"LSTM": "OptimizedLSTMCell", "GRU": "GRUCell", "SimpleRNN": "SimpleCell"}[layer.class_name]
    call = api.module(name, features, *arguments)
    return call.removeprefix(f"{api.prefix}.") if own else call
