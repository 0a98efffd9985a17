"""Numbers that plain Keras rounds to float32 in float64: the faults `NUMBERS_ARE_ROUNDED` and `SOFTPLUS_ENDS`.

`ops.cast` and the attributes of TensorFlow's operators make a float32 of a Python float. Sources, in Keras 3.15:
`optimizers/adam.py`, `sgd.py` and `base_optimizer.py`, `regularizers/regularizers.py`, `activations/activations.py`
and `layers/preprocessing/rescaling.py`; in TensorFlow 2.21 `nn_ops.py`; in PyTorch 2.13
`aten/src/ATen/native/cpu/Activation.cpp`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Set
from typing import Any

import numpy as np

from multilstm.engines.reference.activations import LEAKY_SLOPE, Function, gelu, hard_sigmoid, leaky_relu, softplus
from multilstm.engines.reference.faults import NUMBERS_ARE_ROUNDED, SOFTPLUS_ENDS
from multilstm.spec import L1, L1L2, L2, Graph, Layer, LeakyReLU, Normalization, ReLU, Rescaling
from multilstm.spec.optimizers import SGD, Optimizer

TORCH_THRESHOLD = 20.0  # of torch.nn.functional.softplus


def activations_of(faults: Set[str]) -> dict[str, Function]:
    """Return the activations that have faults, by name."""
    functions: dict[str, Function] = {}
    if NUMBERS_ARE_ROUNDED in faults:
        functions |= {"gelu": gelu(_rounded(0.5**0.5)), "leaky_relu": leaky_relu(_rounded(LEAKY_SLOPE))}
    if SOFTPLUS_ENDS in faults:
        functions |= {"hard_sigmoid": hard_sigmoid(_rounded(1 / 6)), "softplus": softplus(TORCH_THRESHOLD)}
    return functions


def with_rounded_numbers(spec: Graph, faults: Set[str]) -> Graph:
    """Return the model with the numbers of its layers and regularizers rounded."""
    if NUMBERS_ARE_ROUNDED not in faults:
        return spec
    return dataclasses.replace(spec, layers=tuple(map(_rounded_part, spec.layers)))


def optimizers_of(optimizer: Optimizer, faults: Set[str]) -> tuple[Optimizer, Optimizer]:
    """Return the optimizer of the coefficients of an update, and that of the rule.

    The powers of Adam's betas are those of rounded numbers; its rule has `1 - beta`, which is exact.
    """
    if NUMBERS_ARE_ROUNDED not in faults:
        return optimizer, optimizer
    rule = _with_rounded(optimizer, ["momentum"]) if isinstance(optimizer, SGD) else optimizer
    return _with_rounded(rule, ["weight_decay", "beta_1", "beta_2"]), rule


def _rounded_part(part: Any) -> Any:
    """Return a layer or a regularizer with rounded numbers; anything else as it is."""
    if isinstance(part, (L1, L2, L1L2)):
        return _with_rounded(part, ["l1", "l2"])
    if not isinstance(part, Layer):
        return part
    parts = {field.name: getattr(part, field.name) for field in dataclasses.fields(part) if field.init}
    changed = {name: _rounded_part(value) for name, value in parts.items()}
    changed = {name: value for name, value in changed.items() if value is not parts[name]}
    return _with_rounded(dataclasses.replace(part, **changed) if changed else part, _numbers_of(part))


def _numbers_of(layer: Layer) -> Iterable[str]:
    """Return the names of the rounded arguments of a layer."""
    if isinstance(layer, ReLU):
        is_leaky = layer.max_value is None and layer.threshold == 0  # else the slope is the factor of a tensor
        return ["negative_slope"] if is_leaky else ["max_value"]
    by_class: dict[type[Layer], list[str]] = {
        LeakyReLU: ["negative_slope"],
        Rescaling: ["scale", "offset"],
        Normalization: ["mean", "variance"],
    }
    return by_class.get(type(layer), [])


def _with_rounded(part: Any, names: Iterable[str]) -> Any:
    """Return a part with some numbers rounded to float32; a share below 1 that becomes 1 stays."""
    numbers = {name: getattr(part, name, None) for name in names}
    rounded = {name: _rounded(value) for name, value in numbers.items() if value}
    shares = ("beta_1", "beta_2", "momentum")
    kept = {name: value for name, value in rounded.items() if name not in shares or value < 1}
    return dataclasses.replace(part, **kept) if kept else part


def _rounded(value: Any) -> Any:
    return tuple(map(_rounded, value)) if isinstance(value, tuple) else float(np.float32(value))
