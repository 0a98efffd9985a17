"""Program of the process in which Keras gives the shapes and weights of built-in layers.

Start: `python -P -m multilstm.frameworks.keras_facts`. A question is one line of JSON on standard input, and its answer
one line on standard output. The class must be one of Keras's own. No array is made: variables stay uninitialized, and
shapes are inferred from symbolic tensors. After the import of Keras the process has limits of memory and time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["answer"]

SECONDS = 60  # of CPU time
MEMORY = 2 * 2**30  # bytes beyond those of the imports
PROBES = (23, 29, 31, 37, 41, 43)  # sizes of open axes, from which the sizes of outputs are recognised


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a layer, or `{"error": text}`.

    Args:
        question: `keras_class`, `config`, `inputs` (shapes), `positional` and `arguments` of the call.
    """
    import keras

    kind: Any = getattr(keras.layers, question["keras_class"], keras.Model)
    if not issubclass(kind, keras.layers.Layer) or issubclass(kind, keras.Model):
        return {"error": f"this Keras, {keras.__version__}, has no layer of the class {question['keras_class']}"}
    try:
        with keras.StatelessScope():
            layer = kind.from_config(dict(question["config"]))
            outputs = _outputs(keras, layer, question, question["inputs"])
    except Exception as error:  # Keras raises many classes for arguments that do not fit
        return {"error": f"Keras refuses the layer: {type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"}
    weights = [[_name(variable), list(variable.shape), bool(variable.trainable)] for variable in layer.weights]
    names = [name for name, *_ in weights]
    for place, name in enumerate(names):
        if names.count(name) > 1:
            weights[place][0] = f"{name}_{place}"
    return {
        "inputs": question["inputs"],
        "outputs": _linked(keras, kind, question, outputs),
        "weights": weights,
        "passes_mask": _passes_mask(keras, layer, question),
    }


def _outputs(keras: Any, layer: Any, question: Mapping[str, Any], shapes: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return the shapes of the outputs of a call on symbolic tensors."""
    tensors = [keras.KerasTensor(tuple(shape), dtype="float32") for shape in shapes]
    args = tensors if question["positional"] or len(tensors) == 1 else [tensors]
    outputs = layer(*args, **question["arguments"])
    return [list(tensor.shape) for tensor in keras.tree.flatten(outputs)]


def _linked(keras: Any, kind: Any, question: Mapping[str, Any], outputs: list[list[Any]]) -> list[list[Any]]:
    """Return the shapes with `[input, axis]` for each open size that is always the size of an axis of an input."""
    places = [
        (n, axis) for n, shape in enumerate(question["inputs"]) for axis, size in enumerate(shape) if size is None
    ]
    if not places:
        return outputs
    trials = []
    for turn in range(2):
        sizes = {place: PROBES[(number + 3 * turn) % len(PROBES)] + 10 * turn for number, place in enumerate(places)}
        shapes = [
            [sizes.get((n, axis), size) for axis, size in enumerate(shape)]
            for n, shape in enumerate(question["inputs"])
        ]
        batch = shapes[0][0] if (0, 0) in sizes else None
        for shape, original in zip(shapes, question["inputs"], strict=True):
            if batch is not None and original[0] is None:
                shape[0] = batch  # all inputs of a call have one batch size
        try:
            with keras.StatelessScope():
                layer = kind.from_config(dict(question["config"]))
                trials.append((shapes, _outputs(keras, layer, question, shapes)))
        except Exception:  # the sizes of two inputs must fit each other: nothing is known
            return [[[0, 0] if axis == 0 and size is None else size for axis, size in enumerate(o)] for o in outputs]
    return [
        [
            size if size is not None else _source(places, trials, number, axis)
            for axis, size in enumerate(shape)
        ]
        for number, shape in enumerate(outputs)
    ]  # fmt: skip


def _source(places: Sequence[tuple[int, int]], trials: Sequence[Any], number: int, axis: int) -> list[int] | None:
    """Return the axis of an input whose size an axis of an output has in every trial; None without one."""
    for source, source_axis in places:
        if all(outputs[number][axis] == shapes[source][source_axis] for shapes, outputs in trials):
            return [source, source_axis]
    return None


def _passes_mask(keras: Any, layer: Any, question: Mapping[str, Any]) -> bool:
    """Whether the layer passes the mask of its first input on by Keras's own rule for all layers."""
    plain = type(layer).compute_mask is keras.layers.Layer.compute_mask
    return bool(layer.supports_masking) and plain and len(question["inputs"]) == 1


def _name(variable: Any) -> str:
    """Return the name of a weight inside its layer, such as `query.kernel`."""
    return ".".join(variable.path.split("/")[1:]) or variable.name


def _limit() -> None:
    """Limit memory, time and the files that may be written. Only Linux has all these limits."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    for limit, value in (
        (resource.RLIMIT_AS, used + MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def main() -> None:
    """Answer every line of standard input."""
    import keras

    _ = keras.__version__
    _limit()
    answers, sys.stdout = sys.stdout, sys.stderr  # for messages of Keras
    for line in sys.stdin:
        answers.write(f"{json.dumps(answer(json.loads(line)))}\n")
        answers.flush()


if __name__ == "__main__":
    main()
