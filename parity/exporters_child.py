"""Exports models by one exporter, and executes the results; it runs in the Python of the exporter's environment.

    KERAS_BACKEND=torch python parity/exporters_child.py ASKED.json FOLDER

ASKED.json is a list. An entry names the exporter, the configuration of a model, its weights and inputs. The answer to
entry N is FOLDER/N.json. This program needs neither multilstm nor the framework of any other exporter.
"""

import base64
import collections
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import re
import sys
import time

import numpy as np

LOOPS = ("Loop", "Scan", "If", "TensorIterator", "WHILE", "IF")
FUSED = ("LSTM", "LSTMSequence", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM")
PACKAGES = (
    "keras", "tensorflow-cpu", "jax", "torch", "flax", "onnx", "onnxruntime", "tf2onnx", "jax2onnx", "onnxscript",
    "openvino", "litert-torch", "ai-edge-litert",
)  # fmt: skip


def main(asked_path, folder):
    for number, asked in enumerate(json.loads(pathlib.Path(asked_path).read_text())):
        files = pathlib.Path(folder) / f"files_{number}"
        files.mkdir()
        (pathlib.Path(folder) / f"{number}.json").write_text(json.dumps(answered(asked, files)))


def answered(asked, folder):
    """Return the answer to one entry."""
    answer = {"versions": versions()}
    start = time.perf_counter()
    try:
        run, nodes = EXPORTERS[asked["exporter"]](asked, folder)
    except Exception as error:
        answer["refused"] = said(error)
    else:
        answer |= {"nodes": nodes, "seconds": time.perf_counter() - start, "runs": {}}
        for name, arrays in asked["runs"].items():
            inputs = [np.asarray(array["values"], array["dtype"]) for array in arrays]
            try:
                outputs = run(inputs)
                answer["runs"][name] = {"outputs": [np.asarray(output, np.float64).tolist() for output in outputs]}
            except Exception as error:
                answer["runs"][name] = {"error": said(error)}
    return answer


def said(error):
    """Return the class and the message of an exception, and those of the exception that caused it."""
    plain = re.sub(r"\x1b\[\d*m", "", str(error))  # without colours
    text = f"{type(error).__name__}: {' '.join(plain.split())}"[:300]
    cause = error.__cause__
    return text if cause is None else f"{type(error).__name__}: caused by {said(cause)}"[:300]


def versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def keras_model(asked):
    import keras

    keras.backend.clear_session()
    model = keras.models.model_from_json(asked["config"])
    for name, arrays in asked["weights"].items():
        model.get_layer(name).set_weights([np.asarray(array, "float32") for array in arrays])
    first = next(iter(asked["runs"].values()))
    model([np.asarray(array["values"], array["dtype"]) for array in first])  # Keras exports no model without a call
    return model


def signature(asked):
    """Return the argument that fixes the axes: Keras forgets the batch size of an Input."""
    import keras

    if any(None in row["shape"] for row in asked["inputs"]):
        return {}
    return {"input_signature": [keras.InputSpec(row["dtype"], row["shape"]) for row in asked["inputs"]]}


# --- Keras's own export


def keras_onnx(asked, folder):
    path = folder / "model.onnx"
    keras_model(asked).export(str(path), format="onnx", verbose=False, **signature(asked))
    return onnx_runner(path)


def keras_openvino(asked, folder):
    import openvino

    path = folder / "model.xml"
    keras_model(asked).export(str(path), format="openvino", verbose=False, **signature(asked))
    model = openvino.Core().read_model(str(path))
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = collections.Counter(node.get_type_name() for node in model.get_ordered_ops())
    return (lambda inputs: [value.copy() for value in compiled(inputs).values()]), kept(kinds)


def keras_litert(asked, folder):
    path = folder / "model.tflite"
    keras_model(asked).export(str(path), format="litert", verbose=False, **signature(asked))
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    else:
        import tensorflow

        Interpreter = tensorflow.lite.Interpreter  # noqa: N806 - a lazy attribute, which `from` does not import
    interpreter = Interpreter(model_path=str(path))
    kinds = collections.Counter(row["op_name"] for row in interpreter._get_ops_details())

    def run(inputs):
        details = sorted(interpreter.get_input_details(), key=lambda row: row["name"])
        for row, array in zip(details, inputs, strict=True):
            if tuple(row["shape"]) != array.shape:
                interpreter.resize_tensor_input(row["index"], array.shape, strict=True)  # free axes alone
        interpreter.allocate_tensors()
        for row, array in zip(details, inputs, strict=True):
            interpreter.set_tensor(row["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(row["index"]).copy() for row in interpreter.get_output_details()]

    return run, kept(kinds)


# --- exporters of modules, which multilstm wrote for the same model


def module_of(asked, folder):
    path = folder / "port.py"
    path.write_text(asked["source"])
    spec = importlib.util.spec_from_file_location("port", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def torch_module(asked, folder):
    import torch

    model = module_of(asked, folder).Model()
    state = {name: torch.tensor(np.asarray(array, "float32")) for name, array in asked["parameters"].items()}
    model.load_state_dict(state)
    samples = [
        torch.zeros([size or 2 for size in row["shape"]], dtype=getattr(torch, row["dtype"])) for row in asked["inputs"]
    ]
    if any(row["dtype"] == "int32" for row in asked["inputs"]):
        samples = [torch.ones_like(sample) if sample.dtype == torch.int32 else sample for sample in samples]
    return model.eval(), tuple(samples)


def free_axes(asked):
    names = ("batch", "time")
    return [
        {axis: names[axis] if axis < 2 else f"axis_{axis}" for axis, size in enumerate(row["shape"]) if size is None}
        for row in asked["inputs"]
    ]


def torch_dynamo(asked, folder):
    import torch

    model, samples = torch_module(asked, folder)
    axes = [dict.fromkeys(row, torch.export.Dim.DYNAMIC) for row in free_axes(asked)]
    options = {"dynamic_shapes": tuple(axes)} if any(axes) else {}
    program = torch.onnx.export(model, samples, dynamo=True, verbose=False, **options)
    path = folder / "model.onnx"
    program.save(str(path))
    return onnx_runner(path)


def torch_script(asked, folder):
    import torch

    model, samples = torch_module(asked, folder)
    names = [f"input_{number}" for number in range(len(samples))]
    axes = {name: row for name, row in zip(names, free_axes(asked), strict=True) if row}
    path = folder / "model.onnx"
    torch.onnx.export(model, samples, str(path), dynamo=False, input_names=names, dynamic_axes=axes)
    return onnx_runner(path)


def jax2onnx_flax(asked, folder):
    import jax
    import jax2onnx
    from flax import nnx
    from flax.traverse_util import unflatten_dict

    model = module_of(asked, folder).Model(rngs=nnx.Rngs(0))
    parameters = {name: np.asarray(array, "float32") for name, array in asked["parameters"].items()}
    nnx.update(model, unflatten_dict(parameters, sep="."))
    model.eval()
    inputs = [
        jax.ShapeDtypeStruct(tuple(axes.get(axis, size) for axis, size in enumerate(row["shape"])), row["dtype"])
        for row, axes in zip(asked["inputs"], free_axes(asked), strict=True)
    ]
    # Every nnx.RNN keeps a key, for the start of its carry. The exporter takes no constant of this type, but its data.
    definition, keys, state = nnx.split(model, nnx.RngKey, ...)
    data = jax.tree.map(jax.random.key_data, keys)

    def forward(*arrays):
        wrapped = jax.tree.map(jax.random.wrap_key_data, data)
        return nnx.merge(definition, wrapped, state, copy=True)(*arrays)  # of this trace: it counts its draws

    path = folder / "model.onnx"
    jax2onnx.to_onnx(forward, inputs=inputs, return_mode="file", output_path=str(path))
    return onnx_runner(path)


def given_file(asked, folder):
    path = folder / "model.onnx"
    path.write_bytes(base64.b64decode(asked["content"]))
    return onnx_runner(path)


# --- the results


def onnx_runner(path):
    import onnx
    import onnxruntime

    kinds = collections.Counter()

    def count(graph):
        for node in graph.node:
            kinds[node.op_type] += 1
            for attribute in node.attribute:
                for inner in (attribute.g, *attribute.graphs):
                    count(inner)

    model = onnx.load(str(path))
    count(model.graph)
    for function in model.functions:
        kinds.update(node.op_type for node in function.node)
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [row.name for row in session.get_inputs()]
    return (lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))), kept(kinds)


def kept(kinds):
    """Return the counts of the nodes that tell a fused LSTM from a loop, and of all products of matrices."""
    counts = {name: kinds[name] for name in (*FUSED, *LOOPS) if kinds[name]}
    flex = sum(number for name, number in kinds.items() if name.startswith("Flex"))
    products = sum(kinds[name] for name in ("MatMul", "Gemm", "FULLY_CONNECTED", "BATCH_MATMUL"))
    return {**counts, **({"Flex": flex} if flex else {}), "products": products}


EXPORTERS = {
    "keras-onnx": keras_onnx,
    "keras-openvino": keras_openvino,
    "keras-litert": keras_litert,
    "torch.onnx-dynamo": torch_dynamo,
    "torch.onnx-torchscript": torch_script,
    "jax2onnx": jax2onnx_flax,
    "file": given_file,
}

if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    main(*sys.argv[1:])
