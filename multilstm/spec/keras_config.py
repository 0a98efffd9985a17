"""Keras 3's JSON of a model, to and from a spec: data only, so that a file from a stranger is safe to read.

Nothing that a file names is imported or called. Classes stand on an allowlist (`LAYERS`), arguments are checked one by
one, and whatever multilstm would not execute as Keras does is refused by name rather than dropped. What has no
influence on the mathematics of inference is ignored: seeds of initializers, `build_config`, `compile_config`,
`registered_name`. `from_json(to_json(spec)) == spec` for every spec that `Model` and `Sequential` make.

The format is that of `keras.Model.to_json` (keras/src/saving/serialization_lib.py, keras/src/models/functional.py of
Keras 3.0 to 3.15); Keras 2's differs, and is recognised only in order to be refused with its name.
"""

from __future__ import annotations

import dataclasses
import graphlib
import json
import math
import reprlib
from collections.abc import Mapping
from typing import Any, NoReturn

from multilstm.errors import SpecError, choice
from multilstm.spec.layers import LAYERS, LSTM, Bidirectional, Dense, Embedding, InputLayer, Layer, Tensor
from multilstm.spec.model import Graph, Model, Ref, Sequential

SIZE_LIMIT = 16 * 2**20  # characters; a thousand LSTM layers, as Keras writes them, are 2 million
MODELS = ("Sequential", "Functional", "Model")
POLICIES = ("float32", "float64")
INPUT_DTYPES = {"float32": "float32", "float64": "float32", "int32": "int32", "int64": "int32"}
# What Keras calls an initializer, and the only arguments (but for seeds) under which it is that of the spec.
INITIALIZER_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "Zeros": ("zeros", {}),
    "Ones": ("ones", {}),
    "RandomUniform": ("random_uniform", {"minval": -0.05, "maxval": 0.05}),
    "RandomNormal": ("random_normal", {"mean": 0.0, "stddev": 0.05}),
    "GlorotUniform": ("glorot_uniform", {"input_axes": None, "output_axes": None}),
    "GlorotNormal": ("glorot_normal", {"input_axes": None, "output_axes": None}),
    "HeUniform": ("he_uniform", {"input_axes": None, "output_axes": None}),
    "HeNormal": ("he_normal", {"input_axes": None, "output_axes": None}),
    "LecunUniform": ("lecun_uniform", {"input_axes": None, "output_axes": None}),
    "LecunNormal": ("lecun_normal", {"input_axes": None, "output_axes": None}),
    "Orthogonal": ("orthogonal", {"gain": 1.0}),
    "OrthogonalInitializer": ("orthogonal", {"gain": 1.0}),
}
ALIASES = {"zero": "zeros", "one": "ones", "normal": "random_normal"}
# Arguments that Keras writes and the spec lacks, with the only value that means what the spec means.
FIXED: dict[str, Any] = {
    "trainable": True, "activity_regularizer": None, "sparse": False, "ragged": False, "optional": False,
    "input_tensor": None, "time_major": False, "lora_rank": None, "lora_alpha": None, "quantization_config": None,
    "weights": None,
}  # fmt: skip
SHAPES = ("batch_shape", "batch_input_shape")

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def to_json(graph: Graph) -> str:
    """The model as Keras 3's own JSON, which `keras.models.model_from_json` reads.

    Args:
        graph: any model.

    Returns:
        One line. Layer names, arguments and wiring are kept; dtypes are left to Keras's defaults.
    """
    if graph.sequential:
        layers = [_written(layer) for layer in graph.layers]
        model = {"module": "keras", "class_name": "Sequential", "config": {"name": graph.name, "layers": layers}}
    else:
        model = {"module": "keras.src.models.functional", "class_name": "Functional", "config": _functional(graph)}
    return json.dumps({**model, "registered_name": model["class_name"]}, allow_nan=False)


def from_json(source: str | Mapping[str, Any]) -> Graph:
    """The model that Keras 3's JSON describes.

    Args:
        source: what `keras.Model.to_json` or `to_json` returned, or the same as a dict.

    Raises:
        SpecError: for text that is not JSON, and for all that multilstm does not execute; it says where and what.
    """
    model = _dict(_parsed(source) if isinstance(source, str) else source, "the file")
    name = _class(model, MODELS, "the model")
    config = _dict(model.get("config"), f"config of {name}")
    _fixed(config, "trainable", name)
    _dtype(config.get("dtype"), name)
    entries = config.get("layers")
    if not isinstance(entries, (list, tuple)) or not entries:
        _refuse(f"layers of {name}", entries, "a list of layers")
    title = config.get("name", "model")
    if not isinstance(title, str):
        _refuse(f"name of {name}", title, "text")
    if model.get("keras_version", "3").startswith(("1", "2")) if isinstance(model.get("keras_version"), str) else False:
        raise SpecError(
            f"the file was written by Keras {_show(model['keras_version'])}, whose layers differ (hard_sigmoid, "
            f"time_major); expected Keras 3; load and save it with Keras 3 first"
        )
    return _read_sequential(title, config) if name == "Sequential" else _read_functional(title, config)


# Writing ------------------------------------------------------------------------------------------------------------


def _written(layer: Layer, **changes: Any) -> dict[str, Any]:
    config: dict[str, Any]
    if isinstance(layer, InputLayer):
        config = {"batch_shape": [layer.batch_size, *layer.shape], "dtype": layer.dtype, "name": layer.name}
    else:
        fields = [field.name for field in dataclasses.fields(layer) if field.name not in layer.refused]
        config = {name: getattr(layer, name) for name in fields if name != "name" or layer.name is not None}
    if isinstance(layer, Bidirectional):
        # Keras puts these prefixes there itself. It makes the backward layer only from a forward one that runs forward.
        config["layer"] = _written(layer.layer, **_prefixed("forward_", layer.layer))
        if layer.layer.go_backwards:
            config["backward_layer"] = _written(layer.directions["backward"], **_prefixed("backward_", layer.layer))
    elif isinstance(config.get("layer"), Layer):
        config["layer"] = _written(config["layer"])
    config.update(changes)
    name = type(layer).__name__
    return {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None}


def _prefixed(prefix: str, layer: Layer) -> dict[str, str]:
    return {} if layer.name is None else {"name": prefix + layer.name}


def _functional(graph: Graph) -> dict[str, Any]:
    place: list[tuple[str, int]] = []  # of every call: its layer, and its number among that layer's calls
    nodes: dict[str, list[dict[str, Any]]] = {str(layer.name): [] for layer in graph.layers}
    seen = dict.fromkeys(nodes, 0)

    def history(ref: Ref) -> list[Any]:
        return [*place[ref.call], ref.output]

    def tensor(ref: Ref) -> dict[str, Any]:
        source = graph.layer(graph.calls[ref.call].layer)
        config = {
            "shape": list(graph.tensor_shapes[ref]),
            "dtype": source.dtype if isinstance(source, InputLayer) else "float32",
            "keras_history": history(ref),
        }
        return {"class_name": "__keras_tensor__", "config": config}

    for call in graph.calls:
        place.append((call.layer, seen[call.layer]))
        seen[call.layer] += 1
        if call.inputs:
            given = [tensor(ref) for ref in call.inputs]
            states = {"initial_state": [tensor(ref) for ref in call.initial_state]} if call.initial_state else {}
            nodes[call.layer].append({"args": [given] if len(given) > 1 else given, "kwargs": states})
    inputs = [[name, 0, 0] for name in graph.input_order]
    outputs = [history(ref) for ref in graph.outputs]
    return {
        "name": graph.name,
        "layers": [
            {**_written(layer), "name": layer.name, "inbound_nodes": nodes[str(layer.name)]} for layer in graph.layers
        ],
        "input_layers": inputs if len(inputs) > 1 else inputs[0],
        "output_layers": outputs if len(outputs) > 1 else outputs[0],
    }


# Reading text -------------------------------------------------------------------------------------------------------


def _parsed(text: str) -> Any:
    if len(text) > SIZE_LIMIT:
        raise SpecError(f"the JSON has {len(text):,} characters; expected at most {SIZE_LIMIT:,}")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)
    except SpecError:
        raise
    except RecursionError:
        raise SpecError("the JSON is nested too deeply to be a model") from None
    except ValueError as error:
        raise SpecError(f"this is not JSON: {error}; expected what keras.Model.to_json() returns") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SpecError(f"the JSON gives the key {_show(twice)} twice in one object; expected once")
    return found


def _constant(text: str) -> NoReturn:
    raise SpecError(f"the JSON contains {text}; expected finite numbers only")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _constant(_short.repr_str(text, 1))


# Reading layers -----------------------------------------------------------------------------------------------------


def _layer(entry: Any, where: str, known: tuple[type[Layer], ...] = LAYERS) -> Layer:
    """The layer that `entry`, a dict with `class_name` and `config`, describes."""
    entry = _dict(entry, where)
    config = _dict(entry.get("config"), f"{where}: config")
    name = config.get("name", entry.get("name"))
    where = f"{where} {_show(name)}" if name is not None else where
    classes = {layer.__name__: layer for layer in known}
    layer = classes[_class(entry, tuple(classes), where)]
    where = f"{where} ({layer.__name__})"
    if entry.get("name", name) != name:
        _refuse(f"{where}: name", entry["name"], f"the name {_show(name)} of its config")
    fields = {field.name: field for field in dataclasses.fields(layer)}
    arguments: dict[str, Any] = {} if name is None else {"name": name}
    if layer is InputLayer:
        arguments.update(_input(config, where))
    for key, value in config.items():
        if key == "name" or (key in SHAPES) or (layer is InputLayer and key in (*fields, "shape", "batch_size")):
            continue
        if key == "dtype":
            _dtype(value, where)
        elif key in layer.refused or (key in FIXED and key not in fields):
            _fixed(config, key, where)
        elif key not in fields:
            _refuse(where, key, f"only the arguments {', '.join(fields)}")
        elif key == "layer":
            arguments[key] = _layer(value, f"{where}: layer", (LSTM,) if layer is Bidirectional else (Dense,))
        elif key.endswith("_initializer"):
            arguments[key] = _initializer(value, f"{where}: {key}", fields[key].default)
        elif value is None or isinstance(value, (bool, int, float, str)):
            arguments[key] = value
        else:
            _refuse(f"{where}: {key}", value, "a name, a number, true, false or null")
    for key, field in fields.items():
        if key not in arguments and field.default is dataclasses.MISSING:
            raise SpecError(f"{where}: {key} is missing; given {_show(list(config))}")
    if layer is Bidirectional:
        _check_backward(config.get("backward_layer"), arguments["layer"], where)
        arguments["layer"] = _without(arguments["layer"], "forward_")
    try:
        return layer(**arguments)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def _without(layer: Layer, prefix: str) -> Layer:
    return layer if layer.name is None else dataclasses.replace(layer, name=layer.name.removeprefix(prefix) or None)


def _check_backward(entry: Any, forward: LSTM, where: str) -> None:
    if entry is None:
        return
    given = _layer(entry, f"{where}: backward_layer", (LSTM,))
    expected = dataclasses.replace(forward, go_backwards=not forward.go_backwards)
    for field in dataclasses.fields(LSTM):
        value, wanted = getattr(given, field.name), getattr(expected, field.name)
        if field.name != "name" and value != wanted:
            _refuse(
                f"{where}: backward_layer has its own {field.name}", value, f"{_show(wanted)}, as the forward layer has"
            )


def _input(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    given = next((config[key] for key in SHAPES if config.get(key) is not None), None)
    if given is None and isinstance(config.get("shape"), (list, tuple)):
        given = [config.get("batch_size"), *config["shape"]]
    batch, *shape = _shape(given, f"{where}: batch_shape")
    dtype = config.get("dtype", "float32")
    dtype = _dict(dtype.get("config"), f"{where}: dtype").get("name") if isinstance(dtype, Mapping) else dtype
    if not isinstance(dtype, str) or dtype not in INPUT_DTYPES:
        _refuse(f"{where}: dtype", dtype, f"one of {', '.join(INPUT_DTYPES)}")
    return {"shape": tuple(shape), "batch_size": batch, "dtype": INPUT_DTYPES[dtype]}


def _shape(value: Any, where: str) -> list[int | None]:
    if not isinstance(value, (list, tuple)) or not value or len(value) > 32:
        _refuse(where, value, "a list such as [null, null, 5]")
    for size in value:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 2**31):
            _refuse(where, size, "positive integers below 2**31, or null")
    return list(value)


def _initializer(value: Any, where: str, default: Any) -> str:
    """The spec's name of an initializer, given by name or as a dict with its class and arguments."""
    if isinstance(value, str):
        if value not in INITIALIZER_CLASSES:
            return ALIASES.get(value, value)  # the layer knows the names
        entry: Mapping[str, Any] = {"class_name": value}
    else:
        entry = _dict(value, where)
    name = _class(entry, tuple(INITIALIZER_CLASSES), where)
    found, allowed = INITIALIZER_CLASSES[name]
    for key, given in _dict(entry.get("config") or {}, f"{where}: config").items():
        if key in allowed and (isinstance(given, bool) or given != allowed[key]):
            _refuse(f"{where}: {key} of {name}", given, _show(allowed[key]))
        if key not in allowed and key not in ("seed", "dtype"):
            _refuse(f"{where}: {name}", key, f"only the arguments {', '.join((*allowed, 'seed'))}")
    return "uniform" if found == "random_uniform" and default == "uniform" else found  # one class, two names


# Reading models -----------------------------------------------------------------------------------------------------


def _read_sequential(title: str, config: Mapping[str, Any]) -> Graph:
    layers = [_layer(entry, f"layer {number}") for number, entry in enumerate(config["layers"])]
    if isinstance(layers[0], InputLayer):
        return Sequential(layers, name=title)
    first = config["layers"][0]["config"]
    given = [config.get("build_input_shape"), *(first.get(key) for key in SHAPES)]
    shape = next((_shape(value, "build_input_shape") for value in given if value is not None), None)
    if shape is None:
        raise SpecError("Sequential: its input shape is missing; build the model before to_json(), or give it an Input")
    dtype = "int32" if isinstance(layers[0], Embedding) else "float32"
    return Sequential(layers, input_shape=shape[1:], batch_size=shape[0], input_dtype=dtype, name=title)


Node = tuple[str, int]  # call number n of the layer of that name
History = tuple[Node, int]  # and output number k of it


def _read_functional(title: str, config: Mapping[str, Any]) -> Graph:
    layers: dict[str, Layer] = {}
    nodes: dict[Node, tuple[list[History], list[History]]] = {}
    for number, entry in enumerate(config["layers"]):
        layer = _layer(entry, f"layer {number}")
        name = str(layer.name)
        if layer.name is None or name in layers:
            _refuse(f"name of layer {number}", layer.name, "a name of its own")
        layers[name] = layer
        inbound = entry.get("inbound_nodes", [])
        if not isinstance(inbound, (list, tuple)) or (inbound and isinstance(layer, InputLayer)):
            _refuse(f"layer {_show(name)}: inbound_nodes", inbound, "a list of its calls, empty for an InputLayer")
        if isinstance(layer, InputLayer):
            nodes[name, 0] = ([], [])
        for index, node in enumerate(inbound):
            nodes[name, index] = _node(node, layer, f"layer {_show(name)}, call {index}")
    tensors = _called(layers, nodes)
    inputs = [_tensor(tensors, history) for history in _ends(config.get("input_layers"), "input_layers")]
    outputs = [_tensor(tensors, history) for history in _ends(config.get("output_layers"), "output_layers")]
    return Model(inputs, outputs, title)


def _called(layers: Mapping[str, Layer], nodes: Mapping[Node, tuple[list[History], list[History]]]) -> dict[Node, Any]:
    """What every call returns; the calls may stand in the file in any order."""
    needs = {key: [history[0] for history in (*inputs, *states)] for key, (inputs, states) in nodes.items()}
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        names = sorted({name for name, _ in error.args[1]})
        raise SpecError(
            f"the layers {_show(names)} feed each other in a circle; expected a graph without one"
        ) from None
    tensors: dict[Node, Any] = {}
    for key in order:
        if key not in nodes:
            _refuse("the graph uses call", key, "a layer of the file, and a call that it has")
        inputs, states = ([_tensor(tensors, history) for history in histories] for histories in nodes[key])
        returned = layers[key[0]](inputs, states or None)
        tensors[key] = [returned] if isinstance(returned, Tensor) else returned
    return tensors


def _tensor(tensors: Mapping[Node, Any], history: History) -> Tensor:
    key, output = history
    if key not in tensors or not 0 <= output < len(tensors[key]):
        _refuse("the graph uses tensor", history, "a layer, call and output that exist")
    tensor: Tensor = tensors[key][output]
    return tensor


def _node(node: Any, layer: Layer, where: str) -> tuple[list[History], list[History]]:
    """The inputs and the initial states of one call."""
    if isinstance(node, (list, tuple)):
        _refuse(where, node, "a dict with args and kwargs, as Keras 3 writes it (a list is Keras 2's)")
    node = _dict(node, where)
    args, kwargs = node.get("args"), _dict(node.get("kwargs", {}), f"{where}: kwargs")
    for key, value in kwargs.items():
        if key != "initial_state" and not (value is None or (key == "training" and value is False)):
            _refuse(f"{where}: {key}", value, "only initial_state (a model takes its mask with its inputs)")
    if not isinstance(args, (list, tuple)) or len(args) not in ((1, 2) if layer.state_count else (1,)):
        _refuse(f"{where}: args", args, "a list of one tensor, or of one list of tensors")
    states = kwargs.get("initial_state") if len(args) == 1 else args[1]
    return _histories(args[0], where), _histories(states, f"{where}: initial_state") if states is not None else []


def _histories(value: Any, where: str) -> list[History]:
    found = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(item, Mapping) or item.get("class_name") != "__keras_tensor__":
            _refuse(where, item, "a __keras_tensor__")
        found.append(_history(_dict(item.get("config"), where).get("keras_history"), where))
    return found


def _ends(value: Any, where: str) -> list[History]:
    """`input_layers` or `output_layers`: one `["name", 0, 0]`, or a list of them."""
    if not isinstance(value, (list, tuple)) or not value:
        _refuse(where, value, 'a list such as [["input_layer", 0, 0]]')
    return [_history(item, where) for item in ([value] if isinstance(value[0], str) else value)]


def _history(value: Any, where: str) -> History:
    kinds = [type(item) for item in value] if isinstance(value, (list, tuple)) else []
    if kinds != [str, int, int]:
        _refuse(where, value, 'a layer, a call and an output such as ["lstm", 0, 0]')
    return (value[0], value[1]), value[2]


# Checks -------------------------------------------------------------------------------------------------------------


def _show(value: Any) -> str:
    return _short.repr(value)


def _refuse(where: str, given: Any, expected: str) -> NoReturn:
    raise SpecError(f"{where}: given {_show(given)}; expected {expected}")


def _dict(value: Any, where: str) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _refuse(where, value, "an object with class_name and config")


def _class(entry: Mapping[str, Any], known: tuple[str, ...], where: str) -> str:
    """The class of `entry`, one of Keras's own of that name."""
    name, module = entry.get("class_name"), entry.get("module")
    if not isinstance(name, str) or name not in known:
        raise SpecError(f"{where}: {choice('class', _show(name).strip(chr(39)), known)}")
    if module is not None and (not isinstance(module, str) or module.split(".")[0] not in ("keras", "tf_keras")):
        _refuse(f"{where}: module of class {name}", module, "Keras's own class, whose module is within keras")
    return name


def _fixed(config: Mapping[str, Any], key: str, where: str) -> None:
    expected = FIXED.get(key)
    if config.get(key, expected) is not expected:
        _refuse(f"{where}: {key} is not executed by multilstm", config[key], f"{_show(expected)}, or nothing")


def _dtype(value: Any, where: str) -> None:
    """Refuses what computes in parts in another dtype; multilstm computes everything in the job's own."""
    name = _dict(value.get("config"), f"{where}: dtype").get("name") if isinstance(value, Mapping) else value
    if name is not None and (not isinstance(name, str) or name not in POLICIES):
        _refuse(f"{where}: dtype policy", name, f"one of {', '.join(POLICIES)} (a job has its own dtype)")
