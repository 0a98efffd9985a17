"""Hypothesis strategies: models of all layers with all options that multilstm executes, and samples of them.

`layers.py`, `joins.py` and `recurrent.py` have a rule for every class of `multilstm.spec.layers.LAYERS`. Sizes are
small, since a wrong answer shows in two units as well as in two hundred.
"""

from multilstm.fuzz.strategies.drawing import LARGEST, draw_samples, extremes, samples

__all__ = ["LARGEST", "draw_samples", "extremes", "samples"]
