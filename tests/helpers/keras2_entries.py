"""Entries of Keras 2's JSON of a model."""

import copy

SCALING = {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None}


def lstm(**changes):
    """Return an LSTM as Keras 2.2.4 writes it."""
    config = {
        "name": "a", "trainable": True, "batch_input_shape": [None, None, 3], "dtype": "float32", "units": 4,
        "return_sequences": False, "return_state": False, "go_backwards": False, "stateful": False, "unroll": False,
        "activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True, "unit_forget_bias": True,
        "kernel_initializer": {"class_name": "VarianceScaling", "config": SCALING},
        "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
        "bias_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": None,
        "recurrent_regularizer": None, "bias_regularizer": None, "activity_regularizer": None,
        "kernel_constraint": None, "recurrent_constraint": None, "bias_constraint": None, "dropout": 0.0,
        "recurrent_dropout": 0.0, "implementation": 1,
    }  # fmt: skip
    config = {key: value for key, value in {**config, **changes}.items() if value != "LEFT OUT"}
    return {"class_name": "LSTM", "config": config}


def stack(*layers, version="2.2.4"):
    config = {"name": "s", "layers": copy.deepcopy(list(layers))}
    return {"class_name": "Sequential", "keras_version": version, "backend": "tensorflow", "config": config}
