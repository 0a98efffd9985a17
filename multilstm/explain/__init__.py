"""Explanation of a forward divergence: its cause, and the first layer, timestep, sequence and gate that diverge.

An execution enters; a `Finding` leaves. The engine gets only ordinary forward jobs, so fused kernels are explained as
they are. Three steps locate a divergence:

    layer      The case's model, with the outputs of all layers as outputs.
    timestep   That layer alone, on the reference's inputs, with ever shorter sequences.
    gate       One timestep of it from given states, with weights that make three of the four gates constant.

This room imports `execution`, and rooms below it.
"""

from multilstm.explain.causes import cause
from multilstm.explain.explain import explain, explain_error
from multilstm.explain.finding import CAUSES, Finding
from multilstm.explain.gradient_block import first_block
from multilstm.explain.recorded import explain_recorded

__all__ = ["CAUSES", "Finding", "cause", "explain", "explain_error", "explain_recorded", "first_block"]
