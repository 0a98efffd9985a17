"""Files of Keras on Theano: kernels that are reversed, and padding that is not TensorFlow's."""

import numpy as np
import pytest
from written_files import by_layer, hdf5, legacy, weights_of

from multilstm import LSTM, Sequential, TimeDistributed, load
from multilstm.errors import InputError
from multilstm.spec import AveragePooling1D, Conv1D, Conv2D, ConvLSTM2D, DepthwiseConv2D, Flatten, MaxPooling2D

IMAGES = (4, 6, 5, 2)
SAME = {"padding": "same", "name": "layer"}


def written(tmp_path, spec, backend):
    path = tmp_path / "old.h5"
    path.write_bytes(hdf5(legacy(by_layer(spec, weights_of(spec)), keras_version="2.1.6", backend=backend)))
    return load(path, architecture=spec)


REVERSED = {
    "conv1d": (Sequential([Conv1D(2, 3, name="layer")], (6, 3)), 1),
    "conv2d": (Sequential([Conv2D(2, (3, 2), name="layer")], IMAGES[1:]), 2),
    "distributed_conv1d": (Sequential([TimeDistributed(Conv1D(2, 3), name="layer")], (4, 6, 3)), 1),
    "distributed_conv2d": (Sequential([TimeDistributed(Conv2D(2, (3, 2)), name="layer")], IMAGES), 2),
    "depthwise": (Sequential([DepthwiseConv2D((3, 2), name="layer")], IMAGES[1:]), 0),
}


@pytest.mark.parametrize("backend", ["theano", "tensorflow"])
@pytest.mark.parametrize(("spec", "axes"), REVERSED.values(), ids=REVERSED)
def test_kernels_are_reversed_that_theano_reverses(tmp_path, spec, axes, backend):
    (name,) = [name for name in spec.weight_shapes if name.endswith("kernel")]
    kernel = weights_of(spec)[name]
    expected = np.flip(kernel, range(axes if backend == "theano" else 0))
    np.testing.assert_array_equal(written(tmp_path, spec, backend).weights[name], expected)


PADDED = {
    "even_kernel": (Conv1D(2, 4, **SAME), (6, 3)),
    "strides": (Conv1D(2, 3, strides=2, **SAME), (6, 3)),
    "dilation": (Conv1D(2, 3, dilation_rate=2, **SAME), (6, 3)),
    "even_kernel_of_an_image": (Conv2D(2, (3, 2), **SAME), IMAGES[1:]),
    "distributed": (TimeDistributed(Conv1D(2, 4, padding="same"), name="layer"), (4, 6, 3)),
    "state_of_an_image": (ConvLSTM2D(2, (2, 3), name="layer"), IMAGES),
    "pooling": (AveragePooling1D(2, **SAME), (6, 3)),
    "pooling_of_an_image": (MaxPooling2D(2, **SAME), IMAGES[1:]),
}


@pytest.mark.parametrize(("layer", "shape"), PADDED.values(), ids=PADDED)
def test_padding_that_is_not_tensorflow_s_is_refused(tmp_path, layer, shape):
    behind = [LSTM(2)] if len(shape) == 2 else [Flatten()]
    spec = Sequential([layer, *behind], shape)
    written(tmp_path, spec, "tensorflow")
    with pytest.raises(InputError, match=r"'layer': .*Theano, which then pads otherwise"):
        written(tmp_path, spec, "theano")


@pytest.mark.parametrize(
    "layer",
    [Conv1D(2, 3, **SAME), Conv1D(2, 4), Conv1D(2, 4, padding="causal"), AveragePooling1D(2)],
    ids=["odd_kernel", "valid", "causal", "valid_pooling"],
)
def test_padding_that_is_the_same_is_read(tmp_path, layer):
    written(tmp_path, Sequential([layer, LSTM(2)], (6, 3)), "theano")
