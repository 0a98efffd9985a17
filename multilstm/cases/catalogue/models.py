"""Common models around an LSTM, each with every kind of mask.

A mask is in the values of the input, where a Masking or Embedding layer finds it, or an array next to the input. Masks
pass through stacks and meet initial states from within the model. Some reach the loss.

Unless `full`, one case of each model has gradients and training, each with another kind of mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from multilstm.cases.case import Case
from multilstm.cases.random_batches import MASKS, PADDING, RandomBatches, shortened, trainable
from multilstm.spec import (
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Embedding,
    Graph,
    Input,
    Masking,
    Model,
    RepeatVector,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.optimizers import Adam

BATCH, TIMESTEPS, FEATURES = 4, 5, 3
TOKENS = 7


def models(full: bool = False) -> Iterator[Case]:
    """Yield the cases of all models."""
    for number, (name, (make, by_value)) in enumerate(MODELS.items()):
        spec = make()
        kinds = MASKS[1:] if by_value else MASKS  # a layer that finds padding always masks
        stateful = any(layer.stateful for layer in spec.recurrent.values())
        for place, kind in enumerate(kinds):
            data = RandomBatches(
                spec, BATCH, TIMESTEPS, 2 if stateful else 1, kind, by_value, seed=7000 + 10 * number + place
            )
            suffix = "" if kind == "none" else f"-mask-{kind}"
            case = trainable(f"model-{name}{suffix}", f"{name.replace('_', ' ')}, mask {kind}", data, Adam(), number)
            yield case if full else shortened(case, place == number % len(kinds))


def _masking() -> Graph:
    return Sequential([Masking(PADDING), LSTM(4, return_sequences=True)], input_shape=(None, FEATURES))


def _masking_state() -> Graph:
    """Return a decoder that gets both a mask and an initial state (plain Keras drops the mask)."""
    inputs = Input((TIMESTEPS, FEATURES))
    masked = Masking(PADDING)(inputs)
    _, *states = LSTM(4, return_state=True, name="encoder")(masked)
    return Model(inputs, LSTM(4, return_sequences=True, name="decoder")(masked, initial_state=states))


def _masking_dense() -> Graph:
    """Return a model whose mask reaches the loss of the dense layer's output."""
    stack = [Masking(PADDING), LSTM(5, return_sequences=True), LSTM(3, return_sequences=True), Dense(2, "softmax")]
    return Sequential(stack, input_shape=(TIMESTEPS, FEATURES))


def _masking_time_distributed() -> Graph:
    head = TimeDistributed(Dense(2, "tanh"))
    return Sequential([Masking(PADDING), LSTM(5, return_sequences=True), head], input_shape=(None, FEATURES))


def _embedding() -> Graph:
    stack = [Embedding(TOKENS, 3, mask_zero=True), LSTM(4, return_sequences=True), LSTM(3)]
    return Sequential(stack, input_shape=(None,), input_dtype="int32")


def _embedding_bidirectional() -> Graph:
    stack = [Embedding(TOKENS, 3, mask_zero=True), Bidirectional(LSTM(3, return_sequences=True)), LSTM(3)]
    return Sequential(stack, input_shape=(TIMESTEPS,), input_dtype="int32")


def _embedding_unmasked() -> Graph:
    """Return a model in which token 0 is not masked."""
    return Sequential([Embedding(TOKENS, 3), LSTM(4)], input_shape=(None,), input_dtype="int32")


def _encoder_decoder() -> Graph:
    inputs = Input((TIMESTEPS, FEATURES))
    _, *states = LSTM(4, return_state=True, name="encoder")(inputs)
    return Model(inputs, LSTM(4, return_sequences=True, name="decoder")(inputs, initial_state=states))


def _encoder_decoder_backwards() -> Graph:
    inputs = Input((None, FEATURES))
    _, *states = LSTM(4, return_state=True, go_backwards=True, name="encoder")(inputs)
    decoder = LSTM(4, return_state=True, zero_output_for_mask=True, name="decoder")
    return Model(inputs, decoder(inputs, initial_state=states))


def _encoder_decoder_bidirectional() -> Graph:
    inputs = Input((TIMESTEPS, FEATURES))
    _, *states = Bidirectional(LSTM(3, return_state=True), name="encoder")(inputs)
    decoder = Bidirectional(LSTM(3, return_sequences=True), "ave", name="decoder")
    return Model(inputs, decoder(inputs, initial_state=states))


def _encoder_decoder_stateful() -> Graph:
    """Return a model whose graph passes states to a stateful LSTM; they win over carried ones."""
    inputs = Input((TIMESTEPS, FEATURES), BATCH)
    _, *states = LSTM(4, return_state=True, name="encoder")(inputs)
    return Model(inputs, LSTM(4, stateful=True, name="decoder")(inputs, initial_state=states))


def _repeat_vector() -> Graph:
    """Return an autoencoder; the mask ends at the RepeatVector."""
    stack = [LSTM(4), RepeatVector(3), LSTM(3, return_sequences=True), TimeDistributed(Dense(2))]
    return Sequential(stack, input_shape=(TIMESTEPS, FEATURES))


def _shared() -> Graph:
    """Return a model that calls one layer on a sequence and then on the result."""
    inputs = Input((TIMESTEPS, 4))
    shared = LSTM(4, return_sequences=True)
    return Model(inputs, shared(shared(inputs)))


def _concatenated() -> Graph:
    """Return both directions by hand, concatenated; Keras's Concatenate combines the masks too."""
    inputs = Input((TIMESTEPS, FEATURES))
    first = LSTM(3, return_sequences=True)(inputs)
    second = LSTM(2, return_sequences=True, go_backwards=True)(inputs)
    return Model(inputs, Concatenate()([first, second]))


def _layers_3() -> Graph:
    stack = [LSTM(5, return_sequences=True), LSTM(4, return_sequences=True), LSTM(3)]
    return Sequential([*stack, Dense(3), Activation("softmax")], input_shape=(None, FEATURES))


def _layers_3_stateful() -> Graph:
    stack = [LSTM(units, return_sequences=True, stateful=True) for units in (3, 4, 2)]
    return Sequential(stack, input_shape=(None, FEATURES), batch_size=BATCH)


def _residual_states() -> Graph:
    """Return a model whose outputs are all states of two layers."""
    inputs = Input((TIMESTEPS, FEATURES))
    sequence, *first = LSTM(3, return_sequences=True, return_state=True)(inputs)
    _, *second = LSTM(2, return_state=True, go_backwards=True)(sequence)
    return Model(inputs, [*first, *second])


# By name: the model, and whether its mask is in the values of the input.
MODELS: dict[str, tuple[Callable[[], Graph], bool]] = {
    "masking": (_masking, True),
    "masking_state": (_masking_state, True),
    "masking_dense": (_masking_dense, True),
    "masking_time_distributed": (_masking_time_distributed, True),
    "embedding": (_embedding, True),
    "embedding_bidirectional": (_embedding_bidirectional, True),
    "embedding_unmasked": (_embedding_unmasked, True),
    "encoder_decoder": (_encoder_decoder, False),
    "encoder_decoder_backwards": (_encoder_decoder_backwards, False),
    "encoder_decoder_bidirectional": (_encoder_decoder_bidirectional, False),
    "encoder_decoder_stateful": (_encoder_decoder_stateful, False),
    "repeat_vector": (_repeat_vector, False),
    "shared": (_shared, False),
    "concatenated": (_concatenated, False),
    "layers_3": (_layers_3, False),
    "layers_3_stateful": (_layers_3_stateful, False),
    "residual_states": (_residual_states, False),
}
