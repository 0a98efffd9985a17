"""A `.keras` file, loaded by Keras and executed: the proof that a written file means the same as its spec.

The environment variable `MULTILSTM_CONVERTED` names the file. Its row in the table of engines is that of `keras-torch`
with the label `file`, so the rows of the ledger apply to it. Sequences and states are recorded where Keras's
recurrent layers return them. Dropout is off, because its masks are random.
"""

from __future__ import annotations

import functools
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, final

import keras
import numpy as np

import multilstm.keras_layers  # noqa: F401 - registers the classes that a file may name
from multilstm.engines.keras.base import AbstractKerasEngine
from multilstm.engines.keras.layout import OutputLayout
from multilstm.engines.keras.torch import AbstractTorchProgram
from multilstm.engines.keras.writer import named_variables
from multilstm.engines.registry import CONVERTED
from multilstm.errors import EngineUnavailableError, InputError, UnsupportedError
from multilstm.frameworks import private_keras
from multilstm.frameworks import torch as torch_platform
from multilstm.jobs.dtypes import MIXED
from multilstm.jobs.job import Job
from multilstm.keras_layers import MeanOverAllTimesteps
from multilstm.spec import Bidirectional, Graph, InputLayer
from multilstm.spec.arrays import Array

__all__ = ["SavedKerasEngine", "SavedProgram", "loaded_in"]


@final
class SavedKerasEngine(AbstractKerasEngine):
    """Executes the file of `MULTILSTM_CONVERTED` on PyTorch."""

    platform = torch_platform
    backend = "torch"

    def __init__(self) -> None:
        super().__init__()
        torch_platform.set_tf32(False)
        if not os.environ.get(CONVERTED):
            raise EngineUnavailableError(f"{CONVERTED} is not set; expected the path of a .keras file")

    def prepare(self, job: Job) -> SavedProgram:
        """See `AbstractEngine.prepare`."""
        return SavedProgram(job)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function itself: PyTorch computes eagerly."""
        return function


def loaded_in(path: str, dtype: str) -> Any:
    """Return the model of a `.keras` file, which computes in a dtype; Keras's floatx must be that dtype.

    `keras.saving.load_model` gives the dtypes of the file. For another dtype, Keras builds the model from the
    configuration of the file with its dtypes replaced, and takes over the loaded numbers.

    Args:
        path: a file of float32, trusted no more than Keras's safe mode does.
        dtype: `float32` or `float64`.
    """
    model = keras.saving.load_model(path, safe_mode=True)
    if dtype == "float32":
        return model
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    other = keras.saving.deserialize_keras_object(_in_dtype(config, dtype), safe_mode=True)
    for mine, theirs in zip(other.variables, model.variables, strict=True):
        mine.assign(keras.ops.convert_to_numpy(theirs))
    if getattr(model, "optimizer", None) is not None:
        for mine, theirs in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
            mine.assign(keras.ops.convert_to_numpy(theirs))
    return other


def _in_dtype(value: Any, dtype: str) -> Any:
    """Return a configuration in which every float32 is another dtype."""
    if isinstance(value, list):
        return [_in_dtype(item, dtype) for item in value]
    if not isinstance(value, dict):
        return value
    is_policy = value.get("class_name") == "DTypePolicy"
    replaced = {"config": {"name": dtype}} if is_policy else {"dtype": dtype} if value.get("dtype") == "float32" else {}
    return {key: replaced.get(key, _in_dtype(item, dtype)) for key, item in value.items()}


class _Recorded:
    """A loaded model that returns the sequences and states of its recurrent layers after its outputs."""

    def __init__(self, spec: Graph, loaded: Any, parts: Mapping[str, Any], layout: OutputLayout) -> None:
        self._loaded, self._layout = loaded, layout
        self._answers: dict[str, Any] = {}
        names = [tensor.name for tensor in loaded.inputs]
        self._order = [list(spec.inputs).index(name) for name in names]
        self.inputs = [loaded.inputs[names.index(name)] for name in spec.inputs]
        for name, part in parts.items():
            part.inner_loop = functools.partial(self._record, name, part.inner_loop)

    @property
    def trainable_variables(self) -> list[Any]:
        return list(self._loaded.trainable_variables)

    @property
    def losses(self) -> list[Any]:
        """The penalties of the weights."""
        return list(self._loaded.losses)

    def __call__(self, tensors: list[Any], training: bool, mask: list[Any]) -> list[Any]:
        self._answers.clear()
        tensors, masks = ([values[index] for index in self._order] for values in (tensors, mask))
        single = len(tensors) == 1
        outputs = self._loaded(tensors[0] if single else tensors, training=training, mask=masks[0] if single else masks)
        spec = self._layout.spec
        sequences = [self._answers[name][spec.recurrent[name].return_sequences] for name in self._layout.sequences]
        states = [state for name in self._layout.states for state in self._answers[name][2]]
        return [*keras.tree.flatten(outputs), *sequences, *states]

    def _record(self, name: str, inner_loop: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        last, outputs, states = self._answers[name] = inner_loop(*arguments, **options)
        return last, outputs, states


class _SavedModel:
    """A loaded model with the attributes of `KerasModel`."""

    def __init__(self, spec: Graph, loaded: Any) -> None:
        layers = [layer for layer in spec.layers if not isinstance(layer, InputLayer)]
        self.layers = {str(layer.name): loaded.get_layer(layer.name) for layer in layers}
        parts = {name: self._part(name) for name in spec.recurrent}
        self.stateful = {name: parts[name] for name, layer in spec.recurrent.items() if layer.stateful}
        self.given_states: tuple[str, ...] = ()
        self.inputs = list(spec.inputs)
        self.variables = named_variables(spec, loaded)
        self.seed_generators: list[Any] = []
        names = {id(variable): name for name, variable in self.variables.items()}
        self.layout = OutputLayout(
            spec=spec,
            sequences=tuple(
                str(layer.name) for layer in layers if layer.recurrent and not isinstance(layer, Bidirectional)
            ),
            states=tuple(name for name, layer in spec.recurrent.items() if not layer.stateful),
            weights=tuple(names[id(variable)] for variable in loaded.trainable_variables),
            sources=tuple(spec.sources(())[0]),
            given_states=(),
        )
        for layer in private_keras.layers_inside(loaded):
            for part in (layer, getattr(layer, "cell", None)):
                for rate in ("rate", "dropout", "recurrent_dropout"):
                    if rate in getattr(part, "__dict__", {}):
                        setattr(part, rate, 0.0)
        self.model = _Recorded(spec, loaded, parts, self.layout)

    def _part(self, name: str) -> Any:
        """Return the Keras layer of a name in `Graph.recurrent`."""
        layer, _, direction = name.partition("/")
        return getattr(self.layers[layer], f"{direction}_layer") if direction else self.layers[layer]


@final
class SavedProgram(AbstractTorchProgram):
    """The model of a file. An update uses the optimizer of the file."""

    def __init__(self, job: Job) -> None:
        if job.dtype in MIXED:
            raise UnsupportedError(f"a .keras file is executed in float32 and float64, given {job.dtype}")
        self._is_checked = False
        super().__init__(job)

    def make_model(self, job: Job, given_states: tuple[str, ...]) -> Any:
        """Return the model of the file."""
        if given_states:
            raise UnsupportedError("a .keras file takes no initial states but those of its graph; leave them out")
        self._loaded = loaded_in(os.environ[CONVERTED], self.dtype)
        return _SavedModel(job.spec, self._loaded)

    def make_loss(self, job: Job) -> Any:
        """Return the loss of the job, with the mean of the file's own loss."""
        loss = super().make_loss(job)
        losses = keras.tree.flatten(getattr(self._loaded, "loss", None))
        counts_padding = any(isinstance(one, MeanOverAllTimesteps) for one in losses)
        return MeanOverAllTimesteps(loss) if counts_padding and job.optimizer is not None else loss

    def make_optimizer(self, job: Job) -> Any:
        """Return the optimizer of the file, if the job updates."""
        if job.optimizer is not None and getattr(self._loaded, "optimizer", None) is None:
            raise UnsupportedError("the .keras file has no optimizer; leave the updates out")
        return None if job.optimizer is None else self._loaded.optimizer

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Check that the file holds these arrays, and set them again after an update.

        Raises:
            InputError: for a file with other numbers.
        """
        if not self._is_checked:
            given, held = {**weights, **slots}, {**self.weights(), **self.slots()}
            other = [name for name, array in held.items() if not np.array_equal(array, given[name], equal_nan=True)]
            if other:
                raise InputError(f"the .keras file has other numbers than the model, in {', '.join(other[:5])}")
            self._is_checked = True
        super().load(weights, slots, iteration)
