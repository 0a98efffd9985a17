"""The state of an LSTM: two arrays with names, so that nobody has to guess their order."""

from typing import Any, NamedTuple


class State(NamedTuple):
    """What an LSTM carries from one timestep to the next.

    Attributes:
        hidden: `[batch, units]`, Keras's first state, also the output of the last timestep.
        cell: `[batch, units]`, Keras's second state.
    """

    hidden: Any
    cell: Any
