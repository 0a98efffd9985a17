"""An RNN around cells, as the layer that it means: `RNN(LSTMCell(4))` is `LSTM(4)`.

An RNN of several cells is a stack of layers, each of which returns its sequences to the next one: a Sequential inside
the model. Weights have the same order, cell after cell. Keras's loop of an RNN computes what the layers compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multilstm.json_data.parsing import DEPTH_LIMIT
from multilstm.spec.json_values import as_dict, class_of, objects, refuse

__all__ = ["without_cells"]

LAYER_OF = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}
STACK = "StackedRNNCells"
FIRST = ("batch_shape", "batch_input_shape", "input_shape", "input_dim", "input_length")  # of a stack's first layer
PASSED = ("stateful", "unroll", "time_major", "dtype")  # arguments of the RNN that every layer of a stack gets


def without_cells(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON of a model with every RNN of cells as the layer, or the stack of layers, that it means.

    Raises:
        SpecError: for a cell of another class, and for an option of a stack without a meaning for its layers.
    """
    if not any(entry.get("class_name") == "RNN" for entry in objects(model)):
        return model
    return as_dict(_without(model, 0), "the model")


def _without(value: Any, depth: int) -> Any:
    if depth > DEPTH_LIMIT:
        refuse("the model", depth, f"at most {DEPTH_LIMIT} objects and lists inside one another")
    if isinstance(value, Mapping):
        value = {key: _without(item, depth + 1) for key, item in value.items()}
        return _translated(value) if value.get("class_name") == "RNN" else value
    return [_without(item, depth + 1) for item in value] if isinstance(value, (list, tuple)) else value


def _translated(entry: Mapping[str, Any]) -> dict[str, Any]:
    config = as_dict(entry.get("config"), "RNN: config")
    name = config.get("name", entry.get("name"))
    where = f"layer {name!r} (RNN)" if isinstance(name, str) else "RNN"
    class_of(entry, ("RNN",), where)
    cells = _cells(config.get("cell"), where)
    options = {key: option for key, option in config.items() if key != "cell"}
    kept = {key: item for key, item in entry.items() if key not in ("class_name", "config", "registered_name")}
    if len(cells) == 1:
        return {**kept, **_layer(cells[0], options, where), "written": "RNN"}
    return {
        **kept,
        "class_name": "Sequential",
        "written": "RNN",
        "config": {"name": name, "layers": _stack(cells, options, where)},
    }


def _cells(cell: Any, where: str) -> Sequence[Any]:
    """Return the cells of an RNN: one, or those of a stack."""
    kind = class_of(as_dict(cell, f"{where}: cell"), (*LAYER_OF, STACK), f"{where}: cell")
    if kind != STACK:
        return [cell]
    cells = as_dict(cell.get("config"), f"{where}: cell").get("cells")
    if not isinstance(cells, (list, tuple)) or not cells:
        refuse(f"{where}: cells", cells, "a list of cells")
    return cells


def _layer(cell: Any, options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the entry of the layer of one cell; frozen if the cell is."""
    kind = class_of(as_dict(cell, f"{where}: cell"), tuple(LAYER_OF), f"{where}: cell")
    config = dict(as_dict(cell.get("config"), f"{where}: cell"))
    trainable = config.pop("trainable", True) and options.get("trainable", True)
    for key in ("name", "dtype", "build_config"):
        config.pop(key, None)
    return {"class_name": LAYER_OF[kind], "written": kind, "config": {**config, **options, "trainable": trainable}}


def _stack(cells: Sequence[Any], options: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Return the entries of a stack of layers; the last one has the options of the RNN."""
    for option in ("go_backwards", "return_state"):
        if options.get(option, False) is not False:
            refuse(
                f"{where}: {option} of several cells is not executed by multilstm",
                options[option],
                "False; give each cell a layer of its own",
            )
    layers = []
    for number, cell in enumerate(cells):
        last = number == len(cells) - 1
        passed = {key: value for key, value in options.items() if last or key in PASSED}
        first = {key: options[key] for key in FIRST if key in options}
        passed = {**{key: value for key, value in passed.items() if key not in FIRST}, **({} if number else first)}
        passed |= {"name": f"{options.get('name', 'rnn')}_cell_{number + 1}"}
        passed |= {"trainable": options.get("trainable", True)}
        layers.append(_layer(cell, passed if last else {**passed, "return_sequences": True}, where))
    return layers
