"""The operations of a model's matrix products, from its spec alone."""

from __future__ import annotations

import math

from multilstm.spec import Embedding, Graph
from multilstm.spec.layers import wrapper_count
from multilstm.spec.shapes import closed

__all__ = ["forward_flops"]


def forward_flops(spec: Graph, batch: int, timesteps: int) -> int:
    """Return the operations of one forward pass, two for each product and sum of a weight.

    A recurrent layer multiplies its matrices once for each timestep: for an LSTM that is `8 B T U (F + U)`. Any other
    matrix is multiplied once for each position of the layer's output. Products of two activations, as in attention,
    are left out, and so are all other operations.

    Args:
        spec: the model.
        batch: the number of sequences, where the model leaves it open.
        timesteps: the size of every other dimension that the model leaves open.
    """
    sized = spec.with_open_sizes(batch, timesteps)
    matrices = {name: math.prod(shape) for name, shape in spec.weight_shapes.items() if len(shape) > 1}
    total = 0
    for index, call in enumerate(sized.calls):
        layer = sized.layer(call.layer)
        if isinstance(layer, Embedding) or not call.inputs:
            continue
        if layer.inner_model is not None:
            depth, shape = wrapper_count(layer), closed(sized.tensor_shapes[call.inputs[0]])
            folded = (math.prod(shape[: depth + 1]), *shape[depth + 1 :])
            inside = layer.inner_model.model.with_sizes({layer.inner_model.source: folded})
            total += forward_flops(inside, folded[0], timesteps)
            continue
        products = sum(size for name, size in matrices.items() if name.split("/")[0] == call.layer)
        output = next(shape for ref, shape in sized.tensor_shapes.items() if ref.call == index)
        if layer.recurrent:
            inputs = sized.tensor_shapes[call.inputs[0]]
            output = (*inputs[:2], *layer.state_shapes(inputs)[0][1:])
        positions = closed(output)[:-1]
        biases = sum(
            math.prod(shape)
            for name, shape in spec.weight_shapes.items()
            if len(shape) > 1 and name.split("/")[0] == call.layer and name.endswith("bias")
        )  # a GRU has a matrix of biases
        total += 2 * (products - biases) * math.prod(positions)
    return total
