"""A program on tf-keras: it updates a weight with optimizers of Keras 2 before 2.11, and writes the weight as JSON.

tests/engines/test_keras2.py runs it in a process of its own. tf-keras keeps arguments in float32.
"""

import json
import pathlib
import sys

import tensorflow as tf
import tf_keras

OPTIMIZERS = tf_keras.optimizers.legacy


def main(asked, answer):
    question = json.loads(pathlib.Path(asked).read_text())
    found = {}
    for name, (kind, arguments) in question["optimizers"].items():
        optimizer = getattr(OPTIMIZERS, kind)(**arguments)
        weight = tf.Variable(question["weight"], dtype="float64")
        for gradient in question["gradients"]:
            optimizer.apply_gradients([(tf.constant(gradient, "float64"), weight)])
        config = {
            key: float(value) if hasattr(value, "dtype") else value for key, value in optimizer.get_config().items()
        }
        found[name] = {"config": config, "weight": weight.numpy().tolist()}
    pathlib.Path(answer).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
