"""The target `haiku`: an `hk.Module` as a person would write it, and its parameters by module and name.

A name from a file enters the source as an identifier made of letters, digits and underscores, never as text.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, final

from multilstm.conversion.modules.jax_parts import activated, jax_part
from multilstm.conversion.modules.names import attribute_names
from multilstm.conversion.modules.parts import Part, arithmetic
from multilstm.conversion.modules.target import module_target
from multilstm.conversion.modules.unrolled import AbstractUnrolledSource, AbstractUnrolledState
from multilstm.conversion.target import refusal
from multilstm.spec import (
    LSTM,
    AveragePooling1D,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Graph,
    LayerNormalization,
    MaxPooling1D,
    SpatialDropout1D,
    TimeDistributed,
)
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape

__all__ = ["HAIKU", "HaikuState", "further_parameters", "haiku_source"]

IMPORTED = {
    "jax",
    "jnp",
    "hk",
    "partial",
    "self",
    "unroll",
    "is_training",
    "name",
    "module_name",
    "params_dict",
    "state_dict",
}
FUNCTIONS = "jax.nn"
MODULE = "model"

_HEAD = """\
def unroll(
    core: hk.LSTM,
    x: jax.Array,
    state: tuple[jax.Array, jax.Array] | None = None,
"""
_DOC = '''\
    """Run a core over x [batch, timesteps, features].

    Returns the sequence [batch, timesteps, units] and the last state (hidden, cell).
'''
_ZEROS = """\
    if state is None:
        zeros = jnp.zeros((len(x), core.hidden_size), x.dtype)
        state = (zeros, zeros)
"""
UNROLL = f'''{_HEAD}    reverse: bool = False,
) -> tuple[jax.Array, hk.LSTMState]:
{_DOC}    """
{_ZEROS}    return hk.dynamic_unroll(
        core, x, hk.LSTMState(*state), time_major=False, reverse=reverse
    )
'''
UNROLL_MASKED = f'''{_HEAD}    mask: jax.Array | None = None,
    reverse: bool = False,
) -> tuple[jax.Array, hk.LSTMState]:
{_DOC}    A timestep where mask [batch, timesteps] is False keeps the state.
    """
{_ZEROS}    mask = jnp.ones(x.shape[:2], bool) if mask is None else mask

    def step(
        inputs: tuple[jax.Array, jax.Array], state: hk.LSTMState
    ) -> tuple[jax.Array, hk.LSTMState]:
        x_t, counts = inputs
        _, new_state = core(x_t, state)
        state = jax.tree.map(partial(jnp.where, counts[:, None]), new_state, state)
        return state.hidden, state

    return hk.dynamic_unroll(
        step, (x, mask), hk.LSTMState(*state), time_major=False, reverse=reverse
    )
'''

refused = functools.partial(refusal, "haiku")


def haiku_source(spec: Graph) -> str:
    """Return the source of a Python module with the class `Model(hk.Module)`, which computes as the spec does.

    Args:
        spec: any model. Its weights are not in the source: see `HaikuState`.

    Raises:
        UnsupportedError: for a layer or an option that Haiku's modules lack, with its name.
    """
    return _Source(spec, _attributes(spec)).source()


def further_parameters(spec: Graph) -> dict[str, int]:
    """Return the number of parameters that the module has more than Keras, by layer: Haiku's LSTMs have a bias."""
    counts = dict.fromkeys(spec.layer_inputs, 0)
    for place, layer in spec.lstms.items():
        counts[place.split("/")[0]] += 0 if layer.use_bias else 4 * layer.units
    return counts


def _attributes(spec: Graph) -> dict[str, str]:
    return attribute_names(spec, IMPORTED)


@functools.singledispatch
def _part(layer: Layer, shapes: Sequence[Shape], name: str) -> Part:
    raise refused(layer, "its class", "no module of Haiku is its counterpart")


@_part.register
def _(layer: Dense, shapes: Sequence[Shape], name: str) -> Part:
    bias = "" if layer.use_bias else "with_bias=False, "
    module = f'hk.Linear({layer.units}, {bias}name="{name}")'
    return Part(module, activated(layer.activation, "{m}({0})", FUNCTIONS))


@_part.register
def _(layer: TimeDistributed, shapes: Sequence[Shape], name: str) -> Part:
    if not isinstance(layer.layer, Dense | LayerNormalization):
        raise refused(layer, f"the layer {layer.layer.class_name} in it", "Dense and LayerNormalization are converted")
    return _part(layer.layer, shapes, name)


@_part.register
def _(layer: Embedding, shapes: Sequence[Shape], name: str) -> Part:
    return Part(f'hk.Embed({layer.input_dim}, {layer.output_dim}, name="{name}")', "{m}({0})")


@_part.register(Dropout)
@_part.register(SpatialDropout1D)
def _(layer: Dropout | SpatialDropout1D, shapes: Sequence[Shape], name: str) -> Part:
    axes = ", broadcast_dims=(1,)" if isinstance(layer, SpatialDropout1D) else ""
    rate = f"{layer.rate} if is_training else 0.0"
    return Part("", f"hk.dropout(hk.maybe_next_rng_key(), {rate}, {{0}}{axes})")


@_part.register
def _(layer: LayerNormalization, shapes: Sequence[Shape], name: str) -> Part:
    if layer.axes(shapes[0]) != (len(shapes[0]) - 1,):
        raise refused(layer, f"axis={layer.axis}", "the source normalizes the last axis")
    options = f"create_scale={layer.scale}, create_offset={layer.center}, eps={layer.epsilon}"
    return Part(f'hk.LayerNorm(-1, {options}, name="{name}")', "{m}({0})")


@_part.register
def _(layer: Conv1D, shapes: Sequence[Shape], name: str) -> Part:
    (width,), (stride,), (dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
    options = [] if stride == 1 else [f"stride={stride}"]
    options += [] if dilation == 1 else [f"rate={dilation}"]
    padding = {"valid": ['padding="VALID"'], "same": [], "causal": ["padding=hk.pad.causal"]}
    options += padding[layer.padding]
    options += [] if layer.use_bias else ["with_bias=False"]
    options += [] if layer.groups == 1 else [f"feature_group_count={layer.groups}"]
    module = f'hk.Conv1D({", ".join([str(layer.filters), str(width), *options])}, name="{name}")'
    return Part(module, activated(layer.activation, "{m}({0})", FUNCTIONS))


@_part.register(MaxPooling1D)
@_part.register(AveragePooling1D)
def _(layer: MaxPooling1D | AveragePooling1D, shapes: Sequence[Shape], name: str) -> Part:
    (size,), (stride,) = layer.pool_size, layer.strides or layer.pool_size
    function = "max_pool" if isinstance(layer, MaxPooling1D) else "avg_pool"
    windows = f"(1, {size}, 1), (1, {stride}, 1)"
    return Part("", f'hk.{function}({{0}}, {windows}, "{layer.padding.upper()}")')


@final
class _Source(AbstractUnrolledSource):
    """The lines of one module."""

    taken: ClassVar = frozenset(IMPORTED)
    imported: ClassVar = "haiku as hk"
    target: ClassVar = "haiku"
    cell_name: ClassVar = "haiku.LSTM"
    unroll: ClassVar = (UNROLL, UNROLL_MASKED)

    @property
    def base(self) -> str:
        return "hk.Module"

    def constructor_head(self, constructors: str) -> Iterator[str]:
        yield from ("    def __init__(self) -> None:", f'        super().__init__(name="{MODULE}")')

    def parameters(self, names: Sequence[str], text: str) -> tuple[list[str], str]:
        mode = ["*", "is_training: bool = False"] if "if is_training" in text else []
        return [*(f"{name}: {self.tensor}" for name in names), *mode], self.result

    def part(self, layer: Layer, shapes: Sequence[Shape]) -> Part:
        plain = arithmetic(layer, len(shapes)) or jax_part(layer, shapes, FUNCTIONS)
        return plain or _part(layer, shapes, self._attributes[str(layer.name)])

    def cell(self, layer: LSTM, features: int, name: str) -> str:
        return f'hk.LSTM({layer.units}, name="{name}")'


@final
class HaikuState(AbstractUnrolledState):
    """The parameters of one module: `model/~/lstm/linear/w` is `params["model/~/lstm/linear"]["w"]`."""

    dialect: ClassVar = "haiku"

    def __init__(self, spec: Graph) -> None:
        super().__init__(spec, _attributes(spec))

    def full_name(self, attribute: str, name: str) -> str:
        """Return the path of the module, made in the constructor of `Model`, and the name of the parameter."""
        for direction in ("forward", "backward"):
            if name.startswith(f"{direction}/"):
                return f"{MODULE}/~/{attribute}_{name}"
        return f"{MODULE}/~/{attribute}/{name}"

    def names(self, layer: Layer) -> Mapping[str, str]:
        """See `AbstractUnrolledState.names`."""
        return {"kernel": "w", "bias": "b", "embeddings": "embeddings", "gamma": "scale", "beta": "offset"}

    def directions(self, layer: Layer) -> tuple[str, ...]:
        """See `AbstractUnrolledState.directions`."""
        return ("forward/", "backward/") if isinstance(layer, Bidirectional) else ("",)


def _notes(spec: Graph) -> Iterator[str]:
    for name, count in further_parameters(spec).items():
        if count:
            yield (
                f"{spec.layer(name).label} gets a bias that Keras lacks, {count:,} parameters more; it acts as zero, "
                f"and is trained"
            )
    if spec.lstms:
        yield "Haiku adds 1 to the bias of gate f when it runs: the file holds the bias minus 1"


HAIKU = module_target("haiku", "Haiku", "haiku-module", haiku_source, HaikuState, _notes)
