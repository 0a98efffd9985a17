"""The target `scan`: a program that runs a model with `multilstm.scan`, its spec as JSON, and its weights by name.

The program loads the two other files, which lie next to it. Every model that multilstm executes has one.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from safetensors import numpy as safetensors

from multilstm.conversion.modules.formatting import fits
from multilstm.conversion.modules.names import identifier
from multilstm.conversion.target import Target
from multilstm.errors import ParityError, shown
from multilstm.spec import Graph, from_json, to_json
from multilstm.spec.arrays import Array

__all__ = ["SCAN", "scan_source"]

TAKEN = {"jax", "pathlib", "load_file", "from_json", "scan", "here", "model", "weights", "predict"}

_HEAD = '''\
"""Run a model with multilstm.scan: its weights are Keras's, by name."""

import pathlib

import jax
from safetensors.flax import load_file

from multilstm import scan
from multilstm.spec import from_json

here = pathlib.Path(__file__)
model = scan.model(from_json(here.with_suffix(".json").read_text(encoding="utf-8")))
weights = load_file(here.with_suffix(".safetensors"))


@jax.jit
'''


def scan_source(spec: Graph) -> str:
    """Return the source of a program with a function `predict`, which computes as the spec does.

    Args:
        spec: any model. Its layers and weights are not in the source, but in files next to it.
    """
    return _HEAD + "\n".join(_function(spec)) + "\n"


def _function(spec: Graph) -> Iterator[str]:
    taken = set(TAKEN)
    names = {name: "x" if len(spec.inputs) == 1 else identifier(name, taken) for name in spec.inputs}
    parameters = ["weights: dict[str, jax.Array]", *(f"{name}: jax.Array" for name in names.values())]
    single = len(spec.outputs) == 1
    result = "jax.Array" if single else "tuple[jax.Array, ...]"
    yield from _listed("def predict(", parameters, f") -> {result}:")
    yield '    """Return the outputs; the weights are an argument, for gradients."""'
    items = [f"{json.dumps(name)}: {variable}" for name, variable in names.items()]
    yield from (f"    {line}" for line in _listed("inputs = {", items, "}", indent=4))
    yield f"    return model.apply(weights, inputs).outputs{'[0]' if single else ''}"


def _listed(start: str, items: Sequence[str], end: str, indent: int = 0) -> Iterator[str]:
    """Yield items between brackets on one line, or on lines of their own where formatters break them."""
    inner = ", ".join(items)
    if fits(f"{' ' * indent}{start}{inner}{end}"):
        yield f"{start}{inner}{end}"
        return
    yield start
    if end != "}" and fits(f"    {inner}"):
        yield f"    {inner}"
    else:
        yield from (f"    {item}," for item in items)
    yield end


def _files(spec: Graph, weights: Mapping[str, Array], training: object = None) -> dict[str, bytes]:
    """Return the program, the spec, and the weights in their dtype."""
    arrays = {name: np.asarray(weights[name], order="C") for name in spec.weight_shapes}  # a scale keeps 0 axes
    return {
        ".py": scan_source(spec).encode(),
        ".json": to_json(spec).encode(),
        ".safetensors": safetensors.save(arrays),
    }


def _check(path: pathlib.Path, spec: Graph, weights: Mapping[str, Array]) -> None:
    """Raise ParityError where the files hold another spec, or other weights."""
    if from_json(path.with_suffix(".json").read_text(encoding="utf-8")) != spec:
        raise ParityError("the .json file holds another model than the one that was converted")
    held = safetensors.load(path.with_suffix(".safetensors").read_bytes())
    for name in spec.weight_shapes:
        if not np.array_equal(held[name], weights[name], equal_nan=True):
            raise ParityError(f"the .safetensors file holds other numbers of {shown(name)} than the model")


SCAN = Target(
    "scan",
    "multilstm.scan",
    (".py",),
    "jax-scan@file",
    _files,
    further=(".json", ".safetensors"),
    executor="multilstm.engines.scan_file:ScanFileEngine",
    stateful_calls="any",
    check=_check,
)
