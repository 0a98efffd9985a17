"""Reproducers: a sample as a script of at most 25 lines that prints an engine's answer and the desired one.

The script of a Keras engine needs Keras and NumPy alone. With portable layers, or an activation that Keras 3 lacks, it
also needs `multilstm.keras_layers`.
All other scripts need multilstm. A script exits with 1 as long as the answers differ.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from multilstm.compare import tolerance
from multilstm.compare.tolerances import SHARE
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.engines.registry import ENGINES, is_built_in
from multilstm.execution.rounding import rounded, rounded_step
from multilstm.fuzz.sample import Sample
from multilstm.jobs.dropout_masks import dropout_masks
from multilstm.jobs.dtypes import MIXED
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import Graph, InputLayer, Layer, Ref
from multilstm.spec.arrays import Array
from multilstm.spec.source import lacks_an_activation, layer_expression

LINES, WIDTH = 25, 120


@dataclasses.dataclass(frozen=True)
class Reproducer:
    """The content of a script.

    Attributes:
        sample: the model and its data.
        engine: the engine that fails.
        dtype: the dtype of the computation.
        layers: `plain` or `portable`.
        title: the difference, in words for a reader.
        symptom: the kind of failure, as `campaign.symptom_of` returns it.
    """

    sample: Sample
    engine: str
    dtype: str
    layers: str
    title: str
    symptom: str = ""

    @property
    def batch(self) -> Batch:
        """The first batch of the sample."""
        return next(self.sample.batches())

    @property
    def spec(self) -> Graph:
        """The model."""
        return self.sample.spec


def script(reproducer: Reproducer) -> str:
    """Return the text of a script, which ends in a line feed."""
    lines = list(_keras(reproducer)) if _fits_keras(reproducer) else []
    if not 0 < len(lines) <= LINES:
        lines = list(_multilstm(reproducer))
    return "\n".join(lines) + "\n"


def _fits_keras(reproducer: Reproducer) -> bool:
    """Whether a few lines of Keras can express the sample.

    They can express neither dropout masks, given states, several batches, shared layers, nor gradients of inputs and
    states. A step of SGD shows the gradients of weights alone.
    """
    sample = reproducer.sample
    layers = [call.layer for call in sample.spec.calls]
    simple = sample.count == 1 and not sample.states and len(layers) == len(set(layers))
    row = ENGINES.get(reproducer.engine)
    built_in = row is None or is_built_in(row)
    keras = built_in and reproducer.engine.startswith("keras-") and reproducer.dtype not in MIXED
    visible = reproducer.symptom not in ("input_gradient", "state_gradient")
    return keras and simple and visible and not dropout_masks(sample.spec, sample.batch)


def _keras(reproducer: Reproducer) -> Iterator[str]:
    yield from _title(reproducer)
    yield from _imports(reproducer)
    yield from _model(reproducer)
    yield from _inputs(reproducer)
    yield from _actual(reproducer)
    yield from _verdict(reproducer)


def _imports(reproducer: Reproducer) -> Iterator[str]:
    """Yield the imports, and the settings for float64."""
    backend = reproducer.engine.removeprefix("keras-")
    yield "import os"
    yield f'os.environ.update(KERAS_BACKEND="{backend}", JAX_ENABLE_X64="1", TF_CPP_MIN_LOG_LEVEL="3")'
    yield "import keras"
    yield "import numpy as np"
    if reproducer.layers == "portable" or lacks_an_activation(reproducer.spec):
        yield "from multilstm import keras_layers"
    if reproducer.dtype == "float64" and reproducer.layers == "portable":
        yield "keras_layers.enable_float64()"
    elif reproducer.dtype == "float64":
        yield 'keras.config.set_floatx("float64")'
        yield 'keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # keras#23704'


def _model(reproducer: Reproducer) -> Iterator[str]:
    """Yield the model and its weights."""
    spec = reproducer.spec
    yield f"rng = np.random.default_rng({reproducer.sample.seed})"
    yield 'draw = lambda *shape: rng.uniform(-1, 1, shape).round(2).astype("float32")'
    for index, call in enumerate(spec.calls):
        tensors = [_tensor(spec, ref) for ref in call.inputs]
        arguments = [tensors[0] if len(tensors) == 1 else _list(tensors)] if tensors else []
        if call.initial_state:
            arguments.append(f"initial_state={_list(_tensor(spec, ref) for ref in call.initial_state)}")
        called = f"({', '.join(arguments)})" if arguments else ""
        yield f"t{index} = {_layer(spec.layer(call.layer), reproducer.layers)}{called}"
    sources = [f"t{index}" for index, call in enumerate(spec.calls) if call.layer in spec.inputs]
    yield f"model = keras.Model({_list(sources)}, {_list(_tensor(spec, ref) for ref in spec.outputs)})"
    if _weights(spec):
        yield f"for name, shapes in {_weights(spec)}.items():"
        yield "    model.get_layer(name).set_weights([draw(*shape) for shape in shapes])"
    counts = Counter(name.split("/")[0] for name in spec.statistics)
    if counts:  # the last weights of their layers
        yield f"for name, count in {dict(counts)}.items():"
        yield "    weights = model.get_layer(name).get_weights()"
        yield "    model.get_layer(name).set_weights([*weights[:-count], *map(abs, weights[-count:])])"


def _inputs(reproducer: Reproducer) -> Iterator[str]:
    """Yield the inputs, as `x_0`, `x_1`, ... in the order of the spec."""
    for index, name in enumerate(reproducer.spec.inputs):
        yield f"x_{index} = {_input(reproducer.spec, name, reproducer.batch.inputs[name])}"


def _actual(reproducer: Reproducer) -> Iterator[str]:
    """Yield the computation of the outputs, or of the gradients of the weights."""
    spec, sample, batch = reproducer.spec, reproducer.sample, reproducer.batch
    names = list(spec.inputs)
    order = [call.layer for call in spec.calls if call.layer in spec.inputs]
    inputs = _list(f"x_{names.index(name)}" for name in order)
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


def _verdict(reproducer: Reproducer) -> Iterator[str]:
    """Yield the desired arrays, and the comparison with them."""
    sample, dtype = reproducer.sample, reproducer.dtype
    desired = [_literal(array, dtype) for array in _desired(sample, dtype)]
    yield f"desired = {_list(f'np.array({text})' for text in desired)}"
    row = tolerance(dtype, "cpu", "output" if sample.loss is None else "gradient")
    small = f"min({row.atol}, {SHARE} * abs(d).max())"
    allowed = f"{small} + {row.rtol} * abs(d)" if sample.loss is None else f"{row.rtol} * abs(d).max()"
    yield 'print("actual", *(a.tolist() for a in actual), "desired", *(d.tolist() for d in desired), sep="\\n")'
    yield f"raise SystemExit(any((~(abs(a - d) <= {allowed})).any() for a, d in zip(actual, desired, strict=True)))"


def _multilstm(reproducer: Reproducer) -> Iterator[str]:
    yield from _title(reproducer)
    yield "from multilstm.fuzz import check, sample_from_json"
    yield from _registration(reproducer.engine)
    yield ""
    yield f"sample = sample_from_json({reproducer.sample.to_json()!r})"
    yield f'check(sample, engine="{reproducer.engine}", dtype="{reproducer.dtype}", layers="{reproducer.layers}")'


def _registration(engine: str) -> Iterator[str]:
    """Yield the registration of an engine that is not one of multilstm's."""
    row = ENGINES.get(engine)
    if row is None or is_built_in(row):
        return
    module = row.target.partition(":")[0]
    yield "from multilstm.engines.registry import ENGINES, EngineRow"
    if row.flags:
        yield "from multilstm.frameworks.xla_flags import XlaFlag"
    yield ""
    yield f"# The absolute path of the folder of {module} must be in PYTHONPATH."
    yield f"ENGINES[{engine!r}] = {row!r}"


def _title(reproducer: Reproducer) -> list[str]:
    """Return the docstring of the script, in at most three lines."""
    text = f"{reproducer.engine}, {reproducer.layers} layers, {reproducer.dtype}: {reproducer.title}"
    text = text.replace("\\", "/").replace('"', "'")
    lines = textwrap.wrap(text, WIDTH - 4, max_lines=3, placeholder=" ...")
    quoted = '"""' + "\n".join(lines) + '"""'
    return quoted.splitlines()


def _list(items: Iterable[Any]) -> str:
    return f"[{', '.join(map(str, items))}]"


def _tensor(spec: Graph, ref: Ref) -> str:
    several = spec.layer(spec.calls[ref.call].layer).output_count > 1
    return f"t{ref.call}[{ref.output}]" if several else f"t{ref.call}"


def _layer(layer: Layer, layers: str) -> str:
    """Return a layer as an expression of Keras."""
    if isinstance(layer, InputLayer):  # the script needs no names of inputs
        layer = dataclasses.replace(layer, name=None)
    return str(layer_expression(layer, portable=layers == "portable"))


def _weights(spec: Graph) -> dict[str, list[tuple[int, ...]]]:
    """Return the shapes of the weights by layer."""
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for name, shape in spec.weight_shapes.items():
        shapes.setdefault(name.split("/")[0], []).append(shape)
    return shapes


def _input(spec: Graph, name: str, values: Array) -> str:
    """Return an input as an expression: tokens, or numbers of two decimals."""
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
    """Return the outputs of the reference, or its gradients if the sample has a loss."""
    kind: Any = "forward" if sample.loss is None else "gradient"
    step = rounded_step(Step(kind, next(sample.batches()), keep=("outputs", "gradients")), dtype)
    weights = {name: rounded(array, dtype) for name, array in sample.weights().items()}
    job = Job(sample.spec, weights, (step,), "float64", loss=sample.loss)
    answer = Executor(ReferenceEngine()).execute(job).answers[0]
    if sample.loss is None:
        return list(answer.outputs)
    zero = {name: np.zeros(shape) for name, shape in sample.spec.weight_shapes.items()}
    return [answer.gradients.get(name, zero[name]) for name in sample.spec.weight_shapes]
