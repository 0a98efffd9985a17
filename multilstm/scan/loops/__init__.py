"""The loops over time: layout, forward pass, and the gradient derived by hand.

A `Problem` (weights, inputs, state, masks) and its `LoopOptions` enter; hidden states and the last state leave.
The loops import the cell, the activations and the dropout masks of `multilstm.scan`, and no layer or model.
"""

from multilstm.scan.loops.plan import Layout, Plan, Sizes, choose
from multilstm.scan.loops.problem import LoopOptions, Problem

__all__ = ["Layout", "LoopOptions", "Plan", "Problem", "Sizes", "choose"]
