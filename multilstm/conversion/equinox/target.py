"""The target `equinox`: an `eqx.Module` as a person would write it, and its arrays by path.

A name from a file enters the source as an identifier made of letters, digits and underscores, never as text.
"""

from __future__ import annotations

import functools
import re
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
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Graph,
    LayerNormalization,
    TimeDistributed,
)
from multilstm.spec.arrays import Array
from multilstm.spec.layer_base import Layer
from multilstm.spec.shapes import Shape

__all__ = ["EQUINOX", "EquinoxState", "equinox_source"]

IMPORTED = {"jax", "jnp", "eqx", "partial", "self", "unroll", "key", "keys", "nth"}
FUNCTIONS = "jax.nn"

_HEAD = """\
def unroll(
    cell: eqx.nn.LSTMCell,
    x: jax.Array,
    state: State | None = None,
"""
_DOC = '''\
    """Run a cell over x [batch, timesteps, features].

    Returns the sequence [batch, timesteps, units] and the last state.
'''
_ZEROS = """\
    if state is None:
        zeros = jnp.zeros((len(x), cell.hidden_size), x.dtype)
        state = (zeros, zeros)

"""
UNROLL = f'''{_HEAD}    reverse: bool = False,
) -> tuple[jax.Array, State]:
{_DOC}    """
{_ZEROS}    def step(state: State, x_t: jax.Array) -> tuple[State, jax.Array]:
        state = jax.vmap(cell)(x_t, state)
        return state, state[0]

    last, sequence = jax.lax.scan(step, state, x.swapaxes(0, 1), reverse=reverse)
    return sequence.swapaxes(0, 1), last
'''
UNROLL_MASKED = f'''{_HEAD}    mask: jax.Array | None = None,
    reverse: bool = False,
) -> tuple[jax.Array, State]:
{_DOC}    A timestep where mask [batch, timesteps] is False keeps the state.
    """
{_ZEROS}    mask = jnp.ones(x.shape[:2], bool) if mask is None else mask

    def step(
        state: State, inputs: tuple[jax.Array, jax.Array]
    ) -> tuple[State, jax.Array]:
        x_t, counts = inputs
        new_state = jax.vmap(cell)(x_t, state)
        state = jax.tree.map(partial(jnp.where, counts[:, None]), new_state, state)
        return state, state[0]

    inputs = (x.swapaxes(0, 1), mask.T)
    last, sequence = jax.lax.scan(step, state, inputs, reverse=reverse)
    return sequence.swapaxes(0, 1), last
'''
NTH = '''\
def nth(key: jax.Array | None, n: int) -> jax.Array | None:
    """Return the n-th key of a key; None without one."""
    return None if key is None else jax.random.fold_in(key, n)
'''

refused = functools.partial(refusal, "equinox")


def equinox_source(spec: Graph) -> str:
    """Return the source of a Python module with the class `Model(eqx.Module)`, which computes as the spec does.

    Args:
        spec: any model. Its weights are not in the source: see `EquinoxState`.

    Raises:
        UnsupportedError: for a layer or an option that Equinox's modules lack, with its name.
    """
    return _Source(spec, _attributes(spec)).source()


def _attributes(spec: Graph) -> dict[str, str]:
    return attribute_names(spec, IMPORTED)


@functools.singledispatch
def _part(layer: Layer, shapes: Sequence[Shape]) -> Part:
    raise refused(layer, "its class", "no module of Equinox is its counterpart")


def _mapped(rank: int) -> str:
    """Return the module, mapped over all axes before the last."""
    return functools.reduce(lambda inner, _: f"jax.vmap({inner})", range(rank - 1), "{m}")


@_part.register
def _(layer: Dense, shapes: Sequence[Shape]) -> Part:
    bias = "" if layer.use_bias else "use_bias=False, "
    module = f"eqx.nn.Linear({shapes[0][-1]}, {layer.units}, {bias}key=next(keys))"
    return Part(module, activated(layer.activation, f"{_mapped(len(shapes[0]))}({{0}})", FUNCTIONS))


@_part.register
def _(layer: TimeDistributed, shapes: Sequence[Shape]) -> Part:
    if not isinstance(layer.layer, Dense | LayerNormalization):
        raise refused(layer, f"the layer {layer.layer.class_name} in it", "Dense and LayerNormalization are converted")
    return _part(layer.layer, shapes)


@_part.register
def _(layer: Embedding, shapes: Sequence[Shape]) -> Part:
    module = f"eqx.nn.Embedding({layer.input_dim}, {layer.output_dim}, key=next(keys))"
    return Part(module, f"{_mapped(len(shapes[0]) + 1)}({{0}})")


@_part.register
def _(layer: LayerNormalization, shapes: Sequence[Shape]) -> Part:
    if layer.axes(shapes[0]) != (len(shapes[0]) - 1,):
        raise refused(layer, f"axis={layer.axis}", "the source normalizes the last axis")
    options = "" if layer.scale else ", use_weight=False"
    options += "" if layer.center else ", use_bias=False"
    module = f"eqx.nn.LayerNorm({shapes[0][-1]}, eps={layer.epsilon}{options})"
    return Part(module, f"{_mapped(len(shapes[0]))}({{0}})")


@_part.register
def _(layer: Conv1D, shapes: Sequence[Shape]) -> Part:
    (width,), (stride,), (dilation,) = layer.kernel_size, layer.strides, layer.dilation_rate
    reach = dilation * (width - 1)
    options = [] if stride == 1 else [f"stride={stride}"]
    options += {"valid": [], "same": ['padding="SAME"'], "causal": [f"padding=(({reach}, 0),)"]}[layer.padding]
    options += [] if dilation == 1 else [f"dilation={dilation}"]
    options += [] if layer.groups == 1 else [f"groups={layer.groups}"]
    options += [] if layer.use_bias else ["use_bias=False"]
    arguments = ", ".join([f"{shapes[0][-1]}, {layer.filters}, {width}", *options, "key=next(keys)"])
    return Part(f"eqx.nn.Conv1d({arguments})", activated(layer.activation, "jax.vmap({m})({0}.mT).mT", FUNCTIONS))


@final
class _Source(AbstractUnrolledSource):
    """The lines of one module."""

    taken: ClassVar = frozenset(IMPORTED)
    imported: ClassVar = "equinox as eqx"
    target: ClassVar = "equinox"
    cell_name: ClassVar = "equinox.nn.LSTMCell"
    unroll: ClassVar = (UNROLL, UNROLL_MASKED)

    @property
    def base(self) -> str:
        return "eqx.Module"

    def imports(self, text: str) -> Iterator[str]:
        yield from super().imports(text)
        yield from ("", "State = tuple[jax.Array, jax.Array]  # hidden, cell") if "State" in text else ()

    def helpers(self, text: str) -> Iterator[str]:
        yield from super().helpers(text)
        yield from (NTH,) if "nth(" in text else ()

    def constructor_head(self, constructors: str) -> Iterator[str]:
        for name, pair, kind in re.findall(r"self\.(\w+) = (\(?)\s*(eqx\.nn\.\w+)", constructors):
            yield f"    {name}: {f'tuple[{kind}, {kind}]' if pair else kind}"
        yield from ("",) if constructors else ()
        yield "    def __init__(self, *, key: jax.Array) -> None:"
        count = constructors.count("next(keys)")
        yield from (f"        keys = iter(jax.random.split(key, {count}))",) if count else ()
        yield from () if constructors else ("        pass",)

    def parameters(self, names: Sequence[str], text: str) -> tuple[list[str], str]:
        further = ["*", "key: jax.Array | None = None"] if re.search(r"key=(nth\()?key", text) else []
        return [*(f"{name}: {self.tensor}" for name in names), *further], self.result

    def part(self, layer: Layer, shapes: Sequence[Shape]) -> Part:
        if isinstance(layer, Dropout):
            dropouts = [other.name for other in self._spec.layers if isinstance(other, Dropout)]
            key = "key" if len(dropouts) == 1 else f"nth(key, {dropouts.index(layer.name)})"
            return Part(f"eqx.nn.Dropout({layer.rate})", f"{{m}}({{0}}, key={key})")
        return arithmetic(layer, len(shapes)) or jax_part(layer, shapes, FUNCTIONS) or _part(layer, shapes)

    def cell(self, layer: LSTM, features: int, name: str) -> str:
        bias = "" if layer.use_bias else "use_bias=False, "
        return f"eqx.nn.LSTMCell({features}, {layer.units}, {bias}key=next(keys))"


@final
class EquinoxState(AbstractUnrolledState):
    """The arrays of one module by path: `lstm.weight_ih`, `bidirectional.0.bias`."""

    dialect: ClassVar = "equinox"

    def __init__(self, spec: Graph) -> None:
        super().__init__(spec, _attributes(spec))

    def names(self, layer: Layer) -> Mapping[str, str]:
        """See `AbstractUnrolledState.names`."""
        if isinstance(layer, Embedding):
            return {"embeddings": "weight"}
        if isinstance(layer, LayerNormalization):
            return {"gamma": "weight", "beta": "bias"}
        return {"kernel": "weight", "bias": "bias"}

    def directions(self, layer: Layer) -> tuple[str, ...]:
        """See `AbstractUnrolledState.directions`."""
        return ("0.", "1.") if isinstance(layer, Bidirectional) else ("",)

    def turned(self, layer: Layer, name: str, array: Array, back: bool) -> Array:
        """See `AbstractUnrolledState.turned`: kernels are transposed, and a bias of a convolution has two axes."""
        if isinstance(layer, Conv1D) and name == "bias":
            return array[:, 0] if back else array[:, None]
        return array.T if isinstance(layer, Dense | Conv1D) else array


EQUINOX = module_target("equinox", "Equinox", "equinox-module", equinox_source, EquinoxState)
