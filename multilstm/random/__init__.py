"""Random numbers that are the same on every framework: pure functions of a seed, a stream, a step and an index.

    >>> from multilstm.random import dropout_mask
    >>> dropout_mask(seed=1, stream="dropout", step=0, rate=0.5, shape=(4, 8))    # the mask of the first batch

Numbers and names enter, NumPy arrays leave. The cipher takes tensors of JAX, PyTorch and TensorFlow too, so
`multilstm.keras_layers` and `multilstm.scan` draw the same bits on a device. The room imports NumPy and `errors` alone.
"""

from multilstm.random.arguments import LIMIT, check_rate, check_seed, check_step
from multilstm.random.draws import Draws, bits, derived_seed, dropout_mask, uniform
from multilstm.random.masks import backward, keeps, mask_bits
from multilstm.random.streams import Words, fold_in, key, stream
from multilstm.random.threefry import threefry

__all__ = [
    "LIMIT", "Draws", "Words", "backward", "bits", "check_rate", "check_seed", "check_step", "derived_seed",
    "dropout_mask", "fold_in", "keeps", "key", "mask_bits", "stream", "threefry", "uniform",
]  # fmt: skip
