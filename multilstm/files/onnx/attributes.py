"""The known attributes of each operator: another one could change the numbers.

The operators and their attributes, of all versions: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.onnx_graph import Node

__all__ = ["check_attributes"]

_OLD = ("consumed_inputs",)  # a hint of version 1 about memory
_RECURRENT = (
    *("activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout"),
    "output_sequence",  # of version 1: whether the sequence is needed
)
_POOL = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")
KNOWN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Add", "Div", "Mul"), ("broadcast", *_OLD)),  # `axis`, before version 7, moves the second value
    "AveragePool": (*_POOL, "count_include_pad"),
    "BatchNormalization": ("epsilon", "is_test", "momentum", "training_mode", *_OLD),
    "Cast": ("round_mode", "saturate", "to"),
    "Concat": ("axis",),
    "Conv": ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"),
    "Dropout": ("is_test", "ratio", "seed", *_OLD),
    "Elu": ("alpha", *_OLD),
    "Flatten": ("axis",),
    "GRU": (*_RECURRENT, "linear_before_reset"),
    "Gather": ("axis",),
    "Gemm": ("alpha", "beta", "broadcast", "transA", "transB"),
    "HardSigmoid": ("alpha", "beta", *_OLD),
    "LSTM": (*_RECURRENT, "input_forget"),
    "LayerNormalization": ("axis", "epsilon", "stash_type"),
    "MaxPool": (*_POOL, "storage_order"),  # the order of places, which no layer returns
    "RNN": _RECURRENT,
    "ReduceMean": ("axes", "keepdims", "noop_with_empty_axes"),
    "Reshape": ("allowzero", *_OLD),
    "Selu": ("alpha", "gamma", *_OLD),
    "Slice": ("axes", "ends", "starts"),
    "Softmax": ("axis",),
    **dict.fromkeys(("Squeeze", "Unsqueeze"), ("axes",)),
    **dict.fromkeys(("Relu", "Sigmoid", "Softplus", "Softsign", "Sum", "Tanh"), _OLD),
    **dict.fromkeys(("Identity", "MatMul"), ()),
    "Transpose": ("perm",),
}


def check_attributes(node: Node) -> None:
    """Refuse an attribute without a known meaning. Operators without a layer are refused elsewhere.

    Raises:
        InputError: with the node, the attribute and its value.
    """
    if node.op not in KNOWN:
        return
    for name, value in node.attributes.items():
        # Before version 9: 0 normalizes each timestep by itself.
        is_default = (node.op, name, value) == ("BatchNormalization", "spatial", 1)
        if name not in KNOWN[node.op] and not is_default:
            raise InputError(
                f"{node.label}: its attribute {shown(name)} is {shown(value)}, whose meaning is unknown; expected "
                f"{listed(KNOWN[node.op]) or 'no attribute'}; export the model with a newer operator set, or without it"
            )
