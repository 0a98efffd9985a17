"""Files of Keras's formats, written with zipfile and h5py alone, so that a unit test needs no Keras."""

import io
import json
import zipfile

import h5py
import numpy as np

from multilstm.spec import LSTM, Bidirectional, Dense, Sequential, TimeDistributed
from multilstm.spec.building import snake_case

SPEC = Sequential(
    [
        LSTM(3, return_sequences=True, name="lower"),
        Bidirectional(LSTM(2, return_sequences=True), name="both"),
        TimeDistributed(Dense(4), name="each"),
        LSTM(2, name="upper"),
        Dense(2, name="head"),
    ],
    input_shape=(None, 5),
    name="written",
)
METADATA = {"keras_version": "3.8.0", "date_saved": "2026-01-01@00:00:00"}


def weights_of(spec, dtype="float32", seed=0):
    """Return different numbers for every weight."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in spec.weight_shapes.items()}


def hdf5(write):
    """Return the bytes of the HDF5 file that `write(root)` fills."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as root:
        write(root)
    return stream.getvalue()


def archive(members, **options):
    """Return the bytes of a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


def tree(spec, weights, root="layers"):
    """Return a function that writes weights as Keras 3: by class and occurrence."""

    def write(file):
        counts = {}
        for layer in spec.layers:
            base = snake_case(type(layer).__name__)
            number = counts[base] = counts.get(base, -1) + 1
            group = f"{root}/{base}_{number}" if number else f"{root}/{base}"
            file.require_group(group)
            places = {}
            for name in [name for name in weights if name.startswith(f"{layer.name}/")]:
                direction = name.split("/")[1] if name.count("/") == 2 else ""
                part = {"": group, "forward": f"{group}/forward_layer", "backward": f"{group}/backward_layer"}[
                    direction
                ]
                part += "/layer" if isinstance(layer, TimeDistributed) else "/cell" if layer.recurrent else ""
                place = places[part] = places.get(part, -1) + 1
                file[f"{part}/vars/{place}"] = weights[name]

    return write


def keras_archive(spec, weights, **members):
    """Return the bytes of a `.keras` file."""
    content = {
        "metadata.json": json.dumps(METADATA),
        "config.json": spec.to_json(),
        "model.weights.h5": hdf5(tree(spec, weights)),
    }
    return archive({**content, **members})


def legacy(layers, **attributes):
    """Return a function that writes the legacy format: for each layer, its arrays by name, in order."""

    def write(file):
        group = file.require_group("model_weights") if "model_config" in attributes else file
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, arrays in layers.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                inner[name] = array
        for name, value in attributes.items():
            file.attrs[name] = value

    return write


def by_layer(spec, weights, counter=""):
    """Return weights by layer, under names as Keras 2 makes them: with counters, in an order that is not sorted."""
    layers = {}
    for layer in spec.layers:
        names = [name for name in weights if name.startswith(f"{layer.name}/")]
        layers[layer.name] = {
            f"{layer.name}{counter}/{9 - k}_{name.split('/')[-1]}:0": weights[name] for k, name in enumerate(names)
        }
    return layers
