"""Writes the files of this folder: one program for each library, since each needs an environment of its own.

    python tests/files/made/make.py keras      # with Keras 3: NAME is keras-VERSION
    python tests/files/made/make.py tf_keras   # with tf-keras: NAME is tf_keras-VERSION
    python tests/files/made/make.py torch      # with PyTorch: NAME is torch-VERSION
    python tests/files/made/make.py onnx       # with ONNX and ONNX Runtime: NAME is onnx-VERSION

Each model has random weights. `NAME.npz` holds an input and the output of the library that wrote the file.
"""

import pathlib
import sys

import numpy as np

FOLDER = pathlib.Path(__file__).parent
X = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)


def write_keras(keras, name, suffixes):
    """Write a functional model whose layers are not in alphabetical order, and whose weights all differ."""
    layers = keras.layers
    inputs = keras.Input((None, 3))
    x = layers.LSTM(2, return_sequences=True, dropout=0.1, name="zz")(inputs)
    x, hidden, cell = layers.LSTM(2, return_sequences=True, return_state=True, name="states")(x)
    x = layers.LSTM(2, return_sequences=True, name="aa")(x, initial_state=[hidden, cell])
    x = layers.Bidirectional(layers.LSTM(2), name="both")(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) if w.dtype != np.uint32 else w for w in model.get_weights()])
    np.savez(FOLDER / f"{name}.npz", x=X, y=model.predict(X, verbose=0))
    (FOLDER / f"{name}.json").write_text(model.to_json() + "\n")
    for suffix in suffixes:
        (model.save_weights if "weights" in suffix else model.save)(FOLDER / f"{name}{suffix}")


def write_nested(keras, name):
    """Write models inside a model: one called twice, one inside TimeDistributed, and one that is not trained."""
    layers = keras.layers
    inputs = keras.Input((4, 3))
    twice = keras.Sequential(
        [keras.Input((4, 3)), layers.BatchNormalization(name="norm"), layers.Conv1D(3, 2, padding="same", name="a")],
        name="twice",
    )
    frames = [layers.Reshape((3, 1, 1), name="image"), layers.Conv2D(2, (2, 1), name="a"),
              layers.BatchNormalization(name="norm"), layers.MaxPooling2D((2, 1), name="pool"),
              layers.Flatten(name="flat")]  # fmt: skip
    each = layers.TimeDistributed(keras.Sequential(frames, name="frames"), name="each")
    source = keras.Input((4, 2))
    read = layers.Bidirectional(layers.LSTM(2), name="both")(source)
    tail = keras.Model(source, layers.Dense(2, name="head")(read), name="tail")
    tail.trainable = False
    model = keras.Model(inputs, layers.Dense(2, name="head")(tail(each(twice(twice(inputs))))))
    rng = np.random.default_rng(1)
    model.set_weights([0.5 * rng.normal(size=w.shape) ** 2 + 0.1 for w in model.get_weights()])
    np.savez(FOLDER / f"{name}.nested.npz", x=X, y=model.predict(X, verbose=0))
    (FOLDER / f"{name}.nested.json").write_text(model.to_json() + "\n")
    model.save(FOLDER / f"{name}.nested.keras")
    model.save(FOLDER / f"{name}.nested.h5")
    model.save_weights(FOLDER / f"{name}.nested.weights.h5")


def write_documents(keras, name):
    """Write documents of sentences: a model inside masks the words, and an LSTM reads the sentences."""
    layers = keras.layers
    word = keras.Input((5,), dtype="int32")
    table = layers.Embedding(9, 3, mask_zero=True, name="table")(word)
    deep = layers.LSTM(2, name="zz")(layers.Dropout(0.5, name="drop")(layers.Dense(3, name="dense")(table)))
    flat = layers.LSTM(2, go_backwards=True, dropout=0.1, name="aa")(table)
    sentence = keras.Model(word, layers.Concatenate(name="both")([deep, flat]), name="sentence")
    tokens = keras.Input((4, 5), dtype="int32")
    read = layers.TimeDistributed(sentence, name="sentences")(tokens)
    pages = keras.Sequential(
        [layers.Embedding(9, 2, mask_zero=True, name="table"), layers.GRU(2, name="gru")], name="words"
    )
    pages = layers.TimeDistributed(layers.TimeDistributed(pages, name="inner"), name="pages")
    page = layers.Reshape((4, 2), name="flat")(pages(layers.Reshape((2, 2, 5), name="halves")(tokens)))
    both = layers.LSTM(2, name="document")(layers.Concatenate(name="join")([read, page]))
    model = keras.Model(tokens, layers.Dense(2, name="head")(both))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) if w.dtype != np.uint32 else w for w in model.get_weights()])
    x = rng.integers(1, 9, (3, 4, 5)).astype(np.int32)
    x[0, 1, 3:] = x[0, 2, 1] = x[1, 0, :2] = x[1, 2] = x[2, 3] = 0
    np.savez(FOLDER / f"{name}.documents.npz", x=x, y=model.predict(x, verbose=0))
    (FOLDER / f"{name}.documents.json").write_text(model.to_json() + "\n")
    for suffix in (".keras", ".h5", ".weights.h5"):
        (model.save_weights if "weights" in suffix else model.save)(FOLDER / f"{name}.documents{suffix}")


def write_operations(keras, name):
    """Write operators on tensors and functions of `keras.ops` between layers; the first ones act behind a mask."""
    layers, ops = keras.layers, keras.ops
    inputs = keras.Input((4, 3))
    first = layers.LSTM(2, return_sequences=True, name="zz")(layers.Masking(name="masking")(inputs))
    second = layers.LSTM(2, return_sequences=True, name="aa")(first + first * ops.sigmoid(first))
    last = second[:, -1]
    means = [ops.mean(second, axis=1), ops.max(first - second, axis=1), ops.squeeze(ops.expand_dims(last, 1), axis=1)]
    products = ops.reshape(ops.matmul(first, ops.transpose(second, (0, 2, 1))), (-1, 16))
    parts = [last, *means, ops.tanh(products), first[:, 1:, 0], second[..., None, :1][:, 0, 0]]
    model = keras.Model(inputs, layers.Dense(2, name="head")(ops.concatenate(parts, axis=-1)))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    x = np.where(np.arange(4)[None, :, None] < np.array([2, 4])[:, None, None], X, 0.0).astype(np.float32)
    np.savez(FOLDER / f"{name}.operations.npz", x=x, y=model.predict(x, verbose=0))
    model.save(FOLDER / f"{name}.operations.keras")


def write_opaque(keras, name):
    """Write layers that the spec does not describe around an LSTM."""
    layers = keras.layers
    inputs = keras.Input((None, 3))
    x = layers.SeparableConv1D(4, 2, activation="tanh", name="conv")(inputs)
    x = layers.LSTM(4, return_sequences=True, name="lstm")(layers.UnitNormalization(name="unit")(x))
    x = layers.Add(name="sum")([x, layers.MultiHeadAttention(2, 3, name="attention")(x, x)])
    x = layers.GlobalAveragePooling1D(name="mean")(layers.PReLU(shared_axes=[1], name="prelu")(x))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    np.savez(FOLDER / f"{name}.opaque.npz", x=X, y=model.predict(X, verbose=0))
    model.save(FOLDER / f"{name}.opaque.keras")
    model.save(FOLDER / f"{name}.opaque.h5")


def write_cudnn(keras, tensorflow, name):
    """Write a CuDNNLSTM, which runs on no CPU; a plain LSTM that loads the file gives the answer."""
    model = keras.Sequential([keras.Input((None, 3)), tensorflow.compat.v1.keras.layers.CuDNNLSTM(2, name="cudnn")])
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    model.save_weights(FOLDER / f"{name}.cudnn.h5")
    model.save(FOLDER / f"{name}.cudnn_model.h5")
    plain = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(2, name="cudnn")])
    plain.load_weights(FOLDER / f"{name}.cudnn.h5")
    np.savez(FOLDER / f"{name}.cudnn.npz", x=X, y=plain.predict(X, verbose=0))


def write_torch(torch, name):
    """Write the state dict of two LSTMs and a Linear in every format of `torch.save`, and as safetensors."""
    import safetensors.torch

    torch.manual_seed(0)
    below, above = torch.nn.LSTM(3, 2, 2, batch_first=True), torch.nn.LSTM(2, 2, batch_first=True, bidirectional=True)
    model = torch.nn.ModuleDict({"below": below, "above": above, "head": torch.nn.Linear(4, 2)})
    y = model["head"](above(below(torch.tensor(X))[0])[0])
    np.savez(FOLDER / f"{name}.npz", x=X, y=y.detach().numpy())
    state = model.state_dict()
    torch.save(state, FOLDER / f"{name}.pt")
    torch.save(state, FOLDER / f"{name}.old.pt", _use_new_zipfile_serialization=False)
    optimizer = torch.optim.Adam(model.parameters())
    y.sum().backward()
    optimizer.step()
    state = {key: value - 0 for key, value in state.items()}  # the step has changed the tensors of `state` in place
    whole = {"epoch": 3, "state_dict": torch.load(FOLDER / f"{name}.pt"), "optimizer_states": [optimizer.state_dict()]}
    torch.save(whole, FOLDER / f"{name}.ckpt")
    safetensors.torch.save_file(torch.load(FOLDER / f"{name}.pt"), FOLDER / f"{name}.safetensors")
    flat = torch.cat([value.reshape(-1) for value in whole["state_dict"].values()])
    shared, start = {}, 0
    for key, value in whole["state_dict"].items():  # one storage, with offsets, and strides that are not C's
        part = flat[start : start + value.numel()]
        shared[key] = part.view(value.shape) if value.ndim < 2 else value.T.contiguous().T
        start += value.numel()
    torch.save(shared, FOLDER / f"{name}.shared.pt")


def write_onnx(onnx, name):
    """Write an LSTM, a bidirectional LSTM, a MatMul with an Add and a Gemm; ONNX Runtime gives the answer."""
    import onnxruntime

    make, rng = onnx.helper.make_node, np.random.default_rng(3)
    shapes = {"W": (1, 8, 3), "R": (1, 8, 2), "B": (1, 16), "W2": (2, 8, 2), "R2": (2, 8, 2), "B2": (2, 16)}
    shapes |= {"K": (4, 3), "b": (3,), "G": (2, 3), "g": (2,)}
    weights = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    lists = {"one": [1], "rows": [-1, 3], "flat": [0, 0, -1]}
    nodes = [
        make("LSTM", ["x", "W", "R", "B"], ["y1"], "first", hidden_size=2),
        make("Squeeze", ["y1", "one"], ["y2"]),
        make("LSTM", ["y2", "W2", "R2", "B2"], ["y3"], "second", hidden_size=2, direction="bidirectional"),
        make("Transpose", ["y3"], ["y4"], perm=[0, 2, 1, 3]),
        make("Reshape", ["y4", "flat"], ["y5"]),
        make("MatMul", ["y5", "K"], ["y6"], "third"),
        make("Add", ["y6", "b"], ["y7"]),
        make("Reshape", ["y7", "rows"], ["y8"]),
        make("Gemm", ["y8", "G", "g"], ["y"], "fourth", transB=1),
    ]
    constants = [onnx.numpy_helper.from_array(array, key) for key, array in weights.items()]
    constants += [onnx.numpy_helper.from_array(np.array(values), key) for key, values in lists.items()]
    ends = [onnx.helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, None) for key in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "graph", ends[:1], ends[1:], constants)
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="make.py")
    onnx.save(model, FOLDER / f"{name}.onnx")
    session = onnxruntime.InferenceSession(FOLDER / f"{name}.onnx", providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": X.swapaxes(0, 1)})
    np.savez(FOLDER / f"{name}.npz", x=X, y=y.reshape(X.shape[1], X.shape[0], 2).swapaxes(0, 1))


def main(library):
    """Write the files of a library."""
    if library == "torch":
        import torch

        write_torch(torch, f"torch-{torch.__version__.split('+')[0]}")
    elif library == "onnx":
        import onnx

        write_onnx(onnx, f"onnx-{onnx.__version__}")
    elif library == "tf_keras":
        import tensorflow
        import tf_keras

        name = f"tf_keras-{tf_keras.__version__}"
        write_keras(tf_keras, name, (".keras", ".h5", ".weights.h5", ".legacy_weights.h5"))
        write_cudnn(tf_keras, tensorflow, name)
        write_nested(tf_keras, name)
        write_documents(tf_keras, name)
    else:
        import keras

        legacy = () if keras.__version__.startswith("3.0.") else (".h5",)  # which fails to write this model
        write_keras(keras, f"keras-{keras.__version__}", (".keras", *legacy, ".weights.h5"))
        write_nested(keras, f"keras-{keras.__version__}")
        write_documents(keras, f"keras-{keras.__version__}")
        write_operations(keras, f"keras-{keras.__version__}")
        write_opaque(keras, f"keras-{keras.__version__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
