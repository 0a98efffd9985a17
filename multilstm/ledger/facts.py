"""What is true of a case at each of its layers: the conditions that rows of the ledger name.

A fact is certain, from the spec, the batches, the dtype, loss and optimizer of the case; or it is open, since it is the
user's to decide: a model alone does not say how it will be trained, or in which precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from multilstm.cases.case import Case, Fit
from multilstm.jobs.job import Batch
from multilstm.spec import LSTM, Activation, Bidirectional, Dense, Embedding, Graph, Layer, Masking, TimeDistributed
from multilstm.spec.arrays import Array
from multilstm.spec.optimizers import SGD
from multilstm.spec.penalties import Regularizer
from multilstm.spec.propagation import walk

FACTS = {
    "lstm": "the layer is an LSTM, alone or in a Bidirectional",
    "stateful": "stateful=True",
    "unroll": "unroll=True",
    "go_backwards": "it runs backwards, as the second half of a Bidirectional does",
    "return_state": "return_state=True",
    "zero_output_for_mask": "zero_output_for_mask=True, as in both halves of a Bidirectional that returns sequences",
    "last_only": "return_sequences=False",
    "bidirectional": "it is half of a Bidirectional",
    "dropout": "dropout above 0, without a recurrent one",
    "implementation_1": "implementation=1",
    "implementation_or_cudnn": "implementation or use_cudnn is not the default",
    "use_cudnn_true": "use_cudnn=True",
    "masked": "a mask reaches it",
    "starts_masked": "the first timestep of a sequence, in the order of processing, is masked",
    "not_finite": "an input holds NaN or infinity",
    "initial_state": "an initial state is given to it",
    "nonzero_state": "it begins with a state that may not be zero",
    "one_state_for_all": "the initial state is given once for the whole batch",
    "batch_of_one": "the model's batch size is 1",
    "fixed_timesteps": "the model's Input fixes the number of timesteps",
    "selu": "it has the activation selu",
    "gelu_or_leaky_relu": "it has one of these activations",
    "hard_sigmoid_or_softplus": "it has one of these activations",
    "regularizer": "it has a regularizer L1, L2 or L1L2",
    "l1": "it has a regularizer that takes absolute values",
    "orthogonal_regularizer": "it has an OrthogonalRegularizer",
    "time_distributed": "the layer is a TimeDistributed",
    "any_batch_and_timesteps": "neither batch size nor timesteps of its input are fixed",
    "wrapper": "the layer is a Bidirectional or a TimeDistributed",
    "biased": "it has a bias that is trained",
    "out_of_the_loss": "no output of the model depends on it",
    "embedding": "the layer is an Embedding",
    "masking": "the layer is a Masking",
    "stacked_cells": "the layer is an RNN of several cells, which no spec says",
    "vmapped": "the model is vmapped, which Keras does not do",
    "softmax_or_sigmoid_output": "it gives an output behind a sigmoid; or a softmax, and labels do not sum to one",
    "categorical_crossentropy": "that is the loss",
    "trained": "gradients are taken",
    "adam": "the optimizer is Adam",
    "adaptive_optimizer": "the optimizer is none that is linear in the gradient",
    "centered_rmsprop": "the optimizer is a centered RMSprop",
    "momentum": "the optimizer has a momentum or a weight decay",
    "weight_decay": "the optimizer has a weight decay",
    "clipped": "the optimizer has a clipnorm or a global_clipnorm",
    "schedule": "the learning rate is a schedule",
    "float64": "computed in float64",
    "half": "computed in float16 or bfloat16",
    "mixed": "computed in mixed precision",
    "bfloat16": "computed in mixed_bfloat16",
}
_TRAINING = {
    "trained", "adam", "adaptive_optimizer", "centered_rmsprop", "momentum", "weight_decay", "clipped",
    "schedule", "categorical_crossentropy",
}  # fmt: skip
_ALWAYS_OPEN = {"half", "mixed", "bfloat16", "one_state_for_all", "schedule", "not_finite"}

_DTYPE_FACTS = {"float64": {"float64"}, "mixed_bfloat16": {"mixed", "bfloat16"}, "mixed_float16": {"mixed"}}


def certain_facts(case: Case, dtype: str) -> dict[str, frozenset[str]]:
    """What is true of a run of the case, by layer (the halves of a Bidirectional as in `Graph.lstms`).

    Args:
        case: the case.
        dtype: of the computation.
    """
    spec, batches = case.spec, list(_batches(case))
    everywhere = _training_facts(case) | _DTYPE_FACTS.get(dtype, set())
    reaching = _reaching(spec)
    masks = [_masks(spec, batch) for batch in batches]
    found: dict[str, frozenset[str]] = {}
    for layer in spec.layers:
        name = str(layer.name)
        lstms = {key: lstm for key, lstm in spec.lstms.items() if key.split("/")[0] == name}
        for key, lstm in lstms.items():
            given = [mask for seen in masks if (mask := seen.get(name)) is not None]
            found[key] = frozenset(_lstm_facts(spec, key, lstm, given, batches) | everywhere)
        if not lstms:
            found[name] = frozenset(_layer_facts(case, layer, batches) | everywhere)
    return {name: facts if name in reaching else facts | {"out_of_the_loss"} for name, facts in found.items()}


def possible_facts(case: Case, dtype: str) -> dict[str, frozenset[str]]:
    """What is true of the case, or may be in its user's hands: `certain_facts`, and what is open."""
    found = {}
    for name, facts in certain_facts(case, dtype).items():
        more = set(_ALWAYS_OPEN)
        if case.optimizer is None or case.example:
            more |= _TRAINING | ({"softmax_or_sigmoid_output"} if _ends_in(case.spec, name, "softmax") else set())
        if "masked" in facts:
            more.add("starts_masked")
        found[name] = facts | more
    return found


def where(when: tuple[str, ...], facts: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The layers at which all facts of a row hold together."""
    return tuple(name for name, found in facts.items() if set(when) <= found)


def _batches(case: Case) -> Iterator[Batch]:
    yield from case.forward.batches()
    for part in case.training:
        if isinstance(part, Fit):
            yield next(part.data.batches())


def _training_facts(case: Case) -> set[str]:
    optimizer = case.optimizer
    facts = {
        "trained": case.loss is not None,
        "categorical_crossentropy": case.loss == "categorical_crossentropy",
    }
    if optimizer is not None:
        name = type(optimizer).__name__
        clips = bool(optimizer.clipnorm or optimizer.global_clipnorm)
        facts |= {
            "adam": name.startswith("Adam"),
            "adaptive_optimizer": not isinstance(optimizer, SGD) or clips,
            "centered_rmsprop": bool(getattr(optimizer, "centered", False)),
            "momentum": bool(getattr(optimizer, "momentum", 0) or optimizer.weight_decay),
            "weight_decay": bool(optimizer.weight_decay),
            "clipped": clips,
        }
    return {fact for fact, true in facts.items() if true}


def _lstm_facts(spec: Graph, key: str, lstm: LSTM, masks: list[Array], batches: list[Batch]) -> set[str]:
    name = key.split("/")[0]
    calls = [call for call in spec.calls if call.layer == name]
    given = any(call.initial_state for call in calls) or (
        not lstm.stateful and any(key in batch.states for batch in batches)
    )
    shape = spec.layer_inputs[name]
    first = -1 if lstm.go_backwards else 0
    facts = {
        "lstm": True,
        "stateful": lstm.stateful,
        "unroll": lstm.unroll,
        "go_backwards": lstm.go_backwards,
        "return_state": lstm.return_state,
        "zero_output_for_mask": lstm.zero_output_for_mask,
        "last_only": not lstm.return_sequences,
        "bidirectional": "/" in key,
        "wrapper": "/" in key,
        "dropout": bool(lstm.dropout) and not lstm.recurrent_dropout,
        "implementation_1": lstm.implementation == 1,
        "implementation_or_cudnn": lstm.implementation == 1 or lstm.use_cudnn != "auto",
        "use_cudnn_true": lstm.use_cudnn is True,
        "masked": bool(masks),
        "starts_masked": any(not mask[:, first].all() for mask in masks),
        "not_finite": any(not np.isfinite(array).all() for batch in batches for array in batch.inputs.values()),
        "initial_state": given,
        "nonzero_state": given or lstm.stateful,
        "batch_of_one": shape[0] == 1,
        "fixed_timesteps": shape[1] is not None,
    }
    return {fact for fact, true in facts.items() if true} | _arguments(lstm)


def _layer_facts(case: Case, layer: Layer, batches: list[Batch]) -> set[str]:
    spec, name = case.spec, str(layer.name)
    inputs = spec.layer_inputs.get(name, ())
    targets = [target for batch in batches for target in batch.targets]
    uneven = any(not np.allclose(target.sum(-1), 1) for target in targets)
    facts = {
        "time_distributed": isinstance(layer, TimeDistributed),
        "wrapper": isinstance(layer, TimeDistributed),
        "any_batch_and_timesteps": isinstance(layer, TimeDistributed) and inputs[:2] == (None, None),
        "embedding": isinstance(layer, Embedding),
        "masking": isinstance(layer, Masking),
        "softmax_or_sigmoid_output": _ends_in(spec, name, "sigmoid") or (uneven and _ends_in(spec, name, "softmax")),
    }
    inner = layer.layer if isinstance(layer, TimeDistributed) else layer
    return {fact for fact, true in facts.items() if true} | _arguments(inner)


def _arguments(layer: Layer) -> set[str]:
    """What a layer's bias, activations and regularizers are."""
    activations = {getattr(layer, key, None) for key in ("activation", "recurrent_activation")}
    regularizers = {type(value).__name__ for value in vars(layer).values() if isinstance(value, Regularizer)}
    facts = {
        "biased": layer.trainable and getattr(layer, "use_bias", False),
        "selu": activations & {"selu"},
        "gelu_or_leaky_relu": activations & {"gelu", "leaky_relu"},
        "hard_sigmoid_or_softplus": activations & {"hard_sigmoid", "softplus"},
        "regularizer": regularizers & {"L1", "L2", "L1L2"},
        "l1": regularizers & {"L1", "L1L2", "OrthogonalRegularizer"},
        "orthogonal_regularizer": regularizers & {"OrthogonalRegularizer"},
    }
    return {fact for fact, true in facts.items() if true}


def _ends_in(spec: Graph, name: str, activation: str) -> bool:
    """Whether a layer gives an output of the model behind that activation."""
    if "/" in name or name not in {spec.calls[ref.call].layer for ref in spec.outputs}:
        return False
    layer = spec.layer(name)
    inner = layer.layer if isinstance(layer, TimeDistributed) else layer
    return isinstance(inner, (Dense, Activation)) and inner.activation == activation


def _reaching(spec: Graph) -> set[str]:
    """The layers, and the halves of a Bidirectional, on which an output of the model depends."""
    wanted, found = set(spec.outputs), set()
    for index, call in reversed(list(enumerate(spec.calls))):
        numbers = {ref.output for ref in wanted if ref.call == index}
        if not numbers:
            continue
        wanted |= {*call.inputs, *call.initial_state}
        layer = spec.layer(call.layer)
        if not isinstance(layer, Bidirectional):
            found.add(call.layer)
            continue
        for number in numbers:  # sequences, one for each half or merged, and then two states for each half
            sequences = 2 if layer.merge_mode is None else 1
            half = number if number < sequences else (number - sequences) // 2
            halves = ("forward", "backward")
            shown = halves if number == 0 and sequences == 1 else halves[half : half + 1]
            found |= {f"{call.layer}/{each}" for each in shown}
    return found


def _masks(spec: Graph, batch: Batch) -> dict[str, Array | None]:
    """The mask that reaches each layer at its first call; of a Masking above other layers, that there is one."""
    seen: dict[str, Array | None] = {}
    timesteps = next((array.shape[1] for array in batch.inputs.values() if array.ndim > 1), 1)

    def apply(call, layer, inputs, mask, states):  # type: ignore[no-untyped-def]
        seen.setdefault(call.layer, mask)
        shapes = [spec.tensor_shapes[ref] for ref in spec.tensor_shapes if spec.calls[ref.call] is call]
        sizes = [(batch.size, *(timesteps if size is None else size for size in shape[1:])) for shape in shapes]
        return [np.ones(size, bool) for size in sizes]

    walk(spec, batch.inputs, batch.masks, apply)
    return seen
