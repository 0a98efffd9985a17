"""The target `torch`: a module of plain source and its state dict."""

from __future__ import annotations

from collections.abc import Iterator

from multilstm.conversion.modules.target import module_target
from multilstm.conversion.torch.source import torch_source
from multilstm.conversion.torch.state import TorchState
from multilstm.spec import BatchNormalization, Graph

__all__ = ["TORCH"]


def _notes(spec: Graph) -> Iterator[str]:
    """Yield the differences between the model's training and the module's."""
    layers = [inner for layer in spec.layers for inner in layer.nested]
    two = [place for place, layer in spec.lstms.items() if layer.use_bias]
    if two:
        count = sum(4 * spec.lstms[place].units for place in two)
        yield (
            f"PyTorch's LSTMs have two biases, {count:,} parameters more than Keras's; both are trained, so their sum "
            f"moves twice as fast"
        )
    if any(isinstance(layer, BatchNormalization) for layer in layers):
        yield "in training, PyTorch's BatchNorm divides its running variance by n - 1, Keras's by n"


TORCH = module_target("torch", "PyTorch", "torch-module", torch_source, TorchState, _notes)
