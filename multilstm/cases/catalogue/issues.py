"""Cases of upstream issues about LSTMs, as far as a spec can show them on a CPU.

Issues without a case, by reason:

- kernels of GPUs, whose options are cases nevertheless: keras#22874, #22275, #20902, #22274, tf#49241, #60192, #36139,
  #43103, keras-core#611, jax#15183, #17653, pytorch#173922, #173927
- GRU: keras#21603
- dropout masks, which are inputs here: keras#19993, #20663
- files and arguments of older Keras: keras#19615, #18913, tf#65395, keras#19898, #20081, #20750
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from multilstm.cases.case import Case
from multilstm.cases.random_batches import PADDING, RandomBatches, shortened, trainable
from multilstm.spec import LSTM, Bidirectional, Dense, Embedding, Graph, Input, Masking, Model, Sequential
from multilstm.spec.optimizers import SGD, Adam, Optimizer, RMSprop

BATCH, TIMESTEPS, FEATURES = 3, 5, 3
KERAS = "https://github.com/keras-team/keras/issues/"
ABOUT_TRAINING = tuple(f"issue-keras-{number}-" for number in (20327, 20605, 20875, 22697, 23462))


def issues(full: bool = False) -> Iterator[Case]:
    """Yield the cases; unless `full`, issues about training have gradients and training, in float64 alone."""
    for case in _issues():
        yield case if full else shortened(case, case.name.startswith(ABOUT_TRAINING))


def _issues() -> Iterator[Case]:
    yield _case("keras-11472-masked_start", f"{KERAS}11472", _lstm(return_sequences=True), "left", given=True)
    yield _case("keras-22697-rounding", f"{KERAS}22697", _classifier(), optimizer=RMSprop(), shape=(BATCH, 40))
    yield _case("keras-23462-stateful_backward", f"{KERAS}23462", _lstm(stateful=True))
    yield _case("keras-20875-stateful_in_place", f"{KERAS}20875", _two_stateful(), optimizer=Adam())
    yield _case("keras-20327-stateful_fit", f"{KERAS}20327", _two_stateful(), "right")
    yield _case("keras-20605-stateful_masked", f"{KERAS}20605", _two_stateful(), "left")
    for mask in ("none", "holes"):
        suffix = "" if mask == "none" else f"-mask-{mask}"
        yield _case(f"keras-18861-return_state{suffix}", f"{KERAS}18861", _bidirectional_states(), mask)
        yield _case(f"keras-20588-use_cudnn{suffix}", f"{KERAS}20588", _bidirectional_without_cudnn(), mask)
    yield _case("keras-21224-stacked_mask", f"{KERAS}21224", _stack_under_masking(), "right", by_value=True)
    yield _case("keras-23235-mask_through_a_stack", f"{KERAS}23235", _embedded_stack(), "right", by_value=True)
    yield _case("keras-17596-backward_zero_output", f"{KERAS}17596", _bidirectional_sequences(), "left")
    yield _case("keras-20106-batch_input_shape", f"{KERAS}20106", _batch_shape())
    tensorflow = "https://github.com/tensorflow/tensorflow/issues/"
    yield _case("tensorflow-36139-full_row", f"{tensorflow}36139", _stack_under_masking(), "full_row", by_value=True)
    yield _case("tensorflow-43103-full_row", f"{tensorflow}43103", _bidirectional_sequences(), "full_row")
    yield _case("tensorflow-49241-masked", f"{tensorflow}49241", _lstm(return_sequences=True), "right")
    backwards = _lstm(go_backwards=True, return_sequences=True)
    yield _case("tensorflow-40345-order_of_go_backwards", f"{tensorflow}40345", backwards)
    onnx = "https://github.com/onnx/keras-onnx/issues/523"
    yield _case("keras_onnx-523-order_of_go_backwards", onnx, _go_backwards_under_lstm())
    yield _case("flax-3746-one_bias", "https://github.com/google/flax/issues/3746", _lstm())
    pytorch = "https://github.com/pytorch/pytorch/issues/177016"
    one = _case("pytorch-177016-one_sequence", pytorch, _lstm(return_sequences=True), shape=(1, TIMESTEPS))
    yield one
    assert isinstance(one.forward, RandomBatches)
    yield dataclasses.replace(
        one,
        name="issue-pytorch-177016-the_same_in_a_batch",
        forward=dataclasses.replace(one.forward, size=6),
        loss=None,
        optimizer=None,
        training=(),
    )


def _case(
    name: str,
    link: str,
    spec: Graph,
    mask: str = "none",
    *,
    by_value: bool = False,
    given: bool = False,
    optimizer: Optimizer = SGD(0.1),  # noqa: B008
    shape: tuple[int, int] = (BATCH, TIMESTEPS),
) -> Case:
    stateful = any(layer.stateful for layer in spec.recurrent.values())
    states = tuple(spec.recurrent) if given else ()
    seed = int(name.split("-")[1])
    data = RandomBatches(spec, *shape, 3 if stateful else 1, mask, by_value, states, seed=seed)
    return trainable(f"issue-{name}", link, data, optimizer, seed)


def _lstm(**arguments: Any) -> Graph:
    fixed = BATCH if arguments.get("stateful") else None
    return Sequential([LSTM(4, **arguments)], input_shape=(None, FEATURES), batch_size=fixed)


def _classifier() -> Graph:
    return Sequential([LSTM(8, return_sequences=True), LSTM(8), Dense(3, "softmax")], input_shape=(None, FEATURES))


def _two_stateful() -> Graph:
    stack = [LSTM(4, stateful=True, return_sequences=True), LSTM(3, stateful=True), Dense(2)]
    return Sequential(stack, input_shape=(TIMESTEPS, FEATURES), batch_size=BATCH)


def _bidirectional_states() -> Graph:
    inputs = Input((TIMESTEPS, FEATURES))
    return Model(inputs, Bidirectional(LSTM(3, return_sequences=True, return_state=True))(inputs))


def _bidirectional_without_cudnn() -> Graph:
    layer = Bidirectional(LSTM(3, return_sequences=True, use_cudnn=False))
    return Sequential([layer], input_shape=(TIMESTEPS, FEATURES))


def _bidirectional_sequences() -> Graph:
    return Sequential([Bidirectional(LSTM(3, return_sequences=True)), LSTM(2)], input_shape=(TIMESTEPS, FEATURES))


def _stack_under_masking() -> Graph:
    stack = [Masking(PADDING), LSTM(4, return_sequences=True), LSTM(3, return_sequences=True), LSTM(2)]
    return Sequential(stack, input_shape=(TIMESTEPS, FEATURES))


def _embedded_stack() -> Graph:
    stack = [Embedding(7, 3, mask_zero=True), LSTM(4, return_sequences=True), LSTM(3, return_sequences=True)]
    return Sequential(stack, input_shape=(TIMESTEPS,), input_dtype="int32")


def _batch_shape() -> Graph:
    return Sequential([Input(batch_shape=(BATCH, TIMESTEPS, FEATURES)), LSTM(4)])


def _go_backwards_under_lstm() -> Graph:
    stack = [LSTM(4, go_backwards=True, return_sequences=True), LSTM(3, go_backwards=True, return_sequences=True)]
    return Sequential(stack, input_shape=(None, FEATURES))
