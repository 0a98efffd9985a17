"""Cells and functions that Flax lacks, as source: for masks, and for two kinds of GRU.

Each follows the layers of Keras 3.15.1, keras/src/layers/rnn/gru.py and keras/src/backend/jax/rnn.py.
"""

from __future__ import annotations

__all__ = ["HELPERS"]

_WITH_MASK = '''\
def with_mask(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Return x with the mask [batch, timesteps] as one more feature, for MaskedCell."""
    return jnp.concatenate([x, mask[..., None]], axis=-1)
'''

_MASKED_STEP = """\
        x, counts = inputs[..., :-1], inputs[..., -1:] > 0
        new_carry, _ = self.cell(carry, x)
        carry = jax.tree.map(partial(jnp.where, counts), new_carry, carry)
        return carry, jax.tree.leaves(carry)[-1]  # the hidden state
"""

_NNX_MASKED = f'''\
class MaskedCell(nnx.RNNCellBase):
    """A cell that keeps its carry at timesteps that do not count; see with_mask."""

    def __init__(self, cell: nnx.RNNCellBase) -> None:
        self.cell = cell

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
{_MASKED_STEP}
    def initialize_carry(self, input_shape: tuple[int, ...], *args: Any) -> Any:
        return self.cell.initialize_carry(input_shape, *args)

    @property
    def num_feature_axes(self) -> int:
        return self.cell.num_feature_axes
'''

_LINEN_MASKED = f'''\
class MaskedCell(nn.RNNCellBase):
    """A cell that keeps its carry at timesteps that do not count; see with_mask."""

    cell: nn.RNNCellBase

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
{_MASKED_STEP}
    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]) -> Any:
        return self.cell.initialize_carry(rng, input_shape)

    @property
    def num_feature_axes(self) -> int:
        return self.cell.num_feature_axes
'''

_NNX_TWO_BIASES = '''\
class TwoBiasGRUCell(nnx.GRUCell):
    """nnx.GRUCell with a bias of the recurrent product too, inside of the reset gate."""

    def __init__(
        self, in_features: int, hidden_features: int, *, rngs: nnx.Rngs, **options: Any
    ) -> None:
        super().__init__(in_features, hidden_features, rngs=rngs, **options)
        self.dense_h = nnx.Linear(hidden_features, 3 * hidden_features, rngs=rngs)
'''

_NNX_RESET_BEFORE = '''\
class ResetBeforeGRUCell(nnx.GRUCell):
    """nnx.GRUCell whose reset gate acts on the state before the product, not after."""

    def __call__(
        self, carry: jax.Array, inputs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        x_r, x_z, x_n = jnp.split(self.dense_i(inputs), 3, axis=-1)
        kernel_r, kernel_z, kernel_n = jnp.split(self.dense_h.kernel[...], 3, axis=-1)
        r = self.gate_fn(x_r + carry @ kernel_r)
        z = self.gate_fn(x_z + carry @ kernel_z)
        n = self.activation_fn(x_n + (r * carry) @ kernel_n)
        hidden = (1.0 - z) * n + z * carry
        return hidden, hidden
'''

_LINEN_RESET_BEFORE = '''\
class ResetBeforeGRUCell(nn.GRUCell):
    """nn.GRUCell whose reset gate acts on the state before the product, not after."""

    @nn.compact
    def __call__(
        self, carry: jax.Array, inputs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        x = partial(nn.Dense, self.features)
        h = partial(nn.Dense, self.features, use_bias=False)
        r = self.gate_fn(x(name="ir")(inputs) + h(name="hr")(carry))
        z = self.gate_fn(x(name="iz")(inputs) + h(name="hz")(carry))
        n = self.activation_fn(x(name="in")(inputs) + h(name="hn")(r * carry))
        hidden = (1.0 - z) * n + z * carry
        return hidden, hidden
'''

HELPERS: dict[str, dict[str, str]] = {
    "nnx": {
        "with_mask": _WITH_MASK,
        "MaskedCell": _NNX_MASKED,
        "TwoBiasGRUCell": _NNX_TWO_BIASES,
        "ResetBeforeGRUCell": _NNX_RESET_BEFORE,
    },
    "linen": {
        "with_mask": _WITH_MASK,
        "MaskedCell": _LINEN_MASKED,
        "ResetBeforeGRUCell": _LINEN_RESET_BEFORE,
    },
}
"""The source of each, by API and name."""
