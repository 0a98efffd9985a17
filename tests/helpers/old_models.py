"""Files of Keras 2 with a training configuration, written with h5py alone."""

import json

import keras2_entries
from written_files import by_layer, hdf5, legacy, weights_of

from multilstm.spec import from_json

DENSE = {
    "class_name": "Dense",
    "config": {"name": "head", "units": 2, "activation": "softmax", "use_bias": True, "trainable": True},
}
RMSPROP = {"class_name": "RMSprop", "config": {"lr": 0.01, "rho": 0.9, "decay": 0.05, "epsilon": 1e-07}}
CLIPPED = {**RMSPROP, "config": {**RMSPROP["config"], "clipnorm": 0.05}}


def masking(value=0.0, size=None):
    config = {"name": "mask", "mask_value": value, "trainable": True, "batch_input_shape": [size, None, 3]}
    return {"class_name": "Masking", "config": config}


def training(optimizer, loss="categorical_crossentropy"):
    """Return a training configuration as Keras 2 writes it."""
    return {
        "optimizer_config": optimizer, "loss": loss, "metrics": ["accuracy"], "sample_weight_mode": None,
        "loss_weights": None,
    }  # fmt: skip


def old_file(*layers, version="2.2.4", optimizer=None, loss="categorical_crossentropy"):
    """Return the bytes of an HDF5 file of Keras 2, with weights, and with a training where an optimizer is given."""
    config = keras2_entries.stack(*layers, version=version)
    spec = from_json(config)
    weights = weights_of(spec)
    attributes = {"model_config": json.dumps(config), "keras_version": version, "backend": "tensorflow"}
    if optimizer is not None:
        attributes["training_config"] = json.dumps(training(optimizer, loss))
    return hdf5(legacy(by_layer(spec, weights), **attributes))
