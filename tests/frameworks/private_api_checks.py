"""One check for each entry of the modules `multilstm.frameworks.private_*`, run where the framework may be imported.

`KERAS_BACKEND=... python private_api_checks.py ANSWER.json` writes, for each check that applies to the backend, the
traceback of its failure, or None.
"""

import inspect
import json
import pathlib
import sys
import traceback
import types

import numpy as np

CHECKS = {}  # by name: the function, the backends on which it runs, and the feature that breaks without the entry
KERAS = ("tensorflow", "jax", "torch")
# By override: the feature that breaks when Keras no longer calls the method that we replace.
OVERRIDDEN = {
    "_moments": "keras_layers.BatchNormalization fails with a mask and one feature on JAX and PyTorch",
    "_create_state_variables": "keras_layers.LSTM(stateful=True) no longer names its states, and PyTorch loses them",
    "_maybe_config_dropout_masks": "inference of keras_layers.LSTM draws dropout masks, and changes those of training",
    "_can_attempt_fused_lstm": "keras_layers.Bidirectional gives wrong answers around a backward LSTM on a GPU",
    "_can_attempt_fused_gru": "keras_layers.Bidirectional gives wrong answers around a backward GRU on a GPU",
    "_filter_empty_gradients": "keras_layers' optimizers no longer decay weights that the loss does not reach",
    "_apply_weight_decay": "keras_layers' optimizers round the weight decay to float32 on TensorFlow",
    "_get_current_learning_rate": "keras_layers' optimizers round learning-rate schedules to float32 on TensorFlow",
}


def check(broken, *backends):
    def register(function):
        CHECKS[function.__name__] = function, backends or KERAS, broken
        return function

    return register


def lstm(**options):
    import keras

    layer = keras.layers.LSTM(2, **options)
    layer.build((2, 3, 4))
    return layer


def adam(**options):
    import keras

    variable = keras.Variable(np.zeros(3, "float32"))
    optimizer = keras.optimizers.Adam(**options)
    optimizer.build([variable])
    return optimizer, variable


@check("float64 layers of Keras compute partly in float32, so comparisons in float64 fail")
def enable_true_float64(apis):
    from keras import ops

    if ops.convert_to_tensor(np.zeros(1)).dtype.__str__().rpartition(".")[2] != "float64":
        return  # JAX without x64
    apis.enable_true_float64()
    total = ops.add(ops.zeros(1, dtype="float64"), ops.zeros(1, dtype="float64"))
    assert "float64" in str(total.dtype), total.dtype


@check("keras_layers.LSTM ignores the mask of the layer below when an initial state is given")
def keras_mask(apis):
    import keras

    masked = keras.layers.Masking()(np.array([[[1.0], [0.0]]], "float32"))
    assert keras.ops.convert_to_numpy(apis.keras_mask(masked)).tolist() == [[True, False]]
    assert apis.keras_mask(keras.ops.zeros((1, 2, 1))) is None


@check("keras_layers.TimeDistributed passes no mask or no `training` to the layer inside")
def call_takes(apis):
    import keras

    dense, dropout = keras.layers.Dense(1), keras.layers.Dropout(0.5)
    assert apis.call_takes(lstm(), "mask")
    assert apis.call_takes(dropout, "training")
    assert not apis.call_takes(dense, "mask")


@check("keras_layers' wrappers with trainable=False train the layer inside")
def layers_inside(apis):
    import keras

    both = keras.layers.Bidirectional(keras.layers.LSTM(2, name="lstm"))
    names = [layer.name for layer in apis.layers_inside(both)]
    assert sorted(names) == ["backward_lstm", "forward_lstm", "lstm_cell", "lstm_cell"]


@check("threads that share a keras_layers.LSTM take each other's dropout masks")
def mask_attribute(apis):
    from keras import ops

    cell = lstm(dropout=0.5, recurrent_dropout=0.5).cell
    cell.get_dropout_mask(ops.ones((2, 4)))
    cell.get_recurrent_dropout_mask(ops.ones((2, 2)))
    assert all(getattr(cell, apis.mask_attribute(kind)) is not None for kind in ("dropout", "recurrent_dropout"))


@check("Keras draws its own dropout masks inside an LSTM, so engines no longer compute with the masks of the job")
def store_dropout_mask(apis):
    from keras import ops

    for kind in ("dropout", "recurrent_dropout"):
        layer = lstm(**{kind: 0.5}, implementation=1)
        inputs, states = ops.ones((2, 4)), [ops.ones((2, 2)), ops.ones((2, 2))]
        size = 4 if kind == "dropout" else 2
        apis.store_dropout_mask(layer.cell, kind, ops.zeros((4, 2, size)))
        dropped = layer.cell(inputs, states, training=True)[0]
        layer.cell.reset_dropout_mask()
        layer.cell.reset_recurrent_dropout_mask()
        zeroed = inputs * 0 if kind == "dropout" else inputs
        cell_states = [states[0] * 0, states[1]] if kind == "recurrent_dropout" else states
        expected = layer.cell(zeroed, cell_states, training=False)[0]
        np.testing.assert_allclose(*(ops.convert_to_numpy(value) for value in (dropped, expected)), rtol=1e-6)


@check("keras_layers.LSTM draws dropout masks although masks are given")
def has_dropout_mask(apis):
    cell = lstm(dropout=0.5).cell
    assert not apis.has_dropout_mask(cell, "dropout")
    cell.get_dropout_mask(np.ones((2, 4), "float32"))
    assert apis.has_dropout_mask(cell, "dropout")


@check("seeds and steps of keras_layers' dropout are not saved")
def saveable(apis):
    import keras

    assert issubclass(keras.layers.Layer, apis.saveable())
    assert not issubclass(keras.random.SeedGenerator, apis.saveable())


@check("optimizer states can be neither set nor compared, and keras_layers' optimizers cannot compute")
def optimizer_slots(apis):
    import keras

    optimizer, variable = adam(amsgrad=True)
    for slot in ("momentum", "velocity", "largest_velocity"):
        assert [each.shape for each in apis.optimizer_slots(optimizer, slot)] == [variable.shape], slot
    sgd, rmsprop = keras.optimizers.SGD(momentum=0.9), keras.optimizers.RMSprop(centered=True)
    for built, slot in ((sgd, "momentum"), (rmsprop, "average_gradient")):
        built.build([variable])
        assert [each.shape for each in apis.optimizer_slots(built, slot)] == [variable.shape], slot


@check("keras_layers' optimizers cannot find the slots of a weight")
def variable_index(apis):
    optimizer, variable = adam()
    assert apis.variable_index(optimizer, variable) == 0


@check("keras_layers' optimizers round learning-rate schedules to float32 on TensorFlow")
def learning_rate_schedule(apis):
    import keras

    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert apis.learning_rate_schedule(adam(learning_rate=schedule)[0]) is schedule
    assert apis.learning_rate_schedule(adam(learning_rate=0.1)[0]) is None


def assert_like_keras(layer, computed):
    """Compare a last output, outputs and states with the answer of Keras's layer."""
    import keras

    inputs = keras.ops.ones((2, 3, 4))
    expected = layer(inputs)
    for actual, desired in zip((computed[1], *computed[2]), expected, strict=True):
        np.testing.assert_allclose(*(keras.ops.convert_to_numpy(value) for value in (actual, desired)), rtol=1e-5)


@check("keras_layers.LSTM and GRU cannot use cuDNN, or PyTorch's fused cell")
def fused_loop(apis):
    import keras
    from keras import ops

    gru = keras.layers.GRU(2, return_sequences=True, return_state=True)
    gru.build((2, 3, 4))
    for layer, count in ((lstm(return_sequences=True, return_state=True), 2), (gru, 1)):
        try:
            computed = apis.fused_loop(layer, ops.ones((2, 3, 4)), [ops.zeros((2, 2))] * count, None)
        except NotImplementedError:
            continue
        assert_like_keras(layer, computed)


@check("keras_layers.LSTM cannot compute at all")
def recurrent_loop(apis):
    from keras import ops

    layer = lstm(return_sequences=True, return_state=True)
    zeros = ops.zeros((2, 2))
    assert_like_keras(layer, apis.recurrent_loop(layer, layer.cell, ops.ones((2, 3, 4)), [zeros, zeros], None))


@check("reports no longer show which kernel computed the LSTMs of Keras")
def record_keras_paths(apis):
    import keras

    def called_fused(path, operator):
        return path(), operator or "fused"

    def entered(layer):
        with apis.record_keras_paths(called_fused) as paths:
            layer(keras.ops.zeros((2, 3, 4)))
        return paths

    assert entered(lstm(use_cudnn=False)) == {"loop"}
    assert entered(lstm(use_cudnn=False, unroll=True)) == {"unrolled"}
    both = keras.layers.Bidirectional(keras.layers.LSTM(2))
    both.build((2, 3, 4))
    assert entered(both) in ({"fused"}, {"loop"})
    if keras.backend.backend() == "torch":
        from multilstm.keras_layers import LSTM

        assert entered(lstm()) == {"fused"}
        assert entered(LSTM(2)) == {"torch.lstm"}


@check("`multilstm doctor` and the parity suite cannot show whether TensorFlow is deterministic", "tensorflow")
def tensorflow_is_deterministic(apis):
    import tensorflow as tf

    assert apis.tensorflow_is_deterministic() is False
    tf.config.experimental.enable_op_determinism()
    assert apis.tensorflow_is_deterministic() is True


@check("models of the engine keras2 take twice the time to build", "tensorflow")
def leave_cudnn_out_of_tf_keras(apis):
    import tensorflow as tf
    import tf_keras

    def operations():
        traced = tf.function(tf_keras.layers.LSTM(2)).get_concrete_function(tf.zeros((2, 3, 4)))
        return {node.op for each in traced.graph.as_graph_def().library.function for node in each.node_def}

    assert "CudnnRNNV3" in operations()
    apis.leave_cudnn_out_of_tf_keras()
    assert "CudnnRNNV3" not in operations()
    assert {"While", "StatelessWhile"} & operations()


@check("reports no longer show which kernels TensorFlow launched on a GPU", "tensorflow")
def read_tensorflow_profile(apis):
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace(planes=[xplane_pb2.XPlane(name="/device:GPU:0")])
    assert [plane.name for plane in apis.read_tensorflow_profile(space.SerializeToString()).planes] == ["/device:GPU:0"]


@check("reports no longer show which kernel computed the LSTMs of PyTorch", "torch")
def record_torch_operators(apis):
    import torch

    with apis.record_torch_operators() as operators:
        torch.ones(2, 2) @ torch.ones(2, 2)
    assert "aten::mm" in operators


@check("keras_layers.LSTM fails under torch.func.vmap and jvp", "torch")
def is_transformed_by_torch(apis):
    import torch

    seen = []

    def function(x):
        seen.append(apis.is_transformed_by_torch([torch.ones(2), x]))
        return x

    x = torch.ones(2)
    torch.func.vmap(function)(x)
    torch.func.jvp(function, (x,), (x,))
    with torch.autograd.forward_ad.dual_level():
        function(torch.autograd.forward_ad.make_dual(x, x))
    function(x.requires_grad_())
    assert seen == [True, True, True, False]


@check("multilstm fuzz --seed draws other models after each import", "jax")
def without_constants_of_modules(apis):
    from hypothesis.internal.conjecture import providers

    found = providers._get_local_constants()
    assert len(found)
    with apis.without_constants_of_modules():
        assert not len(providers._get_local_constants())
    assert providers._get_local_constants() is found


def override(row):
    """Fail unless Keras still declares the method with these parameters, and calls it somewhere."""
    import keras

    owner, _, name = row.owner.partition(".")
    method = getattr(getattr(getattr(keras, owner), name), row.method)
    assert tuple(inspect.signature(method).parameters)[1:] == row.parameters
    sources = pathlib.Path(keras.__file__).parent.glob(f"src/{owner}/**/*.py")
    assert any(f"self.{row.method}(" in source.read_text(encoding="utf-8") for source in sources)


def failure(function, *arguments):
    try:
        function(*arguments)
    except Exception:
        return traceback.format_exc()
    return None


def main(path):
    import keras

    from multilstm.frameworks import private_hypothesis, private_keras, private_tensorflow, private_torch

    backend = keras.backend.backend()
    apis = types.SimpleNamespace(
        **{**vars(private_hypothesis), **vars(private_tensorflow), **vars(private_torch), **vars(private_keras)}
    )
    answers = {name: failure(function, apis) for name, (function, on, _) in CHECKS.items() if backend in on} | {
        row.method: failure(override, row) for row in private_keras.OVERRIDES
    }
    pathlib.Path(path).write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
