"""Arrays: the array type of every quantity, and the state of an LSTM with names in place of an order."""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class State(NamedTuple):
    """The state that an LSTM passes from one timestep to the next.

    Attributes:
        hidden: `[batch, units]`, Keras's first state, also the output of the last timestep.
        cell: `[batch, units]`, Keras's second state.
    """

    hidden: Any
    cell: Any
