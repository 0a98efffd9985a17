"""Engine `tf1-module`: the code of TensorFlow 1 into which `multilstm.conversion` translates a spec, executed.

The graph is built and run by `tensorflow.compat.v1`, whose cells are in tf-keras. The engine proves the conversion:
source and variables are those that `multilstm convert` writes.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, final

import numpy as np
import tensorflow as tf

from multilstm.conversion.modules.state import AbstractState
from multilstm.conversion.tf1.target import Tf1State, further_parameters, tf1_source
from multilstm.engines.base import AbstractEngine
from multilstm.engines.converted import AbstractConvertedProgram, class_of
from multilstm.engines.reference.losses import loss_and_gradient
from multilstm.errors import UnsupportedError
from multilstm.frameworks import tensorflow as tensorflow_platform
from multilstm.frameworks.self_test import Operations
from multilstm.jobs.dtypes import stored
from multilstm.jobs.implementation import Implementation
from multilstm.jobs.job import Answer, Batch, Job
from multilstm.spec.arrays import AnyState, Array, as_state

tf1 = tf.compat.v1


@final
class Tf1ModuleEngine(AbstractEngine):
    """Executes graphs of TensorFlow 1."""

    platform = tensorflow_platform

    def __init__(self) -> None:
        tensorflow_platform.set_tf32(False)

    def prepare(self, job: Job) -> Tf1ModuleProgram:
        """Return a program on the CPU."""
        if job.device == "gpu":
            raise UnsupportedError("tf1-module: it computes on the CPU alone; leave the engine out on a GPU")
        return Tf1ModuleProgram(job)

    def operations(self) -> Operations:
        """Return the operations of TensorFlow."""
        return tensorflow_platform.operations()


@final
class Tf1ModuleProgram(AbstractConvertedProgram):
    """One converted model. Calls of `dynamic_rnn` are recorded while the graph is built."""

    engine: ClassVar = "tf1-module"
    no_update: ClassVar = "a graph has no optimizer"
    places = frozenset({"cpu"})

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._state, self._dtype = Tf1State(job.spec), tf.as_dtype(stored(job.dtype))
        self._records: dict[str, tuple[Any, Any]] = {}
        graph = tf.Graph()
        with graph.as_default(), tf1.variable_scope("", dtype=self._dtype), self._recorded():
            self._inputs = {
                name: tf1.placeholder(
                    tf.int32 if layer.dtype == "int32" else self._dtype, (layer.batch_size, *layer.shape)
                )
                for name, layer in job.spec.inputs.items()
            }
            outputs = class_of(self.source(tf1_source))()(*self._inputs.values())
            self._outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            self._variables = {variable.op.name: variable for variable in tf1.global_variables()}
            self._floats = job.spec.sources(())[0]
            self._targets = [tf1.placeholder(self._dtype, output.shape) for output in self._outputs]
            sources = [*self._variables.values(), *(self._inputs[name] for name in self._floats)]
            gradients = tf.gradients(self._outputs, sources, self._targets, unconnected_gradients="zero")
            self._gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
            self._given = {name: tf1.placeholder(self._dtype, v.shape) for name, v in self._variables.items()}
            self._assign = [variable.assign(self._given[name]) for name, variable in self._variables.items()]
        self._session = tf1.Session(graph=graph)

    @property
    def implementation(self) -> Implementation:
        """The class of the cell, and the loop."""
        return Implementation("BasicLSTMCell, dynamic_rnn" if self._spec.recurrent else "no recurrent layer ran")

    def stored(self, content: bytes) -> dict[str, Array]:
        """Return the variables of an `.npz` file."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)

    def load(self, weights: Mapping[str, Array], slots: Mapping[str, Array], iteration: int) -> None:
        """Load the variables that `multilstm convert` writes for the weights; they must be those of the graph."""
        state: AbstractState = self._state
        arrays = self.arrays(state, weights, ".npz")
        shapes = {name: array.shape for name, array in arrays.items()}
        expected = {name: tuple(variable.shape) for name, variable in self._variables.items()}
        if shapes != expected:
            raise RuntimeError(f"{self.engine}: given variables {shapes}, expected {expected}")
        self._session.run(self._assign, {self._given[name]: array for name, array in arrays.items()})

    def weights(self) -> dict[str, Array]:
        """Return all weights, in Keras's layout."""
        return self._state.to_keras(self._session.run(self._variables))

    def parameter_counts(self) -> dict[str, int]:
        """Return the graph's counts by layer, without the biases that Keras lacks."""
        counts = {layer: -further for layer, further in further_parameters(self._spec).items()}
        for name, layer in self._state.owners().items():
            counts[layer] += int(np.prod(self._variables[name].shape, dtype=int))
        return counts

    def step(self, kind: str, batch: Batch, states: Mapping[str, AnyState]) -> Answer:
        """Compute one step; see `AbstractProgram.step`."""
        self.check_step(kind, batch)
        if states:
            raise UnsupportedError(f"{self.engine}: a graph takes no initial states but its own; leave them out")
        feed = {self._inputs[name]: batch.inputs[name] for name in self._inputs}
        outputs, records = self._session.run((self._outputs, self._records), feed)
        answer = {"outputs": tuple(outputs), **self._answers(records)}
        if kind == "forward":
            return Answer(**answer)
        pairs = zip(outputs, batch.targets, strict=True)
        losses = [loss_and_gradient(str(self._loss), output, target, None) for output, target in pairs]
        answer["loss"] = float(sum(value for value, _ in losses))
        if kind == "evaluate":
            return Answer(**answer)
        feed |= dict(zip(self._targets, (gradient for _, gradient in losses), strict=True))
        gradients = self._session.run(self._gradients, feed)
        weights = dict(zip(self._variables, gradients, strict=False))
        inputs = dict(zip(self._floats, gradients[len(weights) :], strict=True))
        return Answer(**answer, gradients=self._state.to_keras(weights, gradients=True), input_gradients=inputs)

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        """Record the calls of both loops, by their scope, inside of a `with` block."""
        layers = {scope: layer for layer, scope in self._state.attributes.items()}
        single, both = tf1.nn.dynamic_rnn, tf1.nn.bidirectional_dynamic_rnn

        def dynamic_rnn(*arguments: Any, scope: str, **options: Any) -> Any:
            answer = single(*arguments, scope=scope, **options)
            if isinstance(scope, str) and scope in layers:
                self._records[layers[scope]] = answer
            return answer

        def bidirectional_dynamic_rnn(*arguments: Any, scope: str, **options: Any) -> Any:
            sequences, ends = both(*arguments, scope=scope, **options)
            ordered = (sequences[0], sequences[1][:, ::-1])
            for direction, sequence, end in zip(("forward", "backward"), ordered, ends, strict=True):
                self._records[f"{layers[scope]}/{direction}"] = sequence, end
            return sequences, ends

        tf1.nn.dynamic_rnn, tf1.nn.bidirectional_dynamic_rnn = dynamic_rnn, bidirectional_dynamic_rnn
        try:
            yield
        finally:
            tf1.nn.dynamic_rnn, tf1.nn.bidirectional_dynamic_rnn = single, both

    def _answers(self, records: Mapping[str, Any]) -> dict[str, Any]:
        """Return sequences, last outputs and states by recurrent layer."""
        sequences, last_outputs, states = {}, {}, {}
        for place, (sequence, end) in records.items():
            states[place] = as_state(end.h, end.c)
            if self._spec.recurrent[place].return_sequences:
                sequences[place] = sequence
            else:
                last_outputs[place] = sequence[:, -1].copy()
        return {"sequences": sequences, "last_outputs": last_outputs, "states": states}
