"""The families of the catalogue: the first word of a case's name, with its meaning."""

from __future__ import annotations

SEEDS = ("seed1", "seed2", "seed3", "seed4", "seed5")
FAMILIES = {
    "seed1": "program 1: sequences of any length, with and without a carried state",
    "seed2": "program 2: three stacked layers, integer-coded characters, states as outputs",
    "seed3": "program 3: states set before every batch and read back",
    "seed4": "program 4: one unit on one or two features",
    "seed5": "program 5: a new length in every batch",
    "optimizer": "training with every option of an optimizer",
    "option": "one option of the LSTM alone, at every value",
    "size": "batch, timesteps and units of every size",
    "sweep": "options that interact",
    "model": "models around an LSTM: encoder and decoder, Masking, Embedding, shared layers, stacks",
    "layer": "each layer around an LSTM, with all its arguments",
    "recurrent": "GRU, SimpleRNN and ConvLSTM2D: options, masks, states, dropout",
    "dropout": "training with masks that every engine draws from one seed",
    "issue": "problems reported upstream, with their links",
    "peer": "numbers that tests of other projects expect",
    "gpu": "conditions on which a GPU chooses cuDNN or a loop",
}


def family_of(name: str) -> str:
    """Return the family of a case's name, for example `sweep` of `sweep-unroll`, or an empty string for other names."""
    head, separator, _ = name.partition("-")
    return head if head in SEEDS or (separator and head in FAMILIES) else ""
