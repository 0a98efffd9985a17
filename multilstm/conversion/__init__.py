"""LSTM weights in the layouts of other frameworks, in both directions.

Arrays in the layout of one framework enter, and arrays in Keras's layout leave, or the other way around. The room
imports `errors` and `spec`.
"""

from multilstm.conversion.dialects import DIALECTS, Dialect
from multilstm.conversion.stack import LSTMWeights, from_dialect, to_dialect

__all__ = ["DIALECTS", "Dialect", "LSTMWeights", "from_dialect", "to_dialect"]
