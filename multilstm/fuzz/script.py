"""The reproducer: a sample as a script of at most 25 lines that shows what an engine gives and what it should.

For a Keras engine it needs Keras and NumPy alone (and `multilstm.keras_layers`, where it is they that diverge); for the
others, and for what a few lines of Keras cannot say, multilstm. It exits with 1 as long as the answers differ.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from multilstm.compare import tolerance
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.fuzz.sample import Sample
from multilstm.jobs.dtypes import MIXED
from multilstm.jobs.job import Job, Step
from multilstm.spec import Graph, InputLayer, Layer, Ref
from multilstm.spec.arrays import Array
from multilstm.spec.penalties import WeightFunction

LINES, WIDTH = 25, 120
PORTABLE = ("Bidirectional", "Dense", "LSTM", "TimeDistributed")  # the spec's layers that multilstm.keras_layers has


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a script is to show.

    Attributes:
        sample: the model and its data.
        engine: where it fails.
        dtype: in which.
        layers: `plain` or `portable`.
        title: what is wrong, for a reader.
        how: it fails, as `campaign.how` says.
    """

    sample: Sample
    engine: str
    dtype: str
    layers: str
    title: str
    how: str = ""


def script(shown: Shown) -> str:
    """The text of the reproducer, which ends in a line feed."""
    lines = list(_keras(shown)) if _sayable(shown) else []
    if not 0 < len(lines) <= LINES:
        lines = list(_own(shown))
    return "\n".join(lines) + "\n"


def _sayable(shown: Shown) -> bool:
    """Whether a few lines of Keras say it: no dropout masks, no states from outside, one batch, no shared layer.

    Nor of gradients any but those of weights, which a step of SGD shows.
    """
    sample = shown.sample
    layers = [call.layer for call in sample.spec.calls]
    plain = sample.count == 1 and not sample.states and len(layers) == len(set(layers))
    keras = shown.engine.startswith("keras-") and shown.dtype not in MIXED
    shows = shown.how not in ("input_gradient", "state_gradient")
    return keras and plain and shows and not next(sample.batches()).dropout


def _keras(shown: Shown) -> Iterator[str]:
    sample, spec = shown.sample, shown.sample.spec
    batch = next(sample.batches())
    yield from _title(shown)
    yield "import os"
    backend = shown.engine.removeprefix("keras-")
    yield f'os.environ.update(KERAS_BACKEND="{backend}", JAX_ENABLE_X64="1", TF_CPP_MIN_LOG_LEVEL="3")'
    yield "import keras"
    yield "import numpy as np"
    if shown.layers == "portable":
        yield "from multilstm import keras_layers"
    if shown.dtype == "float64" and shown.layers == "portable":
        yield "keras_layers.enable_float64()"
    elif shown.dtype == "float64":
        yield 'keras.config.set_floatx("float64")'
        yield 'keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # keras#23704'
    yield f"rng = np.random.default_rng({sample.seed})"
    yield 'draw = lambda *shape: rng.uniform(-1, 1, shape).round(2).astype("float32")'
    for index, call in enumerate(spec.calls):
        taken = [_tensor(spec, ref) for ref in call.inputs]
        given = "" if not taken else f"({taken[0] if len(taken) == 1 else _list(taken)}"
        if call.initial_state:
            given += f", initial_state={_list(_tensor(spec, ref) for ref in call.initial_state)}"
        yield f"t{index} = {_layer(spec.layer(call.layer), shown.layers)}{given and given + ')'}"
    names = [f"x_{index}" for index in range(len(spec.inputs))]
    sources = [f"t{index}" for index, call in enumerate(spec.calls) if call.layer in spec.inputs]
    yield f"model = keras.Model({_list(sources)}, {_list(_tensor(spec, ref) for ref in spec.outputs)})"
    if _weights(spec):
        yield f"for name, shapes in {_weights(spec)}.items():"
        yield "    model.get_layer(name).set_weights([draw(*shape) for shape in shapes])"
    order = [call.layer for call in spec.calls if call.layer in spec.inputs]
    for name, source in zip(names, spec.inputs, strict=True):
        yield f"{name} = {_input(spec, source, batch.inputs[source])}"
    inputs = _list(names[list(spec.inputs).index(name)] for name in order)
    if sample.loss is not None:
        yield f'model.compile(keras.optimizers.SGD(1.0), "{sample.loss}")  # its first step is the gradient'
        yield f"weights = lambda: [w for name in {list(_weights(spec))} for w in model.get_layer(name).get_weights()]"
        yield "before = weights()"
        yield f"model.train_on_batch({inputs}, {_list(_numbers(target) for target in batch.targets)})"
        yield "actual = [b - a for b, a in zip(before, weights(), strict=True)]"
    elif batch.masks:
        masks = _list(_bits(batch.masks[name]) if name in batch.masks else "None" for name in order)
        yield f"actual = [keras.ops.convert_to_numpy(t) for t in keras.tree.flatten(model({inputs}, mask={masks}))]"
    else:
        yield f"actual = keras.tree.flatten(model.predict({inputs}, verbose=0))"
    desired = [_literal(array, shown.dtype) for array in _desired(sample, shown.dtype)]
    yield f"desired = {_list(f'np.array({text})' for text in desired)}"
    row = tolerance(shown.dtype, "cpu", "output" if sample.loss is None else "gradient")
    allowed = f"{row.atol} + {row.rtol} * abs(d)" if sample.loss is None else f"{row.rtol} * abs(d).max()"
    yield 'print("actual", *(a.tolist() for a in actual), "desired", *(d.tolist() for d in desired), sep="\\n")'
    yield f"raise SystemExit(any((~(abs(a - d) <= {allowed})).any() for a, d in zip(actual, desired, strict=True)))"


def _own(shown: Shown) -> Iterator[str]:
    yield from _title(shown)
    yield "from multilstm.fuzz import check, sample_from_json"
    yield ""
    yield f"sample = sample_from_json({shown.sample.to_json()!r})"
    yield f'check(sample, engine="{shown.engine}", dtype="{shown.dtype}", layers="{shown.layers}")'


def _title(shown: Shown) -> list[str]:
    """The docstring of the script, in at most three lines."""
    text = f"{shown.engine}, {shown.layers} layers, {shown.dtype}: {shown.title}".replace("\\", "/").replace('"', "'")
    lines = textwrap.wrap(text, WIDTH - 4, max_lines=3, placeholder=" ...")
    quoted = '"""' + "\n".join(lines) + '"""'
    return quoted.splitlines()


def _list(items: Iterable[Any]) -> str:
    return f"[{', '.join(map(str, items))}]"


def _tensor(spec: Graph, ref: Ref) -> str:
    several = spec.layer(spec.calls[ref.call].layer).output_count > 1
    return f"t{ref.call}[{ref.output}]" if several else f"t{ref.call}"


def _layer(layer: Layer, layers: str) -> str:
    """A layer as an expression of Keras."""
    if isinstance(layer, InputLayer):
        size = "" if layer.batch_size is None else f", batch_size={layer.batch_size}"
        dtype = ', dtype="int32"' if layer.dtype == "int32" else ""
        return f"keras.Input({layer.shape}{size}{dtype})"
    positional, named = [], []
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, Layer):
            positional.append(_layer(value, layers))
        elif field.default is dataclasses.MISSING:
            positional.append(repr(value))
        elif isinstance(value, WeightFunction):
            named.append(f"{field.name}={value.keras_source()}")
        elif value != field.default and (field.name, value) != ("activation", "linear"):
            named.append(f"{field.name}={value!r}")
    name = type(layer).__name__
    source = "keras_layers" if layers == "portable" and name in PORTABLE else "keras.layers"
    return f"{source}.{name}({', '.join([*positional, *sorted(named, key=lambda text: text.startswith('name='))])})"


def _weights(spec: Graph) -> dict[str, list[tuple[int, ...]]]:
    found: dict[str, list[tuple[int, ...]]] = {}
    for name, shape in spec.weight_shapes.items():
        found.setdefault(name.split("/")[0], []).append(shape)
    return found


def _input(spec: Graph, name: str, values: Array) -> str:
    """An input as an expression: tokens, or numbers of two decimals."""
    if spec.inputs[name].dtype == "int32":
        return f"np.array({values.tolist()})"
    return _numbers(values)


def _numbers(values: Array) -> str:
    return f'np.array({values.astype(float).round(2).tolist()}, "float32")'


def _bits(mask: Array) -> str:
    return f'keras.ops.convert_to_tensor({mask.astype(int).tolist()}, "bool")'


def _literal(array: Array, dtype: str) -> str:
    digits = 9 if dtype == "float32" else 17
    return str(np.vectorize(lambda value: float(f"{value:.{digits}g}"), otypes=[object])(array).tolist())


def _desired(sample: Sample, dtype: str) -> list[Array]:
    """What the reference gives: the outputs, or the gradients."""
    kind: Any = "forward" if sample.loss is None else "gradient"
    step = rounded_step(Step(kind, next(sample.batches()), keep=("outputs", "gradients")), dtype)
    weights = {name: rounded(array, dtype) for name, array in sample.weights().items()}
    job = Job(sample.spec, weights, (step,), "float64", loss=sample.loss)
    answer = Executor(ReferenceEngine()).execute(job).answers[0]
    if sample.loss is None:
        return list(answer.outputs)
    zero = {name: np.zeros(shape) for name, shape in sample.spec.weight_shapes.items()}
    return [answer.gradients.get(name, zero[name]) for name in sample.spec.weight_shapes]
